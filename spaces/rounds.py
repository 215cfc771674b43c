"""How many rounds a boosted model is fitted for, and after which of them it can be read."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from spaces.task import Task

N_READINGS = 16


def rate_sum(task: Task) -> float:
    """Learning rates of all rounds together that are enough on most tables: noise-free values need more."""
    return 15.0 if task.is_classification else 30.0


def n_rounds(config: Mapping[str, Any]) -> int:
    """Rounds to fit: ``rate_sum / learning_rate``, between 60 and 800.

    >>> n_rounds({"learning_rate": 0.1, "rate_sum": 30.0})
    300
    """
    return int(np.clip(round(config.get("rate_sum", 15.0) / config["learning_rate"]), 60, 800))


def readings(n_fitted: int) -> tuple[int, ...]:
    """Rounds at which a model of `n_fitted` rounds is read: log-spaced from a fortieth to the last.

    >>> readings(200)
    (5, 6, 8, 10, 13, 17, 22, 28, 36, 46, 58, 75, 96, 122, 156, 200)
    """
    spaced = np.geomspace(max(1.0, n_fitted / 40), n_fitted, N_READINGS)
    return tuple(int(n) for n in np.unique(np.round(spaced).astype(int)))
