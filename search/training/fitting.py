"""Families that are no networks: members fitted side by side, one thread each, in child processes.

A model's rounds take the place of epochs: all are looked at alike, one number of rounds is chosen for all
members (or by fold), and predictions at every look are kept for the replay.
"""

from __future__ import annotations

import json
import os
import resource
import signal
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection
from typing import Any

import numpy as np
from numpy.typing import NDArray

from search.training.context import context, started
from search.training.course import Course
from search.training.limits import Limits, end, ready
from search.training.plan import Plan
from search.training.trained import ProcessDied, Request, Trained, TrainingFailed, validation_loss
from spaces.encoding import Layout, Statistics
from spaces.families import FAMILIES
from spaces.matrix import matrix
from spaces.task import Task

Array = NDArray[Any]

MOST_TRAINING_ROWS_SCORED = 2000
STATISTICS = ("fill", "center", "scale", "slot_of_code")


@dataclass(frozen=True)
class MemberFit:
    """One fitted member.

    Attributes
    ----------
    held, stop, train : (n_looks, n, n_outputs) float32
        Predictions at every look: of held rows, of the inner slice, and of at most 2,000 training rows.
    model : bytes
    """

    held: Array
    stop: Array
    train: Array
    model: bytes
    predict_seconds_per_1000: float
    peak_memory_mb: float


class FittingProcesses:
    """Fits requests in child processes, which start with the first one.

    Parameters
    ----------
    plan : Plan
        Rows and members, sent to each child once.
    metric : str
        Name of the study's metric.
    task : Task
    n_processes : int or None
        None: one for each core, and no more than members.
    limits : Limits
        Of each request.
    """

    def __init__(
        self,
        plan: Plan,
        metric: str,
        task: Task,
        n_processes: int | None = None,
        limits: Limits = Limits(),  # noqa: B008 - frozen
    ) -> None:
        self._plan, self._limits = plan, limits
        self._loss = validation_loss(metric, task)
        self._n_processes = n_processes or min(len(os.sched_getaffinity(0)), plan.n_members)
        self._children: list[tuple[Any, Connection]] = []

    def __enter__(self) -> FittingProcesses:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def train(self, request: Request) -> Trained:
        """Fit all members of one configuration.

        Raises
        ------
        TrainingFailed
            If a member raised, gave predictions that are not finite, broke a limit, or took its process down.
        """
        started = time.perf_counter()
        try:
            fits = self._all_members(request)
        except BaseException:
            self.stop()  # whatever is still running belongs to a configuration that is given up
            raise
        seconds = time.perf_counter() - started
        rounds = looks_of(request)
        progress = _Looks(self._plan, fits, self._loss)
        recipe = replace(request.recipe, checkpoints=rounds, n_epochs=rounds[-1], patience=0.0)
        course = Course(self._plan, self._loss, progress, recipe, {})
        course.run()
        chosen = [rounds.index(epoch) for epoch in course.member_epochs.tolist()]
        return Trained(
            checkpoints=tuple(course.epochs),
            curve=tuple(course.curve),
            train_curve=tuple(course.train_curve),
            chosen_epoch=course.best_epoch,
            member_epochs=tuple(course.member_epochs.tolist()),
            **course.kept(),
            weights=_packed(self._plan, fits, course.member_epochs),
            architecture=architecture(request),
            train_loss=float(np.mean([progress.train_losses[at, m] for m, at in enumerate(chosen)])),
            n_parameters=None,
            way="fitted",
            is_traced=False,
            is_pruned=False,
            fit_seconds=seconds,
            predict_seconds_per_1000=sum(fit.predict_seconds_per_1000 for fit in fits),
            peak_memory_mb=max(fit.peak_memory_mb for fit in fits),
        )

    def _all_members(self, request: Request) -> list[MemberFit]:
        """Every member's fit; each child has one member at a time."""
        while len(self._children) < self._n_processes:
            self._children.append(_new_child(self._plan))
        found: dict[int, MemberFit] = {}
        waiting = list(range(self._plan.n_members))[::-1]
        since = time.monotonic()
        busy = {pipe: child for child, pipe in self._children if _sent(pipe, request, waiting)}
        while busy:
            for pipe in ready(busy, self._limits, since):
                member, answer = _received(pipe, busy[pipe])
                found[member] = answer
                if not _sent(pipe, request, waiting):
                    del busy[pipe]
        return [found[member] for member in range(self._plan.n_members)]

    def stop(self) -> None:
        """End the children."""
        for child, pipe in self._children:
            pipe.close()
            child.terminate()
        for child, _ in self._children:
            end(child)
        self._children = []


def looks_of(request: Request) -> tuple[int, ...]:
    """Rounds at which the models of a request are looked at."""
    if request.recipe.checkpoints is not None:
        return request.recipe.checkpoints
    rounds = FAMILIES[request.family].fitted.rounds(request.config)
    return rounds[-1:] if request.recipe.epoch_choice == "fixed" else rounds


def architecture(request: Request) -> str:
    """What tells how to read the weights of a fitted trial, as JSON."""
    layout = Layout.of(request.signature.schema)
    fields = {name: getattr(layout, name) for name in ("n_numbers", "indicators", "n_codes", "n_slots")}
    facts = {"class_name": "Fitted", "family": request.family, "n_outputs": request.signature.n_outputs}
    return json.dumps({**facts, "layout": fields})


def fit_member(plan: Plan, request: Request, member: int) -> MemberFit:
    """Fit one member and predict its rows at every look."""
    module = FAMILIES[request.family].fitted
    signature, config = request.signature, request.config
    layout, kind = Layout.of(signature.schema), signature.task.kind
    numbers = plan.inputs[0] if layout.n_numbers else np.zeros((plan.n_rows, 0), np.float32)
    codes = plan.inputs[-1] if layout.n_slots else np.zeros((plan.n_rows, 0), np.int32)
    learned = Statistics(*(values[member] for values in _learned(plan)))

    def inputs(rows: Array) -> Array:
        x: Array = matrix(module.COLUMNS, layout, numbers[rows], codes[rows], learned)
        return x

    rows = plan.train[member]
    y = plan.y[rows] if kind != "regression" else plan.in_standard_units(member, plan.y[rows])
    weights = next(iter(plan.weights_of(rows)), None)
    seed = int(np.random.SeedSequence([request.seed, member]).generate_state(1)[0])
    model = module.fit(config, signature, inputs(rows), y, seed=seed, row_weights=weights, n_threads=1)
    looks = looks_of(request)

    def at_looks(rows: Array) -> Array:
        if not rows.size:
            return np.zeros((len(looks), 0, plan.y.shape[1]), np.float32)
        x, every = inputs(rows), getattr(module, "predict_rounds", None)
        found = every(model, x, looks) if every else [module.predict(model, x, n) for n in looks]
        return np.stack(found).astype(np.float32)

    started = time.perf_counter()
    held = at_looks(plan.held[member])
    seconds = (time.perf_counter() - started) * 1000 / max(1, plan.held[member].size * len(looks))
    return MemberFit(
        held=held,
        stop=at_looks(plan.stop[member] if plan.stop is not None else rows[:0]),
        train=at_looks(_sample(rows)),
        model=module.pack(model),
        predict_seconds_per_1000=seconds,
        peak_memory_mb=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    )


def _learned(plan: Plan) -> list[Array]:
    """What members learned about the columns, each ``(n_members, ...)``, in the order of `STATISTICS`."""
    nothing = np.zeros((plan.n_members, 0), np.float32)
    return [plan.constants.get(f"encode/{name}", nothing) for name in STATISTICS]


def _sample(rows: Array) -> Array:
    return rows[:: 1 + len(rows) // MOST_TRAINING_ROWS_SCORED]


class _Looks:
    """The fits of all members as a `Trainer`: what was predicted is there already."""

    def __init__(self, plan: Plan, fits: Sequence[MemberFit], loss: Callable[..., float]) -> None:
        self._plan, self._fits, self._at = plan, fits, -1
        self.weights: list[Array] = []
        rows = [_sample(rows) for rows in plan.train]
        self.train_losses = np.array(
            [
                [
                    loss(plan.y[r], plan.in_units(m, fit.train[at]), *plan.weights_of(r))
                    for m, (r, fit) in enumerate(zip(rows, fits, strict=True))
                ]
                for at in range(len(fits[0].held))
            ]
        )

    def advance(self, n_epochs: int) -> Array:
        """Go to the next look."""
        self._at += 1
        return self.train_losses[None, self._at]

    def predict(self, rows: Sequence[Array]) -> list[Array]:
        """What was predicted for held rows, or for the inner slices."""
        if rows is self._plan.stop:
            return [fit.stop[self._at] for fit in self._fits]
        assert rows is self._plan.held
        return [fit.held[self._at] for fit in self._fits]


def _packed(plan: Plan, fits: Sequence[MemberFit], rounds: Array) -> list[Array]:
    """Models and what their columns need, as arrays ``(n_members, ...)`` as `ensemble.fitted` reads them."""
    sizes = np.array([len(fit.model) for fit in fits], np.int64)
    models = np.zeros((len(fits), int(sizes.max())), np.uint8)
    for row, fit in zip(models, fits, strict=True):
        row[: len(fit.model)] = np.frombuffer(fit.model, np.uint8)
    return [np.asarray(rounds, np.int64), sizes, models, *_learned(plan)]


# -- children ------------------------------------------------------------


def _new_child(plan: Plan) -> tuple[Any, Connection]:
    ours, theirs = context().Pipe()
    child = started(_serve, theirs, plan)
    theirs.close()
    return child, ours


def _sent(pipe: Connection, request: Request, waiting: list[int]) -> bool:
    """Give the next member to a child; False when none is left."""
    if not waiting:
        return False
    try:
        pipe.send((request, waiting[-1]))
    except OSError:
        raise ProcessDied("a fitting process died before it was asked") from None
    waiting.pop()
    return True


def _received(pipe: Connection, child: Any) -> tuple[int, MemberFit]:
    try:
        member, answer = pipe.recv()
    except (EOFError, OSError):
        child.join(5)
        raise ProcessDied(f"a fitting process died with exit code {child.exitcode}: out of memory?") from None
    if isinstance(answer, str):
        raise TrainingFailed(answer)
    return member, answer


def _serve(pipe: Connection, plan: Plan) -> None:
    """The child: fit what comes down the pipe until it closes."""
    for number in (signal.SIGINT, signal.SIGHUP):  # the study's own process decides
        signal.signal(number, signal.SIG_IGN)
    from threadpoolctl import threadpool_limits

    with threadpool_limits(1):
        while True:
            try:
                request, member = pipe.recv()
            except EOFError:
                return
            pipe.send((member, _answer(plan, request, member)))


def _answer(plan: Plan, request: Request, member: int) -> MemberFit | str:
    """The fit, or the cause of the failure in one line."""
    try:
        fit = fit_member(plan, request, member)
    except Exception as error:
        return f"{type(error).__name__}: {' '.join(str(error).split())[:500]}"
    if not (np.isfinite(fit.held).all() and np.isfinite(fit.train).all()):
        return "diverged: a member's predictions are not finite"
    return fit
