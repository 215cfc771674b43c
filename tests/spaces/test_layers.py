"""Layers with dials behave as Keras' own, whatever the dial says."""

from __future__ import annotations

import json
from typing import Any

import keras
import numpy as np
import pandas as pd
import pytest

from search.preprocess import learn
from spaces.encoding import Layout, encode
from spaces.layers import Dropout, Encode, Limit, PenalizedDense
from spaces.schema import Schema

FRAMES = {
    "numbers": pd.DataFrame({"x": [1.0, 2.0, np.nan, 4.0], "z": [3.0, 1.0, 2.0, 5.0]}),
    "categories": pd.DataFrame({"c": ["a", "a", "b", "b"]}),
    "both": pd.DataFrame({"x": [1.0, 2.0, np.nan, 4.0], "c": ["a", "a", "b", "b"]}),
}


WAYS: dict[str, dict[str, Any]] = {
    "standard": {},
    "robust": {"scaling": "robust"},
    "bins": {"has_bins": True},
}
NEEDED = {
    "standard": {"fill", "center", "scale", "slot_of_code"},
    "robust": {"fill", "robust_scale", "slot_of_code"},
    "bins": {"fill", "center", "scale", "slot_of_code", "edges"},
}


def _encoder(layout: Layout, **way: Any) -> keras.Model:
    numbers = keras.Input((layout.n_numbers,), name="numbers") if layout.n_numbers else None
    codes = keras.Input((len(layout.n_slots),), name="codes", dtype="int32") if layout.n_slots else None
    inputs = [one for one in (numbers, codes) if one is not None]
    return keras.Model(inputs, Encode(layout, **way, name="encode")(inputs))


@pytest.mark.parametrize("way", list(WAYS))
@pytest.mark.parametrize("name", list(FRAMES))
def test_encode_survives_json_and_carries_the_statistics(name: str, way: str) -> None:
    schema = Schema.infer(FRAMES[name])
    layout, table = Layout.of(schema), schema.read(FRAMES[name])
    model = keras.models.model_from_json(_encoder(layout, **WAYS[way]).to_json())
    assert model.get_layer("encode").layout == layout
    arrays = learn(table, schema, np.arange(4)).arrays()
    assert [v.name for v in model.weights] == [n for n, a in arrays.items() if a.size and n in NEEDED[way]]
    for variable in model.weights:
        variable.assign(arrays[variable.name])
    inputs = [a for a in (table.numbers, table.codes) if a.shape[1]]
    expected = encode(np, layout, table.numbers, table.codes, **arrays, **WAYS[way])
    assert np.allclose(model(inputs), expected, atol=1e-6)
    assert model.output_shape == (None, expected.shape[1])
    assert not model.trainable_variables


def test_encode_reads_what_was_saved_before_it_had_choices() -> None:
    layout = Layout.of(Schema.infer(FRAMES["both"]))
    text = json.loads(_encoder(layout).to_json())
    config = next(one for one in text["config"]["layers"] if one["class_name"] == "Encode")["config"]
    assert config.pop("scaling") == "standard" and config.pop("has_bins") is False
    model = keras.models.model_from_json(json.dumps(text))
    assert [v.name for v in model.weights] == ["fill", "center", "scale", "slot_of_code"]


def test_encode_refuses_a_scaling_that_there_is_not() -> None:
    with pytest.raises(ValueError, match="standard, robust, not 'minmax'"):
        Encode(Layout.of(Schema.infer(FRAMES["both"])), "minmax")


def test_limit_clips_predictions_alone_and_survives_json() -> None:
    inputs = keras.Input((2,))
    model = keras.models.model_from_json(keras.Model(inputs, Limit(name="limit")(inputs)).to_json())
    assert [v.path.split("/")[-1] for v in model.non_trainable_variables] == ["low", "high"]
    x = np.float32([[-9.0, 1e20], [0.5, 3.0]])
    assert np.array_equal(model(x), x)
    for variable, value in zip(model.weights, ([-1.0, 0.0], [1.0, 2.0]), strict=True):
        variable.assign(value)
    assert np.array_equal(model(x, training=False), [[-1.0, 2.0], [0.5, 2.0]])
    assert np.array_equal(model(x, training=True), x)


def test_dropout_keeps_the_mean_and_its_rate() -> None:
    layer = Dropout(0.0)
    x = np.ones((2000, 50), np.float32)
    layer.build(x.shape)
    for rate in (0.0, 0.3, 0.5):
        layer.dial.assign(rate)
        y = np.asarray(layer(x, training=True))
        assert np.isclose((y == 0).mean(), rate, atol=0.01)
        assert np.isclose(y.mean(), 1.0, atol=0.02)
        assert np.allclose(y[y > 0], 1.0 / (1.0 - rate))
        assert np.array_equal(layer(x, training=False), x)
    assert not np.array_equal(layer(x, training=True), layer(x, training=True))


def test_dropout_takes_noise_from_outside() -> None:
    layer = Dropout(0.4)
    x = np.arange(1.0, 7.0, dtype=np.float32).reshape(2, 3)
    layer.build(x.shape)
    layer.noise = keras.ops.convert_to_tensor(np.float32([[0.0, 0.39, 0.41], [0.9, 0.1, 0.999]]))
    y = np.asarray(layer(x, training=True))
    assert np.allclose(y, x / 0.6 * [[0, 0, 1], [1, 0, 1]])
    assert layer.noise_width == 3


def test_dropout_takes_the_noise_of_members_in_one_row() -> None:
    layer = Dropout(0.5)
    x = np.arange(1.0, 9.0, dtype=np.float32).reshape(2, 2, 2)
    layer.build(x.shape)
    assert layer.noise_width == 4
    layer.noise = keras.ops.convert_to_tensor(np.float32([[0.9, 0.1, 0.1, 0.9], [0.1, 0.9, 0.9, 0.9]]))
    expected = [[[2, 0], [0, 8]], [[0, 12], [14, 16]]]
    assert np.array_equal(layer(x, training=True), expected)


@pytest.mark.parametrize(("l1", "l2"), [(0.0, 0.0), (0.01, 0.0), (0.0, 0.02), (0.01, 0.02)])
def test_penalty_and_gradient_are_those_of_keras(l1: float, l2: float) -> None:
    import tensorflow as tf

    x = np.random.default_rng(0).normal(size=(6, 4)).astype(np.float32)
    theirs = keras.layers.Dense(3, activation="silu", kernel_regularizer=keras.regularizers.L1L2(l1, l2))
    ours = PenalizedDense(3, activation="silu")
    for layer in (theirs, ours):
        layer.build(x.shape)
    ours.kernel.assign(theirs.kernel)
    ours.dial_l1.assign(l1)
    ours.dial_l2.assign(l2)
    losses, gradients = [], []
    for layer in (theirs, ours):
        with tf.GradientTape() as tape:
            output = layer(x, training=True) if layer is ours else layer(x)
            loss = tf.reduce_sum(output**2) + sum(layer.losses)
        losses.append(float(loss))
        gradients.append(tape.gradient(loss, layer.kernel.value).numpy())
    assert np.isclose(*losses, rtol=1e-6) and np.allclose(*gradients, rtol=1e-5)
    assert np.allclose(theirs(x), ours(x))


def test_dials_are_weights_that_are_not_trained_and_survive_json() -> None:
    inputs = keras.Input((4,))
    dense = PenalizedDense(3, l1=0.1, l2=0.2, name="d")
    model = keras.Model(inputs, Dropout(0.3, name="n")(dense(inputs)))
    again = keras.models.model_from_json(model.to_json())
    dials = {v.name: float(v.numpy()) for v in again.non_trainable_variables if v.name.startswith("dial_")}
    assert dials == pytest.approx({"dial_l1": 0.1, "dial_l2": 0.2, "dial_dropout": 0.3})
    assert [v.name for v in again.trainable_variables] == ["kernel", "bias"]
