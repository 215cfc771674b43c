"""Looks at rows that no decision has used: the sealed holdout and other labelled tables, each counted."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from search import lines
from search.ledger import Event, Ledger, of_shown_digits
from search.metrics import Metric
from search.records import Run, utc_now
from spaces.schema import Table

SHOWN_DIGITS = 4
ROWS_AT_ONCE = 65_536  # hashed
N_DRAWS = 2000
KNOWN_SHARE = 0.1  # some rows may equal others by chance


@dataclass(frozen=True)
class Look:
    """One look of a run at labelled rows.

    Attributes
    ----------
    place : str
        ``"holdout"`` or the name of a file.
    digest : str
        SHA-256 of what was looked at.
    number : int
        1 for the first look of this run at it.
    low, high : float
        95 % interval of the score, by the bootstrap of rows (groups whole).
    n_trials : int
        Trials of the run when it looked.
    n_known : int
        Rows whose inputs equal those of a row that the study learned from.
    is_contaminated : bool
        Whether an earlier look may have steered what was looked at now, or more than a tenth of the rows are
        known.
    """

    place: str
    digest: str
    number: int
    metric: str
    score: float
    low: float
    high: float
    n_rows: int
    n_trials: int
    n_known: int
    is_contaminated: bool
    time: str

    @property
    def sentence(self) -> str:
        """The look in words."""
        said = (
            f"{self.place}: {self.metric} {self.score:.4g} (95 % interval {self.low:.4g} to {self.high:.4g}, "
        )
        said += f"{self.n_rows} rows), look {self.number}"
        if self.n_known:
            said += f"; {self.n_known} of these rows equal rows that the study learned from"
        if self.number > 1:
            said += "; these rows were looked at before"
        if self.is_contaminated:
            said += "; contaminated: this is no score on new data"
        return said


def record(
    run: Run,
    place: str,
    digest: str,
    metric: Metric,
    y: NDArray[Any],
    p: NDArray[Any],
    units: NDArray[Any],
    n_known: int = 0,
    row_weights: NDArray[Any] | None = None,
) -> Look:
    """Score rows, count the look and enter it in the ledger.

    A look after the first at the same rows is contaminated: what a person saw then may have steered the run.
    """
    earlier = [look for look in run.looks() if look["digest"] == digest]
    low, high = bootstrap_interval(metric, y, p, units, np.random.default_rng(0), row_weights)
    look = Look(
        place=place,
        digest=digest,
        number=len(earlier) + 1,
        metric=metric.name,
        score=float(metric.score(y, p, row_weights)),
        low=low,
        high=high,
        n_rows=len(y),
        n_trials=len(run.trials()),
        n_known=n_known,
        is_contaminated=bool(earlier) or n_known > KNOWN_SHARE * len(y),
        time=utc_now(),
    )
    nats = of_shown_digits(SHOWN_DIGITS) if earlier else 0.0
    chosen = f"{place}, look {look.number}, {metric.name} {look.score:.4g}"
    Ledger(run).append(Event("holdout", None, 1, 1, len(y), look.number, nats, None, chosen))
    lines.append(run.path / "looks.jsonl", {**asdict(look), "sentence": look.sentence})
    return look


def bootstrap_interval(
    metric: Metric,
    y: NDArray[Any],
    p: NDArray[Any],
    units: NDArray[Any],
    rng: np.random.Generator,
    row_weights: NDArray[Any] | None = None,
) -> tuple[float, float]:
    """95 % percentile interval of a score, bootstrapping units (Efron 1979); NaN draws are left out."""
    codes = np.unique(units, return_inverse=True)[1]
    n_units = int(codes.max()) + 1
    scores, own = [], np.ones(len(y)) if row_weights is None else row_weights
    for _ in range(N_DRAWS):
        counts = np.bincount(rng.integers(n_units, size=n_units), minlength=n_units)
        weights = counts[codes] * own
        scores.append(metric.score(y, p, weights) if weights.any() else np.nan)
    known = np.asarray(scores)[np.isfinite(scores)]
    if not known.size:
        return float("nan"), float("nan")
    low, high = np.quantile(known, [0.025, 0.975])
    return float(low), float(high)


def row_hashes(table: Table) -> NDArray[np.uint64]:
    """A number for each row of inputs ``(n_rows,)``; equal rows share it, others almost never."""
    numbers, codes = table.numbers.view(np.uint32), table.codes.view(np.uint32)
    n_columns = numbers.shape[1] + codes.shape[1]
    factors = np.random.default_rng(0).integers(1, 2**63, n_columns, dtype=np.uint64) | np.uint64(1)
    total = np.empty(len(numbers), np.uint64)
    for first in range(0, len(total), ROWS_AT_ONCE):
        rows = slice(first, first + ROWS_AT_ONCE)
        mixed = np.hstack([numbers[rows], codes[rows]]).astype(np.uint64)
        mixed = (mixed + np.uint64(0x9E3779B97F4A7C15)) * factors
        mixed ^= mixed >> np.uint64(29)
        total[rows] = (mixed * factors).sum(axis=1, dtype=np.uint64)
    return total


def digest_of(parts: Sequence[bytes]) -> str:
    """SHA-256 of bytes, one part after another."""
    digest = hashlib.sha256()
    for part in parts:
        digest.update(part)
    return digest.hexdigest()


def digest_of_file(path: Path) -> str:
    """SHA-256 of a file's content."""
    return digest_of([path.read_bytes()])
