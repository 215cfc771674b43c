"""Rows that occur more than once, exactly or nearly, within the table or across the holdout."""

from __future__ import annotations

import numpy as np

from search.audit import quick
from search.audit.finding import ALPHA, Finding, Severity, percent
from search.audit.quick import inputs
from search.data import Dataset

NEAR = 0.01  # of the median distance to the nearest other row
PARTED = 0.01
_N_AXES, _N_NEIGHBOURS, _N_MEASURED = 6, 6, 500
_MOST_DISTANCES = 4_000_000  # in memory
_FAR = 1e6


def equal_rows(X: np.ndarray) -> np.ndarray:
    """Number the rows ``(n_rows,)`` so that equal ones share one; missing equals missing, 0 equals -0."""
    values = np.where(np.isnan(X), np.float32(np.nan), X + np.float32(0.0)).astype(np.float32)
    content = np.ascontiguousarray(values).view(np.dtype((np.void, values.shape[1] * 4)))[:, 0]
    return np.asarray(np.unique(content, return_inverse=True)[1], np.int64)


def find_duplicates(units: np.ndarray, y: np.ndarray) -> tuple[Finding, ...]:
    """Report rows whose inputs equal those of another row, and how many of them have another target.

    Parameters
    ----------
    units
        ``(n_rows,)``: equal rows share a number (`equal_rows`).
    y
        Targets ``(n_rows, n_outputs)``.
    """
    sizes = np.bincount(units)
    n_repeated = int((sizes[units] > 1).sum())
    if not n_repeated:
        return ()
    lows, highs = (np.full((sizes.size, y.shape[1]), edge) for edge in (np.inf, -np.inf))
    np.minimum.at(lows, units, y)
    np.maximum.at(highs, units, y)
    n_conflicting = int(sizes[(lows < highs).any(axis=1)].sum())
    evidence = (
        f"{n_repeated:,} of {units.size:,} rows ({percent(n_repeated / units.size)}) equal another row in "
        f"all inputs ({n_repeated - int((sizes > 1).sum()):,} to spare), and {n_conflicting:,} of them equal "
        f"one with another target."
    )
    remedy = (
        "Nothing to do: equal rows never stand on both sides of a fold; remove them if they are mistakes."
    )
    return (Finding("duplicate rows", "note", (), evidence, remedy),)


def find_shared(dataset: Dataset, holdout: Dataset, names: tuple[str, ...]) -> tuple[Finding, ...]:
    """Report holdout rows that equal a development row, more often than development rows equal each other.

    One-sided binomial test against the share of development rows that equal another one, which is what chance
    gives where columns take few values.
    """
    from scipy import stats

    n = dataset.n_rows
    units = equal_rows(np.vstack([inputs(dataset, names), inputs(holdout, names)]))
    n_shared = int(np.isin(units[n:], units[:n]).sum())
    if not n_shared:
        return ()
    share = n_shared / holdout.n_rows
    usual = float((np.bincount(units[:n])[units[:n]] > 1).mean())
    p = float(stats.binom.sf(n_shared - 1, holdout.n_rows, usual))
    severity: Severity = "warning" if p < ALPHA else "note"
    evidence = (
        f"{n_shared:,} of {holdout.n_rows:,} holdout rows ({percent(share)}) equal a development row in all "
        f"inputs, where {percent(usual)} of the development rows equal another one."
    )
    remedy = (
        "Take these rows out of the holdout, or let --holdout seal one that keeps equal rows on one side."
    )
    return (Finding("rows in the holdout", severity, (), evidence, remedy),)


def near_duplicates(dataset: Dataset, names: tuple[str, ...], rng: np.random.Generator) -> np.ndarray:
    """Number the rows so that those at nearly no distance share a number.

    Parameters
    ----------
    dataset
        Rows.
    names
        Columns to compare; categories must agree and the same values must be missing.
    rng
        Source of the projection and of the rows on which distances are measured.

    Returns
    -------
    np.ndarray
        ``(n_rows,)`` int64. Two rows are linked when the distance of their standardised numbers is below 1 %
        of the median distance from a row to its nearest other; links join. Candidates come from a projection
        onto at most 6 orthonormal axes, which lengthens no distance.
    """
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    X = inputs(dataset, names)
    exact = equal_rows(X)
    numbers = {c.name for c in dataset.schema.numbers}
    is_number = np.array([n in numbers for n in names], bool)
    first = np.unique(exact, return_index=True)[1]
    if not is_number.any() or first.size < 3:
        return exact
    values = X[first][:, is_number].astype(np.float64)
    kinds = equal_rows(np.column_stack([X[first][:, ~is_number], np.isnan(values)]).astype(np.float32))
    present = ~np.isnan(values)
    values = np.nan_to_num(values - quick.column_means(values))
    spread = np.sqrt((values**2).sum(axis=0) / np.maximum(present.sum(axis=0), 1))
    values /= np.where(spread > 0, spread, 1.0)
    pairs = _near_pairs(values, kinds, NEAR * _usual_distance(values, rng), rng)
    links = coo_array((np.ones(len(pairs)), (pairs[:, 0], pairs[:, 1])), shape=(first.size, first.size))
    return np.asarray(connected_components(links, directed=False)[1][exact], np.int64)


def _usual_distance(values: np.ndarray, rng: np.random.Generator) -> float:
    """Return the median distance from a row to the nearest other row."""
    chosen = rng.choice(len(values), min(_N_MEASURED, len(values)), replace=False)
    nearest = np.empty(chosen.size)
    norms = (values**2).sum(axis=1)
    n_each = max(1, min(50, _MOST_DISTANCES // len(values)))
    for i in range(0, chosen.size, n_each):
        part = chosen[i : i + n_each]
        square = norms[part, None] + norms - 2.0 * values[part] @ values.T
        square[np.arange(part.size), part] = np.inf
        nearest[i : i + n_each] = square.min(axis=1)
    return float(np.sqrt(np.maximum(np.median(nearest), 0.0)))


def _near_pairs(values: np.ndarray, kinds: np.ndarray, limit: float, rng: np.random.Generator) -> np.ndarray:
    """Return pairs of rows ``(n_pairs, 2)`` of one kind whose distance is at most `limit`."""
    from scipy.spatial import cKDTree

    if not limit > 0:
        return np.zeros((0, 2), np.int64)
    axes = np.linalg.qr(rng.normal(size=(values.shape[1], min(_N_AXES, values.shape[1]))))[0]
    points = np.column_stack([values @ axes, kinds * _FAR * limit])
    k = min(_N_NEIGHBOURS, len(points))
    _, neighbours = cKDTree(points).query(points, k=k, distance_upper_bound=limit * (1.0 + 1e-9))
    one, place = np.nonzero(neighbours < len(points))
    pairs = np.column_stack([one, np.asarray(neighbours)[one, place]])
    pairs = pairs[pairs[:, 0] < pairs[:, 1]]
    distance = np.sqrt(((values[pairs[:, 0]] - values[pairs[:, 1]]) ** 2).sum(axis=1))
    is_near = (distance <= limit) & (kinds[pairs[:, 0]] == kinds[pairs[:, 1]])
    return np.asarray(pairs[is_near], np.int64)


def find_near_duplicates(exact: np.ndarray, near: np.ndarray, together: np.ndarray) -> tuple[Finding, ...]:
    """Report rows nearly equal to another row beyond the exactly equal ones.

    A warning when folds would part at least 1 % of the rows from such a row, else a note.

    Parameters
    ----------
    exact, near
        ``(n_rows,)``: equal, and equal or nearly equal rows, share a number.
    together
        ``(n_rows,)``: rows that folds keep together share a number.
    """
    n_exact, n_near = np.bincount(exact), np.bincount(near)
    is_near = n_near[near] > n_exact[exact]
    if not is_near.any():
        return ()
    n_kept = np.bincount(np.unique(np.column_stack([near, together]), axis=0)[:, 0])
    n_found, n_parted = int(is_near.sum()), int((is_near & (n_kept[near] > 1)).sum())
    severity: Severity = "warning" if n_parted >= PARTED * near.size else "note"
    evidence = (
        f"{n_found:,} of {near.size:,} rows ({percent(n_found / near.size)}) lie within 1 % of the usual "
        f"distance between neighbours from another row; folds could part {n_parted:,} of them from it."
    )
    remedy = "Keep such rows in one fold with --near-duplicates."
    return (Finding("near duplicate rows", severity, (), evidence, remedy),)
