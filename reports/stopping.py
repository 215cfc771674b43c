"""When a trial ends, replayed on its curves: patience, and median pruning in trial order."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]

Curve = tuple[Sequence[int], Sequence[float]]
Ceilings = Callable[[Sequence[Curve], Sequence[int]], Mapping[int, float]]
"""`(curves of the completed trials, checkpoints) -> loss not to be exceeded, by epoch`. A curve is given as
the epochs at which a trial improved and its loss there: only the best loss so far may count."""


def padded(epochs: Sequence[Sequence[int]], n_most: int) -> Array:
    """Kept epochs of all trials `(n_trials, n_most)`, infinite beyond a trial's last."""
    table = np.full((len(epochs), n_most), np.inf)
    for row, own in zip(table, epochs, strict=True):
        row[: len(own)] = own
    return table


def is_after_end(
    epochs: Array, member_curves: Array, patience: float, patience_from: int
) -> NDArray[np.bool_]:
    """Whether an epoch comes after the look at which patience ends a trial `(n_trials, n_most)`.

    A trial ends at the first look from `patience_from` on at which `patience` times the latest of its
    members' best epochs has passed.

    Parameters
    ----------
    epochs : (n_trials, n_most)
        From `padded`.
    member_curves : (n_trials, n_members, n_most)
        One member where all have one epoch. NaN: the member has no say.
    patience
        0: never.
    """
    if not patience:
        return np.zeros(epochs.shape, bool)
    best = np.minimum.accumulate(np.where(np.isnan(member_curves), np.inf, member_curves), axis=2)
    is_record = best < np.concatenate([np.full_like(best[:, :, :1], np.inf), best[:, :, :-1]], axis=2)
    best_epoch = np.maximum.accumulate(np.where(is_record, epochs[:, None], 0.0), axis=2)
    is_over = epochs >= np.maximum(patience_from, patience * best_epoch.max(axis=1))
    return np.asarray(np.cumsum(is_over, axis=1) - is_over > 0)


def pruned(
    epochs: Array,
    curve: Array,
    is_completed: NDArray[np.bool_],
    is_watched: NDArray[np.bool_],
    ceilings: Ceilings | None,
    looks: Sequence[int],
) -> NDArray[np.bool_]:
    """Replay the pruning in trial order `(n_trials,)`; with no trial left, only what really was pruned is.

    Parameters
    ----------
    epochs, curve : (n_trials, n_most)
        From `padded`; the curve is infinite where a trial has ended.
    is_completed : (n_trials,)
        What really was pruned stays pruned.
    is_watched : (n_trials,)
        The others are never pruned, and set no limits.
    """
    is_pruned = ~is_completed
    if ceilings is None:
        return is_pruned
    best = np.minimum.accumulate(curve, axis=1)
    last = np.where(np.isfinite(curve) & np.isfinite(epochs), epochs, 0.0).max(axis=1)
    completed: list[Curve] = []
    limits = _limits(ceilings, completed, looks)
    for t in np.flatnonzero(is_completed & is_watched):
        rungs, most = limits
        at = np.searchsorted(epochs[t], rungs, side="right") - 1  # the last kept epoch until each rung
        is_pruned[t] = np.any((rungs <= last[t]) & (at >= 0) & (best[t, at] > most))
        if not is_pruned[t]:
            completed.append(_records(epochs[t], best[t]))
            limits = _limits(ceilings, completed, looks)
    return is_pruned if not is_pruned.all() else ~is_completed


def _limits(ceilings: Ceilings, completed: Sequence[Curve], looks: Sequence[int]) -> tuple[Array, Array]:
    """Return epochs and the losses not to be exceeded there; they change with the completed trials alone."""
    limits = ceilings(completed, looks)
    return np.array(list(limits), np.float64), np.array(list(limits.values()), np.float64)


def _records(epochs: Array, best: Array) -> Curve:
    """Return the epochs at which a trial improved, and its loss there."""
    is_record = np.diff(best, prepend=np.inf) < 0
    is_record[0] = True
    return epochs[is_record].tolist(), best[is_record].tolist()
