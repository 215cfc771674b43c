"""A model of the user's, searched from the command line's own flow: trained, saved, predicted, refused."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from ensemble import Ensemble
from search import flow
from search.run import main
from tests.search.studies import config_of, done, frame_of

ROOT = Path(__file__).parents[2]


def test_a_function_of_hyperparameters_is_searched_and_saved(tmp_path: Path) -> None:
    config = config_of(
        tmp_path, "ill", model="tests.spaces.user_models:build_deep", families=None, space=None, trials=3
    )
    run = done(config)
    trials = run.trials()
    assert {trial.family for trial in trials} == {"tests.spaces.user_models:build_deep"}
    assert {trial.way for trial in trials} <= {"stacked", "looped"}
    assert all({"depth", "lr", "dropout"} <= set(trial.config) for trial in trials)
    assert min(trial.score for trial in trials if trial.score is not None) < 0.6
    loaded, rows = Ensemble.load(run.path / "ensemble"), frame_of(20, seed=3)
    rows.to_csv(tmp_path / "new.csv", index=False)
    command = [sys.executable, "-m", "search.run", "predict", str(run.path), str(tmp_path / "new.csv")]
    printed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    found = np.array([float(line.split(",")[-1]) for line in printed.splitlines()[1:]])
    np.testing.assert_allclose(found, loaded.predict_raw(rows)[:, 0], atol=1e-6)


@pytest.mark.parametrize(
    ("model", "said"),
    [
        ("nowhere:build", "must be importable"),
        ("tests.spaces.user_models:nothing", "must have what is named"),
        ("tests.spaces.user_models:NOT_CALLABLE", "must be a function or a HyperModel"),
        ("tests.spaces.user_models", "package.module:function"),
    ],
)
def test_what_is_no_model_is_one_line(
    model: str, said: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert main(["study", "--demo", "wine", "--model", model, "--out", str(tmp_path / "run")]) == 2
    error = capsys.readouterr().err
    assert said in error and error.startswith("error: ") and not (tmp_path / "run").exists()


def test_outputs_that_do_not_fit_the_task_are_refused_before_training(tmp_path: Path) -> None:
    config = config_of(
        tmp_path, "grade", model="tests.spaces.user_models:build_deep", families=None, space=None
    )
    with pytest.raises(ValueError, match=r"outputs for this task|loss must be"):
        flow.study(config, command="test")
    assert not (tmp_path / "run").exists()
