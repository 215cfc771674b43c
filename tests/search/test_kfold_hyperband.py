"""KFoldTuner's Hyperband: each fold goes on with its own weights; on permuted targets it scores chance."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from keras import layers

from search.kfold_tuner import KFoldTuner
from search.training.engine import Engine, Job

pytestmark = pytest.mark.filterwarnings("ignore:currentThread|getName:DeprecationWarning")


def _build(hp: Any) -> Any:
    model = keras.Sequential(
        [keras.Input((6,)), layers.Dense(32, "relu"), layers.Dropout(0.1), layers.Dense(1, "sigmoid")]
    )
    rate = hp.Float("lr", 3e-3, 3e-2, sampling="log")
    model.compile(keras.optimizers.Adam(rate), "binary_crossentropy", metrics=["accuracy"])
    return model


def _noise(seed: int, n_rows: int = 90) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    return rng.normal(size=(n_rows, 6)), rng.permutation(np.repeat([0, 1], n_rows // 2))


def _tuner(place: Path, build: Any = _build, **changes: Any) -> KFoldTuner:
    options = {
        "oracle": "hyperband", "max_trials": 11, "max_epochs": 8, "factor": 2, "n_splits": 3, "seed": 0,
        "directory": place, "project_name": "p", **changes,
    }  # fmt: skip
    return KFoldTuner(build, **options)


def _trials(tuner: KFoldTuner) -> list[Any]:
    """In the order in which they began; a project that is taken up reads its files in any."""
    return sorted(tuner.oracle.trials.values(), key=lambda trial: int(trial.trial_id))


def _told(tuner: KFoldTuner) -> list[tuple[int, str | None]]:
    values = [trial.hyperparameters.values for trial in _trials(tuner)]
    return [(value["tuner/epochs"], value.get("tuner/trial_id")) for value in values]


def test_the_best_go_on_for_more_epochs(tmp_path: Path) -> None:
    tuner = _tuner(tmp_path)
    states: list[int] = []
    keep = tuner._store.keep_state
    tuner._store.keep_state = lambda *a: (keep(*a), states.append(len(list(tmp_path.rglob("state.npz")))))  # type: ignore[method-assign]
    tuner.search(*_noise(0), batch_size=16)
    told = _told(tuner)
    assert [epochs for epochs, _ in told] == [2] * 6 + [4] * 3 + [8] * 2
    trials = list(tuner.oracle.trials.values())
    assert all(past is None for _, past in told[:6])
    for before, after in ((slice(0, 6), slice(6, 9)), (slice(6, 9), slice(9, 11))):
        best = sorted(trials[before], key=lambda trial: trial.score)
        assert [past for _, past in told[after]] == [trial.trial_id for trial in best][: len(told[after])]
    assert {tuner.folds(trial.trial_id).way for trial in trials} == {"stacked"}
    assert max(states) <= 4 and not list(tmp_path.rglob("state.npz")), "forgotten when nobody goes on"
    assert tuner.get_best_hyperparameters()[0].get("tuner/epochs") in (2, 4, 8)


@pytest.mark.parametrize("way", ["stacked", "fit"])
def test_resumed_is_trained_in_one_go(way: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A trial that went on gives what it gives without the state of the one before it."""
    callbacks = {"callbacks": [keras.callbacks.TerminateOnNaN()]} if way == "fit" else {}
    small = {"max_trials": 3, "max_epochs": 2} if way == "fit" else {}
    found = []
    for place in ("with", "without"):
        tuner = _tuner(tmp_path / place, **small)
        if place == "without":
            monkeypatch.setattr(tuner._store, "state", lambda trial_id: None)
        tuner.search(*_noise(0), batch_size=16, **callbacks)
        last = [t for t in tuner.oracle.trials.values() if "tuner/trial_id" in t.hyperparameters.values][-1]
        assert tuner.folds(last.trial_id).way == way
        found.append((tuner.out_of_fold(last.trial_id), tuner.fold_models(last.trial_id)[1].get_weights()))
    assert found[0][0].tobytes() == found[1][0].tobytes()
    assert all(np.array_equal(a, b) for a, b in zip(found[0][1], found[1][1], strict=True))


def _accuracies(place: Path, n_seeds: int) -> list[float]:
    """Mean accuracy of the longest trainings on rows held out.

    Their epoch and they themselves were chosen by the loss on these rows: in eight such searches on noise
    that made it too good by 0.026 (standard error 0.014). A leak adds ten times as much.
    """
    found = []
    for seed in range(n_seeds):
        tuner = _tuner(place / str(seed), seed=seed, max_trials=11, max_epochs=45, factor=3)
        tuner.search(*_noise(seed), batch_size=8)
        longest = [t for t in tuner.oracle.trials.values() if "tuner/trial_id" in t.hyperparameters.values]
        found.append(float(np.mean([t.metrics.get_last_value("val_accuracy") for t in longest])))
    return found


def _is_chance(scores: list[float]) -> bool:
    return bool(abs(np.mean(scores) - 0.5) < 2.0 * np.std(scores, ddof=1) / math.sqrt(len(scores)))


def test_on_permuted_targets_it_scores_chance(tmp_path: Path) -> None:
    scores = _accuracies(tmp_path, 4)
    assert _is_chance(scores)


def test_the_law_finds_folds_that_go_on_with_each_others_weights(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    train = Engine.train

    def leaking(self: Engine, job: Job) -> Any:
        state = job.state and {
            n: np.roll(v, 1, axis=0) if n.startswith("trainer_0") and v.ndim else v
            for n, v in job.state.items()
        }
        return train(self, replace(job, state=state))

    monkeypatch.setattr(Engine, "train", leaking)
    scores = _accuracies(tmp_path, 3)
    assert not _is_chance(scores) and np.mean(scores) > 0.6


def test_a_folder_is_taken_up_where_it_was_left(tmp_path: Path) -> None:
    x, y = _noise(0)
    whole = _tuner(tmp_path / "whole")
    whole.search(x, y)
    first = _tuner(tmp_path / "parts")
    run_trial, n_run = first.run_trial, []

    def interrupted(trial: Any, **options: Any) -> Any:
        if len(n_run) == 7:
            raise KeyboardInterrupt
        n_run.append(trial.trial_id)
        return run_trial(trial, **options)

    first.run_trial = interrupted
    with pytest.raises(KeyboardInterrupt):
        first.search(x, y)
    assert list((tmp_path / "parts").rglob("state.npz")), "some may still go on"
    again = _tuner(tmp_path / "parts")
    again.search(x, y)
    assert _told(again) == _told(whole)
    scores = [[trial.score for trial in _trials(tuner)] for tuner in (whole, again)]
    assert scores[0] == scores[1]


def test_a_score_whose_higher_value_is_better(tmp_path: Path) -> None:
    tuner = _tuner(tmp_path, objective="val_accuracy", max_epochs=2, max_trials=5)
    tuner.search(*_noise(0))
    trials = list(tuner.oracle.trials.values())
    n_first = [epochs for epochs, _ in _told(tuner)].index(2)
    goes_on = trials[n_first].hyperparameters.values["tuner/trial_id"]
    assert tuner.oracle.get_trial(goes_on).score == max(trial.score for trial in trials[:n_first])
