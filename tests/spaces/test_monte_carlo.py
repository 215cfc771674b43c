"""Monte-Carlo dropout: known mean and variance, and all but the dropout as in an ordinary prediction."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from spaces.monte_carlo import monte_carlo

X = np.array([[1.0, 2.0, 3.0, 4.0], [0.0, 0.0, 1.0, 0.0], [0.0, 0.0, 0.0, 0.0]], np.float32)
RATE = 0.3


def model_of(*, is_ours: bool, rate: float = RATE, has_norm: bool = False) -> Any:
    import keras

    from spaces.layers import Dropout

    inputs = keras.Input((4,))
    x = keras.layers.BatchNormalization()(inputs) if has_norm else inputs
    x = Dropout(rate)(x) if is_ours else keras.layers.Dropout(rate)(x)
    return keras.Model(inputs, keras.layers.Dense(1, kernel_initializer="ones")(x))


@pytest.mark.parametrize("is_ours", [True, False])
def test_mean_and_variance_are_those_of_inverted_dropout(is_ours: bool) -> None:
    drawn = monte_carlo(model_of(is_ours=is_ours), [np.tile(X, (200, 1))], 10, seed=0)
    assert drawn.shape == (10, 600, 1)
    samples = drawn.reshape(2000, 3, 1)
    variance = (X**2).sum(axis=1) * RATE / (1 - RATE)
    assert samples.mean(axis=0)[:, 0] == pytest.approx(X.sum(axis=1), abs=0.3)
    assert samples.var(axis=0)[:, 0] == pytest.approx(variance, rel=0.15)


def test_a_seed_gives_its_samples_and_the_model_is_left_as_it_was() -> None:
    model = model_of(is_ours=True)
    before = [v.numpy() for v in model.variables]
    one, two, other = (monte_carlo(model, [X], 5, seed) for seed in (1, 1, 2))
    assert np.array_equal(one, two) and not np.array_equal(one, other)
    assert all(np.array_equal(a, v.numpy()) for a, v in zip(before, model.variables, strict=True))
    assert np.asarray(model(X, training=False))[:, 0] == pytest.approx(X.sum(axis=1))


def test_layers_of_one_width_drop_different_units() -> None:
    import keras

    from spaces.layers import Dropout

    inputs = keras.Input((4,))
    outputs = keras.layers.Concatenate()([Dropout(0.5)(inputs), Dropout(0.5)(inputs)])
    samples = monte_carlo(keras.Model(inputs, outputs), [np.ones((50, 4), np.float32)], 2, seed=0)
    assert not np.array_equal(samples[..., :4], samples[..., 4:])


def test_normalisation_stays_as_in_a_prediction() -> None:
    model = model_of(is_ours=True, rate=0.0, has_norm=True)
    expected = np.asarray(model(X, training=False))
    assert monte_carlo(model, [X], 2, seed=0) == pytest.approx(np.stack([expected] * 2))


def test_no_samples_are_refused() -> None:
    with pytest.raises(ValueError, match="at least 1 sample, got 0"):
        monte_carlo(model_of(is_ours=True), [X], 0, seed=0)
