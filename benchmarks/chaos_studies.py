"""The small studies that the faults strike, and what two runs must have in common."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

ROOT = Path(__file__).parents[1]
TIMES = {"fit_seconds", "predict_seconds_per_1000", "started", "finished", "peak_memory_mb", "is_traced"}
COMMON = (
    "--trials", "6", "--epochs", "4", "--splits", "3", "--repeats", "1", "--draws", "20", "--seed", "1",
)  # fmt: skip
LINEAR = ("--families", "linear", "--sampler", "tpe")
MIXED = ("--families", "linear", "--families", "mlp", "--sampler", "tpe")
RANDOM = ("--families", "linear", "--families", "mlp", "--sampler", "random")
SHARED = ("--families", "linear", "--sampler", "random", "--trials", "12")
"""Where several train at once, a sampler that learns would depend on who ends first."""


@dataclass(frozen=True)
class Result:
    """What became of a fault that was tried so many times; `is_good`: as it must be."""

    fault: str
    n_times: int
    found: str
    is_good: bool


@dataclass(frozen=True)
class Ground:
    """Where the faults are tried: a folder, how often a study is killed, undisturbed runs to compare with."""

    folder: Path
    n_kills: int
    _whole: dict[tuple[str, ...], tuple[Any, float]] = field(default_factory=dict)

    def table(self) -> Path:
        """A table of 120 rows with a target of two classes."""
        path = self.folder / "table.csv"
        if not path.exists():
            rng = np.random.default_rng(0)
            frame = pd.DataFrame(rng.normal(size=(120, 4)), columns=list("abcd"))
            frame["y"] = np.where(frame["a"] + rng.normal(size=120) > 0, "yes", "no")
            frame.to_csv(path, index=False)
        return path

    def new(self) -> Path:
        """A place for a run, where nothing is yet."""
        return Path(tempfile.mkdtemp(dir=self.folder)) / "run"

    def words(self, out: Path, options: tuple[str, ...], *more: str) -> list[str]:
        """The arguments of a study."""
        return ["study", str(self.table()), "--target", "y", "--out", str(out), *COMMON, *options, *more]

    def whole(self, options: tuple[str, ...]) -> Any:
        """What a study that nothing disturbs comes to."""
        return self._undisturbed(options)[0]

    def seconds(self, options: tuple[str, ...]) -> float:
        """How long it takes."""
        return self._undisturbed(options)[1]

    def _undisturbed(self, options: tuple[str, ...]) -> tuple[Any, float]:
        if options not in self._whole:
            out, started = self.new(), time.monotonic()
            code, said = finish(self.words(out, options))
            if code:
                raise RuntimeError(f"a study that nothing disturbs ended with code {code}: {said}")
            self._whole[options] = told(out), time.monotonic() - started
        return self._whole[options]

    def is_same(self, out: Path, options: tuple[str, ...]) -> bool:
        """Whether a run has come to what an undisturbed one comes to."""
        return (out / "DONE").exists() and bool(told(out) == self.whole(options))

    def is_as_good(self, out: Path, options: tuple[str, ...]) -> bool:
        """As `is_same`, but the ledger may also hold what was chosen and shown at the interruption."""
        if not (out / "DONE").exists():
            return False
        (trials, events, ensemble), whole = told(out), self.whole(options)
        more = [event for event in events if event not in whole[1]]
        is_all = all(event in events for event in whole[1])
        is_shown = all(event["stage"] in ("members", "winner", "method", "calibration") for event in more)
        return bool(trials == whole[0] and ensemble == whole[2] and is_all and is_shown)


def begin(words: list[str], code: str = "", **environment: str) -> subprocess.Popen[str]:
    """Start the command line in a session of its own; `code` is run before it."""
    program = ["-m", "search.run"]
    if code:
        program = ["-c", f"{code}\nimport sys; from search.run import main; sys.exit(main(sys.argv[1:]))"]
    own = {"TF_CPP_MIN_LOG_LEVEL": "3", "PYTHONPATH": str(ROOT), **environment}
    return subprocess.Popen(
        [sys.executable, *program, *words], cwd=ROOT, env={**os.environ, **own}, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True, preexec_fn=listening,
    )  # fmt: skip


def listening() -> None:
    """Let a process hear what its starter ignores, as one started in the background does."""
    for number in (signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)


def ended(process: subprocess.Popen[str], seconds: float = 900.0) -> tuple[int, str]:
    """The exit code, and the last line of what it said as an error."""
    try:
        _, said = process.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        kill(process)
        return -1, f"it had not ended after {seconds:g} s"
    lines = [line for line in said.strip().splitlines() if "trials |" not in line]
    return process.returncode, (lines or [""])[-1]


def finish(words: list[str], code: str = "", **environment: str) -> tuple[int, str]:
    """Run a command to its end; as `ended`."""
    return ended(begin(words, code, **environment))


def kill(process: subprocess.Popen[str]) -> bool:
    """End a command and its children with kill -9; False if it had ended before."""
    is_struck = process.poll() is None
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    return is_struck


def wait_until(process: subprocess.Popen[str], seconds: float) -> bool:
    """Let a command run for so long; whether it is still there."""
    with suppress(subprocess.TimeoutExpired):
        process.wait(seconds)
    return process.poll() is None


def killed_after(out: Path, words: list[str], n_trials: int) -> None:
    """Leave a run behind that was killed when so many trials were finished."""
    process = begin(words)
    while n_finished(out) < n_trials and process.poll() is None:
        time.sleep(0.02)
    kill(process)


def n_finished(out: Path) -> int:
    """How many trials of a run are on the disk."""
    path = out / "trials.jsonl"
    return path.read_bytes().count(b"\n") if path.exists() else 0


def spread(numbers: list[int]) -> str:
    """From the lowest to the highest."""
    if not numbers:
        return "none"
    return f"{min(numbers)} to {max(numbers)}" if min(numbers) < max(numbers) else f"{min(numbers)}"


def told(out: Path) -> Any:
    """Everything of a run that does not tell the time; trials by number, and the ledger's entries by trial.

    Trials have the checksums of their predictions and weights.
    """
    from search.records import Run

    run = Run.open(out)
    trials = [{k: v for k, v in trial.to_json().items() if k not in TIMES} for trial in run.trials()]
    events = [{k: v for k, v in event.items() if k not in ("time", "event_id")} for event in run.events()]
    trials.sort(key=lambda trial: trial["number"])
    events.sort(key=lambda event: (str(event.get("trial")), json.dumps(event, sort_keys=True)))
    return json.loads(json.dumps([trials, events, run.load_json("summary.json")["ensemble"]]))


def draw(seed: int) -> random.Random:
    """Moments and places that are the same in every run of the benchmark."""
    return random.Random(seed)
