"""Augmentation: nothing at prediction, whole-pixel moves as by hand, mirrors, its dial, its noise."""

from __future__ import annotations

import keras
import numpy as np
import pytest

from spaces.augmentation import Augmentation

IMAGES = np.random.default_rng(0).normal(size=(4, 5, 6, 2)).astype("float32")


def _shown(layer: Augmentation, noise: list[float], images: np.ndarray = IMAGES) -> np.ndarray:
    if not layer.built:
        layer.build(images.shape)
    layer.noise = np.tile(np.float32(noise), (len(images), 1))
    return np.asarray(layer(images, training=True))


def test_nothing_changes_at_prediction_or_with_the_dial_at_zero() -> None:
    strong = Augmentation(3.0, has_flip=True)
    assert np.array_equal(np.asarray(strong(IMAGES, training=False)), IMAGES)
    assert np.array_equal(_shown(Augmentation(0.0), [0.1, 0.9, 0.9]), IMAGES)


@pytest.mark.parametrize(("rows", "columns"), [(1, 0), (0, -2), (2, 1), (-2, 2)])
def test_whole_pixels_are_moved_and_edges_go_on(rows: int, columns: int) -> None:
    found = _shown(Augmentation(2.0), [(rows / 2 + 1) / 2, (columns / 2 + 1) / 2, 0.9])
    at = [np.clip(np.arange(n) + by, 0, n - 1) for n, by in ((5, rows), (6, columns))]
    assert np.allclose(found, IMAGES[:, at[0]][:, :, at[1]], atol=1e-6)


def test_between_pixels_it_is_interpolated() -> None:
    found = _shown(Augmentation(1.0), [0.5, 0.625, 0.9])  # a quarter to the right
    expected = 0.75 * IMAGES[:, :, :-1] + 0.25 * IMAGES[:, :, 1:]
    assert np.allclose(found[:, :, :-1], expected, atol=1e-6)
    assert np.allclose(found[:, :, -1], IMAGES[:, :, -1], atol=1e-6)


def test_left_and_right_are_exchanged_in_half_of_the_rows() -> None:
    layer = Augmentation(0.0, has_flip=True)
    assert np.array_equal(_shown(layer, [0.5, 0.5, 0.49]), IMAGES[:, :, ::-1])
    assert np.array_equal(_shown(layer, [0.5, 0.5, 0.51]), IMAGES)


def test_a_sequence_moves_along_its_steps() -> None:
    steps = IMAGES[:, :, :1]
    found = _shown(Augmentation(1.0, has_flip=True), [1.0, 0.0, 0.0], steps)
    assert np.allclose(found[:, :-1], steps[:, 1:], atol=1e-6)


def test_the_dial_acts_on_a_built_layer_and_rows_move_apart() -> None:
    layer = Augmentation(0.0)
    layer.build(IMAGES.shape)
    layer.dial.assign(2.0)
    same = np.repeat(IMAGES[:1], 64, axis=0)
    found = np.asarray(layer(same, training=True))
    moved = np.abs(found - same).max(axis=(1, 2, 3))
    assert (moved > 1e-3).mean() > 0.9 and len(np.unique(moved.round(5))) > 40
    assert {v.name for v in layer.non_trainable_variables} >= {"dial_shift"}


def test_it_is_read_back_from_its_config() -> None:
    layer = Augmentation(1.5, has_flip=True, name="augmentation_0")
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(layer))
    assert (again.shift, again.has_flip, again.noise_width) == (1.5, True, 3)
