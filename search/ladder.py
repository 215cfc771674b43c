"""When a new incumbent is announced: only past the Ladder's step (Blum & Hardt 2015)."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from search.metrics import Metric

Array = NDArray[Any]


class Ladder:
    """Announces a trial only if it beats the announced one by more than the noise of their difference.

    With paired losses l of the n rows, a trial is announced when
    ``mean(l_announced - l_new) > sd(l_new - l_announced) / sqrt(n)`` (the parameter-free Ladder). Pairs
    without a score (AUC in a fold of one class) are left out; one pair tells no noise, so any gain is
    announced.
    """

    def __init__(self) -> None:
        self._losses: Array | None = None
        self.n_announced = 0
        self.n_withheld = 0

    def offer(self, losses: Array) -> bool:
        """Whether a trial with these losses ``(n,)`` becomes the announced one."""
        if not np.isfinite(losses).any():
            return False
        if self._losses is not None:
            gain = self._losses - losses
            gain = gain[np.isfinite(gain)]
            if not gain.size or gain.mean() <= 0.0:
                return False
            if gain.size > 1 and gain.mean() <= gain.std(ddof=1) / np.sqrt(gain.size):
                self.n_withheld += 1
                return False
        self._losses = losses
        self.n_announced += 1
        return True


def paired_losses(metric: Metric, y: Array, out_of_fold: Array, fold_scores: tuple[float, ...]) -> Array:
    """Losses of a trial that can be paired with another's: by row (mean over repeats), or else by fold.

    Parameters
    ----------
    out_of_fold : ndarray, shape (n_repeats, n_rows, n_outputs)
        NaN where a row was not held out.
    fold_scores : tuple of float
        Used for metrics that are no mean over rows.
    """
    if not metric.is_mean_of_rows:
        return np.asarray(fold_scores) * (-1.0 if metric.is_higher_better else 1.0)
    sums, counts = np.zeros(len(y)), np.zeros(len(y))
    for predictions in out_of_fold:
        is_held = ~np.isnan(predictions[:, 0])
        sums[is_held] += metric.row_losses(y[is_held], predictions[is_held])
        counts[is_held] += 1
    return sums[counts > 0] / counts[counts > 0]
