"""The values of one category column as texts, whatever they are written as."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from spaces.values import cells_of

if TYPE_CHECKING:
    import pandas as pd


def texts_in(series: pd.Series) -> tuple[list[str], np.ndarray]:
    """Return the distinct texts of a column and, per row, which one it holds (-1: missing)."""
    import pandas as pd

    if isinstance(series.dtype, pd.CategoricalDtype):
        labels = [_text(v) for v in series.cat.categories]
        which = series.cat.codes.to_numpy(np.int64)
        used = np.unique(which[which >= 0])
        if len(set(labels)) == len(labels) and "" not in labels:
            place = np.full(len(labels) + 1, -1)
            place[used] = np.arange(used.size)
            return [labels[i] for i in used], place[which]
    return texts_of(cells_of(series))


def texts_of(cells: np.ndarray) -> tuple[list[str], np.ndarray]:
    """Return the distinct texts of objects and, per row, which one it holds (-1: missing)."""
    import pandas as pd
    from pandas.api import types

    if types.infer_dtype(cells, skipna=True) not in ("string", "empty"):
        is_missing = pd.isna(cells)
        cells = np.array(
            [None if gone else _text(v) for v, gone in zip(cells, is_missing, strict=True)], object
        )
    which, found = pd.factorize(cells)
    known = [str(t) for t in found]
    if "" in known:
        at = known.index("")
        which = np.where(which == at, -1, which - (which > at))
        del known[at]
    return known, np.asarray(which)


def _text(value: object) -> str:
    """Return the text of a category; whole floats as whole numbers, so that 1 and 1.0 agree."""
    if isinstance(value, (float, np.floating)) and float(value).is_integer():
        return str(int(value))
    return str(value)
