"""What the boosted families share: one booster per head, read at several rounds, packed as bytes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from spaces.encoding import Layout
from spaces.heads import Head, bounded, heads, heads_from_json, heads_to_json, joined
from spaces.matrix import is_categorical
from spaces.packed import PackedError, as_array, pack_arrays, unpack_arrays
from spaces.signature import Signature

Train = Callable[[Head, np.ndarray, np.ndarray], Any]
Margins = Callable[[Any, np.ndarray, Sequence[int]], np.ndarray]


@dataclass(frozen=True)
class Boosted:
    """Fitted boosters.

    Attributes
    ----------
    heads : tuple of Head
    boosters : tuple
        One per head; None where it is constant, raw scores ``(n_scores,)`` where no column tells rows apart.
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
        ``margins(booster, x, rounds) -> (n_rounds, n_rows, n_scores)``, raw scores.
    """

    def scores_of(booster: Any) -> np.ndarray:
        if booster is None:
            return np.zeros((len(rounds), len(x), 1))
        if isinstance(booster, np.ndarray):
            return np.broadcast_to(booster, (len(rounds), len(x), booster.size))
        return margins(booster, x, rounds)

    scores = [scores_of(booster) for booster in model.boosters]
    return [
        joined([(head, part[k]) for head, part in zip(model.heads, scores, strict=True)], len(x))
        for k in range(len(rounds))
    ]


def pack_boosted(family: str, model: Boosted, save: Callable[[Any], bytes]) -> bytes:
    """The boosters' own bytes in an npz file."""
    header = {"heads": heads_to_json(model.heads), "is_category": list(model.is_category)}
    blobs = {
        f"booster_{k}": booster if isinstance(booster, np.ndarray) else as_array(save(booster))
        for k, booster in enumerate(model.boosters)
        if booster is not None
    }
    return pack_arrays(family, header, blobs)


def unpack_boosted(family: str, data: bytes, load: Callable[[bytes], Any]) -> Boosted:
    """Read what `pack_boosted` wrote.

    Damaged bytes are refused by the checksums of the npz file. Bytes that were forged on purpose, checksums
    and all, are as safe as the library's own reader in native code: nothing is executed by design, but it may
    end the process.

    Raises
    ------
    PackedError
        If the bytes are anything else, or the booster's own reader refuses them.
    """
    header, arrays = unpack_arrays(family, data)
    found, flags = heads_from_json(header), header.get("is_category")
    if not isinstance(flags, list) or not all(isinstance(flag, bool) for flag in flags):
        raise PackedError(f"a packed {family} must tell which columns are categories, got {flags!r}")
    boosters = tuple(
        None if head.kind == "constant" else _loaded(family, head, arrays.get(f"booster_{k}"), load)
        for k, head in enumerate(found)
    )
    return Boosted(found, boosters, tuple(flags))


def with_flags(model: Boosted) -> Boosted:
    """The same with each booster beside the list of its category columns, for libraries that ask again."""
    flags = list(model.is_category)
    boosters = (b if b is None or isinstance(b, np.ndarray) else (b, flags) for b in model.boosters)
    return Boosted(model.heads, tuple(boosters), model.is_category)


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


def _loaded(family: str, head: Head, blob: np.ndarray | None, load: Callable[[bytes], Any]) -> Any:
    if blob is not None and blob.dtype == np.float64 and blob.shape == (head.n_scores,):
        return blob
    if blob is None or blob.dtype != np.uint8 or blob.ndim != 1:
        raise PackedError(f"a packed {family} must hold a booster of bytes per head")
    try:
        return load(blob.tobytes())
    except Exception as error:
        raise PackedError(
            f"the bytes of a packed {family} were refused: {' '.join(str(error).split())[:80]}"
        ) from None
