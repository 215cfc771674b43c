"""Going on with a run: what of its configuration may change, and that everything else is as it was."""

from __future__ import annotations

import fcntl
import os
import zlib
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

from search.archives import check_links
from search.config import StudyConfig, load, to_toml
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
SEAL = b"# crc32 "


class ResumeError(ValueError):
    """A run that cannot go on as asked; the message is one line."""


@contextmanager
def alone(run: Run) -> Iterator[None]:
    """Keep every other process from writing into a run.

    Raises
    ------
    RunError
        If another process does.
    ArchiveError
        If something in the folder is a link, and so leads out of it.
    """
    check_links(run.path)
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


def sealed(config: StudyConfig) -> str:
    """The text of a run's config.toml; the last line is the CRC-32 of those before it."""
    text = to_toml(config)
    return f"{text}{SEAL.decode()}{zlib.crc32(text.encode())}\n"


def stored_config(run: Run) -> StudyConfig:
    """The configuration that a run has.

    Raises
    ------
    ResumeError
        If its file is not as it was written: a run must not go on as another study unnoticed.
    """
    path = run.path / "config.toml"
    text, _, told = path.read_bytes().rpartition(SEAL)
    if told != f"{zlib.crc32(text)}\n".encode():
        raise ResumeError(
            f"{path} must be as it was written, and was altered: changes are told to the verb resume, "
            "as in --trials 200; use a new run folder where it cannot be restored"
        )
    return load(path)


def configured(run: Run, told: Mapping[str, Any]) -> StudyConfig:
    """The configuration of a run, with what is told put over it.

    Raises
    ------
    ResumeError
        If something is told that a run keeps.
    """
    stored = stored_config(run)
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


def check_trials(run: Run, settled: Collection[int]) -> None:
    """Refuse trials from which some are gone: those that were told to the proposer had been recorded before.

    Raises
    ------
    ResumeError
        Naming the first that is gone.
    """
    lost = sorted(set(settled) - {trial.number for trial in run.trials()})
    if lost:
        raise ResumeError(
            f"{run.path / 'trials.jsonl'} must hold every trial that was finished, and of those "
            f"{len(lost)} cannot be found, first trial {lost[0]}: restore it, or use a new run folder"
        )


def seconds_used(trials: list[Trial]) -> float:
    """Seconds in which trials ran, those at the same time once; a clock that was set back counts as none."""
    times = ((t.started, t.finished) for t in trials if t.started and t.finished)
    used, until = 0.0, None
    for begin, end in sorted((datetime.fromisoformat(a), datetime.fromisoformat(b)) for a, b in times):
        since = begin if until is None else max(begin, until)
        used += max(0.0, (end - since).total_seconds())
        until = end if until is None else max(until, end)
    return used


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
