"""From a table of numbers and codes to the matrix that a model sees.

One function serves training (``xp = keras.ops``, inside the compiled program, with each member's own
statistics) and everything outside it (``xp = numpy``), so that both see the same matrix.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spaces.schema import Schema


@dataclass(frozen=True)
class Statistics:
    """What one member learned about the columns from its training rows.

    Attributes
    ----------
    fill, center, scale : ndarray of float32, shape (n_numbers,)
        Value in place of a missing one; what is taken off; what it is divided by (> 0).
    slot_of_code : ndarray of int32, shape (n_codes,)
        Input slot of each category code, columns one after another; 0 is "other".
    """

    fill: NDArray[np.float32]
    center: NDArray[np.float32]
    scale: NDArray[np.float32]
    slot_of_code: NDArray[np.int32]

    def arrays(self) -> dict[str, NDArray[Any]]:
        """The statistics by name, in the order that ``encode`` takes them."""
        return {
            "fill": self.fill,
            "center": self.center,
            "scale": self.scale,
            "slot_of_code": self.slot_of_code,
        }


@dataclass(frozen=True)
class Layout:
    """Where each column stands in the encoded matrix.

    Attributes
    ----------
    n_numbers : int
        Number columns; each gives one feature.
    indicators : tuple of int
        Number columns that may be missing; each gives one 0/1 feature more.
    n_codes, n_slots : tuple of int
        Per category column: how many codes there are (missing, known, unknown) and how many 0/1 features they
        share.
    """

    n_numbers: int
    indicators: tuple[int, ...]
    n_codes: tuple[int, ...]
    n_slots: tuple[int, ...]

    @classmethod
    def of(cls, schema: Schema) -> Layout:
        """The layout of a schema."""
        return cls(
            n_numbers=len(schema.numbers),
            indicators=tuple(i for i, column in enumerate(schema.numbers) if column.may_be_missing),
            n_codes=tuple(len(column.categories) + 2 for column in schema.categories),
            n_slots=tuple(column.n_slots for column in schema.categories),
        )

    @property
    def n_columns(self) -> int:
        """Columns before encoding: the number of independent sources of variance."""
        return self.n_numbers + len(self.n_slots)

    @property
    def n_features(self) -> int:
        """Columns after encoding."""
        return self.n_numbers + len(self.indicators) + sum(self.n_slots)

    @cached_property
    def offsets(self) -> NDArray[np.int32]:
        """First code of each category column in the flat ``slot_of_code``."""
        return np.concatenate([[0], np.cumsum(self.n_codes)])[: len(self.n_codes)].astype(np.int32)

    @cached_property
    def owners(self) -> NDArray[np.int32]:
        """Category column of each 0/1 slot feature."""
        return np.repeat(np.arange(len(self.n_slots)), self.n_slots).astype(np.int32)

    @cached_property
    def positions(self) -> NDArray[np.int32]:
        """Slot within its column of each 0/1 slot feature."""
        within = [np.arange(n) for n in self.n_slots] or [np.zeros(0, np.int64)]
        return np.concatenate(within).astype(np.int32)


def encode(
    xp: Any,
    layout: Layout,
    numbers: Any,
    codes: Any,
    *,
    fill: Any,
    center: Any,
    scale: Any,
    slot_of_code: Any,
) -> Any:
    """Encode rows: standardised numbers, missing indicators, category slots.

    Parameters
    ----------
    xp : module
        ``numpy`` or ``keras.ops``.
    numbers : array of float32, shape (n_rows, n_numbers) or None
        NaN where missing.
    codes : array of int32, shape (n_rows, n_categories) or None
        Category codes of the schema.
    fill, center, scale, slot_of_code : array
        One member's `Statistics`.

    Returns
    -------
    array of float32, shape (n_rows, n_features)
    """
    parts = []
    if layout.n_numbers:
        is_missing = xp.isnan(numbers)
        parts.append((xp.where(is_missing, fill, numbers) - center) / scale)
        if layout.indicators:
            columns = np.asarray(layout.indicators, "int32")
            parts.append(
                xp.take(is_missing, columns, axis=-1).astype("float32")
                if xp is np
                else xp.cast(xp.take(is_missing, columns, axis=-1), "float32")
            )
    if layout.n_slots:
        slots = xp.take(slot_of_code, codes + layout.offsets, axis=0)
        is_on = xp.equal(xp.take(slots, layout.owners, axis=-1), layout.positions)
        parts.append(is_on.astype("float32") if xp is np else xp.cast(is_on, "float32"))
    return xp.concatenate(parts, axis=-1) if len(parts) > 1 else parts[0]
