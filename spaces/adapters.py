"""Keras layers of an ensemble inside one network: members share weights, each has adapters of its own.

TabM (Gorishniy et al. 2025), after BatchEnsemble (Wen et al. 2020): activations are ``(n_rows, k, n_units)``.
"""

from __future__ import annotations

from typing import Any

import keras
from keras import ops


class RandomSigns(keras.initializers.Initializer):  # type: ignore[misc]
    """Minus or plus one, equally likely."""

    def __init__(self, seed: int | None = None) -> None:
        self.seed = seed

    def __call__(self, shape: Any, dtype: Any = None) -> Any:
        """The signs."""
        drawn = keras.random.uniform(shape, minval=-1.0, maxval=1.0, dtype=dtype or "float32", seed=self.seed)
        return ops.where(drawn < 0, -ops.ones_like(drawn), ops.ones_like(drawn))

    def get_config(self) -> dict[str, Any]:
        """Serialisable arguments."""
        return {"seed": self.seed}


@keras.saving.register_keras_serializable(package="foldstack")
class Spread(keras.layers.Layer):  # type: ignore[misc]
    """Give each of ``k`` members the input, with signs of its own: ``(n_rows, n)`` to ``(n_rows, k, n)``.

    Trained, elementwise, starting at random signs: the first adapter of TabM, the only one of TabM-mini.
    """

    def __init__(self, k: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.k = k
        self.scale_initializer = RandomSigns()

    def build(self, input_shape: Any) -> None:
        """Create the adapters."""
        self.scale = self.add_weight(
            shape=(self.k, int(input_shape[-1])), initializer=self.scale_initializer, name="scale"
        )

    def call(self, inputs: Any) -> Any:
        """Copy and scale."""
        return inputs[:, None, :] * self.scale

    def compute_output_shape(self, input_shape: Any) -> Any:
        """``(n_rows, k, n)``."""
        return (input_shape[0], self.k, input_shape[-1])

    def get_config(self) -> dict[str, Any]:
        """Serialisable arguments."""
        return {**super().get_config(), "k": self.k}


@keras.saving.register_keras_serializable(package="foldstack")
class SharedDense(keras.layers.Layer):  # type: ignore[misc]
    """One dense layer for all members: ``((x * r) W) * s + b``, with ``r, s, b`` of each member's own.

    Parameters
    ----------
    units : int
    is_adapted : bool
        Whether members have ``r, s, b`` of their own (they start at ones, ones, zeros); else ``x W + b``.
    stddev : float
        Of the kernel at the start.
    """

    def __init__(self, units: int, is_adapted: bool = True, stddev: float = 0.1, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.units, self.is_adapted, self.stddev = units, is_adapted, stddev
        self.kernel_initializer = keras.initializers.RandomNormal(stddev=stddev)
        self.before_initializer = self.after_initializer = keras.initializers.Ones()
        self.bias_initializer = keras.initializers.Zeros()

    def build(self, input_shape: Any) -> None:
        """Create the shared kernel and the adapters."""
        k, n_inputs = int(input_shape[1]), int(input_shape[2])
        self.kernel = self.add_weight(
            shape=(n_inputs, self.units), initializer=self.kernel_initializer, name="kernel"
        )
        bias = (k, self.units) if self.is_adapted else (self.units,)
        self.bias = self.add_weight(shape=bias, initializer=self.bias_initializer, name="bias")
        if self.is_adapted:
            self.before = self.add_weight(
                shape=(k, n_inputs), initializer=self.before_initializer, name="before"
            )
            self.after = self.add_weight(
                shape=(k, self.units), initializer=self.after_initializer, name="after"
            )

    def call(self, inputs: Any) -> Any:
        """``(n_rows, k, n_inputs)`` to ``(n_rows, k, units)``; one matrix product for all members."""
        k, n_inputs = inputs.shape[1], inputs.shape[2]
        x = inputs * self.before if self.is_adapted else inputs
        product = ops.matmul(ops.reshape(x, (-1, n_inputs)), self.kernel)
        y = ops.reshape(product, (-1, k, self.units))
        return (y * self.after if self.is_adapted else y) + self.bias

    def compute_output_shape(self, input_shape: Any) -> Any:
        """``(n_rows, k, units)``."""
        return (*input_shape[:-1], self.units)

    def get_config(self) -> dict[str, Any]:
        """Serialisable arguments."""
        own = {"units": self.units, "is_adapted": self.is_adapted, "stddev": self.stddev}
        return {**super().get_config(), **own}


@keras.saving.register_keras_serializable(package="foldstack")
class Heads(keras.layers.Layer):  # type: ignore[misc]
    """A linear output layer of each member's own: ``(n_rows, k, n)`` to ``(n_rows, k, n_outputs)``."""

    def __init__(self, n_outputs: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.n_outputs = n_outputs
        self.bias_initializer = keras.initializers.Zeros()

    def build(self, input_shape: Any) -> None:
        """Create the members' kernels and biases."""
        k, n_inputs = int(input_shape[1]), int(input_shape[2])
        self.kernel_initializer = keras.initializers.RandomNormal(stddev=n_inputs**-0.5)
        self.kernel = self.add_weight(
            shape=(k, n_inputs, self.n_outputs), initializer=self.kernel_initializer, name="kernel"
        )
        self.bias = self.add_weight(shape=(k, self.n_outputs), initializer=self.bias_initializer, name="bias")

    def call(self, inputs: Any) -> Any:
        """Multiply member by member."""
        product = ops.matmul(ops.transpose(inputs, (1, 0, 2)), self.kernel)
        return ops.transpose(product, (1, 0, 2)) + self.bias

    def compute_output_shape(self, input_shape: Any) -> Any:
        """``(n_rows, k, n_outputs)``."""
        return (*input_shape[:-1], self.n_outputs)

    def get_config(self) -> dict[str, Any]:
        """Serialisable arguments."""
        return {**super().get_config(), "n_outputs": self.n_outputs}


@keras.saving.register_keras_serializable(package="foldstack")
class MeanOfMembers(keras.layers.Layer):  # type: ignore[misc]
    """The members' mean prediction; while training, their own ones, so that each has a loss of its own."""

    def call(self, inputs: Any, training: bool = False) -> Any:
        """``(n_rows, k, n_outputs)`` to ``(n_rows, n_outputs)``, unless training."""
        return inputs if training else ops.mean(inputs, axis=1)

    def compute_output_shape(self, input_shape: Any) -> Any:
        """``(n_rows, n_outputs)``: what is predicted."""
        return (input_shape[0], input_shape[-1])
