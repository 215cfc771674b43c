"""Worker processes on one real PostgreSQL: how many trials they get through, and that each counts once."""

from __future__ import annotations

import os
import re
import resource
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from benchmarks.postgres import server
from benchmarks.scale_fleet import Fleet, Log, begin, gather, read, start
from search.records import Run
from search.remote.shared import Shared

ROOT = Path(__file__).parents[1]
N_TRAINED = 24  # trials of the row that trains for real
_QUIET = {
    "TF_CPP_MIN_LOG_LEVEL": "3", "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT),
}  # fmt: skip


@dataclass(frozen=True)
class Row:
    """One row: what was done, how quickly, how long operations took, and what the run folder says."""

    what: str
    n_trials: int
    seconds: float
    cpu_seconds: float
    log: Log | None
    proof: str


def measure(n_workers: int, n_trials: int) -> list[str]:
    """Markdown lines: workers in processes of their own on one PostgreSQL, and one alone."""
    with tempfile.TemporaryDirectory(prefix="scale-workers-") as folder:
        place = Path(folder)
        rows = [
            _storage_alone(place / "one", 1, max(10, n_trials // n_workers)),
            _storage_alone(place / "all", n_workers, n_trials),
            _storage_alone(place / "killed", n_workers, n_trials, n_killed=2),
            _trained(place / "trained", n_workers, N_TRAINED),
        ]
    return [
        "| what | trials | seconds | trials a second | processor ms for each trial "
        "| a proposal, median and 99 % | a result, median and 99 % | none lost, none doubled |",
        "| --- | --- | --- | --- | --- | --- | --- | --- |",
        *map(_line, rows),
    ]


def _line(row: Row) -> str:
    waits = {} if row.log is None else row.log.waits
    cells = [
        row.what, f"{row.n_trials:,}", f"{row.seconds:.0f}", f"{row.n_trials / row.seconds:.1f}",
        f"{1000 * row.cpu_seconds / row.n_trials:.0f}", _quantiles(waits.get("next", ())),
        _quantiles(waits.get("tell", ())), row.proof,
    ]  # fmt: skip
    return f"| {' | '.join(cells)} |"


def _quantiles(seconds: Sequence[float]) -> str:
    if not seconds:
        return "-"
    median, late = np.quantile(seconds, (0.5, 0.99))
    return f"{1000 * median:.0f} ms, {1000 * late:.0f} ms"


def _storage_alone(folder: Path, n_workers: int, n_trials: int, n_killed: int = 0) -> Row:
    """Trials that take no time: what is left is the storage, the files and the records."""
    with server(folder / "server") as own:
        shared = begin(own.url(), folder, n_trials)
        fleet, reports = (
            Fleet(own.url(), str(folder), 1),
            [folder / f"{one}.json" for one in range(n_workers)],
        )
        used = _children()
        processes = [start(fleet, report) for report in reports]
        killer = threading.Thread(target=_kill, args=(shared, fleet, processes, reports, n_trials, n_killed))
        killer.start()
        run = gather(shared, folder, n_trials)
        killer.join()
        codes = [process.wait(300) for process in processes]
        shared.close()
    logs = [read(report) for report in reports if report.exists()]
    log = _together(logs)
    began, ended = min(log.joined), max(end for _, end in log.trained)
    what = f"{n_workers} worker{'s' if n_workers > 1 else ''}, trials that take no time"
    if n_killed:
        what += f", {n_killed} killed with -9 in the midst, and as many new ones"
    proof = proof_of(run, n_trials) + ("" if not any(codes[n_killed:]) else f"; codes {codes}")
    return Row(what, n_trials, ended - began, _children() - used, log, proof)


def _kill(
    shared: Shared, fleet: Fleet, processes: list[subprocess.Popen[bytes]], reports: list[Path],
    n_trials: int, n_killed: int,
) -> None:  # fmt: skip
    """Kill some workers when a third of the trials is done, and start as many again."""
    while n_killed and shared.look().standing.n_finished < n_trials // 3:
        time.sleep(0.2)
    for one in range(n_killed):
        processes[one].send_signal(signal.SIGKILL)
        reports.append(reports[one].with_suffix(".again.json"))
        processes.append(start(fleet, reports[-1]))


def _together(logs: Sequence[Log]) -> Log:
    log = Log()
    for one in logs:
        log.joined += one.joined
        log.trained += one.trained
        log.errors += one.errors
        for name, waits in one.waits.items():
            log.waits.setdefault(name, []).extend(waits)
    return log


def proof_of(run: Run, n_trials: int) -> str:
    """Whether a run has each trial once, its entries once and its files whole; "yes", or what is wrong."""
    trials, events = run.trials(), run.events()
    wrong = []
    if [trial.number for trial in trials] != list(range(n_trials)):
        wrong.append(f"{len(trials)} records")
    keys = [(event["trial"], event["stage"]) for event in events]
    if len(set(keys)) != len(keys) or {one for one, _ in keys if one is not None} - set(range(n_trials)):
        wrong.append("entries of the ledger")
    if not all(run.is_whole(trial) for trial in trials):
        wrong.append("files")
    return "yes" if not wrong else f"NO: {', '.join(wrong)}"


# -- real training -------------------------------------------------------------


def _trained(folder: Path, n_workers: int, n_trials: int) -> Row:
    """Linear models on a small table, trained by `python -m search.run worker`."""
    folder.mkdir(parents=True)
    table = _table(folder)
    with server(folder / "server") as own:
        told = [
            "study", str(table), "--target", "ill", "--out", str(folder / "run"), "--storage", own.url(),
            "--name", "linear", "--workers", "0", "--families", "linear", "--sampler", "random",
            "--trials", str(n_trials), "--draws", "5",
        ]  # fmt: skip
        used = _children()
        study = _called(told, folder / "study.said")
        while not _is_begun(folder / "study.said", study):
            time.sleep(0.5)
        workers = [
            _called(["worker", "--storage", own.url(), "--study", "linear"], folder / f"{one}.said")
            for one in range(n_workers)
        ]
        codes = [process.wait(1200) for process in [*workers, study]]
    run = Run.open(folder / "run")
    trials = run.trials()
    began, ended = min(t.started for t in trials), max(t.finished for t in trials)
    seconds = (pd.Timestamp(ended) - pd.Timestamp(began)).total_seconds()
    proof = proof_of(run, n_trials) + ("" if not any(codes) else f"; codes {codes}")
    return Row(
        f"{n_workers} processes of `search.run worker`, linear models trained for real", n_trials, seconds,
        _children() - used, None, proof,
    )  # fmt: skip


def _called(told: Sequence[str], said: Path) -> subprocess.Popen[bytes]:
    with open(said, "ab") as file:
        return subprocess.Popen(
            [sys.executable, "-m", "search.run", *told], cwd=said.parent, stdout=file, stderr=file,
            env={**os.environ, **_QUIET},
        )  # fmt: skip


def _is_begun(said: Path, study: subprocess.Popen[bytes]) -> bool:
    """Whether a study has said how workers join it."""
    if study.poll() not in (None, 0):
        raise RuntimeError(said.read_text())
    return re.search(r"search\.run worker", said.read_text()) is not None


def _table(folder: Path) -> Path:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(200, 4))
    frame = pd.DataFrame(x, columns=list("abcd"))
    frame.assign(ill=np.where(x.sum(axis=1) + rng.normal(size=200) > 0, "yes", "no")).to_csv(
        folder / "table.csv", index=False
    )
    return folder / "table.csv"


def _children() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime
