"""Columns that are the target in disguise."""

from __future__ import annotations

import numpy as np

from search.audit import quick
from search.audit.finding import ALPHA, Finding, Severity, kept, percent, typed
from search.audit.quick import ALL_COLUMNS, N_FOLDS, Sample

SUSPECT, CERTAIN = 0.10, 0.01  # share of the variance that one column alone leaves
HALF = 0.5
COPY = 0.99  # correlation of two columns' own predictions from which on they say the same
ROUNDING = 1e-9  # share of the variance below which all are the same: a copy of the target leaves nothing
_N_REPEATS, _N_TREES, _MOST = 2, 12, 4


def find_proxies(sample: Sample, rng: np.random.Generator, n_columns: int = 0) -> tuple[Finding, ...]:
    """Report columns that predict the target too well on their own.

    A proxy leaves at most 10 % of the target's variance (1 %: an error), at most half of what all other
    columns leave without it, surely less over folds (corrected for the number of columns), and the other
    columns add little to it: together they do not halve what it leaves. A strong but ordinary feature fails
    the last. Columns whose own predictions correlate above 0.99 are copies, judged without one another.

    `n_columns` is how many the sample's columns were chosen from, where there were more.
    """
    if len(sample.names) < 2:
        return ()
    fold_of_row = quick.folds(sample.strata, sample.units, rng)
    alone = np.stack(
        [
            quick.out_of_fold(sample.X[:, [i]], sample.y, fold_of_row, quick.tree(quick.seed(rng))).ravel()
            for i in range(len(sample.names))
        ]
    )
    left = ((alone - sample.y.ravel()) ** 2).mean(axis=1)
    suspects = [int(i) for i in np.argsort(left, kind="stable")[:_MOST] if left[i] <= SUSPECT]
    found = []
    for i in suspects:
        is_copy = np.array([j == i or _correlation(alone[i], alone[j]) >= COPY for j in range(len(alone))])
        found += _judged(sample, i, is_copy, rng, max(n_columns, len(sample.names)))
    return tuple(found)


def _correlation(a: np.ndarray, b: np.ndarray) -> float:
    """Return the correlation, 0 when one does not vary."""
    a, b = a - a.mean(), b - b.mean()
    size = float(np.sqrt((a @ a) * (b @ b)))
    return float(a @ b) / size if size > 0 else 0.0


def _judged(
    sample: Sample, column: int, is_copy: np.ndarray, rng: np.random.Generator, n_columns: int
) -> list[Finding]:
    """Compare one column alone, all others without it, and all together."""
    one, rest, together, differences = 0.0, 0.0, 0.0, []
    for _ in range(_N_REPEATS):
        fold_of_row = quick.folds(sample.strata, sample.units, rng)
        seed = quick.seed(rng)
        tree, forest = quick.tree(seed), quick.forest(seed, ALL_COLUMNS, _N_TREES)
        by_either = [_losses(sample, sample.X[:, [column]], fold_of_row, fit) for fit in (tree, forest)]
        by_one = min(by_either, key=np.mean)
        by_rest = _losses(sample, sample.X[:, ~is_copy], fold_of_row, forest)
        together += float(_losses(sample, sample.X, fold_of_row, forest).mean()) / _N_REPEATS
        one += float(by_one.mean()) / _N_REPEATS
        rest += float(by_rest.mean()) / _N_REPEATS
        differences += [(by_rest - by_one)[fold_of_row == k].mean() for k in np.unique(fold_of_row)]
    p = quick.tail_of_folds(np.array(differences), 1.0 / (N_FOLDS - 1))
    is_alone_enough = one <= SUSPECT and together > HALF * one - ROUNDING
    if not is_alone_enough or one > HALF * rest or p >= ALPHA / n_columns:
        return []
    return [_finding(sample, column, one, rest, together)]


def _losses(sample: Sample, X: np.ndarray, fold_of_row: np.ndarray, fit: quick.Fit) -> np.ndarray:
    """Return the losses of one model out of fold ``(n_rows,)``."""
    return quick.losses(sample.y, quick.out_of_fold(X, sample.y, fold_of_row, fit))


def _finding(sample: Sample, column: int, one: float, rest: float, together: float) -> Finding:
    """Return the finding of one proxy."""
    name = sample.names[column]
    severity: Severity = "error" if one <= CERTAIN else "warning"
    evidence = (
        f"{name!r} alone leaves {percent(one)} of the target's variance, all other columns {percent(rest)}, "
        f"all together {percent(together)} (chance 100 %; cross-validated trees, {sample.n_rows:,} rows)."
    )
    remedy = (
        f"If it is not known before the target, leave it out with --drop {typed(name)}; "
        f"if it is, say so with {kept(name)}."
    )
    return Finding("target proxy", severity, (name,), evidence, remedy)
