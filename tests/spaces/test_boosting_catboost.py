"""catboost: what the library itself predicts, read at any round."""

from __future__ import annotations

import itertools
import sys
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spaces import boosting_catboost
from spaces.boosted import Plain
from tests.spaces.boosters import largest_difference, tables
from tests.spaces.checks import Case, small_case
from tests.spaces.checks import case as table_case

catboost = pytest.importorskip("catboost", reason="an optional extra")


def _theirs(booster: Any, x: np.ndarray, n_rounds: int, case_kind: str) -> np.ndarray:
    frame = pd.DataFrame(x[:, :3].astype(np.float64)).assign(c=x[:, 3].astype(int))
    kind = "RawFormulaVal" if case_kind == "regression" else "Probability"
    data = catboost.Pool(frame, cat_features=["c"])
    found = np.asarray(booster[0].predict(data, prediction_type=kind, ntree_end=n_rounds))
    return found[:, 1] if case_kind == "binary" else found


@pytest.mark.parametrize("kind", ["binary", "multiclass", "regression"])
def test_equals_the_library(kind: Any) -> None:
    case, new = small_case(kind), small_case(kind, n_rows=300, seed=3)
    config = {**boosting_catboost.first_configs(case.signature)[0], "learning_rate": 0.3}
    x, x_new = case.x(boosting_catboost), case.x(boosting_catboost, new.table)
    model = boosting_catboost.fit(config, case.signature, x, case.y, seed=2)
    for n_rounds in (1, 7, boosting_catboost.rounds(config)[-1]):
        expected = [_theirs(booster, x_new, n_rounds, kind).reshape(300, -1) for booster in model.boosters]
        found = boosting_catboost.predict(model, x_new, n_rounds)
        assert np.allclose(found, np.concatenate(expected, axis=1), rtol=0, atol=1e-5)


def test_categories_are_no_order() -> None:
    case = small_case("regression", n_rows=400)
    rng = np.random.default_rng(0)
    x = np.zeros((400, 4), np.float32)
    x[:, 3] = rng.integers(1, 4, 400)
    y = np.column_stack([(x[:, 3] == 2) - 1 / 3, rng.normal(size=400)])
    config = {**boosting_catboost.first_configs(case.signature)[0], "learning_rate": 0.3}
    model = boosting_catboost.fit(config, case.signature, x, y, seed=2)
    found = boosting_catboost.predict(model, x, boosting_catboost.rounds(config)[-1])[:, 0]
    assert np.abs(found - y[:, 0]).mean() < 0.05
    x[:, 3] = 7.0  # never seen
    assert np.isfinite(boosting_catboost.predict(model, x, 5)).all()


@pytest.mark.parametrize("kind", ["binary", "multiclass", "regression"])
def test_rows_that_no_column_tells_apart_get_the_weighted_mean(kind: Any) -> None:
    case = small_case(kind)
    x, weights = np.ones((120, 4), np.float32), np.random.default_rng(0).random(120)
    config = boosting_catboost.first_configs(case.signature)[0]
    model = boosting_catboost.fit(config, case.signature, x, case.y, seed=2, row_weights=weights)
    model = boosting_catboost.unpack(boosting_catboost.pack(model))
    found = boosting_catboost.predict(model, x, 3)
    assert np.allclose(found, np.average(case.y, axis=0, weights=weights), atol=1e-5)


@settings(max_examples=8, deadline=None)
@given(drawn=tables(), rate=st.sampled_from((0.07, 0.3)))
def test_packed_arrays_predict_what_the_library_predicts(drawn: tuple[Case, np.ndarray], rate: float) -> None:
    assert largest_difference(boosting_catboost, drawn, rate) <= 1e-6


def test_what_is_packed_needs_no_library(monkeypatch: pytest.MonkeyPatch) -> None:
    case, module = small_case("multiclass"), boosting_catboost
    config = {**module.first_configs(case.signature)[0], "learning_rate": 0.3}
    data = module.pack(module.fit(config, case.signature, case.x(module), case.y, seed=2))
    monkeypatch.setitem(sys.modules, "catboost", None)  # any import of it now fails
    model = module.unpack(data)
    assert all(isinstance(booster, Plain) for booster in model.boosters)
    assert module.predict(model, case.x(module), 20).shape == case.y.shape


def test_combinations_of_categories_and_numbers_are_packed() -> None:
    """Only fits of 200 rounds and more combine columns in CatBoost's target statistics."""
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(
        {
            "x": rng.normal(size=500),
            "c": rng.choice([f"c{k}" for k in range(15)], 500),
            "d": rng.choice([f"d{k}" for k in range(12)], 500),
        }
    )
    numbers = [frame[name].str[1:].astype(int).to_numpy() for name in ("c", "d")]
    signal = ((numbers[0] + numbers[1]) % 3) * (frame["x"].to_numpy() > 0) + 0.1 * rng.normal(size=500)
    made = table_case("regression", frame, signal)
    config = {**boosting_catboost.first_configs(made.signature)[0], "learning_rate": 0.1}
    x = made.x(boosting_catboost)
    model = boosting_catboost.fit(config, made.signature, x[:400], made.y[:400], seed=0)
    again = boosting_catboost.unpack(boosting_catboost.pack(model))
    booster = again.boosters[0]
    kinds = [booster.elements[a:b] for a, b in itertools.pairwise(booster.element_starts)]
    assert any((kind < 0).sum() > 1 for kind in kinds)  # two categories
    assert any((kind >= 0).any() for kind in kinds)  # a category and the answer to a question
    x[450:, 2] = 99.0
    theirs, ours = (boosting_catboost.predict(one, x, 300) for one in (model, again))
    assert np.abs(theirs - ours).max() <= 1e-6
