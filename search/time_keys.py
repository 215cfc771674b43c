"""When a row was seen, as a number to sort by."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from search.targets import DataError
from spaces.shown import shown

if TYPE_CHECKING:
    import pandas as pd


_NUMBERS = ("string", "integer", "floating", "mixed-integer-float", "decimal", "boolean")


def time_key(series: pd.Series) -> np.ndarray:
    """Return a sort key ``(n_rows,)``: numbers as they are, dates in nanoseconds since 1970 (UTC)."""
    import pandas as pd
    from pandas.api import types

    if series.isna().any():
        raise DataError(
            f"every row needs a time; {int(series.isna().sum())} have none: fill or drop these rows"
        )
    if types.is_timedelta64_dtype(series.dtype):
        return series.to_numpy("timedelta64[ns]").astype(np.int64)
    if isinstance(series.dtype, pd.PeriodDtype):
        series = series.dt.to_timestamp()
    if types.is_numeric_dtype(series.dtype):
        is_whole = types.is_integer_dtype(series.dtype) or types.is_bool_dtype(series.dtype)
        if types.is_unsigned_integer_dtype(series.dtype) and int(series.max()) >= 2**63:
            return (series.to_numpy(np.uint64) ^ np.uint64(2**63)).view(np.int64)  # the same, less 2**63
        key = series.to_numpy(np.int64 if is_whole else np.float64)
        if not np.isfinite(key).all():
            raise DataError("every row needs a finite time; some are infinite")
        return key
    if types.infer_dtype(series) in _NUMBERS:
        numbers = _numbers(series)
        if np.isfinite(numbers).all():
            return numbers
        if types.infer_dtype(series) != "string":
            raise DataError("every row needs a finite time; some are infinite")
    return _parse_dates(series).to_numpy("datetime64[ns]").astype(np.int64)


def _numbers(series: pd.Series) -> np.ndarray:
    """Read numbers or texts as float64 ``(n_rows,)``, NaN for what is none and infinite beyond all floats."""
    import pandas as pd

    try:
        return pd.to_numeric(series.astype(object), errors="coerce").to_numpy(np.float64)
    except OverflowError:
        return np.full(len(series), np.inf)


def _parse_dates(series: pd.Series) -> pd.Series:
    """Read dates in one format for all rows, ISO 8601 first."""
    import warnings

    import pandas as pd

    with warnings.catch_warnings():
        warnings.simplefilter("error")  # pandas warns where it would guess row by row
        for form in ("ISO8601", None):
            try:
                return pd.to_datetime(series, utc=True, format=form).dt.tz_localize(None)
            except (ValueError, TypeError, UserWarning, OverflowError):
                continue
    raise DataError(
        f"times must be numbers or dates of one format such as 2024-01-31, not {shown(series.iloc[0])}"
    )
