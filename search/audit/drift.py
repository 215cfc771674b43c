"""Differences between development and holdout rows: their inputs, and which of them are missing.

The holdout's targets are never read.
"""

from __future__ import annotations

import numpy as np

from search.audit import quick
from search.audit.finding import ALPHA, Finding, Severity, percent, typed
from search.audit.quick import SOME_COLUMNS
from search.data import Dataset
from search.metrics import METRICS

RELEVANT = 0.55  # area under the curve: below, a classifier tells the two apart in name only
RELEVANT_MISSING = 0.01
_MOST_NAMED, _N_TREES = 3, 20


def find_drift(
    dataset: Dataset, holdout: Dataset, names: tuple[str, ...], rng: np.random.Generator
) -> tuple[Finding, ...]:
    """Report that a quick classifier tells holdout rows from development rows, and by which columns.

    Each half of the rows is told apart by a classifier that saw the other half, and the area under the curve
    tested against 1/2 (see `_area`); the columns likewise by their own small trees, corrected for their
    number. A holdout that follows in time differs by design and gives a note.
    """
    if not names:
        return ()
    X, y, units = _both(dataset, holdout, names, quick.n_quick(len(names)), rng)
    half_of_row = quick.folds(y[:, 0].astype(np.int64), units, rng, 2)
    area, p = _area(X, y, units, half_of_row, quick.forest(quick.seed(rng), SOME_COLUMNS, _N_TREES))
    if area < RELEVANT or p >= ALPHA:
        return ()
    columns = _columns(X, y, units, half_of_row, names, rng)
    severity: Severity = "note" if dataset.time is not None else "warning"
    by = ", ".join(f"{name!r} {own:.2f}" for name, own in columns) or "no column alone"
    evidence = (
        f"A quick classifier tells holdout from development rows with an area under the curve of {area:.2f} "
        f"(0.50 is chance, {len(y):,} rows), alone by {by}."
    )
    remedy = "Expect another score on the holdout; draw it anew with --holdout" + (
        f", or leave the column out with --drop {typed(columns[0][0])}." if columns else "."
    )
    return (Finding("drift", severity, tuple(name for name, _ in columns), evidence, remedy),)


def _both(
    dataset: Dataset, holdout: Dataset, names: tuple[str, ...], n_wanted: int, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return inputs of both, 1 for holdout rows ``(n_rows, 1)``, and which rows belong together."""
    held = quick.draw(holdout.n_rows, n_wanted // 2, rng)
    kept = quick.draw(dataset.n_rows, n_wanted - held.size, rng)
    X = np.vstack([quick.inputs(dataset, names, kept), quick.inputs(holdout, names, held)])
    y = np.repeat([0.0, 1.0], [kept.size, held.size])[:, None]
    own = [_units(dataset)[kept], _units(holdout)[held]]
    return X, y, quick.compact(np.concatenate([own[0], own[1] + own[0].max() + 1]))


def _units(dataset: Dataset) -> np.ndarray:
    """Return which rows belong together ``(n_rows,)``: groups if given, else equal rows."""
    return quick.compact(dataset.duplicates if dataset.groups is None else dataset.groups)


def _area(
    X: np.ndarray, y: np.ndarray, units: np.ndarray, half_of_row: np.ndarray, fit: quick.Fit
) -> tuple[float, float]:
    """Return the area under the curve, mean over the halves, and its one-sided p-value against 1/2.

    Given its classifier, each half's area is a Mann-Whitney statistic with variance
    ``(n_1 + n_0 + 1) / (12 n_1 n_0)``, groups counting once. Twice the mean of the two p-values is a p-value
    (Rueschendorf 1982); out-of-fold scores pooled over many folds would depend on each other.
    """
    from scipy import stats

    found = quick.out_of_fold(X, y, half_of_row, fit)
    areas, tails = [], []
    for half in (0, 1):
        is_here = half_of_row == half
        n_1, n_0 = (np.unique(units[is_here & (y[:, 0] == side)]).size for side in (1.0, 0.0))
        if not (n_1 and n_0):
            return 0.5, 1.0
        areas.append(METRICS["auc"].score(y[is_here], found[is_here]))
        tails.append(stats.norm.sf((areas[-1] - 0.5) / np.sqrt((n_1 + n_0 + 1) / (12.0 * n_1 * n_0))))
    return float(np.mean(areas)), min(1.0, float(np.sum(tails)))


def _columns(
    X: np.ndarray,
    y: np.ndarray,
    units: np.ndarray,
    half_of_row: np.ndarray,
    names: tuple[str, ...],
    rng: np.random.Generator,
) -> list[tuple[str, float]]:
    """Return the columns that tell the two apart on their own, the best three, with their areas."""
    found = []
    for i, name in enumerate(names):
        area, p = _area(X[:, [i]], y, units, half_of_row, quick.tree(quick.seed(rng)))
        if p < ALPHA / len(names):
            found.append((name, area))
    return sorted(found, key=lambda pair: -pair[1])[:_MOST_NAMED]


def find_missing(dataset: Dataset, holdout: Dataset, names: tuple[str, ...]) -> tuple[Finding, ...]:
    """Report columns that are missing at another rate in the holdout.

    Fisher's exact test per column that is ever missing (groups and equal rows counting once), corrected for
    their number, and a difference of at least one in a hundred rows.
    """
    kept, held = (_unit_means(d, names) for d in (dataset, holdout))
    is_ever = kept.any(axis=0) | held.any(axis=0)
    found = []
    for i in np.flatnonzero(is_ever):
        before, after = kept[:, i].mean(), held[:, i].mean()
        if abs(after - before) >= RELEVANT_MISSING and _tail(kept[:, i], held[:, i]) < ALPHA / is_ever.sum():
            found.append((names[i], float(before), float(after)))
    if not found:
        return ()
    found.sort(key=lambda row: -abs(row[2] - row[1]))
    told = ", ".join(f"{n!r} {percent(b)} and {percent(a)}" for n, b, a in found[:_MOST_NAMED])
    more = f", and {len(found) - _MOST_NAMED} more" if len(found) > _MOST_NAMED else ""
    evidence = f"Values are missing at different rates in development and holdout rows: {told}{more}."
    remedy = f"Leave out what will not be known when predicting, with --drop {typed(found[0][0])}."
    return (Finding("missing values", "warning", tuple(n for n, _, _ in found), evidence, remedy),)


def _unit_means(dataset: Dataset, names: tuple[str, ...]) -> np.ndarray:
    """Return the share of missing values per unit and column ``(n_units, n_columns)``."""
    units = _units(dataset)
    sizes = np.bincount(units)
    is_missing = np.isnan(quick.inputs(dataset, names))
    return np.column_stack([np.bincount(units, column) / sizes for column in is_missing.T])


def _tail(kept: np.ndarray, held: np.ndarray) -> float:
    """Return the two-sided p-value of Fisher's exact test on units with most values missing, or not."""
    from scipy import stats

    table = [[int((side > 0.5).sum()), int((side <= 0.5).sum())] for side in (kept, held)]
    return float(stats.fisher_exact(np.array(table)).pvalue)
