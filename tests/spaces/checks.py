"""Tables on which laws over all families are checked, and what a family module must have."""

from __future__ import annotations

import importlib
import importlib.util
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import numpy as np
import pandas as pd
import pytest

from search.preprocess import learn, learn_targets
from spaces.encoding import Layout, Statistics
from spaces.matrix import matrix
from spaces.schema import Schema, Table
from spaces.signature import Signature
from spaces.task import Kind, Task

MODULES = {
    "linear": None,
    "random_forest": None,
    "extra_trees": None,
    "boosting": None,
    "boosting_lightgbm": "lightgbm",
    "boosting_xgboost": "xgboost",
    "boosting_catboost": "catboost",
}
KINDS: tuple[Kind, ...] = ("binary", "multiclass", "multilabel", "regression")


def loaded(name: str) -> ModuleType:
    """The module of a family; skips where its optional package is absent."""
    package = MODULES[name]
    if package is not None:
        pytest.importorskip(package, reason=f"{package} is an optional extra")
    return importlib.import_module(f"spaces.{name}")


@dataclass(frozen=True)
class Case:
    """A small table with numbers, gaps, categories and a constant column."""

    schema: Schema
    table: Table
    task: Task
    y: np.ndarray
    statistics: Statistics

    @property
    def signature(self) -> Signature:
        return Signature(self.schema, self.task, self.table.n_rows)

    def x(self, module: Any, table: Table | None = None) -> np.ndarray:
        part = self.table if table is None else table
        return matrix(module.COLUMNS, Layout.of(self.schema), part.numbers, part.codes, self.statistics)


def small_case(kind: Kind, n_rows: int = 120, seed: int = 0) -> Case:
    """A table whose targets follow a number, a gap and a category, with noise."""
    rng = np.random.default_rng(seed)
    numbers = rng.normal(size=(n_rows, 2))
    color = rng.choice(["red", "green", "blue", "grey"], n_rows)
    gap = np.where(rng.random(n_rows) < 0.2, np.nan, numbers[:, 1])
    frame = pd.DataFrame({"x": numbers[:, 0], "gap": gap, "flat": 1.0, "color": color})
    signal = 2 * numbers[:, 0] + np.nan_to_num(gap, nan=-2.0) + 2 * (color == "red")
    return case(kind, frame, signal + rng.normal(size=n_rows) * 0.3)


def case(kind: Kind, frame: pd.DataFrame, signal: np.ndarray) -> Case:
    """A table with targets of a kind cut from a signal ``(n_rows,)``."""
    schema = Schema.infer(frame)
    table = schema.read(frame)
    low, high = np.quantile(signal, [1 / 3, 2 / 3])
    if kind == "binary":
        task, y = Task("binary", ("t",), (0, 1)), (signal > low).astype(float)[:, None]
    elif kind == "multiclass":
        task = Task("multiclass", ("t",), ("a", "b", "c"))
        y = np.eye(3)[(signal > low).astype(int) + (signal > high)]
    elif kind == "multilabel":
        task = Task("multilabel", ("t", "u", "v"))
        y = np.column_stack([signal > low, signal < high, np.zeros(signal.size)]).astype(float)
    else:
        task, y = Task("regression", ("t", "u")), np.column_stack([signal, -(signal**2)])
    rows = np.arange(signal.size)
    center, scale = learn_targets(y, task, rows)
    return Case(schema, table, task, (y - center) / scale, learn(table, schema, rows))


def mean_loss(case: Case, predictions: np.ndarray) -> float:
    """Log loss or squared error, lower is better."""
    y = case.y
    if not case.task.is_classification:
        return float(np.mean((y - predictions) ** 2))
    if case.task.kind == "multiclass":
        return float(-np.mean(np.log((y * predictions).sum(axis=1))))
    return float(-np.mean(np.log(np.where(y == 1, predictions, 1 - predictions))))
