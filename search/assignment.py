"""Giving rows to parts: sizes by share, strata in proportion, units whole."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np


def assign(strata: np.ndarray, units: np.ndarray, shares: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Give each row a part ``(n_rows,)`` int16, sizes by `shares`, strata in proportion, units whole."""
    parts = np.full(strata.size, -1, np.int16)
    n_strata = int(strata.max()) + 1
    counts = np.zeros((shares.size, n_strata + 1))  # the last column counts all rows
    sizes = np.bincount(units)
    is_single = sizes[units] == 1
    _place_units(parts, np.flatnonzero(~is_single), strata, units, shares, counts, rng)
    for stratum in np.argsort(np.bincount(strata, minlength=n_strata), kind="stable"):
        rows = rng.permutation(np.flatnonzero(is_single & (strata == stratum)))
        if rows.size:
            n_each = _deal(rows.size, counts[:, stratum], counts[:, -1], shares, rng)
            parts[rows] = np.repeat(np.arange(shares.size), n_each)
            counts[:, stratum] += n_each
            counts[:, -1] += n_each
    return parts


def _place_units(
    parts: np.ndarray,
    rows: np.ndarray,
    strata: np.ndarray,
    units: np.ndarray,
    shares: np.ndarray,
    counts: np.ndarray,
    rng: np.random.Generator,
) -> None:
    """Place units of several rows, largest first, where squared loads grow least; fills parts and counts.

    The load of part f in stratum c is n_fc^2 / (share_f * n_c^2); adding u rows to it costs (2 n_fc u + u^2)
    of that.
    """
    if not rows.size:
        return
    _, which = np.unique(units[rows], return_inverse=True)
    content = np.zeros((int(which.max()) + 1, counts.shape[1]))
    np.add.at(content, (which, strata[rows]), 1.0)
    content[:, -1] = content.sum(axis=1)
    totals = np.append(np.bincount(strata, minlength=counts.shape[1] - 1), strata.size)
    importance = 1.0 / np.maximum(totals, 1.0) ** 2
    order = np.lexsort((rng.random(len(content)), -content[:, -1]))
    part_of_unit = np.zeros(len(content), np.int16)
    shuffled = rng.permutation(shares.size)  # which part an even choice falls to
    loads = np.zeros_like(counts)
    for unit in order:
        u = content[unit]
        scaled = u * importance
        cost = (loads @ scaled * 2.0 + u @ scaled) / shares[shuffled]
        best = int(cost.argmin())
        loads[best] += u
        part_of_unit[unit] = shuffled[best]
    counts[shuffled] += loads
    parts[rows] = part_of_unit[which]


def _deal(
    n: int, held: np.ndarray, sizes: np.ndarray, shares: np.ndarray, rng: np.random.Generator
) -> np.ndarray:
    """Return how many of n rows of a stratum each part gets, given what it holds of it and in all."""
    lacking = np.maximum(shares * (held.sum() + n) - held, 0.0)
    n_each = np.asarray(np.floor(lacking * (n / lacking.sum()) + 1e-9), np.int64)
    n_left = n - int(n_each.sum())
    deficit = shares * (sizes.sum() + n) - sizes - n_each
    if shares.min() < shares.max():  # a holdout: the development rows see every stratum
        main = int(shares.argmax())
        deficit[main] = np.inf if held[main] + n_each[main] == 0 else deficit[main]
    n_each[np.lexsort((rng.random(shares.size), -deficit.round(6)))[:n_left]] += 1
    return n_each


def shuffles(
    strata: np.ndarray, units: np.ndarray, shares: np.ndarray, n_repeats: int, rng: np.random.Generator
) -> Iterable[np.ndarray]:
    """Yield one assignment per repeat; each is another partition, as far as the rows allow."""
    seen: set[bytes] = set()
    for _ in range(n_repeats):
        for _attempt in range(20):
            folds = assign(strata, units, shares, rng)
            _, first, which = np.unique(folds, return_index=True, return_inverse=True)
            partition = np.argsort(np.argsort(first))[which].tobytes()
            if partition not in seen:
                break
        seen.add(partition)
        yield folds
