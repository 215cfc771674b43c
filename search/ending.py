"""What a person sees when a study ends, and the exit code that says how it ended."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import typer

from search import config as configuration
from search import verbs
from search.records import Run

if TYPE_CHECKING:
    import pandas as pd

    from search.flow import Outcome

EXIT_NO_MODEL, EXIT_INTERRUPTED = 3, 130
N_SHOWN = 12


def ended(outcome: Outcome, config: configuration.StudyConfig, *, as_json: bool = False) -> int:
    """Make the checks that were asked for, show the head of the leaderboard, and return the exit code."""
    run = Run.open(outcome.run_path)
    if outcome.n_completed and not outcome.is_interrupted:
        verbs.further(run.path, config)
    if outcome.is_interrupted:
        typer.echo(
            f"interrupted: {outcome.n_completed} completed trials are kept; "
            f"python -m search.run resume {run.path} goes on",
            err=True,
        )
    if as_json:
        typer.echo((run.path / "report.json").read_text(encoding="utf-8"), nl=False)
    elif outcome.n_completed:
        from reports.closing import closing

        show(board_of(run).head(N_SHOWN))
        typer.echo(closing(run))
        typer.echo(str(run.path))
    if outcome.is_interrupted:
        return EXIT_INTERRUPTED
    if not outcome.n_completed:
        typer.echo(f"error: no trial ended with a valid model; causes: {run.path}/trials.csv", err=True)
        return EXIT_NO_MODEL
    return 0


def board_of(run: Run) -> pd.DataFrame:
    """The leaderboard of a run."""
    from reports.leaderboard import leaderboard

    return leaderboard(run)


def show(board: pd.DataFrame) -> None:
    """Print a leaderboard: in colours on a terminal, as plain text elsewhere."""
    from rich.console import Console

    from reports.leaderboard import plain_table, rich_table

    if sys.stdout.isatty():
        console = Console()
        console.print(rich_table(board, console.width))
    else:
        typer.echo(plain_table(board))
