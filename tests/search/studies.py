"""Small studies for tests: a table of a hundred rows, its configuration, what an ensemble must predict."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pandas as pd

from ensemble import Ensemble
from reports.leaderboard import leaderboard
from search import flow
from search.config import StudyConfig, check
from search.records import Run
from spaces import layers
from spaces.encoding import Layout, Statistics
from spaces.families import FAMILIES
from spaces.matrix import matrix
from spaces.schema import Schema, Table

ROOT = Path(__file__).parents[2]
assert layers  # imported so that Keras knows the layers of stored architectures
SPACE: dict[str, Any] = {
    "depth": 1, "width": 16, "block": "plain", "shape": "constant", "activation": "relu",
    "normalization": "none", "wide": False, "scaling": "standard", "numbers": "plain", "feature_scale": False,
    "dropout": 0.0, "dropout_schedule": "constant", "l1_on": False, "l2_on": False, "optimizer": "adam",
    "beta2": 0.999, "schedule": "constant", "batch_size": 32,
    "learning_rate": {"low": 0.003, "high": 0.1, "log": True},
}  # fmt: skip


def frame_of(n_rows: int = 96, seed: int = 0) -> pd.DataFrame:
    """Numbers with gaps, a flag, a text column of any Unicode with gaps; rows in time order and in groups."""
    rng = np.random.default_rng(seed)
    x, gap = rng.normal(size=(2, n_rows))
    flag = rng.random(n_rows) < 0.5
    city = rng.choice(["Köln", "東京", "São Paulo"], n_rows).astype(object)
    signal_ = 2.0 * x + gap + flag + (city == "東京") + 0.2 * rng.normal(size=n_rows)
    frame = pd.DataFrame({"x": x, "gap": gap, "flag": flag, "città": city})
    frame.loc[rng.random(n_rows) < 0.2, "gap"] = np.nan
    frame.loc[rng.random(n_rows) < 0.1, "città"] = None
    frame["site"] = rng.integers(0, 24, n_rows)
    frame["day"] = pd.Timestamp("2024-01-01") + pd.to_timedelta(np.arange(n_rows), "D")
    frame["ill"] = np.where(signal_ > 0.7, "yes", "no")
    frame["grade"] = np.array(["a", "b", "c"])[np.digitize(signal_, [-0.5, 1.5])]
    frame["tall"], frame["wide"] = (signal_ > 0.7).astype(int), (x > 0).astype(int)
    frame["price"], frame["cost"] = 1000.0 + 100.0 * signal_, x - 2.0 * flag
    return frame


TARGETS = ("ill", "grade", "tall", "wide", "price", "cost")


def config_of(folder: Path, *targets: str, frame: pd.DataFrame | None = None, **changes: Any) -> StudyConfig:
    """A small study of the table on some of its targets; groups and time are features of no study."""
    keys = {changes.get("groups"), changes.get("time_column")} & {"site", "day"}
    columns = [c for c in (frame_of() if frame is None else frame).columns if c not in TARGETS]
    columns = [c for c in columns if c not in ("site", "day") or c in keys] + list(targets)
    path = folder / "table.csv"
    (frame_of() if frame is None else frame)[columns].to_csv(path, index=False)
    values = {
        "data": str(path), "target": targets, "trials": 3, "splits": 3, "repeats": 1, "epochs": 8, "seed": 1,
        "draws": 20, "families": ("mlp",), "ensemble": "greedy", "calibration": "none",
        "out": str(folder / "run"), "space": SPACE, **changes,
    }  # fmt: skip
    return check({name: value for name, value in values.items() if value is not None})


def done(config: StudyConfig) -> Run:
    outcome = flow.study(config, command="test")
    assert not outcome.is_interrupted and outcome.n_completed
    run = Run.open(outcome.run_path)
    assert run.is_finished
    return run


def entries_of(run: Run) -> dict[str, Any]:
    board = leaderboard(run)
    return {str(row["entry"]): row for _, row in board.iloc[:4].iterrows()}


def averaged(run: Run, frame: pd.DataFrame) -> np.ndarray:
    """The ensemble's average by plain Keras and the families' own functions, before any calibration.

    Members by weight, the fold models of each equally.
    """
    loaded = Ensemble.load(run.path / "ensemble")
    table = loaded.schema.read(frame)
    total = np.zeros((len(frame), loaded.task.n_outputs))
    for member in run.load_json("summary.json")["ensemble"]["members"]:
        total += member["weight"] * of_trial(run, member["trial"], loaded.schema, table).mean(axis=0)
    return total


def of_trial(run: Run, trial: int, schema: Schema, table: Table) -> np.ndarray:
    """What the stored models of a trial predict ``(n_models, n_rows, n_outputs)``, in raw units."""
    stored = run.weights(trial)
    values = [stored[name] for name in sorted(stored) if name.startswith("weight_")]
    family = next(t.family for t in run.trials() if t.number == trial)
    predict = _of_network if FAMILIES[family].is_network else _of_fitted
    outputs = predict(family, str(stored["architecture"]), values, schema, table)
    return outputs * stored["target_scale"][:, None] + stored["target_center"][:, None]


def _of_network(family: str, architecture: str, values: Any, schema: Schema, table: Table) -> np.ndarray:
    model = keras.models.model_from_json(architecture)
    inputs = [a for a in (table.numbers, table.codes) if a.shape[1]]
    outputs = []
    for index in range(len(values[0])):
        for variable, value in zip(model.weights, values, strict=True):
            variable.assign(value[index])
        outputs.append(np.asarray(model(inputs, training=False), np.float64))
    return np.stack(outputs)


def _of_fitted(family: str, architecture: str, values: Any, schema: Schema, table: Table) -> np.ndarray:
    module = FAMILIES[family].fitted
    rounds, sizes, models, *learned = values
    outputs = []
    for index, model in enumerate(models):
        own = Statistics(*(array[index] for array in learned))
        x = matrix(module.COLUMNS, Layout.of(schema), table.numbers, table.codes, own)
        outputs.append(module.predict(module.unpack(model[: sizes[index]].tobytes()), x, int(rounds[index])))
    return np.stack(outputs)


def new_rows() -> pd.DataFrame:
    """Rows that were never seen, with a new category, other gaps and the columns in another order."""
    new = frame_of(40, seed=9)
    new.loc[3, "città"] = "Atlantis"
    new.loc[4, ["x", "gap", "città"]] = [np.inf, np.nan, None]
    return new[[*reversed(new.columns)]]
