"""Median pruning on the mean validation curve: a rule of recorded curves alone, to be replayed."""

from __future__ import annotations

import math
from bisect import bisect_right, insort
from collections.abc import Sequence
from typing import final

N_STARTUP = 5
FIRST_EPOCH = 16


@final
class Ceilings:
    """Losses that a trial must not exceed, as completed trials come.

    At a checkpoint from epoch 16 on, a trial whose best mean validation loss so far is above the median of
    the best so far of the completed trials is stopped (Golovin et al. 2017, the median rule); not before five
    trials are completed. The medians are kept, so that a further trial costs the same whatever came before.

    Parameters
    ----------
    checkpoints : sequence of int
        Epochs at which a trial can be stopped; the last one is left out, where nothing is saved by stopping.
    """

    def __init__(self, checkpoints: Sequence[int]) -> None:
        self._best: dict[int, list[float]] = {epoch: [] for epoch in checkpoints[:-1] if epoch >= FIRST_EPOCH}
        self._n_undefined = dict.fromkeys(self._best, 0)
        self._n = 0

    def add(self, epochs: Sequence[int], losses: Sequence[float]) -> None:
        """Add the mean validation curve of a completed trial. One that ended early keeps its best loss."""
        self._n += 1
        for rung, best in self._best.items():
            loss = min(losses[: bisect_right(epochs, rung)], default=math.inf)
            if math.isnan(loss):
                self._n_undefined[rung] += 1
            else:
                insort(best, loss)

    @property
    def limits(self) -> dict[int, float]:
        """Losses that must not be exceeded, by checkpoint epoch; NaN where a curve is not defined."""
        if self._n < N_STARTUP:
            return {}
        return {
            rung: math.nan if self._n_undefined[rung] else _median(best) for rung, best in self._best.items()
        }


def ceilings(
    curves: Sequence[tuple[Sequence[int], Sequence[float]]], checkpoints: Sequence[int]
) -> dict[int, float]:
    """The limits of `Ceilings` after the mean validation curves `(epochs, losses)` of all completed trials.

    Examples
    --------
    >>> ceilings([((1, 16), (1.0, 0.5))] * 5, (1, 16, 20))
    {16: 0.5}
    """
    running = Ceilings(checkpoints)
    for epochs, losses in curves:
        running.add(epochs, losses)
    return running.limits


def _median(rising: Sequence[float]) -> float:
    middle = len(rising) // 2
    return rising[middle] if len(rising) % 2 else (rising[middle - 1] + rising[middle]) / 2.0
