"""Studies over several families from end to end: linear models, boosters and networks in one ensemble."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy.optimize import minimize_scalar

from ensemble import Ensemble
from ensemble.calibration import Calibration
from reports.leaderboard import leaderboard
from search import assembly, conclusion, flow, metrics, study
from search.config import load
from search.objective import Objective, full_plan
from search.preparation import prepare
from search.records import Run
from search.splits import Folds
from search.training.fitting import fit_member
from tests.search.studies import ROOT, SPACE, averaged, config_of, done, frame_of, new_rows, of_trial

EVERY = ("linear", "boosting", "mlp")
FITTED = ("linear", "boosting")
TARGETS = {
    "binary": ("ill",),
    "multiclass": ("grade",),
    "multilabel": ("tall", "wide"),
    "regression": ("price", "cost"),
}


def _study(folder: Path, *targets: str, families: tuple[str, ...] = EVERY, **changes: Any) -> Run:
    """A study in which every family has its turn, and every trial is a member unless told otherwise."""
    quick = {"boosting": {"learning_rate": 0.25, "rate_sum": 15.0}, "mlp": SPACE}
    space = {name: quick[name] for name in families if name in quick}
    values = {"trials": 4, "draws": 0, "ensemble": "uniform", "space": space, "families": families, **changes}
    folder.mkdir(exist_ok=True)
    return done(config_of(folder, *targets, **values))


def _board(run: Run) -> pd.DataFrame:
    board = leaderboard(run)
    return board[[c for c in board.columns if "seconds" not in c and "memory" not in c]]


def _check_same(one: Run, other: Run) -> None:
    """Check that two studies tried, predicted and chose the same, to the last bit."""
    pd.testing.assert_frame_equal(_board(one), _board(other), check_exact=True)
    for trial in one.trials():
        np.testing.assert_array_equal(one.out_of_fold(trial.number), other.out_of_fold(trial.number))
    found = [Ensemble.load(run.path / "ensemble").predict_raw(new_rows()) for run in (one, other)]
    np.testing.assert_array_equal(*found)


@pytest.fixture(scope="module")
def run_of(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Run]:
    """The study of a kind of task, made once."""

    @cache
    def of(kind: str) -> Run:
        return _study(tmp_path_factory.mktemp(kind) / "study", *TARGETS[kind], task=kind)

    return of


@pytest.mark.parametrize("kind", TARGETS)
def test_every_family_is_tried_and_what_is_saved_is_the_average_of_its_models(
    run_of: Callable[[str], Run], kind: str
) -> None:
    run = run_of(kind)
    trials = run.trials()
    assert [(t.family, t.status) for t in trials] == [(f, "completed") for f in (*EVERY, "linear")]
    assert [t.way for t in trials] == ["fitted", "fitted", "stacked", "fitted"]
    assert all(np.isfinite(run.out_of_fold(t.number)).all() for t in trials)
    assert len(run.load_json("summary.json")["ensemble"]["members"]) == 4
    found, new = Ensemble.load(run.path / "ensemble").predict_raw(new_rows()), new_rows()
    assert np.isfinite(found).all() and (found.std(axis=0) > 0.1).all()
    np.testing.assert_allclose(found, averaged(run, new), rtol=1e-6, atol=1e-6)
    if kind == "multiclass":
        np.testing.assert_allclose(found.sum(axis=1), 1.0, atol=1e-6)


def test_each_fold_model_predicts_the_rows_that_it_did_not_learn_from(run_of: Callable[[str], Run]) -> None:
    run, frame = run_of("regression"), frame_of()
    schema = Ensemble.load(run.path / "ensemble").schema
    folds = Folds.load(run.path / "splits.npz")
    for trial in run.trials():
        models = of_trial(run, trial.number, schema, schema.read(frame))
        stored = run.out_of_fold(trial.number)[trial.chosen_index]
        for model, member in zip(models, folds.members(), strict=True):
            expected = stored[member.repeat, member.held]
            np.testing.assert_allclose(model[member.held], expected, rtol=1e-5, atol=1e-4)


def test_another_process_predicts_the_same_on_every_task(
    run_of: Callable[[str], Run], tmp_path: Path
) -> None:
    new_rows().to_parquet(tmp_path / "new.parquet")
    code = (
        "import sys, numpy as np, pandas as pd\n"
        "from ensemble import Ensemble\n"
        "new = pd.read_parquet(sys.argv[1])\n"
        "np.savez(sys.argv[2], *[Ensemble.load(path).predict_raw(new) for path in sys.argv[3:]])\n"
    )
    runs = [run_of(kind) for kind in TARGETS]
    words = [
        str(tmp_path / "new.parquet"),
        str(tmp_path / "out.npz"),
        *(str(r.path / "ensemble") for r in runs),
    ]
    subprocess.run(
        [sys.executable, "-c", code, *words], cwd=ROOT, check=True, capture_output=True, timeout=240
    )
    there = np.load(tmp_path / "out.npz")
    for number, run in enumerate(runs):
        loaded, weights = Ensemble.load(run.path / "ensemble"), run.load_json("summary.json")["ensemble"]
        trials = {trial.number: trial for trial in run.trials()}
        members = [(trials[m["trial"]], m["weight"]) for m in weights["members"]]
        here = Ensemble(loaded.schema, loaded.task, assembly.bagged(run, members)).predict_raw(new_rows())
        np.testing.assert_allclose(there[f"arr_{number}"], here, rtol=1e-6, atol=1e-6)


def test_rounds_are_looks_as_epochs_are_and_nothing_else_is(run_of: Callable[[str], Run]) -> None:
    run = run_of("binary")
    linear, boosting, network, _ = run.trials()
    assert len(linear.curve) == 1 and boosting.checkpoints[-1] == 60 and network.checkpoints[-1] == 8
    events = pd.DataFrame(run.events())
    epochs = events[events.stage == "epoch"].set_index("trial")
    assert set(epochs.index) == {1, 2}, "a linear model has nothing to choose"
    assert epochs.nats[1] == pytest.approx(np.log(len(boosting.checkpoints)))


def test_the_same_seed_is_the_same_study(run_of: Callable[[str], Run], tmp_path: Path) -> None:
    _check_same(run_of("binary"), _study(tmp_path / "study", "ill", task="binary"))


def test_a_row_of_weight_zero_changes_nothing(tmp_path: Path) -> None:
    weights = np.tile([2.0, 0.0, 1.0], 32)
    spoilt = frame_of().assign(count=weights)
    spoilt.loc[weights == 0, ["x", "città", "price"]] = [1e6, "Atlantis", -1e9]
    without = frame_of().assign(count=weights)[weights > 0]
    kind = {"families": FITTED, "weights": "count", "trials": 3}
    _check_same(
        _study(tmp_path / "without", "price", frame=without, **kind),
        _study(tmp_path / "spoilt", "price", frame=spoilt, **kind),
    )


def test_weights_of_rows_pull_fits_and_scores(run_of: Callable[[str], Run], tmp_path: Path) -> None:
    frame = frame_of()
    y = (frame["ill"] == "yes").to_numpy(float)[:, None]
    weights = np.where(y[:, 0] > 0, 6.0, 1.0)
    light = run_of("binary")
    heavy = _study(tmp_path / "heavy", "ill", frame=frame.assign(count=weights), weights="count")
    assert [c["name"] for c in heavy.load_json("run.json")["schema"]["columns"]] == [
        "x",
        "gap",
        "flag",
        "città",
    ]
    score = metrics.METRICS["log_loss"].score
    for one, other in zip(light.trials(), heavy.trials(), strict=True):
        assert one.family == other.family and one.config == other.config
        before, after = (
            run.out_of_fold(t.number)[t.chosen_index][0] for run, t in ((light, one), (heavy, other))
        )
        assert after.mean() > before.mean() + 0.02, one.family
        assert other.score == pytest.approx(score(y, after, weights), rel=1e-6)
        assert other.score != pytest.approx(score(y, after), rel=1e-3)
    summary = heavy.load_json("summary.json")
    dummy = summary["baselines"][0]
    assert dummy["score"] == pytest.approx(score(y, heavy.load_arrays("baselines.npz")["dummy"][0], weights))
    in_sample = sum(
        m["weight"] * heavy.out_of_fold(m["trial"])[heavy.trials()[m["trial"]].chosen_index][0].astype(float)
        for m in summary["ensemble"]["members"]
    )
    assert summary["ensemble"]["in_sample_score"] == pytest.approx(score(y, in_sample, weights))


def test_a_refit_of_fitted_families_learns_from_all_rows(tmp_path: Path) -> None:
    run = _study(tmp_path / "study", "price", families=FITTED, final="refit", repeats=2, trials=3)
    loaded, summary = Ensemble.load(run.path / "ensemble"), run.load_json("summary.json")["ensemble"]
    assert summary["final"] == "refit" and {c.family for c in loaded.candidates} == set(FITTED)
    config = load(run.path / "config.toml")
    prepared = prepare(config)
    anything: Any = None
    seed = prepared.seeds.number("training")
    objective = Objective(
        anything, anything, prepared.folds, prepared.signature, prepared.metric, flow.recipe_of(config), seed
    )
    plan, expected = full_plan(prepared.dataset, 2), np.zeros((prepared.dataset.n_rows, 1))
    for trial, candidate in zip(run.trials(), sorted(loaded.candidates, key=lambda c: c.trial), strict=True):
        assert candidate.n_members == 2, "one for each repeat"
        assert candidate.weights[0].tolist() == [trial.chosen_epoch] * 2, "as many rounds as were chosen"
        asked = objective.request(trial.number, trial.family, trial.config, {})
        asked = replace(asked, recipe=replace(asked.recipe, checkpoints=(trial.chosen_epoch or 1,)))
        fits = [plan.in_units(m, fit_member(plan, asked, m).held[0]) for m in range(2)]
        expected += candidate.weight * np.mean(fits, axis=0)
    np.testing.assert_allclose(loaded.predict_raw(frame_of()), expected, rtol=1e-5)


@pytest.mark.parametrize(
    ("choice", "families"),
    [("common", EVERY), ("fold", EVERY), ("inner", FITTED)],
    ids=["common", "fold", "inner"],
)
def test_a_replay_on_all_rows_decides_as_the_study_did(
    tmp_path: Path, choice: str, families: tuple[str, ...]
) -> None:
    automatic = {"ensemble": "auto", "calibration": "auto", "repeats": 2}
    run = _study(tmp_path / "study", "ill", families=families, epoch_choice=choice, **automatic)
    config, trials, summary = load(run.path / "config.toml"), run.trials(), run.load_json("summary.json")
    prepared = prepare(config)
    history, honest = assembly.replay(
        run, prepared.dataset, prepared.folds, conclusion.combiner_of(config, prepared),
        flow.recipe_of(config), rng=np.random.default_rng(0), n_draws=0,
    )  # fmt: skip
    full = honest.full
    for kept, epochs, trial in zip(full.kept, history.epochs, trials, strict=True):
        epoch = trial.chosen_epoch
        expected = trial.member_epochs if choice == "fold" else (epoch,)
        assert tuple(epochs[k] for k in np.atleast_1d(kept)) == expected
    assert full.is_pruned.tolist() == [trial.status == "pruned" for trial in trials]
    np.testing.assert_allclose(full.losses, [trial.score for trial in trials], rtol=1e-6)
    assert history.numbers[full.winner] == summary["best_single"]["trial"]
    chosen = {m["trial"]: m["weight"] for m in summary["ensemble"]["members"]}
    assert {history.numbers[t]: full.weights[t] for t in np.flatnonzero(full.weights)} == pytest.approx(
        chosen
    )
    assert full.method == summary["ensemble"]["method"] in summary["ensemble"]["method_losses"]
    assert isinstance(full.calibration, Calibration)
    assert full.calibration.to_json() == summary["ensemble"]["calibration"]
    assert honest.ensemble.printed == pytest.approx(summary["ensemble"]["in_sample_score"])
    stages = [event["stage"] for event in run.events()]
    assert stages[-4:] == ["winner", "method", "members", "calibration"]
    _check_epochs(run, choice)


def _check_epochs(run: Run, choice: str) -> None:
    """Check what is charged and stored of a booster, whose folds may each have their own rounds."""
    boosting = next(trial for trial in run.trials() if trial.family == "boosting")
    charged = [e["nats"] for e in run.events() if e["stage"] == "epoch" and e["trial"] == boosting.number]
    one = float(np.log(len(boosting.checkpoints)))
    expected = {"common": [one], "fold": [6 * one], "inner": []}[choice]
    assert charged == pytest.approx(expected)
    assert len(set(boosting.member_epochs)) == 1 or choice != "common"
    assert len(set(boosting.member_epochs)) > 1 or choice == "common"
    assert run.weights(boosting.number)["weight_000"].tolist() == list(boosting.member_epochs)


@pytest.mark.parametrize("target", ["ill", "grade"])
def test_the_saved_calibration_is_that_of_the_average_over_repeats(tmp_path: Path, target: str) -> None:
    asked: dict[str, Any] = {"families": ("linear",), "ensemble": "greedy", "calibration": "temperature"}
    run = _study(tmp_path / "study", target, repeats=2, trials=3, **asked)
    loaded, trials = Ensemble.load(run.path / "ensemble"), {t.number: t for t in run.trials()}
    members = run.load_json("summary.json")["ensemble"]["members"]
    assert loaded.calibration is not None and loaded.calibration.method == "temperature"
    stored = {n: run.out_of_fold(n)[t.chosen_index].astype(float) for n, t in trials.items()}
    mean = sum(m["weight"] * stored[m["trial"]] for m in members).mean(axis=0)
    labels = np.array(loaded.task.classes)[:, None] == frame_of()[target].to_numpy()

    def tempered(p: np.ndarray, temperature: float) -> np.ndarray:
        """Probabilities of all classes, of which a binary prediction tells the second."""
        whole = np.hstack([1 - p, p]) if p.shape[1] == 1 else p
        power = whole ** (1 / temperature)
        return power / power.sum(axis=1, keepdims=True)

    def lost(log_temperature: float) -> float:
        return -float(np.log(tempered(mean, np.exp(log_temperature))[labels.T]).mean())

    best = float(np.exp(minimize_scalar(lost, bounds=(-2, 2), method="bounded", options={"xatol": 1e-8}).x))
    assert loaded.calibration.temperature == pytest.approx(best, rel=1e-4) and abs(best - 1) > 0.01
    expected = tempered(averaged(run, new_rows()), loaded.calibration.temperature)
    np.testing.assert_allclose(loaded.predict_proba(new_rows()), expected, atol=1e-6)


def test_models_that_were_not_kept_are_fitted_again_just_as_they_were(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: dict[str, Any] = {"families": FITTED, "trials": 3, "ensemble": "best"}
    kept = _study(tmp_path / "kept", "grade", **asked)
    monkeypatch.setattr(study, "MOST_STORED_BYTES", 0)
    again = _study(tmp_path / "again", "grade", **asked)
    _check_same(kept, again)
    member = again.load_json("summary.json")["ensemble"]["members"][0]["trial"]
    assert [again.has(f"weights/{n:05d}.npz") for n in range(3)] == [n == member for n in range(3)]
    assert all(kept.has(f"weights/{n:05d}.npz") for n in range(3))
