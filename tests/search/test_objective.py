"""From a proposal to a record: plans from members, scores in the metric's direction, failures kept."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from search import metrics
from search.baselines import baselines
from search.objective import (
    Objective,
    fold_scores,
    full_plan,
    inner_plan,
    loss_of,
    make_plan,
    standard_error,
)
from search.preprocess import learn, learn_targets
from search.splits import make_folds
from search.training.recipe import Recipe
from search.training.trained import Request, Trained, TrainingFailed
from spaces.signature import Signature
from tests.search.training import plans


class Trainer:
    """A training process that answers what it is told to and keeps what it was asked."""

    def __init__(self, answer: Trained | str) -> None:
        self.answer, self.asked = answer, []

    def train(self, request: Request) -> Trained:
        self.asked.append(request)
        if isinstance(self.answer, str):
            raise TrainingFailed(self.answer)
        return self.answer


def _trained(out_of_fold: Any, **changes: Any) -> Trained:
    n = len(out_of_fold)
    values: dict[str, Any] = {
        "checkpoints": tuple(range(1, n + 1)), "curve": (0.5,) * n, "train_curve": (0.4,) * n,
        "chosen_epoch": 2,
        "member_epochs": (2,) * 6, "chosen_index": 1, "kept_epochs": tuple(range(1, n + 1)),
        "out_of_fold": np.asarray(out_of_fold, np.float32), "weights": [np.zeros((6, 2), np.float32)],
        "architecture": "{}", "train_loss": 0.3, "n_parameters": 7, "way": "stacked", "is_traced": True,
        "is_pruned": False, "fit_seconds": 1.5, "predict_seconds_per_1000": 0.01, "peak_memory_mb": 99.0,
    }  # fmt: skip
    return Trained(**{**values, **changes})


def _objective(metric: str = "log_loss", answer: Trained | str = "no") -> Objective:
    data = plans.dataset()
    folds = make_folds(data, n_splits=3, n_repeats=2, rng=np.random.default_rng(0))
    return Objective(
        workshop=Trainer(answer),  # type: ignore[arg-type]
        plan=make_plan(data, folds.members()),
        folds=folds,
        signature=Signature(data.schema, data.task, data.n_rows),
        metric=metrics.metric_for(metric, data.task),
        defaults=Recipe(n_epochs=30, patience=3.0),
        seed=5,
    )


def _predictions() -> np.ndarray:
    return np.random.default_rng(0).uniform(0.05, 0.95, size=(3, 2, 60, 1))


@pytest.mark.parametrize("metric", ["log_loss", "auc"])
def test_the_record_scores_the_chosen_predictions_in_the_direction_of_the_metric(metric: str) -> None:
    table = _predictions()
    objective = _objective(metric, _trained(table, train_loss=-0.8 if metric == "auc" else 0.3))
    trial, trained = objective.evaluate(4, "mlp", plans.CONFIG, {16: 0.7})
    assert trained is not None and (trial.status, trial.cause) == ("completed", None)
    chosen, y = table[1].astype(np.float32), objective.plan.y
    expected = np.mean([objective.metric.score(y, chosen[repeat]) for repeat in range(2)])
    assert trial.score == pytest.approx(expected)
    assert trial.train_score == pytest.approx(0.8 if metric == "auc" else 0.3)
    assert loss_of(trial, objective.metric) == pytest.approx(-expected if metric == "auc" else expected)
    by_fold = [objective.metric.score(y[m.held], chosen[m.repeat, m.held]) for m in objective.folds.members()]
    assert trial.fold_scores == pytest.approx(by_fold)
    assert trial.score_se == pytest.approx(np.std(by_fold, ddof=1) / 6**0.5)
    assert (trial.number, trial.chosen_epoch, trial.chosen_index, trial.n_parameters) == (4, 2, 1, 7)
    assert trial.started <= trial.finished


def test_a_failure_is_a_record_with_its_cause() -> None:
    trial, trained = _objective(answer="diverged: nan").evaluate(3, "mlp", plans.CONFIG, {})
    assert trained is None
    assert (trial.number, trial.status, trial.cause, trial.score) == (3, "failed", "diverged: nan", None)
    assert loss_of(trial, metrics.METRICS["auc"]) == np.inf


def test_a_pruned_trial_says_where() -> None:
    objective = _objective(answer=_trained(_predictions(), is_pruned=True))
    trial, _ = objective.evaluate(3, "mlp", plans.CONFIG, {3: 0.1})
    assert trial.status == "pruned" and trial.cause == "above the median at epoch 3"


def test_a_request_depends_on_root_seed_and_number_alone() -> None:
    objective = _objective()
    first = objective.request(0, "mlp", {**plans.CONFIG, "learning_rate": 0.5}, {16: 0.2})
    assert (first.recipe.n_epochs, first.recipe.patience, first.recipe.learning_rate) == (30, 3.0, 0.5)
    assert first.ceilings == {16: 0.2}
    assert first.seed == objective.request(0, "mlp", {}, {}).seed
    seeds = {
        replace(objective, seed=root).request(n, "mlp", {}, {}).seed for root in (5, 6) for n in range(5)
    }
    assert len(seeds) == 10


@pytest.mark.parametrize("kind", ["binary", "regression"])
def test_a_plan_holds_what_each_member_learns_from_its_training_rows(kind: str) -> None:
    data = plans.dataset(kind)
    members = plans.members_of(data, 3, 2)
    plan = make_plan(data, members)
    assert (plan.n_members, plan.n_repeats, plan.n_rows) == (6, 2, 60)
    assert [values.dtype.name for values in plan.inputs] == ["float32", "int32"]
    for index, member in enumerate(members):
        assert not np.intersect1d(plan.train[index], plan.held[index]).size
        for name, values in learn(data.table, data.schema, member.train).arrays().items():
            assert np.array_equal(plan.constants[f"encode/{name}"][index], values)
        center, scale = learn_targets(data.y, data.task, member.train)
        assert np.array_equal(plan.target_center[index], center)
        assert np.array_equal(plan.target_scale[index], scale)
    assert np.unique(plan.constants["encode/center"], axis=0).shape[0] == 6


def test_a_full_plan_learns_from_every_row() -> None:
    plan = full_plan(plans.dataset(), 2)
    assert plan.n_members == plan.n_repeats == 2
    assert all(np.array_equal(rows, np.arange(60)) for rows in (*plan.train, *plan.held))


def test_an_inner_slice_is_taken_from_training_rows() -> None:
    data = plans.dataset()
    members = plans.members_of(data)
    plan = inner_plan(data, members, np.random.default_rng(0))
    assert plan.stop is not None
    for member, train, stop, held in zip(members, plan.train, plan.stop, plan.held, strict=True):
        assert np.array_equal(np.sort(np.concatenate([train, stop])), member.train)
        assert np.array_equal(held, member.held) and 0 < len(stop) < len(train)
    learned = learn(data.table, data.schema, plan.train[0])
    assert np.array_equal(plan.constants["encode/center"][0], learned.center)


def test_fold_scores_of_a_reference_model() -> None:
    data = plans.dataset("regression")
    folds = make_folds(data, n_splits=3, n_repeats=1, rng=np.random.default_rng(0))
    dummy = next(one for one in baselines(data, folds) if one.name == "dummy")
    found = fold_scores(metrics.METRICS["rmse"], make_plan(data, folds.members()), dummy.predictions)
    for member, score in zip(folds.members(), found, strict=True):
        expected = np.sqrt(np.mean((data.y[member.held] - data.y[member.train].mean()) ** 2))
        assert score == pytest.approx(expected, rel=1e-5)


def test_standard_error_needs_two_folds() -> None:
    assert standard_error([0.3]) is None
    assert standard_error([0.3, float("nan")]) is None
    assert standard_error([1.0, 3.0]) == pytest.approx(1.0)
