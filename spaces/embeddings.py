"""Keras layers that spread columns over several features, each with weights of its own.

They stand behind `spaces.layers.Encode`, whose output has the numbers first, then missing indicators, then
the slots of the categories. Every layer works on one model and on many stacked ones alike.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import pi
from typing import Any

import keras
from keras import ops

SCALE_RATE = 6.0


@keras.saving.register_keras_serializable(package="foldstack")
class PeriodicNumbers(keras.layers.Layer):  # type: ignore[misc]
    """Put periodic embeddings of the numbers behind the input (PBLD; Holzmueller et al. 2024, sec. 3).

    For each number ``x``: ``cos(2 pi sigma w x + b)`` with ``n_frequencies`` trained ``w ~ N(0, 1)`` and
    ``b ~ U(-pi, pi)``, then a linear layer of the number's own to ``n_features``. ``sigma`` is a dial, so
    Adam moves the frequencies ``sigma w`` in proportion to it.

    Parameters
    ----------
    n_numbers : int
        How many of the first input columns are numbers.
    """

    def __init__(
        self,
        n_numbers: int,
        n_frequencies: int = 16,
        n_features: int = 3,
        sigma: float = 0.1,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.n_numbers, self.n_frequencies = n_numbers, n_frequencies
        self.n_features, self.sigma = n_features, sigma
        self.frequency_initializer = keras.initializers.RandomNormal(stddev=1.0)
        self.phase_initializer = keras.initializers.RandomUniform(-pi, pi)
        limit = n_frequencies**-0.5
        self.kernel_initializer = keras.initializers.RandomUniform(-limit, limit)

    def build(self, input_shape: Any) -> None:
        """Create frequencies, phases, the linear layers and the dial."""
        waves = (self.n_numbers, self.n_frequencies)
        self.frequency = self.add_weight(
            shape=waves, initializer=self.frequency_initializer, name="frequency"
        )
        self.phase = self.add_weight(shape=waves, initializer=self.phase_initializer, name="phase")
        self.kernel = self.add_weight(
            shape=(*waves, self.n_features), initializer=self.kernel_initializer, name="kernel"
        )
        self.dial = self.add_weight(
            shape=(),
            initializer=keras.initializers.Constant(self.sigma),
            trainable=False,
            name="dial_sigma",
        )

    def call(self, inputs: Any) -> Any:
        """``(n_rows, n_columns)`` to ``(n_rows, n_columns + n_numbers * n_features)``."""
        numbers = inputs[:, : self.n_numbers]
        angles = (2.0 * pi * self.dial) * numbers[:, :, None] * self.frequency + self.phase
        by_number = ops.transpose(ops.cos(angles), (1, 0, 2))
        features = ops.transpose(ops.matmul(by_number, self.kernel), (1, 0, 2))
        flat = ops.reshape(features, (-1, self.n_numbers * self.n_features))
        return ops.concatenate([inputs, flat], axis=-1)

    def compute_output_shape(self, input_shape: Any) -> Any:
        """``(n_rows, n_columns + n_numbers * n_features)``."""
        return (input_shape[0], input_shape[1] + self.n_numbers * self.n_features)

    def get_config(self) -> dict[str, Any]:
        """Serialisable arguments."""
        names = ("n_numbers", "n_frequencies", "n_features", "sigma")
        return {**super().get_config(), **{name: getattr(self, name) for name in names}}


@keras.saving.register_keras_serializable(package="foldstack")
class EmbeddedCategories(keras.layers.Layer):  # type: ignore[misc]
    """Replace the slots of large categories by embeddings; small ones and all other columns stay as they are.

    Parameters
    ----------
    n_before : int
        Input columns before the first slot.
    n_slots : sequence of int
        Slots of each category, one category after another.
    size : int
        Features of an embedding; a category with at most as many slots is small.
    """

    def __init__(self, n_before: int, n_slots: Sequence[int], size: int = 8, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.n_before, self.n_slots, self.size = n_before, tuple(n_slots), size
        for index in self._large:
            setattr(self, f"kernel_{index}_initializer", keras.initializers.RandomNormal(stddev=size**-0.5))

    @property
    def _large(self) -> list[int]:
        return [index for index, n in enumerate(self.n_slots) if n > self.size]

    def build(self, input_shape: Any) -> None:
        """Create a table for each large category."""
        self.tables = {
            index: self.add_weight(
                shape=(self.n_slots[index], self.size),
                initializer=getattr(self, f"kernel_{index}_initializer"),
                name=f"kernel_{index}",
            )
            for index in self._large
        }

    def call(self, inputs: Any) -> Any:
        """``(n_rows, n_columns)`` to ``(n_rows, fewer columns)``, in the same order."""
        parts, first = [inputs[:, : self.n_before]], self.n_before
        for index, n_slots in enumerate(self.n_slots):
            slots = inputs[:, first : first + n_slots]
            parts.append(ops.matmul(slots, self.tables[index]) if index in self.tables else slots)
            first += n_slots
        return ops.concatenate([*parts, inputs[:, first:]], axis=-1)

    def compute_output_shape(self, input_shape: Any) -> Any:
        """``(n_rows, n_columns)`` with ``size`` for the slots of each large category."""
        saved = sum(self.n_slots[index] - self.size for index in self._large)
        return (input_shape[0], input_shape[1] - saved)

    def get_config(self) -> dict[str, Any]:
        """Serialisable arguments."""
        own = {"n_before": self.n_before, "n_slots": list(self.n_slots), "size": self.size}
        return {**super().get_config(), **own}


@keras.saving.register_keras_serializable(package="foldstack")
class FeatureScale(keras.layers.Layer):  # type: ignore[misc]
    """Multiply each column by a trained number that starts at 1 (Holzmueller et al. 2024, sec. 3).

    The weight is the number divided by 6: under Adam, whose steps have the size of the learning rate, the
    number then learns six times as fast, as the paper does it.
    """

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.scale_initializer = keras.initializers.Constant(1.0 / SCALE_RATE)

    def build(self, input_shape: Any) -> None:
        """Create the numbers."""
        self.scale = self.add_weight(
            shape=(int(input_shape[-1]),), initializer=self.scale_initializer, name="scale"
        )

    def call(self, inputs: Any) -> Any:
        """Scale the columns."""
        return inputs * (SCALE_RATE * self.scale)
