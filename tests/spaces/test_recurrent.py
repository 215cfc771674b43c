"""The recurrent family: its layers beside Keras' own, padding, its space, its training in the engine."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import keras
import numpy as np
import pytest

from ensemble.architecture import check_architecture, template_of
from spaces import recurrent
from spaces.blocks import Block
from spaces.recurrence import Present, Recurrence, StepPooling, Tokens
from tests.search.training import test_equality as equality
from tests.spaces.test_convolutional import IMAGE, SERIES, TASKS, TEXT, signature_of

RNG = np.random.default_rng(0)
STEPS = RNG.normal(size=(5, 7, 3)).astype("float32")
LENGTHS = np.array([7, 1, 4, 6, 2])
PRESENT = (np.arange(7) < LENGTHS[:, None]).astype("float32")


def _with_random_weights(layer: Any) -> Any:
    for variable in layer.trainable_variables:
        variable.assign(np.random.default_rng(variable.shape[-1]).normal(size=variable.shape) * 0.5)
    return layer


@pytest.mark.parametrize("is_reversed", [False, True])
@pytest.mark.parametrize("unit", ["gru", "lstm"])
def test_a_recurrence_is_that_of_keras_with_a_mask(unit: str, is_reversed: bool) -> None:
    ours = Recurrence(4, unit, is_reversed)
    ours.build([STEPS.shape, PRESENT.shape])
    _with_random_weights(ours)
    kind = keras.layers.GRU if unit == "gru" else keras.layers.LSTM
    theirs = kind(4, return_sequences=True, go_backwards=is_reversed)
    theirs.build(STEPS.shape)
    theirs.set_weights([v.numpy() for v in (ours.kernel, ours.recurrent_kernel, ours.bias)])
    found, expected = np.asarray(ours([STEPS, PRESENT])), np.asarray(theirs(STEPS, mask=PRESENT > 0))
    expected = expected[:, ::-1] if is_reversed else expected
    for row, length in enumerate(LENGTHS):
        assert np.allclose(found[row, :length], expected[row, :length], atol=1e-5)
    last = StepPooling("last", is_reversed)([found, PRESENT])
    state = kind(4, go_backwards=is_reversed)
    state.build(STEPS.shape)
    state.set_weights(theirs.get_weights())
    assert np.allclose(np.asarray(last), np.asarray(state(STEPS, mask=PRESENT > 0)), atol=1e-5)


@pytest.mark.parametrize("unit", ["gru", "lstm"])
def test_it_starts_as_keras_does(unit: str) -> None:
    ours, theirs = Recurrence(4, unit), (keras.layers.GRU if unit == "gru" else keras.layers.LSTM)(4)
    ours.build([STEPS.shape, PRESENT.shape])
    theirs.build(STEPS.shape)
    assert [tuple(v.shape) for v in ours.trainable_variables] == [v.shape for v in theirs.get_weights()]
    assert np.array_equal(ours.bias.numpy(), theirs.get_weights()[2])
    square = ours.recurrent_kernel.numpy()
    assert np.allclose(square @ square.T, np.eye(4), atol=1e-5)


def test_unknown_units_and_poolings_are_refused() -> None:
    with pytest.raises(ValueError, match="gru, lstm, not 'rnn'"):
        Recurrence(4, "rnn")
    with pytest.raises(ValueError, match="last, mean, max, not 'sum'"):
        StepPooling("sum")


def test_too_many_steps_are_refused() -> None:
    with pytest.raises(ValueError, match="at most 512 steps, and as many in every row, not 513"):
        Recurrence(4).build([(None, 513, 3), (None, 513)])


def test_it_is_read_back_from_its_architecture() -> None:
    signature = signature_of(SERIES, TEXT, n_rest=1)
    model = recurrent.build(_config(unit="lstm", dropout=0.3, pooling="last"), signature)
    check_architecture(model.to_json())
    again = template_of(model.to_json())
    again.set_weights(model.get_weights())
    x = np.abs(RNG.normal(size=(3, 23))).astype("float32")
    assert np.array_equal(np.asarray(again([x])), np.asarray(model([x])))


@pytest.mark.parametrize("pooling", ["mean", "max"])
def test_pooling_is_over_the_steps_that_are_there(pooling: str) -> None:
    found = np.asarray(StepPooling(pooling)([STEPS, PRESENT]))
    for row, length in enumerate(LENGTHS):
        assert np.allclose(found[row], getattr(STEPS[row, :length], pooling)(axis=0), atol=1e-6)


def test_steps_of_zeros_and_tokens_of_zero_are_padding() -> None:
    steps = STEPS * PRESENT[:, :, None]
    assert np.array_equal(np.asarray(Present()(steps)), PRESENT)
    assert np.array_equal(np.asarray(Present()(np.float32([[3, 1, 0], [0, 0, 0]]))), [[1, 1, 0], [0, 0, 1]])


def test_unknown_tokens_are_padding() -> None:
    layer = Tokens(4, 2)
    layer.build((None, 3))
    found = np.asarray(layer(np.float32([[0, 3, 9]])))
    table = layer.embeddings.numpy()
    assert np.array_equal(found[0], [table[0], table[3], table[0]])


def _config(**changes: Any) -> dict[str, Any]:
    signature = signature_of(SERIES, TEXT)
    return {**recurrent.first_configs(signature)[0], "width": 5, "dropout": 0.0, "embedding": 3, **changes}


@pytest.mark.parametrize("pooling", ["last", "mean", "max"])
@pytest.mark.parametrize("unit", ["gru", "lstm"])
def test_padding_behind_does_not_change_a_prediction(unit: str, pooling: str) -> None:
    short, long = (signature_of(Block("s", "sequence", (n, 2), (n, 2))) for n in (4, 7))
    config = _config(unit=unit, pooling=pooling, n_layers=2)
    models = [recurrent.build(config, signature) for signature in (short, long)]
    for at, (one, other) in enumerate(
        zip(models[0].trainable_variables, models[1].trainable_variables, strict=True)
    ):
        other.assign(_values(one, at))
        one.assign(_values(one, at))
    x = RNG.normal(size=(3, 8)).astype("float32")
    padded = np.concatenate([x, np.zeros((3, 6), np.float32)], axis=1)
    assert np.allclose(np.asarray(models[0]([x])), np.asarray(models[1]([padded])), atol=1e-5)


def _values(variable: Any, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=variable.shape).astype("float32") * 0.5


@pytest.mark.parametrize("n_rows", [40, 900, 50_000])
@pytest.mark.parametrize("kind", TASKS)
@pytest.mark.parametrize("block", [SERIES, TEXT], ids=["series", "text"])
def test_first_configs_are_admissible(block: Block, kind: Any, n_rows: int) -> None:
    signature = signature_of(block, kind=kind, n_rows=n_rows)
    space, configs = recurrent.default_space(signature), recurrent.first_configs(signature)
    assert len(configs) == 2 and configs[0] != configs[1]
    for config in configs:
        assert space.contains(config), space.explain(config)
    assert ("embedding" in space.parameters) == (block is TEXT)


@pytest.mark.parametrize("kind", TASKS)
def test_sampled_configurations_build_and_predict(kind: Any) -> None:
    signature = signature_of(SERIES, TEXT, IMAGE, kind=kind, n_rest=3)
    table = np.abs(RNG.normal(size=(7, 85))).astype("float32")
    rng = np.random.default_rng(1)
    for _ in range(3):
        config = {**recurrent.default_space(signature).sample(rng), "width": 4}
        found = np.asarray(recurrent.build(config, signature)([table]))
        assert found.shape == (7, signature.n_outputs) and np.isfinite(found).all()


def test_what_a_structure_names_is_what_changes_the_network() -> None:
    config = _config(dropout=0.2)
    same = {**config, "dropout": 0.1, "learning_rate": 1e-4, "clip_norm": 5.0}
    assert recurrent.structure(config) == recurrent.structure(same)
    assert recurrent.dials(same) == {"dial_dropout": 0.1}
    for name, value in {"unit": "lstm", "width": 6, "n_layers": 2, "is_bidirectional": False, "embedding": 4,
                        "pooling": "max", "dropout": 0.0}.items():  # fmt: skip
        assert recurrent.structure({**config, name: value}) != recurrent.structure(config)


SHORT = Block("short", "sequence", (4, 2), (4, 2))


@pytest.mark.parametrize(("unit", "block"), [("gru", SHORT), ("lstm", SHORT), ("gru", TEXT)])
def test_stacked_members_equal_fit(unit: str, block: Block) -> None:
    signature = signature_of(block, n_rest=1)
    config = _config(unit=unit, is_bidirectional=block is TEXT)
    table = np.random.default_rng(2).normal(size=(equality.N_ROWS, block.size + 1)).astype("float32")
    if block is TEXT:
        table[:, :4] = np.random.default_rng(3).integers(0, 6, (equality.N_ROWS, 4))
    else:
        table[::3, 4:8] = 0.0  # shorter sequences
    plan = replace(equality._plan("binary", 1), inputs=(table,))
    worst, way = equality._largest_difference(lambda: recurrent.build(config, signature), "sgd", plan=plan)
    assert way == "stacked" and worst < 1e-5
