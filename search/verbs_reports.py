"""The verbs of the command line that show: leaderboard, report, compare; and init, show-config, doctor."""

from __future__ import annotations

import inspect
import json
import os
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from search import config as configuration
from search.ending import show
from search.records import Run, RunError, write_aside
from search.verbs import Debug, RunFolder

if TYPE_CHECKING:
    import pandas as pd

    from reports.compare import Comparison

AsJson = Annotated[bool, typer.Option("--json", help="As JSON, with all digits.")]
AsCsv = Annotated[bool, typer.Option("--csv", help="As CSV, with all digits.")]


def leaderboard(
    run: RunFolder,
    as_json: AsJson = False,
    as_csv: AsCsv = False,
    sort: Annotated[
        str | None, typer.Option(metavar="COLUMN", help="Order of the trials; -COLUMN turns it round.")
    ] = None,
    top: Annotated[
        int | None, typer.Option(metavar="N", min=0, help="Trials to show. [default: all]")
    ] = None,
    extra_metric: Annotated[
        list[str] | None, typer.Option(metavar="NAME", help="A further metric, as a column; repeatable.")
    ] = None,
    debug: Debug = False,
) -> int:
    """\b
    python -m search.run leaderboard runs/breast_cancer
    python -m search.run leaderboard runs/breast_cancer --csv > board.csv
    python -m search.run leaderboard runs/breast_cancer --extra-metric auc --sort fit_seconds --top 5

    Print baselines, best single trial, ensemble and all trials. Further metrics are computed from stored
    predictions.
    """
    _check_one_format(as_json, as_csv)
    from reports.leaderboard import arranged
    from reports.leaderboard import leaderboard as board_of

    opened = Run.open(run)
    board = arranged(opened, board_of(opened, extra_metric or ()), sort=sort, top=top)
    if not opened.is_finished:
        typer.echo("this run is not finished", err=True)
    if as_json:
        typer.echo(board.to_json(orient="records", force_ascii=False, indent=2, double_precision=15))
    elif as_csv:
        _echo_csv(board)
    else:
        show(board)
    return 0


def report(
    run: RunFolder,
    is_opened: Annotated[bool, typer.Option("--open", help="Show it in the browser.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the content of report.json.")] = False,
    debug: Debug = False,
) -> int:
    """\b
    python -m search.run report runs/price
    python -m search.run report runs/price --open
    python -m search.run report runs/price --json > report.json

    Write the report of a run again from its records, and print where it is.
    """
    from reports.report import write_report

    opened = Run.open(run)
    write_report(opened)
    page = opened.path / "report.html"
    if as_json:
        typer.echo((opened.path / "report.json").read_text(encoding="utf-8"), nl=False)
    else:
        typer.echo(str(page))
    if is_opened:
        import webbrowser

        if not webbrowser.open(page.resolve().as_uri()):
            typer.echo(f"no browser could be opened: open {page} yourself", err=True)
    return 0


def compare(
    runs: Annotated[list[Path], typer.Argument(metavar="RUN", help="Folders of two finished runs or more.")],
    label: Annotated[
        list[str] | None,
        typer.Option(
            metavar="KEY",
            help="What tells ways of searching apart: a key of the configuration, name or folder; "
            "repeatable. [default: what differs]",
        ),
    ] = None,
    as_json: AsJson = False,
    as_csv: Annotated[bool, typer.Option("--csv", help="Tests as CSV: of pairs, or over data sets.")] = False,
    html: Annotated[Path | None, typer.Option(metavar="FILE", help="Also one page for the browser.")] = None,
    out: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="Also all tables as CSV, JSON, page and diagram.")
    ] = None,
    draws: Annotated[
        int | None, typer.Option(min=100, help="Bootstrap draws of rows. [default: 2000 or more]")
    ] = None,
    seed: Annotated[int, typer.Option(help="Of the draws.")] = 0,
    debug: Debug = False,
) -> int:
    """\b
    python -m search.run compare runs/price-tpe runs/price-random
    python -m search.run compare runs/*/tpe runs/*/random --label sampler --html compare.html
    python -m search.run compare runs/a runs/b --json

    Compare runs by their honest scores. On one data set: every pair, by folds (corrected for the rows that
    training sets share) and by rows. Over several: mean ranks and signed-rank tests. It says which
    differences survive noise.
    """
    _check_one_format(as_json, as_csv)
    from reports.compare import compare as compared

    found = compared(runs, label=label or (), n_draws=draws, seed=seed)
    if as_json:
        typer.echo(_json(found.to_json()))
    elif as_csv:
        tables = found.tables
        _echo_csv(tables["tests"] if "tests" in tables else tables["pairs"])
    else:
        typer.echo(comparison_text(found))
    if html is not None:
        _write_page(found, html)
        typer.echo(str(html), err=True)
    if out is not None:
        write_comparison(found, out)
        typer.echo(str(out), err=True)
    return 0


def comparison_text(found: Comparison) -> str:
    """A comparison for a terminal: what survives, the tables, what could not be asked."""
    from reports.compare_page import cell

    titles = {"ranks": "Mean ranks", "tests": "Over data sets", "pairs": "Pairs", "runs": "Runs"}
    parts = ["\n".join(found.sentences)]
    for name, title in titles.items():
        table = found.tables.get(name)
        if table is not None:
            rows = [[cell(value) for value in row] for row in table.itertuples(index=False, name=None)]
            header = [str(column).replace("_", " ") for column in table.columns]
            parts.append(f"{title}\n{_aligned([header, *rows])}")
    return "\n\n".join(
        [*parts, *(["\n".join(f"note: {note}" for note in found.notes)] if found.notes else [])]
    )


def write_comparison(found: Comparison, folder: Path) -> None:
    """All tables as CSV, `compare.json`, `compare.html` and, over data sets, `critical_difference.svg`."""
    from search.tables import csv_text

    folder.mkdir(parents=True, exist_ok=True)
    for name, table in found.tables.items():
        _write(folder / f"{name}.csv", csv_text(table))
    _write(folder / "compare.json", _json(found.to_json()) + "\n")
    if found.diagram is not None:
        _write(folder / "critical_difference.svg", found.diagram)
    _write_page(found, folder / "compare.html")


def _write_page(found: Comparison, path: Path) -> None:
    from reports.compare_page import compare_page

    _write(path, compare_page(found))


def init(
    data: Annotated[str, typer.Argument(metavar="DATA", help="CSV, TSV, Parquet (also gzipped) or NPZ.")],
    target: Annotated[list[str], typer.Option(metavar="COL", help="Column to predict; repeatable.")],
    task: Annotated[str | None, typer.Option(help="[default: from the data]")] = None,
    metric: Annotated[str | None, typer.Option(metavar="NAME", help="[default: log_loss or rmse]")] = None,
    groups: Annotated[str | None, typer.Option(metavar="COL", help="Rows of a group stay together.")] = None,
    time_column: Annotated[str | None, typer.Option(metavar="COL", help="Train on the past only.")] = None,
    preset: Annotated[str | None, typer.Option(help="fast, good or best. [default: good]")] = None,
    out: Annotated[
        str, typer.Option("-o", "--out", metavar="FILE", help="Where to; - is stdout.")
    ] = "study.toml",
    debug: Debug = False,
) -> int:
    """\b
    python -m search.run init table.csv --target price
    python -m search.run init table.csv --target price -o -
    python -m search.run study --config study.toml

    Write a configuration for a table: its task, metric and splits filled in, what the audit found, and every
    other option as a comment with its default. An existing file is left alone.
    """
    place = None if out == "-" else Path(out)
    if place is not None and place.exists():
        raise RunError(f"init writes a new file, and {out!r} exists: choose another --out")
    told = {
        "data": data, "target": target, "task": task, "metric": metric, "groups": groups,
        "time_column": time_column, "preset": preset,
    }  # fmt: skip
    asked = configuration.load(None, {name: value for name, value in told.items() if value is not None})
    from search.preparation import findings_of, prepare
    from search.template import template

    text = template(asked, prepare(asked.model_copy(update={"audit": False})), findings_of(asked))
    if place is None:
        typer.echo(text, nl=False)
        return 0
    place.parent.mkdir(parents=True, exist_ok=True)
    with open(place, "x", encoding="utf-8") as file:
        file.write(text)
    typer.echo(str(place))
    return 0


def show_config_for(study: Callable[..., Any]) -> Callable[..., int]:
    """The verb `show-config`, which takes every option of `study` that configures it, and --json."""

    def show_config(**told: Any) -> int:
        as_json = told.pop("as_json")
        fields = configuration.StudyConfig.model_fields
        given = {n: v for n, v in told.items() if n in fields and v not in (None, [], ())}
        rows = sources(told.get("config"), given)
        if as_json:
            typer.echo(_json({name: {"value": value, "from": source} for name, value, source in rows}))
        else:
            shown = [[name, json.dumps(value, ensure_ascii=False), source] for name, value, source in rows]
            typer.echo(_aligned([["key", "value", "from"], *shown]))
        return 0

    show_config.__doc__ = """\b
    python -m search.run show-config --config study.toml
    python -m search.run show-config --config study.toml --trials 50 --json
    python -m search.run show-config --demo wine --preset fast

    Print the configuration that a study with these options would have, and where each value comes from: a
    flag, the file, the preset, or the default. Nothing is read but the file.
    """
    signature = inspect.signature(study)
    known = {*configuration.StudyConfig.model_fields, "config", "debug"}
    kept = [one for one in signature.parameters.values() if one.name in known]
    own = inspect.Parameter("as_json", inspect.Parameter.KEYWORD_ONLY, default=False, annotation=AsJson)
    named = [one.replace(kind=inspect.Parameter.KEYWORD_ONLY) for one in (*kept, own)]
    show_config.__signature__ = signature.replace(parameters=named, return_annotation=int)  # type: ignore[attr-defined]
    show_config.__annotations__ = {one.name: one.annotation for one in named}
    return show_config


def sources(config: Path | None, given: dict[str, Any]) -> list[tuple[str, Any, str]]:
    """Each key of the effective configuration with its value and where it comes from.

    Parameters
    ----------
    config : Path or None
        The file; it is checked as `search.config.load` does.
    given : dict
        Flags.
    """
    effective = configuration.load(config, given)
    in_file = set() if config is None else set(tomllib.loads(config.read_text(encoding="utf-8")))
    of_preset = configuration.PRESETS.get(effective.preset, {})

    def source(name: str) -> str:
        if name in given:
            return "flag"
        value = getattr(effective, name)
        if name in in_file and value not in (None, ()):
            return f"file {config}"
        if name in of_preset:
            return f"preset {effective.preset}"
        return "no data told: the built-in one" if name == "demo" and value is not None else "default"

    plain = effective.model_dump(mode="json")
    return [(name, plain[name], source(name)) for name in configuration.StudyConfig.model_fields]


def doctor(as_json: AsJson = False, debug: Debug = False) -> int:
    """\b
    python -m search.run doctor
    python -m search.run doctor --json

    Check the installation in under a minute: versions, imports, a small study of a synthetic table for each
    way of training, the ensemble saved, loaded and asked in another process.

    Exit codes: 0 all is well, 1 something failed.
    """
    from search.doctor import checks

    found = []
    for check in checks():
        found.append(check)
        typer.echo(check.line, err=as_json)
    if as_json:
        names = ("name", "is_ok", "words", "seconds")
        typer.echo(_json([{name: getattr(check, name) for name in names} for check in found]))
    return 0 if all(check.is_ok for check in found) else 1


def _check_one_format(as_json: bool, as_csv: bool) -> None:
    if as_json and as_csv:
        raise RunError("--json and --csv exclude each other: got both")


def _echo_csv(table: pd.DataFrame) -> None:
    from search.tables import csv_text

    typer.echo(csv_text(table), nl=False)


def _json(value: Any) -> str:
    from search.lines import plain

    return json.dumps(plain(value), ensure_ascii=False, allow_nan=False, indent=2)


def _aligned(rows: list[list[str]]) -> str:
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    padded = ("  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)) for row in rows)
    return "\n".join(line.rstrip() for line in padded)


def _write(path: Path, text: str) -> None:
    if path.parent != Path():
        os.makedirs(path.parent, exist_ok=True)
    write_aside(path, lambda file: _put(file, text))


def _put(file: Any, text: str) -> None:
    file.write(text.encode("utf-8"))


VERBS = (
    ("leaderboard", "Print baselines, best single trial, ensemble and all trials.", leaderboard),
    ("report", "Write the report of a run again, and show it.", report),
    ("compare", "Compare runs: which differences survive noise.", compare),
    ("init", "Write a commented configuration for a table.", init),
    ("doctor", "Check the installation on a synthetic table.", doctor),
)
