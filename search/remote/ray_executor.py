"""Trials as tasks of a Ray cluster; the study's own process asks, keeps and tells as ever."""

from __future__ import annotations

import importlib.util
import os
import signal
import socket
import threading
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeAlias
from uuid import uuid4

from search.training.context import start_server
from search.training.fitting import FittingProcesses
from search.training.limits import Limits
from search.training.plan import Plan
from search.training.process import TrainingProcess
from search.training.trained import Request, Trained, TrainingFailed
from spaces.families import family_of
from spaces.task import Task

if TYPE_CHECKING:
    from search.training.workshop import Trains

Told: TypeAlias = tuple[str, str, Task, Limits, bool]
N_RETRIES = 2  # after a node or a worker of Ray was lost; the same request trains the same again
_BENCHES: dict[str, tuple[TrainingProcess, FittingProcesses]] = {}


class RayError(ValueError):
    """A Ray cluster that cannot be used; the message is one line."""


class RayWorkshop:
    """Trains requests of any family as Ray tasks: a `search.training.workshop.Trains`.

    A task has one core, and as much memory as a trial may use. In its Ray process it has its request trained
    by a process of one thread, as `search.training.workshop.Workshop` does it, so that a model that breaks a
    limit or crashes fails its trial and nothing else.

    Parameters
    ----------
    plan, metric, task, limits
        As for a `Workshop`; the plan is sent to the cluster once.
    n_workers : int
        Requests that are trained at the same time, if as many threads call `train`.
    needs_networks : bool
        Whether requests of networks may come, for which a process of Ray loads TensorFlow while it waits.
    address : str or None
        Of a cluster, such as ``ray://head:10001`` or ``auto``; None: the one of this process or of
        ``RAY_ADDRESS``, else one on this machine.

    Raises
    ------
    RayError
        If Ray is not installed, there is no cluster at the address, or no node of it has room for a task.
    """

    def __init__(
        self,
        plan: Plan,
        metric: str,
        task: Task,
        n_workers: int = 1,
        limits: Limits = Limits(),  # noqa: B008 - frozen
        *,
        needs_networks: bool = True,
        address: str | None = None,
    ) -> None:
        self.places: set[str] = set()
        self._n_workers, self._limits = n_workers, limits
        self._told = (uuid4().hex, metric, task, limits, needs_networks)
        self._plan, self._address = plan, address

    def __enter__(self) -> RayWorkshop:
        self._ray = _imported()
        self._is_ours = not self._ray.is_initialized()
        if self._is_ours:
            _connect(self._ray, self._address)
        try:
            options = self._options()
            _check_room(self._ray, options)
            self._place = self._ray.put(self._plan)
            self._train = self._ray.remote(_train).options(**options)
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        if self._is_ours:
            self._ray.shutdown()

    def _options(self) -> dict[str, Any]:
        options: dict[str, Any] = {"num_cpus": 1, "max_retries": N_RETRIES, "name": "foldstack trial"}
        if self._limits.megabytes is not None:
            options["memory"] = int(self._limits.megabytes * 2**20)
        return options

    def train(self, request: Request) -> Trained:
        """Train all members of one configuration; raises `TrainingFailed`."""
        try:
            left = None if request.deadline is None else request.deadline - time.monotonic()
            place, answer = self._ray.get(self._train.remote(self._place, self._told, request, left))
        except self._ray.exceptions.RayError as error:
            cause = " ".join(str(error).split())[:300]
            raise TrainingFailed(
                f"Ray lost it {N_RETRIES + 1} times: {type(error).__name__}: {cause}"
            ) from None
        self.places.add(place)
        if isinstance(answer, str):
            raise TrainingFailed(answer)
        return answer  # type: ignore[no-any-return]


def _imported() -> Any:
    if importlib.util.find_spec("ray") is None:
        raise RayError("the executor ray needs the package ray: pip install 'foldstack[ray]'")
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")  # what it would otherwise warn about
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # a cluster of ours tells nobody
    import ray

    return ray


def _connect(ray: Any, address: str | None) -> None:
    before = signal.getsignal(signal.SIGTERM)
    try:
        ray.init(address=address, log_to_driver=False, logging_level="ERROR", include_dashboard=False)
    except Exception as error:
        cause = " ".join(str(error).split())[:300]
        raise RayError(f"there must be a Ray cluster at {address or 'this machine'}: {cause}") from None
    finally:
        if before is not None and threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, before)  # Ray's own would end the study out of order


def _check_room(ray: Any, options: dict[str, Any]) -> None:
    """Refuse tasks that no node could ever run: Ray would wait for one."""
    nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    needed = {"CPU": options["num_cpus"], "memory": options.get("memory", 0)}
    if any(all(node.get(name, 0) >= amount for name, amount in needed.items()) for node in nodes):
        return
    most = max((node.get("memory", 0) for node in nodes), default=0) / 2**20
    raise RayError(
        f"a node of the Ray cluster must have a core and {needed['memory'] / 2**20:.0f} MB for a trial: "
        f"there are {len(nodes)} with at most {most:.0f} MB"
    )


def _train(plan: Plan, told: Told, request: Request, left: float | None) -> tuple[str, Trained | str]:
    """The task: where it ran, and what was trained, or why not, in one line; `left` seconds to a deadline."""
    if left is not None:  # by the clock of this machine
        request = replace(request, deadline=time.monotonic() + left)
    key, metric, task, limits, needs_networks = told
    if key not in _BENCHES:
        start_server(needs_networks=needs_networks)
        for networks, others in _BENCHES.values():  # of an earlier study
            networks.stop()
            others.stop()
        _BENCHES.clear()
        own = TrainingProcess(plan, metric, task, 1, limits), FittingProcesses(plan, metric, task, 1, limits)
        _BENCHES[key] = own
    networks, others = _BENCHES[key]
    trains: Trains = networks if family_of(request.family).is_network else others
    place = f"{socket.gethostname()}:{os.getpid()}"
    try:
        return place, trains.train(request)
    except TrainingFailed as failure:
        return place, str(failure)
