"""Forests: what scikit-learn predicts, from plain arrays, and never sure of itself."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from spaces import extra_trees, forest, random_forest
from spaces.trees import leaves
from tests.spaces.checks import KINDS, small_case

CONFIG = {"max_features": 0.6, "min_samples_leaf": 2, "bootstrap": True, "criterion": "entropy"}


def _theirs(estimator: Any, kind: str, x: np.ndarray) -> np.ndarray:
    if kind == "regression":
        return np.asarray(estimator.predict(x))
    if kind == "multiclass":
        return np.asarray(estimator.predict_proba(x))
    if kind == "binary":
        return np.asarray(estimator.predict_proba(x)[:, 1:])
    columns = [p[:, 1] if p.shape[1] == 2 else np.zeros(len(x)) for p in estimator.predict_proba(x)]
    return np.column_stack(columns)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("module", [random_forest, extra_trees])
def test_equals_scikit_learn(module: Any, kind: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("spaces.forest.n_trees", lambda signature: 20)
    case, new = small_case(kind), small_case(kind, n_rows=500, seed=9)
    name = module.__name__.rpartition(".")[2]
    x, x_new = case.x(module), case.x(module, new.table)
    model = module.fit(CONFIG, case.signature, x, case.y, seed=4)
    estimator = forest._estimator(name, CONFIG, case.signature, 4, 1)
    target = case.y.argmax(axis=1) if kind == "multiclass" else case.y
    estimator.fit(x, target[:, 0] if kind == "binary" else target)
    expected = _theirs(estimator, kind, x_new)
    if kind != "regression":
        expected = np.clip(expected, 1e-6, 1 - 1e-6)
    assert np.isnan(x_new).any()
    assert np.allclose(
        module.predict(model, x_new), expected, rtol=0, atol=1e-9 if kind != "multiclass" else 3e-6
    )


def test_smoothing_by_hand() -> None:
    case = small_case("binary")
    x = case.x(random_forest)
    config = {**CONFIG, "bootstrap": False, "max_features": 1.0, "smoothing": 3.0}
    model = extra_trees.fit(config, case.signature, x, case.y, seed=4)
    plain = extra_trees.fit({**config, "smoothing": 0.0}, case.signature, x, case.y, seed=4)
    reached = leaves(plain.trees, x)[:, 0]
    for leaf in np.unique(reached):
        ones, n = case.y[reached == leaf].sum(), (reached == leaf).sum()
        assert np.isclose(plain.trees.value[leaf, 0], ones / n)
        assert np.isclose(model.trees.value[leaf, 0], (ones + 3.0 * case.y.mean()) / (n + 3.0))


def test_members_of_large_tables_have_fewer_trees() -> None:
    signature = small_case("binary").signature
    large = type(signature)(signature.schema, signature.task, 3_000)
    assert forest.n_trees(signature) == 200 and forest.n_trees(large) == 100


@pytest.mark.parametrize("module", [random_forest, extra_trees])
def test_threads_change_nothing(module: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("spaces.forest.n_trees", lambda signature: 8)
    case = small_case("regression")
    one, two = (
        module.fit(CONFIG, case.signature, case.x(module), case.y, seed=1, n_threads=n) for n in (1, 2)
    )
    assert module.pack(one) == module.pack(two)


def test_structure_tells_kinds_of_model_apart() -> None:
    structures = {
        module.structure({**CONFIG, **change})
        for module in (random_forest, extra_trees)
        for change in ({}, {"bootstrap": False}, {"criterion": "gini"})
    }
    assert len(structures) == 6
    assert random_forest.structure(CONFIG) == random_forest.structure({**CONFIG, "max_features": 0.1})
