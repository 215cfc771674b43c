"""Keras layers that show an image a little differently at every training step."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import ops


@keras.saving.register_keras_serializable(package="foldstack")
class Augmentation(keras.layers.Layer):  # type: ignore[misc]
    """Shift images at random, up to a dial's number of pixels, and mirror half of them; nothing otherwise.

    While training, an image ``(height, width, n_channels)`` moves by two numbers that are uniform within the
    dial; between pixels it is interpolated, beyond its edge the edge goes on. An image of width 1 is a
    sequence: it moves along its steps alone.

    Parameters
    ----------
    shift : float
        Most pixels, at least 0: the dial's value at first.
    has_flip : bool
        Whether left and right are exchanged in half of the rows.

    Attributes
    ----------
    noise : tensor of shape (n_rows, 3) or None
        Uniform numbers in [0, 1) that a trainer of many members draws for all of them at once; None: drawn
        here.
    """

    noise_width = 3

    def __init__(self, shift: float = 0.0, has_flip: bool = False, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.shift, self.has_flip = shift, has_flip
        self.noise: Any = None
        self.seed_generator = keras.random.SeedGenerator(0)

    def build(self, input_shape: Any) -> None:
        """Create the dial."""
        self.dial = self.add_weight(
            shape=(), initializer=keras.initializers.Constant(self.shift), trainable=False, name="dial_shift"
        )

    def call(self, inputs: Any, training: bool = False) -> Any:
        """Move while training."""
        if not training:
            return inputs
        noise = self.noise
        if noise is None:
            n_rows = ops.shape(inputs)[0]
            noise = keras.random.uniform((n_rows, self.noise_width), seed=self.seed_generator)
        _, height, width, n_channels = inputs.shape
        rows = ops.reshape(inputs, (-1, height, width * n_channels))
        moved = ops.matmul(self._moves(noise[:, 0], height), rows)
        if width == 1:
            return ops.reshape(moved, (-1, height, width, n_channels))
        columns = self._moves(noise[:, 1], width)
        if self.has_flip:
            is_mirrored = noise[:, 2, None, None] < 0.5
            columns = ops.where(is_mirrored, ops.matmul(_mirror(width), columns), columns)
        moved = ops.reshape(moved, (-1, height, width, n_channels))
        return ops.matmul(columns[:, None], moved)

    def _moves(self, noise: Any, size: int) -> Any:
        """Matrices ``(n_rows, size, size)`` that move a vector; the identity where the dial is at 0."""
        places = np.arange(size, dtype="float32")
        distance = self.dial * (2.0 * noise - 1.0)
        source = ops.clip(places[None, :] + distance[:, None], 0.0, size - 1.0)
        return ops.relu(1.0 - ops.abs(source[:, :, None] - places[None, None, :]))

    def compute_output_shape(self, input_shape: Any) -> Any:
        """That of the input."""
        return input_shape

    def get_config(self) -> dict[str, Any]:
        """Serialisable arguments."""
        return {**super().get_config(), "shift": self.shift, "has_flip": self.has_flip}


def _mirror(size: int) -> np.ndarray:
    return np.eye(size, dtype="float32")[::-1].copy()
