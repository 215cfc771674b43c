"""Families that are no networks: members, looks and records as those of networks, from child processes."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from ensemble.evaluation import program_of
from search.training.fitting import FittingProcesses, fit_member, looks_of
from search.training.recipe import Recipe
from search.training.trained import Request, TrainingFailed, pooled_loss
from spaces.families import FAMILIES
from spaces.signature import Signature
from tests.search.training import plans

INSTALLED = [f.name for f in FAMILIES.values() if not f.is_network and f.is_installed]


def request(family: str, **changes: Any) -> Request:
    data = plans.dataset()
    signature = Signature(data.schema, data.task, data.n_rows)
    config = FAMILIES[family].first_configs(signature)[0]
    return Request(family, config, signature, Recipe(**changes), 0)


@pytest.fixture(scope="module")
def running() -> Iterator[FittingProcesses]:
    with FittingProcesses(plans.plan(), "log_loss", plans.dataset().task, 2) as processes:
        yield processes


@pytest.mark.parametrize("family", INSTALLED)
def test_predictions_are_those_of_each_members_own_fit(running: FittingProcesses, family: str) -> None:
    plan, asked = plans.plan(), request(family)
    trained = running.train(asked)
    chosen = trained.out_of_fold[trained.chosen_index]
    loss = plans.loss_for(plans.dataset())
    assert min(trained.curve) == pytest.approx(pooled_loss(loss, plan.y, chosen))
    for member in range(plan.n_members):
        alone = fit_member(plan, asked, member)
        at = looks_of(asked).index(trained.chosen_epoch)
        expected = plan.in_units(member, alone.held[at])
        np.testing.assert_allclose(
            chosen[plan.repeat_of_member[member], plan.held[member]], expected, atol=1e-6
        )


@pytest.mark.parametrize("family", INSTALLED)
def test_stored_weights_predict_what_was_predicted(running: FittingProcesses, family: str) -> None:
    plan, trained = plans.plan(), running.train(request(family))
    data = plans.dataset()
    inputs = {"numbers": data.table.numbers, "codes": data.table.codes}
    program = program_of(trained.architecture)
    program.check(trained.weights)
    outputs = program(trained.weights, inputs)
    chosen = trained.out_of_fold[trained.chosen_index]
    for member, rows in enumerate(plan.held):
        found = plan.in_units(member, outputs[member, rows])
        np.testing.assert_allclose(found, chosen[plan.repeat_of_member[member], rows], atol=1e-5)


def test_held_out_targets_change_nothing_but_the_scores(running: FittingProcesses) -> None:
    plan = plans.plan()
    member = 0
    others = plan.y.copy()
    others[plan.held[member]] = 1.0 - others[plan.held[member]]
    asked = request("boosting")
    one, other = fit_member(plan, asked, member), fit_member(replace(plan, y=others), asked, member)
    assert one.model == other.model and (one.held == other.held).all()


@pytest.mark.parametrize("choice", ["common", "fold", "fixed"])
def test_rounds_are_chosen_as_epochs_are(running: FittingProcesses, choice: str) -> None:
    trained = running.train(request("boosting", epoch_choice=choice))
    rounds = FAMILIES["boosting"].fitted.rounds(request("boosting").config)
    if choice == "fixed":
        assert trained.checkpoints == rounds[-1:] and set(trained.member_epochs) == {rounds[-1]}
    else:
        assert trained.checkpoints == rounds and set(trained.member_epochs) <= set(rounds)
        assert len(set(trained.member_epochs)) == 1 or choice == "fold"


def test_a_failure_names_its_cause_and_the_next_request_works(running: FittingProcesses) -> None:
    with pytest.raises(TrainingFailed, match=r"\w+Error"):
        running.train(replace(request("linear"), config={"features": "nonsense", "penalty": -1.0}))
    assert running.train(request("linear")).way == "fitted"


def test_a_child_that_dies_is_one_failure(running: FittingProcesses) -> None:
    running.train(request("linear"))
    os.kill(running._children[0][0].pid, signal.SIGKILL)
    with pytest.raises(TrainingFailed, match="died"):
        for _ in range(3):
            running.train(request("linear"))
    assert running.train(request("linear")).way == "fitted"


def test_weights_of_rows_count(running: FittingProcesses) -> None:
    plan = plans.plan()
    weights = np.where(plan.y[:, 0] > 0, 5.0, 0.2)
    heavy = replace(plan, row_weights=weights / weights.mean())
    one, other = fit_member(plan, request("linear"), 0), fit_member(heavy, request("linear"), 0)
    assert other.held.mean() > one.held.mean() + 0.1
