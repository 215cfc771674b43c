"""Trains any request: networks by the engine in its own process, the other families in fitting processes."""

from __future__ import annotations

import queue
from contextlib import suppress
from typing import Protocol

from search.training.fitting import FittingProcesses
from search.training.limits import Limits
from search.training.plan import Plan
from search.training.process import TrainingProcess
from search.training.trained import ProcessDied, Request, Trained
from spaces.families import family_of
from spaces.task import Task

MOST_LOST = 3  # processes that one trial may take down with it; somebody else may have killed them


class Trains(Protocol):
    """What an objective asks for trained members."""

    def train(self, request: Request) -> Trained:
        """Train all members of one configuration; raises `TrainingFailed`."""


class Workshop:
    """Trains requests of any family; a process starts when the first request needs it.

    Parameters
    ----------
    plan : Plan
        Rows and members.
    metric : str
        Name of the study's metric.
    task : Task
    n_workers : int
        Requests that are trained at the same time, if as many threads call `train`; with several, each has
        one process of one thread.
    limits : Limits
        Of each request.
    """

    def __init__(
        self,
        plan: Plan,
        metric: str,
        task: Task,
        n_workers: int = 1,
        limits: Limits = Limits(),  # noqa: B008 - frozen
    ) -> None:
        alone = None if n_workers == 1 else 1
        self._benches = [
            (
                TrainingProcess(plan, metric, task, alone, limits),
                FittingProcesses(plan, metric, task, alone, limits),
            )
            for _ in range(n_workers)
        ]
        self._free: queue.SimpleQueue[tuple[TrainingProcess, FittingProcesses]] = queue.SimpleQueue()
        for bench in self._benches:
            self._free.put(bench)

    def __enter__(self) -> Workshop:
        return self

    def __exit__(self, *_: object) -> None:
        for networks, others in self._benches:
            networks.stop()
            others.stop()

    def train(self, request: Request) -> Trained:
        """Train all members of one configuration; raises `TrainingFailed`."""
        networks, others = bench = self._free.get()
        try:
            trains: Trains = networks if family_of(request.family).is_network else others
            for _ in range(MOST_LOST - 1):
                with suppress(ProcessDied):
                    return trains.train(request)
            return trains.train(request)
        finally:
            self._free.put(bench)
