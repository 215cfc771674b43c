"""Trains any request: networks by the engine in its own process, the other families in fitting processes."""

from __future__ import annotations

from typing import Protocol

from search.training.fitting import FittingProcesses
from search.training.plan import Plan
from search.training.process import TrainingProcess
from search.training.trained import Request, Trained
from spaces.families import family_of
from spaces.task import Task


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
    """

    def __init__(self, plan: Plan, metric: str, task: Task) -> None:
        self._networks = TrainingProcess(plan, metric, task)
        self._others = FittingProcesses(plan, metric, task)

    def __enter__(self) -> Workshop:
        return self

    def __exit__(self, *_: object) -> None:
        self._networks.stop()
        self._others.stop()

    def train(self, request: Request) -> Trained:
        """Train all members of one configuration; raises `TrainingFailed`."""
        trains: Trains = self._networks if family_of(request.family).is_network else self._others
        return trains.train(request)
