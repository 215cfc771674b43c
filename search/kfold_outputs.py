"""Outputs and targets of a user's model, in the engine's terms and back."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from search.kfold_inputs import FoldError
from spaces.compiled import Compiled
from spaces.mlp import ACTIVATION_OF_TASK

Array = NDArray[Any]
SMALLEST = 1e-7  # a probability that is turned back into a logit is at least this


def probabilities(outputs: Array, compiled: Compiled | None) -> NDArray[np.float32]:
    """Outputs as predictions: with the sigmoid or softmax that a loss of logits applies."""
    if compiled is None or not compiled.is_logits:
        return np.asarray(outputs, np.float32)
    squash = keras.ops.sigmoid if compiled.loss.startswith("Binary") else keras.ops.softmax
    return np.asarray(squash(outputs), np.float32)


def as_outputs(predictions: Array, compiled: Compiled) -> NDArray[np.float32]:
    """The inverse of `probabilities`; logits of a softmax up to a constant, which no loss sees."""
    if not compiled.is_logits:
        return np.asarray(predictions, np.float32)
    p = np.clip(predictions.astype(np.float64), SMALLEST, 1.0 - SMALLEST)
    logits = np.log(p) - np.log1p(-p) if compiled.loss.startswith("Binary") else np.log(p)
    return np.asarray(logits, np.float32)


def targets(y: Array, n_outputs: int, *, is_sparse: bool) -> NDArray[np.float64]:
    """Targets as the engine takes them, ``(n_rows, n_outputs)``."""
    if not is_sparse:
        table = y.reshape(len(y), -1).astype(np.float64)
        if table.shape[1] != n_outputs:
            raise FoldError(f"y must have {n_outputs} columns for this model, got {table.shape[1]}")
        return table
    codes = y.reshape(-1).astype(np.int64)
    if codes.min() < 0 or codes.max() >= n_outputs:
        raise FoldError(f"classes must lie in 0..{n_outputs - 1}, got {codes.min()}..{codes.max()}")
    return np.eye(n_outputs)[codes]


def head_of(compiled: Compiled, kind: str) -> Callable[[Any], Any] | None:
    """The activation that a loss of logits applies; None where the outputs have theirs."""
    return keras.layers.Activation(ACTIVATION_OF_TASK[kind]) if compiled.is_logits else None
