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
N_TRIED_FIRST = 4  # candidates of lowest bound, whose losses tell which bounds rule a candidate out

Scorer = Callable[[NDArray[np.int64], NDArray[np.float64]], NDArray[np.float64]]
"""`score(counts, extra)` -> loss after each possible next pick, plus `extra` (infinite: not allowed). What
cannot be the lowest may be told by a lower bound that is above the lowest."""

Scorers = Callable[[NDArray[np.int64] | slice], Scorer]
"""The scorer of some of the candidates."""

Penalty = Callable[[NDArray[np.int64]], NDArray[np.float64]]
"""`penalty(counts)` -> what each possible next pick costs beside its loss."""


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
    check_counts(n_rounds, max_members)
    score = scorers(candidates, y, loss, row_weights)(slice(None))
    return greedy(score, len(candidates), n_rounds=n_rounds, max_members=max_members)


def greedy(
    score: Scorer,
    n_candidates: int,
    *,
    n_rounds: int,
    max_members: int | None = None,
    penalty: Penalty | None = None,
) -> Selection:
    """Pick round by round what the scorer (and a penalty, which then counts as loss) finds lowest."""
    counts = np.zeros(n_candidates, dtype=np.int64)
    path: list[int] = []
    losses: list[float] = []
    n_alternatives = 0
    for _ in range(n_rounds):
        extra = np.where(_may_enter(counts, max_members), 0.0, np.inf)
        found = score(counts, extra if penalty is None else extra + penalty(counts))
        found[np.isnan(found)] = np.inf
        n_alternatives += int(np.isfinite(found).sum())
        if not np.isfinite(found).any():
            break
        pick = first_best(found)
        counts[pick] += 1
        path.append(pick)
        losses.append(float(found[pick]))
    if not path:
        raise ValueError(f"a candidate must have a finite loss, got none among {n_candidates}")
    n_kept = first_best(np.array(losses)) + 1
    weights = np.bincount(path[:n_kept], minlength=n_candidates) / n_kept
    return Selection(weights, tuple(path), np.array(losses), n_kept, n_alternatives)


def check_counts(n_rounds: int, max_members: int | None = None) -> None:
    """Raise ValueError unless both are at least 1."""
    if n_rounds < 1:
        raise ValueError(f"n_rounds must be at least 1, got {n_rounds}")
    if max_members is not None and max_members < 1:
        raise ValueError(f"max_members must be at least 1, got {max_members}")


def first_best(losses: NDArray[np.float64]) -> int:
    """Return the lowest index whose loss equals the smallest up to rounding."""
    smallest = losses.min()
    return int(np.flatnonzero(losses <= smallest + TIE * abs(smallest))[0])


def _may_enter(counts: NDArray[np.int64], max_members: int | None) -> NDArray[np.bool_]:
    if max_members is None or np.count_nonzero(counts) < max_members:
        return np.ones(len(counts), dtype=bool)
    return counts > 0


def scorers(
    candidates: Floats, y: Floats, loss: Loss | LossName, row_weights: Floats | None = None
) -> Scorers:
    """Check a table, prepare it once and return what gives the scorer of any of its candidates."""
    shares = check_table(candidates, y, row_weights)
    function = many_losses_of(loss)
    if loss == "squared_error":
        moments = _moments(candidates, y, shares)
        return lambda bag: _score_moments(moments[bag][:, bag])
    if loss == "log_loss":
        events, weights = likelihoods(candidates, y, shares)
        is_plain = events.min(axis=0) >= CLIP  # mixes are never clipped from below there
        order = np.argsort(~is_plain, kind="stable")
        if not is_plain.all():
            events, weights = events[:, order], weights[order]
        n_plain = int(is_plain.sum())
        return lambda bag: _score_events(events[bag], weights, n_plain)
    wide = np.asarray(candidates, dtype=np.float64)
    return lambda bag: _score_any(wide[bag], lambda mixes: function(y, mixes, row_weights))


def _score_any(wide: NDArray[np.float64], losses: Callable[[Floats], NDArray[np.float64]]) -> Scorer:
    buffer = np.empty_like(wide)

    def score(counts: NDArray[np.int64], extra: NDArray[np.float64]) -> NDArray[np.float64]:
        np.add(wide, np.tensordot(counts, wide, axes=1), out=buffer)
        np.divide(buffer, counts.sum() + 1, out=buffer)
        return np.asarray(losses(buffer) + extra, dtype=np.float64)

    return score


def _moments(candidates: Floats, y: Floats, shares: NDArray[np.float64]) -> NDArray[np.float64]:
    """Weights that sum to 1 give the loss w'Gw with G the moments of the residuals: no row is read again."""
    residuals = np.asarray(candidates, dtype=np.float64) - y
    residuals *= np.sqrt(shares / y.shape[1])[:, None]
    scaled = residuals.reshape(len(residuals), -1)
    return np.asarray(scaled @ scaled.T, dtype=np.float64)


def _score_moments(moments: NDArray[np.float64]) -> Scorer:
    own = np.diag(moments)

    def score(counts: NDArray[np.int64], extra: NDArray[np.float64]) -> NDArray[np.float64]:
        with_old = moments @ counts
        total = counts @ with_old + 2 * with_old + own
        return np.asarray(total / (counts.sum() + 1) ** 2 + extra, dtype=np.float64)

    return score


def _score_events(events: NDArray[np.float64], weights: NDArray[np.float64], n_plain: int) -> Scorer:
    """The log loss is convex in the mix, so its tangent at the present mix rules most candidates out.

    So it is for the first `n_plain` events, which no candidate gave less than `CLIP`; others are computed.
    """
    plain = events[:, :n_plain]

    def exact(
        old: NDArray[np.float64], n_new: float, which: NDArray[np.int64] | slice
    ) -> NDArray[np.float64]:
        mixes = events[which] + old
        mixes /= n_new
        return _log_losses(mixes, weights)

    def score(counts: NDArray[np.int64], extra: NDArray[np.float64]) -> NDArray[np.float64]:
        n_old = int(counts.sum())
        picked = np.flatnonzero(counts)
        old = counts[picked] @ events[picked]
        if n_old == 0 or 2 * n_plain < len(weights):
            return exact(old, n_old + 1.0, slice(None)) + extra
        mix = np.minimum(old[:n_plain] / n_old, 1.0 - CLIP)
        slopes = np.where(mix < 1.0 - CLIP, weights[:n_plain] / mix, 0.0)
        here = -(np.log(mix) @ weights[:n_plain]) + slopes @ mix / (n_old + 1.0)
        found = np.asarray(here - plain @ slopes / (n_old + 1.0) + extra)
        if n_plain < len(weights):
            rest = (events[:, n_plain:] + old[n_plain:]) / (n_old + 1.0)
            found += _log_losses(rest, weights[n_plain:])
        tried = np.argsort(found, kind="stable")[:N_TRIED_FIRST]
        is_open = np.ones(len(found), dtype=bool)
        while tried.size:
            found[tried] = exact(old, n_old + 1.0, tried) + extra[tried]
            is_open[tried] = False
            lowest = found[~is_open].min()
            tried = np.flatnonzero(is_open & (found <= lowest + 1e-9 * abs(lowest)))
        return found

    return score


def _log_losses(mixes: NDArray[np.float64], weights: NDArray[np.float64]) -> NDArray[np.float64]:
    np.clip(mixes, CLIP, 1.0 - CLIP, out=mixes)
    np.log(mixes, out=mixes)
    return np.asarray(-(mixes @ weights), dtype=np.float64)
