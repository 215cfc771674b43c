"""Going on with a run: what of its configuration may change, and that everything else is as it was."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

from search.config import StudyConfig, load
from search.ledger import Event, of_shown_digits
from search.preparation import Prepared
from search.records import Run, RunError, Trial
from spaces.space import Space

MAY_CHANGE = (
    "trials", "time", "workers", "trial_time", "trial_memory", "sampler", "tuner", "oracle", "max_failures",
    "storage", "executor",
    "leak_budget", "ensemble", "calibration", "final", "draws", "nested", "fresh_seeds", "out",
    "name", "preset", "data",
)  # fmt: skip
"""What a run that goes on may be told anew; its table may have moved, but not changed."""
UNSEEN = ("out", "name", "data", "workers", "storage", "executor")  # what has no effect on any score
N_SHOWN_DIGITS = 4
LOCK = "lock"


class ResumeError(ValueError):
    """A run that cannot go on as asked; the message is one line."""


@contextmanager
def alone(run: Run) -> Iterator[None]:
    """Keep every other process from writing into a run.

    Raises
    ------
    RunError
        If another process does.
    """
    with open(run.path / LOCK, "ab", opener=lambda name, flags: os.open(name, flags, 0o600)) as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise RunError(
                f"a run is written by one process, and another is at work in {str(run.path)!r}"
            ) from None
        yield


def is_begun(path: str | Path) -> bool:
    """Whether there is a run at `path` that did not come to its end."""
    place = Path(path)
    return (place / "run.json").is_file() and not (place / "DONE").exists()


def configured(run: Run, told: Mapping[str, Any]) -> StudyConfig:
    """The configuration of a run, with what is told put over it.

    Raises
    ------
    ResumeError
        If something is told that a run keeps.
    """
    stored = load(run.path / "config.toml")
    asked = load(run.path / "config.toml", told)
    check_config(stored, asked)
    return asked


def check_config(stored: StudyConfig, asked: StudyConfig) -> None:
    """Refuse a configuration that makes it another study.

    Raises
    ------
    ResumeError
        Naming the first key that differs, with both values.
    """
    for key in StudyConfig.model_fields:
        old, new = getattr(stored, key), getattr(asked, key)
        if key not in MAY_CHANGE and old != new:
            raise ResumeError(f"a run goes on with the {key} it began with: it has {old!r}, got {new!r}")


def check_prepared(run: Run, prepared: Prepared) -> None:
    """Refuse data, splits, a metric or a space that are not those of the run.

    Raises
    ------
    ResumeError
        Naming what differs, with both values.
    """
    told = run.load_json("run.json")
    data, folds = told["dataset"], told["folds"]
    pairs = (
        ("metric", told["metric"], prepared.metric.name),
        ("number of rows", data["n_rows"], prepared.dataset.n_rows),
        ("number of columns", data["n_columns"], prepared.dataset.schema.n_columns),
        ("data", data["source"], prepared.source),
        ("development rows", data["fingerprint"], prepared.dataset.fingerprint),
        ("splits", folds["fingerprint"], prepared.folds.fingerprint),
        ("search space", Space.from_json(told["space"]).fingerprint, prepared.space.fingerprint),
    )
    for what, old, new in pairs:
        if old != new:
            raise ResumeError(
                f"a run goes on with the {what} it began with: it has {_short(old)}, got {_short(new)}"
            )


def _short(value: Any) -> str:
    """A fingerprint by its first digits, anything else whole."""
    return f"fingerprint {value[:12]}" if isinstance(value, str) and len(value) == 64 else repr(value)


def seconds_used(trials: list[Trial]) -> float:
    """Seconds that the trials took, by their own clocks; a clock that was set back counts as none."""
    spans = (
        datetime.fromisoformat(t.finished) - datetime.fromisoformat(t.started)
        for t in trials
        if t.started and t.finished
    )
    return sum(max(0.0, span.total_seconds()) for span in spans)


def sweep(run: Run) -> None:
    """Remove what a process that was killed left half written beside its place."""
    for path in run.path.rglob(".*"):
        if path.is_file() and path.suffix.lstrip(".").isdigit():
            path.unlink()


def human_event(run: Run, asked: StudyConfig, prepared: Prepared) -> Event | None:
    """A person saw the result, then changed something and went on: that is a look too. None: it is not so."""
    if not run.has("summary.json"):
        return None
    stored = load(run.path / "config.toml")
    changed = [
        f"{key} {getattr(stored, key)!r} to {getattr(asked, key)!r}"
        for key in MAY_CHANGE
        if key not in UNSEEN and getattr(stored, key, None) != getattr(asked, key, None)
    ]
    if not changed:
        return None
    folds = prepared.folds
    return Event(
        stage="human",
        trial=None,
        repeats=folds.n_repeats,
        folds=folds.n_splits,
        rows=prepared.dataset.n_rows,
        alternatives=10**N_SHOWN_DIGITS,
        nats=of_shown_digits(N_SHOWN_DIGITS),
        apparent_gain=None,
        chosen=f"went on after the result was shown: {', '.join(changed)}",
    )
