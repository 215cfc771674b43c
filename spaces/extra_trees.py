"""Extremely randomised trees (Geurts et al. 2006): splits at random thresholds."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from spaces import forest
from spaces.forest import COLUMNS, Forest
from spaces.signature import Signature
from spaces.space import Space

Config = Mapping[str, Any]

__all__ = [
    "COLUMNS",
    "default_space",
    "first_configs",
    "fit",
    "pack",
    "predict",
    "rounds",
    "structure",
    "unpack",
]


def default_space(signature: Signature) -> Space:
    """What is tried by default."""
    return forest.space(signature, bootstraps=(False, True))


def first_configs(signature: Signature) -> tuple[dict[str, Any], ...]:
    """Leaves of one row, and larger ones for tables of noise."""
    deep, shallow = ({"max_features": 0.7, "min_samples_leaf": n, "bootstrap": False} for n in (1, 5))
    if not signature.task.is_classification:
        return deep, shallow
    return (
        {**deep, "criterion": "entropy", "smoothing": 0.1},
        {**shallow, "criterion": "entropy", "smoothing": 0.3},
    )


def structure(config: Config) -> tuple[Any, ...]:
    """The choices that make it another kind of model."""
    return forest.structure("extra_trees", config)


def rounds(config: Config) -> tuple[int, ...]:
    """A forest is read once."""
    return (1,)


def fit(
    config: Config,
    signature: Signature,
    x: np.ndarray,
    y: np.ndarray,
    *,
    seed: int,
    row_weights: np.ndarray | None = None,
    n_threads: int = 1,
) -> Forest:
    """Fit on the ordinal matrix; see `spaces.forest.fit`."""
    return forest.fit(
        "extra_trees", config, signature, x, y, seed=seed, row_weights=row_weights, n_threads=n_threads
    )


def predict(model: Forest, x: np.ndarray, n_rounds: int = 1) -> np.ndarray:
    """Probabilities or standardised values ``(n_rows, n_outputs)``."""
    return forest.predict(model, x)


def pack(model: Forest) -> bytes:
    """The fitted forest as an npz file."""
    return forest.pack("extra_trees", model)


def unpack(data: bytes) -> Forest:
    """Read what `pack` wrote; `PackedError` if the bytes are anything else."""
    return forest.unpack("extra_trees", data)
