"""Keras layers for sequences of unequal length: recurrences that the engine can stack, pooling, tokens.

Padding is given beside the values, as ``present (n_rows, n_steps)``, 1 where there is a step and 0 where not.
"""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import ops

UNITS = ("gru", "lstm")
POOLINGS = ("last", "mean", "max")
MOST_STEPS = 512  # of a recurrence, which is written out step by step
ABSENT = -1e9  # below all values that a maximum is taken of


@keras.saving.register_keras_serializable(package="foldstack")
class Present(keras.layers.Layer):  # type: ignore[misc]
    """Which steps there are: those that are not all zeros, ``(n_rows, n_steps, n)`` to ``(n_rows, n_steps)``.

    Token ids ``(n_rows, n_steps)`` are there where they are not 0. A row without any step has its last one.
    """

    def call(self, inputs: Any) -> Any:
        """Look for what is not zero."""
        values = inputs if len(inputs.shape) == 3 else inputs[:, :, None]
        found = ops.cast(ops.any(ops.not_equal(values, 0.0), axis=-1), "float32")
        last = np.zeros(int(inputs.shape[1]), "float32")
        last[-1] = 1.0
        is_empty = ops.equal(ops.sum(found, axis=1, keepdims=True), 0.0)
        return ops.where(is_empty, last[None, :], found)

    def compute_output_shape(self, input_shape: Any) -> Any:
        """``(n_rows, n_steps)``."""
        return tuple(input_shape[:2])


@keras.saving.register_keras_serializable(package="foldstack")
class Tokens(keras.layers.Embedding):  # type: ignore[misc]
    """Embed ids that come as float32 ``(n_rows, n_steps)``; those beyond the table count as padding."""

    def call(self, inputs: Any) -> Any:
        """Look the vectors up ``(n_rows, n_steps, output_dim)``."""
        ids = ops.cast(inputs, "int32")
        is_known = ops.logical_and(ids >= 0, ids < self.input_dim)
        return super().call(ops.where(is_known, ids, ops.zeros_like(ids)))


@keras.saving.register_keras_serializable(package="foldstack")
class Recurrence(keras.layers.Layer):  # type: ignore[misc]
    """GRU or LSTM over ``(n_rows, n_steps, n)``, given ``present (n_rows, n_steps)`` besides.

    The GRU is that of Cho et al. 2014 with the reset gate behind the product, the LSTM that of Hochreiter and
    Schmidhuber 1997 with forget gates: Keras' ``GRU(reset_after=True)`` and ``LSTM`` with a mask. The inputs
    of all steps are multiplied at once and the steps are written out one by one, so that ``vectorized_map``
    meets nothing but matrix products.

    Parameters
    ----------
    units : int
    unit : str
        One of `UNITS`.
    is_reversed : bool
        From the last step to the first; the output is in the order of the input all the same.
    """

    def __init__(self, units: int, unit: str = "gru", is_reversed: bool = False, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if unit not in UNITS:
            raise ValueError(f"a recurrent unit is one of {', '.join(UNITS)}, not {unit!r}")
        self.units, self.unit, self.is_reversed = units, unit, is_reversed
        self.kernel_initializer = keras.initializers.GlorotUniform()
        self.recurrent_kernel_initializer = keras.initializers.Orthogonal()
        self.bias_initializer = _ForgetsLittle(units) if unit == "lstm" else keras.initializers.Zeros()

    def build(self, input_shape: Any) -> None:
        """Create the kernels of all gates: update, reset, candidate; or input, forget, candidate, output."""
        n_steps = input_shape[0][1]
        if n_steps is None or n_steps > MOST_STEPS:
            raise ValueError(
                f"a recurrence has at most {MOST_STEPS} steps, and as many in every row, not {n_steps}"
            )
        n_inputs, width = int(input_shape[0][-1]), self.units * (3 if self.unit == "gru" else 4)
        bias = (2, width) if self.unit == "gru" else (width,)
        for name, shape in (
            ("kernel", (n_inputs, width)),
            ("recurrent_kernel", (self.units, width)),
            ("bias", bias),
        ):
            initializer = getattr(self, f"{name}_initializer")
            setattr(self, name, self.add_weight(shape=shape, initializer=initializer, name=name))

    def call(self, inputs: Any) -> Any:
        """States after every step ``(n_rows, n_steps, units)``; a step that is not there changes nothing."""
        x, present = inputs
        n_steps, n_inputs = int(x.shape[1]), int(x.shape[2])
        flat = ops.reshape(ops.transpose(x, (1, 0, 2)), (-1, n_inputs))
        bias = self.bias[0] if self.unit == "gru" else self.bias
        projected = ops.matmul(flat, self.kernel) + bias
        projected = ops.reshape(projected, (n_steps, -1, projected.shape[-1]))
        is_there = ops.unstack(ops.transpose(present)[:, :, None])
        run = self._gru if self.unit == "gru" else self._lstm
        return ops.transpose(ops.stack(run(projected, is_there)), (1, 0, 2))

    def _order(self, n_steps: int) -> list[int]:
        return list(range(n_steps))[:: -1 if self.is_reversed else 1]

    def _gru(self, projected: Any, is_there: list[Any]) -> list[Any]:
        gates, candidates = ops.split(projected, [2 * self.units], axis=-1)
        gates, candidates = ops.unstack(gates), ops.unstack(candidates)
        state = ops.zeros_like(candidates[0])
        states: list[Any] = [None] * len(gates)
        for step in self._order(len(gates)):
            own = ops.matmul(state, self.recurrent_kernel) + self.bias[1]
            own_gates, own_candidate = ops.split(own, [2 * self.units], axis=-1)
            update, reset = ops.split(ops.sigmoid(gates[step] + own_gates), 2, axis=-1)
            candidate = ops.tanh(candidates[step] + reset * own_candidate)
            share = is_there[step] * (1.0 - update)
            states[step] = state = state + share * (candidate - state)
        return states

    def _lstm(self, projected: Any, is_there: list[Any]) -> list[Any]:
        steps = ops.unstack(projected)
        state = memory = ops.zeros_like(steps[0][:, : self.units])
        states: list[Any] = [None] * len(steps)
        for step in self._order(len(steps)):
            parts = steps[step] + ops.matmul(state, self.recurrent_kernel)
            taken, kept, candidate, shown = ops.split(parts, 4, axis=-1)
            new = ops.sigmoid(kept) * memory + ops.sigmoid(taken) * ops.tanh(candidate)
            memory = memory + is_there[step] * (new - memory)
            states[step] = state = state + is_there[step] * (ops.sigmoid(shown) * ops.tanh(new) - state)
        return states

    def compute_output_shape(self, input_shape: Any) -> Any:
        """``(n_rows, n_steps, units)``."""
        return (*input_shape[0][:2], self.units)

    def get_config(self) -> dict[str, Any]:
        """Serialisable arguments."""
        own = {"units": self.units, "unit": self.unit, "is_reversed": self.is_reversed}
        return {**super().get_config(), **own}


class _ForgetsLittle(keras.initializers.Initializer):  # type: ignore[misc]
    """Zeros, but ones for the forget gate (Jozefowicz et al. 2015)."""

    def __init__(self, units: int) -> None:
        self.units = units

    def __call__(self, shape: Any, dtype: Any = None) -> Any:
        """``(4 * units,)``: input, forget, candidate, output."""
        values = np.zeros(shape, "float32")
        values[self.units : 2 * self.units] = 1.0
        return ops.convert_to_tensor(values, dtype=dtype or "float32")

    def get_config(self) -> dict[str, Any]:
        """Serialisable arguments."""
        return {"units": self.units}


@keras.saving.register_keras_serializable(package="foldstack")
class StepPooling(keras.layers.Layer):  # type: ignore[misc]
    """From steps ``(n_rows, n_steps, n)`` and ``present`` to one vector ``(n_rows, n)``.

    Parameters
    ----------
    pooling : str
        One of `POOLINGS`; last: the state after the last step, which is the first one of a reversed sequence.
    is_reversed : bool
        Whether the steps come from a reversed recurrence.
    """

    def __init__(self, pooling: str = "mean", is_reversed: bool = False, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if pooling not in POOLINGS:
            raise ValueError(f"a pooling is one of {', '.join(POOLINGS)}, not {pooling!r}")
        self.pooling, self.is_reversed = pooling, is_reversed

    def call(self, inputs: Any) -> Any:
        """Pool over the steps that are there."""
        x, present = inputs
        if self.pooling == "last":
            return x[:, 0] if self.is_reversed else x[:, -1]
        weights = present[:, :, None]
        if self.pooling == "max":
            return ops.max(ops.where(weights > 0.0, x, ABSENT), axis=1)
        return ops.sum(x * weights, axis=1) / ops.sum(weights, axis=1)

    def compute_output_shape(self, input_shape: Any) -> Any:
        """``(n_rows, n)``."""
        return (input_shape[0][0], input_shape[0][-1])

    def get_config(self) -> dict[str, Any]:
        """Serialisable arguments."""
        return {**super().get_config(), "pooling": self.pooling, "is_reversed": self.is_reversed}
