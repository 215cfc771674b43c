"""The law: what a member holds out never reaches its weights, and the same seed gives the same bits."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest

from search.data import Dataset
from search.objective import inner_plan, make_plan
from search.training.engine import Engine
from search.training.recipe import Recipe
from search.training.trained import Request, Trained
from tests.search.training import plans

# One look, at the end: an epoch that is chosen on held-out rows may depend on them, as the choice it is.
RECIPE = Recipe(n_epochs=4, checkpoints=(4,))
CHANGES = {"dropout": 0.2, "l2_on": True, "l2": 1e-3}


def _changed(
    data: Dataset, frame: Any, rows: np.ndarray, *, features: bool = True, label: bool = True
) -> Dataset:
    """The dataset with other content in some rows, read by the same schema."""
    frame, y = frame.copy(), data.y.copy()
    if features:
        x, gap, color = (list(frame[name].astype(object)) for name in ("x", "gap", "color"))
        for place, row in enumerate(rows):
            x[row] = [1e30, np.nan, np.inf, -np.inf, -5.0][place % 5]
            gap[row] = [np.nan, 3.0, -1e6, np.inf][place % 4]
            color[row] = ["never seen", None, "red", "another"][place % 4]
        frame = frame.assign(x=x, gap=gap, color=color)
    if label:
        y[rows] = 1.0 - y[rows] if data.task.is_classification else -1000.0 * y[rows] + 7.0
    return replace(data, table=data.schema.read(frame), y=y)


def _run(data: Dataset, members: Any, request: Request) -> Trained:
    return Engine(make_plan(data, members), plans.loss_for(data)).train_request(request)


def _is_same(first: Trained, second: Trained, member: int) -> bool:
    pairs = zip(first.weights, second.weights, strict=True)
    return all(a[member].tobytes() == b[member].tobytes() for a, b in pairs)


@dataclass(frozen=True)
class Base:
    """A first run, and what is needed to run it again on other rows."""

    data: Dataset
    frame: Any
    members: Any
    request: Request
    engine: Engine
    trained: Trained


@pytest.fixture(
    scope="module", params=["binary-stacked", "regression-stacked", "binary-looped", "regression-looped"]
)
def base(request: pytest.FixtureRequest) -> Base:
    kind, way = request.param.split("-")
    data = plans.dataset(kind, 60, is_timed=way == "looped")
    members = plans.members_of(data)
    normalization = "batch" if request.param == "binary-stacked" else "none"
    asked = plans.request(data, RECIPE, **CHANGES, normalization=normalization)
    engine = Engine(make_plan(data, members), plans.loss_for(data))
    trained = engine.train_request(asked)
    assert trained.way == way
    return Base(data, plans.frame(kind, 60), members, asked, engine, trained)


def test_held_out_rows_never_reach_the_weights(base: Base) -> None:
    other = _changed(base.data, base.frame, base.members[0].held)
    assert not np.array_equal(other.table.numbers, base.data.table.numbers, equal_nan=True)
    trained = _run(other, base.members, base.request)
    assert _is_same(base.trained, trained, 0)
    # The other members learn from these rows, and show it.
    assert not _is_same(base.trained, trained, 1) and not _is_same(base.trained, trained, 2)


def test_same_seed_same_bits_whatever_was_trained_before(base: Base) -> None:
    numbers = {"dropout": 0.5, "l2": 1e-2, "learning_rate": 0.1, "batch_size": 32, "schedule": "cosine"}
    between = plans.request(base.data, Recipe(n_epochs=3), seed=9, **{**base.request.config, **numbers})
    other = base.engine.train_request(between)
    again = base.engine.train_request(base.request)
    elsewhere = base.engine.train_request(replace(base.request, seed=2))
    assert not (other.is_traced or again.is_traced or elsewhere.is_traced)
    for member in range(3):
        assert _is_same(base.trained, again, member)
        assert not _is_same(base.trained, elsewhere, member) and not _is_same(base.trained, other, member)
    assert base.trained.out_of_fold.tobytes() == again.out_of_fold.tobytes()
    assert (base.trained.curve, base.trained.train_curve) == (again.curve, again.train_curve)


def test_each_kind_of_change_by_itself() -> None:
    data = plans.dataset("binary", 60)
    members, frame = plans.members_of(data), plans.frame("binary", 60)
    asked = plans.request(data, RECIPE, **CHANGES)
    first = _run(data, members, asked)
    for part in ("features", "label"):
        kept = {"label" if part == "features" else "features": False}
        trained = _run(_changed(data, frame, members[1].held, **kept), members, asked)
        assert [_is_same(first, trained, member) for member in range(3)] == [False, True, False], part


def test_with_an_inner_slice_not_even_the_epoch_depends_on_held_out_rows() -> None:
    data = plans.dataset("regression", 60)
    members, frame = plans.members_of(data), plans.frame("regression", 60)
    asked = plans.request(data, Recipe(n_epochs=12, epoch_choice="inner"), **CHANGES, learning_rate=0.05)
    other = _changed(data, frame, members[0].held)
    first, second = (
        Engine(inner_plan(one, members, np.random.default_rng(0)), plans.loss_for(one)).train_request(asked)
        for one in (data, other)
    )
    assert len(first.checkpoints) > 1
    assert first.member_epochs[0] == second.member_epochs[0]
    assert _is_same(first, second, 0) and not _is_same(first, second, 1)
