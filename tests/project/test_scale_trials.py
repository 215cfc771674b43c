"""Trials that are made up for the load benchmark are such as a training gives."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from benchmarks.recorded_trials import Recorded, write_table
from search import metrics
from search.config import check
from search.objective import make_plan
from search.preparation import Prepared, prepare
from search.training.limits import Limits
from search.training.recipe import Recipe
from search.training.trained import Request, Trained

RECIPE = Recipe(n_epochs=100)


@pytest.fixture
def prepared(tmp_path: Path) -> Prepared:
    """A table of two classes, three folds and two repeats."""
    write_table(tmp_path / "table.csv", 90)
    told = {"data": str(tmp_path / "table.csv"), "target": ["ill"], "splits": 3, "repeats": 2}
    return prepare(check({**told, "families": ("mlp",), "audit": False}))


def trained(prepared: Prepared, seed: int, ceilings: dict[int, float] | None = None) -> Trained:
    plan = make_plan(prepared.dataset, prepared.folds.members())
    request = Request("mlp", {}, prepared.signature, RECIPE, seed, ceilings or {})
    with Recorded(plan, "log_loss", prepared.dataset.task, 1, Limits()) as workshop:
        return workshop.train(request)


def test_its_curve_is_the_mean_loss_of_its_members(prepared: Prepared) -> None:
    found, y = trained(prepared, 3), prepared.dataset.y
    assert found.out_of_fold.shape == (len(found.kept_epochs), 2, 90, 1)
    for at, table in zip(found.curve, found.out_of_fold, strict=True):
        losses = [
            metrics.loss(prepared.metric, y[member.held], table[member.repeat, member.held])
            for member in prepared.folds.members()
        ]
        assert at == pytest.approx(np.mean(losses), rel=1e-5)
    assert found.curve[found.chosen_index] == min(found.curve)


def test_it_ends_as_a_training_does_and_is_the_same_again(prepared: Prepared) -> None:
    whole = [trained(prepared, seed) for seed in range(8)]
    assert trained(prepared, 5).curve == whole[5].curve != whole[6].curve
    for seed, one in enumerate(whole):
        best = one.kept_epochs[one.chosen_index]
        assert not one.is_pruned and one.checkpoints[-1] in {
            next(epoch for epoch in RECIPE.looks if epoch >= max(25, 2 * best)) if best <= 50 else 100
        }
        stopped = trained(prepared, seed, {16: 0.0})
        assert stopped.is_pruned and stopped.checkpoints == RECIPE.looks[: RECIPE.looks.index(16) + 1]
