"""Which candidates enter: greedy selection with replacement.

Caruana, Niculescu-Mizil, Crew, Ksikes 2004, "Ensemble selection from libraries of models", keeping
the best prefix.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ensemble.losses import CLIP, Loss, LossName, likelihoods, many_losses_of
from ensemble.table import Floats, check_table

TIE = 1e-12  # losses closer than this, relative to their size, are equal: rounding never decides

Scorer = Callable[[NDArray[np.int64]], NDArray[np.float64]]


@dataclass(frozen=True)
class Selection:
    """What a greedy selection chose, and how it got there.

    Attributes
    ----------
    weights : (n_candidates,) float64
        How often each candidate was picked in the kept prefix, as shares; sum 1.
    path : tuple of int
        The candidate picked in each round, all rounds.
    losses : (n_rounds,) float64
        Loss of the ensemble after each round, on the rows it was selected on: too good to be reported.
    n_kept : int
        Rounds in the prefix of lowest loss (the shortest of equals).
    n_alternatives : int
        Ensembles compared over all rounds.
    """

    weights: NDArray[np.float64]
    path: tuple[int, ...]
    losses: NDArray[np.float64]
    n_kept: int
    n_alternatives: int


def select(
    candidates: Floats,
    y: Floats,
    *,
    loss: Loss | LossName,
    row_weights: Floats | None = None,
    n_rounds: int = 25,
    max_members: int | None = None,
) -> Selection:
    """Pick candidates one after another, each time the one that lowers the loss of the mean most.

    A candidate may be picked again. Equal losses go to the lowest index; the prefix of lowest loss is kept.

    Parameters
    ----------
    candidates : (n_candidates, n_rows, n_outputs)
        Out-of-fold predictions, finite.
    y : (n_rows, n_outputs)
    loss : function or {"log_loss", "squared_error"}
        Lower is better. The named ones take a vectorised path, and so does a function with the attribute
        `of_many` (`ensemble.losses.ManyLosses`).
    row_weights : (n_rows,), optional
        An integer weight counts as that many copies of the row.
    n_rounds : int
        At least 1.
    max_members : int, optional
        Different candidates at most; no bound when absent.

    Raises
    ------
    ValueError
        When an argument is out of range, or no candidate alone has a finite loss.
    """
    shares = check_table(candidates, y, row_weights)
    _check_counts(n_rounds, max_members)
    score = _scorer(candidates, y, loss, shares, row_weights)
    counts = np.zeros(len(candidates), dtype=np.int64)
    path: list[int] = []
    losses: list[float] = []
    n_alternatives = 0
    for _ in range(n_rounds):
        found = np.where(_may_enter(counts, max_members), score(counts), np.inf)
        found[np.isnan(found)] = np.inf
        n_alternatives += int(np.isfinite(found).sum())
        if not np.isfinite(found).any():
            break
        pick = _first_best(found)
        counts[pick] += 1
        path.append(pick)
        losses.append(float(found[pick]))
    if not path:
        raise ValueError(f"a candidate must have a finite loss, got none among {len(candidates)}")
    n_kept = _first_best(np.array(losses)) + 1
    weights = np.bincount(path[:n_kept], minlength=len(candidates)) / n_kept
    return Selection(weights, tuple(path), np.array(losses), n_kept, n_alternatives)


def _check_counts(n_rounds: int, max_members: int | None) -> None:
    if n_rounds < 1:
        raise ValueError(f"n_rounds must be at least 1, got {n_rounds}")
    if max_members is not None and max_members < 1:
        raise ValueError(f"max_members must be at least 1, got {max_members}")


def _first_best(losses: NDArray[np.float64]) -> int:
    """Return the lowest index whose loss equals the smallest up to rounding."""
    smallest = losses.min()
    return int(np.flatnonzero(losses <= smallest + TIE * abs(smallest))[0])


def _may_enter(counts: NDArray[np.int64], max_members: int | None) -> NDArray[np.bool_]:
    if max_members is None or np.count_nonzero(counts) < max_members:
        return np.ones(len(counts), dtype=bool)
    return counts > 0


def _scorer(
    candidates: Floats,
    y: Floats,
    loss: Loss | LossName,
    shares: NDArray[np.float64],
    row_weights: Floats | None,
) -> Scorer:
    """Return a function from picks so far to the loss after each possible next pick."""
    function = many_losses_of(loss)
    if loss == "squared_error":
        return _score_squared_error(candidates, y, shares)
    if loss == "log_loss":
        return _score_log_loss(candidates, y, shares)
    wide = np.asarray(candidates, dtype=np.float64)
    buffer = np.empty_like(wide)

    def score(counts: NDArray[np.int64]) -> NDArray[np.float64]:
        np.add(wide, np.tensordot(counts, wide, axes=1), out=buffer)
        np.divide(buffer, counts.sum() + 1, out=buffer)
        return function(y, buffer, row_weights)

    return score


def _score_squared_error(candidates: Floats, y: Floats, shares: NDArray[np.float64]) -> Scorer:
    """Weights that sum to 1 give the loss w'Gw with G the moments of the residuals: no row is read again."""
    residuals = np.asarray(candidates, dtype=np.float64) - y
    scaled = (residuals * np.sqrt(shares / y.shape[1])[:, None]).reshape(len(residuals), -1)
    moments = scaled @ scaled.T

    def score(counts: NDArray[np.int64]) -> NDArray[np.float64]:
        with_old = moments @ counts
        total = counts @ with_old + 2 * with_old + np.diag(moments)
        return np.asarray(total / (counts.sum() + 1) ** 2, dtype=np.float64)

    return score


def _score_log_loss(candidates: Floats, y: Floats, shares: NDArray[np.float64]) -> Scorer:
    events, weights = likelihoods(candidates, y, shares)
    buffer = np.empty_like(events)

    def score(counts: NDArray[np.int64]) -> NDArray[np.float64]:
        np.add(events, counts @ events, out=buffer)
        np.divide(buffer, counts.sum() + 1, out=buffer)
        np.clip(buffer, CLIP, 1.0 - CLIP, out=buffer)
        np.log(buffer, out=buffer)
        return np.asarray(-(buffer @ weights), dtype=np.float64)

    return score
