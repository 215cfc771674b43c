"""Fresh weights: as Keras draws them, each member from its own seed."""

from __future__ import annotations

import keras
import numpy as np
import pytest

from search.training.initial import fresh_weights

SEEDS = (11, 12, 13, 14)


def _model(initializer: str = "he_normal") -> keras.Model:
    inputs = keras.Input((200,))
    x = keras.layers.Dense(100, kernel_initializer=initializer)(inputs)
    x = keras.layers.LayerNormalization()(keras.layers.BatchNormalization()(x))
    x = keras.layers.Dropout(0.5)(x)
    return keras.Model(inputs, keras.layers.Dense(1)(x))


class _Scaled(keras.layers.Layer):
    """A layer whose initializer cannot be found by Keras' convention."""

    def build(self, input_shape: tuple[int, ...]) -> None:
        start = keras.initializers.RandomNormal(stddev=0.1)
        self.factor = self.add_weight(shape=(input_shape[-1],), initializer=start, name="factor")

    def call(self, inputs: object) -> object:
        return inputs * self.factor


def _scaled() -> keras.Model:
    inputs = keras.Input((50,))
    return keras.Model(inputs, keras.layers.Dense(2)(_Scaled()(inputs)))


def _recurrent() -> keras.Model:
    inputs = keras.Input((5, 3))
    return keras.Model(inputs, keras.layers.GRU(8)(inputs))


@pytest.mark.parametrize("build", [_model, _scaled, _recurrent])
def test_a_member_does_not_depend_on_how_many_there_are(build: object) -> None:
    model = build()  # type: ignore[operator]
    before = [v.numpy().copy() for v in model.variables]
    all_of_them = fresh_weights(model, build, SEEDS)  # type: ignore[arg-type]
    for member, seed in enumerate(SEEDS):
        alone = fresh_weights(model, build, [seed])  # type: ignore[arg-type]
        for together, one, variable in zip(all_of_them, alone, model.variables, strict=True):
            assert together.shape == (len(SEEDS), *variable.shape) and together.dtype == variable.dtype
            assert np.array_equal(together[member], one[0])
    assert all(np.array_equal(a, v.numpy()) for a, v in zip(before, model.variables, strict=True))
    kernel = next(
        w for w, v in zip(all_of_them, model.variables, strict=True) if v.name in ("kernel", "factor")
    )
    assert len({k.tobytes() for k in kernel}) == len(SEEDS)


@pytest.mark.parametrize(
    ("name", "scale"), [("he_normal", 2.0), ("glorot_uniform", 400 / 300), ("lecun_normal", 1.0)]
)
def test_distribution_is_that_of_the_initializer(name: str, scale: float) -> None:
    model = _model(name)
    weights = fresh_weights(model, _model, SEEDS)
    for kernel in weights[0]:
        assert np.isclose(kernel.std(), (scale / 200) ** 0.5, rtol=0.03)
        assert abs(kernel.mean()) < 0.003


def test_constants_are_those_of_keras() -> None:
    model = _model()
    for value, variable in zip(fresh_weights(model, _model, SEEDS), model.variables, strict=True):
        if variable.name in ("bias", "beta", "moving_mean"):
            assert (value == 0).all()
        if variable.name in ("gamma", "moving_variance"):
            assert (value == 1).all()
        if variable.path.endswith("seed_generator_state"):
            assert len({v.tobytes() for v in value}) == len(SEEDS)


def test_seeds_of_members_do_not_depend_on_their_number() -> None:
    few, many = (np.random.SeedSequence([5, 1]).generate_state(n) for n in (3, 15))
    assert np.array_equal(few, many[:3])
