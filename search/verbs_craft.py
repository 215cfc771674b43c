"""The verb of the command line that shows a study in TensorBoard."""

from pathlib import Path
from typing import Annotated

import typer

from search.records import Run
from search.verbs import Debug, RunFolder


def tensorboard(
    run: RunFolder,
    out: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="Of the event files. [default: RUN/tensorboard]")
    ] = None,
    debug: Debug = False,
) -> int:
    """\b
    python -m search.run tensorboard runs/price
    python -m search.run tensorboard runs/price --out events && tensorboard --logdir events

    Write a study as event files: each trial with its hyperparameters, score and curves, and the ensemble's
    honest score, for TensorBoard's HParams page. Needs the package tensorboard.
    """
    from reports.event_files import write_event_files

    place = out or run / "tensorboard"
    n_sessions = write_event_files(Run.open(run), place)
    typer.echo(f"{n_sessions} sessions; look at them with: tensorboard --logdir {place}")
    return 0


VERBS = (("tensorboard", "Write a study for TensorBoard's HParams page.", tensorboard),)
