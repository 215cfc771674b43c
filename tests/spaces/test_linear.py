"""Linear models: scikit-learn's own, and features that bend."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LogisticRegression, Ridge

from spaces import linear
from spaces.signature import Signature
from tests.spaces.checks import case, mean_loss, small_case


def test_ridge_equals_its_normal_equations() -> None:
    case_ = small_case("regression")
    x = case_.x(linear).astype(np.float64)
    model = linear.fit({"features": "plain", "penalty": 4.0}, case_.signature, x, case_.y, seed=0)
    centered, mean = x - x.mean(axis=0), case_.y.mean(axis=0)
    beta = np.linalg.solve(centered.T @ centered + 4.0 * np.eye(x.shape[1]), centered.T @ (case_.y - mean))
    assert np.allclose(linear.predict(model, x), centered @ beta + mean, atol=1e-9)
    assert np.allclose(linear.predict(model, x), Ridge(alpha=4.0).fit(x, case_.y).predict(x), atol=1e-9)


@pytest.mark.parametrize("kind", ["binary", "multiclass"])
def test_logistic_is_the_minimum_of_the_penalised_loss(kind: Any) -> None:
    case_ = small_case(kind)
    x = case_.x(linear)
    model = linear.fit({"features": "plain", "penalty": 4.0}, case_.signature, x, case_.y, seed=0)
    target = case_.y.argmax(axis=1) if kind == "multiclass" else case_.y[:, 0]
    theirs = LogisticRegression(C=0.25, tol=1e-8, max_iter=5000).fit(x, target).predict_proba(x)
    assert np.allclose(linear.predict(model, x), theirs[:, -case_.y.shape[1] :], atol=1e-4)


@pytest.mark.parametrize(
    ("features", "signal"),
    [("hinges", lambda a, b: np.abs(a)), ("products", lambda a, b: a * b)],
)
def test_features_learn_what_plain_columns_cannot(features: str, signal: Any) -> None:
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(2, 200))
    case_ = case("regression", pd.DataFrame({"a": a, "b": b}), signal(a, b))
    x = case_.x(linear)
    losses = [
        mean_loss(case_, linear.predict(linear.fit(config, case_.signature, x, case_.y, seed=0), x))
        for config in ({"features": "plain", "penalty": 1.0}, {"features": features, "penalty": 1.0})
    ]
    assert losses[1] < 0.5 * losses[0]


@pytest.mark.parametrize("features", ["hinges", "products"])
def test_features_do_not_run_away_outside_the_training_range(features: str) -> None:
    case_ = small_case("regression")
    x = case_.x(linear)
    model = linear.fit({"features": features, "penalty": 1.0}, case_.signature, x, case_.y, seed=0)
    far = x.copy()
    far[:, 0] = 1e6
    edge = x.copy()
    edge[:, 0] = x[:, 0].max()
    assert np.allclose(linear.predict(model, far), linear.predict(model, edge))


def test_products_are_offered_for_few_columns_only() -> None:
    def options(n: int) -> Any:
        frame = pd.DataFrame({f"x{i}": np.arange(9.0) for i in range(n)})
        signature = Signature(case("regression", frame, np.arange(9.0)).schema, small_case("regression").task)
        return linear.default_space(signature).parameters["features"].options  # type: ignore[union-attr]

    assert options(1) == ("plain", "hinges")
    assert options(30) == ("plain", "hinges", "products") and options(31) == ("plain", "hinges")


def test_structure_is_the_features_alone() -> None:
    assert linear.structure({"features": "plain", "penalty": 1.0}) == linear.structure({"features": "plain"})
    assert linear.structure({"features": "plain"}) != linear.structure({"features": "hinges"})
