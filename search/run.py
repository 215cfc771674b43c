"""The command line, `python -m search.run VERB`: reads what is asked, calls the stages, reports errors.

Everything heavy is imported inside the verb that needs it, so that `--help` answers at once.
"""

import errno
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from search import config as configuration
from search import typos, verbs, verbs_craft, verbs_reports, verbs_resume, verbs_training, verbs_worker
from search.ending import EXIT_INTERRUPTED, ended
from search.hardware import versions
from search.interruption import Interrupted, heard_as_ctrl_c
from search.records import Run, RunError
from search.remote.address import redacted
from search.verbs import AsJson, Debug, RunFolder, Verbose

EXIT_ERROR = 2
_MOST_SHOWN = 1000
_FULL = (errno.ENOSPC, errno.EDQUOT)
_OURS = ("spaces", "search", "ensemble", "reports")

app = typer.Typer(
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


@app.callback(invoke_without_command=True)
def foldstack(context: typer.Context) -> None:
    """\b
    python -m search.run study                                 the built-in demo
    python -m search.run study table.csv --target price        your own table
    python -m search.run leaderboard runs/table                what came out
    python -m search.run predict runs/table new.csv -o out.csv

    Search hyperparameters of Keras models on tables, and ensemble the best honestly.
    VERB --help says more.
    """
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())


@app.command(short_help="Try configurations, combine the best, report an honest score.")
def study(
    context: typer.Context,
    data: Annotated[str | None, typer.Argument(help="CSV, TSV, Parquet (also gzipped) or NPZ.")] = None,
    target: Annotated[
        list[str] | None, typer.Option(metavar="COL", help="Column to predict; repeatable.")
    ] = None,
    demo: Annotated[str | None, typer.Option(help="breast_cancer, wine, digits, diabetes or iris.")] = None,
    config: Annotated[
        Path | None, typer.Option(metavar="FILE", help="TOML with any of these; flags win.")
    ] = None,
    task: Annotated[
        str | None,
        typer.Option(help="binary, multiclass, multilabel or regression. [default: from the data]"),
    ] = None,
    sampler: Annotated[
        str | None, typer.Option(help="tpe, random, grid, qmc or cmaes. [default: tpe]")
    ] = None,
    tuner: Annotated[str | None, typer.Option(help="optuna or keras-tuner. [default: optuna]")] = None,
    oracle: Annotated[
        str | None,
        typer.Option(help="random, bayesian, grid, hyperband. [default: bayesian]"),
    ] = None,
    preset: Annotated[str | None, typer.Option(help="fast, good or best. [default: good]")] = None,
    families: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="Kind of model, or all; repeatable. [default: by preset]"),
    ] = None,
    model: Annotated[
        str | None, typer.Option(metavar="MODULE:BUILD", help="Search a model of your own: build(hp).")
    ] = None,
    callbacks: Annotated[
        str | None,
        typer.Option(metavar="MODULE:FUNCTION", help="Keras callbacks for networks, by Keras' own fit."),
    ] = None,
    trials: Annotated[
        int | None, typer.Option(metavar="N", help="Configurations to try. [default: by preset]")
    ] = None,
    time: Annotated[str | None, typer.Option(metavar="DURATION", help="Stop after 90s, 10m, 1h30m.")] = None,
    workers: Annotated[
        int | None, typer.Option(metavar="N", help="Trials trained at the same time. [default: 1]")
    ] = None,
    storage: Annotated[
        str | None, typer.Option(metavar="URL", help="Database that workers elsewhere share.")
    ] = None,
    artifacts: Annotated[
        str | None, typer.Option(metavar="URL_OR_FOLDER", help="Of their files. [default: OUT/artifacts]")
    ] = None,
    executor: Annotated[
        str | None, typer.Option(metavar="ray[=ADDRESS]", help="Train on a Ray cluster.")
    ] = None,
    trial_time: Annotated[
        str | None, typer.Option(metavar="DURATION", help="Of one trial; a longer one fails.")
    ] = None,
    trial_memory: Annotated[
        float | None, typer.Option(metavar="MB", help="Of one process; a larger one fails.")
    ] = None,
    splits: Annotated[
        int | None, typer.Option(metavar="K", help="Folds; 1 is a holdout. [default: by rows]")
    ] = None,
    repeats: Annotated[
        int | None, typer.Option(metavar="P", help="Reshuffled repeats. [default: by rows]")
    ] = None,
    stratify: Annotated[
        bool | None,
        typer.Option("--stratify/--no-stratify", help="Folds keep class shares. [default: by metric]"),
    ] = None,
    metric: Annotated[str | None, typer.Option(metavar="NAME", help="[default: log_loss or rmse]")] = None,
    groups: Annotated[str | None, typer.Option(metavar="COL", help="Rows of a group stay together.")] = None,
    time_column: Annotated[str | None, typer.Option(metavar="COL", help="Train on the past only.")] = None,
    weights: Annotated[str | None, typer.Option(metavar="COL", help="How much each row counts.")] = None,
    class_weight: Annotated[
        str | None, typer.Option(help="balanced: networks learn from all classes alike.")
    ] = None,
    drop: Annotated[
        list[str] | None, typer.Option(metavar="COL", help="Column to leave out; repeatable.")
    ] = None,
    inputs: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME=KIND", help="x=image, sequence, tokens, counts, text, columns."),
    ] = None,
    keep: Annotated[
        list[str] | None, typer.Option(metavar="COL", help="Column that the audit lets pass; repeatable.")
    ] = None,
    audit: Annotated[
        bool | None, typer.Option("--audit/--no-audit", help="Look for leaks before training. [default: yes]")
    ] = None,
    near_duplicates: Annotated[
        bool | None, typer.Option("--near-duplicates", help="Keep nearly equal rows in one fold.")
    ] = None,
    strict: Annotated[
        bool | None, typer.Option("--strict", help="Warnings of the audit stop the study.")
    ] = None,
    holdout: Annotated[float | None, typer.Option(help="Fraction of rows sealed away. [default: 0]")] = None,
    epochs: Annotated[int | None, typer.Option(help="Epochs at most. [default: by preset]")] = None,
    patience: Annotated[
        float | None, typer.Option(help="Stop at this multiple of the best epoch; 0: never. [default: 2]")
    ] = None,
    epoch_choice: Annotated[
        str | None, typer.Option(help="common, inner, fold or fixed. [default: common]")
    ] = None,
    ensemble: Annotated[
        str | None,
        typer.Option(help="greedy, bagged, convex, diverse, uniform or best. [default: auto]"),
    ] = None,
    calibration: Annotated[
        str | None, typer.Option(help="none, temperature or isotonic. [default: auto]")
    ] = None,
    final: Annotated[
        str | None, typer.Option(help="Predict with fold models: bag, or refit. [default: bag]")
    ] = None,
    leak_budget: Annotated[
        bool | None, typer.Option("--leak-budget", help="Stop when a trial is not worth its leak.")
    ] = None,
    max_failures: Annotated[
        int | None, typer.Option(help="Failures in a row that end it. [default: 5]")
    ] = None,
    nested: Annotated[
        int | None, typer.Option(metavar="K", help="Also K outer folds around the whole study. [default: 0]")
    ] = None,
    fresh_seeds: Annotated[
        int | None, typer.Option(metavar="N", help="Train the best again with N other seeds. [default: 0]")
    ] = None,
    draws: Annotated[
        int | None, typer.Option(help="Bootstrap draws for intervals; 0: none. [default: 500]")
    ] = None,
    seed: Annotated[int | None, typer.Option(help="[default: 0]")] = None,
    name: Annotated[str | None, typer.Option(help="Name of the run. [default: of the data]")] = None,
    out: Annotated[str | None, typer.Option(metavar="FOLDER", help="[default: runs/NAME]")] = None,
    verbose: Verbose = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the report as JSON.")] = False,
    debug: Debug = False,
) -> int:
    """\b
    python -m search.run study
    python -m search.run study --demo diabetes --trials 10
    python -m search.run study table.csv --target price --time 10m
    python -m search.run study table.parquet --target label --groups patient
    python -m search.run study --config study.toml --seed 1 --out runs/second

    Try configurations, combine the best, report an honest score.

    Exit codes: 0 done, 2 a mistake in what was asked, 3 no valid model, 130 interrupted.
    """
    flags = {
        key: value for key, value in context.params.items() if key in configuration.StudyConfig.model_fields
    }
    given = {key: value for key, value in flags.items() if value not in (None, [], ())}
    effective = configuration.load(config, given)
    from search import flow

    outcome = flow.study(effective, command=" ".join(_command(context)), is_verbose=verbose)
    return ended(outcome, effective, as_json=as_json)


app.command("show-config", short_help="Print the effective configuration, and where it comes from.")(
    verbs_reports.show_config_for(study)
)


@app.command(short_help="Predict the rows of a table with a run's ensemble.")
def predict(
    run: RunFolder,
    new: Annotated[Path, typer.Argument(metavar="NEW", help="Rows to predict: CSV, TSV, Parquet or NPZ.")],
    out: Annotated[
        Path | None,
        typer.Option("-o", "--out", metavar="OUT", help=".csv or .parquet. [default: CSV on stdout]"),
    ] = None,
    as_json: AsJson = False,
    debug: Debug = False,
) -> int:
    """\b
    python -m search.run predict runs/titanic new.csv -o predictions.csv
    python -m search.run predict runs/titanic new.parquet > predictions.csv

    Predict the rows of a table with a run's ensemble. Classes come with one probability column each.
    """
    from search import predictions, tables
    from search.data import read_table

    if out is not None:
        predictions.check_place(out)
    opened = Run.open(run)
    if not opened.has("ensemble"):
        raise RunError(f"the run {str(run)!r} has no ensemble: did its study end with a valid model?")
    frame = read_table(new)
    from ensemble import Ensemble

    loaded = Ensemble.load(opened.path / "ensemble")
    answer = predictions.of(loaded.predict_raw(frame), loaded.task)
    if out is None and as_json:
        typer.echo(answer.to_json(orient="records", force_ascii=False, double_precision=15, indent=2))
    elif out is None:
        typer.echo(tables.csv_exact(answer), nl=False)
    else:
        predictions.write(answer, out)
    return 0


@app.command("audit", short_help="Look for leaks in a table before any training.")
def audit_table(
    data: Annotated[str | None, typer.Argument(help="CSV, TSV, Parquet (also gzipped) or NPZ.")] = None,
    target: Annotated[
        list[str] | None, typer.Option(metavar="COL", help="Column to predict; repeatable.")
    ] = None,
    demo: Annotated[str | None, typer.Option(help="breast_cancer, wine, digits, diabetes or iris.")] = None,
    against: Annotated[
        Path | None, typer.Option(metavar="TEST", help="A further table: also look for drift.")
    ] = None,
    groups: Annotated[str | None, typer.Option(metavar="COL", help="Rows of a group stay together.")] = None,
    time_column: Annotated[str | None, typer.Option(metavar="COL", help="When a row was seen.")] = None,
    drop: Annotated[list[str] | None, typer.Option(metavar="COL", help="Column to leave out.")] = None,
    keep: Annotated[list[str] | None, typer.Option(metavar="COL", help="Column to let pass.")] = None,
    task: Annotated[str | None, typer.Option(help="[default: from the data]")] = None,
    near: Annotated[bool, typer.Option("--near", help="Also look for nearly equal rows.")] = False,
    strict: Annotated[bool, typer.Option("--strict", help="Warnings count as errors.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="As JSON.")] = False,
    debug: Debug = False,
) -> int:
    """\b
    python -m search.run audit table.csv --target price
    python -m search.run audit table.csv --target price --against new.csv --strict

    Look for leaks before any training: duplicates, target proxies, identifiers, time, groups, drift.

    Exit codes: 0 no error found, 1 an error found, 2 a mistake in what was asked.
    """
    given = {
        "data": data, "target": target, "demo": demo, "groups": groups, "time_column": time_column,
        "drop": drop, "keep": keep, "task": task,
    }  # fmt: skip
    asked = configuration.load(None, {key: value for key, value in given.items() if value not in (None, [])})
    from search.audit import findings_table
    from search.audit import strict as as_errors
    from search.preparation import findings_of

    findings = findings_of(asked, against=against, needs_near_duplicates=near)
    findings = as_errors(findings) if strict else findings
    if as_json:
        typer.echo(findings_table(findings).to_json(orient="records", force_ascii=False, indent=2))
    elif not findings:
        typer.echo("no leak found")
    for finding in () if as_json else findings:
        typer.echo(f"{finding.severity}: {finding.leak}: {finding.evidence} {finding.remedy}")
    return 1 if any(finding.severity == "error" for finding in findings) else 0


for _name, _short, _verb in (
    *verbs_reports.VERBS,
    *verbs_resume.VERBS,
    *verbs.VERBS,
    *verbs_training.VERBS,
    *verbs_craft.VERBS,
    *verbs_worker.VERBS,
):
    app.command(_name, short_help=_short)(_verb)


@app.command(short_help="Print versions.")
def version(as_json: AsJson = False, debug: Debug = False) -> int:
    """\b
    python -m search.run version

    Print the versions of Foldstack, Python and the packages that its numbers depend on."""
    found = versions()
    typer.echo(json.dumps(found, indent=2) if as_json else "\n".join(f"{k} {v}" for k, v in found.items()))
    return 0


def _command(context: typer.Context) -> list[str]:
    import shlex

    return ["python -m search.run", *map(shlex.quote, map(redacted, context.obj or ["study"]))]


def _is_named_error(error: BaseException) -> bool:
    """Whether an error is one of ours for a person's mistake, or a file that the system refuses."""
    if isinstance(error, OSError):
        return error.filename is not None or error.errno in _FULL
    is_ours = type(error).__module__.split(".")[0] in _OURS
    return isinstance(error, typer.TyperException) or (isinstance(error, ValueError) and is_ours)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code."""
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    with heard_as_ctrl_c():
        return _answer(arguments)


def _answer(arguments: list[str]) -> int:
    """The exit code of a command; what goes wrong is said in a line."""
    try:
        code = app(arguments, prog_name="python -m search.run", standalone_mode=False, obj=arguments)
        sys.stdout.flush()
        return int(code or 0)
    except (KeyboardInterrupt, typer.Abort):
        typer.echo("interrupted", err=True)
        return EXIT_INTERRUPTED
    except Interrupted as stop:
        typer.echo(f"interrupted: {stop}", err=True)
        return EXIT_INTERRUPTED
    except BrokenPipeError:  # the reader, such as head, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except Exception as error:
        if "--debug" in arguments or not _is_named_error(error):
            raise
        text = typos.told(error) if isinstance(error, typer.TyperException) else str(error)
        if isinstance(error, OSError) and error.errno in _FULL:
            text = f"{text}: make room; what had finished is kept, and the verb resume goes on"
        typer.echo(f"error: {_one_line(redacted(text))}", err=True)
        return EXIT_ERROR


def _one_line(text: str) -> str:
    """A text on one line of at most 1,000 characters, of which none steers a terminal."""
    text = "".join(c if c.isprintable() else repr(c)[1:-1] for c in " ".join(text.split()))
    return text if len(text) <= _MOST_SHOWN else f"{text[: _MOST_SHOWN - 300]}...{text[-200:]}"


if __name__ == "__main__":
    sys.exit(main())
