"""What a person is told between trials: past the Ladder's step only, and cheaply."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rich.console import Console

from search import watch
from search.combination import Combiner
from search.config import check
from search.metrics import metric_for
from search.preparation import Prepared, prepare
from search.progress import Progress
from search.records import Run, Trial
from search.training.recipe import Recipe
from search.watch import Growing, Watch


@pytest.fixture
def prepared() -> Prepared:
    """Iris with three folds and two repeats."""
    asked = {"demo": "iris", "splits": 3, "repeats": 2, "families": ("linear",), "audit": False}
    return prepare(check(asked))


def add(run: Run, prepared: Prepared, number: int, noise: float, seconds: float = 100.0) -> Trial:
    """Store a completed trial whose predictions are nearer to the targets the lower the noise is."""
    y, rng = prepared.dataset.y, np.random.default_rng(number)
    logits = 3.0 * y + noise * rng.normal(size=(1, 2, *y.shape))
    e = np.exp(logits)
    table = e / e.sum(axis=-1, keepdims=True)
    run.save_out_of_fold(number, table)
    score = float(np.mean([prepared.metric.score(y, one) for one in table[0]]))
    trial = Trial(
        number, "linear", {"penalty": float(number + 1)}, "completed", score=score,
        fold_scores=(score,) * 6, chosen_epoch=1, checkpoints=(1,), curve=(score,), kept_epochs=(1,),
        chosen_index=0, fit_seconds=seconds,
    )  # fmt: skip
    run.append_trial(trial)
    return trial


def growing_of(run: Run, prepared: Prepared, **changes: Any) -> Growing:
    config = check({"demo": "iris", "epochs": 1, **changes})
    return Growing(run, config, prepared, Combiner(prepared.metric), Recipe(n_epochs=1, patience=0.0))


def test_a_better_ensemble_is_told_and_noise_is_not(tmp_path: Path, prepared: Prepared) -> None:
    run = Run.create(tmp_path / "run")
    growing, trials, told = growing_of(run, prepared), [], []
    for number, noise in enumerate([3.0, 3.0, 3.0, 3.0, 0.1, 3.0]):
        trials.append(add(run, prepared, number, noise))
        told.append(growing(trials))
    assert told[0] is None and told[1] is None and told[2] is not None
    assert told[4] is not None and told[4][0] < told[2][0] and told[4][1] == 5
    assert told[5] is None  # a bad trial more changes nothing beyond noise
    assert growing.ladder.n_announced >= 2


def test_the_score_has_not_chosen_on_its_rows(tmp_path: Path, prepared: Prepared) -> None:
    """On pure noise the ensemble's own in-sample loss is below that of each trial by chance; this is not."""
    run = Run.create(tmp_path / "run")
    growing = growing_of(run, prepared)
    y = prepared.dataset.y
    trials = []
    for number in range(12):
        rng = np.random.default_rng(number)
        logits = 2.0 * rng.normal(size=(1, 2, *y.shape))
        e = np.exp(logits)
        run.save_out_of_fold(number, e / e.sum(axis=-1, keepdims=True))
        trial = Trial(
            number, "linear", {"penalty": float(number + 1)}, "completed", score=2.0,
            fold_scores=(2.0,) * 6, chosen_epoch=1, checkpoints=(1,), curve=(2.0,), kept_epochs=(1,),
            chosen_index=0, fit_seconds=99.0,
        )  # fmt: skip
        run.append_trial(trial)
        trials.append(trial)
    found = growing(trials)
    assert found is not None and found[0] > np.log(3)  # worse than knowing nothing


def test_it_costs_at_most_a_share_of_the_training(tmp_path: Path, prepared: Prepared) -> None:
    run = Run.create(tmp_path / "run")
    growing = growing_of(run, prepared)
    trials = [add(run, prepared, number, 1.0, seconds=1.0) for number in range(6)]
    assert growing(trials) is None and growing.seconds == 0.0  # 6 s of training pay for 0.18 s
    trials, growing = [replace(trial, fit_seconds=10.0) for trial in trials], growing_of(run, prepared)
    assert growing(trials) is not None and growing.seconds > 0
    spent = growing.seconds
    assert growing(trials) is None and growing.seconds == spent  # nothing new to look at


def test_trials_of_an_earlier_process_are_not_looked_at_one_by_one(
    tmp_path: Path, prepared: Prepared
) -> None:
    run = Run.create(tmp_path / "run")
    trials = [add(run, prepared, number, 1.0) for number in range(6)]
    growing = growing_of(run, prepared)
    assert [growing(trials[: n + 1]) is None for n in range(6)] == [True] * 5 + [False]


def test_a_study_goes_on_where_no_estimate_can_be_made(
    tmp_path: Path, prepared: Prepared, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = Run.create(tmp_path / "run")
    growing = growing_of(run, prepared)
    trials = [add(run, prepared, number, 1.0) for number in range(3)]

    def fails(*_: Any, **__: Any) -> None:
        raise ValueError("too few")

    monkeypatch.setattr(watch, "split", fails)
    assert growing(trials) is None and growing(trials) is None


def test_the_watch_fills_the_line(tmp_path: Path, prepared: Prepared) -> None:
    run, out = Run.create(tmp_path / "run"), io.StringIO()
    progress = Progress(4, "log_loss", console=Console(file=out, width=300), is_verbose=True)
    seen = Watch(run, prepared, progress, growing_of(run, prepared))
    trials: list[Trial] = []
    for number, noise in enumerate([1.0, 3.0, 0.1]):
        seen.begin(number, "linear", {"penalty": float(number + 1)})
        trials.append(add(run, prepared, number, noise))
        seen(trials[-1], trials)
    state = progress.state
    assert state.best_trial == 2 and state.best is not None and state.best.config == {"penalty": 3.0}
    assert state.current is not None and state.current.number == 2
    assert state.ensemble_score is not None and state.ensemble_trials == 3
    assert seen.counts["n_announced"] == 2 and seen.counts["n_ensembles_announced"] == 1
    assert "trial 2 (linear)" in out.getvalue() and "best: trial 0 (linear)" in out.getvalue()
    seen(Trial(3, "linear", {}, "failed", cause="no memory"), [*trials, Trial(3, "linear", {}, "failed")])
    assert "trial 3 failed: no memory" in out.getvalue() and progress.state.n_failed == 1


def test_a_metric_that_is_no_mean_of_rows(tmp_path: Path, prepared: Prepared) -> None:
    auc = replace(prepared, metric=metric_for("auc", prepared.dataset.task))
    run = Run.create(tmp_path / "run")
    growing = growing_of(run, auc, metric="auc")
    found = growing([add(run, auc, number, 1.0) for number in range(4)])
    assert found is not None and 0.9 < found[0] <= 1.0
