"""All members of a candidate evaluated; those of a network in one batched pass."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from ensemble.architecture import is_fitted, template_of
from ensemble.fitted import FittedProgram

CHUNK_ROWS = 4096


def program_of(architecture: str) -> Program | FittedProgram:
    """What evaluates the members of an architecture."""
    return FittedProgram(architecture) if is_fitted(architecture) else Program(architecture)


@final
class Program:
    """One architecture, compiled to evaluate many members on the same rows.

    Weights are inputs of the program, so candidates of equal architecture share it.

    Parameters
    ----------
    architecture : str
        JSON of a Keras model whose inputs are named like the arrays it is given.
    """

    def __init__(self, architecture: str) -> None:
        self._model = template_of(architecture)
        self._is_batched = True
        self._compiled: dict[int | None, Any] = {}
        place = {id(variable): i for i, variable in enumerate(self._model.weights)}
        self._trainable = [place[id(v)] for v in self._model.trainable_variables]
        # state that is no weight (seeds of dropout) keeps the template's value: nothing random runs here
        self._other = [place.get(id(v), v) for v in self._model.non_trainable_variables]

    def check(self, weights: Sequence[NDArray[Any]]) -> None:
        """Raise ValueError where stacked weights do not have the shapes of the model's."""
        expected = [tuple(variable.shape) for variable in self._model.weights]
        shapes = [array.shape[1:] for array in weights]
        if shapes != expected:
            raise ValueError(f"weights must be {expected}, got {shapes}")

    @property
    def is_batched(self) -> bool:
        """Whether members run in one pass: so until a layer turned out not to allow it."""
        return self._is_batched

    def __call__(
        self, weights: Sequence[NDArray[Any]], inputs: Mapping[str, NDArray[Any]]
    ) -> NDArray[np.float64]:
        """Evaluate members on rows.

        Parameters
        ----------
        weights : sequence of (n_members, ...)
            In the order of the model's weights.
        inputs : mapping of name to (n_rows, n_columns)
            One array for each input of the model, at least one row.

        Returns
        -------
        (n_members, n_rows, n_outputs) float64
        """
        import tensorflow as tf

        missing = [tensor.name for tensor in self._model.inputs if tensor.name not in inputs]
        if missing:
            raise ValueError(f"the model needs inputs {missing}, got {sorted(inputs)}")
        stacked = [tf.constant(a, v.dtype) for a, v in zip(weights, self._model.weights, strict=True)]
        n_rows = len(next(iter(inputs.values())))
        chunks = []
        for start in range(0, n_rows, CHUNK_ROWS):
            chunk = {i.name: inputs[i.name][start : start + CHUNK_ROWS] for i in self._model.inputs}
            chunks.append(self._chunk(stacked, {k: tf.constant(v) for k, v in chunk.items()}))
        return np.concatenate(chunks, axis=1)

    def samples(
        self, weights: Sequence[NDArray[Any]], inputs: Mapping[str, NDArray[Any]], n_samples: int, seed: int
    ) -> NDArray[np.float64]:
        """Evaluate members with their dropout on `(n_samples, n_members, n_rows, n_outputs)`."""
        from spaces.monte_carlo import monte_carlo

        given = [inputs[tensor.name] for tensor in self._model.inputs]
        found = []
        for member in range(len(weights[0])):
            for variable, values in zip(self._model.weights, weights, strict=True):
                variable.assign(values[member])
            found.append(monte_carlo(self._model, given, n_samples, seed + member))
        return np.stack(found, axis=1)

    def _chunk(self, stacked: list[Any], inputs: dict[str, Any]) -> NDArray[np.float64]:
        n_members = int(stacked[0].shape[0])
        if self._is_batched:
            try:
                return np.asarray(self._function(n_members)(stacked, inputs), dtype=np.float64)
            except Exception:  # whatever a layer does that cannot be batched: its members are run one by one
                self._is_batched = False
        one_by_one = [self._function(None)([a[m] for a in stacked], inputs) for m in range(n_members)]
        return np.stack([np.asarray(one, dtype=np.float64) for one in one_by_one])

    def _function(self, n_members: int | None) -> Any:
        """Return the program of stacked weights (None: of one member's), traced once for any rows."""
        if n_members not in self._compiled:
            import tensorflow as tf

            def all_members(stacked: list[Any], inputs: dict[str, Any]) -> Any:
                return tf.vectorized_map(lambda weights: self._outputs(weights, inputs), stacked)

            lead = () if n_members is None else (n_members,)
            weights = [tf.TensorSpec(lead + tuple(v.shape), v.dtype) for v in self._model.weights]
            inputs = {i.name: tf.TensorSpec((None, *i.shape[1:]), i.dtype) for i in self._model.inputs}
            call = self._outputs if n_members is None else all_members
            program = tf.function(call, autograph=False)
            self._compiled[n_members] = program.get_concrete_function(weights, inputs)
        return self._compiled[n_members]

    def _outputs(self, weights: list[Any], inputs: dict[str, Any]) -> Any:
        import keras

        trainable = [weights[i] for i in self._trainable]
        other = [weights[i] if isinstance(i, int) else i.value for i in self._other]
        given = keras.tree.map_structure(lambda tensor: inputs[tensor.name], self._model.input)
        return self._model.stateless_call(trainable, other, given, training=False)[0]
