"""What would leak before any training: one file per kind of leak, and `audit`, which asks them all.

Preprocessing is missing from the list on purpose: it is fitted inside folds, so it cannot leak.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from search.audit import quick
from search.audit.columns import exact_numbers
from search.audit.drift import find_drift, find_missing
from search.audit.duplicates import (
    equal_rows,
    find_duplicates,
    find_near_duplicates,
    find_shared,
    near_duplicates,
)
from search.audit.finding import (
    ALPHA,
    AuditError,
    Finding,
    Severity,
    columns_to_drop,
    findings_table,
    kept_by_name,
    sorted_findings,
    strict,
)
from search.audit.groups import find_groups
from search.audit.identifiers import find_identifiers
from search.audit.order import find_moments, find_time
from search.audit.proxies import find_proxies
from search.data import Dataset
from search.roles import check_column

if TYPE_CHECKING:
    import pandas as pd

__all__ = [
    "ALPHA",
    "AuditError",
    "Finding",
    "Severity",
    "audit",
    "columns_to_drop",
    "findings_table",
    "near_duplicates",
    "strict",
]

FEWEST_ROWS = 50  # below, quick models say nothing


def audit(
    dataset: Dataset,
    *,
    frame: pd.DataFrame | None = None,
    holdout: Dataset | None = None,
    keep: Sequence[str] = (),
    needs_near_duplicates: bool = False,
    rng: np.random.Generator,
) -> tuple[Finding, ...]:
    """Look for leaks before training.

    Parameters
    ----------
    dataset
        The rows for development, with all columns that would be inputs, identifiers too. Images and other
        blocks of columns are looked at as wholes, for equal ones.
    frame
        The frame that the dataset was read from, for whole numbers that float32 rounds; only rows of the
        dataset are read.
    holdout
        Rows set aside, under the same schema; their targets are not read.
    keep
        Columns known to be fine: what is found about them alone becomes a note.
    needs_near_duplicates
        Also report nearly equal rows; quick models never see them on both sides anyway.
    rng
        Source of samples, folds and seeds.

    Returns
    -------
    tuple of Finding
        The gravest first. Each kind of leak is tested at the level of 1 %, shared among the columns it looks
        at, and a difference must also matter. Quick models see at most 5,000 rows, and of more than 100
        columns those 100 that say most about the target alone.

    Raises
    ------
    AuditError
        If the frame or the holdout do not belong to the dataset.
    DataError
        If the frame has no column that is to be kept.
    """
    if holdout is not None and holdout.schema != dataset.schema:
        raise AuditError("the holdout must be read under the schema of the dataset; theirs differ")
    if frame is not None:
        for name in keep:
            check_column(name, frame)
    streams = rng.spawn(5)
    has_blocks, dataset = bool(dataset.schema.blocks), dataset.without_blocks()
    holdout = None if holdout is None else holdout.without_blocks()
    numbers = exact_numbers(dataset, frame)
    moments = find_moments(dataset, numbers)
    dates = frozenset(m.name for m in moments if m.is_date)
    found = list(find_identifiers(dataset, numbers, dates))
    unused = (set(columns_to_drop(found)) | _text_columns(dataset, dates)) - set(keep)
    names = tuple(c.name for c in dataset.schema.columns if c.name not in unused)
    if has_blocks:
        exact = near = dataset.duplicates
    else:
        exact = equal_rows(quick.inputs(dataset, names)) if names else np.arange(dataset.n_rows)
        near = near_duplicates(dataset, names, streams[0]) if names else exact
    found += find_duplicates(exact, dataset.y)
    if needs_near_duplicates:
        together = dataset.duplicates if dataset.groups is None else dataset.groups
        found += find_near_duplicates(exact, near, together)
    units = near if dataset.groups is None else dataset.groups
    if dataset.n_rows >= FEWEST_ROWS and np.unique(units).size >= quick.N_FOLDS and names:
        n_wanted = quick.n_quick(len(names)) // 2  # its trees try all columns at each split
        rows = quick.draw(dataset.n_rows, n_wanted, streams[1])
        shown = quick.promising(quick.sample(dataset, names, units, rows), streams[1])
        proxies = find_proxies(shown, streams[1], len(names))
        hiding = {c for f in proxies for c in f.columns}  # beside the answer, no other leak shows
        seen = tuple(n for n in shown.names if n not in hiding)
        judged = [n for n in names if n not in dates and n not in hiding]
        found += proxies
        found += find_time(dataset, moments, seen, units, streams[2])
        found += find_groups(dataset, numbers, judged, seen, units, streams[3])
    if holdout is not None:
        found += find_shared(dataset, holdout, names)
        found += find_drift(dataset, holdout, names, streams[4])
        found += find_missing(dataset, holdout, names)
    return sorted_findings(kept_by_name(found, keep))


def _text_columns(dataset: Dataset, names: frozenset[str]) -> set[str]:
    """Return those of the names that are read as text."""
    return {c.name for c in dataset.schema.categories} & names
