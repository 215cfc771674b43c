"""The values of one column: numbers and dates as float64, whatever they are written as."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from spaces.shown import shown

if TYPE_CHECKING:
    import pandas as pd


_UNITS = {"s": 1.0, "ms": 1e3, "us": 1e6, "ns": 1e9}  # in a second


class SchemaError(ValueError):
    """A frame does not have the declared format."""


def cells_of(series: pd.Series) -> np.ndarray:
    """Return the values of a column as Python objects ``(n_rows,)``."""
    return np.asarray(series.astype(object).to_numpy())


def is_blank(cells: np.ndarray) -> np.ndarray:
    """Mark missing values among objects; the empty text counts as missing, as it does in a CSV file."""
    import pandas as pd

    is_empty = np.array([isinstance(v, str) and not v for v in cells], dtype=bool)
    return np.asarray(pd.isna(cells) | is_empty, dtype=bool)


def first_text(cells: np.ndarray) -> np.ndarray:
    """Return the first text that is not empty, as an array of one object or of none."""
    found = np.empty(1, object)
    for found[0] in cells:
        if isinstance(found[0], str) and found[0]:
            return found
    return found[:0]


def are_numbers(cells: np.ndarray) -> bool:
    """Tell whether there are objects and all are numbers or spell one (``nan`` does not)."""
    return bool(len(cells)) and not np.isnan(parsed(cells)).any()


def parsed(column: pd.Series | np.ndarray) -> np.ndarray:
    """Return objects as float64 ``(n_rows,)``: NaN for no number, infinite beyond all floats."""
    import pandas as pd

    cells = np.asarray(column, dtype=object)
    try:
        numbers = pd.to_numeric(cells, errors="coerce")
    except OverflowError:
        within = np.empty(len(cells), object)
        within[:] = [_within_floats(value) for value in cells]
        numbers = pd.to_numeric(within, errors="coerce")
    return np.array(numbers, dtype=np.float64)


def _within_floats(value: object) -> object:
    """Return a value, infinite where it is a whole number beyond all floats."""
    if isinstance(value, int) and abs(value) >= 2**1024:
        return float("inf") if value > 0 else float("-inf")
    return value


def floats(name: str, series: pd.Series, is_datetime: bool) -> np.ndarray:
    """Read a column as float64 ``(n_rows,)``, NaN where missing or infinite."""
    import pandas as pd
    from pandas.api import types

    dtype = series.dtype
    if not isinstance(dtype, pd.CategoricalDtype):
        if types.is_bool_dtype(dtype) or types.is_numeric_dtype(dtype):
            values = series.to_numpy(dtype=np.float64, na_value=np.nan, copy=True)
            values[~np.isfinite(values)] = np.nan
            return values
        if types.is_datetime64_any_dtype(dtype):
            return since_1970(pd.DatetimeIndex(series))
        if types.is_timedelta64_dtype(dtype) and not is_datetime:
            return np.asarray(series.dt.total_seconds(), dtype=np.float64)
    return floats_of(name, cells_of(series), is_datetime)


def floats_of(name: str, cells: np.ndarray, is_datetime: bool) -> np.ndarray:
    """Read objects as float64 ``(n_rows,)``, NaN where missing or infinite.

    Raises
    ------
    SchemaError
        If one is no number, or no date where dates are due.
    """
    values = _seconds(cells) if is_datetime else parsed(cells)
    left = np.flatnonzero(np.isnan(values))
    some = cells[left]
    bad = ~is_blank(some)
    if not is_datetime:
        bad &= ~np.array([_is_nan_text(value) for value in some], dtype=bool)
    if bad.any():
        what = "dates" if is_datetime else "numbers"
        raise SchemaError(f"column {shown(name)} must hold {what}, not {shown(some[int(bad.argmax())])}")
    values[~np.isfinite(values)] = np.nan
    return values


def _is_nan_text(value: object) -> bool:
    """Tell whether a text spells a missing number."""
    return isinstance(value, str) and value.strip().lower() in ("nan", "na", "n/a", "null", "none", "")


def _seconds(cells: np.ndarray) -> np.ndarray:
    """Read dates as seconds since 1970 (UTC), NaN for what is none."""
    import pandas as pd

    return since_1970(pd.to_datetime(cells, errors="coerce", utc=True, format="ISO8601"))


def since_1970(moments: pd.DatetimeIndex) -> np.ndarray:
    """Return the seconds since 1970 (UTC) of moments of any unit, however far away; NaN where missing."""
    seconds = np.asarray(moments.asi8, np.float64) / _UNITS[moments.unit]
    return np.where(moments.isna(), np.nan, seconds)
