"""What the steps of a workflow answer, from known losses."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from reports.workflow import (
    Step,
    answers,
    curve_plots,
    has_power,
    is_capacity_too_small,
    is_data_too_small,
    is_regularisation_worth_it,
    markdown,
    to_json,
)

NOISE = np.random.default_rng(0).normal(scale=0.01, size=10)


def step(name: str = "power", loss: float = 0.5, spread: float = 0.0, **more: Any) -> Step:
    folds = tuple(loss + spread * NOISE / 0.01)
    return Step(name, "a model", -loss, loss, fold_losses=folds, repeat_losses=(loss, loss), **more)


def curves(held: list[float], train: list[float]) -> Step:
    return step("overfit", min(held), epochs=(1, 2, 3, 4), curve=tuple(held), train_curve=tuple(train))


DUMMY = step("dummy", 1.0)


def test_power_is_a_clear_lead_over_the_dummy() -> None:
    assert has_power(DUMMY, step(loss=0.5, spread=0.01), 0.25).is_so is True
    assert has_power(DUMMY, step(loss=0.999, spread=0.1), 0.25).is_so is None
    assert has_power(DUMMY, step(loss=1.5, spread=0.01), 0.25).is_so is None


@pytest.mark.parametrize(
    ("losses", "is_small"), [((0.5, 0.51, 0.49), False), ((0.3, 0.5, 0.7), True), ((0.5,), None)]
)
def test_the_data_are_small_where_reshuffles_differ(losses: tuple[float, ...], is_small: bool | None) -> None:
    small = Step("power", "a model", 0.5, 0.5, repeat_losses=losses)
    assert is_data_too_small(DUMMY, small).is_so is is_small


def test_where_nothing_is_learned_the_size_of_the_data_cannot_be_told() -> None:
    answer = is_data_too_small(DUMMY, step(loss=1.1))
    assert answer.is_so is None and "nothing was learned" in answer.why


@pytest.mark.parametrize(
    ("held", "train", "is_small"),
    [
        ([0.8, 0.6, 0.7, 0.9], [0.8, 0.5, 0.2, 0.1], False),
        ([0.8, 0.7, 0.6, 0.6], [0.8, 0.7, 0.7, 0.69], True),
        ([0.8, 0.7, 0.6, 0.5], [0.8, 0.7, 0.6, 0.4], None),
        ([1.1, 1.2, 1.5, 1.9], [0.8, 0.5, 0.2, 0.1], False),  # never better than the dummy
    ],
)
def test_capacity_is_enough_where_a_network_overfits(
    held: list[float], train: list[float], is_small: bool | None
) -> None:
    assert is_capacity_too_small(DUMMY, curves(held, train)).is_so is is_small


def test_regularisation_is_judged_in_pairs() -> None:
    free = step("overfit", 0.5, spread=0.2)
    better = step("regularised", 0.4, spread=0.2)  # the same folds are hard for both
    assert is_regularisation_worth_it(free, better, 0.25).is_so is True
    assert is_regularisation_worth_it(better, free, 0.25).is_so is False
    assert is_regularisation_worth_it(free, step("regularised", 0.4), 0.25).is_so is None


def test_one_fold_tells_nothing() -> None:
    one = Step("power", "a model", 0.5, 0.5, fold_losses=(0.5,))
    assert has_power(Step("dummy", "a model", 1.0, 1.0, fold_losses=(1.0,)), one, 0.25).is_so is None


def test_the_page_holds_answers_steps_and_plots() -> None:
    overfit = curves([0.8, 0.6, 0.7, 0.9], [0.8, 0.5, 0.2, 0.1])
    steps = (DUMMY, step(spread=0.01), overfit, step("regularised", 0.4))
    found = answers(*steps, 0.25)
    facts = {"name": "t", "metric": "rmse", "folds": "Folds: 5.", "tuned": "tuned"}
    plots = curve_plots(steps)
    page = markdown(steps, found, facts, list(plots))
    assert page.startswith("# Workflow: t\n") and "**Is the capacity too small?** No: it overfits" in page
    assert all(f"({name})" in page and svg.startswith("<svg") for name, svg in plots.items())
    assert page.count("\n| ") == 2 + len(steps)
    record = json.loads(json.dumps(to_json(steps, found, facts)))
    assert [a["is_so"] for a in record["answers"]] == [a.is_so for a in found]
    assert record["steps"][2]["curve"] == [0.8, 0.6, 0.7, 0.9]
