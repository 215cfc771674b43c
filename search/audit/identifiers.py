"""Columns that name the row: unique text, and whole numbers that never repeat where measurements would."""

from __future__ import annotations

import re
from collections.abc import Mapping

import numpy as np

from search.audit.columns import is_whole
from search.audit.finding import ALPHA, Finding, kept, typed
from search.data import Dataset

FEWEST_ROWS = 20
UNIQUE = 0.95  # of the present texts occur once
_REACH = 10  # steps within which values count as close
_NAMING = frozenset(
    (
        "id",
        "ids",
        "uid",
        "uuid",
        "guid",
        "identifier",
        "index",
        "idx",
        "key",
        "rowid",
        "rownum",
        "rownames",
        "row",
        "number",
        "nr",
        "no",
        "serial",
    )
)


def find_identifiers(
    dataset: Dataset, numbers: Mapping[str, np.ndarray], dates: frozenset[str]
) -> tuple[Finding, ...]:
    """Report identifier columns; dates are none.

    Text is one when 95 % of its values occur once. Whole numbers are one when 95 % differ, and they rise or
    fall strictly down the table, or hardly coincide although they lie so close that measurements would (see
    `_tail_of_coincidences`), or all differ and the name says so. A table of nothing else has none.

    Parameters
    ----------
    dataset, numbers
        Rows, and the exact values of their number columns.
    dates
        Columns that hold dates.
    """
    names = [c.name for c in dataset.schema.columns]
    alpha = ALPHA / max(len(names), 1)
    found = []
    for column in dataset.schema.numbers:
        if column.name not in dates:
            reason = _number_reason(column.name, numbers[column.name], alpha)
            found += [_finding(column.name, reason)] if reason else []
    for i, column in enumerate(dataset.schema.categories):
        if column.name not in dates:
            reason = _text_reason(dataset.table.codes[:, i])
            found += [_finding(column.name, reason)] if reason else []
    return tuple(found) if len(found) < len(names) else ()


def _text_reason(codes: np.ndarray) -> str:
    """Say why a text column is an identifier, or return nothing."""
    sizes = np.bincount(codes)[1:]
    n_present, n_once = int(sizes.sum()), int((sizes == 1).sum())
    if n_present < FEWEST_ROWS or n_once < UNIQUE * n_present:
        return ""
    return f"{n_once:,} of {n_present:,} texts occur once"


def _number_reason(name: str, values: np.ndarray, alpha: float) -> str:
    """Say why a number column is an identifier, or return nothing."""
    present = values[~np.isnan(values)]
    if present.size < FEWEST_ROWS or present.size < 0.5 * values.size or not is_whole(values):
        return ""
    n_distinct = np.unique(present).size
    if n_distinct < UNIQUE * present.size:
        return ""
    counted = f"{n_distinct:,} of {present.size:,} whole numbers differ"
    steps = np.diff(present)
    if (steps > 0).all() or (steps < 0).all():
        return f"{counted}, and they {'rise' if steps[0] > 0 else 'fall'} from row to row"
    p, expected = _tail_of_coincidences(present)
    if p < alpha:
        return f"{counted}, where measurements this close together would coincide {expected:,.0f} times"
    if n_distinct == present.size and _is_called_identifier(name):
        return f"{counted}, and so the name says"
    return ""


def _tail_of_coincidences(values: np.ndarray) -> tuple[float, float]:
    """Return the probability of so few equal pairs among measurements, and the number expected.

    For n draws from a smooth law on whole steps, pairs at distance d = 1, 2, ... are each about twice as many
    as equal pairs, so the pairs within w steps give the expected number of equal pairs: their count / (2 w).
    The observed number is compared with Poisson's law.
    """
    from scipy import special

    ordered = np.sort(values)
    steps = np.diff(ordered)
    positive = steps[steps > 0].astype(np.int64)
    if not positive.size:
        return 1.0, 0.0
    ordered = (ordered - ordered[0]) / float(np.gcd.reduce(positive))
    last_equal = np.searchsorted(ordered, ordered, side="right")
    n_equal = int((last_equal - np.arange(1, ordered.size + 1)).sum())
    n_close = int((np.searchsorted(ordered, ordered + _REACH, side="right") - last_equal).sum())
    expected = n_close / (2.0 * _REACH)
    return float(special.pdtr(n_equal, expected)), expected


def _is_called_identifier(name: str) -> bool:
    """Tell whether a word of the name says that the column names rows."""
    words = re.sub(r"([a-z])([A-Z])", r"\1 \2", name).lower()
    return words == "unnamed: 0" or not _NAMING.isdisjoint(re.split(r"[^a-z]+", words))


def _finding(name: str, reason: str) -> Finding:
    """Return the finding of one identifier."""
    remedy = f"It is left out (--drop {typed(name)}); if it is a measurement, keep it with {kept(name)}."
    return Finding("identifier", "warning", (name,), f"{name!r} seems to name rows: {reason}.", remedy)
