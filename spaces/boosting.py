"""Histogram gradient boosting of scikit-learn, kept as plain arrays."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from spaces.boosted import checked_additive, checked_scores
from spaces.encoding import Layout
from spaces.heads import Head, heads, heads_from_json, heads_to_json, joined
from spaces.histograms import Arrangement, trees_of
from spaces.packed import PackedError, pack_arrays, unpack_arrays
from spaces.parameters import Float, Int
from spaces.rounds import n_rounds, rate_sum, readings
from spaces.signature import Signature
from spaces.space import Space
from spaces.threads import limited
from spaces.trees import Trees, scores_by_round

Config = Mapping[str, Any]

COLUMNS: Literal["encoded", "ordinal"] = "ordinal"


@dataclass(frozen=True)
class Boosting:
    """Fitted boosters as plain arrays.

    Attributes
    ----------
    heads : tuple of Head
    trees : tuple of (Trees or None)
        Per head, ``n_scores`` trees a round, round after round; None where it is constant.
    baselines : tuple of ndarray
        Per head, the raw scores ``(n_scores,)`` before the first round.
    n_columns : int
        Columns of the ordinal matrix.
    """

    heads: tuple[Head, ...]
    trees: tuple[Trees | None, ...]
    baselines: tuple[np.ndarray, ...]
    n_columns: int


def default_space(signature: Signature) -> Space:
    """What is tried by default; leaves grow with the table."""
    n = signature.n_rows
    return Space(
        {
            "learning_rate": Float(0.03, 0.3, log=True),
            "max_leaf_nodes": Int(4, 31 if n < 2_000 else 127, log=True),
            "min_samples_leaf": Int(2, 40 if n < 10_000 else 100, log=True),
            "l2_regularization": Float(1e-3, 30.0, log=True),
            "max_features": Float(0.3, 1.0),
        },
        fixed={"rate_sum": rate_sum(signature.task)},
    )


def first_configs(signature: Signature) -> tuple[dict[str, Any], ...]:
    """Configurations worth trying first."""
    leaves = 8 if signature.n_rows < 2_000 else 31
    return (
        {"rate_sum": rate_sum(signature.task), "learning_rate": 0.06,
         "max_leaf_nodes": leaves, "min_samples_leaf": 8, "l2_regularization": 1.0,
         "max_features": 0.6},
    )  # fmt: skip


def structure(config: Config) -> tuple[Any, ...]:
    """The choices that make it another kind of model: none."""
    return ("boosting",)


def rounds(config: Config) -> tuple[int, ...]:
    """Rounds at which the model can be read."""
    return readings(n_rounds(config))


def fit(
    config: Config,
    signature: Signature,
    x: np.ndarray,
    y: np.ndarray,
    *,
    seed: int,
    row_weights: np.ndarray | None = None,
    n_threads: int = 1,
) -> Boosting:
    """Fit as many rounds as ``rounds(config)[-1]``, without early stopping.

    Parameters
    ----------
    x
        ``(n_rows, n_columns)`` float32, ordinal.
    y
        ``(n_rows, n_outputs)``: 0/1, or standardised values.
    """
    layout = Layout.of(signature.schema)
    arrangement = Arrangement.of(x, np.asarray([0] * layout.n_numbers + list(layout.n_slots), np.int64))
    arranged, found = arrangement.arranged(x), heads(signature.task, y, row_weights)
    parts: list[tuple[Trees | None, np.ndarray]] = []
    with limited(n_threads):
        for head in found:
            if head.kind == "constant":
                parts.append((None, np.zeros(1)))
                continue
            model = _estimator(head, config, arrangement, seed)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # a column that is missing in all rows cannot be binned
                model.fit(arranged, head.target(y), sample_weight=row_weights)
            baseline = np.asarray(model._baseline_prediction, np.float64).reshape(-1)
            parts.append((trees_of(model, arrangement), baseline))
    trees, baselines = zip(*parts, strict=True)
    return Boosting(found, trees, baselines, x.shape[1])


def predict(model: Boosting, x: np.ndarray, n_rounds: int) -> np.ndarray:
    """Probabilities or standardised values ``(n_rows, n_outputs)`` after some rounds."""
    return predict_rounds(model, x, (n_rounds,))[0]


def predict_rounds(model: Boosting, x: np.ndarray, rounds: Sequence[int]) -> list[np.ndarray]:
    """Predictions after each of some rising rounds, in one pass over the trees."""
    if x.shape[1] != model.n_columns:
        raise PackedError(f"a matrix must have {model.n_columns} columns, got {x.shape[1]}")
    scores = [
        np.zeros((len(rounds), len(x), 1)) if trees is None else scores_by_round(trees, baseline, x, rounds)
        for trees, baseline in zip(model.trees, model.baselines, strict=True)
    ]
    return [
        joined([(head, part[k]) for head, part in zip(model.heads, scores, strict=True)], len(x))
        for k in range(len(rounds))
    ]


def pack(model: Boosting) -> bytes:
    """The fitted boosters as an npz file."""
    arrays = {
        f"{name}_{k}": array
        for k, trees in enumerate(model.trees)
        if trees is not None
        for name, array in trees.arrays().items()
    }
    arrays |= {f"baseline_{k}": baseline for k, baseline in enumerate(model.baselines)}
    return pack_arrays(
        "boosting", {"heads": heads_to_json(model.heads), "n_columns": model.n_columns}, arrays
    )


def unpack(data: bytes) -> Boosting:
    """Read what `pack` wrote.

    Raises
    ------
    PackedError
        If the bytes are anything else.
    """
    header, arrays = unpack_arrays("boosting", data)
    found, n_columns = heads_from_json(header), header.get("n_columns")
    if type(n_columns) is not int:
        raise PackedError(f"a packed boosting must tell its n_columns, got {n_columns!r:.60}")
    trees: list[Trees | None] = []
    baselines = []
    for k, head in enumerate(found):
        own = {name.removesuffix(f"_{k}"): a for name, a in arrays.items() if name.endswith(f"_{k}")}
        part = None if head.kind == "constant" else checked_additive(own, n_columns, head.n_scores)
        trees.append(None if part is None else part.trees)
        baselines.append(checked_scores(own.get("baseline"), head.n_scores))
    return Boosting(found, tuple(trees), tuple(baselines), n_columns)


def _estimator(head: Head, config: Config, arrangement: Arrangement, seed: int) -> Any:
    from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor

    estimator = HistGradientBoostingRegressor if head.kind == "regression" else HistGradientBoostingClassifier
    return estimator(
        learning_rate=float(config["learning_rate"]),
        max_iter=rounds(config)[-1],
        max_leaf_nodes=int(config["max_leaf_nodes"]),
        min_samples_leaf=int(config["min_samples_leaf"]),
        l2_regularization=float(config["l2_regularization"]),
        max_features=float(config["max_features"]),
        categorical_features=arrangement.is_set,
        early_stopping=False,
        random_state=seed,
    )
