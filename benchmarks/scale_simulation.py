"""A thousand workers on one database, simulated with costs that were measured.

For each size a real PostgreSQL gets a study with as many running trials as there are workers and as many
finished ones, and each operation of a worker is done there by the storage's own code, several times, with the
processor time of the server and of the worker measured. Then the fleet is played on a simulated clock: trials
take as long as recorded ones, and operations wait for each other at a server of a few cores.
"""

from __future__ import annotations

import copy
import heapq
import json
import os
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import sqlalchemy
from optuna.storages._rdb import models
from optuna.trial import FrozenTrial, TrialState

from benchmarks.postgres import Server, server
from benchmarks.scale_fleet import FAMILY, LOOKS, SEED, SPACE, begin, seconds_of
from search.proposers import Proposal
from search.records import Trial
from search.remote.desk import Desk
from search.remote.proposer import SharedProposer
from search.remote.shared import MANY, Shared
from search.remote.storage import BEAT, rest
from search.remote.terms import Result

QUANTILES = (0.1, 0.1, 0.8, 1.2, 1.7, 2.5, 3.2, 3.6, 13.6, 19.9, 52.0)
"""Seconds of a trial at 0, 10, ... 100 %: 17 trials of the preset `good` on the table phoneme (5,404 rows, 5
columns, 5 folds) as their records say, by ten, because ten jobs shared each core when they were recorded."""
N_CORES = 2  # of the simulated server
ROUND_TRIP = 0.0005  # seconds that a statement is on its way to another machine and back
LOOK = 0.5  # seconds between two looks of the coordinator
N_MEASURED = 12  # times that each operation is done
TRIALS_OF_A_WORKER = 4  # on average
_TICK = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Cost:
    """What one operation costs: processor seconds of the server and of the worker, and statements."""

    server: float
    client: float
    n_statements: float


@dataclass
class Played:
    """What a simulated fleet did."""

    n_workers: int
    n_trials: int = 0
    seconds: float = 0.0
    trained: float = 0.0
    present: float = 0.0
    n_done: int = 0
    n_connects: int = 0
    most_connections: int = 0
    server: float = 0.0
    waits: list[float] = field(default_factory=list)


def measure(sizes: Sequence[int]) -> list[str]:
    """Markdown lines: what fleets of these sizes ask of one PostgreSQL, and how long they wait for it."""
    rows, costs = [], []
    with tempfile.TemporaryDirectory(prefix="scale-simulation-") as folder:
        for size in sizes:
            with server(Path(folder) / f"server-{size}") as own:
                found, connect = measured(own, Path(folder) / str(size), size)
            costs.append(_costs_row(size, found, connect))
            rows.append(row_of(play(found, size, connect)))
    return [*HEAD, *rows, "", *_COSTS_HEAD, *costs]


HEAD = (
    "| workers | trials a second | operations a second | server, cores busy | connections at once "
    "| wait for a proposal, median and 99 % | workers busy |",
    "| --- | --- | --- | --- | --- | --- | --- |",
)
_COSTS_HEAD = (
    "| workers | server, ms: a proposal | a result | a sign of life | a look of the coordinator | a sweep "
    "| a connection | worker, ms: a proposal |",
    "| --- | --- | --- | --- | --- | --- | --- | --- |",
)


def row_of(seen: Played) -> str:
    """One fleet as a row of the table."""
    median, late = np.quantile(seen.waits, (0.5, 0.99))
    cells = [
        f"{seen.n_workers:,}", f"{seen.n_trials / seen.seconds:.1f}", f"{seen.n_done / seen.seconds:.0f}",
        f"{seen.server / seen.seconds:.2f}", f"{seen.most_connections}",
        f"{1000 * median:.0f} ms, {1000 * late:.0f} ms",
        f"{seen.trained / seen.present:.1%}",
    ]  # fmt: skip
    return f"| {' | '.join(cells)} |"


def _costs_row(n_workers: int, costs: dict[str, Cost], connect: float) -> str:
    kinds = ("ask", "result", "sign", "look", "sweep")
    values = [*(costs[kind].server for kind in kinds), connect, costs["ask"].client]
    return f"| {n_workers:,} | {' | '.join(f'{1000 * value:.1f}' for value in values)} |"


# -- what operations cost ------------------------------------------------------


def measured(own: Server, folder: Path, n_workers: int) -> tuple[dict[str, Cost], float]:
    """What each operation costs in the midst of a study of so many workers, and what a connection costs."""
    shared = begin(own.url(), folder, 10**6)
    try:
        connect = _cost_of_connecting(shared, own)
        is_open, highest = _fill(shared, n_workers)
        meter = Meter(shared)
        workers = [_worker(shared, is_open, highest) for _ in range(N_MEASURED)]
        proposals = [meter.does("ask", partial(_asked, worker)) for worker in workers]
        for worker, proposal in zip(workers, proposals, strict=True):
            meter.does("sign", worker._shared._signs.beat)
            meter.does("sweep", partial(worker._shared.sweep, _never))
            meter.does("result", partial(_kept, worker, proposal))
            meter.does("look", lambda: (shared.n_running(), shared.news()))
        return meter.costs(), connect
    finally:
        shared.close()


class Meter:
    """Measures operations on the one connection of a process."""

    def __init__(self, shared: Shared) -> None:
        shared.n_running(), shared.news()
        self._backend = shared.do(lambda: _backend(shared))
        self._found: dict[str, list[tuple[float, float, float]]] = {}
        self._n = 0
        sqlalchemy.event.listen(shared.storage.engine, "before_cursor_execute", self._count)

    def _count(self, *_: Any) -> None:
        self._n += 1

    def does(self, kind: str, operation: Callable[[], Any]) -> Any:
        """Do something and note what it cost."""
        n, client, busy = self._n, time.process_time(), _busy(self._backend)
        answer = operation()
        cost = (_busy(self._backend) - busy, time.process_time() - client, float(self._n - n))
        self._found.setdefault(kind, []).append(cost)
        return answer

    def costs(self) -> dict[str, Cost]:
        """The means."""
        return {kind: Cost(*np.mean(found, axis=0).tolist()) for kind, found in self._found.items()}


def _fill(shared: Shared, n_workers: int) -> tuple[set[int], int]:
    """As many finished trials as workers, and as many running ones; which are there, and the highest."""
    study_id, now = shared.study._study_id, datetime.now(UTC).replace(tzinfo=None)
    with shared.storage.engine.begin() as connection:
        states = [TrialState.COMPLETE] * n_workers + [TrialState.RUNNING] * n_workers
        trials = [
            {"number": number, "study_id": study_id, "state": state, "datetime_start": now}
            for number, state in enumerate(states)
        ]
        connection.execute(sqlalchemy.insert(models.TrialModel.__table__), trials)
        asked = sqlalchemy.select(models.TrialModel.trial_id).order_by(models.TrialModel.trial_id)
        ids = [int(one) for one in connection.execute(asked).scalars()]
        done, running = ids[:n_workers], ids[n_workers:]
        notes = _result(Proposal(0, dict.fromkeys(SPACE.parameters, 0.123456789))).to_notes()
        told = [
            {"trial_id": one, "key": key, "value_json": json.dumps(text)}
            for one in done
            for key, text in notes.items()
        ]
        connection.execute(sqlalchemy.insert(models.TrialUserAttributeModel), told)
        connection.execute(
            sqlalchemy.insert(models.TrialHeartbeatModel), [{"trial_id": one} for one in running]
        )
    with shared.storage.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(sqlalchemy.text("vacuum analyze"))
    return set(ids), ids[-1]


def _worker(shared: Shared, is_open: set[int], highest: int) -> SharedProposer:
    """A worker that last looked when none of the finished trials was."""
    study = copy.copy(shared.study)
    study._storage = Desk(shared.storage)
    own = Shared(shared.url, shared.name, shared.storage, study)
    own.rest = own._signs._rest = lambda: None  # type: ignore[method-assign]
    own._news.begin_at(is_open, highest)
    own._most_running = len(is_open) // 2
    own._signs._thread = _NO_THREAD
    nothing: Any = None
    return SharedProposer(
        own, SPACE, (FAMILY,), sampler="random", seed=SEED, artifacts=nothing, scratch=nothing
    )


_NO_THREAD: Any = object()


def _asked(worker: SharedProposer) -> Proposal:
    worker._shared.latest()
    worker._shared._next_sweep = float("inf")  # sweeps are measured by themselves
    found = worker.next()
    assert isinstance(found, Proposal)
    return found


def _kept(worker: SharedProposer, proposal: Proposal) -> None:
    worker._shared.keep(worker._ids.pop(proposal.number), _result(proposal), TrialState.COMPLETE, 0.5)


def _result(proposal: Proposal) -> Result:
    curve = tuple(0.4 + 0.3 / epoch for epoch in LOOKS)
    trial = Trial(
        proposal.number, FAMILY, dict(proposal.config), "completed", score=0.5, score_se=0.01,
        fold_scores=(0.123456789,) * 5, chosen_epoch=LOOKS[-1], checkpoints=LOOKS, curve=curve,
        train_curve=curve, kept_epochs=LOOKS, chosen_index=0, member_epochs=(LOOKS[-1],) * 5,
    )  # fmt: skip
    return Result(trial, ({"stage": "epoch", "trial": proposal.number, "nats": 3.1},), {})


def _never(trial: FrozenTrial) -> Trial:
    raise AssertionError(f"trial {trial.number} was given up")


def _backend(shared: Shared) -> int:
    with shared.storage.engine.connect() as connection:
        return int(connection.execute(sqlalchemy.text("select pg_backend_pid()")).scalar_one())


def _busy(pid: int, *, with_children: bool = False) -> float:
    """Processor seconds of a process of the server, and of its children that have ended."""
    words = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return sum(map(int, words[11 : 15 if with_children else 13])) / _TICK


def _cost_of_connecting(shared: Shared, own: Server, n: int = 20) -> float:
    """Processor seconds of the server for one connection that asks for one thing."""
    assert own.process is not None
    rest(shared.storage)
    before = _busy(own.process.pid, with_children=True)
    for _ in range(n):
        assert shared.ended is None
        rest(shared.storage)
    time.sleep(1.0)
    return (_busy(own.process.pid, with_children=True) - before) / n


# -- the fleet on a simulated clock --------------------------------------------


def play(
    costs: dict[str, Cost], n_workers: int, connect: float, *, is_given_back: bool | None = None,
    looks_while_training: float | None = None,
) -> Played:  # fmt: skip
    """Play a fleet whose workers take up trial after trial.

    Parameters
    ----------
    costs : dict of str to Cost
        Of ``ask``, ``result``, ``sign``, ``look`` and ``sweep``, and of ``news`` where workers look while
        they train.
    connect : float
        Processor seconds of the server for a connection.
    is_given_back : bool, optional
        Whether a worker gives its connection back after each operation; None: where there are many workers.
    looks_while_training : float, optional
        Seconds between two looks of a worker that trains.
    """
    return _Fleet(
        costs,
        n_workers,
        connect,
        n_workers > MANY if is_given_back is None else is_given_back,
        looks_while_training,
    ).run()


class _Fleet:
    def __init__(
        self, costs: dict[str, Cost], n_workers: int, connect: float, is_given_back: bool,
        looks: float | None,
    ) -> None:  # fmt: skip
        self._costs, self._connect = costs, connect
        self._is_given_back, self._looks = is_given_back, looks
        self._seen = Played(n_workers)
        self._free = [0.0] * N_CORES
        self._events: list[tuple[float, int, Callable[[float], Any]]] = []
        self._order, self._rng = count(), np.random.default_rng(SEED)
        self._until = TRIALS_OF_A_WORKER * float(np.mean(QUANTILES))
        self._open: list[float] = []

    def run(self) -> Played:
        """The fleet until the last trials begin."""
        seen = self._seen
        for _ in range(seen.n_workers):
            joined = self._rng.random() * QUANTILES[-3]
            seen.present += self._until - joined
            self._at(joined, self._ask)
        self._at(0.0, self._look)
        while self._events and self._events[0][0] < self._until:
            now, _, event = heapq.heappop(self._events)
            event(now)
        seen.seconds = self._until
        return seen

    def _ask(self, now: float, since_last: float = 0.0) -> None:
        """Take up a trial, after a sweep where one is due."""
        is_due = self._rng.random() < since_last / (1.5 * BEAT)
        done = self._does("ask", self._does("sweep", now) if is_due else now)
        self._seen.waits.append(done - now)
        seconds = seconds_of(self._rng, QUANTILES)
        end = done + seconds
        self._seen.trained += max(0.0, min(end, self._until) - min(done, self._until))
        for at in np.arange(done + BEAT, end, BEAT):
            self._at(float(at), lambda at: self._does("sign", at))
        if self._looks is not None:
            for at in np.arange(done + self._looks, end, self._looks):
                self._at(float(at), lambda at: self._does("news", at))
        self._at(end, lambda at: self._keep(at, at - now))

    def _keep(self, now: float, since_last: float) -> None:
        self._seen.n_trials += 1
        done = self._does("result", now, is_with_next=True)
        self._at(done, lambda at: self._ask(at, since_last))

    def _look(self, now: float) -> None:
        self._at(self._does("look", now) + LOOK, self._look)

    def _does(self, kind: str, now: float, is_with_next: bool = False) -> float:
        """An operation that begins now; the result is when the worker has its answer."""
        seen, cost = self._seen, self._costs[kind]
        is_new = self._is_given_back and not is_with_next and kind != "look"
        demand = cost.server + (self._connect if is_new else 0.0)
        start = max(now, heapq.heappop(self._free))
        heapq.heappush(self._free, start + demand)
        done = start + demand + cost.n_statements * ROUND_TRIP + cost.client
        seen.n_done, seen.server, seen.n_connects = (
            seen.n_done + 1,
            seen.server + demand,
            seen.n_connects + is_new,
        )
        self._connected(now, done)
        return done

    def _connected(self, now: float, done: float) -> None:
        """Connections that are open at once."""
        if not self._is_given_back:
            self._seen.most_connections = self._seen.n_workers + 1
            return
        while self._open and self._open[0] <= now:
            heapq.heappop(self._open)
        heapq.heappush(self._open, done)
        self._seen.most_connections = max(self._seen.most_connections, len(self._open))

    def _at(self, when: float, event: Callable[[float], Any]) -> None:
        heapq.heappush(self._events, (when, next(self._order), event))
