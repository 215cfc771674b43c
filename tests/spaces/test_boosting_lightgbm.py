"""lightgbm: what the library itself predicts, read at any round."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spaces import boosting_lightgbm
from spaces.boosted import Plain
from tests.spaces.boosters import largest_difference, tables
from tests.spaces.checks import Case, small_case

lightgbm = pytest.importorskip("lightgbm", reason="an optional extra")


def _theirs(booster: Any, x: np.ndarray, n_rounds: int, case_kind: str) -> np.ndarray:
    return np.asarray(booster.predict(x, num_iteration=n_rounds))


@pytest.mark.parametrize("kind", ["binary", "multiclass", "regression"])
def test_equals_the_library(kind: Any) -> None:
    case, new = small_case(kind), small_case(kind, n_rows=300, seed=3)
    config = {**boosting_lightgbm.first_configs(case.signature)[0], "learning_rate": 0.3}
    x, x_new = case.x(boosting_lightgbm), case.x(boosting_lightgbm, new.table)
    model = boosting_lightgbm.fit(config, case.signature, x, case.y, seed=2)
    for n_rounds in (1, 7, boosting_lightgbm.rounds(config)[-1]):
        expected = [_theirs(booster, x_new, n_rounds, kind).reshape(300, -1) for booster in model.boosters]
        found = boosting_lightgbm.predict(model, x_new, n_rounds)
        assert np.allclose(found, np.concatenate(expected, axis=1), rtol=0, atol=1e-5)


def test_categories_are_no_order() -> None:
    case = small_case("regression", n_rows=400)
    rng = np.random.default_rng(0)
    x = np.zeros((400, 4), np.float32)
    x[:, 3] = rng.integers(1, 4, 400)
    y = np.column_stack([(x[:, 3] == 2) - 1 / 3, rng.normal(size=400)])
    config = {**boosting_lightgbm.first_configs(case.signature)[0], "learning_rate": 0.3}
    model = boosting_lightgbm.fit(config, case.signature, x, y, seed=2)
    found = boosting_lightgbm.predict(model, x, boosting_lightgbm.rounds(config)[-1])[:, 0]
    assert np.abs(found - y[:, 0]).mean() < 0.05
    x[:, 3] = 7.0  # never seen
    assert np.isfinite(boosting_lightgbm.predict(model, x, 5)).all()


@pytest.mark.parametrize("kind", ["binary", "multiclass", "regression"])
def test_rows_that_no_column_tells_apart_get_the_weighted_mean(kind: Any) -> None:
    case = small_case(kind)
    x, weights = np.ones((120, 4), np.float32), np.random.default_rng(0).random(120)
    config = boosting_lightgbm.first_configs(case.signature)[0]
    model = boosting_lightgbm.fit(config, case.signature, x, case.y, seed=2, row_weights=weights)
    model = boosting_lightgbm.unpack(boosting_lightgbm.pack(model))
    found = boosting_lightgbm.predict(model, x, 3)
    assert np.allclose(found, np.average(case.y, axis=0, weights=weights), atol=1e-5)


@settings(max_examples=8, deadline=None)
@given(drawn=tables(), rate=st.sampled_from((0.07, 0.3)))
def test_packed_arrays_predict_what_the_library_predicts(drawn: tuple[Case, np.ndarray], rate: float) -> None:
    assert largest_difference(boosting_lightgbm, drawn, rate) <= 1e-6


def test_what_is_packed_needs_no_library(monkeypatch: pytest.MonkeyPatch) -> None:
    case, module = small_case("multiclass"), boosting_lightgbm
    config = {**module.first_configs(case.signature)[0], "learning_rate": 0.3}
    data = module.pack(module.fit(config, case.signature, case.x(module), case.y, seed=2))
    monkeypatch.setitem(sys.modules, "lightgbm", None)  # any import of it now fails
    model = module.unpack(data)
    assert all(isinstance(booster, Plain) for booster in model.boosters)
    assert module.predict(model, case.x(module), 20).shape == case.y.shape
