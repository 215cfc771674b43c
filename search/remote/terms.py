"""The terms of a study that several machines share, and what became of one of its trials."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import count, takewhile
from typing import Any

from search.records import Trial

RESULT = "result"
MOST_IN_A_NOTE = 32_000  # characters; MySQL's columns take 65,535 bytes, and quotes are stored as two


class TermsError(ValueError):
    """A worker or a coordinator that does not fit the study in the storage; the message is one line."""


class NotYetError(TermsError):
    """A study that is not there, or not begun yet: a worker may have been quicker than its coordinator."""


@dataclass(frozen=True)
class Terms:
    """What a study is, written once.

    Attributes
    ----------
    run : str
        A random name of the run folder, so that another study of the same name is noticed.
    config : str
        The study's configuration as TOML, without the address of any storage.
    fingerprints : mapping of str to value
        What must be the same everywhere, by what a person calls it.
    artifacts : str
        Where files of trials go.
    beat, grace : int
        Seconds between two signs of life of a worker, and without any until it is lost.
    """

    run: str
    config: str
    fingerprints: Mapping[str, Any]
    artifacts: str
    beat: int
    grace: int

    def check(self, found: Mapping[str, Any], who: str) -> None:
        """Refuse what was prepared elsewhere and differs.

        Raises
        ------
        TermsError
            Naming the first thing that differs, with both values.
        """
        for what, old in self.fingerprints.items():
            new = found.get(what)
            if new != old:
                raise TermsError(f"{who} needs the study's {what}: it has {_short(old)}, got {_short(new)}")


def _short(value: Any) -> str:
    """A fingerprint by its first digits, anything else whole."""
    return f"fingerprint {value[:12]}" if isinstance(value, str) and len(value) == 64 else repr(value)


@dataclass(frozen=True)
class Budget:
    """How many trials there are in all; ``deadline`` by the clock of the database, in seconds since 1970."""

    n_trials: int
    deadline: float | None = None


@dataclass(frozen=True)
class Result:
    """A finished trial, its entries for the ledger, and what its files are called in the store."""

    trial: Trial
    events: tuple[Mapping[str, Any], ...] = ()
    files: Mapping[str, str] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """The result as a JSON object."""
        return {"trial": self.trial.to_json(), "events": list(self.events), "files": dict(self.files)}

    @classmethod
    def from_json(cls, record: Mapping[str, Any]) -> Result:
        """The result of a JSON object."""
        return cls(Trial.from_json(record["trial"]), tuple(record["events"]), record["files"])

    def to_notes(self) -> dict[str, str]:
        """The result as notes of a trial, in as many parts as a column of any database takes.

        >>> list(Result(Trial(0, "linear", {"note": "x" * 40_000}, "completed")).to_notes())
        ['result', 'result.1']
        """
        text = json.dumps(self.to_json(), allow_nan=False)
        starts = range(0, len(text), MOST_IN_A_NOTE)
        return {_key(part): text[start : start + MOST_IN_A_NOTE] for part, start in enumerate(starts)}

    @classmethod
    def from_notes(cls, notes: Mapping[str, Any]) -> Result | None:
        """The result of a trial's notes; None where there is none."""
        keys = takewhile(notes.__contains__, map(_key, count()))
        text = "".join(notes[key] for key in keys)
        return cls.from_json(json.loads(text)) if text else None


def _key(part: int) -> str:
    return f"{RESULT}.{part}" if part else RESULT
