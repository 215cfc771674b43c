"""The command line: what is asked reaches the stages, and mistakes are one line with exit code 2."""

import json
import sys
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

import numpy as np
import pandas as pd
import pytest

from search import run as command_line
from search.records import Run, Trial
from search.run import main
from spaces.task import Task


@dataclass
class Outcome:
    run_path: Path
    is_interrupted: bool = False
    n_completed: int = 1


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A run of one completed trial."""
    run = Run.create(tmp_path / "run")
    run.save_json("run.json", {"metric": "log_loss"})
    run.save_json("summary.json", {"metric": "log_loss", "is_higher_better": False})
    run.append_trial(Trial(0, "mlp", {"depth": 2}, "completed", score=0.123456789))
    return run.path


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch, folder: Path) -> dict:
    """What `flow.study` was asked; its answer is `asked["outcome"]`, or `asked["error"]` is raised."""
    asked: dict = {"outcome": Outcome(folder)}

    def study(config: object, *, command: str, is_verbose: bool) -> Outcome:
        asked.update(config=config, command=command)
        if "error" in asked:
            raise asked["error"]
        return asked["outcome"]

    flow = ModuleType("search.flow")
    flow.study = study
    monkeypatch.setitem(sys.modules, "search.flow", flow)
    monkeypatch.setattr(sys.modules["search"], "flow", flow, raising=False)
    return asked


def test_flags_reach_the_study(asked: dict, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["study", "my table.csv", "--target", "y", "--target", "z", "--trials", "7", "--time", "1h30m"]
    words += [
        "--time-column",
        "t",
        "--max-failures",
        "2",
        "--holdout",
        "0.2",
        "--drop",
        "id",
        "--sampler",
        "qmc",
    ]
    words += ["--weights", "w", "--no-stratify", "--families", "linear", "--families", "boosting"]
    words += ["--ensemble", "diverse", "--calibration", "none", "--preset", "fast"]
    assert main(words) == 0
    config = asked["config"]
    assert (config.data, config.target, config.trials, config.time) == ("my table.csv", ("y", "z"), 7, 5400.0)
    assert (config.time_column, config.max_failures, config.holdout) == ("t", 2, 0.2)
    assert (config.drop, config.sampler) == (("id",), "qmc")
    assert (config.weights, config.stratify, config.families) == ("w", False, ("linear", "boosting"))
    assert (config.ensemble, config.calibration, config.preset) == ("diverse", "none", "fast")
    assert asked["command"].startswith("python -m search.run study 'my table.csv' --target y")
    out = capsys.readouterr().out
    assert out.splitlines()[-1] == str(asked["outcome"].run_path) and "best single" in out


def test_every_key_but_the_space_has_a_flag(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["study", "--help"]) == 0
    text = capsys.readouterr().out
    keys = set(command_line.configuration.StudyConfig.model_fields) - {"data", "space"}
    assert [key for key in keys if f"--{key.replace('_', '-')} " not in text] == []


def test_without_arguments_it_is_the_demo(asked: dict) -> None:
    assert main(["study"]) == 0
    assert asked["config"].demo == "breast_cancer"


def test_flags_win_over_the_file(asked: dict, tmp_path: Path) -> None:
    path = tmp_path / "c.toml"
    path.write_text('demo = "wine"\ntrials = 5\nseed = 3\n')
    assert main(["study", "--config", str(path), "--trials", "6"]) == 0
    assert (asked["config"].demo, asked["config"].trials, asked["config"].seed) == ("wine", 6, 3)


@pytest.mark.parametrize(
    ("outcome", "code", "said"),
    [
        ({"is_interrupted": True}, 130, "kept"),
        ({"n_completed": 0}, 3, "no trial ended with a valid model"),
        ({"is_interrupted": True, "n_completed": 0}, 130, "0 completed"),
    ],
)
def test_exit_codes(
    asked: dict, folder: Path, capsys: pytest.CaptureFixture[str], outcome: dict, code: int, said: str
) -> None:
    asked["outcome"] = Outcome(folder, **outcome)
    assert main(["study"]) == code
    assert said in capsys.readouterr().err


def test_ctrl_c_is_130(asked: dict) -> None:
    asked["error"] = KeyboardInterrupt()
    assert main(["study"]) == 130


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["study", "--trails", "3"], "--trails"),
        (["study", "--trials", "many"], "--trials"),
        (["study", "--trials", "0"], "greater than or equal to 1"),
        (["study", "--sampler", "tpee"], "'tpee'"),
        (["study", "--time", "soon"], "'soon'"),
        (["study", "table.csv"], "--target"),
        (["study", "--config", "nothing.toml"], "nothing.toml"),
        (["leaderboard", "nothing"], "'nothing'"),
        (["leaderboard"], "RUN"),
        (["leaderbord"], "leaderbord"),
        (["predict", "nothing", "new.csv", "-o", "out.xlsx"], "out.xlsx"),
    ],
)
def test_mistakes_are_one_line_and_exit_code_2(
    words: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(words) == 2
    shown = capsys.readouterr()
    assert shown.out == "" and shown.err.startswith("error: ") and shown.err.count("\n") == 1
    assert said in shown.err


def test_debug_shows_the_traceback() -> None:
    with pytest.raises(ValueError, match="'nothing'"):
        main(["leaderboard", "nothing", "--debug"])


def test_a_defect_of_ours_is_not_dressed_up_as_a_mistake_of_theirs(asked: dict) -> None:
    asked["error"] = ValueError("operands could not be broadcast together")
    with pytest.raises(ValueError, match="broadcast"):
        main(["study"])


def test_leaderboard_formats(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["leaderboard", str(folder), "--json"]) == 0
    shown = capsys.readouterr()
    assert json.loads(shown.out)[4]["score"] == 0.123456789
    assert "not finished" in shown.err
    assert main(["leaderboard", str(folder), "--csv"]) == 0
    assert capsys.readouterr().out.splitlines()[0].startswith("entry,rank,trial,family,score")
    assert main(["leaderboard", str(folder)]) == 0
    assert "0.1235" in capsys.readouterr().out
    assert main(["leaderboard", str(folder), "--csv", "--json"]) == 2


def test_predict_writes_what_the_ensemble_says(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    new = tmp_path / "new.csv"
    pd.DataFrame({"x": [0.2, 0.9]}).to_csv(new, index=False)

    class Ensemble:
        task = Task("binary", ("ill",), ("no", "yes"))

        @classmethod
        def load(cls, path: Path) -> "Ensemble":
            assert path == folder / "ensemble"
            return cls()

        def predict_raw(self, frame: pd.DataFrame) -> np.ndarray:
            return frame[["x"]].to_numpy()

    fake = ModuleType("ensemble")
    fake.Ensemble = Ensemble
    monkeypatch.setitem(sys.modules, "ensemble", fake)
    assert main(["predict", str(folder), str(new)]) == 2  # no ensemble yet
    assert "no ensemble" in capsys.readouterr().err
    (folder / "ensemble").mkdir()
    assert main(["predict", str(folder), str(new)]) == 0
    assert capsys.readouterr().out.splitlines()[1] == "no,0.8,0.2"
    out = tmp_path / "out.parquet"
    assert main(["predict", str(folder), str(new), "-o", str(out)]) == 0
    assert capsys.readouterr().out == ""
    assert pd.read_parquet(out)["ill"].tolist() == ["no", "yes"]


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["version"]) == 0
    assert "tensorflow 2." in capsys.readouterr().out


def test_help_begins_with_examples(capsys: pytest.CaptureFixture[str]) -> None:
    for verb in ("study", "leaderboard", "predict", "version"):
        assert main([verb, "--help"]) == 0
        assert capsys.readouterr().out.splitlines()[2].strip().startswith(f"python -m search.run {verb}")
    assert main([]) == 0
    assert capsys.readouterr().out.splitlines()[2].strip().startswith("python -m search.run study")
