"""Monte-Carlo dropout: predictions with dropout left on, as a sample of what a network might say."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import keras

ROWS_AT_ONCE = 8192


def monte_carlo(
    model: keras.Model, inputs: Sequence[NDArray[Any]], n_samples: int, seed: int
) -> NDArray[np.float32]:
    """Predictions ``(n_samples, n_rows, n_outputs)``, each with other units dropped.

    Gal & Ghahramani (2016), "Dropout as a Bayesian approximation", eq. 6: their mean is the prediction, their
    spread what the network is unsure of, without the noise of the target. All else, batch normalisation too,
    is as in an ordinary prediction. The same seed gives the same samples; a model without dropout gives the
    same prediction each time. The model is left as it was.

    Parameters
    ----------
    inputs : sequence of ndarray
        The model's inputs, each ``(n_rows, ...)``, at least one row.
    n_samples : int
        At least 1.

    Raises
    ------
    ValueError
        If there are fewer samples than one.
    """
    if n_samples < 1:
        raise ValueError(f"Monte-Carlo dropout needs at least 1 sample, got {n_samples}")
    layers = [layer for layer in model._flatten_layers() if "dropout" in type(layer).__name__.lower()]
    with _dropping(layers, seed):
        return np.stack([_predicted(model, inputs) for _ in range(n_samples)])


def _predicted(model: keras.Model, inputs: Sequence[NDArray[Any]]) -> NDArray[np.float32]:
    n_rows = len(inputs[0])
    parts = []
    for first in range(0, n_rows, ROWS_AT_ONCE):
        batch: Any = [values[first : first + ROWS_AT_ONCE] for values in inputs]
        parts.append(np.asarray(model(batch[0] if len(batch) == 1 else batch, training=False), np.float32))
    return np.concatenate(parts)


@contextmanager
def _dropping(layers: Sequence[Any], seed: int) -> Iterator[None]:
    """Let layers drop units whatever they are told, each from a random state of its own."""
    states = [layer.seed_generator.state.numpy() for layer in layers]
    for index, layer in enumerate(layers):
        fresh = np.random.SeedSequence([seed, index]).generate_state(2) >> 2
        layer.seed_generator.state.assign(fresh.astype(layer.seed_generator.state.dtype))
        layer.call = partial(_dropped, layer)
    try:
        yield
    finally:
        for layer, state in zip(layers, states, strict=True):
            del layer.call
            layer.seed_generator.state.assign(state)


def _dropped(layer: Any, inputs: Any, training: bool = False) -> Any:
    """The layer's own call, as if it were in training."""
    return type(layer).call(layer, inputs, training=True)
