"""The facts of a run that its study stored: `summary.json` and `run.json`, with what is missing as None."""

from collections.abc import Mapping
from typing import Any

from search.records import Run, RunError

HEAD = ("dummy", "linear")


def summary_of(run: Run) -> dict[str, Any]:
    """The study's summary; empty while the study has not come that far."""
    return dict(run.load_json("summary.json")) if run.has("summary.json") else {}


def facts_of(run: Run) -> dict[str, Any]:
    """What was decided before the first trial (`run.json`)."""
    return dict(run.load_json("run.json")) if run.has("run.json") else {}


def part(record: Mapping[str, Any], name: str) -> dict[str, Any]:
    """The record `name` within a record; empty where it is missing or null."""
    return dict(record.get(name) or {})


def baseline(summary: Mapping[str, Any], name: str) -> dict[str, Any]:
    """The baseline `name` of a summary; empty where it is missing."""
    return next((dict(record) for record in summary.get("baselines") or [] if record["name"] == name), {})


def metric_of(run: Run) -> str:
    """The name of the metric that a run is scored by."""
    name = summary_of(run).get("metric") or facts_of(run).get("metric")
    if name is None:
        raise RunError(f"a run names its metric in run.json, and {str(run.path)!r} names none")
    return str(name)


def is_higher_better(run: Run) -> bool:
    """Whether a higher score is a better one."""
    stored = summary_of(run).get("is_higher_better")
    if stored is not None:
        return bool(stored)
    from search.metrics import METRICS

    return METRICS[metric_of(run)].is_higher_better
