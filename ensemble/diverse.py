"""Quality and diversity: keep families, leave out near copies, and pay for errors that go together."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence

import numpy as np
from numpy.typing import NDArray

from ensemble.losses import Loss, LossName, many_losses_of
from ensemble.selection import Selection, check_counts, greedy, scorers
from ensemble.table import Floats, check_table, is_one_of_many

N_KEPT = 25
NEAR_COPY = 0.995
STRENGTH = 0.1
N_ROUNDS = 25


def error_cosine(candidates: Floats, y: Floats, row_weights: Floats | None = None) -> NDArray[np.float64]:
    """Return the correlation of the candidates' residuals about zero, pooled over outputs.

    Unlike `residual_correlation` it counts a common bias as a common error. Over classes it looks at the
    probability that was given to what happened. A candidate without any error is like itself alone.

    Parameters
    ----------
    candidates : (n_candidates, n_rows, n_outputs)
    y : (n_rows, n_outputs)
    row_weights : (n_rows,), optional

    Returns
    -------
    (n_candidates, n_candidates) float64
        Symmetric, from -1 to 1 (from 0 for probabilities), ones on the diagonal.
    """
    shares = check_table(candidates, y, row_weights)
    if is_one_of_many(candidates, y):
        picked = np.take_along_axis(candidates, y.argmax(axis=1)[None, :, None], axis=2)
        residuals = np.asarray(picked, dtype=np.float64) - 1.0
    else:
        residuals = np.asarray(candidates, dtype=np.float64) - y
    flat = (residuals * np.sqrt(shares)[:, None]).reshape(len(residuals), -1)
    products = flat @ flat.T
    norms = np.sqrt(np.diag(products))
    norms[norms == 0.0] = 1.0
    cosines = np.clip(products / norms / norms[:, None], -1.0, 1.0)
    np.fill_diagonal(cosines, 1.0)
    return np.asarray(cosines, dtype=np.float64)


def preselect(
    losses: NDArray[np.float64],
    cosines: NDArray[np.float64],
    *,
    families: Sequence[Hashable] = (),
    architectures: Sequence[Hashable] = (),
    n_kept: int = N_KEPT,
    near_copy: float = NEAR_COPY,
) -> NDArray[np.int64]:
    """Return which candidates may enter: the best of every family, then of every architecture, then the best.

    Past the best of a family, a candidate whose errors are near copies of those of a better one that is kept
    stays out. Equal losses go to the lowest index.

    Parameters
    ----------
    losses : (n_candidates,)
        Lower is better.
    cosines : (n_candidates, n_candidates)
        From `error_cosine`.
    families, architectures : sequence of hashable, optional
        One for each candidate; absent, all are of one family, and each has its own architecture.
    n_kept : int
        So many stay at most, at least 1; the best of a family stays in any case.
    near_copy : float
        Cosines above are near copies.

    Returns
    -------
    (n,) int64
        Indices, rising.
    """
    if n_kept < 1:
        raise ValueError(f"n_kept must be at least 1, got {n_kept}")
    order = [int(i) for i in np.argsort(losses, kind="stable")]
    kept = _leaders(order, families or (0,) * len(losses))
    for i in (*_leaders(order, architectures or range(len(losses))), *order):
        if len(kept) >= n_kept:
            break
        is_copy = any(cosines[i, k] > near_copy and losses[k] <= losses[i] for k in kept)
        if i not in kept and not is_copy:
            kept.append(i)
    return np.array(sorted(kept), dtype=np.int64)


def _leaders(order: Sequence[int], names: Sequence[Hashable]) -> list[int]:
    """Return the first of each name along an order."""
    first: dict[Hashable, int] = {}
    for i in order:
        first.setdefault(names[i], i)
    return list(first.values())


def select_diverse(
    candidates: Floats,
    y: Floats,
    *,
    loss: Loss | LossName,
    row_weights: Floats | None = None,
    families: Sequence[Hashable] = (),
    architectures: Sequence[Hashable] = (),
    n_kept: int = N_KEPT,
    near_copy: float = NEAR_COPY,
    strength: float = STRENGTH,
    n_rounds: int = N_ROUNDS,
) -> Selection:
    """Pick greedily from the preselected, each pick paying for errors that it shares with the others.

    What falls is ``loss(mix) + strength * lowest_single_loss * w' C w``, with w the shares of the picks and C
    the `error_cosine`: the mean over all pairs of picks, a pick with itself included, so repeating one is
    no diversity.

    Parameters
    ----------
    candidates : (n_candidates, n_rows, n_outputs)
        Out-of-fold predictions, finite.
    y : (n_rows, n_outputs)
    loss : function or {"log_loss", "squared_error"}
        As for `select`.
    row_weights : (n_rows,), optional
        An integer weight counts as that many copies of the row.
    families, architectures, n_kept, near_copy
        As for `preselect`.
    strength : float
        Not negative; 0 is plain greedy selection from the preselected.
    n_rounds : int
        At least 1.

    Returns
    -------
    Selection
        Its losses hold the penalty.

    Raises
    ------
    ValueError
        When an argument breaks a rule above.
    """
    check_counts(n_rounds)
    if not (np.isfinite(strength) and strength >= 0.0):
        raise ValueError(f"strength must be finite and not negative, got {strength}")
    for name, given in (("families", families), ("architectures", architectures)):
        if given and len(given) != len(candidates):
            raise ValueError(f"{name} must be one per candidate ({len(candidates)}), got {len(given)}")
    cosines = error_cosine(candidates, y, row_weights)
    losses = many_losses_of(loss)(y, candidates, row_weights)
    losses = np.where(np.isnan(losses), np.inf, losses)
    rows = preselect(
        losses, cosines, families=families, architectures=architectures, n_kept=n_kept, near_copy=near_copy
    )
    price = strength * abs(float(losses.min())) if np.isfinite(losses.min()) else 0.0
    score = scorers(candidates[rows], y, loss, row_weights)(slice(None))
    chosen = greedy(score, len(rows), n_rounds=n_rounds, penalty=_penalty(cosines[np.ix_(rows, rows)], price))
    weights = np.zeros(len(candidates))
    weights[rows] = chosen.weights
    path = tuple(int(rows[i]) for i in chosen.path)
    return Selection(weights, path, chosen.losses, chosen.n_kept, chosen.n_alternatives)


def _penalty(
    cosines: NDArray[np.float64], price: float
) -> Callable[[NDArray[np.int64]], NDArray[np.float64]]:
    def penalty(counts: NDArray[np.int64]) -> NDArray[np.float64]:
        with_old = cosines @ counts
        total = counts @ with_old + 2 * with_old + 1.0
        return np.asarray(price * total / (counts.sum() + 1) ** 2, dtype=np.float64)

    return penalty
