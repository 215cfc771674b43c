"""What works for a study is killed: training processes, workers elsewhere, coordinator, database."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import time
from contextlib import suppress
from pathlib import Path

from benchmarks.chaos_studies import (
    RANDOM,
    SHARED,
    Ground,
    Result,
    begin,
    draw,
    ended,
    kill,
    n_finished,
    spread,
    wait_until,
)
from benchmarks.postgres import Server, server

HURRIED = """
from search.remote import conduct
conduct.BEAT, conduct.GRACE = 2, 8
"""
"""A worker is lost after eight seconds without a sign of life, not after a minute."""
SLOW = """
import time
from search import objective
evaluate = objective.Objective.evaluate
def slowly(self, number, *arguments):
    time.sleep(1.0 + 0.5 * (number % 3))
    return evaluate(self, number, *arguments)
objective.Objective.evaluate = slowly
"""
"""Trials of linear models last a tenth of a second; these last long enough to be struck."""
SAME = "ended with the trials, ledger and ensemble of one process alone"


def children_killed(ground: Ground, n_times: int = 10) -> list[Result]:
    """``--workers 2`` on one machine: the processes that train are killed at random moments."""
    rng, n_studies, n_same, struck = draw(3), 0, 0, list[int]()
    while len(struck) < n_times:
        out, n_of_one = ground.new(), 0
        process = begin(ground.words(out, RANDOM, "--workers", "2"))
        while n_of_one < 2 and process.poll() is None:  # a trial may be lost twice
            time.sleep(0.05)
            trains = _trainers(process.pid)
            if not trains or n_finished(out) >= 6:
                continue
            time.sleep(rng.uniform(0.0, 4.0))
            with suppress(ProcessLookupError):
                os.kill(rng.choice(trains), signal.SIGKILL)
                struck.append(n_finished(out))
                n_of_one += 1
        ended(process)
        n_studies += 1
        n_same += ground.is_same(out, RANDOM)
    found = f"killed with {spread(struck)} of 6 trials finished; {n_same} of {n_studies} studies {SAME}"
    fault = "kill -9 of a training process, `--workers 2` on one machine"
    return [Result(fault, len(struck), found, n_same == n_studies)]


def _trainers(pid: int) -> list[int]:
    """The children of a study's fork server."""
    return [child for one in _children(pid) for child in _children(one)]


def _children(pid: int) -> list[int]:
    told = Path(f"/proc/{pid}/task/{pid}/children")
    try:
        return [int(word) for word in told.read_text().split()]
    except OSError:
        return []


def workers_killed(ground: Ground, n_times: int = 12) -> list[Result]:
    """Workers at a PostgreSQL are killed at random moments, and others join."""
    rng, struck, n_studies, n_same, said = draw(4), list[int](), 0, 0, ""
    with server(ground.folder / "postgres-workers") as database:
        while len(struck) < n_times:
            out, name = ground.new(), f"workers{n_studies}"
            coordinator = _coordinator(ground, out, database, name, 0)
            said = _with_killed_workers(rng, coordinator, out, database, name, struck) or said
            n_studies += 1
            n_same += ground.is_same(out, SHARED)
    found = (
        f"killed with {spread(struck)} of 12 trials gathered; {n_same} of {n_studies} studies {SAME}{said}"
    )
    return [
        Result("kill -9 of workers at a PostgreSQL, others join", len(struck), found, n_same == n_studies)
    ]


def _with_killed_workers(
    rng: random.Random,
    coordinator: subprocess.Popen[str],
    out: Path,
    database: Server,
    name: str,
    struck: list[int],
) -> str:
    """Two workers at a time, of which four are killed; what the coordinator said if it failed."""
    workers, n_of_one = list[subprocess.Popen[str]](), 0
    while coordinator.poll() is None:
        workers = [one for one in workers if one.poll() is None]
        while (out / "storage.json").exists() and len(workers) < 2 and n_finished(out) < 12:
            workers.append(_worker(database, name))
        time.sleep(rng.uniform(0.5, 3.0))
        if workers and n_of_one < 4 and 3 * n_of_one <= n_finished(out) < 11 and coordinator.poll() is None:
            n_before = n_finished(out)
            if n_before and kill(workers.pop(rng.randrange(len(workers)))):
                struck.append(n_before)
                n_of_one += 1
    for worker in workers:
        ended(worker, 60)
    code, line = ended(coordinator)
    return f"; {line}" if code else ""


def coordinator_killed(ground: Ground, n_times: int = 6) -> list[Result]:
    """The study's own process, which trains and gathers at a PostgreSQL, is killed and gone on with."""
    rng, struck, n_studies, n_same = draw(5), list[int](), 0, 0
    with server(ground.folder / "postgres-coordinator") as database:
        while len(struck) < n_times:
            out, name = ground.new(), f"coordinator{n_studies}"
            process, n_of_one = _coordinator(ground, out, database, name, 1), 0
            while n_of_one < 2 and _reach(process, out, rng.randrange(6 * n_of_one, 6 * n_of_one + 6)):
                if not (wait_until(process, rng.uniform(0, 1.5)) and kill(process)):
                    break
                struck.append(n_finished(out))
                n_of_one += 1
                process = begin(["resume", str(out), "--storage", database.url()], HURRIED + SLOW)
            ended(process)
            n_studies += 1
            n_same += ground.is_same(out, SHARED)
    found = f"killed with {spread(struck)} of 12 trials gathered; {n_same} of {n_studies} studies {SAME}"
    return [Result("kill -9 of the coordinator at a PostgreSQL", len(struck), found, n_same == n_studies)]


def database_killed(ground: Ground, n_times: int = 6) -> list[Result]:
    """The database server and all its processes are killed in mid-study, and started again."""
    rng, struck, n_studies, n_same, said = draw(6), list[int](), 0, 0, ""
    with server(ground.folder / "postgres-database") as database:
        while len(struck) < n_times:
            out, name = ground.new(), f"database{n_studies}"
            process, n_of_one = _coordinator(ground, out, database, name, 1), 0
            worker = _worker(database, name) if _reach(process, out, 1) else None
            while n_of_one < 3 and _reach(process, out, 4 * n_of_one):
                time.sleep(rng.uniform(0, 2.0))
                database.kill()
                struck.append(n_finished(out))
                n_of_one += 1
                time.sleep(rng.uniform(0.5, 4.0))
                database.start()
            code, line = ended(process)
            said = f"; {line}" if code else said
            if worker is not None:
                ended(worker, 120)
            n_studies += 1
            n_same += ground.is_same(out, SHARED)
    found = (
        f"killed with {spread(struck)} of 12 trials gathered; {n_same} of {n_studies} studies {SAME}{said}"
    )
    return [Result("kill -9 of the database, started again", len(struck), found, n_same == n_studies)]


def _coordinator(
    ground: Ground, out: Path, database: Server, name: str, n_workers: int
) -> subprocess.Popen[str]:
    more = ("--storage", database.url(), "--name", name, "--workers", str(n_workers))
    return begin(ground.words(out, SHARED, *more), HURRIED + SLOW)


def _worker(database: Server, name: str) -> subprocess.Popen[str]:
    return begin(["worker", "--storage", database.url(), "--study", name], HURRIED + SLOW)


def _reach(process: subprocess.Popen[str], out: Path, n_trials: int) -> bool:
    """Wait until a study has begun in the storage and has so many trials; False where it has ended before."""
    while process.poll() is None:
        if (out / "storage.json").exists() and n_finished(out) >= n_trials:
            return True
        time.sleep(0.05)
    return False
