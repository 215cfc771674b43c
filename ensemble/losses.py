"""Losses of a prediction table: any function, or one of two by name that ensembles are computed fast for."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from ensemble.table import Floats, is_one_of_many, is_zero_one, shares

Loss = Callable[[Floats, Floats, Floats | None], float]
"""`loss(y, predictions, row_weights)`, lower is better; all rows count the same without weights."""

ManyLosses = Callable[[Floats, Floats, Floats | None], NDArray[np.float64]]
"""`losses(y, candidates (n_candidates, n_rows, n_outputs), row_weights)` -> `(n_candidates,)`, as `Loss` of
each. A loss function that has one as its attribute `of_many` is asked once for many candidates."""

LossName = Literal["log_loss", "squared_error"]

CLIP = 1e-7  # of probabilities, inside the logarithm; float32 can still tell 1 - 1e-7 from 1


def likelihoods(
    candidates: Floats, y: Floats, shares: Floats
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the probability that each candidate gave to what happened, and the weight of each such event.

    Parameters
    ----------
    candidates : (n_candidates, n_rows, n_outputs)
        Probabilities: of the second class (one output), of classes (one-hot `y`), or of labels.
    y : (n_rows, n_outputs)
        Zeros and ones.
    shares : (n_rows,)
        Row weights, sum 1.

    Returns
    -------
    (n_candidates, n_events), (n_events,)
        Linear in the candidates, so the mix of candidates has the mix of their likelihoods; weights sum to 1.

    Raises
    ------
    ValueError
        When a target is neither 0 nor 1.
    """
    if not is_zero_one(y):
        raise ValueError(f"log_loss needs targets of 0 and 1, got values from {np.min(y)} to {np.max(y)}")
    if is_one_of_many(candidates, y):
        picked = np.take_along_axis(candidates, y.argmax(axis=1)[None, :, None], axis=2)[:, :, 0]
        return picked.astype(np.float64), np.asarray(shares, dtype=np.float64)
    wide = np.asarray(candidates, dtype=np.float64)
    events = np.where(y > 0.5, wide, 1.0 - wide).reshape(len(wide), -1)
    return events, np.repeat(shares / y.shape[1], y.shape[1])


def log_loss(y: Floats, predictions: Floats, row_weights: Floats | None = None) -> float:
    """Return the mean negative log-likelihood in nats; over labels the mean. Clipped at 1e-7."""
    events, weights = likelihoods(np.asarray(predictions)[None], y, shares(row_weights, len(y)))
    return float(-np.log(np.clip(events[0], CLIP, 1.0 - CLIP)) @ weights)


def squared_error(y: Floats, predictions: Floats, row_weights: Floats | None = None) -> float:
    """Return the mean squared error over rows and outputs, in the squared units of the targets."""
    residuals = np.asarray(predictions, dtype=np.float64) - y
    return float(np.mean(residuals**2, axis=1) @ shares(row_weights, len(y)))


def row_losses(y: Floats, predictions: Floats, loss: LossName) -> NDArray[np.float64]:
    """Return the loss of each row by itself, `(n_rows,)`: its weighted mean is the loss of the table."""
    loss_of(loss)
    if loss == "squared_error":
        return np.asarray(np.mean((np.asarray(predictions, dtype=np.float64) - y) ** 2, axis=1))
    events, _ = likelihoods(np.asarray(predictions)[None], y, np.ones(len(y)))
    return np.asarray(-np.log(np.clip(events[0], CLIP, 1.0 - CLIP)).reshape(len(y), -1).mean(axis=1))


_NAMED: dict[str, Loss] = {"log_loss": log_loss, "squared_error": squared_error}


def loss_of(loss: Loss | LossName) -> Loss:
    """Return the function for a loss given by name or as a function; ValueError for another name."""
    if callable(loss):
        return loss
    if loss not in _NAMED:
        raise ValueError(f"loss must be a function or one of {sorted(_NAMED)}, got {loss!r}")
    return _NAMED[loss]


def many_losses_of(loss: Loss | LossName) -> ManyLosses:
    """Return the function for many candidates at once: the loss's own `of_many`, or one after another."""
    function = loss_of(loss)
    own: ManyLosses | None = getattr(function, "of_many", None)

    def one_by_one(y: Floats, candidates: Floats, row_weights: Floats | None) -> NDArray[np.float64]:
        return np.array([function(y, one, row_weights) for one in candidates], dtype=np.float64)

    return own or one_by_one
