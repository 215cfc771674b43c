"""Small tables, plans and requests for the tests of the engine."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from search.data import Dataset, from_frame
from search.objective import make_plan
from search.splits import make_folds
from search.training.plan import Plan
from search.training.recipe import Recipe, recipe_for
from search.training.trained import Request, validation_loss
from spaces.signature import Signature

METRICS = {"binary": "log_loss", "multiclass": "log_loss", "regression": "rmse"}
CONFIG: dict[str, Any] = {
    "depth": 1, "width": 16, "shape": "constant", "activation": "relu", "normalization": "none",
    "dropout": 0.0,
    "l1_on": False, "l2_on": False, "optimizer": "adam", "learning_rate": 1e-2, "schedule": "constant",
    "batch_size": 16,
}  # fmt: skip


def frame(kind: str = "binary", n_rows: int = 60, seed: int = 0) -> pd.DataFrame:
    """A number, a number with gaps and a category, all of which tell something about the target ``y``."""
    rng = np.random.default_rng(seed)
    x, gap = rng.normal(size=(2, n_rows))
    color = rng.choice(["red", "green", "blue"], n_rows)
    signal = 2.0 * x + gap + (color == "red") + 0.1 * rng.normal(size=n_rows)
    targets = {
        "binary": np.where(signal > 0, "yes", "no"),
        "multiclass": np.array(["low", "mid", "high"])[np.digitize(signal, [-1.0, 1.0])],
        "regression": 50.0 + 10.0 * signal,
    }
    gap[rng.random(n_rows) < 0.2] = np.nan
    return pd.DataFrame({"x": x, "gap": gap, "color": color, "day": np.arange(n_rows), "y": targets[kind]})


def dataset(kind: str = "binary", n_rows: int = 60, *, is_timed: bool = False) -> Dataset:
    drop = () if is_timed else ("day",)
    return from_frame(frame(kind, n_rows), "y", time="day" if is_timed else None, drop=drop)


def members_of(data: Dataset, n_splits: int = 3, n_repeats: int = 1) -> Any:
    return make_folds(data, n_splits=n_splits, n_repeats=n_repeats, rng=np.random.default_rng(0)).members()


def plan(kind: str = "binary", n_rows: int = 60, n_splits: int = 3, n_repeats: int = 1) -> Plan:
    data = dataset(kind, n_rows)
    return make_plan(data, members_of(data, n_splits, n_repeats))


def request(data: Dataset, recipe: Recipe, *, seed: int = 1, **changes: Any) -> Request:
    config = {**CONFIG, **changes}
    signature = Signature(data.schema, data.task, data.n_rows)
    return Request("mlp", config, signature, recipe_for(config, recipe), seed)


def loss_for(data: Dataset) -> Any:
    return validation_loss(METRICS[data.task.kind], data.task)
