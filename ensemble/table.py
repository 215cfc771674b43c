"""The candidate table: predictions of every candidate for every row, and how much each row counts."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating[Any]]

SUM_TOLERANCE = 1e-2  # predictions may have been stored in half precision


def check_table(candidates: Floats, y: Floats, row_weights: Floats | None = None) -> NDArray[np.float64]:
    """Check the shapes of a candidate table and return the share of each row.

    Parameters
    ----------
    candidates : (n_candidates, n_rows, n_outputs)
        Out-of-fold predictions, finite.
    y : (n_rows, n_outputs)
        Targets, finite.
    row_weights : (n_rows,), optional
        Not negative, finite, not all zero. All rows count the same when absent.

    Returns
    -------
    (n_rows,) float64
        Weights of the rows, sum 1.

    Raises
    ------
    ValueError
        When a shape or a value breaks one of the rules above.
    """
    if np.ndim(candidates) != 3:
        raise ValueError(
            f"candidates must be (n_candidates, n_rows, n_outputs), got shape {np.shape(candidates)}"
        )
    if np.shape(y) != np.shape(candidates)[1:]:
        raise ValueError(
            f"y must have shape {np.shape(candidates)[1:]} as the candidates do, got {np.shape(y)}"
        )
    if 0 in np.shape(candidates):
        raise ValueError(f"candidates must not be empty, got shape {np.shape(candidates)}")
    for name, values in (("candidates", candidates), ("y", y)):
        if not np.isfinite(values).all():
            raise ValueError(
                f"{name} must be finite, got {int((~np.isfinite(values)).sum())} values that are not"
            )
    return shares(row_weights, len(y))


def shares(row_weights: Floats | None, n_rows: int) -> NDArray[np.float64]:
    """Return row weights that sum to 1, `(n_rows,)` float64; ValueError unless they are valid weights."""
    if row_weights is None:
        return np.full(n_rows, 1.0 / n_rows)
    weights = np.asarray(row_weights, dtype=np.float64)
    if weights.shape != (n_rows,):
        raise ValueError(f"row_weights must have shape ({n_rows},), got {weights.shape}")
    if not np.isfinite(weights).all() or weights.min() < 0:
        raise ValueError(
            f"row_weights must be finite and not negative, got {weights.min()} to {weights.max()}"
        )
    total = float(weights.sum())
    if total <= 0:
        raise ValueError("row_weights must not all be zero, got a sum of 0")
    return weights / total


def is_zero_one(y: Floats) -> bool:
    """Tell whether all targets are 0 or 1, as those of a classification are."""
    return bool(np.isin(y, (0.0, 1.0)).all())


def is_one_of_many(candidates: Floats, y: Floats) -> bool:
    """Tell whether the outputs are the classes of one label: one-hot targets and probabilities that sum to 1.

    Predictions are asked too, because the rows of several labels may be one-hot by chance.
    """
    if y.shape[1] == 1 or not is_zero_one(y) or not (y.sum(axis=1) == 1.0).all():
        return False
    totals = np.sum(candidates, axis=2, dtype=np.float64)
    return bool(np.abs(totals - 1.0).max() <= SUM_TOLERANCE)
