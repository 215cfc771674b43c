"""Trials from ten to ten thousand: what each stage of a study costs, and how that grows.

    python -m benchmarks.scale --only trials

The study is real (`search.flow`): loop, proposer, journal, records, ledger, watch, ensemble, replay, report.
Its trainings alone are made up (`benchmarks.recorded_trials`). Each size has processes of its own.
"""

from __future__ import annotations

import json
import math
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any
from unittest.mock import patch

from benchmarks.recorded_trials import Recorded, write_table
from benchmarks.scale_record import Measured

MB = 2**20
N_ROWS = 500
N_DRAWS = 100
N_ASKED = 10
MOST_ASKED_OF_CMAES = 1_000
CHILD = "benchmarks.scale_trials"


def measure(sizes: Sequence[int]) -> list[Measured]:
    """All stages at so many trials each; about 12 minutes of processor time for ten thousand."""
    found: list[Measured] = []
    for size in sizes:
        with tempfile.TemporaryDirectory() as folder:
            for part in PARTS:
                found += _in_child(part, Path(folder), size)
    return found


def _in_child(part: str, folder: Path, size: int) -> list[Measured]:
    command = [sys.executable, "-m", CHILD, part, str(folder), str(size)]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    return [Measured(**json.loads(line)) for line in done.stdout.splitlines() if line.startswith('{"stage"')]


class Clock:
    """Adds up what stages cost; those that are entered many times count as one."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._found: dict[str, list[float]] = {}

    @contextmanager
    def stage(self, name: str, *, has_peak: bool = True) -> Iterator[None]:
        """Measure what is done within; `has_peak` costs a moment, so not for what is done at every trial."""
        before = _reset_peak() if has_peak else math.nan
        wall, cpu = time.perf_counter(), time.process_time()
        try:
            yield
        finally:
            spent = [time.perf_counter() - wall, time.process_time() - cpu]
            peak = _status("VmHWM") - before if has_peak else math.nan
            known = self._found.setdefault(name, [0.0, 0.0, peak])
            known[0], known[1] = known[0] + spent[0], known[1] + spent[1]

    def around(self, function: Callable[..., Any], name: str, *, has_peak: bool = True) -> Callable[..., Any]:
        """The function, measured."""

        def measured(*given: Any, **named: Any) -> Any:
            with self.stage(name, has_peak=has_peak):
                return function(*given, **named)

        return measured

    def take_off(self, name: str, others: Sequence[str]) -> None:
        """Take the time of others, which are a part of it, off a stage."""
        for other in others:
            for place in range(2):
                self._found[name][place] -= self._found.get(other, [0.0, 0.0])[place]

    def drop(self, name: str) -> None:
        """Leave a stage out."""
        self._found.pop(name, None)

    def tell(self, **mb: float) -> None:
        """Print all stages, a JSON object in a line; `mb`: what some wrote (blanks as underscores)."""
        for name, (seconds, cpu, peak) in self._found.items():
            on_disk = mb.get(name.replace(" ", "_").replace(",", ""), math.nan)
            print(json.dumps(asdict(Measured(name, self._size, seconds, cpu, peak, on_disk))))


def _status(name: str) -> float:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(name)) / 1024


def _reset_peak() -> float:
    """Forget the most resident memory so far; the result is what is resident now, in MB."""
    Path("/proc/self/clear_refs").write_text("5")
    return _status("VmRSS")


def _mb(*paths: Path) -> float:
    files = [file for path in paths for file in ([path] if path.is_file() else path.rglob("*"))]
    return sum(file.stat().st_size for file in files if file.is_file()) / MB


def _config(folder: Path, size: int, **changes: Any) -> Any:
    from search.config import check

    if not (folder / "table.csv").exists():
        write_table(folder / "table.csv", N_ROWS)
    told = {
        "data": str(folder / "table.csv"), "target": ["ill"], "trials": size, "splits": 5, "repeats": 1,
        "epochs": 100, "seed": 1, "draws": N_DRAWS, "families": ("mlp",), "sampler": "random",
        "out": str(folder / "run"), **changes,
    }  # fmt: skip
    return check(told)


def _study(folder: Path, size: int) -> None:
    """A study from its first trial to the written run."""
    from reports.report import write_report
    from search import assembly, conclusion, evidence, flow
    from search.preparation import prepare
    from search.records import Run

    clock, config = Clock(size), _config(folder, size)
    prepared, run = prepare(config), Run.create(folder / "run")
    timed = [
        (Recorded, "train", "made-up training", False),
        (flow.Study, "_tell", "telling the proposer", False),
        (flow.Watch, "__call__", "progress and live ensemble", False),
        (flow.Study, "run_all", "study loop", True),
        (assembly, "candidate_table", "candidate table", True),
        (assembly, "choose", "choosing the ensemble", True),
        (assembly, "replay", "replay of the honest score", True),
        (conclusion, "accounts", "leak accounts", True),
        (conclusion, "write_accounts", "writing the accounts", True),
        (evidence, "growth", "growth of the scores", True),
        (Run, "export", "export to Parquet and CSV", True),
    ]  # fmt: skip
    nothing: dict[str, Any] = {"reason": "not measured here", "columns": []}
    with ExitStack() as stack:
        for place, name, stage, has_peak in timed:
            function = getattr(place, name)
            stack.enter_context(patch.object(place, name, clock.around(function, stage, has_peak=has_peak)))
        for place, name, value in ((assembly, "bagged", []), (assembly, "save_ensemble", None)):
            stack.enter_context(patch.object(place, name, lambda *_, value=value: value))
        stack.enter_context(patch.object(evidence, "importance", lambda *_: nothing))
        stack.enter_context(patch.object(flow, "Workshop", Recorded))
        stack.enter_context(_timed_asks(clock))
        flow.carry_out(
            run, config, prepared, command="benchmark", progress=_silent(size), needs_evidence=True
        )
    write_report(run)
    run.finish()
    parts = ("made-up training", "proposing, random", "telling the proposer", "progress and live ensemble")
    clock.take_off("study loop", parts)
    clock.drop("made-up training")
    records = [run.path / name for name in ("oof", "weights", "trials.jsonl", "ledger.jsonl")]
    exported = [*run.path.glob("trials.[pc]*"), *run.path.glob("ledger.[pc]*")]
    clock.tell(
        study_loop=_mb(*records),
        telling_the_proposer=_mb(run.path / "journal.log"),
        export_to_Parquet_and_CSV=_mb(*exported),
        writing_the_accounts=_mb(*run.path.glob("leakage*"), run.path / "honest.npz"),
    )


def _silent(size: int) -> Any:
    from io import StringIO

    from rich.console import Console

    from search.progress import Progress

    return Progress(size, "log_loss", console=Console(file=StringIO()))


@contextmanager
def _timed_asks(clock: Clock) -> Iterator[None]:
    from search.proposers.optuna_driver import OptunaProposer

    ask = clock.around(OptunaProposer.ask, "proposing, random", has_peak=False)
    with patch.object(OptunaProposer, "ask", ask):
        yield


def _resume(folder: Path, size: int) -> None:
    """Open the folder again and run one trial more."""
    from search import flow
    from search.preparation import prepare
    from search.records import Run

    clock, config = Clock(size), _config(folder, size + 1)
    prepared, copy = prepare(config), folder / "resumed"
    shutil.copytree(folder / "run", copy, copy_function=os.link)
    for name in ("journal.log", "trials.jsonl", "ledger.jsonl"):  # which are written on
        (copy / name).unlink()
        shutil.copy(folder / "run" / name, copy / name)
    with (
        patch.object(flow, "Workshop", Recorded),
        patch.object(flow, "conclude", lambda *_, **__: None),
        patch.object(Run, "export", lambda _: None),
        clock.stage("resuming"),
    ):
        flow.carry_out(Run(copy), config, prepared, command="again", progress=_silent(size))
    clock.tell()


def _propose(folder: Path, size: int) -> None:
    """A proposal of a model-based sampler after so many trials."""
    from search.preparation import prepare
    from search.proposers import optuna_proposer

    clock, prepared = Clock(size), prepare(_config(folder, size))
    shutil.copy(folder / "run" / "journal.log", folder / "tpe.log")
    told: dict[str, Any] = {"seed": 1, "study_name": "foldstack"}
    tpe = optuna_proposer(prepared.space, sampler="tpe", storage_path=folder / "tpe.log", **told)
    _ask(tpe, 1)
    with clock.stage(f"{N_ASKED} proposals of TPE after as many trials"):
        _ask(tpe, N_ASKED)
    if size <= MOST_ASKED_OF_CMAES:
        evolution = optuna_proposer(prepared.space, sampler="cmaes", **told)
        with clock.stage("all proposals of CMA-ES, without a journal"):
            _ask(evolution, size)
    clock.tell()


def _ask(proposer: Any, n: int) -> None:
    import numpy as np

    rng = np.random.default_rng(0)
    for _ in range(n):
        proposer.tell(proposer.ask(), float(rng.normal()), "completed", [(1, 1.0)])


def _read(folder: Path, size: int) -> None:
    """Leaderboard, reports, and a comparison of two runs."""
    from reports.compare import compare
    from reports.leaderboard import leaderboard
    from reports.page.document import document
    from reports.report import markdown, report
    from search.records import Run

    clock, run = Clock(size), Run.open(folder / "run")
    with clock.stage("reading the trials"):
        run.trials()
    with clock.stage("leaderboard"):
        leaderboard(run)
    with clock.stage("report.json and report.md"):
        facts = report(run)
        markdown(facts, [["entry"]])
    with clock.stage("report.html"):
        document(run, facts)
    other = folder / "other"
    shutil.copytree(run.path, other, ignore=shutil.ignore_patterns("oof", "weights", "journal.log"))
    with clock.stage("comparison of two runs"):
        compare([run, Run.open(other)])
    made = {"report.json and report.md": _mb(run.path / "report.json", run.path / "report.md")}
    made["report.html"] = _mb(run.path / "report.html")
    clock.tell(**{name.replace(" ", "_"): mb for name, mb in made.items()})


PARTS: dict[str, Callable[[Path, int], None]] = {
    "study": _study,
    "resume": _resume,
    "propose": _propose,
    "read": _read,
}


if __name__ == "__main__":
    PARTS[sys.argv[1]](Path(sys.argv[2]), int(sys.argv[3]))
