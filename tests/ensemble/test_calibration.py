import json
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize_scalar
from sklearn.isotonic import IsotonicRegression

from ensemble.calibration import Calibration, calibrate, fitted
from ensemble.losses import log_loss
from tests.ensemble.tables import repeated, table

CLASSIFICATION = ("binary", "multiclass", "multilabel")


def predicted(kind: str, gain: float, *, n_rows: int = 400, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """True probabilities, sharpened by the gain on the scale of logits, and what happened."""
    rng = np.random.default_rng(seed)
    z = 1.5 * rng.normal(size=(n_rows, 1 if kind == "binary" else 3))
    if kind == "multiclass":
        odds = np.exp(gain * z)
        return odds / odds.sum(axis=1, keepdims=True), np.eye(3)[
            (z + rng.gumbel(size=z.shape)).argmax(axis=1)
        ]
    y = (rng.random(z.shape) < 1 / (1 + np.exp(-z))).astype(float)
    return 1 / (1 + np.exp(-gain * z)), y


@pytest.mark.parametrize("kind", CLASSIFICATION)
@pytest.mark.parametrize("gain", [0.4, 1.0, 3.0])
def test_the_temperature_has_the_lowest_loss(kind, gain):
    p, y = predicted(kind, gain)
    rows = np.random.default_rng(1).uniform(0, 2, len(y))
    is_over_classes = kind == "multiclass"
    found = fitted("temperature", p, y, rows, is_over_classes=is_over_classes)

    def loss(log_temperature):
        one = Calibration("temperature", float(np.exp(log_temperature)), is_over_classes)
        return log_loss(y, one.apply(p), rows)

    expected = minimize_scalar(loss, bounds=(-2.5, 2.5), method="bounded", options={"xatol": 1e-9})
    assert found.temperature == pytest.approx(np.exp(expected.x), rel=1e-4)


@pytest.mark.parametrize("kind", CLASSIFICATION)
def test_the_temperature_finds_the_truth(kind):
    p, y = predicted(kind, 2.0, n_rows=20_000)
    assert fitted("temperature", p, y, is_over_classes=kind == "multiclass").temperature == pytest.approx(
        2.0, rel=0.05
    )


def test_temperature_by_hand():
    one = Calibration("temperature", 2.0, is_over_classes=True)
    np.testing.assert_allclose(one.apply(np.array([[0.8, 0.2, 0.0]]))[0, :2], [2 / 3, 1 / 3], rtol=2e-3)
    two = Calibration("temperature", 2.0)
    np.testing.assert_allclose(two.apply(np.array([[0.8], [0.5]])), [[2 / 3], [0.5]])


def test_isotonic_is_that_of_scikit_learn_within_the_margin():
    p, y = predicted("binary", 2.0)
    p = np.round(p, 2)  # ties
    rows = np.random.default_rng(1).uniform(0.5, 2, len(y))
    reference = IsotonicRegression(out_of_bounds="clip").fit(p[:, 0], y[:, 0], sample_weight=rows)
    asked = np.linspace(0, 1, 301)[:, None]
    margin = 1 / (len(y) + 2)
    found = fitted("isotonic", p, y, rows, is_over_classes=False).apply(asked)[:, 0]
    reference.y_thresholds_ = reference.y_thresholds_.clip(margin, 1 - margin)
    expected = np.interp(asked[:, 0], reference.X_thresholds_, reference.y_thresholds_)
    np.testing.assert_allclose(found, expected, atol=1e-9)
    assert found.min() == pytest.approx(margin)


@given(
    seed=st.integers(0, 10_000),
    kind=st.sampled_from(CLASSIFICATION),
    method=st.sampled_from(["none", "temperature", "isotonic"]),
)
@settings(max_examples=40, deadline=None)
def test_what_comes_out_is_a_probability_and_survives_json(seed, kind, method):
    if method == "isotonic" and kind == "multiclass":
        method = "temperature"
    p, y = predicted(kind, 3.0, n_rows=30, seed=seed)
    found = fitted(method, p, y, is_over_classes=kind == "multiclass", losses={"none": 0.5})
    hard = np.concatenate([np.eye(3)[p.argmax(axis=1)] if kind == "multiclass" else np.round(p), p])
    out = found.apply(hard)
    assert np.isfinite(out).all() and out.min() >= 0 and out.max() <= 1
    if kind == "multiclass":
        np.testing.assert_allclose(out.sum(axis=1), 1.0)
    again = Calibration.from_json(json.loads(json.dumps(found.to_json())))
    assert again == found
    np.testing.assert_array_equal(again.apply(hard), out)


@given(seed=st.integers(0, 10_000), kind=st.sampled_from(CLASSIFICATION))
@settings(max_examples=20, deadline=None)
def test_a_weight_is_copies_of_one_unit(seed, kind):
    p, y = predicted(kind, 2.0, n_rows=40, seed=seed)
    counts = np.random.default_rng(seed).integers(0, 4, len(y))
    counts[:2] = 1
    rows = np.arange(len(y))
    copies, copied_y = repeated(p[None], y, counts)
    weighted = calibrate(p, y, counts, rows)
    copied = calibrate(copies[0], copied_y, None, np.repeat(rows, counts))
    assert weighted.method == copied.method
    np.testing.assert_allclose(list(weighted.losses.values()), list(copied.losses.values()), rtol=1e-6)
    np.testing.assert_allclose(weighted.apply(p), copied.apply(p), rtol=1e-6)


@pytest.mark.parametrize("kind", CLASSIFICATION)
def test_helps_the_overconfident_and_leaves_the_calibrated_alone(kind):
    chosen, gains = Counter(), []
    for seed in range(20):
        p, y = predicted(kind, 1.0, seed=seed)
        chosen[calibrate(p, y, seed=seed).method] += 1
        p, y = predicted(kind, 2.0, n_rows=2400, seed=seed)
        found = calibrate(p[:400], y[:400], seed=seed)
        gains.append(log_loss(y[400:], p[400:]) - log_loss(y[400:], found.apply(p[400:])))
    assert chosen["none"] >= 16
    assert min(gains) > 0.0 and np.mean(gains) > 0.04


def test_isotonic_where_no_temperature_can_help():
    rng = np.random.default_rng(0)
    p = rng.uniform(0.01, 0.99, (3000, 1))
    y = (rng.random(p.shape) < np.where(p < 0.3, 0.05, np.where(p < 0.6, 0.5, 0.55))).astype(float)
    found = calibrate(p, y)
    assert found.method == "isotonic"
    assert set(found.losses) == {"none", "temperature", "isotonic"}


def test_time_and_regression_and_single_units():
    p, y = predicted("binary", 3.0)
    assert calibrate(p, y, time=np.arange(len(y))).method == "temperature"
    assert calibrate(p, y, units=np.zeros(len(y))) == Calibration()
    (candidates, target) = table("regression")
    nothing = calibrate(candidates[0], target)
    assert nothing == Calibration()
    np.testing.assert_array_equal(nothing.apply(candidates[0]), candidates[0])


def test_missing_predictions_stay_missing():
    p, y = predicted("binary", 2.0)
    for method in ("none", "temperature", "isotonic"):
        out = fitted(method, p, y, is_over_classes=False).apply(np.array([[np.nan], [0.5]]))
        assert np.isnan(out[0, 0]) and np.isfinite(out[1, 0])


@pytest.mark.parametrize(
    "arguments",
    [
        {"method": "platt"},
        {"method": "temperature", "temperature": 0.0},
        {"method": "isotonic"},
        {"method": "isotonic", "steps": (((0.5, 0.2), (0.1, 0.3)),)},
        {"method": "isotonic", "steps": (((0.5,), (float("nan"),)),)},
    ],
)
def test_refused_at_the_door(arguments):
    with pytest.raises(ValueError, match="got"):
        Calibration(**arguments)
