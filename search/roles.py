"""What columns are beside inputs: each has one role; weights and groups as numbers."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from search.targets import DataError
from spaces.shown import shown

if TYPE_CHECKING:
    import pandas as pd

MOST_TIMES_WEIGHT = 1e30  # that float32 can still hold
_COMPARED = 100  # letters of a name that is looked for


def check_column(column: str, frame: pd.DataFrame) -> None:
    """Refuse a column that the frame does not have once, naming the nearest.

    Raises
    ------
    DataError
        If there is none of that name, or more than one.
    """
    names = [str(name) for name in frame.columns]
    if names.count(column) > 1:
        raise DataError(f"column names must be unique; {shown(column)} occurs {names.count(column)} times")
    if column not in names:
        begun = {name[:_COMPARED]: name for name in reversed(names)}
        nearest = difflib.get_close_matches(str(column)[:_COMPARED], list(begun), 1, cutoff=0.0)
        hint = f"; the nearest is {shown(begun[nearest[0]])}" if nearest else ""
        raise DataError(f"the table has no column {shown(column)}{hint}")


def check_roles(told: Sequence[tuple[str, str]], drop: Sequence[str]) -> None:
    """Refuse a column with two roles; groups may also be times, and no input may be dropped."""
    for place, (role, column) in enumerate(told):
        others = [other for other, name in told[:place] if name == column]
        others += ["dropped"] if role == "target" and column in drop else []
        if others and {role, *others} != {"groups", "time"}:
            raise DataError(f"a column has one role; {shown(column)} is {role} and {others[0]}")


def counting(weights: pd.Series) -> np.ndarray:
    """Return the positions of the rows that count ``(n,)``: a row of weight 0 is an absent one."""
    import pandas as pd

    rows = np.flatnonzero(pd.to_numeric(weights, errors="coerce").to_numpy(np.float64) != 0)
    return rows if rows.size else np.arange(len(weights))  # only zeros are refused as weights


def row_weights(series: pd.Series) -> np.ndarray:
    """Return the weights ``(n_rows,)`` with mean 1."""
    import pandas as pd

    values = pd.to_numeric(series, errors="coerce").to_numpy(np.float64)
    if not np.isfinite(values).all() or values.min() < 0 or not values.any():
        bad = series[~np.isfinite(values) | (values < 0)]
        got = shown(bad.tolist()[0]) if len(bad) else "only zeros"
        raise DataError(f"row weights must be finite numbers, at least 0 and one above, got {got}")
    least, most = float(values[values > 0].min()), float(values.max())
    if least / most < 1.0 / MOST_TIMES_WEIGHT:
        raise DataError(
            f"row weights must not differ more than {MOST_TIMES_WEIGHT:g} times, got {least:g} and {most:g}"
        )
    values = values / most
    return np.asarray(values / values.mean())


def group_codes(series: pd.Series, notes: list[str] | None = None) -> np.ndarray:
    """Return group codes ``(n_rows,)``; a row without a group is a group of its own."""
    import pandas as pd

    codes = np.array(pd.factorize(series)[0], np.int64)
    is_missing = codes < 0
    if is_missing.any():
        if notes is not None:
            notes.append(f"{int(is_missing.sum())} rows without a group stand alone")
        codes[is_missing] = codes.max() + 1 + np.arange(is_missing.sum())
    return codes
