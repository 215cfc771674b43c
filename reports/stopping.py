"""When a trial ends, replayed on its curves: patience, and median pruning in trial order."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]


class Running(Protocol):
    """A pruning rule as completed trials come."""

    def add(self, epochs: Sequence[int], losses: Sequence[float]) -> None:
        """Add a completed trial: its lowest loss until each look; only the lowest so far may count."""

    @property
    def limits(self) -> Mapping[int, float]:
        """Losses not to be exceeded, by epoch."""


Ceilings = Callable[[Sequence[int]], Running]
"""The pruning rule for the epochs at which every trial is looked at, before the first trial."""


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
    if ceilings is None or not looks:
        return is_pruned
    running, epoch_of = ceilings(looks), list(looks)
    limits, place = running.limits, {epoch: k for k, epoch in enumerate(looks)}
    at_looks, is_looked = _at_looks(epochs, curve, looks)
    for t in np.flatnonzero(is_completed & is_watched):
        best, seen = at_looks[t].tolist(), is_looked[t]
        is_pruned[t] = any(best[place[at]] > most and seen[place[at]] for at, most in limits.items())
        if not is_pruned[t]:
            running.add(epoch_of, best)
            limits = running.limits
    return is_pruned if not is_pruned.all() else ~is_completed


def _at_looks(epochs: Array, curve: Array, looks: Sequence[int]) -> tuple[Array, NDArray[np.bool_]]:
    """Return the lowest loss until each look `(n_trials, n_looks)`, and whether a trial was seen there."""
    best = np.minimum.accumulate(curve, axis=1)
    last = np.where(np.isfinite(curve) & np.isfinite(epochs), epochs, 0.0).max(axis=1)
    places = np.stack([(epochs <= look).sum(axis=1) - 1 for look in looks], axis=1)
    found = np.where(places >= 0, np.take_along_axis(best, np.maximum(places, 0), axis=1), np.inf)
    return found, (places >= 0) & (np.asarray(looks) <= last[:, None])
