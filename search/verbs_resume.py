"""The verb that goes on with a run that was interrupted, killed, or could use more trials."""

from typing import Annotated

import typer

from search import config as configuration
from search.remote.address import redacted
from search.verbs import Debug, RunFolder, Verbose


def resume(
    context: typer.Context,
    run: RunFolder,
    trials: Annotated[int | None, typer.Option(metavar="N", help="Configurations to try in all.")] = None,
    time: Annotated[
        str | None, typer.Option(metavar="DURATION", help="In all, what was used before included.")
    ] = None,
    workers: Annotated[int | None, typer.Option(metavar="N", help="Trials trained at the same time.")] = None,
    storage: Annotated[
        str | None, typer.Option(metavar="URL", help="The study's, with its password.")
    ] = None,
    executor: Annotated[
        str | None, typer.Option(metavar="ray[=ADDRESS]", help="Train on a Ray cluster.")
    ] = None,
    sampler: Annotated[str | None, typer.Option(help="tpe, random, grid, qmc or cmaes.")] = None,
    oracle: Annotated[str | None, typer.Option(help="random, bayesian, grid or hyperband.")] = None,
    ensemble: Annotated[
        str | None, typer.Option(help="auto, greedy, bagged, convex, diverse, uniform or best.")
    ] = None,
    calibration: Annotated[str | None, typer.Option(help="auto, none, temperature or isotonic.")] = None,
    final: Annotated[str | None, typer.Option(help="bag or refit.")] = None,
    leak_budget: Annotated[bool | None, typer.Option("--leak-budget/--no-leak-budget")] = None,
    max_failures: Annotated[int | None, typer.Option(help="Failures in a row that end it.")] = None,
    draws: Annotated[int | None, typer.Option(help="Bootstrap draws for intervals.")] = None,
    verbose: Verbose = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the report as JSON.")] = False,
    debug: Debug = False,
) -> int:
    """\b
    python -m search.run resume runs/price
    python -m search.run resume runs/price --trials 200
    python -m search.run resume runs/price --sampler random --time 2h

    Go on with a run after any interruption, as if there had been none; or give a finished one more trials or
    time. Its table, splits, metric and space stay: what differs is refused. A change after the result was
    shown is a look, and is entered in the ledger.

    Exit codes: 0 done, 2 a mistake in what was asked, 3 no valid model, 130 interrupted.
    """
    from search import flow
    from search.ending import ended

    told = {
        name: value
        for name, value in context.params.items()
        if name not in ("run", "verbose", "as_json", "debug")
    }
    given = {name: value for name, value in told.items() if value is not None}
    outcome = flow.resume(run, given, command=_command(context), is_verbose=verbose)
    return ended(outcome, configuration.load(run / "config.toml"), as_json=as_json)


def _command(context: typer.Context) -> str:
    import shlex

    return " ".join(["python -m search.run", *map(shlex.quote, map(redacted, context.obj or ["resume"]))])


VERBS = (("resume", "Go on with a run that stopped, or give it more trials.", resume),)
