"""The validation-leak ledger: one entry for each decision that used validation feedback.

An entry says how many alternatives were compared on how many rows, and bounds what was learned about those
rows by the logarithm of the number of outcomes the decision could have had, in nats. The bounds of successive
decisions add (Russo and Zou 2016, Lemma 1).
"""

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args

from search import lines
from search.records import Run, utc_now

if TYPE_CHECKING:
    import pandas as pd

Stage = Literal[
    "epoch",
    "prune",
    "propose",
    "winner",
    "method",
    "members",
    "weights",
    "threshold",
    "calibration",
    "human",
    "holdout",
]
STAGES: tuple[str, ...] = get_args(Stage)


class LedgerError(ValueError):
    """An entry that cannot be true."""


@dataclass(frozen=True)
class Event:
    """One decision. `apparent_gain`: score of the chosen minus the mean of the compared, in its own unit."""

    stage: Stage
    trial: int | None
    repeats: int
    folds: int
    rows: int
    alternatives: int
    nats: float
    apparent_gain: float | None
    chosen: str

    def __post_init__(self) -> None:
        if self.stage not in STAGES:
            raise LedgerError(f"stage must be one of {', '.join(STAGES)}, not {self.stage!r}")
        if self.alternatives < 1:
            raise LedgerError(
                f"alternatives counts the chosen one too and must be >= 1, not {self.alternatives}"
            )
        if not (math.isfinite(self.nats) and self.nats >= 0.0):
            raise LedgerError(f"nats must be finite and >= 0, not {self.nats}")


COLUMNS: tuple[str, ...] = ("event_id", "time", *(field.name for field in fields(Event)))


class Ledger:
    """The ledger of one run: appended to, never rewritten."""

    def __init__(self, place: Run | str | Path) -> None:
        self.path = (place.path if isinstance(place, Run) else Path(place)) / "ledger.jsonl"
        written = lines.read(self.path)
        self._n_events = len(written)
        self._entered = {_content(event): int(event["event_id"]) for event in written}

    def __len__(self) -> int:
        return self._n_events

    def append(self, event: Event) -> int:
        """Write one entry to the disk and return its event_id (0, 1, ...)."""
        event_id = self._n_events
        record: dict[str, Any] = {"event_id": event_id, "time": utc_now(), **asdict(event)}
        lines.append(self.path, record)
        self._n_events += 1
        self._entered[_content(record)] = event_id
        return event_id

    def enter(self, event: Event) -> int:
        """As `append`, but a decision that is written already, and made again after a crash, counts once."""
        known = self._entered.get(_content(asdict(event)))
        return self.append(event) if known is None else known

    def read(self) -> "pd.DataFrame":
        """All entries as a table with the columns `COLUMNS`."""
        from search import tables

        return tables.of_events(lines.read(self.path))


def _content(record: Mapping[str, Any]) -> str:
    """What was decided, without its number and time."""
    told = {field.name: record[field.name] for field in fields(Event)}
    return json.dumps(lines.plain(told), sort_keys=True)


def of_best_of(n: int) -> float:
    """Nats of picking one of `n`: log n."""
    return math.log(_at_least(1, "n", n))


def of_common_epoch(n_checkpoints: int) -> float:
    """Nats of one epoch for all members of a trial: log E."""
    return of_best_of(n_checkpoints)


def of_fold_epochs(n_checkpoints: int, n_members: int) -> float:
    """Nats of an epoch for each member by itself: n_members * log E."""
    return _at_least(0, "n_members", n_members) * of_best_of(n_checkpoints)


def of_prune(n_in: int, n_keep: int) -> float:
    """Nats of keeping `n_keep` of `n_in` trials: log C(n_in, n_keep)."""
    return of_top_k(n_in, n_keep)


def of_top_k(n: int, k: int) -> float:
    """Nats of a set of `k` out of `n`: log C(n, k)."""
    _at_least(0, "k", k)
    if k > n:
        raise LedgerError(f"no more can be kept than there are: {k} of {n}")
    return math.log(math.comb(n, k))


def of_greedy(n_candidates: int, n_rounds: int) -> float:
    """Nats of a multiset of `n_rounds` picks among `n_candidates`: log C(M + R - 1, R)."""
    _at_least(1, "n_candidates", n_candidates)
    return math.log(math.comb(n_candidates + _at_least(0, "n_rounds", n_rounds) - 1, n_rounds))


def of_shown_digits(n_digits: int) -> float:
    """Nats, at most, of `n_digits` digits of score shown to a person who then changes something: d log 10."""
    return _at_least(0, "n_digits", n_digits) * math.log(10.0)


def _at_least(low: int, name: str, value: int) -> int:
    if value < low:
        raise LedgerError(f"{name} must be >= {low}, not {value}")
    return value
