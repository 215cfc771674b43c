"""What the load benchmark measures of one stage at one size, and how it grows."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Measured:
    """One stage at one size.

    Attributes
    ----------
    stage : str
        What was done, as a reader of the documentation calls it.
    size : int
        Rows, trials or workers.
    seconds, cpu_seconds : float
        Wall clock; processor time of the process and its children.
    peak_mb : float
        Most resident memory that the stage added, in MB; NaN where it was not measured.
    mb_on_disk : float
        What the stage wrote, in MB; NaN where it writes nothing.
    """

    stage: str
    size: int
    seconds: float
    cpu_seconds: float
    peak_mb: float = math.nan
    mb_on_disk: float = math.nan


def exponent(sizes: Sequence[float], values: Sequence[float]) -> float:
    """The power of the size by which a value grows: the slope of a line through the logarithms."""
    xs, ys = [math.log(size) for size in sizes], [math.log(value) for value in values]
    mean_x, mean_y = sum(xs) / len(xs), sum(ys) / len(ys)
    across = sum((x - mean_x) ** 2 for x in xs)
    return sum((x - mean_x) * (y - mean_y) for x, y in zip(xs, ys, strict=True)) / across
