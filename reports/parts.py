"""Who decides and who is scored: parts for the cross-fitted replay, and bootstrap draws. Units stay whole."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]

NOT_SCORED = -1
MOST_REDRAWS = 100


def strata_of(y: Array) -> NDArray[np.int64]:
    """Return the class (or pattern of labels) of each row; one stratum where targets are not 0 and 1."""
    if not np.isin(y, (0.0, 1.0)).all():
        return np.zeros(len(y), np.int64)
    return np.unique(y, axis=0, return_inverse=True)[1].reshape(-1).astype(np.int64)


def random_parts(
    y: Array, units: Array, is_held: Array, *, n_parts: int, n_rounds: int, rng: np.random.Generator
) -> NDArray[np.int64]:
    """Deal the held rows into random stratified parts, units whole.

    Parameters
    ----------
    y : (n_rows, n_outputs)
    units : (n_rows,)
        Rows that belong together share a number.
    is_held : (n_rows,) bool
        Rows with held-out predictions.
    n_parts, n_rounds : int
        At least 2 and 1.

    Returns
    -------
    (n_rounds, n_rows) int64
        Part of each row, -1 where it was never held out.

    Raises
    ------
    ValueError
        With fewer than two parts, rounds below one, or fewer than two units.
    """
    if n_parts < 2 or n_rounds < 1:
        raise ValueError(f"a replay needs at least 2 parts and 1 round, got {n_parts} and {n_rounds}")
    codes = np.unique(units[is_held], return_inverse=True)[1].reshape(-1)
    n_units = int(codes.max(initial=-1)) + 1
    if n_units < 2:
        raise ValueError(f"a replay needs at least 2 separate sets of rows, got {n_units}")
    layers = strata_of(y[is_held])
    mass = np.zeros((n_units, int(layers.max()) + 1))
    np.add.at(mass, (codes, layers), 1.0)
    parts = np.full((n_rounds, len(y)), NOT_SCORED, np.int64)
    for one in parts:
        one[is_held] = _deal(mass, min(n_parts, n_units), rng)[codes]
    return parts


def _deal(mass: Array, n_parts: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """Return the part of each unit: dealt like cards, by stratum, large units first, else shuffled."""
    order = np.lexsort((rng.random(len(mass)), -mass.sum(axis=1), mass.argmax(axis=1)))
    part = np.empty(len(mass), np.int64)
    part[order] = rng.permutation(n_parts)[np.arange(len(mass)) % n_parts]
    return part


def time_parts(time: Array, is_held: Array, *, n_parts: int) -> NDArray[np.int64]:
    """Cut the held rows into blocks of about equal size along time, equal times together.

    Returns
    -------
    (1, n_rows) int64
        Block of each row, -1 where it was never held out. Block 0 only decides (see `deciding`).
    """
    codes = np.unique(time[is_held], return_inverse=True)[1].reshape(-1)
    counts = np.bincount(codes)
    if len(counts) < 2:
        raise ValueError(f"a replay in time needs at least 2 different times, got {len(counts)}")
    middle = np.cumsum(counts) - counts / 2
    block = np.floor(middle * min(n_parts, len(counts)) / len(codes)).astype(np.int64)
    block[-1] += block[0] == block[-1]
    parts = np.full((1, len(time)), NOT_SCORED, np.int64)
    parts[0, is_held] = np.unique(block, return_inverse=True)[1].reshape(-1)[codes]
    return parts


def deciding(parts: Array, part: int, units: Array, *, is_in_time: bool) -> NDArray[np.bool_]:
    """Return the rows that decide for a part: all others, in time all before it, never one of its units.

    Parameters
    ----------
    parts : (n_rows,)
        One round.
    """
    if not is_in_time:
        return np.asarray((parts != part) & (parts != NOT_SCORED))
    is_before = (parts < part) & (parts != NOT_SCORED)
    return np.asarray(is_before & ~np.isin(units, units[parts == part]))


def bootstrap_units(units: Array, time: Array | None, is_held: Array) -> NDArray[np.int64]:
    """Return what the bootstrap draws whole `(n_rows,)`: the units, or stretches of time.

    Neighbours in time are alike: rows without groups are drawn in stretches of about n^(1/3) rows.
    """
    if time is None or len(np.unique(units)) < len(units):
        return np.unique(units, return_inverse=True)[1].reshape(-1).astype(np.int64)
    length = max(1, round(float(is_held.sum()) ** (1 / 3)))
    order = np.lexsort((np.arange(len(time)), time, ~is_held))
    stretch = np.empty(len(time), np.int64)
    stretch[order] = np.arange(len(time)) // length
    return stretch


def bootstrap_counts(
    y: Array, units: Array, is_held: Array, *, n_draws: int, rng: np.random.Generator
) -> NDArray[np.int64]:
    """Draw units with replacement; a draw that misses a class inside or outside is made again.

    Returns
    -------
    (n_draws, n_rows) int64
        How often each row was drawn, 0 for rows that were never held out. After 100 attempts a draw is kept
        as it is: some class is then too rare to lie on both sides.
    """
    codes = np.unique(units[is_held], return_inverse=True)[1].reshape(-1)
    n_units = int(codes.max(initial=-1)) + 1
    if n_units < 2:
        raise ValueError(f"a bootstrap needs at least 2 separate sets of rows, got {n_units}")
    is_class = _memberships(y[is_held])
    counts = np.zeros((n_draws, len(y)), np.int64)
    for one in counts:
        for _ in range(MOST_REDRAWS):
            drawn = np.bincount(rng.integers(0, n_units, n_units), minlength=n_units)[codes]
            is_in = drawn > 0
            if not is_in.all() and is_class[is_in].any(axis=0).all() and is_class[~is_in].any(axis=0).all():
                break
        one[is_held] = drawn
    return counts


def _memberships(y: Array) -> NDArray[np.bool_]:
    """Return the classes that must not be missing `(n_rows, n_classes)`: both values of every 0/1 column."""
    if not np.isin(y, (0.0, 1.0)).all():
        return np.ones((len(y), 1), bool)
    both = np.concatenate([y > 0.5, y <= 0.5], axis=1)
    return np.asarray(both[:, both.any(axis=0)])
