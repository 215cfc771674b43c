"""A worker's loop: take a number, train, keep the result where all can see it."""

from __future__ import annotations

import sys
import tempfile
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from dataclasses import dataclass
from typing import Any, TypeAlias

from search.ledger import Ledger
from search.objective import Objective
from search.proposers import Proposal
from search.records import Run, Trial
from search.remote.artifacts import Artifacts
from search.remote.proposer import SharedProposer
from search.remote.shared import Shared
from search.study import Budget, Running, Study
from spaces.space import Space

OnStart: TypeAlias = Callable[[int, str, Mapping[str, Any]], None]
OnTrial: TypeAlias = Callable[[Trial, int], None]
SECONDS_BETWEEN_LOOKS = 0.5
SECONDS_OF_DOUBT = 1.0  # until what ended a training process has reached us too, if it was meant for both


@dataclass(frozen=True)
class Work:
    """What a worker needs beside the shared study; the same in every process.

    Attributes
    ----------
    sampler, seed
        Of the proposals.
    is_adaptive : bool
        Whether proposals depend on earlier losses.
    n_failures_in_a_row : int
        That end the study.
    seconds : float or None
        Until no further trial begins.
    n_workers : int
        Trials trained at the same time; the objective's workshop must be as large.
    on_start : callable
        Called with number, family and configuration of each trial of this process, before it is trained.
    on_trial : callable
        Called with each trial of this process after it is kept, and how many of the study are finished.
    """

    objective: Objective
    space: Space
    families: Sequence[str]
    sampler: str
    seed: int
    is_adaptive: bool
    artifacts: Artifacts
    n_failures_in_a_row: int = 5
    seconds: float | None = None
    n_workers: int = 1
    on_start: OnStart = lambda number, family, config: None
    on_trial: OnTrial = lambda trial, n_finished: None


def work(shared: Shared, asked: Work, stop: threading.Event | None = None) -> str:
    """Run trials until the study has ended or `stop` is set; the result says why.

    What is under way when it is told to stop goes back to the other workers.
    """
    with tempfile.TemporaryDirectory(prefix="foldstack-worker-", ignore_cleanup_errors=True) as folder:
        study, proposer = _study(shared, asked, Run.create(folder))
        pool = ThreadPoolExecutor(asked.n_workers)
        try:
            return _loop(shared, study, proposer, pool, stop or threading.Event())
        finally:
            pool.shutdown(wait=False, cancel_futures=True)
            shared.give_all_back()


def _study(shared: Shared, asked: Work, scratch: Run) -> tuple[Study, SharedProposer]:
    proposer = SharedProposer(
        shared, asked.space, asked.families, sampler=asked.sampler, seed=asked.seed,
        artifacts=asked.artifacts, scratch=scratch,
    )  # fmt: skip
    budget = Budget(sys.maxsize, asked.seconds, asked.n_failures_in_a_row)  # the number is the database's
    study = Study(
        scratch, Ledger(scratch), proposer, asked.objective, asked.families, budget, asked.is_adaptive,
        lambda trial, trials: asked.on_trial(trial, len(trials)), n_workers=asked.n_workers,
        on_start=asked.on_start,
    )  # fmt: skip
    return study, proposer


def _loop(
    shared: Shared, study: Study, proposer: SharedProposer, pool: ThreadPoolExecutor, stop: threading.Event
) -> str:
    started, reason = time.monotonic(), None
    running: Running = {}
    while not stop.is_set():
        is_paused = False
        if reason is None and len(running) < study.n_workers:
            study.join(result.trial for result in shared.latest())
            reason = study.reason_to_stop(time.monotonic() - started, len(running))
            proposal = proposer.next() if reason is None else None
            if isinstance(proposal, Proposal):
                study.begin(pool.submit, running, proposal)
                continue
            if proposal is None and reason is None:
                reason = _ending(shared)
            is_paused = proposal is not None
        if not running and not is_paused:
            assert reason is not None
            return reason
        _collect(study, running, stop, shared.pause() if is_paused else SECONDS_BETWEEN_LOOKS)
    return "told to stop"


def _collect(study: Study, running: Running, stop: threading.Event, pause: float) -> None:
    """Keep what was trained meanwhile, until there may be something new to do."""
    if not running:
        stop.wait(pause)
        return
    for future in wait(running, pause, FIRST_COMPLETED).done:
        trial, trained = future.result()
        if stop.wait(
            SECONDS_OF_DOUBT if trial.status == "failed" else 0
        ):  # its processes were ended under it
            return
        study.finish(*running.pop(future), trial, trained)


def _ending(shared: Shared) -> str:
    return shared.ended or f"all {shared.budget.n_trials} trials were run"
