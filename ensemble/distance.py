"""How far apart two configurations are."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Range = tuple[float, float] | tuple[float, float, bool]
"""Low and high end of a number, and whether its logarithm counts; both ends are then above 0."""


def configuration_distance(
    configs: Sequence[Mapping[str, Any]], ranges: Mapping[str, Range] | None = None
) -> NDArray[np.float64]:
    """Return the mean difference over the parameters that either of two configurations has.

    After Gower 1971, "A general coefficient of similarity and some of its properties": a number counts by how
    far apart the two are in its range, anything else 0 or 1; a parameter that only one of the two has (its
    condition does not hold in the other) counts 1, one that neither has is left out.

    Parameters
    ----------
    configs : sequence of mapping
        The family may be one of the entries.
    ranges : mapping of name to (low, high) or (low, high, is_log), optional
        Numbers without a range take that of the values given here.

    Returns
    -------
    (n_configs, n_configs) float64
        Symmetric, from 0 to 1, zeros on the diagonal.

    Raises
    ------
    ValueError
        When a range is empty, not finite, or has no logarithm.
    """
    for name, (low, high, *is_log) in (ranges or {}).items():
        if not (math.isfinite(low) and math.isfinite(high) and low <= high) or (any(is_log) and low <= 0):
            raise ValueError(
                f"a range must be finite and rising, and above 0 for logs, got {low} to {high} for {name!r}"
            )
    n_configs = len(configs)
    total, n_counted = np.zeros((n_configs, n_configs)), np.zeros((n_configs, n_configs))
    for name in dict.fromkeys(name for config in configs for name in config):
        has = np.array([name in config for config in configs])
        values = [config.get(name) for config in configs]
        apart = _apart(values, has, (ranges or {}).get(name))
        is_either = has[:, None] | has
        total += np.where(has[:, None] & has, apart, is_either)
        n_counted += is_either
    return np.asarray(total / np.maximum(n_counted, 1.0), dtype=np.float64)


def _apart(values: Sequence[Any], has: NDArray[np.bool_], bounds: Range | None) -> NDArray[np.float64]:
    present = [value for value, is_there in zip(values, has, strict=True) if is_there]
    if not all(_is_number(value) for value in present):
        rows = [[float(a != b) for b in values] for a in values]
        return np.array(rows, dtype=np.float64)
    low, high, *is_log = bounds or (min(present), max(present))
    places = np.array([float(v) if there else low for v, there in zip(values, has, strict=True)])
    places = np.clip(places, low, high)
    if any(is_log):
        places, low, high = np.log(places), math.log(low), math.log(high)
    width = high - low
    return np.asarray(np.abs(places[:, None] - places) / (width if width > 0 else 1.0), dtype=np.float64)


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float, np.integer, np.floating)) and not isinstance(value, bool)
