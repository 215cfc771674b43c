"""XGBoost (Chen and Guestrin 2016), where it is installed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np

from spaces.boosted import Boosted, fit_heads, pack_boosted, read_rounds, unpack_boosted, with_flags
from spaces.encoding import Layout
from spaces.heads import Head
from spaces.matrix import is_categorical
from spaces.parameters import Float, Int
from spaces.rounds import n_rounds, rate_sum, readings
from spaces.signature import Signature
from spaces.space import Space

Config = Mapping[str, Any]

COLUMNS: Literal["encoded", "ordinal"] = "ordinal"
PACKAGE = "xgboost"
OBJECTIVES = {"binary": "binary:logistic", "multiclass": "multi:softprob", "regression": "reg:squarederror"}


def default_space(signature: Signature) -> Space:
    """What is tried by default; trees are deeper on larger tables."""
    return Space(
        {
            "learning_rate": Float(0.03, 0.3, log=True),
            "max_depth": Int(2, 7 if signature.n_rows < 2_000 else 10),
            "min_child_weight": Float(1e-2, 30.0, log=True),
            "subsample": Float(0.5, 1.0),
            "colsample_bynode": Float(0.3, 1.0),
            "reg_lambda": Float(1e-2, 30.0, log=True),
        },
        fixed={"rate_sum": rate_sum(signature.task)},
    )


def first_configs(signature: Signature) -> tuple[dict[str, Any], ...]:
    """Configurations worth trying first."""
    depth = (4 if signature.task.is_classification else 5) if signature.n_rows < 2_000 else 6
    return (
        {"rate_sum": rate_sum(signature.task), "learning_rate": 0.06,
         "max_depth": depth, "min_child_weight": 1.0, "subsample": 0.7,
         "colsample_bynode": 0.6, "reg_lambda": 2.0},
    )  # fmt: skip


def structure(config: Config) -> tuple[Any, ...]:
    """The choices that make it another kind of model: none."""
    return ("xgboost",)


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
    import xgboost

    flags = is_categorical(Layout.of(signature.schema)).tolist()

    def train(head: Head, x: np.ndarray, target: np.ndarray) -> Any:
        data = _matrix(x, flags, n_threads, label=target, weight=row_weights)
        parameters = _parameters(head, config, seed, n_threads)
        booster = xgboost.train(parameters, data, num_boost_round=rounds(config)[-1], verbose_eval=False)
        return booster, flags

    return fit_heads(train, signature, x, y, row_weights)


def predict(model: Boosted, x: np.ndarray, n_rounds: int) -> np.ndarray:
    """Probabilities or standardised values ``(n_rows, n_outputs)`` after some rounds."""
    return predict_rounds(model, x, (n_rounds,))[0]


def predict_rounds(model: Boosted, x: np.ndarray, rounds: Sequence[int]) -> list[np.ndarray]:
    """Predictions after each of some rising rounds, in one pass over the trees."""
    return read_rounds(_margins, model, x, rounds)


def pack(model: Boosted) -> bytes:
    """XGBoost's own UBJSON per head in an npz file."""
    return pack_boosted("xgboost", model, lambda part: bytes(part[0].save_raw("ubj")))


def unpack(data: bytes) -> Boosted:
    """Read what `pack` wrote; `PackedError` if the bytes are anything else."""
    found = unpack_boosted("xgboost", data, _load)
    return with_flags(found)


def _parameters(head: Head, config: Config, seed: int, n_threads: int) -> dict[str, Any]:
    searched = {name: config[name] for name in (
        "learning_rate", "max_depth", "min_child_weight", "subsample", "colsample_bynode", "reg_lambda",
    )}  # fmt: skip
    found = {
        **searched,
        "objective": OBJECTIVES[head.kind],
        "tree_method": "hist",
        "max_cat_to_onehot": 4,
        "seed": seed, "nthread": n_threads, "verbosity": 0,
    }  # fmt: skip
    return {**found, "num_class": head.n_scores} if head.kind == "multiclass" else found


def _matrix(x: np.ndarray, flags: Sequence[bool], n_threads: int, **labels: Any) -> Any:
    import xgboost

    kinds = ["c" if flag else "q" for flag in flags]
    return xgboost.DMatrix(
        x, feature_types=kinds, enable_categorical=True, missing=np.nan, nthread=n_threads, **labels
    )


def _margins(part: tuple[Any, list[bool]], x: np.ndarray, rounds: Sequence[int]) -> np.ndarray:
    """Raw scores ``(n_readings, n_rows, n_scores)``: each slice of rounds starts from the sum before it."""
    booster, flags = part
    booster.set_param({"nthread": 1})
    found, done, n_fitted, data = [], 0, booster.num_boosted_rounds(), _matrix(x, flags, 1)
    for end in (min(int(n), n_fitted) for n in rounds):
        if end > done:
            margin = booster.predict(data, output_margin=True, iteration_range=(done, end))
            data.set_base_margin(margin)
            done = end
        found.append(np.asarray(margin, np.float64).reshape(len(x), -1))
    return np.stack(found)


def _load(data: bytes) -> Any:
    import xgboost

    booster = xgboost.Booster(params={"verbosity": 0})
    booster.load_model(bytearray(data))
    return booster
