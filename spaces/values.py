"""The values of one column: numbers and dates as float64, whatever they are written as."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from spaces.shown import shown

if TYPE_CHECKING:
    import pandas as pd


class SchemaError(ValueError):
    """A frame does not have the declared format."""


def is_blank(series: pd.Series) -> np.ndarray:
    """Mark missing values; the empty text counts as missing, as it does in a CSV file."""
    is_empty = np.array([isinstance(v, str) and not v for v in series.astype(object)], dtype=bool)
    return np.asarray(series.isna().to_numpy(bool) | is_empty, dtype=bool)


def unparsed(series: pd.Series) -> np.ndarray:
    """Mark values of an object or text column that are no numbers (``nan`` is none)."""
    return np.asarray(np.isnan(parsed(series.astype(object))))


def parsed(series: pd.Series) -> np.ndarray:
    """Return an object column as float64 ``(n_rows,)``: NaN for no number, infinite beyond all floats."""
    import pandas as pd

    try:
        numbers = pd.to_numeric(series, errors="coerce")
    except OverflowError:
        numbers = pd.to_numeric(series.map(_within_floats), errors="coerce")
    values: np.ndarray = numbers.to_numpy(dtype=np.float64, na_value=np.nan, copy=True)
    return values


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
    if isinstance(dtype, pd.CategoricalDtype):
        series = series.astype(object)
    elif types.is_bool_dtype(dtype) or types.is_numeric_dtype(dtype):
        values = series.to_numpy(dtype=np.float64, na_value=np.nan, copy=True)
        values[~np.isfinite(values)] = np.nan
        return values
    if is_datetime or types.is_datetime64_any_dtype(series.dtype):
        return _seconds(name, series)
    if types.is_timedelta64_dtype(series.dtype):
        return np.asarray(series.dt.total_seconds(), dtype=np.float64)
    series = series.astype(object)
    bad = unparsed(series) & ~is_blank(series) & ~series.map(_is_nan_text).to_numpy(bool)
    if bad.any():
        raise SchemaError(
            f"column {shown(name)} must hold numbers, not {shown(series.iloc[int(bad.argmax())])}"
        )
    values = parsed(series)
    values[~np.isfinite(values)] = np.nan
    return values


def _is_nan_text(value: object) -> bool:
    """Tell whether a text spells a missing number."""
    return isinstance(value, str) and value.strip().lower() in ("nan", "na", "n/a", "null", "none", "")


def _seconds(name: str, series: pd.Series) -> np.ndarray:
    """Read dates as seconds since 1970 (UTC), NaN where missing."""
    import pandas as pd

    moments = pd.to_datetime(series, errors="coerce", utc=True, format="ISO8601")
    bad = moments.isna().to_numpy(bool) & ~is_blank(series)
    if bad.any():
        raise SchemaError(
            f"column {shown(name)} must hold dates, not {shown(series.iloc[int(bad.argmax())])}"
        )
    seconds = (moments - pd.Timestamp(0, tz="UTC")).dt.total_seconds()
    return np.asarray(seconds, dtype=np.float64)
