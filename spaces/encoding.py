"""From a table of numbers and codes to the matrix that a model sees.

One function serves training (``xp = keras.ops``, inside the compiled program, with each member's own
statistics) and everything outside it (``xp = numpy``), so that both see the same matrix.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spaces.schema import Schema

SCALINGS = ("standard", "robust")
SMOOTHING = 3.0  # where the smooth clip saturates
LARGEST = 1e6  # far beyond saturation, and its square still fits into float32
N_BINS = 16


@dataclass(frozen=True)
class Statistics:
    """What one member learned about the columns from its training rows.

    Attributes
    ----------
    fill, center, scale : ndarray of float32, shape (n_numbers,)
        Value in place of a missing one; what is taken off; what it is divided by (> 0).
    slot_of_code : ndarray of int32, shape (n_codes,)
        Input slot of each category code, columns one after another; 0 is "other".
    robust_scale : ndarray of float32, shape (n_numbers,)
        What numbers are divided by where the scaling is robust (> 0); their centre is then the fill.
    edges : ndarray of float32, shape (n_numbers, N_BINS + 1)
        Rising edges of the bins of the piecewise-linear encoding; bins of no width stay empty.
    """

    fill: NDArray[np.float32]
    center: NDArray[np.float32]
    scale: NDArray[np.float32]
    slot_of_code: NDArray[np.int32]
    robust_scale: NDArray[np.float32] = field(default_factory=lambda: np.zeros(0, np.float32))
    edges: NDArray[np.float32] = field(default_factory=lambda: np.zeros((0, N_BINS + 1), np.float32))

    def arrays(self) -> dict[str, NDArray[Any]]:
        """The statistics by name, in the order that ``encode`` takes them."""
        return {
            "fill": self.fill,
            "center": self.center,
            "scale": self.scale,
            "slot_of_code": self.slot_of_code,
            "robust_scale": self.robust_scale,
            "edges": self.edges,
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
    slot_of_code: Any,
    center: Any = None,
    scale: Any = None,
    robust_scale: Any = None,
    edges: Any = None,
    scaling: str = "standard",
    has_bins: bool = False,
) -> Any:
    """Encode rows: scaled numbers, missing indicators, category slots, bins.

    Parameters
    ----------
    xp : module
        ``numpy`` or ``keras.ops``.
    numbers : array of float32, shape (n_rows, n_numbers) or None
        NaN where missing.
    codes : array of int32, shape (n_rows, n_categories) or None
        Category codes of the schema.
    fill, slot_of_code, center, scale, robust_scale, edges : array
        One member's `Statistics`; what the scaling and the bins do not need may be left out.
    scaling : str
        standard: ``(x - center) / scale``; robust: ``smooth_clip((x - fill) / robust_scale)``.
    has_bins : bool
        Whether the piecewise-linear encoding of the numbers stands behind everything else.

    Returns
    -------
    array of float32, shape (n_rows, n_features) or (n_rows, n_features + n_numbers * N_BINS)
    """
    parts = []
    if layout.n_numbers:
        is_missing = xp.isnan(numbers)
        filled = xp.where(is_missing, fill, numbers)
        if scaling == "robust":
            parts.append(smooth_clip(xp, (filled - fill) / robust_scale))
        else:
            parts.append((filled - center) / scale)
        if layout.indicators:
            columns = np.asarray(layout.indicators, "int32")
            parts.append(_as_float(xp, xp.take(is_missing, columns, axis=-1)))
    if layout.n_slots:
        slots = xp.take(slot_of_code, codes + layout.offsets, axis=0)
        parts.append(_as_float(xp, xp.equal(xp.take(slots, layout.owners, axis=-1), layout.positions)))
    if has_bins and layout.n_numbers:
        parts.append(piecewise(xp, filled, edges))
    return xp.concatenate(parts, axis=-1) if len(parts) > 1 else parts[0]


def smooth_clip(xp: Any, x: Any) -> Any:
    """Squeeze numbers into (-3, 3): ``x / sqrt(1 + (x / 3)^2)`` (RealMLP, Holzmueller et al. 2024)."""
    x = xp.clip(x, -LARGEST, LARGEST)
    return x / xp.sqrt(1.0 + xp.square(x / SMOOTHING))


def piecewise(xp: Any, filled: Any, edges: Any) -> Any:
    """How much of each bin lies below a number (Gorishniy et al. 2022, eq. 1, held within [0, 1]).

    Parameters
    ----------
    filled : array of float32, shape (n_rows, n_numbers)
        Without missing values.
    edges : array of float32, shape (n_numbers, n_bins + 1)
        A bin of no width gives zeros.

    Returns
    -------
    array of float32, shape (n_rows, n_numbers * n_bins)
    """
    n_numbers, n_bins = edges.shape[-2], edges.shape[-1] - 1
    lower = edges[..., :-1]
    width = edges[..., 1:] - lower
    is_bin = width > 0
    share = (filled[..., None] - lower) / xp.where(is_bin, width, xp.ones_like(width))
    share = xp.where(is_bin, xp.clip(share, 0.0, 1.0), xp.zeros_like(share))
    return xp.reshape(share, (-1, n_numbers * n_bins))


def _as_float(xp: Any, flags: Any) -> Any:
    return flags.astype("float32") if xp is np else xp.cast(flags, "float32")
