"""The verb that helps with a study that was begun elsewhere."""

from __future__ import annotations

import os
import re
import socket
import time
from collections import Counter
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from search.verbs import Debug

if TYPE_CHECKING:
    from search.config import StudyConfig
    from search.objective import Objective
    from search.preparation import Prepared
    from search.records import Trial
    from search.remote.shared import Shared
    from search.training.limits import Limits


def worker(
    storage: Annotated[
        str, typer.Option(metavar="URL", help="postgresql://, mysql:// or sqlite:///; ${VAR} is filled in.")
    ],
    study: Annotated[str, typer.Option(metavar="NAME", help="Of the study, as its coordinator shows it.")],
    data: Annotated[
        str | None, typer.Option(metavar="PATH", help="The same table, where it is on this machine.")
    ] = None,
    artifacts: Annotated[
        str | None, typer.Option(metavar="FOLDER", help="The study's artifacts, where they are mounted here.")
    ] = None,
    workers: Annotated[int, typer.Option(metavar="N", min=1, help="Trials trained at the same time.")] = 1,
    trial_time: Annotated[
        str | None, typer.Option(metavar="DURATION", help="Of one trial here. [default: the study's]")
    ] = None,
    trial_memory: Annotated[
        float | None, typer.Option(metavar="MB", help="Of one process here. [default: the study's]")
    ] = None,
    wait: Annotated[
        str | None, typer.Option(metavar="DURATION", help="So long for the study to begin. [default: not]")
    ] = None,
    debug: Debug = False,
) -> int:
    """\b
    python -m search.run worker --storage postgresql://ann@db/studies --study price
    python -m search.run worker --storage 'postgresql://ann:${DB}@db/studies' --study price --workers 8
    python -m search.run worker --storage URL --study price --data /scratch/table.csv --wait 10m

    Join a study that was begun elsewhere with `study --storage`, and run trials until it has ended. The table
    and the versions of what trains must be the study's own: what differs is refused. Ctrl-C or SIGTERM ends
    the worker, and what is under way goes to the others; workers may come and go at any time.

    Exit codes: 0 the study has ended, 2 a mistake in what was asked, 130 interrupted.
    """
    from search.config import seconds
    from search.remote.address import absolute
    from search.training.limits import Limits

    limits = Limits(None if trial_time is None else seconds(trial_time), trial_memory)
    with ExitStack() as stack:
        shared = _joined(absolute(storage), study, 0.0 if wait is None else seconds(wait))
        stack.callback(shared.close)
        if (reason := shared.ended) is not None:
            typer.echo(f"the study {study} has ended, so there is nothing to do: {reason}")
            return 0
        _work(stack, shared, data, artifacts, workers, limits)
    return 0


def _joined(url: str, name: str, patience: float) -> Shared:
    """The study, once trials may begin; one that has ended may go on while there is patience."""
    from search.remote.shared import joined
    from search.remote.terms import NotYetError

    since = time.monotonic()
    while True:
        waited = time.monotonic() - since
        try:
            shared = joined(url, name)
            if waited >= patience or shared.ended is None:
                return shared
            shared.close()
        except NotYetError:
            if waited >= patience:
                raise
        if waited < 1e-3:
            typer.echo(f"waiting for the study {name} to begin or go on; Ctrl-C ends it")
        time.sleep(min(1.0, patience))


def _work(
    stack: ExitStack, shared: Shared, data: str | None, artifacts: str | None, n_workers: int, limits: Limits
) -> None:
    """Prepare what the study needs and work for it until it ends."""
    from search.hardware import versions
    from search.preparation import has_networks
    from search.remote.artifacts import ArtifactError, Artifacts
    from search.remote.conduct import fingerprints, surroundings, told, work_of
    from search.remote.storage import now_of
    from search.remote.worker import work
    from search.training.context import start_server

    stored = shared.terms.fingerprints
    shared.terms.check({**stored, "Foldstack": versions()["foldstack"]}, "a worker")
    config = told(shared.terms, data)
    shared.terms.check({**stored, **surroundings(config)}, "a worker")
    store = Artifacts(artifacts or shared.terms.artifacts, is_made=False)
    try:
        store.check_signed(shared.terms.run)
    except ArtifactError:
        if (reason := shared.ended) is None:
            raise
        typer.echo(f"the study {shared.name} has ended meanwhile: {reason}")  # and its files are gathered
        return
    start_server(needs_networks=has_networks(config))
    prepared = _prepared(config)
    shared.terms.check(fingerprints(prepared) | surroundings(config), "a worker")
    deadline = shared.budget.deadline
    left = None if deadline is None else max(0.0, deadline - shared.do(lambda: now_of(shared.storage)))
    said = _Said(shared, prepared.metric.name, n_workers)
    objective = _objective(stack, config, prepared, left, n_workers, limits, shared.name)
    asked = work_of(
        config, prepared, objective, store, n_workers=n_workers, seconds=left,
        on_start=said.start, on_trial=said.trial,
    )  # fmt: skip
    said.hello(prepared)
    try:
        said.goodbye(work(shared, asked))
    except KeyboardInterrupt:
        said.goodbye("interrupted: what was under way goes to other workers")
        raise


def _prepared(config: StudyConfig) -> Prepared:
    from search.preparation import has_networks, prepare
    from search.remote.terms import TermsError
    from search.training.callbacks import check_callbacks

    if config.data is not None and not Path(config.data).exists():
        raise TermsError(
            f"a worker needs the study's table, and {config.data!r} is not on this machine: tell where it is "
            "by --data PATH"
        )
    prepared = prepare(config)
    if config.callbacks is not None:
        check_callbacks(config.callbacks, has_networks=has_networks(config))
    return prepared


def _objective(
    stack: ExitStack,
    config: StudyConfig,
    prepared: Prepared,
    left: float | None,
    n_workers: int,
    limits: Limits,
    study: str,
) -> Objective:
    from search.flow import objective_of, plan_of
    from search.training.limits import Limits
    from search.training.workshop import Workshop

    plan = plan_of(config, prepared)
    own = Limits(limits.seconds or config.trial_time, limits.megabytes or config.trial_memory)
    workshop = Workshop(plan, prepared.metric.name, prepared.dataset.task, n_workers, own)
    place = Path("runs") / (re.sub(r"[^\w-]+", "_", study) + "-worker")
    found = objective_of(config, prepared, stack.enter_context(workshop), plan, left, place)
    if found.callbacks is not None:
        typer.echo(f"files of callbacks go to {found.callbacks.place}")
    return found


class _Said:
    """What a person is told: each trial as it begins and ends, and what was done in all."""

    def __init__(self, shared: Shared, metric: str, n_workers: int) -> None:
        self._name, self._n_trials = shared.name, shared.budget.n_trials
        self._metric, self._n_workers = metric, n_workers
        self._since, self._done = time.monotonic(), Counter[str]()

    def hello(self, prepared: Prepared) -> None:
        dataset = prepared.dataset
        typer.echo(f"{dataset.name}: {dataset.n_rows} rows, {dataset.schema.n_columns} columns")
        at_once = "one at a time" if self._n_workers == 1 else f"{self._n_workers} at a time"
        typer.echo(f"joined {self._name}: {self._n_trials} trials in all, {at_once} here ({_place()})")
        typer.echo("Ctrl-C or SIGTERM ends this worker; what is under way goes to other workers")

    def start(self, number: int, family: str, config: Mapping[str, Any]) -> None:
        typer.echo(f"trial {number} {family}: begun")

    def trial(self, trial: Trial, n_finished: int) -> None:
        self._done[trial.status] += 1
        score = "" if trial.score is None else f", {self._metric} {trial.score:.5g}"
        cause = f": {trial.cause}" if trial.status == "failed" else f" in {trial.fit_seconds or 0:.1f} s"
        known = f" ({n_finished} of {self._n_trials} finished)"
        typer.echo(f"trial {trial.number} {trial.family}: {trial.status}{cause}{score}{known}")

    def goodbye(self, reason: str) -> None:
        typer.echo(reason)
        kinds = ", ".join(f"{n} {status}" for status, n in sorted(self._done.items())) or "none"
        took = f"{time.monotonic() - self._since:.0f} s"
        typer.echo(f"this worker ran {self._done.total()} trials in {took}: {kinds}")


def _place() -> str:
    return f"process {os.getpid()} on {socket.gethostname()}"


VERBS = (("worker", "Help with a study that was begun elsewhere.", worker),)
