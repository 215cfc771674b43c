"""The default family: what is sampled can be built, and one structure means one program."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spaces import mlp
from spaces.encoding import Layout
from spaces.families import FAMILIES
from spaces.schema import Schema
from spaces.signature import Signature
from spaces.task import Task

TASKS = {
    "binary": Task("binary", ("t",), (0, 1)),
    "multiclass": Task("multiclass", ("t",), ("a", "b", "c")),
    "multilabel": Task("multilabel", ("t", "u")),
    "regression": Task("regression", ("t", "u")),
}
COLUMNS = {
    "numbers": pd.DataFrame({"x": [1.0, 2.0, np.nan, 3.0]}),
    "categories": pd.DataFrame({"c": ["a", "b", None, "b"]}),
    "both": pd.DataFrame({"x": [1.0, 2.0, np.nan, 3.0], "c": ["a", "b", None, "b"]}),
}
PLAIN: dict[str, Any] = {
    "depth": 2, "width": 16, "shape": "constant", "activation": "relu", "normalization": "none",
    "dropout": 0.0,
    "l1_on": False, "l2_on": False, "optimizer": "adam", "learning_rate": 1e-3, "schedule": "constant",
    "batch_size": 16,
}  # fmt: skip


def signature_of(kind: str, columns: str, n_rows: int = 100) -> Signature:
    return Signature(Schema.infer(COLUMNS[columns]), TASKS[kind], n_rows)


def inputs_of(columns: str) -> Any:
    schema = Schema.infer(COLUMNS[columns])
    table = schema.read(COLUMNS[columns])
    return [a for a in (table.numbers, table.codes) if a.shape[1]]


@pytest.mark.parametrize("columns", list(COLUMNS))
@pytest.mark.parametrize("kind", list(TASKS))
def test_every_sampled_configuration_builds(kind: str, columns: str) -> None:
    signature = signature_of(kind, columns)
    space, rng = mlp.default_space(signature), np.random.default_rng(len(kind) * 10 + len(columns))
    for _ in range(3):
        config = space.sample(rng)
        model = mlp.build(config, signature)
        output = np.asarray(model(inputs_of(columns), training=False))
        assert output.shape == (4, signature.n_outputs)
        assert np.isfinite(output).all()
        if kind != "regression":
            assert (output >= 0).all() and (output <= 1).all()
        if kind == "multiclass":
            assert np.allclose(output.sum(axis=1), 1.0, atol=1e-6)
        units = tuple(layer.units for layer in model.layers if layer.name.startswith("dense_"))
        times = 2 if config["block"] == "residual" else 1
        assert units[-times * config["depth"] :] == tuple(u for u in mlp.widths(config) for _ in range(times))


@pytest.mark.parametrize("kind", list(TASKS))
def test_first_configs_are_admissible(kind: str) -> None:
    for n_rows in (30, 500, 5_000, 100_000):
        signature = signature_of(kind, "both", n_rows)
        space = FAMILIES["mlp"].space(signature)
        configs = mlp.first_configs(signature)
        assert len(configs) == 3
        for config in configs:
            assert space.contains(config), space.explain(config)


@given(st.integers(1, 200_000))
def test_batches_leave_at_least_ten_steps_an_epoch(n_rows: int) -> None:
    options = mlp.default_space(signature_of("binary", "numbers", n_rows)).parameters["batch_size"].options  # type: ignore[union-attr]
    assert options and options[0] <= 128
    assert all(size * 10 <= max(n_rows, 320) for size in options)


@pytest.mark.parametrize(
    ("depth", "width", "shape", "expected"),
    [(1, 256, "pyramid", (256,)), (4, 64, "constant", (64,) * 4), (4, 16, "pyramid", (16, 8, 8, 8))],
)
def test_widths(depth: int, width: int, shape: str, expected: tuple[int, ...]) -> None:
    assert mlp.widths({"depth": depth, "width": width, "shape": shape}) == expected


def _shape_of(config: dict[str, Any]) -> tuple[Any, ...]:
    model = mlp.build(config, signature_of("binary", "both"))
    layers = [
        (type(layer).__name__, layer.name) for layer in model.layers if "Input" not in type(layer).__name__
    ]
    activations = [layer.activation.__name__ for layer in model.layers if hasattr(layer, "activation")]
    return (*layers, *activations, *((v.name, tuple(v.shape)) for v in model.variables))


def test_equal_structure_means_equal_models_but_for_their_numbers() -> None:
    rng = np.random.default_rng(1)
    space = mlp.default_space(signature_of("binary", "both"))
    by_structure: dict[Any, Any] = {}
    n_shared = 0
    small = space.override(
        {"depth": 1, "width": 16, "block": ["plain", "residual"], "shape": "constant", "activation": "relu",
         "normalization": "none", "numbers": ["plain", "periodic"], "wide": False, "feature_scale": False}
    )  # fmt: skip
    for _ in range(25):
        config = small.sample(rng)
        shape = _shape_of(config)
        n_shared += mlp.structure(config) in by_structure
        assert by_structure.setdefault(mlp.structure(config), shape) == shape
    assert n_shared >= 5 and len(set(by_structure.values())) == len(by_structure)


@pytest.mark.parametrize(
    "change",
    [
        {"depth": 3}, {"width": 32}, {"shape": "pyramid", "width": 32}, {"activation": "silu"},
        {"normalization": "batch"}, {"normalization": "layer"}, {"dropout": 0.1},
        {"block": "residual"}, {"wide": True}, {"scaling": "robust"}, {"numbers": "periodic"},
        {"numbers": "piecewise"}, {"feature_scale": True},
        {"l1_on": True, "l1": 1e-5}, {"l2_on": True, "l2": 1e-4},
    ],
)  # fmt: skip
def test_what_shapes_the_program_is_in_the_structure(change: dict[str, Any]) -> None:
    changed = {**PLAIN, **change}
    assert mlp.structure(changed) != mlp.structure(PLAIN)
    assert _shape_of(changed) != _shape_of(PLAIN)


def test_numbers_are_dials_and_reach_the_weights_of_the_model() -> None:
    config = {**PLAIN, "dropout": 0.25, "l1_on": True, "l1": 1e-4, "l2_on": True, "l2": 1e-3}
    other = {**config, "dropout": 0.4, "l1": 2e-4, "l2": 2e-3, "learning_rate": 0.1, "batch_size": 32}
    assert mlp.structure(config) == mlp.structure(other)
    dials = mlp.dials(config)
    assert dials == {"dial_dropout": 0.25, "dial_l1": 1e-4, "dial_l2": 1e-3}
    model = mlp.build(config, signature_of("binary", "numbers"))
    found = [v for v in model.non_trainable_variables if v.name in dials]
    assert {v.name for v in found} == set(dials) and len(found) == 3 * config["depth"]
    assert all(np.isclose(v.numpy(), dials[v.name]) for v in found)
    assert mlp.dials({**PLAIN, "numbers": "periodic", "sigma": 0.2})["dial_sigma"] == 0.2
    assert mlp.dials(PLAIN) == {"dial_dropout": 0.0, "dial_l1": 0.0, "dial_l2": 0.0}


def test_first_layer_is_scaled_by_columns_not_features() -> None:
    frame = pd.DataFrame({f"c{i}": [f"level {k}" for k in range(30)] for i in range(8)})
    signature = Signature(Schema.infer(frame), TASKS["binary"])
    assert Layout.of(signature.schema).n_features == 8 * 32
    model = mlp.build({**PLAIN, "width": 256}, signature)
    spread = float(np.std(model.get_layer("dense_0").kernel.numpy()))
    assert np.isclose(spread, (2.0 / 8) ** 0.5, rtol=0.05)


def test_a_configuration_from_before_builds_what_it_built() -> None:
    model = mlp.build({**PLAIN, "dropout": 0.1, "normalization": "batch"}, signature_of("binary", "both"))
    names = [layer.name for layer in model.layers if "Input" not in type(layer).__name__]
    of_layer = ["dense_{}", "normalization_{}", "activation_{}", "dropout_{}"]
    assert names == ["encode", *(name.format(i) for i in range(2) for name in of_layer), "output"]
    assert [v.name for v in model.get_layer("encode").weights] == ["fill", "center", "scale", "slot_of_code"]


def test_a_wide_path_is_linear_in_the_encoded_columns() -> None:
    model = mlp.build({**PLAIN, "wide": True}, signature_of("regression", "both"))
    before = np.asarray(model(inputs_of("both")))
    kernel = model.get_layer("output_wide").kernel
    assert not np.asarray(kernel).any()
    kernel.assign(np.random.default_rng(0).normal(size=kernel.shape))
    encoded = np.asarray(model.get_layer("encode")(inputs_of("both")))
    assert np.allclose(model(inputs_of("both")), before + encoded @ np.asarray(kernel), atol=1e-5)


def test_residual_blocks_add_to_what_comes_in() -> None:
    model = mlp.build(
        {**PLAIN, "block": "residual", "normalization": "layer"}, signature_of("regression", "both")
    )
    names = [layer.name for layer in model.layers]
    assert names.index("normalization_0") < names.index("dense_1") < names.index("activation_0")
    for name in ("dense_2", "dense_4"):  # blocks that give nothing leave the first layer's output as it is
        model.get_layer(name).kernel.assign(model.get_layer(name).kernel * 0)
    first = keras.Model(model.inputs, model.get_layer("dense_0").output)(inputs_of("both"))
    last = keras.Model(model.inputs, model.get_layer("block_1").output)(inputs_of("both"))
    assert np.allclose(first, last, atol=1e-6)


@pytest.mark.parametrize("kind", ["regression", "binary"])
def test_only_values_are_held_within_a_range(kind: str) -> None:
    model = mlp.build({**PLAIN, "clip": True}, signature_of(kind, "both"))
    assert ("limit" in {layer.name for layer in model.layers}) == (kind == "regression")


def test_what_is_asked_for_depends_on_the_task() -> None:
    assert "clip" in mlp.default_space(signature_of("regression", "both")).parameters
    assert "label_smoothing" not in mlp.default_space(signature_of("regression", "both")).parameters
    assert "label_smoothing" in mlp.default_space(signature_of("multiclass", "both")).parameters
