"""A fleet of workers on one database: processes of many threads, each a worker whose trainings only wait."""

from __future__ import annotations

import json
import os
import random
import resource
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import wraps
from pathlib import Path
from types import SimpleNamespace
from typing import Any, TypeVar

import numpy as np

from search.ledger import Ledger
from search.metrics import metric_for
from search.objective import Objective
from search.records import Run, Trial
from search.remote.artifacts import Artifacts
from search.remote.coordinator import coordinate
from search.remote.proposer import SharedProposer
from search.remote.shared import Shared, found, joined
from search.remote.storage import BEAT, GRACE, StorageError
from search.remote.terms import Budget as SharedBudget
from search.remote.terms import Terms
from search.remote.worker import Work, work
from search.study import Budget, Study
from search.training.trained import Trained
from spaces.parameters import Float
from spaces.space import Space
from spaces.task import Task

F = TypeVar("F", bound=Callable[..., Any])
ROOT = Path(__file__).parents[1]
NAME, FAMILY, N_PARAMETERS, SEED = "fleet", "mlp", 18, 7
SPACE = Space({f"p{index:02d}": Float(0.0, 1.0) for index in range(N_PARAMETERS)})
LOOKS = tuple(range(2, 98, 4))


@dataclass(frozen=True)
class Fleet:
    """What a process of the fleet does.

    Attributes
    ----------
    n_workers : int
        Threads of this process, each a worker of its own.
    quantiles : tuple of float
        Evenly spaced quantiles of the seconds that a trial takes; none where it takes no time.
    within : float
        Seconds over which the workers of the process join.
    """

    url: str
    folder: str
    n_workers: int
    quantiles: tuple[float, ...] = ()
    within: float = 0.0
    sampler: str = "random"


@dataclass
class Log:
    """What a process of the fleet measured: when its workers joined, what it trained, how long it waited."""

    joined: list[float] = field(default_factory=list)
    trained: list[tuple[float, float]] = field(default_factory=list)
    waits: dict[str, list[float]] = field(default_factory=dict)
    errors: list[str] = field(default_factory=list)
    cpu_seconds: float = 0.0


class Played:
    """Stands where an `Objective` stands: waits as long as a recorded trial took, and makes its arrays up."""

    metric = metric_for("log_loss", Task("binary", ("y",), ("no", "yes")))
    defaults = SimpleNamespace(looks=LOOKS, epoch_choice="common")
    folds = SimpleNamespace(fold_of_row=np.zeros((1, 40), int), n_splits=5)
    plan = SimpleNamespace(n_repeats=1, target_center=np.zeros(1), target_scale=np.ones(1))

    def __init__(self, quantiles: Sequence[float], log: Log) -> None:
        self._quantiles, self._log = tuple(quantiles), log

    def evaluate(
        self, number: int, family: str, config: Mapping[str, Any], ceilings: Mapping[int, float]
    ) -> tuple[Trial, Trained]:
        rng = np.random.default_rng(number)
        started, seconds = time.time(), seconds_of(rng, self._quantiles)
        time.sleep(seconds)
        curve = 0.4 + 0.3 * np.exp(-np.arange(len(LOOKS)) / 6) + 0.01 * rng.random(len(LOOKS))
        best = int(curve.argmin())
        trained = _trained(curve, best, rng, seconds)
        self._log.trained.append((started, time.time()))
        return (
            Trial(
                number, family, dict(config), "completed", score=float(curve[best]), score_se=0.01,
                fold_scores=tuple(rng.random(5).tolist()), chosen_epoch=LOOKS[best], checkpoints=LOOKS,
                curve=trained.curve, train_curve=trained.train_curve, kept_epochs=(LOOKS[best],),
                chosen_index=0, member_epochs=trained.member_epochs, fit_seconds=seconds,
            ),
            trained,
        )  # fmt: skip


def seconds_of(rng: np.random.Generator, quantiles: Sequence[float]) -> float:
    """How long a trial takes, drawn between the quantiles."""
    places = np.linspace(0.0, 1.0, max(1, len(quantiles)))
    return float(np.interp(rng.random(), places, quantiles)) if quantiles else 0.0


def _trained(curve: np.ndarray, best: int, rng: np.random.Generator, seconds: float) -> Trained:
    return Trained(
        checkpoints=LOOKS, curve=tuple(curve.tolist()), train_curve=tuple((0.8 * curve).tolist()),
        chosen_epoch=LOOKS[best], member_epochs=(LOOKS[best],) * 5, chosen_index=0,
        kept_epochs=(LOOKS[best],), out_of_fold=rng.random((1, 1, 40, 1)).astype(np.float32),
        weights=[rng.random((5, 4)).astype(np.float32)], architecture="{}", train_loss=0.3, n_parameters=4,
        way="stacked", is_traced=False, is_pruned=False, fit_seconds=seconds,
        predict_seconds_per_1000=0.001, peak_memory_mb=100.0,
    )  # fmt: skip


# -- the study's own process ---------------------------------------------------


def begin(url: str, folder: Path, n_trials: int) -> Shared:
    """Begin a study of so many trials."""
    terms = Terms("fleet", "", {}, str(folder / "artifacts"), BEAT, GRACE)
    shared = found(url, NAME, terms)
    shared.begin(SharedBudget(n_trials), SPACE)
    return shared


def gather(shared: Shared, folder: Path, n_trials: int, seconds: float | None = None) -> Run:
    """Be the coordinator until all trials are gathered, or the seconds are over and nothing runs any more."""
    run, scratch = Run.create(folder / "run"), Run.create(folder / "scratch")
    artifacts = Artifacts(shared.terms.artifacts)
    proposer = SharedProposer(
        shared, SPACE, (FAMILY,), sampler="random", seed=SEED, artifacts=artifacts, scratch=scratch
    )
    study = Study(
        run, Ledger(run), proposer, _objective((), Log()), (FAMILY,), Budget(n_trials, seconds), False,
        lambda *_: None,
    )  # fmt: skip
    coordinate(shared, study, proposer, artifacts)
    return run


def _objective(quantiles: Sequence[float], log: Log) -> Objective:
    stand_in: Any = Played(quantiles, log)
    return stand_in  # type: ignore[no-any-return]


# -- a process of workers ------------------------------------------------------


def start(
    fleet: Fleet, report: Path, environment: Mapping[str, str] | None = None
) -> subprocess.Popen[bytes]:
    """Start a process of the fleet; it writes its log to `report` when its workers have ended."""
    told = json.dumps(asdict(fleet) | {"report": str(report)})
    own = {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT), **os.environ}
    command = [sys.executable, "-m", "benchmarks.scale_fleet", told]
    with open(report.with_suffix(".said"), "ab") as said:
        return subprocess.Popen(
            command, cwd=ROOT, env={**own, **(environment or {})}, stdout=said, stderr=said
        )


def read(report: Path) -> Log:
    """The log of a process that has ended."""
    told = json.loads(report.read_text())
    return Log(**(told | {"trained": [(began, ended) for began, ended in told["trained"]]}))


def _run(fleet: Fleet, log: Log) -> None:
    _time(SharedProposer, "next", log)
    _time(SharedProposer, "tell", log)
    _time(Shared, "news", log)
    threads = [threading.Thread(target=_worker, args=(fleet, log)) for _ in range(fleet.n_workers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    used = resource.getrusage(resource.RUSAGE_SELF)
    log.cpu_seconds = used.ru_utime + used.ru_stime


def _worker(fleet: Fleet, log: Log) -> None:
    time.sleep(random.random() * fleet.within)
    try:
        shared = joined(fleet.url, NAME)
        log.joined.append(time.time())
        asked = Work(
            _objective(fleet.quantiles, log), SPACE, (FAMILY,), fleet.sampler, SEED,
            fleet.sampler in ("tpe", "cmaes"), Artifacts(shared.terms.artifacts),
        )  # fmt: skip
        try:
            work(shared, asked)
        finally:
            shared.close()
    except StorageError as error:
        log.errors.append(str(error))


def _time(owner: Any, name: str, log: Log) -> None:
    """Note how long each call of a method takes."""
    method, waits = getattr(owner, name), log.waits.setdefault(name, [])

    @wraps(method)
    def timed(*arguments: Any, **named: Any) -> Any:
        since = time.perf_counter()
        try:
            return method(*arguments, **named)
        finally:
            waits.append(time.perf_counter() - since)

    setattr(owner, name, timed)


def main(told: str) -> None:
    """Be a process of the fleet."""
    asked = json.loads(told)
    report, log = Path(asked.pop("report")), Log()
    _run(Fleet(**(asked | {"quantiles": tuple(asked["quantiles"])})), log)
    report.write_text(json.dumps(asdict(log)))


if __name__ == "__main__":
    main(sys.argv[1])
