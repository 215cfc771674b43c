"""Nothing that trains nothing loads TensorFlow, and asking for help loads nothing heavy."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TRAINING = ("tensorflow", "keras", "keras_tuner")
HEAVY = (*TRAINING, "optuna", "sklearn", "scipy", "pandas", "pyarrow", "numpy")


def python(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *arguments], cwd=ROOT, capture_output=True, text=True, timeout=120, check=False
    )


def loaded_by(statement: str, names: tuple[str, ...]) -> list[str]:
    code = f"import sys\n{statement}\nprint(*[name for name in {names!r} if name in sys.modules])"
    done = python("-c", code)
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


@pytest.mark.parametrize("package", ["spaces", "search", "ensemble", "reports"])
def test_packages_do_not_load_what_trains(package: str) -> None:
    assert loaded_by(f"import {package}", TRAINING) == []


def test_the_command_line_loads_nothing_heavy() -> None:
    assert loaded_by("import search.run", HEAVY) == []


def test_reports_do_not_load_what_trains() -> None:
    assert loaded_by("import reports.leaderboard, reports.report", TRAINING) == []


def test_the_check_can_fail() -> None:
    assert loaded_by("import pandas", HEAVY) != []


@pytest.mark.parametrize("words", [[], ["--help"], ["study", "--help"]])
def test_help_answers(words: list[str]) -> None:
    done = python("-m", "search.run", *words)
    assert done.returncode == 0 and done.stderr == ""
    assert "python -m search.run study" in done.stdout


def test_a_mistake_has_no_traceback() -> None:
    done = python("-m", "search.run", "study", "table.csv")
    assert done.returncode == 2
    assert done.stderr.startswith("error: ") and done.stderr.count("\n") == 1 and done.stdout == ""
