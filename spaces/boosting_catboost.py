"""CatBoost (Prokhorenkova et al. 2018), where it is installed."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np

from spaces.boosted import Boosted, fit_heads, pack_boosted, read_rounds, unpack_boosted
from spaces.catboost_json import oblivious
from spaces.encoding import Layout
from spaces.heads import Head
from spaces.oblivious import Oblivious, checked_oblivious
from spaces.parameters import Float, Int
from spaces.rounds import n_rounds, rate_sum, readings
from spaces.signature import Signature
from spaces.space import Space

Config = Mapping[str, Any]

COLUMNS: Literal["encoded", "ordinal"] = "ordinal"
PACKAGE = "catboost"
OBJECTIVES = {"binary": "Logloss", "multiclass": "MultiClass", "regression": "RMSE"}


def default_space(signature: Signature) -> Space:
    """What is tried by default; trees are deeper on larger tables."""
    return Space(
        {
            "learning_rate": Float(0.03, 0.3, log=True),
            "depth": Int(3, 6 if signature.n_rows < 2_000 else 8),
            "l2_leaf_reg": Float(0.1, 30.0, log=True),
            "random_strength": Float(0.0, 2.0),
            "subsample": Float(0.5, 1.0),
            "rsm": Float(0.3, 1.0),
        },
        fixed={"rate_sum": rate_sum(signature.task)},
    )


def first_configs(signature: Signature) -> tuple[dict[str, Any], ...]:
    """Configurations worth trying first."""
    return (
        {"rate_sum": rate_sum(signature.task), "learning_rate": 0.08,
         "depth": 5 if signature.n_rows < 2_000 else 7, "l2_leaf_reg": 2.0,
         "random_strength": 1.0, "subsample": 0.8, "rsm": 0.7},
    )  # fmt: skip


def structure(config: Config) -> tuple[Any, ...]:
    """The choices that make it another kind of model: none."""
    return ("catboost",)


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
    import catboost

    layout = Layout.of(signature.schema)
    n_slots = (0,) * layout.n_numbers + layout.n_slots

    def train(head: Head, x: np.ndarray, target: np.ndarray) -> Any:
        model = catboost.CatBoost(_parameters(head, config, seed, n_threads))
        labels = target if head.kind == "regression" else target.astype(np.int64)
        return model.fit(_pool(x, n_slots, label=labels, weight=row_weights)), n_slots

    return fit_heads(train, signature, x, y, row_weights)


def predict(model: Boosted, x: np.ndarray, n_rounds: int) -> np.ndarray:
    """Probabilities or standardised values ``(n_rows, n_outputs)`` after some rounds."""
    return predict_rounds(model, x, (n_rounds,))[0]


def predict_rounds(model: Boosted, x: np.ndarray, rounds: Sequence[int]) -> list[np.ndarray]:
    """Predictions after each of some rising rounds, in one pass over the trees."""
    return read_rounds(_margins, model, x, rounds)


def pack(model: Boosted) -> bytes:
    """The trees of each head as an npz file."""
    return pack_boosted("catboost", model, plain)


def unpack(data: bytes) -> Boosted:
    """Read what `pack` wrote; `PackedError` if the bytes are anything else."""
    return unpack_boosted("catboost", data, checked_oblivious)


def plain(part: tuple[Any, tuple[int, ...]]) -> Oblivious:
    """A fitted booster as arrays: the same decisions for every float32 value."""
    booster, n_slots = part
    every_slot = np.zeros((max(1, *n_slots), len(n_slots)), np.float32)
    for column, n in enumerate(n_slots):
        every_slot[:n, column] = np.arange(n)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.json"
        booster.save_model(str(path), format="json", pool=_pool(every_slot, n_slots))
        return oblivious(json.loads(path.read_bytes()), n_slots)


def _parameters(head: Head, config: Config, seed: int, n_threads: int) -> dict[str, Any]:
    searched = {name: config[name] for name in (
        "learning_rate", "depth", "l2_leaf_reg", "random_strength", "subsample", "rsm",
    )}  # fmt: skip
    found = {
        **searched,
        "loss_function": OBJECTIVES[head.kind],
        "iterations": rounds(config)[-1],
        "bootstrap_type": "Bernoulli", "boosting_type": "Plain", "leaf_estimation_iterations": 1,
        "one_hot_max_size": 8,
        "random_seed": seed, "thread_count": n_threads, "verbose": False, "allow_writing_files": False,
    }  # fmt: skip
    return {**found, "classes_count": head.n_scores} if head.kind == "multiclass" else found


def _pool(x: np.ndarray, n_slots: Sequence[int], **labels: Any) -> Any:
    from catboost import FeaturesData, Pool

    is_category = np.asarray(n_slots) > 0
    numbers = np.ascontiguousarray(x[:, ~is_category], np.float32)
    texts = x[:, is_category].astype(np.int64).astype(str)
    categories = np.char.encode(texts).astype(object)
    data = FeaturesData(
        num_feature_data=numbers if numbers.shape[1] else None,
        cat_feature_data=categories if categories.shape[1] else None,
    )
    return Pool(data, **labels)


def _margins(part: tuple[Any, tuple[int, ...]], x: np.ndarray, rounds: Sequence[int]) -> np.ndarray:
    """Raw scores ``(n_readings, n_rows, n_scores)``: sums over slices of the rounds."""
    booster, n_slots = part
    found, done, total, data = [], 0, np.zeros(1), _pool(x, n_slots)
    for end in (min(int(n), booster.tree_count_) for n in rounds):
        if end > done:
            slice_ = booster.predict(
                data, prediction_type="RawFormulaVal", ntree_start=done, ntree_end=end, thread_count=1
            )
            total, done = total + np.asarray(slice_, np.float64).reshape(len(x), -1), end
        found.append(total)
    return np.stack(found)
