"""One table of metrics: name -> direction, range, tasks, function. Signs flip in `loss` alone."""

from __future__ import annotations

import difflib
from collections.abc import Callable
from dataclasses import dataclass, replace
from math import inf, nan

import numpy as np

from spaces.task import Kind, Task

CLIP = 1e-7  # probabilities are kept this far from 0 and 1 in logarithms; float32 can hold 1 - 1e-7

RowFunction = Callable[[np.ndarray, np.ndarray, Kind], np.ndarray]
PooledFunction = Callable[[np.ndarray, np.ndarray, np.ndarray, Kind], float]

CLASSES: frozenset[Kind] = frozenset({"binary", "multiclass", "multilabel"})
REGRESSION: frozenset[Kind] = frozenset({"regression"})


class MetricError(ValueError):
    """A metric was asked for something that it is not defined for."""


@dataclass(frozen=True)
class Metric:
    """A score of predictions.

    Parameters
    ----------
    name
        Key in `METRICS`.
    is_higher_better
        Direction of `score`.
    needs_probabilities
        Whether the size of a probability matters, not only on which side of the decision it lies.
    low, high
        Range of `score`.
    tasks
        Kinds of task that it is defined for.
    rows
        Losses per row, for a metric that is a mean of rows.
    pooled
        The score from all rows together, for any other metric.
    is_root
        Whether the score is the square root of the mean of the row losses.
    kind
        The kind of task it is bound to (see `metric_for`); when ``None``, several probability columns are one
        multiclass target.
    """

    name: str
    is_higher_better: bool
    needs_probabilities: bool
    low: float
    high: float
    tasks: frozenset[Kind]
    rows: RowFunction | None = None
    pooled: PooledFunction | None = None
    is_root: bool = False
    kind: Kind | None = None

    @property
    def is_mean_of_rows(self) -> bool:
        """Whether `row_losses` exists and its weighted mean is the loss (its root if `is_root`)."""
        return self.rows is not None

    def score(self, y: np.ndarray, p: np.ndarray, row_weights: np.ndarray | None = None) -> float:
        """Score predictions in the metric's own direction.

        Parameters
        ----------
        y, p
            Targets and predictions ``(n_rows, n_outputs)``.
        row_weights
            ``(n_rows,)``, at least 0; a row of weight 0 counts as absent. ``None``: all equal.

        Returns
        -------
        float
            NaN where a prediction is not finite, or where the metric is undefined on these rows (AUC of one
            class).

        Raises
        ------
        MetricError
            If shapes or weights do not fit, or the targets lie outside what the metric is defined for.
        """
        y, p = _checked(y, p)
        w = _checked_weights(row_weights, len(y))
        if not np.isfinite(p).all():
            return nan
        if self.rows is None:
            assert self.pooled is not None
            return float(self.pooled(y, p, w, self._kind(y)))
        mean = float(self.rows(y, p, self._kind(y)) @ w / w.sum())
        return mean**0.5 if self.is_root else (-mean if self.is_higher_better else mean)

    def row_losses(self, y: np.ndarray, p: np.ndarray) -> np.ndarray:
        """Return the loss of each row ``(n_rows,)``, lower is better.

        Raises
        ------
        MetricError
            If the metric is not a mean of rows.
        """
        if self.rows is None:
            raise MetricError(f"row losses exist for means of rows only, not for {self.name!r}")
        y, p = _checked(y, p)
        return self.rows(y, p, self._kind(y))

    def _kind(self, y: np.ndarray) -> Kind:
        """Return the kind it is bound to, or the one that the columns suggest."""
        if self.kind is not None:
            return self.kind
        if "regression" in self.tasks:
            return "regression"
        return "binary" if y.shape[1] == 1 else "multiclass"


def loss(metric: Metric, y: np.ndarray, p: np.ndarray, row_weights: np.ndarray | None = None) -> float:
    """Return the score turned so that lower is better."""
    score = metric.score(y, p, row_weights)
    return -score if metric.is_higher_better else score


def default_metric(task: Task) -> str:
    """Return the name of the metric used when none is asked for: ``log_loss`` or ``rmse``."""
    return "log_loss" if task.is_classification else "rmse"


def metric_for(name: str, task: Task) -> Metric:
    """Return a metric bound to a kind of task.

    Raises
    ------
    MetricError
        If no metric has this name, or it is not defined for the task.
    """
    fitting = sorted(n for n, m in METRICS.items() if task.kind in m.tasks)
    if name not in METRICS:
        nearest = difflib.get_close_matches(name, fitting, 1, cutoff=0.0)[0]
        raise MetricError(
            f"no metric is called {name!r}; the nearest is {nearest!r} (of {', '.join(fitting)})"
        )
    if name not in fitting:
        raise MetricError(
            f"metric {name!r} is not defined for a {task.kind} task; use one of {', '.join(fitting)}"
        )
    return replace(METRICS[name], kind=task.kind)


def _checked(y: np.ndarray, p: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return both as float64 of one two-dimensional shape."""
    y, p = np.asarray(y, np.float64), np.asarray(p, np.float64)
    if y.ndim != 2 or y.shape != p.shape or not y.size:
        raise MetricError(
            f"targets and predictions must both be (n_rows, n_outputs), not {y.shape} and {p.shape}"
        )
    return y, p


def _checked_weights(row_weights: np.ndarray | None, n_rows: int) -> np.ndarray:
    """Return weights ``(n_rows,)``, ones by default."""
    if row_weights is None:
        return np.ones(n_rows)
    w = np.asarray(row_weights, np.float64)
    if w.shape != (n_rows,):
        raise MetricError(f"row weights must be ({n_rows},), not {w.shape}")
    if not (np.isfinite(w).all() and (w >= 0).all() and w.any()):
        raise MetricError("row weights must be finite, at least 0 and not all 0")
    return w


def _log_loss_rows(y: np.ndarray, p: np.ndarray, kind: Kind) -> np.ndarray:
    """Negative log likelihood in nats: of the class, or the mean over labels."""
    if kind == "multiclass":
        return np.asarray(-(y * np.log(np.clip(p, CLIP, 1.0))).sum(axis=1))
    p = np.clip(p, CLIP, 1.0 - CLIP)
    return np.asarray(-(y * np.log(p) + (1.0 - y) * np.log1p(-p)).mean(axis=1))


def _brier_rows(y: np.ndarray, p: np.ndarray, kind: Kind) -> np.ndarray:
    """Squared error of the probabilities: summed over classes, or the mean over labels."""
    squares = (y - p) ** 2
    return np.asarray(squares.sum(axis=1) if kind == "multiclass" else squares.mean(axis=1))


def _accuracy_rows(y: np.ndarray, p: np.ndarray, kind: Kind) -> np.ndarray:
    """Return -1 where the decision is right (for multilabel: of every label), else 0."""
    if kind == "multiclass":
        is_right = p.argmax(axis=1) == y.argmax(axis=1)
    else:
        is_right = ((p > 0.5) == (y > 0.5)).all(axis=1)
    return np.where(is_right, -1.0, 0.0)


def _square_rows(y: np.ndarray, p: np.ndarray, kind: Kind) -> np.ndarray:
    """Squared error, mean over targets."""
    return np.asarray(((y - p) ** 2).mean(axis=1))


def _absolute_rows(y: np.ndarray, p: np.ndarray, kind: Kind) -> np.ndarray:
    """Absolute error, mean over targets."""
    return np.asarray(np.abs(y - p).mean(axis=1))


def _relative_rows(y: np.ndarray, p: np.ndarray, kind: Kind) -> np.ndarray:
    """Absolute error over the target's size, mean over targets (1 is 100 %)."""
    size = np.maximum(np.abs(y), np.finfo(np.float64).eps)
    return np.asarray((np.abs(y - p) / size).mean(axis=1))


def _log_square_rows(y: np.ndarray, p: np.ndarray, kind: Kind) -> np.ndarray:
    """Squared error of log(1 + value), mean over targets; predictions below 0 count as 0."""
    if (y < 0).any():
        raise MetricError(f"rmsle needs targets of at least 0, not {float(y.min()):g}")
    return _square_rows(np.log1p(y), np.log1p(np.maximum(p, 0.0)), kind)


def _decisions(y: np.ndarray, p: np.ndarray, kind: Kind) -> tuple[np.ndarray, np.ndarray]:
    """Return true and predicted memberships ``(n_rows, n_classes)`` as booleans; binary has two columns."""
    if kind == "multiclass":
        classes = np.arange(y.shape[1])
        return y.argmax(axis=1)[:, None] == classes, p.argmax(axis=1)[:, None] == classes
    return y > 0.5, p > 0.5


def _balanced_accuracy(y: np.ndarray, p: np.ndarray, w: np.ndarray, kind: Kind) -> float:
    """Recall, mean over the classes that occur."""
    is_true, is_said = _decisions(y, p, kind)
    if kind == "binary":
        is_true, is_said = np.hstack([~is_true, is_true]), np.hstack([~is_said, is_said])
    mass = w @ is_true
    occurs = mass > 0
    return float(((w @ (is_true & is_said))[occurs] / mass[occurs]).mean())


def _f1(y: np.ndarray, p: np.ndarray, w: np.ndarray, kind: Kind) -> float:
    """Harmonic mean of precision and recall: of the positive class, else the mean over classes or labels."""
    is_true, is_said = _decisions(y, p, kind)
    mass = w @ is_true + w @ is_said
    hits = 2.0 * (w @ (is_true & is_said))
    f1 = np.divide(hits, mass, out=np.zeros_like(hits), where=mass > 0)
    return float(f1[mass > 0].mean() if kind == "multiclass" else f1.mean())


def _by_column(curve: Callable[[np.ndarray, np.ndarray, np.ndarray], float]) -> PooledFunction:
    """Take a two-class measure over each column against the rest, mean over those where it is defined."""

    def pooled(y: np.ndarray, p: np.ndarray, w: np.ndarray, kind: Kind) -> float:
        is_there = w > 0
        y, p, w = y[is_there], p[is_there], w[is_there]
        found = np.array([curve(y[:, j], p[:, j], w) for j in range(y.shape[1])])
        return float(found[~np.isnan(found)].mean()) if not np.isnan(found).all() else nan

    return pooled


def _masses(y: np.ndarray, p: np.ndarray, w: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the weights of positives and negatives at each distinct prediction, in rising order."""
    order = np.argsort(p, kind="stable")
    starts = np.flatnonzero(np.diff(p[order], prepend=-inf))
    positive, negative = (w * y)[order], (w * (1.0 - y))[order]
    return np.add.reduceat(positive, starts), np.add.reduceat(negative, starts)


def _area(y: np.ndarray, p: np.ndarray, w: np.ndarray) -> float:
    """Probability that a positive ranks above a negative, ties counting half (NaN without both)."""
    positive, negative = _masses(y, p, w)
    if not positive.any() or not negative.any():
        return nan
    below = np.cumsum(negative) - 0.5 * negative
    return float(positive @ below / (positive.sum() * negative.sum()))


def _precision(y: np.ndarray, p: np.ndarray, w: np.ndarray) -> float:
    """Precision at each recall step, weighted by the step (NaN without positives)."""
    positive, negative = (mass[::-1] for mass in _masses(y, p, w))
    if not positive.any():
        return nan
    hits = np.cumsum(positive)
    return float(positive @ (hits / (hits + np.cumsum(negative))) / positive.sum())


def _r2(y: np.ndarray, p: np.ndarray, w: np.ndarray, kind: Kind) -> float:
    """One minus the squared error over the variance, mean over targets (constant: 1 if exact, else 0)."""
    error = w @ (y - p) ** 2
    total = w @ (y - (w @ y) / w.sum()) ** 2
    r2 = 1.0 - np.divide(error, total, out=np.where(error > 0, 1.0, 0.0), where=total > 0)
    return float(r2.mean())


METRICS: dict[str, Metric] = {
    m.name: m
    for m in (
        Metric("log_loss", False, True, 0.0, inf, CLASSES, rows=_log_loss_rows),
        Metric("brier", False, True, 0.0, inf, CLASSES, rows=_brier_rows),
        Metric("accuracy", True, False, 0.0, 1.0, CLASSES, rows=_accuracy_rows),
        Metric(
            "balanced_accuracy", True, False, 0.0, 1.0, CLASSES - {"multilabel"}, pooled=_balanced_accuracy
        ),
        Metric("f1", True, False, 0.0, 1.0, CLASSES, pooled=_f1),
        Metric("auc", True, True, 0.0, 1.0, CLASSES, pooled=_by_column(_area)),
        Metric("average_precision", True, True, 0.0, 1.0, CLASSES, pooled=_by_column(_precision)),
        Metric("rmse", False, False, 0.0, inf, REGRESSION, rows=_square_rows, is_root=True),
        Metric("mae", False, False, 0.0, inf, REGRESSION, rows=_absolute_rows),
        Metric("mape", False, False, 0.0, inf, REGRESSION, rows=_relative_rows),
        Metric("rmsle", False, False, 0.0, inf, REGRESSION, rows=_log_square_rows, is_root=True),
        Metric("r2", True, False, -inf, 1.0, REGRESSION, pooled=_r2),
    )
}
