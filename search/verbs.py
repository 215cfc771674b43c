"""The verbs of the command line that take a finished run further: its holdout, other tables, self-checks."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from search import config as configuration
from search import lines
from search.records import Run

Debug = Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")]
Verbose = Annotated[bool, typer.Option("-v", "--verbose", help="Show what is tried beside the best.")]
AsJson = Annotated[bool, typer.Option("--json", help="As JSON, with all digits.")]
RunFolder = Annotated[Path, typer.Argument(metavar="RUN", help="The folder of a run, such as runs/NAME.")]


def open_holdout(run: RunFolder, as_json: AsJson = False, debug: Debug = False) -> int:
    """\b
    python -m search.run open-holdout runs/price

    Score the ensemble on the rows that study --holdout sealed. The opening is recorded: a second one is
    marked as contaminated.
    """
    from search import checks

    _say(checks.open_holdout(run), as_json)
    write_again(run)
    return 0


def evaluate(
    run: RunFolder,
    table: Annotated[
        Path, typer.Argument(metavar="TEST", help="Rows with targets: CSV, TSV, Parquet or NPZ.")
    ],
    as_json: AsJson = False,
    debug: Debug = False,
) -> int:
    """\b
    python -m search.run evaluate runs/price test.csv

    Score the ensemble on a labelled table. Looks at the same content are counted.
    """
    from search import checks

    _say(checks.evaluate(run, table), as_json)
    write_again(run)
    return 0


def fresh_seeds(
    run: RunFolder,
    seeds: Annotated[int, typer.Option(min=1, help="How many fresh seeds.")] = 3,
    as_json: AsJson = False,
    debug: Debug = False,
) -> int:
    """\b
    python -m search.run fresh-seeds runs/price --seeds 3

    Train winner and members again on the same folds with other seeds: how much of the lead was luck?
    """
    from search import checks
    from search.progress import Progress

    metric = str(Run.open(run).load_json("run.json")["metric"])
    _say(checks.fresh_seeds(run, seeds, Progress(seeds, metric)), as_json)
    write_again(run)
    return 0


def selftest(run: RunFolder, as_json: AsJson = False, debug: Debug = False) -> int:
    """\b
    python -m search.run selftest runs/price

    Repeat the study in small on permuted targets of its own table: does the reported score show chance?
    """
    from search import checks
    from search.progress import Progress

    metric = str(Run.open(run).load_json("run.json")["metric"])
    with Progress(checks.SELFTEST_TRIALS, metric) as progress:
        result = checks.selftest(run, progress)
    _say(result, as_json)
    write_again(run)
    return 0 if result.is_chance else 1


def _say(result: Any, as_json: bool) -> None:
    facts = {**asdict(result), "sentence": result.sentence}
    typer.echo(json.dumps(lines.plain(facts), allow_nan=False, indent=2) if as_json else result.sentence)


def further(path: Path, config: "configuration.StudyConfig") -> None:
    """The self-checks that a study was asked for, and the report again with them in it."""
    if not (config.nested or config.fresh_seeds):
        return
    from search import checks

    if config.fresh_seeds:
        typer.echo(checks.fresh_seeds(path, config.fresh_seeds).sentence, err=True)
    if config.nested:
        typer.echo(checks.nested(path, config.nested).sentence, err=True)
    write_again(path)


def write_again(path: Path) -> None:
    """The report and the exported ledger of a run to which something was added."""
    from reports.report import write_report

    run = Run.open(path)
    run.export()
    write_report(run)


VERBS = (
    ("open-holdout", "Score the ensemble on the sealed rows, once.", open_holdout),
    ("evaluate", "Score the ensemble on a labelled table; counted as a look.", evaluate),
    ("fresh-seeds", "Train winner and members again with other seeds.", fresh_seeds),
    ("selftest", "Repeat the study in small on permuted targets.", selftest),
)
