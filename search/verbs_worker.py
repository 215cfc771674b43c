"""The verb that helps with a study that runs elsewhere."""

from __future__ import annotations

import os
import signal
import time
from contextlib import ExitStack
from typing import TYPE_CHECKING, Annotated, Any

import typer

from search.verbs import Debug

if TYPE_CHECKING:
    from search.objective import Objective
    from search.records import Trial
    from search.remote.shared import Shared


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
    debug: Debug = False,
) -> int:
    """\b
    python -m search.run worker --storage postgresql://ann@db/studies --study price
    python -m search.run worker --storage 'postgresql://ann:${DB}@db/studies' --study price --workers 8

    Join a study that was begun elsewhere with --storage, and run trials until it has ended. The table must be
    the study's own: what differs is refused. Ctrl-C or SIGTERM gives what is under way to the other workers.

    Exit codes: 0 the study has ended, 2 a mistake in what was asked, 130 interrupted.
    """
    from search.config import seconds
    from search.remote.address import absolute
    from search.remote.shared import joined

    signal.signal(signal.SIGTERM, _interrupt)
    limits = (None if trial_time is None else seconds(trial_time), trial_memory)
    with ExitStack() as stack:
        shared = joined(absolute(storage), study)
        stack.callback(shared.close)
        typer.echo(_ended(stack, shared, data, artifacts, workers, limits))
    return 0


def _ended(
    stack: ExitStack,
    shared: Shared,
    data: str | None,
    artifacts: str | None,
    n_workers: int,
    limits: tuple[float | None, float | None],
) -> str:
    """Prepare what the study needs and work for it; the result says why no more is to be done."""
    from search.preparation import prepare
    from search.remote.artifacts import Artifacts
    from search.remote.conduct import fingerprints, told, work_of
    from search.remote.storage import now_of
    from search.remote.worker import work

    config = told(shared.terms, data)
    prepared = prepare(config)
    shared.terms.check(fingerprints(prepared), "a worker")
    deadline = shared.budget.deadline
    left = None if deadline is None else max(0.0, deadline - shared.do(lambda: now_of(shared.storage)))
    objective = _objective(stack, config, prepared, left, n_workers, limits)
    asked = work_of(
        config, prepared, objective, Artifacts(artifacts or shared.terms.artifacts), n_workers=n_workers,
        seconds=left, on_trial=_say,
    )  # fmt: skip
    typer.echo(f"joined {shared.name}: {shared.budget.n_trials} trials in all (process {os.getpid()})")
    return work(shared, asked)


def _objective(
    stack: ExitStack,
    config: Any,
    prepared: Any,
    left: float | None,
    n_workers: int,
    limits: tuple[float | None, float | None],
) -> Objective:
    from pathlib import Path

    from search.flow import plan_of, recipe_of
    from search.objective import Objective
    from search.preparation import has_networks
    from search.training.callbacks import attending
    from search.training.context import start_server
    from search.training.limits import Limits
    from search.training.workshop import Workshop

    start_server(needs_networks=has_networks(config))
    plan = plan_of(config, prepared)
    own = Limits(limits[0] or config.trial_time, limits[1] or config.trial_memory)
    workshop = Workshop(plan, prepared.metric.name, prepared.dataset.task, n_workers, own)
    return Objective(
        workshop=stack.enter_context(workshop),
        plan=plan,
        folds=prepared.folds,
        signature=prepared.signature,
        metric=prepared.metric,
        defaults=recipe_of(config),
        seed=prepared.seeds.number("training"),
        deadline=None if left is None else time.time() + left,
        callbacks=attending(config.callbacks, Path("runs") / "worker"),
    )


def _say(trial: Trial) -> None:
    score = "" if trial.score is None else f", {trial.score:.5g}"
    cause = f": {trial.cause}" if trial.status == "failed" else ""
    typer.echo(f"trial {trial.number} {trial.family}: {trial.status}{score}{cause}")


def _interrupt(number: int, frame: object) -> None:
    raise KeyboardInterrupt


VERBS = (("worker", "Help with a study that was begun elsewhere.", worker),)
