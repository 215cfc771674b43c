"""A study from end to end, on tables of a hundred rows: every task, split, sampler and end."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from ensemble import Ensemble
from reports.leaderboard import leaderboard
from search import flow, metrics
from search.config import to_toml
from search.preparation import prepare
from search.progress import Progress
from search.records import Run
from search.run import main
from search.splits import Folds
from tests.search.studies import ROOT, SPACE, averaged, config_of, done, entries_of, frame_of, new_rows


@pytest.fixture(scope="module")
def binary(tmp_path_factory: pytest.TempPathFactory) -> Run:
    frame = frame_of()
    frame.loc[[5, 50], "ill"] = None
    return done(config_of(tmp_path_factory.mktemp("binary"), "ill", frame=frame, trials=4, repeats=2))


def test_a_run_holds_everything(binary: Run) -> None:
    for name in (
        "run.json", "config.toml", "splits.npz", "rows.npz", "journal.log", "trials.jsonl", "trials.csv",
        "trials.parquet", "ledger.csv", "ledger.parquet", "baselines.npz", "ensemble", "report.md",
        "report.json",
    ):  # fmt: skip
        assert binary.has(name), name
    facts = binary.load_json("run.json")
    assert facts["dataset"]["n_rows"] == 94
    assert facts["task"]["kind"] == "binary"
    trials = binary.trials()
    assert [t.status for t in trials] == ["completed"] * 4 and {t.way for t in trials} == {"stacked"}
    assert sum(t.is_traced for t in trials) == 1
    rates = [t.config["learning_rate"] for t in trials]
    assert len(set(rates)) == 4 and all(0.003 <= rate <= 0.1 for rate in rates)


def test_scores_can_be_recomputed_from_what_is_stored(binary: Run) -> None:
    folds = Folds.load(binary.path / "splits.npz")
    assert (folds.n_repeats, folds.n_splits, folds.n_rows) == (2, 3, 94)
    y = (frame_of().drop(index=[5, 50])["ill"] == "yes").to_numpy(float)[:, None]
    for trial in binary.trials():
        chosen = binary.out_of_fold(trial.number)[trial.chosen_index]
        assert not np.isnan(chosen).any()
        expected = np.mean([metrics.METRICS["log_loss"].score(y, one) for one in chosen])
        assert trial.score == pytest.approx(expected, rel=1e-5)
        assert trial.score == pytest.approx(min(trial.curve), rel=1e-5)


def test_the_ensemble_beats_chance_and_its_score_is_the_cross_fitted_one(binary: Run) -> None:
    entries = entries_of(binary)
    assert list(entries) == ["dummy", "linear", "best single", "ensemble"]
    assert entries["ensemble"]["score"] < 0.8 * entries["dummy"]["score"]
    summary = binary.load_json("summary.json")
    assert entries["ensemble"]["score"] == summary["ensemble"]["score"]
    assert sum(m["weight"] for m in summary["ensemble"]["members"]) == pytest.approx(1.0)


def test_the_ledger_knows_every_decision(binary: Run) -> None:
    events = pd.DataFrame(binary.events())
    counts = events.stage.value_counts().to_dict()
    assert counts == {"epoch": 4, "propose": 2, "winner": 1, "members": 1}
    assert events[events.stage == "winner"].nats.item() == pytest.approx(np.log(4))


def test_the_loaded_ensemble_is_the_average_of_its_stored_models(binary: Run) -> None:
    new = new_rows()
    found = Ensemble.load(binary.path / "ensemble").predict_raw(new)
    assert np.isfinite(found).all() and found.std() > 0.1
    assert np.abs(found - averaged(binary, new)).max() < 1e-6


def test_another_process_predicts_the_same(binary: Run, tmp_path: Path) -> None:
    new, out = tmp_path / "new.csv", tmp_path / "out.csv"
    new_rows().to_csv(new, index=False)
    words = ["predict", str(binary.path), str(new), "-o", str(out)]
    finished = subprocess.run(
        [sys.executable, "-m", "search.run", *words], cwd=ROOT, capture_output=True, text=True, timeout=120,
        check=False,
    )  # fmt: skip
    assert (finished.returncode, finished.stderr) == (0, "")
    answer = pd.read_csv(out)
    expected = averaged(binary, pd.read_csv(new))[:, 0]
    assert np.abs(answer["probability_yes"] - expected).max() < 1e-6
    assert list(answer["ill"]) == ["yes" if p > 0.5 else "no" for p in expected]


def test_the_same_seed_is_the_same_study_and_another_is_not(tmp_path: Path) -> None:
    boards = []
    for name, seed in (("one", 3), ("two", 3), ("other", 4)):
        (tmp_path / name).mkdir()
        config = config_of(
            tmp_path / name, "grade", groups="site", sampler="random", seed=seed, splits=2, epochs=4
        )
        run = done(config)
        board = leaderboard(run)
        boards.append(board[[c for c in board.columns if "seconds" not in c and "memory" not in c]])
        facts, folds = run.load_json("run.json"), Folds.load(run.path / "splits.npz")
        assert facts["task"]["kind"] == "multiclass" and facts["dataset"]["n_columns"] == 4
        sites = frame_of()["site"].to_numpy()
        for member in folds.members():
            assert not set(sites[member.train]) & set(sites[member.held])
        predicted = Ensemble.load(run.path / "ensemble").predict_raw(new_rows())
        assert np.allclose(predicted.sum(axis=1), 1.0, atol=1e-5)
        assert np.abs(predicted - averaged(run, new_rows())).max() < 1e-6
    pd.testing.assert_frame_equal(boards[0], boards[1], check_exact=True)
    assert not np.array_equal(boards[0]["score"], boards[2]["score"])


def test_sealed_rows_appear_nowhere(tmp_path: Path) -> None:
    frame = frame_of()
    frame["code"] = [f"row {n}" for n in range(len(frame))]
    frame.loc[7, ["tall", "wide"]] = np.nan
    run = done(
        config_of(
            tmp_path,
            "tall",
            "wide",
            frame=frame,
            holdout=0.25,
            sampler="qmc",
            task="multilabel",
            keep=["code"],
        )
    )
    rows = run.load_arrays("rows.npz")
    sealed, development = set(rows["sealed"].tolist()), set(rows["development"].tolist())
    assert 20 <= len(sealed) <= 28
    assert not sealed & development and sealed | development == set(range(96)) - {7}
    facts = run.load_json("run.json")
    vocabulary = next(c for c in facts["schema"]["columns"] if c["name"] == "code")["categories"]
    assert set(vocabulary) == {f"row {n}" for n in development}
    assert facts["dataset"]["n_rows"] == len(development) and facts["dataset"]["n_sealed"] == len(sealed)
    for trial in run.trials():
        assert run.out_of_fold(trial.number).shape[1:] == (1, len(development), 2)
    assert Folds.load(run.path / "splits.npz").n_rows == len(development)
    assert "row " + str(min(sealed)) not in (run.path / "ensemble" / "ensemble.json").read_text().split('"')
    predicted = Ensemble.load(run.path / "ensemble").predict_raw(new_rows().assign(code="new"))
    assert predicted.shape == (40, 2) and np.abs(predicted.sum(axis=1) - 1.0).max() > 0.05


@pytest.mark.parametrize("holdout", [0.0, 0.25])
def test_rows_without_a_target_are_counted(tmp_path: Path, holdout: float) -> None:
    frame = frame_of()
    frame.loc[[5, 50], "ill"] = None
    dataset = prepare(config_of(tmp_path, "ill", frame=frame, holdout=holdout)).dataset
    assert dataset.n_dropped == 2
    assert any("2 rows without a target" in note for note in dataset.notes)


def test_a_refit_learns_from_all_rows(tmp_path: Path) -> None:
    run = done(
        config_of(tmp_path, "price", "cost", final="refit", sampler="cmaes", repeats=2, splits=2, epochs=20)
    )
    assert run.load_json("run.json")["task"]["kind"] == "regression"
    loaded = Ensemble.load(run.path / "ensemble")
    assert run.load_json("summary.json")["ensemble"]["final"] == "refit"
    frame = frame_of()
    for candidate in loaded.candidates:
        assert candidate.n_members == 2  # one for each repeat
        expected = frame[["price", "cost"]].mean().to_numpy()
        assert np.allclose(candidate.target_center, expected)
    fold_models = averaged(run, frame)
    predicted = loaded.predict(frame)
    assert predicted.shape == (96, 2)
    assert not np.allclose(predicted, fold_models)
    for target, name in enumerate(("price", "cost")):
        assert np.corrcoef(predicted[:, target], frame[name])[0, 1] > 0.7
    assert entries_of(run)["ensemble"]["score"] < entries_of(run)["dummy"]["score"]


def test_time_is_respected_and_a_grid_is_exhausted(tmp_path: Path) -> None:
    config = config_of(
        tmp_path, "ill", time_column="day", sampler="grid", repeats=None, trials=30, epoch_choice="inner",
        space={**SPACE, "label_smoothing": 0.0, "learning_rate": [0.01, 0.05]},
    )  # fmt: skip
    run = done(config)
    assert sorted(t.config["learning_rate"] for t in run.trials()) == [0.01, 0.05]
    assert "exhausted after 2 trials" in run.load_json("summary.json")["stop_reason"]
    folds = Folds.load(run.path / "splits.npz")
    assert folds.kind == "time"
    assert all(member.train.max() < member.held.min() for member in folds.members())
    assert {trial.way for trial in run.trials()} == {"looped"}
    assert "epoch" not in {event["stage"] for event in run.events()}
    new = new_rows()
    assert np.abs(Ensemble.load(run.path / "ensemble").predict_raw(new) - averaged(run, new)).max() < 1e-6


def test_keras_tuner_proposes_as_well(tmp_path: Path) -> None:
    config = config_of(
        tmp_path, "ill", tuner="keras-tuner", oracle="bayesian", metric="auc", splits=2, epochs=3
    )
    run = done(config)
    assert [t.status for t in run.trials()] == ["completed"] * 3
    assert len({t.config["learning_rate"] for t in run.trials()}) == 3
    assert run.load_json("run.json")["is_higher_better"] is True
    best = max(t.score for t in run.trials() if t.score is not None)
    assert run.load_json("summary.json")["best_single"]["score"] == best
    assert "propose" in {event["stage"] for event in run.events()}


def test_the_leak_budget_ends_a_study(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("reports.budget.is_enough", lambda honest, in_sample: len(honest) == 3)
    small = {"splits": 2, "epochs": 3, "draws": 0, "audit": False}
    run = done(config_of(tmp_path, "ill", trials=9, leak_budget=True, **small))
    did = run.load_json("summary.json")["leak_budget"]
    assert did["has_stopped"] and did["n_trials"] == len(run.trials()) == 3
    assert run.load_json("summary.json")["stop_reason"].startswith("another trial is not worth its leak")
    scores = [min(t.score or np.inf for t in run.trials()[: n + 1]) for n in range(3)]
    assert did["in_sample"] == pytest.approx(scores, rel=1e-5)
    assert "The leak budget was on and judged nothing" in (run.path / "report.md").read_text()


def _interrupt_after(n_done: int) -> Callable[..., None]:
    update = Progress.update

    def interrupting(self: Progress, **changes: Any) -> None:
        update(self, **changes)
        if changes.get("n_done") == n_done:
            raise KeyboardInterrupt

    return interrupting


def test_an_interruption_keeps_everything_finished(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Progress, "update", _interrupt_after(2))
    outcome = flow.study(config_of(tmp_path, "ill", trials=9, splits=2, epochs=3), command="test")
    run = Run.open(outcome.run_path)
    assert outcome.is_interrupted and outcome.n_completed == len(run.trials()) == 2
    assert not run.is_finished and "interrupted after 2" in run.load_json("summary.json")["stop_reason"]
    new = new_rows()
    assert np.abs(Ensemble.load(run.path / "ensemble").predict_raw(new) - averaged(run, new)).max() < 1e-6
    assert run.has("report.md") and run.has("trials.csv")


def test_ctrl_c_ends_the_command_with_130_and_the_parent_never_imports_tensorflow(tmp_path: Path) -> None:
    config = tmp_path / "study.toml"
    config.write_text(to_toml(config_of(tmp_path, "ill", trials=100_000, splits=2, epochs=3)))
    code = (  # a shell's background job, as this test may be, has its children ignore Ctrl-C
        "import signal, sys; signal.signal(signal.SIGINT, signal.default_int_handler);"
        "from search.run import main; code = main(sys.argv[1:]);"
        "print([m for m in ('tensorflow', 'keras') if m in sys.modules], file=sys.stderr); sys.exit(code)"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code, "study", "--config", str(config)], cwd=ROOT, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    lines, until = tmp_path / "run" / "trials.jsonl", time.monotonic() + 120
    try:
        while time.monotonic() < until and process.poll() is None:
            if lines.exists() and len(lines.read_text().splitlines()) >= 2:
                break
            time.sleep(0.1)
        os.kill(process.pid, signal.SIGINT)
        out, err = process.communicate(timeout=200)
    finally:
        process.kill()
    assert process.returncode == 130, err
    assert "Traceback" not in err and "completed trials are kept" in err
    assert err.splitlines()[-1] == "[]"
    run = Run.open(tmp_path / "run")
    assert not run.is_finished and len(run.trials()) >= 2 and run.has("ensemble")
    assert "best single" in out


def test_no_valid_model_is_exit_code_3(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = tmp_path / "study.toml"
    values = {
        "trials": 9,
        "max_failures": 2,
        "splits": 2,
        "epochs": 5,
        "space": {**SPACE, "learning_rate": {"low": 1e37, "high": 1e38, "log": True}},
    }
    config.write_text(to_toml(config_of(tmp_path, "price", **values)))
    assert main(["study", "--config", str(config)]) == 3
    shown = capsys.readouterr()
    assert "no trial ended with a valid model" in shown.err and "Traceback" not in shown.err
    run = Run.open(tmp_path / "run")
    assert [t.status for t in run.trials()] == ["failed"] * 2
    assert all(t.cause for t in run.trials()) and not run.has("ensemble") and run.has("report.md")
    assert main(["predict", str(tmp_path / "run"), str(tmp_path / "table.csv")]) == 2
    assert json.loads((run.path / "summary.json").read_text())["n_failed"] == 2
