"""Keras layers whose numbers can be set without building the model anew.

A *dial* is a hyperparameter that is a number (a dropout rate, a penalty) and lives in a non-trainable weight
named ``dial_<name>``, so that one compiled program serves every value of it. What a member learned about the
columns lives in non-trainable weights too, so that a saved member carries its own preprocessing.
"""

from __future__ import annotations

from math import prod
from typing import Any

import keras
from keras import ops

import spaces.adapters
import spaces.embeddings  # noqa: F401  (registered with these, so that a saved model finds them)
from spaces.encoding import N_BINS, SCALINGS, Layout, encode


def _constant(value: float) -> Any:
    return keras.initializers.Constant(value)


@keras.saving.register_keras_serializable(package="foldstack")
class Encode(keras.layers.Layer):  # type: ignore[misc]
    """Encode raw numbers and category codes with the member's own statistics.

    Inputs are a list of ``numbers (n_rows, n_numbers)`` and ``codes (n_rows, n_categories)``, without the one
    that the table has none of; the output is ``(n_rows, n_features)``.

    Parameters
    ----------
    layout : Layout or dict
        Where each column stands in the output.
    scaling : str
        One of `spaces.encoding.SCALINGS`.
    has_bins : bool
        Whether the piecewise-linear encoding of the numbers stands behind everything else.
    """

    def __init__(
        self,
        layout: Layout | dict[str, Any],
        scaling: str = "standard",
        has_bins: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(autocast=False, **kwargs)
        if scaling not in SCALINGS:
            raise ValueError(f"a scaling is one of {', '.join(SCALINGS)}, not {scaling!r}")
        self.layout = layout if isinstance(layout, Layout) else Layout(**_tuples(layout))
        self.scaling, self.has_bins = scaling, has_bins

    def build(self, input_shape: Any) -> None:
        """Create the weights that hold a member's statistics: those that the encoding needs."""
        n_numbers = self.layout.n_numbers
        is_robust = self.scaling == "robust"
        self.statistics = {
            name: self.add_weight(
                shape=shape, initializer=initializer, dtype=dtype, trainable=False, name=name
            )
            for name, shape, initializer, dtype, is_needed in (
                ("fill", (n_numbers,), "zeros", "float32", True),
                ("center", (n_numbers,), "zeros", "float32", not is_robust),
                ("scale", (n_numbers,), "ones", "float32", not is_robust),
                ("slot_of_code", (sum(self.layout.n_codes),), "zeros", "int32", True),
                ("robust_scale", (n_numbers,), "ones", "float32", is_robust),
                ("edges", (n_numbers, N_BINS + 1), "zeros", "float32", self.has_bins),
            )
            if shape[0] and is_needed
        }

    def call(self, inputs: Any) -> Any:
        """Encode a batch."""
        inputs = list(inputs) if isinstance(inputs, list | tuple) else [inputs]
        numbers = inputs[0] if self.layout.n_numbers else None
        codes = inputs[-1] if self.layout.n_slots else None
        values = {"fill": None, "slot_of_code": None, **self.statistics}
        return encode(
            ops, self.layout, numbers, codes, **values, scaling=self.scaling, has_bins=self.has_bins
        )

    def compute_output_shape(self, input_shape: Any) -> Any:
        """``(n_rows, n_features)``, with the bins behind."""
        first = input_shape[0] if isinstance(input_shape[0], list | tuple) else input_shape
        n_bins = self.layout.n_numbers * N_BINS * self.has_bins
        return (first[0], self.layout.n_features + n_bins)

    def get_config(self) -> dict[str, Any]:
        """Serialisable arguments."""
        layout = {
            name: getattr(self.layout, name) for name in ("n_numbers", "indicators", "n_codes", "n_slots")
        }
        return {
            **super().get_config(),
            "layout": layout,
            "scaling": self.scaling,
            "has_bins": self.has_bins,
        }


def _tuples(layout: dict[str, Any]) -> dict[str, Any]:
    return {name: tuple(value) if isinstance(value, list) else value for name, value in layout.items()}


@keras.saving.register_keras_serializable(package="foldstack")
class Part(keras.layers.Layer):  # type: ignore[misc]
    """Some neighbouring features of each row, as an array of a shape.

    Parameters
    ----------
    first : int
        The first of them.
    shape : tuple of int
        Theirs; the output is ``(n_rows, *shape)``.
    """

    def __init__(self, first: int, shape: tuple[int, ...], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.first, self.shape = first, tuple(shape)

    def call(self, inputs: Any) -> Any:
        """Cut and reshape."""
        cut = inputs[:, self.first : self.first + prod(self.shape)]
        return ops.reshape(cut, (-1, *self.shape))

    def compute_output_shape(self, input_shape: Any) -> Any:
        """``(n_rows, *shape)``."""
        return (input_shape[0], *self.shape)

    def get_config(self) -> dict[str, Any]:
        """Serialisable arguments."""
        return {**super().get_config(), "first": self.first, "shape": list(self.shape)}


@keras.saving.register_keras_serializable(package="foldstack")
class Dropout(keras.layers.Layer):  # type: ignore[misc]
    """Inverted dropout (Srivastava et al. 2014) with its rate on a dial.

    Attributes
    ----------
    noise : tensor of shape (n_rows, noise_width) or None
        Uniform numbers in [0, 1) that a trainer of many members draws for all of them at once; None: drawn
        here.
    """

    def __init__(self, rate: float = 0.0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.rate = rate
        self.noise: Any = None
        self.seed_generator = keras.random.SeedGenerator(0)

    def build(self, input_shape: Any) -> None:
        """Create the dial."""
        self.noise_width = prod(int(size) for size in input_shape[1:])
        self.dial = self.add_weight(
            shape=(), initializer=_constant(self.rate), trainable=False, name="dial_dropout"
        )

    def call(self, inputs: Any, training: bool = False) -> Any:
        """Drop units while training."""
        if not training:
            return inputs
        noise = self.noise
        if noise is None:
            noise = keras.random.uniform(ops.shape(inputs), seed=self.seed_generator)
        elif len(inputs.shape) > 2:
            noise = ops.reshape(noise, (-1, *inputs.shape[1:]))
        kept = inputs / (1.0 - self.dial)
        return ops.where(noise < self.dial, ops.zeros_like(inputs), kept)

    def get_config(self) -> dict[str, Any]:
        """Serialisable arguments."""
        return {**super().get_config(), "rate": self.rate}


@keras.saving.register_keras_serializable(package="foldstack")
class PenalizedDense(keras.layers.Dense):  # type: ignore[misc]
    """Dense layer whose kernel pays ``l1 * sum|w| + l2 * sum w^2``, both strengths on dials."""

    def __init__(self, units: int, l1: float = 0.0, l2: float = 0.0, **kwargs: Any) -> None:
        super().__init__(units, **kwargs)
        self.l1, self.l2 = l1, l2

    def build(self, input_shape: Any) -> None:
        """Create kernel, bias and the two dials."""
        self.dial_l1 = self.add_weight(
            shape=(), initializer=_constant(self.l1), trainable=False, name="dial_l1"
        )
        self.dial_l2 = self.add_weight(
            shape=(), initializer=_constant(self.l2), trainable=False, name="dial_l2"
        )
        super().build(input_shape)

    def call(self, inputs: Any, training: bool = False) -> Any:
        """Multiply, add the bias, activate; the penalty joins the training loss."""
        if training:
            penalty = self.dial_l1 * ops.sum(ops.abs(self.kernel)) + self.dial_l2 * ops.sum(
                ops.square(self.kernel)
            )
            self.add_loss(penalty)
        return super().call(inputs)

    def get_config(self) -> dict[str, Any]:
        """Serialisable arguments."""
        return {**super().get_config(), "l1": self.l1, "l2": self.l2}


@keras.saving.register_keras_serializable(package="foldstack")
class Limit(keras.layers.Layer):  # type: ignore[misc]
    """Hold predictions within the range of the targets that the member was trained on.

    While training, and until the range is set, everything passes.
    """

    def build(self, input_shape: Any) -> None:
        """Create the weights that hold the range."""
        shape = (int(input_shape[-1]),)
        self.low = self.add_weight(shape=shape, initializer=_constant(-1e30), trainable=False, name="low")
        self.high = self.add_weight(shape=shape, initializer=_constant(1e30), trainable=False, name="high")

    def call(self, inputs: Any, training: bool = False) -> Any:
        """Clip what is predicted, not what is trained."""
        return inputs if training else ops.clip(inputs, self.low, self.high)
