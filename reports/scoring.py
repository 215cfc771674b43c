"""Losses of many prediction tables under many row weights at once.

`losses` agrees with `search.metrics.loss` on every table and every weight vector; means of rows become one
matrix product, rank metrics sort each table once.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from search import metrics
from search.metrics import Metric

Array = NDArray[Any]
Pooled = Callable[[Metric, Array, Array, Array], Array]

N_WEIGHTS_AT_ONCE = 64  # keeps the sorted weights of a table within a processor's cache
N_TABLES_AT_ONCE = 16  # likewise
N_BITS = 8  # of a number that make room for a weight below 128 and a class
MOST_VALUES = 4_000_000  # of row losses held at a time


def losses(metric: Metric, y: Array, tables: Array, row_weights: Array) -> Array:
    """Return the loss of every table under every row weighting, lower is better.

    Parameters
    ----------
    metric
        Bound to the task.
    y : (n_rows, n_outputs)
    tables : (n_tables, n_rows, n_outputs)
        Finite predictions.
    row_weights : (n_weights, n_rows)
        At least 0; a row of weight 0 counts as absent.

    Returns
    -------
    (n_tables, n_weights) float64
        NaN where the metric is undefined on the weighted rows, or no row has weight.
    """
    y, weights = np.asarray(y, np.float64), np.asarray(row_weights, np.float64)
    if tables.ndim != 3 or tables.shape[1:] != y.shape or weights.ndim != 2 or weights.shape[1] != len(y):
        shapes = f"{y.shape}, {tables.shape} and {weights.shape}"
        raise ValueError(
            "targets, tables and weights must be (n_rows, n_outputs), (n_tables, n_rows, n_outputs) and "
            f"(n_weights, n_rows), got {shapes}"
        )
    found = np.full((len(tables), len(weights)), np.nan)
    is_used = weights.any(axis=1)
    if is_used.any():
        function = _mean_of_rows if metric.is_mean_of_rows else _POOLED.get(metric.name, _one_by_one)
        found[:, is_used] = function(metric, y, tables, weights[is_used])
    return found


def pooled(metric: Metric, y: Array, tables: Array, row_weights: Array) -> Array:
    """Return the loss of each weighting `(n_weights,)`: pooled over rows, averaged over tables.

    Parameters
    ----------
    tables : (..., n_rows, n_outputs)
        NaN where a table has no prediction; tables without any are left out.
    """
    found = []
    for one in tables.reshape(-1, *y.shape):
        rows = np.flatnonzero(~np.isnan(one[:, 0]))
        if rows.size:
            found.append(losses(metric, y[rows], one[None, rows], row_weights[:, rows])[0])
    return np.asarray(np.mean(found, axis=0))


def row_losses(metric: Metric, y: Array, tables: Array) -> Array:
    """Return the loss of each row in each table `(n_tables, n_rows)`, for metrics that are means of rows."""
    n_tables, n_rows, n_outputs = tables.shape
    tiled = np.broadcast_to(y, tables.shape).reshape(n_tables * n_rows, n_outputs)
    flat = tables.reshape(n_tables * n_rows, n_outputs)
    return np.asarray(metric.row_losses(tiled, flat)).reshape(n_tables, n_rows)


def _mean_of_rows(metric: Metric, y: Array, tables: Array, weights: Array) -> Array:
    shares = (weights / weights.sum(axis=1, keepdims=True)).T if not _is_count(metric) else weights.T
    n_chunk = max(1, MOST_VALUES // max(1, tables[0].size))
    chunks = [tables[i : i + n_chunk] for i in range(0, len(tables), n_chunk)]
    means = np.concatenate([row_losses(metric, y, chunk) @ shares for chunk in chunks])
    if _is_count(metric):
        means = means / weights.sum(axis=1)
    return np.sqrt(means) if metric.is_root else means


def _is_count(metric: Metric) -> bool:
    """Whether row losses are whole: summed before they are divided, equal counts stay equal."""
    return not metric.needs_probabilities and metric.is_higher_better


def _one_by_one(metric: Metric, y: Array, tables: Array, weights: Array) -> Array:
    """Return the losses of a metric that has no faster way."""
    return np.array([[metrics.loss(metric, y, table, w) for w in weights] for table in tables])


def _column_by_column(
    curve: Callable[[Array, Array, Array], Array], of_many: Callable[[Array, Array, Array], Array]
) -> Pooled:
    """Return the mean of a two-class measure over the columns where it is defined, turned into a loss.

    `curve` scores one table under many weights, `of_many` many tables under one.
    """

    def pooled(metric: Metric, y: Array, tables: Array, weights: Array) -> Array:
        masses = weights @ y
        is_defined = masses > 0
        if metric.name == "auc":
            is_defined &= weights @ (1.0 - y) > 0
        total = np.zeros((len(tables), len(weights)))
        if len(weights) == 1:
            for j in np.flatnonzero(is_defined[0]):
                total[:, 0] -= of_many(y[:, j], tables[:, :, j], weights[0])
        else:
            _add_areas(total, curve, y, tables, weights, is_defined)
        n_defined = is_defined.sum(axis=1)
        return np.where(n_defined > 0, total / np.maximum(n_defined, 1), np.nan)

    return pooled


def _add_areas(
    total: Array,
    curve: Callable[[Array, Array, Array], Array],
    y: Array,
    tables: Array,
    weights: Array,
    is_defined: Array,
) -> None:
    """Subtract what each column measures from the total `(n_tables, n_weights)`, a cacheful at a time."""
    for start in range(0, len(weights), N_WEIGHTS_AT_ONCE):
        part = slice(start, start + N_WEIGHTS_AT_ONCE)
        turned = np.ascontiguousarray(weights[part].T)
        for i, table in enumerate(tables):
            for j in np.flatnonzero(is_defined[part].any(axis=0)):
                area = curve(y[:, j], table[:, j], turned)
                total[i, part] -= np.where(is_defined[part, j], area, 0.0)


def _cumulated(y: Array, p: Array, w: Array) -> tuple[Array, Array, Array, Array, NDArray[np.int64]]:
    """Return masses at each distinct value of each row of `p (n_tables, n)`, rising, table behind table.

    Positive and negative mass there, both summed until there, and where each table starts.
    """
    order = np.argsort(p, axis=1)
    ranked = np.take_along_axis(p, order, axis=1)
    is_start = np.ones(p.shape, bool)
    np.not_equal(ranked[:, 1:], ranked[:, :-1], out=is_start[:, 1:])
    starts = np.flatnonzero(is_start)
    ends = np.append(starts[1:], p.size) - 1
    masses, sums = [], []
    for mass in ((w * y)[order], (w * (1.0 - y))[order]):
        masses.append(np.add.reduceat(mass.ravel(), starts))
        sums.append(np.cumsum(mass, axis=1).ravel()[ends])
    return masses[0], masses[1], sums[0], sums[1], np.searchsorted(starts, np.arange(len(p)) * p.shape[1])


def _areas(y: Array, p: Array, w: Array) -> Array:
    """Return the area under the ROC curve of each row of `p (n_tables, n_rows)`."""
    p = np.asarray(p, np.float64) + 0.0  # no negative zeros
    found = np.full(len(p), np.nan)
    if (p >= 0).all() and w.max() < 2 ** (N_BITS - 1) and (w % 1 == 0).all():
        chunks = range(0, len(p), N_TABLES_AT_ONCE)
        found = np.concatenate([_untied_wins(y, p[i : i + N_TABLES_AT_ONCE], w) for i in chunks])
    is_tied = np.isnan(found)
    if is_tied.any():
        positive, negative, _, below, firsts = _cumulated(y, p[is_tied], w)
        found[is_tied] = np.add.reduceat(positive * (below - 0.5 * negative), firsts)
    return np.asarray(found / ((w @ y) * (w @ (1.0 - y))))


def _untied_wins(y: Array, p: Array, w: Array) -> Array:
    """Return the mass of the pairs that are ranked rightly `(n_tables,)`, NaN for tables with ties.

    Weight and class replace the last bits of the numbers, which makes it a plain sort; positive floats sort
    like their bits. What differs in those bits alone counts as a tie here.
    """
    code = 2 * w.astype(np.int64) + (y > 0.5)
    keys = (p.view(np.int64) >> N_BITS << N_BITS) | code
    keys.sort(axis=1)
    is_tied = ((keys[:, 1:] ^ keys[:, :-1]) >> N_BITS == 0).any(axis=1)
    keys &= 2**N_BITS - 1
    is_positive = keys & 1
    mass = keys >> 1
    hits = mass * is_positive
    below = np.cumsum(mass - hits, axis=1)
    return np.where(is_tied, np.nan, np.einsum("ij,ij->i", hits, below).astype(np.float64))


def _precisions(y: Array, p: Array, w: Array) -> Array:
    """Return the average precision of each row of `p (n_tables, n_rows)`."""
    positive, _, hits, misses, firsts = _cumulated(y, -p, w)
    found = hits + misses
    precision = np.divide(hits, found, out=np.zeros_like(hits), where=found > 0)
    return np.asarray(np.add.reduceat(positive * precision, firsts) / (w @ y))


def _sorted(p: Array) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Return the rising order of `p (n,)`, and for each place in it where its equals start and end."""
    order = np.argsort(p)
    is_start = np.diff(p[order], prepend=-np.inf) != 0
    starts = np.flatnonzero(is_start)
    group = np.cumsum(is_start) - 1
    ends = np.append(starts[1:], len(p))
    return order, starts[group], ends[group]


def _area(y: Array, p: Array, weights: Array) -> Array:
    """Return the area under the ROC curve for each column of weights `(n_rows, n_weights)`."""
    order, first, last = _sorted(p)
    ranked, is_positive = weights[order], y[order] > 0.5
    below = np.zeros((len(p) + 1, weights.shape[1]))
    np.cumsum(np.where(is_positive[:, None], 0.0, ranked), axis=0, out=below[1:])
    hits = ranked[is_positive]
    wins = (hits * (below[first[is_positive]] + below[last[is_positive]])).sum(axis=0) / 2.0
    pairs = hits.sum(axis=0) * below[-1]
    return np.asarray(np.divide(wins, pairs, out=np.zeros_like(wins), where=pairs > 0))


def _precision(y: Array, p: Array, weights: Array) -> Array:
    """Return the average precision for each column of weights `(n_rows, n_weights)`."""
    order, _, last = _sorted(-p)
    ranked, is_positive = weights[order], y[order] > 0.5
    ends = last[is_positive] - 1
    found = np.cumsum(np.where(is_positive[:, None], ranked, 0.0), axis=0)
    retrieved = np.cumsum(ranked, axis=0)[ends]
    precision = np.divide(found[ends], retrieved, out=np.zeros_like(retrieved), where=retrieved > 0)
    mass = found[-1]
    return np.asarray((ranked[is_positive] * precision).sum(axis=0) / np.where(mass > 0, mass, 1.0))


def _said(metric: Metric, y: Array, tables: Array) -> tuple[Array, Array]:
    """Return true `(n_rows, n_classes)` and predicted memberships `(n_tables, n_rows, n_classes)`."""
    kind = metric.kind or ("binary" if y.shape[1] == 1 else "multiclass")
    if kind == "multiclass":
        classes = np.arange(y.shape[1])
        return y.argmax(axis=1)[:, None] == classes, tables.argmax(axis=2)[:, :, None] == classes
    is_true, is_said = y > 0.5, tables > 0.5
    if kind == "binary" and metric.name == "balanced_accuracy":
        return np.concatenate([~is_true, is_true], 1), np.concatenate([~is_said, is_said], 2)
    return is_true, is_said


def _masses(weights: Array, memberships: Array) -> Array:
    """Return the weight of each class `(n_tables, n_weights, n_classes)`."""
    return np.asarray(weights @ memberships.astype(np.float64))


def _balanced_accuracy(metric: Metric, y: Array, tables: Array, weights: Array) -> Array:
    is_true, is_said = _said(metric, y, tables)
    mass = weights @ is_true
    recall = _masses(weights, is_said & is_true) / np.where(mass > 0, mass, 1.0)
    return np.asarray(-(recall.sum(axis=2) / (mass > 0).sum(axis=1)))


def _f1(metric: Metric, y: Array, tables: Array, weights: Array) -> Array:
    is_true, is_said = _said(metric, y, tables)
    mass = weights @ is_true + _masses(weights, is_said)
    f1 = 2.0 * _masses(weights, is_said & is_true) / np.where(mass > 0, mass, 1.0)
    kind = metric.kind or ("binary" if y.shape[1] == 1 else "multiclass")
    n_counted = (mass > 0).sum(axis=2) if kind == "multiclass" else y.shape[1]
    return np.asarray(-(f1.sum(axis=2) / n_counted))


def _r2(metric: Metric, y: Array, tables: Array, weights: Array) -> Array:
    shares = weights / weights.sum(axis=1, keepdims=True)
    error = shares @ ((y - tables) ** 2)  # (n_tables, n_weights, n_outputs)
    means = shares @ y
    total = np.stack([share @ (y - mean) ** 2 for share, mean in zip(shares, means, strict=True)])
    ratio = np.where(total > 0, error / np.where(total > 0, total, 1.0), np.where(error > 0, 1.0, 0.0))
    return np.asarray((ratio - 1.0).mean(axis=2))


_POOLED: dict[str, Pooled] = {
    "auc": _column_by_column(_area, _areas),
    "average_precision": _column_by_column(_precision, _precisions),
    "balanced_accuracy": _balanced_accuracy,
    "f1": _f1,
    "r2": _r2,
}
