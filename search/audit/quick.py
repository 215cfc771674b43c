"""Quick models for the audit: extremely randomised trees on a sample of rows, scored out of fold.

Every task is treated as least squares on standardised targets, so that one number fits all: the share of
the targets' variance that a model leaves, where 1 is chance. For classes this is the Brier score over its
value at chance.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from search.assignment import assign
from search.data import Dataset

MOST_ROWS, MOST_CELLS, FEWEST_ROWS = 5_000, 150_000, 1_000
MOST_COLUMNS = 100
N_FOLDS = 5
ALL_COLUMNS, SOME_COLUMNS = 1.0, 0.34  # tried at each split: exact, or quick

Fit = Callable[[np.ndarray, np.ndarray], Any]


@dataclass(frozen=True)
class Sample:
    """Rows for quick models.

    Parameters
    ----------
    names
        The columns of `X`.
    X
        Inputs ``(n_rows, n_columns)`` float32: numbers, and category codes in the order of their text; NaN
        where missing.
    y
        Standardised targets ``(n_rows, n_outputs)`` float64: a model that knows nothing has a loss of 1.
    strata, units
        ``(n_rows,)``: what folds keep in proportion, and which rows they keep together.
    rows
        ``(n_rows,)``: positions in the dataset, rising.
    """

    names: tuple[str, ...]
    X: np.ndarray
    y: np.ndarray
    strata: np.ndarray
    units: np.ndarray
    rows: np.ndarray

    @property
    def n_rows(self) -> int:
        """Rows of the sample."""
        return int(self.rows.size)


def inputs(dataset: Dataset, names: Sequence[str], rows: np.ndarray | None = None) -> np.ndarray:
    """Return the named columns ``(n_rows, n_columns)`` float32 in the given order, NaN where missing."""
    table = dataset.table if rows is None else dataset.table.take(rows)
    codes = np.where(table.codes == 0, np.float32(np.nan), table.codes).astype(np.float32)
    place = {c.name: table.numbers[:, i] for i, c in enumerate(dataset.schema.numbers)}
    place |= {c.name: codes[:, i] for i, c in enumerate(dataset.schema.categories)}
    return np.column_stack([place[n] for n in names]) if names else np.zeros((table.n_rows, 0), np.float32)


def n_quick(n_columns: int) -> int:
    """Return how many rows quick models see: 5,000, fewer from 30 columns on."""
    return int(np.clip(MOST_CELLS // max(n_columns, 1), FEWEST_ROWS, MOST_ROWS))


def draw(n_rows: int, n_wanted: int, rng: np.random.Generator) -> np.ndarray:
    """Return at most `n_wanted` of the rows, sorted."""
    return np.sort(rng.choice(n_rows, n_wanted, replace=False)) if n_rows > n_wanted else np.arange(n_rows)


def sample(dataset: Dataset, names: Sequence[str], units: np.ndarray, rows: np.ndarray) -> Sample:
    """Return the given rows of the named columns; `units` ``(all rows,)`` says which belong together."""
    y = dataset.y[rows]
    strata = np.zeros(rows.size, np.int64)
    if dataset.task.kind in ("binary", "multiclass"):
        strata = y.argmax(axis=1) if y.shape[1] > 1 else y[:, 0].astype(np.int64)
    X, standardised = inputs(dataset, names, rows), _standardised(y, dataset.task.kind == "regression")
    return Sample(tuple(names), X, standardised, strata, compact(units[rows]), rows)


def promising(sample: Sample, rng: np.random.Generator) -> Sample:
    """Return a sample of at most 100 columns: those that say most about the target alone.

    What a column leaves of the target's variance is half the mean square of the target's steps between rows
    that follow one another in the column (von Neumann 1941; the ranking of Chatterjee 2021, "A new
    coefficient of correlation", for targets that are no ranks), ties in random order.
    """
    if len(sample.names) <= MOST_COLUMNS:
        return sample
    order = rng.permutation(sample.n_rows)
    X, y = sample.X[order], sample.y[order]
    left = np.empty(len(sample.names))
    for start in range(0, left.size, MOST_COLUMNS):
        ranked = np.argsort(X[:, start : start + MOST_COLUMNS], axis=0, kind="stable")
        left[start : start + MOST_COLUMNS] = (np.diff(y[ranked], axis=0) ** 2).mean(axis=(0, 2))
    kept = np.sort(np.argsort(left, kind="stable")[:MOST_COLUMNS])
    return replace(sample, names=tuple(sample.names[i] for i in kept), X=sample.X[:, kept])


def column_means(values: np.ndarray) -> np.ndarray:
    """Return the means of the present values ``(n_columns,)``, 0 where there are none."""
    present = ~np.isnan(values)
    total = np.where(present, values, 0.0).sum(axis=0)
    return np.asarray(total / np.maximum(present.sum(axis=0), 1))


def compact(units: np.ndarray) -> np.ndarray:
    """Number the units 0, 1, ... ``(n_rows,)``."""
    return np.asarray(np.unique(units, return_inverse=True)[1], np.int64)


def _standardised(y: np.ndarray, is_each: bool) -> np.ndarray:
    """Return targets with mean 0 and mean square 1: each of them, or all together."""
    centred = y - y.mean(axis=0)
    square = (centred**2).mean(axis=0) if is_each else np.full(y.shape[1], (centred**2).mean())
    return np.asarray(centred / np.sqrt(np.where(square > 0, square, 1.0)))


def folds(
    strata: np.ndarray, units: np.ndarray, rng: np.random.Generator, n_folds: int = N_FOLDS
) -> np.ndarray:
    """Return the fold of each row ``(n_rows,)``, strata in proportion, units whole."""
    return assign(strata, units, np.full(n_folds, 1.0 / n_folds), rng)


def tree(seed: int) -> Fit:
    """Return a fitter of one small tree, for one column."""
    from sklearn.tree import DecisionTreeRegressor

    return lambda X, y: DecisionTreeRegressor(min_samples_leaf=5, random_state=seed).fit(X, _flat(y))


def forest(seed: int, share: float, n_trees: int) -> Fit:
    """Return a fitter of extremely randomised trees that try a share of the columns at each split."""
    from sklearn.ensemble import ExtraTreesRegressor

    def fit(X: np.ndarray, y: np.ndarray) -> Any:
        model: Any = ExtraTreesRegressor(n_trees, max_features=share, random_state=seed)
        return model.fit(X, _flat(y))

    return fit


def mean(X: np.ndarray, y: np.ndarray) -> Any:
    """Fit the model that says the mean of its training rows."""
    from sklearn.dummy import DummyRegressor

    return DummyRegressor().fit(X, _flat(y))


def seed(rng: np.random.Generator) -> int:
    """Return a seed for one model."""
    return int(rng.integers(2**31 - 1))


def _flat(y: np.ndarray) -> np.ndarray:
    return y[:, 0] if y.shape[1] == 1 else y


def predict(model: Any, X: np.ndarray) -> np.ndarray:
    """Return predictions ``(n_rows, n_outputs)``."""
    return np.asarray(model.predict(X), np.float64).reshape(len(X), -1)


def out_of_fold(
    X: np.ndarray, y: np.ndarray, fold_of_row: np.ndarray, fit: Fit, start: np.ndarray | None = None
) -> np.ndarray:
    """Return predictions ``(n_rows, n_outputs)`` by models that did not see the row; 0 without columns.

    `start` ``(n_folds, n_rows, n_outputs)`` is what a model adds to, for each fold left out.
    """
    found = np.zeros_like(y)
    for fold in np.unique(fold_of_row):
        is_held = fold_of_row == fold
        before = np.zeros_like(y) if start is None else start[fold]
        found[is_held] = before[is_held]
        if X.shape[1] and not is_held.all():
            model = fit(X[~is_held], (y - before)[~is_held])
            found[is_held] += predict(model, X[is_held])
    return found


def losses(y: np.ndarray, p: np.ndarray) -> np.ndarray:
    """Return the squared error of each row ``(n_rows,)``; 1 on average at chance."""
    return np.asarray(((y - p) ** 2).mean(axis=1))


def tail_of_folds(differences: np.ndarray, held_over_train: float) -> float:
    """Return the one-sided p-value that the mean of differences between folds is above 0.

    Nadeau and Bengio (2003): the variance of the mean is ``s^2 (1 / J + n_held / n_train)``, because the
    folds' training rows overlap; t with J - 1 degrees of freedom.
    """
    n = differences.size
    error = float(differences.std(ddof=1)) * np.sqrt(1.0 / n + held_over_train)
    return _tail(float(differences.mean()), float(error), n - 1)


def tail_of_units(differences: np.ndarray, units: np.ndarray) -> float:
    """Return the one-sided p-value that the mean of row differences is above 0, units being independent.

    Cluster-robust standard error; t with as many degrees of freedom as there are effective units, less one.
    """
    sizes = np.bincount(units).astype(np.float64)
    mean = float(differences.mean())
    excess = np.bincount(units, differences) - mean * sizes
    n_effective = sizes.sum() ** 2 / (sizes**2).sum()
    if n_effective < 2:
        return 1.0
    error = np.sqrt((excess**2).sum() * sizes.size / (sizes.size - 1)) / differences.size
    return _tail(mean, float(error), n_effective - 1)


def _tail(mean: float, error: float, freedom: float) -> float:
    """Return the probability above mean / error of Student's t."""
    from scipy import stats

    if error <= 0:
        return float(mean <= 0)
    return float(stats.t.sf(mean / error, freedom))
