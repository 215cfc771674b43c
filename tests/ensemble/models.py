"""Small Keras models and ensembles for the tests of this folder."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from ensemble.model import Candidate, Ensemble
from spaces.schema import Schema
from spaces.task import Task

TASKS = {
    "binary": Task("binary", ("sick",), ("no", "yes")),
    "multiclass": Task("multiclass", ("kind",), ("a", "b", "c")),
    "multilabel": Task("multilabel", ("red", "round")),
    "regression": Task("regression", ("price", "weight")),
}


def frame(n_rows: int = 50, seed: int = 0) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    ages = rng.normal(40, 10, n_rows)
    ages[3] = np.nan
    colours = rng.choice(["red", "blue", "grün"], n_rows)
    return pd.DataFrame({"age": ages, "Größe": rng.normal(size=n_rows), "colour": colours})


def plain_model(schema: Schema, task: Task, *, width: int = 5, normaliser: str = "batch") -> Any:
    """Return a functional model of plain layers, with dropout and non-trainable weights."""
    import keras
    from keras import layers

    numbers = keras.Input((len(schema.numbers),), name="numbers")
    inputs, parts = [numbers], [layers.Rescaling(0.05)(keras.ops.nan_to_num(numbers))]
    if schema.categories:
        codes = keras.Input((len(schema.categories),), dtype="int32", name="codes")
        n_codes = max(len(column.categories) for column in schema.categories) + 2
        inputs.append(codes)
        parts.append(layers.Flatten()(layers.Embedding(n_codes, 2)(codes)))
    hidden = layers.Concatenate()(parts) if len(parts) > 1 else parts[0]
    hidden = layers.Dense(width, activation="silu", kernel_regularizer="l2")(hidden)
    norm = layers.BatchNormalization if normaliser == "batch" else layers.LayerNormalization
    hidden = layers.Dropout(0.3)(norm()(hidden))
    ends = {"multiclass": "softmax", "regression": "linear"}
    return keras.Model(inputs, layers.Dense(task.n_outputs, ends.get(task.kind, "sigmoid"))(hidden))


def member_weights(model: Any, n_members: int, seed: int = 0) -> list[list[np.ndarray]]:
    """Return random weights for some members; variances stay positive, integers stay as they are."""
    rng = np.random.default_rng(seed)

    def draw(variable: Any) -> np.ndarray:
        value = np.asarray(variable)
        if value.dtype.kind != "f":
            return value
        if "variance" in variable.path or "scale" in variable.path:
            return rng.uniform(0.5, 2, value.shape).astype(value.dtype)
        return rng.normal(size=value.shape).astype(value.dtype)

    return [[draw(variable) for variable in model.weights] for _ in range(n_members)]


def candidate(model: Any, task: Task, *, trial: int, weight: float, n_members: int = 3) -> Candidate:
    members = member_weights(model, n_members, trial)
    rng = np.random.default_rng(trial)
    shape = (n_members, task.n_outputs)
    is_regression = task.kind == "regression"
    return Candidate(
        trial=trial,
        family="plain",
        weight=weight,
        architecture=model.to_json(),
        weights=tuple(np.stack(arrays) for arrays in zip(*members, strict=True)),
        target_center=rng.normal(100, 10, shape) if is_regression else np.zeros(shape),
        target_scale=rng.uniform(1, 9, shape) if is_regression else np.ones(shape),
    )


def ensemble(kind: str = "binary", table: pd.DataFrame | None = None) -> Ensemble:
    """Return an ensemble of two trials of three members each."""
    schema, task = Schema.infer(frame() if table is None else table), TASKS[kind]
    wide, narrow = plain_model(schema, task), plain_model(schema, task, width=3, normaliser="layer")
    candidates = [
        candidate(wide, task, trial=7, weight=0.75),
        candidate(narrow, task, trial=12, weight=0.25),
    ]
    return Ensemble(schema, task, candidates, {"score": np.float64(0.5), "metric": "log_loss"})


def one_by_one(made: Ensemble, rows: pd.DataFrame) -> np.ndarray:
    """Return the raw predictions the slow way: each member's own Keras model, one after another."""
    import keras

    table = made.schema.read(rows)
    total = np.zeros((len(rows), made.task.n_outputs))
    for one in made.candidates:
        model = keras.models.model_from_json(one.architecture)
        named = {"numbers": table.numbers, "codes": table.codes}
        given = [named[tensor.name] for tensor in model.inputs]
        for member in range(one.n_members):
            model.set_weights([array[member] for array in one.weights])
            output = np.asarray(model(given, training=False), dtype=np.float64)
            raw = output * one.target_scale[member] + one.target_center[member]
            total += one.weight / one.n_members * raw
    return total
