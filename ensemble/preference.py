"""Which of several ways to prefer when their scores differ by no more than luck."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

ONE_ERROR = 1.0


def prefer(
    losses: NDArray[np.float64],
    shares: NDArray[np.float64],
    units: NDArray[np.int64],
    *,
    n_errors: float = ONE_ERROR,
) -> int:
    """Return the first way that is not worse than the best one by more than a paired standard error.

    Rows of one unit rise and fall together: the standard error is that of a weighted mean of independent
    units, `sum_u (sum_{i in u} s_i (d_i - d))^2 * n / (n - 1)`, squared, with `d_i` the differences of losses
    and `s_i` the shares. So a weight counts as copies in the same unit.

    Parameters
    ----------
    losses : (n_ways, n_rows)
        The preferred way first.
    shares : (n_rows,)
        Weights of the rows, sum 1.
    units : (n_rows,)
        Rows of one number belong together.
    n_errors : float
        Standard errors that are forgiven, not negative.
    """
    means = losses @ shares
    best = int(means.argmin())
    for way in range(best):
        if means[way] - means[best] <= n_errors * paired_error(losses[way] - losses[best], shares, units):
            return way
    return best


def paired_error(
    differences: NDArray[np.float64], shares: NDArray[np.float64], units: NDArray[np.int64]
) -> float:
    """Return the standard error of the weighted mean of differences `(n_rows,)`; infinite for one unit."""
    sums = np.bincount(units, weights=shares * (differences - shares @ differences))
    n_units = np.count_nonzero(np.bincount(units, weights=shares))
    if n_units < 2:
        return float("inf")
    return float(np.sqrt(np.sum(sums**2) * n_units / (n_units - 1)))
