"""The verbs lr-range and workflow: what is asked reaches them, what they find is printed."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import search.lr_range
import search.training.context
import search.workflow
from search.lr_range import suggest
from search.run import main
from search.training.trained import TrainingFailed
from search.workflow import Workflow


@pytest.fixture(autouse=True)
def no_server(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(search.training.context, "start_server", lambda **_: None)


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    asked: dict[str, Any] = {}

    def test(config: Any, prepared: Any, family: str) -> Any:
        asked.update(config=config, family=family)
        if "error" in asked:
            raise asked["error"]
        rates = 10.0 ** np.linspace(-5, 1, 61)
        losses = np.where(rates < 0.5, np.exp(-3 / (1 + (1e-3 / rates) ** 2)), 2.0)
        return suggest(rates, losses, family=family, config={})

    def walk(config: Any, *, command: str, place: Path) -> Workflow:
        asked.update(config=config, command=command, place=place)
        place.mkdir()
        (place / "workflow.md").write_text("# Page")
        (place / "workflow.json").write_text("{}")
        return Workflow(place, (), ())

    monkeypatch.setattr(search.lr_range, "lr_range", test)
    monkeypatch.setattr(search.workflow, "workflow", walk)
    return asked


def test_settings_reach_the_range_test(
    asked: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["lr-range", "--demo", "iris", "--set", "optimizer=sgd", "--set", "width = 32"]
    assert main([*words, "--seed", "3", "--out", str(tmp_path / "new" / "plot.svg")]) == 0
    assert asked["config"].space == {"optimizer": "sgd", "width": 32}
    assert (asked["config"].families, asked["config"].seed, asked["family"]) == (("mlp",), 3, "mlp")
    assert (tmp_path / "new" / "plot.svg").read_text().startswith("<svg")
    sentence, lines, place = capsys.readouterr().out.strip().split("\n\n")
    assert "search between" in sentence and place.endswith("plot.svg")
    assert set(tomllib.loads(lines)["space"]["mlp"]["learning_rate"]) == {"low", "high"}


def test_json_holds_all_that_was_found(
    asked: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["lr-range", "--demo", "iris", "--json", "--out", str(tmp_path / "plot.svg")]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["low"] < found["high"] and len(found["rates"]) == len(found["losses"]) == 61


@pytest.mark.parametrize(
    ("words", "said"),
    [(["--set", "width"], "KEY=VALUE, got 'width'"), (["--family", "linear"], "family of networks"),
     (["--set", "widht=3"], "widht")],
)  # fmt: skip
def test_mistakes_are_one_line(
    asked: dict[str, Any], words: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["lr-range", "--demo", "iris", *words]) == 2
    error = capsys.readouterr().err
    assert said in error and error.count("\n") == 1


def test_a_failed_training_is_told(asked: dict[str, Any], capsys: pytest.CaptureFixture[str]) -> None:
    asked["error"] = TrainingFailed("diverged")
    assert main(["lr-range", "--demo", "iris"]) == 3
    assert capsys.readouterr().err == "error: diverged\n"


def test_the_workflow_is_asked_and_printed(
    asked: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    place = tmp_path / "out"
    assert main(["workflow", "--demo", "iris", "--epochs", "9", "--out", str(place)]) == 0
    assert (asked["config"].trials, asked["config"].epochs, asked["place"]) == (12, 9, place)
    assert asked["command"].startswith("python -m search.run workflow --demo iris")
    assert capsys.readouterr().out.startswith("# Page")


def test_a_file_says_how_many_trials(asked: dict[str, Any], tmp_path: Path) -> None:
    (tmp_path / "study.toml").write_text('demo = "iris"\ntrials = 5\n')
    words = ["workflow", "--config", str(tmp_path / "study.toml"), "--out"]
    assert main([*words, str(tmp_path / "a")]) == 0 and asked["config"].trials == 5
    assert main([*words, str(tmp_path / "b"), "--trials", "2"]) == 0 and asked["config"].trials == 2
