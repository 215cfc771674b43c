"""Median pruning on the mean validation curve: a rule of recorded curves alone, to be replayed."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

N_STARTUP = 5
FIRST_EPOCH = 16


def ceilings(
    curves: Sequence[tuple[Sequence[int], Sequence[float]]], checkpoints: Sequence[int]
) -> dict[int, float]:
    """Losses that a trial must not exceed, by checkpoint epoch.

    At a checkpoint from epoch 16 on, a trial whose best mean validation loss so far is above the median of
    the best so far of the completed trials is stopped (Golovin et al. 2017, the median rule); not before five
    trials are completed.

    Parameters
    ----------
    curves : sequence of (epochs, losses)
        Mean validation curves of the completed trials. One that ended early keeps its best loss.
    checkpoints : sequence of int
        Epochs at which a trial can be stopped; the last one is left out, where nothing is saved by stopping.

    Examples
    --------
    >>> ceilings([((1, 16), (1.0, 0.5))] * 5, (1, 16, 20))
    {16: 0.5}
    """
    if len(curves) < N_STARTUP:
        return {}
    rungs = [epoch for epoch in checkpoints[:-1] if epoch >= FIRST_EPOCH]
    return {rung: float(np.median([_best_until(curve, rung) for curve in curves])) for rung in rungs}


def _best_until(curve: tuple[Sequence[int], Sequence[float]], epoch: int) -> float:
    return min(loss for at, loss in zip(*curve, strict=True) if at <= epoch)
