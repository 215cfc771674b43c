"""Metrics: equal to scikit-learn's, with weights, and the laws that all of them keep."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn import metrics as sk

from search.metrics import METRICS, MetricError, default_metric, loss, metric_for
from spaces.task import Kind, Task

TASKS: dict[Kind, Task] = {
    "binary": Task("binary", ("y",), (0, 1)),
    "multiclass": Task("multiclass", ("y",), ("a", "b", "c", "d")),
    "multilabel": Task("multilabel", ("a", "b", "c")),
    "regression": Task("regression", ("u", "v")),
}
PAIRS = [(n, k) for n, m in METRICS.items() for k in sorted(m.tasks)]


def draw(
    kind: Kind, seed: int, n: int = 60, has_ties: bool = True
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return targets, predictions and weights."""
    rng = np.random.default_rng(seed)
    n_outputs = TASKS[kind].n_outputs
    if kind == "multiclass":
        y = np.eye(n_outputs)[np.append(np.arange(n_outputs), rng.integers(0, n_outputs, n - n_outputs))]
        p = rng.dirichlet(np.ones(n_outputs), n)
    elif kind == "regression":
        y, p = rng.gamma(2.0, size=(2, n, n_outputs))
    else:
        y = (rng.random((n, n_outputs)) < 0.4).astype(float)
        y[0], y[1] = 0.0, 1.0
        p = rng.uniform(0.01, 0.99, (n, n_outputs))
        p = p.round(1) * 0.98 + 0.01 if has_ties else p
    return y, p, rng.uniform(0.1, 3.0, n)


def reference(name: str, kind: Kind, y: np.ndarray, p: np.ndarray, w: np.ndarray | None) -> float:
    """Return scikit-learn's value."""
    codes, said = y.argmax(axis=1), p.argmax(axis=1)
    if kind == "binary":
        codes, said = y[:, 0].astype(int), (p[:, 0] > 0.5).astype(int)
    true_labels, said_labels = (y > 0.5).astype(int), (p > 0.5).astype(int)
    two = np.hstack([1 - p, p])

    def per_label(function):
        return np.mean([function(y[:, j], p[:, j], sample_weight=w) for j in range(y.shape[1])])

    match name, kind:
        case "log_loss", "multilabel":
            return per_label(sk.log_loss)
        case "log_loss", _:
            return sk.log_loss(codes, two if kind == "binary" else p, sample_weight=w)
        case "brier", "multiclass":
            return sk.brier_score_loss(codes, p, sample_weight=w)
        case "brier", _:
            return per_label(sk.brier_score_loss)
        case "accuracy", "multilabel":
            return sk.accuracy_score(true_labels, said_labels, sample_weight=w)
        case "accuracy", _:
            return sk.accuracy_score(codes, said, sample_weight=w)
        case "balanced_accuracy", _:
            return sk.balanced_accuracy_score(codes, said, sample_weight=w)
        case "f1", "binary":
            return sk.f1_score(codes, said, sample_weight=w)
        case "f1", "multiclass":
            return sk.f1_score(codes, said, average="macro", sample_weight=w)
        case "f1", _:
            return sk.f1_score(true_labels, said_labels, average="macro", sample_weight=w)
        case "auc", "multiclass":
            return sk.roc_auc_score(codes, p, multi_class="ovr", average="macro", sample_weight=w)
        case "auc", _:
            return per_label(sk.roc_auc_score)
        case "average_precision", _:
            return per_label(sk.average_precision_score)
        case "rmse", _:
            return sk.mean_squared_error(y, p, sample_weight=w) ** 0.5
        case "mae", _:
            return sk.mean_absolute_error(y, p, sample_weight=w)
        case "mape", _:
            return sk.mean_absolute_percentage_error(y, p, sample_weight=w)
        case "rmsle", _:
            return sk.mean_squared_log_error(y, p, sample_weight=w) ** 0.5
        case "r2", _:
            return sk.r2_score(y, p, sample_weight=w)
    raise AssertionError(name)


@pytest.mark.parametrize(("name", "kind"), PAIRS)
@pytest.mark.parametrize("has_weights", [False, True])
@pytest.mark.parametrize("seed", range(4))
def test_equals_scikit_learn(name: str, kind: Kind, has_weights: bool, seed: int) -> None:
    y, p, w = draw(kind, seed)
    w = w if has_weights else None
    assert metric_for(name, TASKS[kind]).score(y, p, w) == pytest.approx(
        reference(name, kind, y, p, w), abs=1e-9
    )


@pytest.mark.parametrize(("name", "kind"), PAIRS)
@given(seed=st.integers(0, 10_000), weight=st.floats(1e-3, 1e3))
def test_laws(name: str, kind: Kind, seed: int, weight: float) -> None:
    metric = metric_for(name, TASKS[kind])
    y, p, w = draw(kind, seed, n=24)
    score = metric.score(y, p)
    assert metric.low <= score <= metric.high
    assert metric.score(y, p, np.full(24, weight)) == pytest.approx(score, abs=1e-9)
    counts = np.random.default_rng(seed).integers(0, 3, 24)
    counts[:4] = np.maximum(counts[:4], 1)
    repeated = np.repeat(np.arange(24), counts)
    assert metric.score(y, p, counts) == pytest.approx(
        metric.score(y[repeated], p[repeated]), abs=1e-9, nan_ok=True
    )
    assert loss(metric, y, p, w) == (-1 if metric.is_higher_better else 1) * metric.score(y, p, w)


@pytest.mark.parametrize(("name", "kind"), PAIRS)
def test_truth_is_best_and_order_is_nothing(name: str, kind: Kind) -> None:
    metric = metric_for(name, TASKS[kind])
    y, p, w = draw(kind, 1)
    turned = np.random.default_rng(0).permutation(len(y))
    assert metric.score(y[turned], p[turned], w[turned]) == pytest.approx(metric.score(y, p, w), abs=1e-12)
    assert loss(metric, y, y) <= loss(metric, y, p)
    best = metric.high if metric.is_higher_better else metric.low
    assert metric.score(y, y) == pytest.approx(best, abs=2e-7)


@pytest.mark.parametrize(("name", "kind"), [(n, k) for n, k in PAIRS if METRICS[n].is_mean_of_rows])
def test_row_losses_average_to_the_loss(name: str, kind: Kind) -> None:
    metric = metric_for(name, TASKS[kind])
    y, p, w = draw(kind, 2)
    mean = np.average(metric.row_losses(y, p), weights=w)
    assert (mean**0.5 if metric.is_root else mean) == pytest.approx(loss(metric, y, p, w), abs=1e-12)


@pytest.mark.parametrize(("name", "kind"), PAIRS)
def test_inputs_stay_and_float32_will_do(name: str, kind: Kind) -> None:
    metric = metric_for(name, TASKS[kind])
    y, p, w = draw(kind, 3, has_ties=False)
    before = y.copy(), p.copy(), w.copy()
    score = metric.score(y, p, w)
    assert all(np.array_equal(a, b) for a, b in zip(before, (y, p, w), strict=True))
    assert metric.score(y, p.astype(np.float32), w) == pytest.approx(score, rel=1e-4)


@pytest.mark.parametrize(("name", "kind"), PAIRS)
def test_a_prediction_that_is_not_finite_scores_nan(name: str, kind: Kind) -> None:
    y, p, _ = draw(kind, 4)
    p[3, 0] = np.nan
    assert np.isnan(metric_for(name, TASKS[kind]).score(y, p))


def test_certain_and_wrong_costs_a_finite_log_loss() -> None:
    y = np.array([[1.0], [0.0]])
    assert METRICS["log_loss"].score(y, 1 - y) == pytest.approx(-np.log(1e-7))
    wrong = np.float32([[0.0, 1.0]])
    assert METRICS["log_loss"].score(np.array([[1.0, 0.0]]), wrong) == pytest.approx(-np.log(1e-7))


def test_ranks_need_both_classes() -> None:
    y, p = np.ones((3, 1)), np.array([[0.1], [0.2], [0.3]])
    assert np.isnan(METRICS["auc"].score(y, p))
    y[0] = 0
    assert METRICS["auc"].score(y, p) == 1.0
    assert np.isnan(METRICS["auc"].score(y, p, np.array([0.0, 1.0, 1.0])))


def test_names() -> None:
    assert default_metric(TASKS["multilabel"]) == "log_loss"
    assert default_metric(TASKS["regression"]) == "rmse"
    with pytest.raises(MetricError, match="'roc_auc'; the nearest is 'auc'"):
        metric_for("roc_auc", TASKS["binary"])
    with pytest.raises(MetricError, match="'auc' is not defined for a regression task; use one of mae"):
        metric_for("auc", TASKS["regression"])
    assert metric_for("auc", TASKS["multilabel"]) == replace(METRICS["auc"], kind="multilabel")


def test_errors() -> None:
    rmse, y = METRICS["rmse"], np.zeros((3, 1))
    with pytest.raises(MetricError, match=r"not \(3, 1\) and \(3,\)"):
        rmse.score(y, np.zeros(3))
    with pytest.raises(MetricError, match=r"must be \(3,\), not \(2,\)"):
        rmse.score(y, y, np.ones(2))
    for weights in ([0, 0, 0], [-1, 1, 1], [np.nan, 1, 1]):
        with pytest.raises(MetricError, match="finite, at least 0 and not all 0"):
            rmse.score(y, y, np.array(weights))
    with pytest.raises(MetricError, match="means of rows only, not for 'r2'"):
        METRICS["r2"].row_losses(y, y)
    with pytest.raises(MetricError, match="rmsle needs targets of at least 0, not -1"):
        METRICS["rmsle"].score(y - 1, y)
