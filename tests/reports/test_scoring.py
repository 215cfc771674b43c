"""Many tables under many weights score what `search.metrics` says of each."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reports.scoring import losses, pooled, row_losses
from search import metrics
from spaces.task import Task

TASKS = {
    "binary": Task("binary", ("y",), (0, 1)),
    "multiclass": Task("multiclass", ("y",), (0, 1, 2)),
    "multilabel": Task("multilabel", ("a", "b"), ()),
    "regression": Task("regression", ("a", "b")),
}
CASES = [(kind, name) for kind in TASKS for name, m in metrics.METRICS.items() if kind in m.tasks]


def example(kind: str, seed: int, n_rows: int = 40, n_tables: int = 3) -> tuple[np.ndarray, np.ndarray]:
    """Targets and tables, with ties among the predictions."""
    rng = np.random.default_rng(seed)
    if kind == "regression":
        return rng.gamma(2.0, size=(n_rows, 2)), rng.gamma(2.0, size=(n_tables, n_rows, 2))
    width = {"binary": 1, "multiclass": 3, "multilabel": 2}[kind]
    tables = rng.random((n_tables, n_rows, width)).round(1)
    if kind == "multiclass":
        tables = (tables + 0.1) / (tables + 0.1).sum(axis=2, keepdims=True)
        return np.eye(3)[rng.integers(0, 3, n_rows)], tables
    return (rng.random((n_rows, width)) < 0.4).astype(float), tables


@pytest.mark.parametrize(("kind", "name"), CASES)
@settings(max_examples=8, deadline=None)
@given(seed=st.integers(0, 2**16))
def test_every_metric_agrees_with_its_definition(kind: str, name: str, seed: int) -> None:
    metric = metrics.metric_for(name, TASKS[kind])
    y, tables = example(kind, seed)
    weights = np.random.default_rng(seed + 1).integers(0, 3, (4, len(y))).astype(float)
    expected = [[metrics.loss(metric, y, table, w) for w in weights] for table in tables]
    np.testing.assert_allclose(losses(metric, y, tables, weights), expected, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("name", ["auc", "average_precision"])
@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 2**16),
    digits=st.sampled_from([1, 3, 20]),
    shift=st.sampled_from([0.0, -0.5]),
    weight=st.sampled_from([1.0, 100.0, 0.3]),
)
def test_rank_metrics_of_many_tables_agree_with_or_without_ties(
    name: str, seed: int, digits: int, shift: float, weight: float
) -> None:
    rng = np.random.default_rng(seed)
    metric = metrics.metric_for(name, TASKS["binary"])
    y = (rng.random((30, 1)) < 0.4).astype(float)
    y[:2, 0] = 0.0, 1.0
    tables = (rng.random((20, 30, 1)) + shift).round(digits)
    tables[0, 5] = np.nextafter(tables[0, 4], 1.0)  # differ by less than a plain sort can keep apart
    weights = rng.integers(0, 3, 30) * weight
    weights[:2] = weight
    expected = [metrics.loss(metric, y, table, weights) for table in tables]
    np.testing.assert_allclose(losses(metric, y, tables, weights[None])[:, 0], expected, rtol=1e-12)


def test_a_missing_class_makes_the_area_undefined() -> None:
    metric = metrics.metric_for("auc", TASKS["binary"])
    y = np.array([[0.0], [0.0], [1.0]])
    found = losses(
        metric, y, np.array([[[0.1], [0.2], [0.3]]]), np.array([[1.0, 1, 0], [1, 1, 1], [0, 0, 0]])
    )
    np.testing.assert_array_equal(found, [[np.nan, -1.0, np.nan]])


def test_pooled_leaves_rows_without_prediction_out_and_averages_tables() -> None:
    metric = metrics.metric_for("mae", TASKS["regression"])
    y = np.zeros((3, 2))
    table = np.array([[[1.0, 1], [3, 3], [np.nan, np.nan]], [[5.0, 5], [np.nan, np.nan], [np.nan, np.nan]]])
    np.testing.assert_allclose(pooled(metric, y, table, np.array([[1.0, 1, 1], [1, 0, 1]])), [3.5, 3.0])


def test_row_losses_are_those_of_the_metric() -> None:
    metric = metrics.metric_for("log_loss", TASKS["multiclass"])
    y, tables = example("multiclass", 0)
    expected = [metric.row_losses(y, table) for table in tables]
    np.testing.assert_array_equal(row_losses(metric, y, tables), expected)


def test_shapes_that_do_not_fit_are_refused() -> None:
    metric = metrics.metric_for("mae", TASKS["regression"])
    with pytest.raises(ValueError, match="targets, tables and weights must be"):
        losses(metric, np.zeros((3, 2)), np.zeros((1, 3, 2)), np.ones((1, 4)))
