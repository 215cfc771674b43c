"""A commented configuration of a study for one table: its facts filled in, every other option explained."""

from __future__ import annotations

import ast
import inspect
import textwrap
from collections.abc import Iterable, Mapping
from itertools import pairwise
from typing import Any, Literal, get_args, get_origin

from search import toml
from search.audit import Finding
from search.config import PRESETS, StudyConfig
from search.preparation import Prepared, families_of
from spaces.families import family_of
from spaces.parameters import Choice, Int, Parameter

SECTIONS: Mapping[str, tuple[str, ...]] = {
    "The table and what is predicted": (
        "data", "target", "demo", "task", "groups", "time_column", "weights", "class_weight", "drop",
    ),
    "Scores and splits": ("metric", "splits", "repeats", "stratify", "holdout"),
    "How much is tried, and how": (
        "preset", "families", "model", "trials", "time", "sampler", "tuner", "oracle", "max_failures",
        "leak_budget", "seed",
    ),
    "Training of networks": ("epochs", "patience", "epoch_choice"),
    "Ensemble": ("ensemble", "calibration", "final"),
    "Checks": ("audit", "keep", "near_duplicates", "strict", "nested", "fresh_seeds", "draws"),
    "The run": ("name", "out"),
}  # fmt: skip
"""Order of the keys; a key that stands nowhere here comes under "More"."""

_WORDS = {
    "demo": "In place of data and target, a built-in table: breast_cancer, wine, digits, diabetes or iris.",
    "name": "Name of the run; by default that of the table.",
    "task": "binary, multiclass, multilabel or regression.",
    "groups": "Column: rows of a group stay on one side of every split.",
    "time_column": "Column: models are trained on the past only.",
    "metric": "What is optimised and reported.",
    "sampler": "What proposes configurations: tpe, random, grid, qmc or cmaes.",
    "tuner": "optuna or keras-tuner.",
    "trials": "Configurations to try.",
    "seed": "Of everything that is drawn.",
}
_EXAMPLES: Mapping[str, Any] = {
    "demo": "wine", "groups": "patient", "time_column": "date", "weights": "count",
    "class_weight": "balanced", "model": "my_models:build", "time": "10m", "stratify": True,
    "name": "first", "out": "runs/first", "drop": ["id"], "keep": ["code"], "target": ["y"],
    "data": "table.csv", "task": "binary",
    "metric": "log_loss", "splits": 5, "repeats": 3, "inputs": {"x": "image"},
}  # fmt: skip
WIDTH = 100


def template(config: StudyConfig, prepared: Prepared, findings: Iterable[Finding] = ()) -> str:
    """The configuration as TOML with comments.

    Lines without a hash are the table's own facts: data, target, task, metric and the splits that a study
    would make. All others are comments with the default, or with an example where there is none.

    Parameters
    ----------
    config : StudyConfig
        Data and target, and whatever else was told.
    prepared : Prepared
        Of that configuration.
    findings : iterable of Finding
        Of the audit; told in comments.
    """
    facts = _facts(config, prepared)
    head = [f"# A study of {prepared.dataset.name}: {_shape(prepared)}."]
    head += ["# Run it with: python -m search.run study --config THIS_FILE", ""]
    for finding in findings:
        head += _comment(f"{finding.severity}: {finding.leak}: {finding.evidence} {finding.remedy}")
    parts = ["\n".join(head).rstrip("\n")]
    for title, keys in sections().items():
        lines = [f"# --- {title} ---"]
        for key in keys:
            lines += ["", *_entry(key, facts)]
        parts.append("\n".join(lines))
    return "\n\n".join([*parts, space_lines(config, prepared)]) + "\n"


def sections() -> dict[str, tuple[str, ...]]:
    """Keys of the configuration by section, each once; the search space is told apart."""
    told = {key for keys in SECTIONS.values() for key in keys}
    known = {
        title: tuple(k for k in keys if k in StudyConfig.model_fields) for title, keys in SECTIONS.items()
    }
    more = tuple(key for key in StudyConfig.model_fields if key not in told and key != "space")
    return {**known, **({"More": more} if more else {})}


def words_of(key: str) -> str:
    """What a key of the configuration means: the docstring of its field, else a sentence of this module."""
    return _docstrings().get(key) or _WORDS.get(key, "")


def _docstrings() -> dict[str, str]:
    """The text under each field in the source of `StudyConfig`."""
    tree = ast.parse(textwrap.dedent(inspect.getsource(StudyConfig)))
    body = tree.body[0].body  # type: ignore[attr-defined]
    found = {}
    for field, after in pairwise(body):
        is_text = isinstance(after, ast.Expr) and isinstance(after.value, ast.Constant)
        if isinstance(field, ast.AnnAssign) and is_text:
            found[field.target.id] = " ".join(str(after.value.value).split())  # type: ignore[union-attr]
    return found


def _shape(prepared: Prepared) -> str:
    dataset = prepared.dataset
    kind = f"{dataset.task.kind} target {', '.join(dataset.task.target_names)}"
    return " ".join(f"{dataset.n_rows} rows, {dataset.schema.n_columns} columns, {kind}".split())


def _facts(config: StudyConfig, prepared: Prepared) -> dict[str, tuple[Any, str]]:
    """What is known of the table by key, with the reason; what was told beside it."""
    folds = prepared.folds
    told = {key: (getattr(config, key), "") for key in config.model_fields_set if key in config.model_dump()}
    preset = PRESETS.get(config.preset, {})
    told = {key: one for key, one in told.items() if key not in preset or one[0] != preset[key]}
    facts: dict[str, tuple[Any, str]] = {
        "task": (prepared.dataset.task.kind, "Inferred from the table." if config.task is None else ""),
        "metric": (prepared.metric.name, "The usual one of the task." if config.metric is None else ""),
        "splits": (folds.n_splits, f"Proposed: {folds.reason}"),
        "repeats": (folds.n_repeats, ""),
    }
    if folds.kind == "time":
        facts.pop("repeats")
    return {key: one for key, one in {**told, **facts}.items() if one[0] is not None}


def _entry(key: str, facts: Mapping[str, tuple[Any, str]]) -> list[str]:
    if key in facts:
        value, reason = facts[key]
        return [
            *_comment(f"{words_of(key)}{_options(key)} {reason}"),
            toml.dumps({key: _plain(value)}).strip(),
        ]
    default = StudyConfig.model_fields[key].get_default(call_default_factory=True)
    has_default = default is not None and default != () and default != {}
    shown = default if has_default else _EXAMPLES.get(key, "...")
    note = "" if has_default else " (No default.)" if default is None else " (None by default.)"
    lines = (
        toml.dumps({key: _plain(shown)}).strip() if not isinstance(shown, Mapping) else _inline(key, shown)
    )
    return [*_comment(words_of(key) + _options(key) + note), f"# {lines}"]


def _options(key: str) -> str:
    """The values that a key may take, where they are few and not told already."""
    annotation, words = StudyConfig.model_fields[key].annotation, words_of(key)
    found = [
        str(value)
        for one in (annotation, *get_args(annotation))
        if get_origin(one) is Literal
        for value in get_args(one)
    ]
    is_news = len(found) > 1 and any(value not in words for value in found)
    return f" One of {', '.join(found)}." if is_news else ""


def _inline(key: str, table: Mapping[str, Any]) -> str:
    """A table on one line, so that it can stand among plain keys."""
    return toml.dumps({"_": {key: table}}).splitlines()[1]


def _plain(value: Any) -> Any:
    if isinstance(value, tuple):
        return value[0] if len(value) == 1 else list(value)
    return value


def _comment(text: str) -> list[str]:
    return [f"# {line}" for line in textwrap.wrap(" ".join(text.split()), WIDTH - 2)]


def space_lines(config: StudyConfig, prepared: Prepared) -> str:
    """The search space as comments: each family's parameters with their ranges."""
    lines = ["# --- The search space ---", ""]
    lines += _comment(
        "A value fixes a parameter, a table gives a range, a list gives choices. Under [space] a line holds "
        "for every family that has the parameter; under [space.FAMILY] for this family alone."
    )
    for name in families_of(config):
        space = family_of(name).space(prepared.signature)
        table = f"space.{name}" if ":" not in name else "space"
        lines += ["", f"# [{table}]"]
        for key, parameter in space.parameters.items():
            lines.append(f"# {_told(key, parameter)}")
    return "\n".join(lines)


def _told(key: str, parameter: Parameter) -> str:
    """A parameter's range or choices as the configuration takes them."""
    if isinstance(parameter, Choice):
        return toml.dumps({key: list(parameter.options)}).strip()
    found: dict[str, Any] = {"low": parameter.low, "high": parameter.high}
    if parameter.log:
        found["log"] = True
    if parameter.step is not None and not (isinstance(parameter, Int) and parameter.step == 1):
        found["step"] = parameter.step
    return _inline(key, found)
