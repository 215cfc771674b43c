"""Histogram gradient boosting: what scikit-learn predicts, from plain arrays."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from spaces import boosting
from spaces.heads import Head
from spaces.histograms import Arrangement
from tests.spaces.checks import Case, case, small_case

CONFIG = {
    "learning_rate": 0.2, "max_leaf_nodes": 12, "min_samples_leaf": 2, "l2_regularization": 0.1,
    "max_features": 0.8,
}  # fmt: skip


@pytest.fixture(autouse=True)
def _few_rounds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("spaces.boosting.n_rounds", lambda config: 25)


def _theirs(case_: Case, head: Head, x: np.ndarray, x_new: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Scikit-learn on our columns in our order, unknown categories and all."""
    order = np.argsort(~mask, kind="stable")  # its draws of columns follow its own order
    arrangement = Arrangement(order, tuple(np.unique(x[:, k]).astype(np.int64) for k in order[: mask.sum()]))
    model = boosting._estimator(head, CONFIG, arrangement, 5)
    model.fit(x[:, order], head.target(case_.y))
    if head.kind == "regression":
        return np.asarray(model.predict(x_new[:, order]))[:, None]
    found = np.asarray(model.predict_proba(x_new[:, order]))
    return found if head.kind == "multiclass" else found[:, 1:]


@pytest.mark.parametrize("kind", ["binary", "multiclass", "regression"])
def test_equals_scikit_learn(kind: Any) -> None:
    rng = np.random.default_rng(2)
    frame = pd.DataFrame(
        {
            "x": rng.normal(size=300),
            "c": rng.choice([f"level {k}" for k in range(20)], 300),
            "gap": np.where(rng.random(300) < 0.3, np.nan, rng.normal(size=300)),
            "d": rng.choice(["a", "b", None], 300),
        }
    )
    hidden = pd.Series(rng.normal(size=20), [f"level {k}" for k in range(20)])
    signal = frame["x"] + hidden[frame["c"]].to_numpy() + frame["gap"].fillna(2.0)
    case_ = case(kind, frame, signal.to_numpy())
    x = case_.x(boosting)
    x_train, seen = x[:200], Case(case_.schema, case_.table, case_.task, case_.y[:200], case_.statistics)
    x_new = x.copy()
    x_new[250:, 2] = 31.0  # a slot that training never saw
    x_new[260:270, 0] = np.nan  # a gap where training had none
    model = boosting.fit(CONFIG, case_.signature, x_train, seen.y, seed=5)
    mask = np.array([False, False, True, True])
    parts = [_theirs(seen, head, x_train, x_new, mask) for head in model.heads]
    found = boosting.predict(model, x_new, boosting.rounds(CONFIG)[-1])
    assert model.trees[0] is not None and (model.trees[0].category_set >= 0).any()
    tolerance = 1e-9 if kind == "regression" else 4e-6  # probabilities keep away from 0 and 1
    assert np.allclose(found, np.concatenate(parts, axis=1), rtol=0, atol=tolerance)


def test_a_model_is_read_at_no_more_rounds_than_it_has() -> None:
    case_ = small_case("binary")
    x = case_.x(boosting)
    model = boosting.fit(CONFIG, case_.signature, x, case_.y, seed=0)
    last = boosting.rounds(CONFIG)[-1]
    assert np.array_equal(boosting.predict(model, x, last), boosting.predict(model, x, last + 50))
    assert not np.array_equal(boosting.predict(model, x, last), boosting.predict(model, x, last - 10))


def test_zero_rounds_are_the_prior() -> None:
    case_ = small_case("multiclass")
    x = case_.x(boosting)
    model = boosting.fit(CONFIG, case_.signature, x, case_.y, seed=0)
    assert np.allclose(boosting.predict(model, x, 0), case_.y.mean(axis=0), atol=1e-6)


def test_categories_of_too_many_levels_are_numbers() -> None:
    x = np.arange(12.0, dtype=np.float32).reshape(3, 4)
    found = Arrangement.of(x, np.array([0, 8, 256, 255]))
    assert found.order.tolist() == [1, 3, 0, 2] and found.is_set.tolist() == [True, True, False, False]
    assert found.arranged(x).tolist() == [[0, 0, 0, 2], [1, 1, 4, 6], [2, 2, 8, 10]]


def test_threads_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("spaces.boosting.n_rounds", lambda config: 5)
    case_ = small_case("regression")
    x = case_.x(boosting)
    one, two = (boosting.fit(CONFIG, case_.signature, x, case_.y, seed=1, n_threads=n) for n in (1, 2))
    assert boosting.pack(one) == boosting.pack(two)
