"""How different candidates err, and which of them are nearly the same."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ensemble.losses import Loss, LossName, many_losses_of
from ensemble.table import Floats, check_table, is_one_of_many


@dataclass(frozen=True)
class Collapsed:
    """Which candidate stands for each.

    Attributes
    ----------
    representative : (n_candidates,) int64
        Index of the candidate that stands for this one; its own where it stays.
    """

    representative: NDArray[np.int64]

    @property
    def keep(self) -> NDArray[np.bool_]:
        """Candidates that stay, `(n_candidates,)` bool."""
        return np.asarray(self.representative == np.arange(len(self.representative)))


def residual_correlation(
    candidates: Floats, y: Floats, row_weights: Floats | None = None
) -> NDArray[np.float64]:
    """Return the correlation of the candidates' residuals, pooled over outputs.

    Residuals are centred for each output and divided by the standard deviation of its targets, so units do
    not matter. Candidates whose residuals do not vary correlate 1 with equal residuals and 0 with others.

    Parameters
    ----------
    candidates : (n_candidates, n_rows, n_outputs)
    y : (n_rows, n_outputs)
    row_weights : (n_rows,), optional

    Returns
    -------
    (n_candidates, n_candidates) float64
        Symmetric, from -1 to 1, ones on the diagonal.
    """
    shares = check_table(candidates, y, row_weights)
    spread = np.sqrt(shares @ (y - shares @ y) ** 2)
    residuals = (np.asarray(candidates, dtype=np.float64) - y) / np.where(spread > 0, spread, 1.0)
    centred = residuals - np.einsum("cro,r->co", residuals, shares)[:, None, :]
    flat = (centred * np.sqrt(shares)[:, None]).reshape(len(centred), -1)
    norms = np.linalg.norm(flat, axis=1)
    # centring leaves rounding behind: what is small against the values is zero
    is_flat = norms <= 1e-9 * np.sqrt(1.0 + (residuals**2).mean(axis=2) @ shares)
    flat = np.where(is_flat[:, None], 0.0, flat / np.where(is_flat, 1.0, norms)[:, None])
    correlation = np.clip(flat @ flat.T, -1.0, 1.0)
    for i in np.flatnonzero(is_flat):
        is_close = np.isclose(residuals, residuals[i]).all(axis=2) | (shares == 0)
        equal = is_flat & is_close.all(axis=1)
        correlation[i, equal] = correlation[equal, i] = 1.0
    np.fill_diagonal(correlation, 1.0)
    return np.asarray(correlation, dtype=np.float64)


def disagreement(candidates: Floats, y: Floats, row_weights: Floats | None = None) -> NDArray[np.float64]:
    """Return the share of rows on which two candidates decide otherwise; over several labels, the mean share.

    Classification only: the most probable class, or, for one output or several labels, above one half.

    Parameters
    ----------
    candidates : (n_candidates, n_rows, n_outputs)
    y : (n_rows, n_outputs)
        Tells classes from labels.
    row_weights : (n_rows,), optional

    Returns
    -------
    (n_candidates, n_candidates) float64
        Symmetric, from 0 to 1, zeros on the diagonal.
    """
    shares = check_table(candidates, y, row_weights)
    decided = candidates.argmax(axis=2)[:, :, None] if is_one_of_many(candidates, y) else (candidates > 0.5)
    rows = [(decided != one).mean(axis=2) @ shares for one in decided]
    return np.array(rows, dtype=np.float64)


def ambiguity(candidates: Floats, weights: Floats, row_weights: Floats | None = None) -> float:
    """Return the weighted spread of the candidates around their mix, in squared units of the targets.

    Squared error of the mix = weighted mean squared error of the candidates - ambiguity
    (Krogh & Vedelsby 1995, equation 6).

    Parameters
    ----------
    candidates : (n_candidates, n_rows, n_outputs)
    weights : (n_candidates,)
        Not negative, sum 1.
    row_weights : (n_rows,), optional
    """
    wide = np.asarray(candidates, dtype=np.float64)
    mix = np.tensordot(weights, wide, axes=1)
    shares = check_table(wide, mix, row_weights)
    return float(weights @ (((wide - mix) ** 2).mean(axis=2) @ shares))


def collapse(
    candidates: Floats,
    architectures: Sequence[Hashable],
    *,
    y: Floats,
    threshold: float = 0.98,
    row_weights: Floats | None = None,
    loss: Loss | LossName = "squared_error",
) -> Collapsed:
    """Let near-identical candidates count as one: same architecture, correlated residuals.

    Candidates are visited from the lowest loss on (equal losses by index); each either stays or is
    represented by the best one already kept that it nearly equals: residuals that correlate above the
    threshold. So the better stays, and no chain joins unlike ends.

    Parameters
    ----------
    candidates : (n_candidates, n_rows, n_outputs)
    architectures : sequence of hashable
        One for each candidate.
    y : (n_rows, n_outputs)
    threshold : float
        From -1 to 1.
    row_weights : (n_rows,), optional
    loss : function or {"log_loss", "squared_error"}
        Which of two is better.

    Raises
    ------
    ValueError
        When the number of architectures or the threshold breaks a rule above.
    """
    if len(architectures) != len(candidates):
        raise ValueError(
            f"architectures must be one per candidate ({len(candidates)}), got {len(architectures)}"
        )
    if not -1.0 <= threshold <= 1.0:
        raise ValueError(f"threshold must lie between -1 and 1, got {threshold}")
    alike = residual_correlation(candidates, y, row_weights) > threshold
    losses = many_losses_of(loss)(y, candidates, row_weights)
    representative = np.arange(len(candidates), dtype=np.int64)
    kept: list[int] = []
    for i in np.argsort(losses, kind="stable"):
        twins = [k for k in kept if alike[i, k] and architectures[i] == architectures[k]]
        representative[i] = twins[0] if twins else i
        if not twins:
            kept.append(int(i))
    return Collapsed(representative)
