"""The small studies that the faults strike, and what two runs must have in common."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

ROOT = Path(__file__).parents[1]
TIMES = {"fit_seconds", "predict_seconds_per_1000", "started", "finished", "peak_memory_mb", "is_traced"}
OPTIONS = (
    "--families", "linear", "--families", "mlp", "--trials", "6", "--epochs", "4", "--splits", "3",
    "--repeats", "1", "--draws", "20", "--seed", "1", "--sampler", "tpe",
)  # fmt: skip


@dataclass(frozen=True)
class Result:
    """What became of a fault that was tried so many times; `is_good`: as it must be."""

    fault: str
    n_times: int
    found: str
    is_good: bool


def table_in(folder: Path) -> Path:
    """A table of 120 rows with a target of two classes."""
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(rng.normal(size=(120, 4)), columns=list("abcd"))
    frame["y"] = np.where(frame["a"] + rng.normal(size=120) > 0, "yes", "no")
    frame.to_csv(folder / "table.csv", index=False)
    return folder / "table.csv"


def words(table: Path, out: Path, *more: str) -> list[str]:
    """The command of a study."""
    command = [sys.executable, "-m", "search.run", "study", str(table), "--target", "y", "--out", str(out)]
    return [*command, *OPTIONS, *more]


def resumption(out: Path, *more: str) -> list[str]:
    """The command that goes on with it."""
    return [sys.executable, "-m", "search.run", "resume", str(out), *more]


def begin(command: list[str], **options: Any) -> subprocess.Popen[str]:
    """Start a command in a session of its own."""
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", "PYTHONPATH": str(ROOT)}
    return subprocess.Popen(
        command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        start_new_session=True, **options,
    )  # fmt: skip


def finish(command: list[str], seconds: float = 600.0) -> tuple[int, str]:
    """Run a command to its end: exit code, and the last line of what it said as an error."""
    process = begin(command)
    _, said = process.communicate(timeout=seconds)
    return process.returncode, (said.strip().splitlines() or [""])[-1]


def told(out: Path) -> dict[str, Any]:
    """Everything of a run that does not tell the time."""
    from search.records import Run

    run = Run.open(out)
    trials = [{k: v for k, v in trial.to_json().items() if k not in TIMES} for trial in run.trials()]
    events = [{k: v for k, v in event.items() if k != "time"} for event in run.events()]
    return json.loads(json.dumps([trials, events, run.load_json("summary.json")["ensemble"]]))  # type: ignore[no-any-return]
