"""What every study must beat: class frequencies or means, and a linear model."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from search.data import Dataset
from search.preprocess import learn, learn_targets
from search.splits import Folds, Member
from spaces.encoding import Layout, encode


@dataclass(frozen=True)
class Baseline:
    """Out-of-fold predictions of a reference model.

    Parameters
    ----------
    name
        ``"dummy"`` or ``"linear"``.
    predictions
        ``(n_repeats, n_rows, n_outputs)`` float32, NaN where a row was never held out.
    fit_seconds
        Time for all members together.
    n_parameters
        Parameters of one member.
    """

    name: str
    predictions: np.ndarray
    fit_seconds: float
    n_parameters: int


def baselines(dataset: Dataset, folds: Folds) -> tuple[Baseline, ...]:
    """Predict held-out rows with the dummy and the linear model, fitted on each member's training rows."""
    n_features = Layout.of(dataset.schema).n_features
    return (
        _evaluate("dummy", _predict_mean, dataset, folds, dataset.n_outputs),
        _evaluate("linear", _predict_linear, dataset, folds, (n_features + 1) * dataset.n_outputs),
    )


def _evaluate(
    name: str,
    predict: Callable[[Dataset, Member], np.ndarray],
    dataset: Dataset,
    folds: Folds,
    n_parameters: int,
) -> Baseline:
    """Collect the out-of-fold predictions of one reference."""
    found = np.full((folds.n_repeats, dataset.n_rows, dataset.n_outputs), np.nan, np.float32)
    start = time.perf_counter()
    for member in folds.members():
        found[member.repeat, member.held] = predict(dataset, member)
    return Baseline(name, found, time.perf_counter() - start, n_parameters)


def _predict_mean(dataset: Dataset, member: Member) -> np.ndarray:
    """Predict the mean target of the training rows: class frequencies, or the mean."""
    mean = np.average(dataset.y[member.train], axis=0, weights=_weights(dataset, member))
    return np.broadcast_to(mean, (member.held.size, dataset.n_outputs))


def _weights(dataset: Dataset, member: Member) -> np.ndarray | None:
    return None if dataset.row_weights is None else dataset.row_weights[member.train]


def _predict_linear(dataset: Dataset, member: Member) -> np.ndarray:
    """Predict the held-out rows with a ridge or logistic regression on the encoded columns."""
    learned: Any = learn(dataset.table, dataset.schema, member.train).arrays()
    layout = Layout.of(dataset.schema)

    def features(rows: np.ndarray) -> np.ndarray:
        part = dataset.table.take(rows)
        return np.asarray(encode(np, layout, part.numbers, part.codes, **learned), np.float64)

    x_train, x_held, y = features(member.train), features(member.held), dataset.y[member.train]
    weights = _weights(dataset, member)
    if dataset.task.kind == "regression":
        return _ridge(x_train, y, x_held, *learn_targets(dataset.y, dataset.task, member.train), weights)
    if dataset.task.kind == "multiclass":
        return _logistic(x_train, y.argmax(axis=1), x_held, dataset.n_outputs, weights)
    columns = [_logistic(x_train, column, x_held, 2, weights)[:, 1] for column in y.astype(np.int64).T]
    return np.column_stack(columns)


def _ridge(
    x: np.ndarray,
    y: np.ndarray,
    x_held: np.ndarray,
    center: np.ndarray,
    scale: np.ndarray,
    weights: np.ndarray | None,
) -> np.ndarray:
    """Fit standardised targets with a unit penalty and predict in raw units."""
    from sklearn.linear_model import Ridge

    model: Any = Ridge(alpha=1.0).fit(x, (y - center) / scale, weights)
    return np.asarray(model.predict(x_held).reshape(x_held.shape[0], -1) * scale + center)


def _logistic(
    x: np.ndarray, codes: np.ndarray, x_held: np.ndarray, n_classes: int, weights: np.ndarray | None
) -> np.ndarray:
    """Return class probabilities ``(n_held, n_classes)``; a class without training rows gets 0."""
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression

    found = np.zeros((x_held.shape[0], n_classes))
    present = np.unique(codes)
    if present.size == 1:
        found[:, present[0]] = 1.0
        return found
    with warnings.catch_warnings():
        warnings.simplefilter(
            "ignore", ConvergenceWarning
        )  # close enough for a reference; the cap bounds its time
        model: Any = LogisticRegression(C=1.0, max_iter=300).fit(x, codes, weights)
    found[:, present] = model.predict_proba(x_held)
    return found
