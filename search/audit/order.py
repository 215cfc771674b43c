"""Time: columns of dates, rows in the order of a column, error that grows with the gap to training rows."""

from __future__ import annotations

import re
import warnings
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from search.audit import quick
from search.audit.columns import is_whole
from search.audit.finding import ALPHA, Finding, Severity, kept, percent, typed
from search.audit.quick import SOME_COLUMNS
from search.data import Dataset
from spaces.schema import Column
from spaces.values import since_1970

FEWEST_MOMENTS = 10
RELEVANT = 0.10  # of what the model explains, lost when its training rows lie further back
_N_BLOCKS, _N_TRAIN, _FEWEST_PER_BLOCK, _N_TREES = 24, 6, 8, 10
_MOST = 3
_DATE = re.compile(r"(?:1[5-9]|20|21)\d\d[-/.]|[-/. ](?:1[5-9]|20|21)\d\d\b")


@dataclass(frozen=True)
class Moments:
    """A column that may tell when a row was seen.

    Parameters
    ----------
    name
        The column.
    values
        ``(n_rows,)`` float64, NaN where missing.
    is_date
        Whether it holds dates, not just numbers.
    is_sorted
        Whether the rows stand in its order.
    """

    name: str
    values: np.ndarray
    is_date: bool
    is_sorted: bool


@dataclass(frozen=True)
class Growth:
    """Loss on the same rows by models trained just before or long before, and the p-value of the growth."""

    near: float
    far: float
    p: float
    n_rows: int

    def is_sure(self, alpha: float) -> bool:
        """Tell whether the error grows, surely and by a tenth of what is explained (or of a tenth)."""
        return self.p < alpha and self.far - self.near >= RELEVANT * max(1.0 - self.near, RELEVANT)


def find_moments(dataset: Dataset, numbers: Mapping[str, np.ndarray]) -> tuple[Moments, ...]:
    """Return the columns that may tell the time: dates, and whole numbers that never turn down the table."""
    found = []
    place = {c.name: i for i, c in enumerate(dataset.schema.categories)}
    for column in dataset.schema.columns:
        values, is_date = _moments(dataset, numbers, column, place)
        if values is None or np.unique(values[~np.isnan(values)]).size < FEWEST_MOMENTS:
            continue
        in_order = values[np.argsort(dataset.row_ids, kind="stable")]
        steps = np.diff(in_order[~np.isnan(in_order)])
        is_sorted = bool((steps >= 0).all() or (steps <= 0).all())
        if is_date or (is_sorted and not np.isnan(values).any()):
            found.append(Moments(column.name, values, is_date, is_sorted))
    return tuple(found)


def _moments(
    dataset: Dataset, numbers: Mapping[str, np.ndarray], column: Column, place: Mapping[str, int]
) -> tuple[np.ndarray | None, bool]:
    """Return the values of a column that could be moments, and whether they are dates."""
    if column.kind == "category":
        moments = _dates(column.categories)
        if moments is None:
            return None, False
        codes = dataset.table.codes[:, place[column.name]]
        return np.concatenate([[np.nan], moments, [np.nan]])[codes], True
    values = numbers[column.name]
    return (values, column.is_datetime) if column.is_datetime or is_whole(values) else (None, False)


def _dates(texts: tuple[str, ...]) -> np.ndarray | None:
    """Read texts as dates of one format, in seconds; ``None`` when they are not."""
    import pandas as pd

    if len(texts) < FEWEST_MOMENTS or not all(_DATE.search(t) for t in texts[:: max(1, len(texts) // 50)]):
        return None
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # pandas warns where it would guess text by text
        for form, is_day_first in (("ISO8601", False), (None, False), (None, True)):
            try:
                moments = pd.to_datetime(
                    np.array(texts, object), utc=True, format=form, dayfirst=is_day_first
                )
            except (ValueError, TypeError, UserWarning, OverflowError):
                continue
            return since_1970(moments)
    return None


def find_time(
    dataset: Dataset,
    candidates: tuple[Moments, ...],
    names: tuple[str, ...],
    units: np.ndarray,
    rng: np.random.Generator,
) -> tuple[Finding, ...]:
    """Report columns after which folds should be ordered in time.

    A warning when the rows stand in the order of a date column, or when error grows with the gap to the
    training rows: surely so over blocks of rows (corrected for the number of candidates), and by a tenth of
    what a quick model explains. A date column with neither gives a note.

    Parameters
    ----------
    dataset, candidates
        Rows, and columns that may tell the time (`find_moments`): dates are tested, and the first number
        if no date has the order of the rows; at most three.
    names
        Columns that quick models see; a candidate among them is seen as it is, others are not seen.
    units
        ``(n_rows,)`` rows that belong together, never on both sides.
    rng
        Source of samples and seeds.
    """
    if dataset.time is not None:
        return ()
    found = []
    ranked = sorted(candidates, key=lambda m: (not m.is_sorted, not m.is_date))
    tested = [m for i, m in enumerate(ranked) if m.is_date or i == 0][:_MOST]  # sorted ones give one order
    for moments in tested:
        growth = _growth(dataset, moments, names, units, quick.n_quick(len(names)) // len(tested), rng)
        is_sure = growth is not None and growth.is_sure(ALPHA / len(tested))
        if moments.is_date or is_sure:
            is_asked = is_sure or moments.is_sorted
            found.append(_finding(moments, growth, "warning" if is_asked else "note"))
    return tuple(found)


def _growth(
    dataset: Dataset,
    moments: Moments,
    names: tuple[str, ...],
    units: np.ndarray,
    n_wanted: int,
    rng: np.random.Generator,
) -> Growth | None:
    """Compare training just before with training long before, block by block; ``None`` for too few rows.

    Of 24 blocks of equally many rows, the last 12 are predicted, each from the 6 blocks before it and from as
    many rows drawn from all blocks before those.
    """
    timed = np.flatnonzero(~np.isnan(moments.values))
    rows = timed[quick.draw(timed.size, n_wanted, rng)]
    if rows.size < _N_BLOCKS * _FEWEST_PER_BLOCK or not names:
        return None
    rows = rows[np.argsort(moments.values[rows], kind="stable")]
    s = quick.sample(dataset, names, units, rows)
    if _is_sorted_by_target(s.y):
        return None
    block = np.arange(rows.size) * _N_BLOCKS // rows.size
    near, far = [], []
    for b in range(2 * _N_TRAIN, _N_BLOCKS):
        held = np.flatnonzero(block == b)
        earlier = (block < b) & ~np.isin(s.units, s.units[held])
        just_before = np.flatnonzero(earlier & (block >= b - _N_TRAIN))
        long_before = np.flatnonzero(earlier & (block < b - _N_TRAIN))
        n_train = min(just_before.size, long_before.size)
        if n_train:
            near.append(_loss(s, just_before[just_before.size - n_train :], held, rng))
            far.append(_loss(s, rng.choice(long_before, n_train, replace=False), held, rng))
    if len(near) < 2:
        return None
    p = quick.tail_of_folds(np.array(far) - np.array(near), 1.0 / _N_TRAIN)
    return Growth(float(np.mean(near)), float(np.mean(far)), p, rows.size)


def _is_sorted_by_target(y: np.ndarray) -> bool:
    """Tell whether the target never turns, or each of its values stands in one run: the order is its own."""
    steps = np.diff(y, axis=0)
    if y.shape[1] == 1 and ((steps >= 0).all() or (steps <= 0).all()):
        return True
    n_runs = 1 + int((steps != 0).any(axis=1).sum())
    return n_runs == len(np.unique(y, axis=0)) and n_runs < len(y)


def _loss(s: quick.Sample, train: np.ndarray, held: np.ndarray, rng: np.random.Generator) -> float:
    """Return the mean loss on held rows of a model trained on others."""
    model = quick.forest(quick.seed(rng), SOME_COLUMNS, _N_TREES)(s.X[train], s.y[train])
    return float(quick.losses(s.y[held], quick.predict(model, s.X[held])).mean())


def _finding(moments: Moments, growth: Growth | None, severity: Severity) -> Finding:
    """Return the finding of one column."""
    name = moments.name
    says = f"{name!r} holds dates" if moments.is_date else f"{name!r} never turns"
    order = "the rows stand in its order" if moments.is_sorted else "the rows do not stand in its order"
    numbers = "too few rows to see whether error grows with time"
    if growth is not None:
        numbers = (
            f"a quick model of the rows just before leaves {percent(growth.near)} of the target's variance, "
            f"one of as many rows long before {percent(growth.far)} (p = {growth.p:.2g}, "
            f"{growth.n_rows:,} rows)"
        )
    remedy = (
        f"If you will predict later rows from earlier ones, use --time-column {typed(name)}; "
        f"if not, say so with {kept(name)}."
    )
    return Finding("time order", severity, (name,), f"{says}, {order}, and {numbers}.", remedy)
