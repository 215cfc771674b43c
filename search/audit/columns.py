"""The exact values of number columns, which the arrays of a dataset hold in float32 only."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from search.audit.finding import AuditError
from search.data import Dataset

if TYPE_CHECKING:
    import pandas as pd


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
    exact = (c.name for c in columns if not c.is_datetime)
    return kept | {name: _values(frame.iloc[dataset.row_ids, place[name]]) for name in exact}


def _values(series: pd.Series) -> np.ndarray:
    """Return the numbers of a column, NaN where missing or infinite."""
    import pandas as pd
    from pandas.api import types

    if not types.is_numeric_dtype(series.dtype):
        series = pd.to_numeric(series.astype(object), errors="coerce")
    values = series.to_numpy(dtype=np.float64, na_value=np.nan)
    return np.where(np.isfinite(values), values, np.nan)


def is_whole(values: np.ndarray) -> bool:
    """Tell whether there are values and all are whole numbers."""
    present = values[~np.isnan(values)]
    return bool(present.size and (present == np.round(present)).all())
