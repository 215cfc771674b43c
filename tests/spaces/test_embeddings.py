"""Embeddings of columns: each layer is its formula, and survives being saved."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest

from spaces.embeddings import EmbeddedCategories, FeatureScale, PeriodicNumbers

RNG = np.random.default_rng(0)
X = RNG.normal(size=(5, 6)).astype("float32")


def _again(layer: Any, n_columns: int = 6) -> keras.Model:
    """A model of the layer, saved and read."""
    inputs = keras.Input((n_columns,))
    model = keras.models.model_from_json(keras.Model(inputs, layer(inputs)).to_json())
    for variable in model.trainable_variables:
        variable.assign(RNG.normal(size=variable.shape))
    return model


def _weights(model: keras.Model) -> dict[str, np.ndarray]:
    return {variable.name: variable.numpy() for variable in model.weights}


@pytest.mark.parametrize("sigma", [0.1, 0.7])
def test_periodic_numbers_are_cosines_through_a_linear_layer(sigma: float) -> None:
    model = _again(PeriodicNumbers(2, n_frequencies=5, n_features=3, sigma=sigma))
    w = _weights(model)
    assert w["dial_sigma"] == np.float32(sigma) and len(model.trainable_variables) == 3
    parts = []
    for j in range(2):
        waves = np.cos(2 * np.pi * sigma * X[:, [j]] * w["frequency"][j] + w["phase"][j])
        parts.append(waves @ w["kernel"][j])
    assert model.output_shape == (None, 12)
    assert np.allclose(model(X), np.hstack([X, *parts]), atol=1e-5)


def test_periodic_numbers_start_with_the_spread_of_the_paper() -> None:
    layer = PeriodicNumbers(60, n_frequencies=16)
    layer.build((None, 60))
    assert np.isclose(np.std(layer.frequency), 1.0, atol=0.1)
    assert np.abs(layer.phase).max() <= np.pi + 1e-6 and np.abs(layer.phase).max() > 3.0
    assert np.abs(layer.kernel).max() <= 0.25 and np.abs(layer.kernel).max() > 0.24


def test_an_embedding_is_one_hot_times_a_matrix_and_small_categories_stay() -> None:
    x = np.float32(np.hstack([X[:, :2], np.eye(4)[[0, 1, 2, 3, 1]], np.eye(16)[[3, 15, 0, 3, 9]], X[:, 2:3]]))
    model = _again(EmbeddedCategories(2, (4, 16), size=8), x.shape[1])
    table = _weights(model)["kernel_1"]
    assert table.shape == (16, 8) and len(model.weights) == 1
    expected = np.hstack([x[:, :6], table[[3, 15, 0, 3, 9]], x[:, -1:]])
    assert model.output_shape == (None, expected.shape[1])
    assert np.allclose(model(x), expected, atol=1e-6)


def test_feature_scale_starts_at_one_and_learns_six_times_as_fast() -> None:
    layer = FeatureScale()
    layer.build((None, 6))
    assert np.allclose(layer(X), X)
    before = np.asarray(layer(np.ones((1, 6), "float32")))
    optimizer = keras.optimizers.Adam(0.01)
    optimizer.build(layer.trainable_variables)
    optimizer.apply([keras.ops.ones(6)], layer.trainable_variables)
    after = np.asarray(layer(np.ones((1, 6), "float32")))
    assert np.allclose(before - after, 0.06, atol=1e-5)
    model = _again(FeatureScale())
    assert np.allclose(model(X), 6 * X * _weights(model)["scale"], atol=1e-5)
