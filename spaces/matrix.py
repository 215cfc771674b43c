"""The two matrices that families beside the networks read: encoded, or with one column per input column."""

from __future__ import annotations

from typing import Literal, get_args

import numpy as np

from spaces.encoding import Layout, Statistics, encode

Kind = Literal["encoded", "ordinal"]


class MatrixError(ValueError):
    """A matrix of an unknown kind was asked for; the message is one line."""


def matrix(
    kind: Kind, layout: Layout, numbers: np.ndarray, codes: np.ndarray, statistics: Statistics
) -> np.ndarray:
    """Turn rows of a table into the matrix that a family asked for.

    Parameters
    ----------
    kind
        ``"encoded"``: standardised numbers, missing indicators and 0/1 slots, nothing missing; ``"ordinal"``:
        the numbers as they are with NaN where missing, then one column per category with its slot number.
    layout
        Where each column stands.
    numbers
        ``(n_rows, n_numbers)`` float32, NaN where missing.
    codes
        ``(n_rows, n_categories)`` int32, codes of the schema.
    statistics
        What the member learned from its training rows; ``"ordinal"`` reads ``slot_of_code`` alone.

    Returns
    -------
    np.ndarray
        ``(n_rows, n_features)`` or ``(n_rows, n_columns)`` float32.

    Raises
    ------
    MatrixError
        If `kind` is neither of the two.
    """
    if kind not in get_args(Kind):
        raise MatrixError(f"a matrix is one of {', '.join(get_args(Kind))}, got {kind!r}")
    if kind == "encoded":
        names = ("fill", "center", "scale", "slot_of_code")
        learned = {name: getattr(statistics, name) for name in names}
        return np.asarray(encode(np, layout, numbers, codes, **learned), np.float32)
    if not layout.n_slots:
        return np.array(numbers, np.float32)
    slots = statistics.slot_of_code[codes + layout.offsets].astype(np.float32)
    return np.concatenate([np.asarray(numbers, np.float32), slots], axis=1)


def is_categorical(layout: Layout) -> np.ndarray:
    """Which columns of the ordinal matrix hold slots of a category, ``(n_columns,)`` bool."""
    return np.arange(layout.n_columns) >= layout.n_numbers
