"""What the boosted families share: one booster per head, read at several rounds, packed as plain arrays.

While a trial is fitted, the library itself predicts. What is packed are arrays that numpy evaluates: the
libraries' own formats are read by native code that trusts them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, final, runtime_checkable

import numpy as np

from spaces.encoding import Layout
from spaces.heads import Head, bounded, heads, heads_from_json, heads_to_json, joined
from spaces.matrix import is_categorical
from spaces.packed import PackedError, pack_arrays, unpack_arrays
from spaces.signature import Signature
from spaces.trees import Trees, checked, scores_by_round

Train = Callable[[Head, np.ndarray, np.ndarray], Any]
Margins = Callable[[Any, np.ndarray, Sequence[int]], np.ndarray]


@runtime_checkable
class Plain(Protocol):
    """A fitted booster as arrays."""

    def arrays(self) -> dict[str, np.ndarray]:
        """The arrays by name."""

    def scores(self, x: np.ndarray, rounds: Sequence[int]) -> np.ndarray:
        """Raw scores after each of some rising rounds, ``(n_readings, n_rows, n_scores)``."""


@final
@dataclass(frozen=True)
class Additive:
    """Trees whose leaves add up to raw scores, one tree per score and round.

    Attributes
    ----------
    trees : Trees
    baseline : ndarray of float64, shape (n_scores,)
        The scores before the first round.
    """

    trees: Trees
    baseline: np.ndarray

    def arrays(self) -> dict[str, np.ndarray]:
        """The arrays by name."""
        return {**self.trees.arrays(), "baseline": self.baseline}

    def scores(self, x: np.ndarray, rounds: Sequence[int]) -> np.ndarray:
        """Raw scores after each of some rising rounds, ``(n_readings, n_rows, n_scores)``."""
        return scores_by_round(self.trees, self.baseline, x, rounds)


@dataclass(frozen=True)
class Boosted:
    """Fitted boosters.

    Attributes
    ----------
    heads : tuple of Head
    boosters : tuple
        One per head: the library's own, or a `Plain` one that was packed; None where the head is constant,
        raw scores ``(n_scores,)`` where no column tells rows apart.
    is_category : tuple of bool
        Per column of the ordinal matrix.
    """

    heads: tuple[Head, ...]
    boosters: tuple[Any, ...]
    is_category: tuple[bool, ...]


def fit_heads(
    train: Train, signature: Signature, x: np.ndarray, y: np.ndarray, row_weights: np.ndarray | None
) -> Boosted:
    """Train one booster per head with ``train(head, x, target)``."""
    found, has_columns = heads(signature.task, y, row_weights), _has_varying_column(x, row_weights)

    def booster(head: Head) -> Any:
        if head.kind == "constant":
            return None
        return train(head, x, head.target(y)) if has_columns else prior_scores(head, y, row_weights)

    boosters = tuple(booster(head) for head in found)
    return Boosted(found, boosters, tuple(is_categorical(Layout.of(signature.schema)).tolist()))


def read_rounds(margins: Margins, model: Boosted, x: np.ndarray, rounds: Sequence[int]) -> list[np.ndarray]:
    """Predictions after each of some rising rounds, each ``(n_rows, n_outputs)`` float64.

    Parameters
    ----------
    margins
        ``margins(booster, x, rounds) -> (n_rounds, n_rows, n_scores)``, raw scores of a library's booster.

    Raises
    ------
    PackedError
        If `x` has other columns than the model was fitted on.
    """
    if x.shape[1] != len(model.is_category):
        raise PackedError(f"a matrix must have {len(model.is_category)} columns, got {x.shape[1]}")

    def scores_of(booster: Any) -> np.ndarray:
        if booster is None:
            return np.zeros((len(rounds), len(x), 1))
        if isinstance(booster, np.ndarray):
            return np.broadcast_to(booster, (len(rounds), len(x), booster.size))
        if isinstance(booster, Plain):
            return booster.scores(x, rounds)
        return margins(booster, x, rounds)

    scores = [scores_of(booster) for booster in model.boosters]
    return [
        joined([(head, part[k]) for head, part in zip(model.heads, scores, strict=True)], len(x))
        for k in range(len(rounds))
    ]


def pack_boosted(family: str, model: Boosted, plain: Callable[[Any], Plain]) -> bytes:
    """The boosters' arrays in an npz file; ``plain(booster)`` turns a library's own into them."""
    header = {"heads": heads_to_json(model.heads), "is_category": list(model.is_category)}
    arrays: dict[str, np.ndarray] = {}
    for k, booster in enumerate(model.boosters):
        if isinstance(booster, np.ndarray):
            arrays[f"prior_{k}"] = booster
        elif booster is not None:
            found = booster if isinstance(booster, Plain) else plain(booster)
            arrays |= {f"{name}_{k}": array for name, array in found.arrays().items()}
    return pack_arrays(family, header, arrays)


def unpack_boosted(
    family: str, data: bytes, checked_plain: Callable[[Mapping[str, np.ndarray], int, int], Plain]
) -> Boosted:
    """Read what `pack_boosted` wrote, whatever the origin of the bytes.

    Parameters
    ----------
    checked_plain
        ``checked_plain(arrays, n_columns, n_scores)``, a booster of arrays that can be evaluated safely.

    Raises
    ------
    PackedError
        If the bytes are anything else.
    """
    header, arrays = unpack_arrays(family, data)
    found, flags = heads_from_json(header), header.get("is_category")
    if not isinstance(flags, list) or not all(isinstance(flag, bool) for flag in flags):
        raise PackedError(f"a packed {family} must tell which columns are categories, got {flags!r:.60}")
    boosters: list[Any] = []
    for k, head in enumerate(found):
        own = {name.removesuffix(f"_{k}"): a for name, a in arrays.items() if name.endswith(f"_{k}")}
        if head.kind == "constant":
            boosters.append(None)
        elif "prior" in own:
            boosters.append(checked_scores(own["prior"], head.n_scores))
        else:
            boosters.append(checked_plain(own, len(flags), head.n_scores))
    return Boosted(found, tuple(boosters), tuple(flags))


def checked_additive(arrays: Mapping[str, np.ndarray], n_columns: int, n_scores: int) -> Additive:
    """Trees and their baseline from arrays of unknown origin; PackedError where they are something else."""
    trees, baseline = checked(arrays, n_columns), checked_scores(arrays.get("baseline"), n_scores)
    if trees.n_trees % n_scores or trees.value.shape[1] != 1:
        raise PackedError(f"packed trees must hold {n_scores} scores a round, got {trees.n_trees} trees")
    return Additive(trees, baseline)


def checked_scores(scores: np.ndarray | None, n_scores: int) -> np.ndarray:
    """Raw scores ``(n_scores,)`` of unknown origin; PackedError where they are something else."""
    if scores is None or scores.dtype != np.float64 or scores.shape != (n_scores,):
        raise PackedError(f"a packed model must hold {n_scores} scores per head in float64")
    if not np.isfinite(scores).all():
        raise PackedError("the scores of a packed model must be finite")
    return scores


def prior_scores(head: Head, y: np.ndarray, row_weights: np.ndarray | None) -> np.ndarray:
    """Raw scores ``(n_scores,)`` of a head that predicts the weighted mean of its targets."""
    mean = np.average(y[:, list(head.columns)], axis=0, weights=row_weights)
    if head.kind == "regression":
        return np.asarray(mean, np.float64)
    mean = bounded(mean[None])[0]
    return np.asarray(np.log(mean) - (np.log1p(-mean) if head.kind == "binary" else 0.0), np.float64)


def _has_varying_column(x: np.ndarray, row_weights: np.ndarray | None) -> bool:
    seen = x if row_weights is None else x[np.asarray(row_weights) > 0]
    is_missing = np.isnan(seen)
    differs = (seen != seen[0]) & ~(is_missing & is_missing[0])
    return bool(differs.any())
