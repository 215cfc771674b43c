"""Convex weights on out-of-fold predictions: the exact optimum on the simplex.

With weights that sum to 1, a sum of squares is `|B w|^2`, so the optimum is the point of least norm in the
convex hull of the columns of B. A non-negative least-squares fit of `(B; s 1') x = (0; s)` finds it up to its
length, for any s > 0: the best length along a direction is known, and its error falls with the norm.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import nnls

from ensemble.losses import CLIP, LossName, likelihoods
from ensemble.table import Floats, check_table

GAP = 1e-10  # nats: the log loss of the weights is at most this far above the optimum
MAX_STEPS = 200
NEGLIGIBLE = 1e-9  # weights below this are rounding and become 0


def weigh(
    candidates: Floats, y: Floats, *, loss: LossName, row_weights: Floats | None = None
) -> NDArray[np.float64]:
    """Return the convex weights whose mix of candidates has the lowest loss.

    Where the optimum is not unique (equal candidates) one of the optima is returned, always the same.

    Parameters
    ----------
    candidates : (n_candidates, n_rows, n_outputs)
        Out-of-fold predictions, finite; for the log loss, probabilities (clipped at 1e-7).
    y : (n_rows, n_outputs)
        Targets; zeros and ones for the log loss.
    loss : {"log_loss", "squared_error"}
    row_weights : (n_rows,), optional
        An integer weight counts as that many copies of the row.

    Returns
    -------
    (n_candidates,) float64
        Not negative, sum 1.

    Raises
    ------
    ValueError
        When an argument breaks a rule above.
    """
    shares = check_table(candidates, y, row_weights)
    if loss == "squared_error":
        residuals = np.asarray(candidates, dtype=np.float64) - y
        columns = (residuals * np.sqrt(shares)[:, None]).reshape(len(residuals), -1).T
        return _tidy(_least_norm(np.asarray(np.linalg.qr(columns, mode="r"))))
    if loss == "log_loss":
        events, weights = likelihoods(candidates, y, shares)
        return _tidy(_most_likely(np.clip(events, CLIP, 1.0 - CLIP).T, weights))
    raise ValueError(f"loss must be 'log_loss' or 'squared_error', got {loss!r}")


def _tidy(weights: NDArray[np.float64]) -> NDArray[np.float64]:
    kept = np.where(weights < NEGLIGIBLE, 0.0, weights)
    return np.asarray(kept / kept.sum(), dtype=np.float64)


def _least_norm(columns: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the convex weights of columns `(n, n_candidates)` whose mix is shortest."""
    n_candidates = columns.shape[1]
    size = float(np.linalg.norm(columns, axis=0).max())
    if size == 0.0:
        return np.asarray(np.eye(n_candidates)[0], dtype=np.float64)
    system = np.vstack([columns / size, np.ones(n_candidates)])
    target = np.zeros(len(system))
    target[-1] = 1.0
    found, _ = nnls(system, target, maxiter=max(100, 30 * n_candidates))
    return np.asarray(found / found.sum(), dtype=np.float64)


def _most_likely(events: NDArray[np.float64], shares: NDArray[np.float64]) -> NDArray[np.float64]:
    """Maximise `shares @ log(events @ w)` by Newton steps, each solved exactly on the simplex.

    Kim, Carbonetto, Stephens, Anitescu 2020, "A fast algorithm for maximum likelihood estimation of mixture
    proportions": with A the events over the present mix, the quadratic model is `|A w - 2|^2 / 2` in shares.
    """
    n_candidates = events.shape[1]
    weights = np.full(n_candidates, 1.0 / n_candidates)
    for _ in range(MAX_STEPS):
        ratios = events / (events @ weights)[:, None]
        pull = shares @ ratios  # minus the gradient; weights @ pull = 1
        if pull.max() - 1.0 <= GAP:  # the duality gap
            break
        columns = (ratios - 2.0) * np.sqrt(shares)[:, None]
        values, vectors = np.linalg.eigh(columns.T @ columns)
        newton = _least_norm((vectors * np.sqrt(np.maximum(values, 0.0))).T)
        weights = _line_search(events, shares, weights, newton, pull)
    return weights


def _line_search(
    events: NDArray[np.float64],
    shares: NDArray[np.float64],
    weights: NDArray[np.float64],
    newton: NDArray[np.float64],
    pull: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Halve the Newton step until the likelihood rises enough; else take an EM step, which never falls."""
    before, slope = shares @ np.log(events @ weights), pull @ (newton - weights)
    step = 1.0
    while slope > 0.0 and step > 1e-4:
        tried: NDArray[np.float64] = weights + step * (newton - weights)
        mix = events @ tried
        if mix.min() > 0.0 and shares @ np.log(mix) >= before + 1e-4 * step * slope:
            return tried
        step /= 2
    return weights * pull / (weights @ pull)
