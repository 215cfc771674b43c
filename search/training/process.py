"""Training in a process of its own, renewed now and then.

TensorFlow never gives back all the memory of a compiled program, so a study of many structures would grow
without end; it also takes seconds to import and cannot survive being killed. A child of a fork server trains;
the study's own process never imports TensorFlow. The child is replaced after a number of compiled programs,
or when it dies.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import Any

from search.training.context import context, started
from search.training.limits import Limits, end, ready
from search.training.plan import Plan
from search.training.trained import Diverged, ProcessDied, Request, Trained, TrainingFailed, validation_loss
from spaces.task import Task

N_PROGRAMS_PER_PROCESS = 12
ROWS_FOR_ALL_CORES = 5000


def n_threads_for(n_rows: int) -> int:
    """Threads of one matrix product: one for small tables, where more only get in each other's way."""
    return len(os.sched_getaffinity(0)) if n_rows >= ROWS_FOR_ALL_CORES else 1


class TrainingProcess:
    """Trains requests of networks in a child process, which starts with the first one.

    Parameters
    ----------
    plan : Plan
        Rows and members, sent to the child once.
    metric : str
        Name of the study's metric.
    task : Task
        What is predicted.
    n_threads : int or None
        Threads of one operation; None: `n_threads_for` the rows.
    limits : Limits
        Of each request.
    """

    def __init__(
        self,
        plan: Plan,
        metric: str,
        task: Task,
        n_threads: int | None = None,
        limits: Limits = Limits(),  # noqa: B008 - frozen
    ) -> None:
        self._limits = limits
        self._arguments = (plan, metric, task, n_threads or n_threads_for(plan.n_rows))
        self._child: Any = None
        self._n_traced = 0

    def __enter__(self) -> TrainingProcess:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def train(self, request: Request) -> Trained:
        """Train one configuration.

        Raises
        ------
        TrainingFailed
            If it diverged, raised, broke a limit, or took the process down with it.
        """
        if self._child is None or self._n_traced >= N_PROGRAMS_PER_PROCESS:
            self.stop()
            self._start()
        try:
            since = time.monotonic()
            self._pipe.send(request)
            ready({self._pipe: self._child}, self._limits, since)
            answer = self._pipe.recv()
        except TrainingFailed:
            self.stop()
            raise
        except (EOFError, OSError):
            self._child.join(5)
            code = self._child.exitcode
            self.stop()
            raise ProcessDied(f"the training process died with exit code {code}: out of memory?") from None
        if isinstance(answer, str):
            self._n_traced += 1  # a failure may have compiled a program too
            raise TrainingFailed(answer)
        self._n_traced += answer.is_traced
        return answer  # type: ignore[no-any-return]

    def _start(self) -> None:
        self._pipe, theirs = context().Pipe()
        self._child = started(_serve, theirs, *self._arguments)
        theirs.close()
        self._n_traced = 0

    def stop(self) -> None:
        """End the child."""
        if self._child is None:
            return
        self._pipe.close()
        end(self._child)
        self._child = None


def _serve(pipe: Connection, plan: Plan, metric: str, task: Task, n_threads: int) -> None:
    """The child: train what comes down the pipe until it closes."""
    for number in (signal.SIGINT, signal.SIGHUP):  # the study's own process decides
        signal.signal(number, signal.SIG_IGN)
    import tensorflow as tf

    tf.get_logger().setLevel(
        "ERROR"
    )  # a user's layer that cannot be batched is run in a loop, and that is fine
    tf.config.threading.set_intra_op_parallelism_threads(n_threads)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    from search.training.engine import Engine

    engine = Engine(plan, validation_loss(metric, task))
    while True:
        try:
            request = pipe.recv()
        except EOFError:
            return
        pipe.send(_answer(engine.train_request, request))


def _answer(train: Callable[[Request], Trained], request: Request) -> Trained | str:
    """The result, or the cause of the failure in one line."""
    try:
        return train(request)
    except Diverged as error:
        return f"diverged: {error}"
    except Exception as error:
        return f"{type(error).__name__}: {' '.join(str(error).split())[:500]}"
