"""LightGBM (Ke et al. 2017), where it is installed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np

from spaces.boosted import Boosted, fit_heads, pack_boosted, read_rounds, unpack_boosted
from spaces.encoding import Layout
from spaces.heads import Head
from spaces.matrix import is_categorical
from spaces.parameters import Choice, Float, Int
from spaces.rounds import n_rounds, rate_sum, readings
from spaces.signature import Signature
from spaces.space import Space

Config = Mapping[str, Any]

COLUMNS: Literal["encoded", "ordinal"] = "ordinal"
PACKAGE = "lightgbm"
QUIET = {"verbosity": -1}
OBJECTIVES = {"binary": "binary", "multiclass": "multiclass", "regression": "regression"}


def default_space(signature: Signature) -> Space:
    """What is tried by default; leaves grow with the table."""
    n = signature.n_rows
    return Space(
        {
            "learning_rate": Float(0.03, 0.3, log=True),
            "num_leaves": Int(4, 31 if n < 2_000 else 127, log=True),
            "min_data_in_leaf": Int(2, 40 if n < 10_000 else 100, log=True),
            "feature_fraction": Float(0.3, 1.0),
            "bagging_fraction": Float(0.5, 1.0),
            "lambda_l2": Float(1e-3, 30.0, log=True),
            "extra_trees": Choice((False, True)),
        },
        fixed={"rate_sum": rate_sum(signature.task)},
    )


def first_configs(signature: Signature) -> tuple[dict[str, Any], ...]:
    """A plain and an extremely randomised configuration worth trying first."""
    leaves = (8 if signature.task.is_classification else 16) if signature.n_rows < 2_000 else 31
    common = {"rate_sum": rate_sum(signature.task), "learning_rate": 0.06,
         "num_leaves": leaves, "min_data_in_leaf": 5, "bagging_fraction": 0.75,
              "lambda_l2": 1.0}  # fmt: skip
    return (
        {**common, "feature_fraction": 0.6, "extra_trees": False},
        {**common, "feature_fraction": 1.0, "extra_trees": True},
    )


def structure(config: Config) -> tuple[Any, ...]:
    """The choices that make it another kind of model."""
    return ("lightgbm", bool(config.get("extra_trees")))


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
) -> Boosted:
    """Fit as many rounds as ``rounds(config)[-1]``.

    Parameters
    ----------
    x
        ``(n_rows, n_columns)`` float32, ordinal.
    y
        ``(n_rows, n_outputs)``: 0/1, or standardised values.
    """
    import lightgbm

    categories = np.flatnonzero(is_categorical(Layout.of(signature.schema))).tolist()

    def train(head: Head, x: np.ndarray, target: np.ndarray) -> Any:
        data = lightgbm.Dataset(
            x, target, weight=row_weights, categorical_feature=categories, params=dict(QUIET)
        )
        parameters = _parameters(head, config, seed, n_threads)
        return lightgbm.train(parameters, data, num_boost_round=rounds(config)[-1])

    return fit_heads(train, signature, x, y, row_weights)


def predict(model: Boosted, x: np.ndarray, n_rounds: int) -> np.ndarray:
    """Probabilities or standardised values ``(n_rows, n_outputs)`` after some rounds."""
    return predict_rounds(model, x, (n_rounds,))[0]


def predict_rounds(model: Boosted, x: np.ndarray, rounds: Sequence[int]) -> list[np.ndarray]:
    """Predictions after each of some rising rounds, in one pass over the trees."""
    return read_rounds(_margins, model, x, rounds)


def pack(model: Boosted) -> bytes:
    """LightGBM's own text per head in an npz file."""
    return pack_boosted("lightgbm", model, lambda booster: booster.model_to_string().encode())


def unpack(data: bytes) -> Boosted:
    """Read what `pack` wrote; `PackedError` if the bytes are anything else."""
    return unpack_boosted("lightgbm", data, _load)


def _parameters(head: Head, config: Config, seed: int, n_threads: int) -> dict[str, Any]:
    searched = {name: config[name] for name in (
        "learning_rate", "num_leaves", "min_data_in_leaf", "feature_fraction", "bagging_fraction",
        "lambda_l2", "extra_trees",
    )}  # fmt: skip
    return {
        **QUIET, **searched,
        "objective": OBJECTIVES[head.kind],
        "num_class": head.n_scores,
        "bagging_freq": 1,
        "min_sum_hessian_in_leaf": 1e-3,
        "max_cat_to_onehot": 4, "cat_smooth": 10.0, "min_data_per_group": 10,
        "seed": seed, "num_threads": n_threads, "deterministic": True, "force_row_wise": True,
    }  # fmt: skip


def _margins(booster: Any, x: np.ndarray, rounds: Sequence[int]) -> np.ndarray:
    """Raw scores ``(n_readings, n_rows, n_scores)``: sums over slices of the rounds."""
    found, done, n_fitted = [], 0, booster.current_iteration()
    total = np.zeros((len(x), booster.num_model_per_iteration()))
    for end in (min(int(n), n_fitted) for n in rounds):
        if end > done:
            part = booster.predict(
                x, raw_score=True, start_iteration=done, num_iteration=end - done, num_threads=1
            )
            total, done = total + part.reshape(total.shape), end
        found.append(total)
    return np.stack(found)


def _load(data: bytes) -> Any:
    import lightgbm

    return lightgbm.Booster(model_str=data.decode())
