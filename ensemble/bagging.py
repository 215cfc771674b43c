"""Greedy selection from many random bags of the candidates, averaged: no single lucky candidate decides."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from ensemble.losses import Loss, LossName
from ensemble.selection import check_counts, greedy, scorers
from ensemble.table import Floats

N_BAGS = 10
BAG_FRACTION = 0.5
N_ROUNDS = 15


def select_bagged(
    candidates: Floats,
    y: Floats,
    *,
    loss: Loss | LossName,
    row_weights: Floats | None = None,
    n_bags: int = N_BAGS,
    bag_fraction: float = BAG_FRACTION,
    n_rounds: int = N_ROUNDS,
    seed: int = 0,
) -> NDArray[np.float64]:
    """Return the mean weights of greedy selections, each from a random bag of the candidates.

    Caruana, Niculescu-Mizil, Crew, Ksikes 2004, "Ensemble selection from libraries of models", section 2.3.
    The bags depend on the seed and the number of candidates alone, so a replay on other rows draws the same.

    Parameters
    ----------
    candidates : (n_candidates, n_rows, n_outputs)
        Out-of-fold predictions, finite.
    y : (n_rows, n_outputs)
    loss : function or {"log_loss", "squared_error"}
        As for `select`.
    row_weights : (n_rows,), optional
        An integer weight counts as that many copies of the row.
    n_bags : int
        At least 1.
    bag_fraction : float
        Share of the candidates in a bag, above 0, at most 1; at least one candidate is in.
    n_rounds : int
        Of each greedy selection, at least 1.
    seed : int

    Returns
    -------
    (n_candidates,) float64
        Not negative, sum 1.

    Raises
    ------
    ValueError
        When an argument is out of range, or no candidate alone has a finite loss.
    """
    check_counts(n_rounds)
    if n_bags < 1:
        raise ValueError(f"n_bags must be at least 1, got {n_bags}")
    if not 0.0 < bag_fraction <= 1.0:
        raise ValueError(f"bag_fraction must be above 0 and at most 1, got {bag_fraction}")
    scorer_of = scorers(candidates, y, loss, row_weights)
    usable = np.flatnonzero(np.isfinite(scorer_of(slice(None))(*_nothing(len(candidates)))))
    if not usable.size:
        raise ValueError(f"a candidate must have a finite loss, got none among {len(candidates)}")
    rng = np.random.default_rng(seed)
    order = rng.random((n_bags, len(candidates)))[:, usable].argsort(axis=1)
    weights = np.zeros(len(candidates))
    for one in order[:, : math.ceil(bag_fraction * len(usable))]:
        bag = np.sort(usable[one])
        weights[bag] += greedy(scorer_of(bag), len(bag), n_rounds=n_rounds).weights
    return np.asarray(weights / n_bags, dtype=np.float64)


def _nothing(n_candidates: int) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    return np.zeros(n_candidates, dtype=np.int64), np.zeros(n_candidates)
