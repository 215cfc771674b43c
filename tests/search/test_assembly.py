"""From finished trials to the ensemble: the table, an honest score of the choice, and the artefacts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ensemble import crossfit
from search import assembly, metrics
from search.assembly import CandidateTable, candidate_table, choose
from search.combination import CombinationError, Combiner, MetricLoss
from search.data import Dataset
from search.objective import Objective, make_plan
from search.records import Run, Trial
from search.splits import Folds, make_folds
from search.study import packed
from search.training.engine import Engine
from search.training.recipe import Recipe
from search.training.trained import Request, Trained
from spaces.signature import Signature
from tests.search.training import plans

LOG_LOSS = metrics.METRICS["log_loss"]
GREEDY = Combiner(LOG_LOSS, "greedy", "none")


def _trial(number: int, score: float, *, index: int = 0, width: int = 16, **changes: Any) -> Trial:
    config = {**plans.CONFIG, "width": width}
    values = {
        "curve": (score,),
        "chosen_epoch": 3,
        "kept_epochs": (3,),
        "chosen_index": index,
        "score": score,
    }
    return Trial(number, "mlp", config, "completed", **{**values, **changes})


def _folds(data: Dataset, n_repeats: int, n_splits: int = 3) -> Folds:
    return make_folds(data, n_splits=n_splits, n_repeats=n_repeats, rng=np.random.default_rng(0))


def test_repeats_are_laid_out_as_further_rows(tmp_path: Path) -> None:
    data, run = plans.dataset(), Run.create(tmp_path / "run")
    marks = np.arange(2)[:, None, None] * 1000 + np.arange(60)[None, :, None] + 0.25
    for number in (0, 1):  # two looks are stored; the second is the chosen one
        run.save_out_of_fold(number, np.stack([marks * 0 - 1, marks + number * 10_000]))
    trials = [_trial(0, 0.7, index=1), _trial(1, 0.4, index=1)]
    table = candidate_table(run, data, _folds(data, 2), trials, LOG_LOSS)
    assert [t.number for t in table.trials] == [1, 0], "best first"
    assert table.predictions.shape == (2, 120, 1) and table.predictions.dtype == np.float64
    assert np.array_equal(table.predictions[1, :, 0], table.repeats * 1000 + table.rows + 0.25)
    assert np.array_equal(table.predictions[0], table.predictions[1] + 10_000)
    assert np.array_equal(table.y, data.y[table.rows])
    assert np.array_equal(np.bincount(table.rows), np.full(60, 2))


def test_rows_that_are_never_held_out_are_left_out(tmp_path: Path) -> None:
    data, run = plans.dataset(is_timed=True), Run.create(tmp_path / "run")
    folds = make_folds(data, n_splits=3, n_repeats=None, rng=np.random.default_rng(0))
    held = np.concatenate([member.held for member in folds.members()])
    stored = np.full((1, 1, 60, 1), np.nan)
    stored[:, :, held] = 0.5
    run.save_out_of_fold(0, stored)
    table = candidate_table(run, data, folds, [_trial(0, 0.7)], LOG_LOSS)
    assert np.array_equal(table.rows, np.sort(held)) and len(table.rows) < 60


def test_only_the_best_are_candidates_in_the_direction_of_the_metric(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(assembly, "MOST_CANDIDATES", 2)
    data, run = plans.dataset(), Run.create(tmp_path / "run")
    for number in range(4):
        run.save_out_of_fold(number, np.full((1, 1, 60, 1), 0.5))
    trials = [_trial(n, score) for n, score in enumerate((0.7, 0.9, 0.8, 0.9))]
    for name, expected in (("auc", [1, 3]), ("log_loss", [0, 2])):
        table = candidate_table(run, data, _folds(data, 1), trials, metrics.METRICS[name])
        assert [t.number for t in table.trials] == expected


def _table(y: np.ndarray, predictions: np.ndarray, n_repeats: int = 1, **changes: Any) -> CandidateTable:
    n_rows = len(y)
    trials = tuple(_trial(n, 0.5, width=16 + n) for n in range(len(predictions)))
    rows, repeats = np.tile(np.arange(n_rows), n_repeats), np.repeat(np.arange(n_repeats), n_rows)
    table = CandidateTable(trials, predictions, y[rows], repeats, rows, np.ones(len(rows)), rows)
    return replace(table, **changes)


def _noise(seed: int, n_rows: int = 100, n_candidates: int = 25) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    y = rng.permutation(np.arange(n_rows) % 2)[:, None].astype(float)
    return y, rng.uniform(0.2, 0.8, size=(n_candidates, n_rows, 1))


def _expected_loss(weights: np.ndarray, predictions: np.ndarray) -> float:
    """What the weighted average loses on coins that did not choose it."""
    p = np.tensordot(weights, predictions, axes=1)
    return float(-0.5 * (np.log(p) + np.log1p(-p)).mean())


def _cross_fitted(table: CandidateTable, seed: int, groups: np.ndarray | None = None) -> float:
    """The score of the choice when it is made on other rows than it is scored on."""
    architectures = [assembly.architecture_of(trial) for trial in table.trials]
    rule = partial(GREEDY.weigh, method="greedy")
    fitted = crossfit(
        table.predictions,
        table.y,
        decide=lambda p, y, w: rule(p, architectures, y, np.ones(len(y)) if w is None else w),
        rng=np.random.default_rng(seed),
        groups=table.rows if groups is None else groups,
    )
    return float(np.mean([table.score(LOG_LOSS, p) for p in fitted.predictions]))


def test_the_cross_fitted_score_of_noise_is_not_optimistic_but_the_in_sample_one_is() -> None:
    in_sample, cross_fitted = [], []
    for seed in range(6):
        y, predictions = _noise(seed)
        table = _table(y, predictions)
        choice = choose(table, GREEDY)
        truth = _expected_loss(choice.weights, predictions)
        in_sample.append(choice.in_sample_score - truth)
        cross_fitted.append(_cross_fitted(table, seed) - truth)
        assert np.isclose(choice.weights.sum(), 1.0) and (choice.weights >= 0).all()
    assert max(in_sample) < -0.01
    assert np.mean(cross_fitted) > -2 * np.std(cross_fitted, ddof=1) / 6**0.5 - 1e-3
    assert np.mean(cross_fitted) > np.mean(in_sample) + 0.02


def test_repeats_of_a_row_stay_together_when_the_choice_is_cross_fitted() -> None:
    """The same noise in three repeats would be an easy prey if a row could choose for its own repeats."""
    y, predictions = _noise(1)
    once = choose(_table(y, predictions), GREEDY)
    repeated = _table(y, np.tile(predictions, (1, 3, 1)), 3)
    thrice = choose(repeated, GREEDY)
    assert np.allclose(thrice.weights, once.weights)
    assert thrice.in_sample_score == pytest.approx(once.in_sample_score)
    honest = _cross_fitted(repeated, 0)
    assert honest > thrice.in_sample_score + 0.02
    assert _cross_fitted(repeated, 0, groups=np.arange(300)) < honest - 0.01


@pytest.mark.parametrize("name", ["log_loss", "auc", "accuracy"])
def test_a_good_candidate_is_found_whatever_the_metric(name: str) -> None:
    y, predictions = _noise(0)
    predictions[7] = np.where(y == 1, 0.7, 0.3) + np.random.default_rng(0).normal(0, 0.1, y.shape)
    metric = metrics.METRICS[name]
    choice = choose(_table(y, predictions), Combiner(metric))
    assert int(np.argmax(choice.weights)) == 7


def test_what_is_compared_and_corrected_is_said() -> None:
    y, predictions = _noise(0)
    task = plans.dataset().task
    sure = np.where(y == 1, 0.97, 0.03) + np.random.default_rng(1).normal(0, 0.02, predictions.shape)
    wrong = np.random.default_rng(2).random(y.shape) < 0.2
    twice = np.tile(np.clip(np.where(wrong, 1 - sure, sure), 0.001, 0.999), (1, 2, 1))
    table = _table(y, twice, n_repeats=2)
    choice = choose(table, Combiner(metrics.metric_for("log_loss", task)))
    assert set(choice.losses) == {"greedy", "diverse", "convex"} and choice.method in choice.losses
    assert choice.calibration is not None and choice.calibration.method != "none", "far too sure"
    plain = choose(table, Combiner(metrics.metric_for("log_loss", task), calibration="none"))
    assert plain.calibration is None and choice.in_sample_score < plain.in_sample_score - 0.05
    once = choose(_table(y, twice[:, : len(y)]), Combiner(metrics.metric_for("log_loss", task)))
    assert once.calibration is not None and once.calibration.method == "none", "one repeat shows no average"
    assert not Combiner(metrics.metric_for("auc", task)).can_calibrate


@pytest.mark.parametrize(("method", "calibration"), [("convex", "auto"), ("auto", "isotonic")])
def test_combinations_that_cannot_be_are_refused(method: str, calibration: str) -> None:
    metric = metrics.metric_for("accuracy", plans.dataset("multiclass").task)
    with pytest.raises(CombinationError, match=method if method != "auto" else calibration):
        Combiner(metric, method, calibration)


def test_near_identical_candidates_count_as_one() -> None:
    y, predictions = _noise(0, n_candidates=4)
    predictions[1:] = predictions[:1] + np.random.default_rng(0).normal(0, 1e-4, predictions[1:].shape)
    table = _table(y, predictions)
    alike = replace(table, trials=tuple(_trial(n, 0.5) for n in range(4)))
    assert choose(table, GREEDY).n_distinct == 4  # of different structure
    choice = choose(alike, GREEDY)
    assert choice.n_distinct == 1 and choice.weights.max() == 1.0


def test_one_candidate_is_the_ensemble() -> None:
    y, predictions = _noise(0, n_candidates=1)
    choice = choose(_table(y, predictions), GREEDY)
    assert choice.weights.tolist() == [1.0]
    assert choice.in_sample_score == pytest.approx(LOG_LOSS.score(y, predictions[0]))


class _Here:
    """A training process that trains in this one."""

    def __init__(self, plan: Any, metric: str, task: Any) -> None:
        self.plan, self.asked = plan, []
        self._engine = Engine(plan, lambda y, p: float(np.mean((y - p) ** 2)))
        _Here.last = self

    def __enter__(self) -> _Here:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def train(self, request: Request) -> Trained:
        self.asked.append(request)
        return self._engine.train_request(request)


def test_bagged_and_refitted_members(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(assembly, "Workshop", _Here)
    data, run = plans.dataset("regression"), Run.create(tmp_path / "run")
    folds = _folds(data, 1)
    plan = make_plan(data, folds.members())
    objective = Objective(
        _Here(plan, "rmse", data.task),  # type: ignore[arg-type]
        plan, folds, Signature(data.schema, data.task, 60), metrics.METRICS["rmse"],
        Recipe(n_epochs=8, patience=0.0), seed=3,
    )  # fmt: skip
    trial, trained = objective.evaluate(0, "mlp", plans.CONFIG, {})
    assert trained is not None
    trial = replace(trial, chosen_epoch=4)
    run.save_weights(0, packed(trained, objective))
    members: Sequence[tuple[Trial, float]] = [(trial, 1.0)]

    (bag,) = assembly.bagged(run, members)
    assert (bag.trial, bag.weight, bag.n_members, bag.family) == (0, 1.0, 3, "mlp")
    assert bag.architecture == trained.architecture
    assert all(np.array_equal(a, b) for a, b in zip(bag.weights, trained.weights, strict=True))
    assert np.array_equal(bag.target_center, plan.target_center)

    (refit,) = assembly.refitted(data, objective, members, 2)
    (asked,) = _Here.last.asked
    assert asked.recipe.looks == (4,) and asked.recipe.n_epochs == 8 and asked.ceilings == {}
    assert refit.n_members == 2
    assert all(len(rows) == 60 for rows in _Here.last.plan.train)
    assert np.allclose(refit.target_center, data.y.mean()) and refit.target_center.shape == (2, 1)
    assert not np.array_equal(refit.weights[-2][0], refit.weights[-2][1])
    assembly.save_ensemble(run, data, [bag], None, {"metric": "rmse"})
    assert (run.path / "ensemble" / "ensemble.json").is_file()


@pytest.mark.parametrize(("family", "epoch"), [("mlp", 1), ("boosting", 60)])
def test_patience_ends_a_network_and_no_booster_in_a_replay(tmp_path: Path, family: str, epoch: int) -> None:
    """Rounds of a booster are all fitted and read: none of them is too late to be chosen."""
    data, run = plans.dataset(), Run.create(tmp_path / "run")
    looks, sureness = (1, 10, 30, 60), (0.6, 0.55, 0.55, 0.7)
    tables = [np.where(data.y == 1, sure, 1 - sure)[None] for sure in sureness]
    run.save_out_of_fold(0, np.stack(tables))
    trial = _trial(0, 0.5, index=looks.index(epoch), chosen_epoch=epoch, kept_epochs=looks, checkpoints=looks)
    run.append_trial(replace(trial, family=family))
    recipe, rng = Recipe(n_epochs=100, patience=2.0), np.random.default_rng(0)
    history, honest = assembly.replay(run, data, _folds(data, 1), GREEDY, recipe, rng=rng, n_draws=0)
    assert [history.epochs[0][int(kept)] for kept in honest.full.kept] == [epoch]


def test_the_loss_of_many_tables_is_that_of_each() -> None:
    y, predictions = _noise(0)
    weights = np.random.default_rng(0).integers(0, 3, len(y)).astype(float)
    for name, metric in metrics.METRICS.items():
        if "binary" in metric.tasks:
            loss = MetricLoss(metrics.metric_for(name, plans.dataset().task))
            for given in (None, weights):
                expected = [loss(y, one, given) for one in predictions]
                np.testing.assert_allclose(loss.of_many(y, predictions, given), expected, rtol=1e-10)
