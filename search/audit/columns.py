"""The exact values of number columns, which the arrays of a dataset hold in float32 only."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from search.audit.finding import AuditError
from search.data import Dataset
from spaces.values import parsed

if TYPE_CHECKING:
    import pandas as pd

_MOST_AT_ONCE = 64


def exact_numbers(dataset: Dataset, frame: pd.DataFrame | None) -> dict[str, np.ndarray]:
    """Return the number columns by name, each float64 ``(n_rows,)`` with NaN where missing.

    They come from the frame, of which only the dataset's rows and inputs are read; without a frame, and for
    dates, they are what float32 kept.

    Raises
    ------
    AuditError
        If the frame lacks a column or a row of the dataset.
    """
    columns = dataset.schema.numbers
    kept = {c.name: dataset.table.numbers[:, i].astype(np.float64) + c.anchor for i, c in enumerate(columns)}
    if frame is None:
        return kept
    place = {str(name): i for i, name in enumerate(frame.columns)}
    absent = [c.name for c in columns if c.name not in place]
    if absent:
        raise AuditError(f"the frame must be the one that the dataset was read from; it has no {absent[0]!r}")
    if dataset.n_rows and dataset.row_ids.max() >= len(frame):
        raise AuditError(
            f"the frame must be the one that the dataset was read from; it has {len(frame)} rows, "
            f"not at least {int(dataset.row_ids.max()) + 1}"
        )
    exact = [c.name for c in columns if not c.is_datetime]
    is_plain = [isinstance(dtype, np.dtype) and dtype.kind in "biuf" for dtype in frame.dtypes]
    plain = [name for name in exact if is_plain[place[name]]]
    for names in (plain[i : i + _MOST_AT_ONCE] for i in range(0, len(plain), _MOST_AT_ONCE)):
        values = frame.iloc[dataset.row_ids, [place[name] for name in names]].to_numpy(np.float64)
        kept |= zip(names, np.where(np.isfinite(values), values, np.nan).T, strict=True)
    others = [name for name in exact if not is_plain[place[name]]]
    return kept | {name: _values(frame.iloc[dataset.row_ids, place[name]]) for name in others}


def _values(series: pd.Series) -> np.ndarray:
    """Return the numbers of a column, NaN where missing or infinite."""
    from pandas.api import types

    if types.is_numeric_dtype(series.dtype):
        values = series.to_numpy(dtype=np.float64, na_value=np.nan)
    else:
        values = parsed(series.astype(object))
    return np.where(np.isfinite(values), values, np.nan)


def is_whole(values: np.ndarray) -> bool:
    """Tell whether there are values and all are whole numbers."""
    present = values[~np.isnan(values)]
    return bool(present.size and (present == np.round(present)).all())
