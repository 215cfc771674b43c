"""The figures of predictions, against scikit-learn and by hand."""

from typing import Any

import numpy as np
import pytest
from sklearn import metrics as reference

from reports.page.outcomes import MOST_CLASSES, outcomes
from tests.reports.page.runs import KINDS, targets


def found(kind: str, y: Any = None, p: Any = None, **task: Any) -> dict[str, Any]:
    known = targets(kind)
    y, p = (known[0] if y is None else y), (known[1] if p is None else p)
    return outcomes(y, p, {**KINDS[kind], **task}, np.arange(len(y)))


def test_binary_confusion_and_curves_are_scikit_learns() -> None:
    y, p = targets("binary")
    got = found("binary")
    assert got["confusion"]["counts"] == reference.confusion_matrix(y[:, 0], p[:, 0] > 0.5).tolist()
    curve = got["curves"][0]
    assert curve["auc"] == pytest.approx(reference.roc_auc_score(y[:, 0], p[:, 0]), abs=1e-5)
    assert curve["average_precision"] == pytest.approx(
        reference.average_precision_score(y[:, 0], p[:, 0]), abs=1e-5
    )
    rate, recall, _ = reference.roc_curve(y[:, 0], p[:, 0], drop_intermediate=False)
    assert curve["false_positive_rate"] == pytest.approx(rate, abs=1e-5)
    assert curve["recall"] == pytest.approx(recall, abs=1e-5)
    assert got["scores"]["log_loss"] == pytest.approx(reference.log_loss(y[:, 0], p[:, 0]), abs=1e-5)


def test_multiclass_confusion_and_calibration_of_the_predicted_class() -> None:
    y, p = targets("multiclass")
    got = found("multiclass")
    expected = reference.confusion_matrix(y.argmax(1), p.argmax(1))
    assert got["confusion"]["counts"] == expected.tolist()
    bins = got["calibration"]
    right = sum(one["observed"] * one["n"] for one in bins)
    assert right == pytest.approx(np.trace(expected), abs=1e-3) and sum(one["n"] for one in bins) == len(y)
    assert all(one["low"] <= one["observed"] <= one["high"] for one in bins)


def test_many_classes_keep_the_most_frequent() -> None:
    codes = np.concatenate([np.arange(40), np.arange(30, 40)])
    y = np.eye(40)[codes]
    got = found("multiclass", y, np.clip(y, 0.001, 0.9), classes=list(range(40)))
    assert len(got["confusion"]["classes"]) == MOST_CLASSES and set(range(30, 40)) <= set(
        got["confusion"]["classes"]
    )


def test_labels_are_counted_apart() -> None:
    y, p = targets("multilabel")
    first = found("multilabel")["labels"][0]
    (true_no, false_yes), (false_no, true_yes) = reference.confusion_matrix(y[:, 0], p[:, 0] > 0.5)
    counts = (first["hits"], first["misses"], first["false_alarms"], first["rejections"])
    assert counts == (true_yes, false_no, false_yes, true_no)


def test_the_interval_holds_for_new_rows() -> None:
    """Over many samples a further row lies within with probability 0.9."""
    rng, inside = np.random.default_rng(0), []
    for _ in range(400):
        y = rng.standard_t(3, size=(40, 1))
        half = found("regression", y, np.zeros_like(y))["targets"][0]["half_width"]
        inside.append(np.mean(np.abs(rng.standard_t(3, size=500)) <= half))
    assert np.mean(inside) == pytest.approx(37 / 41, abs=0.01)  # the 37th of 41


def test_residuals_by_quarter_show_growing_errors() -> None:
    p = np.linspace(0, 1, 400)[:, None]
    y = p * (1 + np.random.default_rng(0).normal(size=p.shape))
    spreads = [one["spread"] for one in found("regression", y, p)["targets"][0]["by_quarter"]]
    assert spreads == sorted(spreads)


def test_one_class_alone_has_no_curve() -> None:
    y = np.zeros((30, 1))
    got = found("binary", y, np.full((30, 1), 0.2))
    assert got["curves"] == [] and got["scores"]["auc"] is None
