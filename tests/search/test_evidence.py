"""What a report shows beyond scores: members left out, greedy curve, importance from the fold models."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ensemble.calibration import Calibration
from search import evidence, metrics
from search.assembly import CandidateTable, Choice, candidate_table, choose, replay
from search.combination import Combiner
from search.conclusion import combiner_of
from search.config import check
from search.flow import recipe_of, study
from search.permutation import Part, Shuffled
from search.preparation import prepare
from search.records import Run, Trial
from spaces.schema import Table
from spaces.task import Task

TASK = Task("regression", ("y",))
METRIC = metrics.metric_for("rmse", TASK)


def made(n_rows: int = 120) -> tuple[CandidateTable, Choice]:
    """Three candidates: a good one, one whose error is the other way round, a useless one."""
    rng = np.random.default_rng(0)
    y, e = rng.normal(size=(n_rows, 1)), rng.normal(size=(n_rows, 1))
    candidates = np.stack([y + 0.5 * e, y - 0.5 * e, rng.normal(size=(n_rows, 1))])
    trials = tuple(Trial(n, "linear", {"strength": float(n)}, "completed", score=1.0) for n in (4, 7, 9))
    rows = np.arange(n_rows)
    table = CandidateTable(trials, candidates, y, np.zeros(n_rows, int), rows, np.ones(n_rows), rows)
    return table, Choice(np.array([0.45, 0.45, 0.1]), "greedy", {}, {}, None, 3, 0.1)


@pytest.fixture
def found(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    table, choice = made()
    monkeypatch.setattr("search.assembly.architecture_of", lambda trial: f'["linear", "{trial.number}"]')
    return evidence.members(table, choice, Combiner(METRIC, "greedy"), np.random.default_rng(1))


def test_members_that_complete_each_other_are_missed_and_a_useless_one_is_not(found: dict[str, Any]) -> None:
    left = {one["trial"]: one for one in found["left_out"]}
    assert left[4]["low"] > 0 and left[7]["low"] > 0 and left[9]["high"] < 0
    table, choice = made()
    others = 0.45 / 0.55 * table.predictions[1] + 0.1 / 0.55 * table.predictions[2]
    plain = np.tensordot(choice.weights, table.predictions, axes=1)
    by_hand = METRIC.score(table.y, others) - METRIC.score(table.y, plain)
    assert left[4]["loss_increase"] == pytest.approx(by_hand)


def test_the_greedy_curve_takes_the_pair_and_nothing_else(found: dict[str, Any]) -> None:
    greedy = found["greedy"]
    assert set(greedy["path"]) == {4, 7} and greedy["n_kept"] % 2 == 0
    assert greedy["scores"][1] == pytest.approx(0.0, abs=1e-9) and greedy["scores"][0] > 0.3


def test_importance_is_the_loss_that_permutations_add() -> None:
    y = np.linspace(-1, 1, 50)[:, None]
    permuted = np.stack([[y + 0.1, y], [y - 0.3, y]])
    parts = (Part("used", numbers=(0,)), Part("unused", numbers=(1,)))
    shuffled = Shuffled(np.arange(50), y, permuted, parts, 3)
    got = evidence._importance(shuffled, METRIC, y, np.ones(50), np.arange(50), np.random.default_rng(0))
    assert [one["column"] for one in got["columns"]] == ["used", "unused"]
    assert got["columns"][0]["loss_increase"] == pytest.approx(0.2)  # the mean of 0.1 and 0.3
    assert got["columns"][1]["loss_increase"] == 0.0 and got["n_left_out"] == 3 and got["score"] == 0.0


def test_each_fold_is_predicted_by_its_own_models(monkeypatch: pytest.MonkeyPatch) -> None:
    """Weights, units and calibration of the ensemble are those of its average of fold models."""

    def program_of(architecture: str) -> Any:
        return lambda weights, inputs: weights[0][:, None, None] * inputs["numbers"][None]

    monkeypatch.setattr("ensemble.evaluation.program_of", program_of)

    def member(slopes: list[float], center: float) -> dict[str, np.ndarray]:
        units = {"target_center": np.full((2, 1), center), "target_scale": np.full((2, 1), 2.0)}
        return {"architecture": np.array("a"), "weight_000": np.array(slopes), **units}

    members = [(member([1.0, 10.0], 0.0), 0.25), (member([2.0, 20.0], 1.0), 0.75)]
    predict = evidence._predictor(members, Calibration())
    rows = Table(np.array([[3.0]], np.float32), np.zeros((1, 0), np.int32))
    assert predict(0, rows) == pytest.approx(0.25 * 6.0 + 0.75 * 13.0)
    assert predict(1, rows) == pytest.approx(0.25 * 60.0 + 0.75 * 121.0)


def test_a_study_s_evidence_is_of_the_models_that_it_keeps(tmp_path: Path) -> None:
    """Without a shuffled column the fold models give the stored held-out predictions back."""
    config = check({"demo": "diabetes", "families": ["linear"], "trials": 3, "repeats": 1, "draws": 0})
    config = config.model_copy(update={"out": str(tmp_path / "run")})
    run = Run.open(study(config, command="").run_path)
    prepared = prepare(config)
    combiner = combiner_of(config, prepared)
    completed = [trial for trial in run.trials() if trial.status == "completed"]
    dataset, folds, recipe = prepared.dataset, prepared.folds, recipe_of(config)
    table = candidate_table(run, dataset, folds, completed, prepared.metric)
    choice = choose(table, combiner)
    rng = prepared.seeds.rng("crossfit").spawn(2)[0]
    history, honest = replay(run, dataset, folds, combiner, recipe, rng=rng, n_draws=0)
    evidence.write_evidence(run, prepared, table, choice, combiner, history, recipe)
    found = run.load_json("importance.json")
    assert found.get("reason") is None and len(found["columns"]) == 10
    assert found["score"] == pytest.approx(run.load_json("members.json")["score"], rel=1e-5)
    assert {found["columns"][i]["column"] for i in (0, 1)} == {"bmi", "s5"}
    last = run.load_json("growth.json")[-1]
    assert last["last_trial"] == 2 and last["winner_honest"] == pytest.approx(honest.winner.honest)
    assert run.load_arrays("targets.npz")["y"].shape == (442, 1)


def test_changes_do_not_depend_on_how_many_draws_are_held_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    table, _ = made()
    others, weights = list(table.predictions), np.random.default_rng(1).uniform(0.5, 2.0, len(table.y))
    units = table.rows // 2

    def changes() -> list[dict[str, float]]:
        rng = np.random.default_rng(0)
        return evidence._changes(METRIC, table.y, table.predictions.mean(axis=0), others, weights, units, rng)

    whole, sizes, plain = changes(), list[int](), evidence.losses

    def watched(metric: Any, y: np.ndarray, tables: np.ndarray, row_weights: np.ndarray) -> np.ndarray:
        sizes.append(row_weights.size)
        return plain(metric, y, tables, row_weights)

    monkeypatch.setattr(evidence, "losses", watched)
    monkeypatch.setattr(evidence, "MOST_WEIGHTS", 30 * len(table.y))
    for one, other in zip(changes(), whole, strict=True):
        assert one == pytest.approx(other, rel=1e-12)
    assert len(sizes) == 7 and max(sizes) <= 31 * len(table.y)
