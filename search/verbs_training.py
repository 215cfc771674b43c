"""The verbs that look at how a table trains before a study: the range test and the workflow."""

import json
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from search import config as configuration
from search.verbs import AsJson, Debug

NO_MODEL = 3

Data = Annotated[str | None, typer.Argument(metavar="DATA", help="CSV, TSV or Parquet; also gzipped.")]
Target = Annotated[list[str] | None, typer.Option(metavar="COL", help="Column to predict; repeatable.")]
DemoName = Annotated[str | None, typer.Option(help="breast_cancer, wine, digits, diabetes or iris.")]
File = Annotated[Path | None, typer.Option(metavar="FILE", help="TOML of a study; flags win.")]
Inputs = Annotated[
    list[str] | None,
    typer.Option(metavar="NAME=KIND", help="What an array or a group of columns is; repeatable."),
]
Splits = Annotated[int | None, typer.Option(metavar="K", help="Folds. [default: by rows]")]
Repeats = Annotated[int | None, typer.Option(metavar="P", help="Reshuffled repeats. [default: by rows]")]
Seed = Annotated[int | None, typer.Option(help="[default: 0]")]


def lr_range(
    data: Data = None,
    target: Target = None,
    demo: DemoName = None,
    inputs: Inputs = None,
    config: File = None,
    family: Annotated[str, typer.Option(metavar="NAME", help="A family of networks.")] = "mlp",
    settings: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Fix a parameter; repeatable.")
    ] = None,
    splits: Splits = None,
    repeats: Repeats = None,
    seed: Seed = None,
    out: Annotated[
        Path | None, typer.Option(metavar="FILE", help="The plot. [default: runs/NAME-lr-range.svg]")
    ] = None,
    as_json: AsJson = False,
    debug: Debug = False,
) -> int:
    """\b
    python -m search.run lr-range table.csv --target price
    python -m search.run lr-range --demo diabetes --set optimizer=sgd --set width=64

    Train the family's first configuration once, on all folds together, with a learning rate that rises until
    the loss blows up; print an interval worth searching as lines for a configuration file, and draw the
    curve. Held-out rows are not looked at.
    """
    told = {
        "data": data, "target": target, "demo": demo, "inputs": inputs, "splits": splits, "repeats": repeats,
        "seed": seed,
    }  # fmt: skip
    asked = _with_settings(configuration.load(config, _given(told, families=(family,))), settings or ())
    from search import lr_range as test
    from search.preparation import has_networks, name_of, prepare
    from search.training.context import start_server
    from search.training.trained import TrainingFailed

    test.check_family(family)
    start_server(needs_networks=has_networks(asked))
    try:
        found = test.lr_range(asked, prepare(asked), family)
    except TrainingFailed as failure:
        return _no_model(failure)
    place = out or Path("runs") / f"{name_of(asked)}-lr-range.svg"
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_text(found.svg(), encoding="utf-8")
    if as_json:
        typer.echo(json.dumps({**found.to_json(), "plot": str(place)}, indent=2))
    else:
        typer.echo(f"{found.sentence}\n\n{found.toml}\n{place}")
    return 0


def workflow(
    context: typer.Context,
    data: Data = None,
    target: Target = None,
    demo: DemoName = None,
    inputs: Inputs = None,
    config: File = None,
    trials: Annotated[int | None, typer.Option(metavar="N", help="Of the tuning. [default: 12]")] = None,
    time: Annotated[str | None, typer.Option(metavar="DURATION", help="Of the tuning: 90s, 10m.")] = None,
    epochs: Annotated[int | None, typer.Option(help="Epochs at most. [default: by preset]")] = None,
    splits: Splits = None,
    repeats: Repeats = None,
    metric: Annotated[str | None, typer.Option(metavar="NAME", help="[default: log_loss or rmse]")] = None,
    seed: Seed = None,
    out: Annotated[Path | None, typer.Option(metavar="FOLDER", help="[default: runs/NAME-workflow]")] = None,
    as_json: AsJson = False,
    debug: Debug = False,
) -> int:
    """\b
    python -m search.run workflow table.csv --target price
    python -m search.run workflow --demo diabetes --trials 6 --epochs 50

    Go the way of the textbook: a baseline, a small network with statistical power, one that overfits, the
    same regularised, then a short study. Each step comes with its cross-validated score and curves; is the
    data too small, is the capacity too small, is regularisation worth it?
    """
    told = {
        "data": data, "target": target, "demo": demo, "inputs": inputs, "trials": trials, "time": time,
        "epochs": epochs, "splits": splits, "repeats": repeats, "metric": metric, "seed": seed,
    }  # fmt: skip
    asked = configuration.load(config, _given({"trials": None if config else 12, **_given(told)}))
    import shlex

    from search import workflow as textbook
    from search.preparation import name_of
    from search.training.trained import TrainingFailed

    place = out or Path("runs") / f"{name_of(asked)}-workflow"
    command = " ".join(["python -m search.run", *map(shlex.quote, context.obj or ["workflow"])])
    try:
        done = textbook.workflow(asked, command=command, place=place)
    except TrainingFailed as failure:
        return _no_model(failure)
    page = done.path / ("workflow.json" if as_json else "workflow.md")
    typer.echo(page.read_text(encoding="utf-8"))
    typer.echo(str(done.path), err=as_json)
    return 0


def _no_model(failure: Exception) -> int:
    typer.echo(f"error: {failure}", err=True)
    return NO_MODEL


def _given(told: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {**{name: value for name, value in told.items() if value not in (None, [], ())}, **more}


def _with_settings(
    config: "configuration.StudyConfig", settings: Sequence[str]
) -> "configuration.StudyConfig":
    """The configuration with ``KEY=VALUE`` put over its space; a value is TOML, or else text.

    Raises
    ------
    ConfigError
        If a setting has no equals sign.
    """
    space = dict(config.space)
    for setting in settings:
        key, sign, text = setting.partition("=")
        if not (key.strip() and sign):
            raise configuration.ConfigError(f"--set takes KEY=VALUE, got {setting!r}")
        space[key.strip()] = _value(text.strip())
    return config.model_copy(update={"space": space})


def _value(text: str) -> Any:
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text


VERBS = (
    ("lr-range", "Find learning rates worth searching, by one training.", lr_range),
    ("workflow", "Baseline, power, overfit, regularise, tune: the textbook's way.", workflow),
)
