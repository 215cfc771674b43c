"""The convolutional family: its space, its network on images and sequences, its training in the engine."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import keras
import numpy as np
import pytest

from ensemble.architecture import check_architecture, template_of
from search.training.plan import Plan
from search.training.ways import way_of
from spaces import convolutional
from spaces.blocks import Block
from spaces.schema import Column, Schema
from spaces.signature import Signature
from spaces.task import Kind, Task
from tests.search.training import test_equality as equality

IMAGE = Block("image", "image", (6, 5, 2), (6, 5, 2))
SERIES = Block("series", "sequence", (9, 2), (9, 2))
TEXT = Block("text", "tokens", (4,), (4,), n_tokens=6)
TASKS = {
    "binary": Task("binary", ("y",), (0, 1)),
    "multiclass": Task("multiclass", ("y",), ("a", "b", "c")),
    "regression": Task("regression", ("y", "z")),
}


def signature_of(*blocks: Block, kind: Kind = "binary", n_rest: int = 0, n_rows: int = 300) -> Signature:
    names = [name for block in blocks for name in block.columns]
    columns = [Column(name, "number", may_be_missing=False) for name in names]
    columns += [Column(f"x{i}", "number", may_be_missing=False) for i in range(n_rest)]
    return Signature(Schema(tuple(columns), tuple(blocks)), TASKS[kind], n_rows)


def _config(signature: Signature, **changes: Any) -> dict[str, Any]:
    small = {"filters": 4, "dropout": 0.0, "shift": 0.0}
    return {**convolutional.first_configs(signature)[0], **small, **changes}


def _table(signature: Signature, n_rows: int = 7) -> np.ndarray:
    return np.random.default_rng(0).normal(size=(n_rows, len(signature.schema.numbers))).astype("float32")


@pytest.mark.parametrize("n_rows", [40, 900, 50_000])
@pytest.mark.parametrize("kind", TASKS)
@pytest.mark.parametrize("block", [IMAGE, SERIES], ids=["image", "series"])
def test_first_configs_are_admissible(block: Block, kind: Any, n_rows: int) -> None:
    signature = signature_of(block, kind=kind, n_rows=n_rows)
    space, configs = convolutional.default_space(signature), convolutional.first_configs(signature)
    assert len(configs) == 2 and configs[0] != configs[1]
    for config in configs:
        assert space.contains(config), space.explain(config)
        assert config.get("flip", False) is False
    assert ("flip" in space.parameters) == (block is IMAGE)


@pytest.mark.parametrize("kind", TASKS)
def test_sampled_configurations_build_and_predict(kind: Any) -> None:
    signature = signature_of(IMAGE, SERIES, TEXT, kind=kind, n_rest=3)
    rng, table = np.random.default_rng(1), np.abs(_table(signature))
    for _ in range(3):
        config = {**convolutional.default_space(signature).sample(rng), "filters": 4}
        found = np.asarray(convolutional.build(config, signature)([table]))
        assert found.shape == (7, signature.n_outputs) and np.isfinite(found).all()


def test_every_input_reaches_the_output() -> None:
    signature = signature_of(IMAGE, SERIES, TEXT, n_rest=3)
    model, table = convolutional.build(_config(signature), signature), np.abs(_table(signature))
    before = np.asarray(model([table]))
    for first, last in ((0, 60), (60, 78), (78, 82), (82, 85)):
        changed = table.copy()
        changed[:, first:last] += 2.0
        assert np.abs(np.asarray(model([changed])) - before).max() > 1e-5


def test_what_a_structure_names_is_what_changes_the_network() -> None:
    signature = signature_of(IMAGE)
    config = _config(signature, shift=1.0, dropout=0.2)
    same = {**config, "shift": 0.4, "dropout": 0.1, "learning_rate": 1e-4, "batch_size": 16}
    assert convolutional.structure(config) == convolutional.structure(same)
    assert convolutional.dials(same) == {"dial_dropout": 0.1, "dial_shift": 0.4}
    dials = {v.name for v in convolutional.build(config, signature).non_trainable_variables}
    assert set(convolutional.dials(config)) <= dials
    others = {"filters": 8, "kernel_size": 5, "convolution": "full", "growth": 1, "flip": True,
              "pooling": "flatten", "activation": "silu", "n_blocks": 3, "shift": 0.0}  # fmt: skip
    for name, value in others.items():
        assert convolutional.structure({**config, name: value}) != convolutional.structure(config)


def test_it_is_read_back_from_its_architecture() -> None:
    signature = signature_of(IMAGE, TEXT, n_rest=1)
    model = convolutional.build(_config(signature, dropout=0.3, shift=1.0, flip=True), signature)
    check_architecture(model.to_json())
    again, table = template_of(model.to_json()), np.abs(_table(signature))
    again.set_weights(model.get_weights())
    assert np.array_equal(np.asarray(again([table])), np.asarray(model([table])))


def test_maps_are_halved_until_they_are_small() -> None:
    signature = signature_of(Block("image", "image", (8, 8, 1), (8, 8, 1)))
    model = convolutional.build(_config(signature, n_blocks=3), signature)
    shapes = [model.get_layer(f"block_0_{index}").output.shape[1:] for index in range(3)]
    assert shapes == [(8, 8, 4), (4, 4, 8), (2, 2, 16)]


def test_a_one_channel_stem_is_a_full_convolution() -> None:
    rng = np.random.default_rng(0)
    images = rng.normal(size=(3, 6, 5, 1)).astype("float32")
    product, depth = keras.layers.Dense(4, use_bias=False), convolutional.depthwise((3, 3), (1, 1), "depth")
    found = np.asarray(depth(product(images)))
    full = keras.layers.Conv2D(4, 3, padding="same", use_bias=False)
    full.build(images.shape)
    full.kernel.assign(np.transpose(depth.kernel.numpy(), (0, 1, 3, 2)) * product.kernel.numpy())
    assert np.allclose(found, np.asarray(full(images)), atol=1e-5)


def _plan_for(signature: Signature) -> Plan:
    plan = equality._plan("binary", 1)
    return replace(plan, inputs=(_table(signature, equality.N_ROWS),))


@pytest.mark.parametrize("block", [IMAGE, SERIES], ids=["image", "series"])
def test_stacked_members_equal_fit(block: Block) -> None:
    signature = signature_of(block, n_rest=2)
    config = _config(signature, n_blocks=1)
    worst, way = equality._largest_difference(
        lambda: convolutional.build(config, signature), "sgd", plan=_plan_for(signature)
    )
    assert way == "stacked" and worst < 2e-5


def test_separable_networks_stack_and_full_ones_do_not() -> None:
    signature = signature_of(IMAGE)
    ways = {
        convolution: way_of(
            convolutional.build(_config(signature, convolution=convolution), signature), _plan_for(signature)
        )
        for convolution in ("separable", "full")
    }
    assert ways == {"separable": "stacked", "full": "looped"}
