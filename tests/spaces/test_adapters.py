"""An ensemble inside one network: each layer is its formula, member by member."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest

from spaces.adapters import Heads, MeanOfMembers, RandomSigns, SharedDense, Spread

RNG = np.random.default_rng(0)
K, N = 3, 4
X = RNG.normal(size=(5, K, N)).astype("float32")


def _again(layer: Any, shape: tuple[int, ...] = (K, N)) -> keras.Model:
    """A model of the layer, saved and read, with other weights."""
    inputs = keras.Input(shape)
    model = keras.models.model_from_json(keras.Model(inputs, layer(inputs)).to_json())
    for variable in model.trainable_variables:
        variable.assign(RNG.normal(size=variable.shape))
    return model


def _weights(model: keras.Model) -> dict[str, np.ndarray]:
    return {variable.name: variable.numpy() for variable in model.weights}


def test_signs_are_signs_and_depend_on_the_seed() -> None:
    signs = np.asarray(RandomSigns(3)((40, 50)))
    assert set(np.unique(signs)) == {-1.0, 1.0} and abs(signs.mean()) < 0.1
    assert np.array_equal(signs, RandomSigns.from_config(RandomSigns(3).get_config())((40, 50)))
    assert not np.array_equal(signs, RandomSigns(4)((40, 50)))


def test_spread_gives_each_member_signs_of_its_own() -> None:
    layer = Spread(K)
    x = X[:, 0]
    start = np.asarray(layer(x))
    assert start.shape == (5, K, N) and np.allclose(np.abs(start), np.abs(x)[:, None])
    model = _again(Spread(K), (N,))
    assert np.allclose(model(x), x[:, None] * _weights(model)["scale"])


@pytest.mark.parametrize("is_adapted", [True, False])
def test_shared_dense_is_one_matrix_between_adapters(is_adapted: bool) -> None:
    model = _again(SharedDense(6, is_adapted, 0.2))
    w = _weights(model)
    assert model.output_shape == (None, K, 6)
    for member, y in enumerate(np.moveaxis(np.asarray(model(X)), 1, 0)):
        if is_adapted:
            expected = ((X[:, member] * w["before"][member]) @ w["kernel"]) * w["after"][member]
            expected += w["bias"][member]
        else:
            expected = X[:, member] @ w["kernel"] + w["bias"]
        assert np.allclose(y, expected, atol=1e-5)


def test_members_start_alike_but_for_the_first_adapter() -> None:
    layer = SharedDense(6, True, 0.2)
    same = np.repeat(X[:, :1], K, axis=1)
    y = np.asarray(layer(same))
    assert np.allclose(y, y[:, :1])
    wide = SharedDense(200, stddev=0.3)
    wide.build((None, K, 100))
    assert np.isclose(np.std(wide.kernel), 0.3, rtol=0.03)


def test_heads_are_linear_layers_of_the_members() -> None:
    model = _again(Heads(2))
    w = _weights(model)
    for member, y in enumerate(np.moveaxis(np.asarray(model(X)), 1, 0)):
        assert np.allclose(y, X[:, member] @ w["kernel"][member] + w["bias"][member], atol=1e-5)


def test_the_mean_is_taken_of_predictions_and_not_while_training() -> None:
    model = _again(MeanOfMembers())
    assert model.output_shape == (None, N)
    assert np.allclose(model(X, training=False), X.mean(axis=1), atol=1e-6)
    assert np.array_equal(model(X, training=True), X)
