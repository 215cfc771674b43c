"""The rows that a KFoldTuner learns from, and their folds."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from search.kfold_inputs import FoldError, Inputs
from search.splits import Folds, make_folds
from spaces.task import Task

Array = NDArray[Any]


@dataclass(frozen=True)
class Rows:
    """What is learned from: inputs, targets as the user's loss wants them, weights.

    Attributes
    ----------
    x : Inputs
    y : ndarray, shape (n_rows,) or (n_rows, n_outputs)
    sample_weight : ndarray, shape (n_rows,), or None
    """

    x: Inputs
    y: Array
    sample_weight: Array | None = None

    def __post_init__(self) -> None:
        if len(self.x) != len(self.y) or not len(self.x):
            raise FoldError(f"x and y must have the same rows, got {len(self.x)} and {len(self.y)}")
        if self.sample_weight is not None and len(self.sample_weight) != len(self.x):
            raise FoldError(f"sample_weight must have a number for each of {len(self.x)} rows")

    @property
    def digest(self) -> str:
        """A fingerprint of all values and of how they are put together."""
        found = hashlib.sha256()
        if self.x.layout.kind != "one":
            found.update(self.x.layout.to_json().encode())
        for part in (*self.x.parts, self.y, *([] if self.sample_weight is None else [self.sample_weight])):
            found.update(part.tobytes())
        return found.hexdigest()

    @property
    def codes(self) -> Array | None:
        """The class of each row as a number; None where the targets are no classes."""
        y = self.y
        if y.ndim == 2 and y.shape[1] > 1:
            is_one_hot = np.isin(y, (0, 1)).all() and (y.sum(axis=1) == 1).all()
            return np.asarray(y.argmax(axis=1)) if is_one_hot else None
        flat = y.reshape(len(y), -1)[:, 0]
        return flat.astype(np.int64) if np.array_equal(flat, np.round(flat)) else None


@dataclass(frozen=True)
class _SplitRows:
    """What `make_folds` asks of rows."""

    y: Array
    task: Task
    duplicates: Array
    groups: None = None
    time: None = None


def folds_of(rows: Rows, n_splits: int, n_repeats: int, seed: int, *, is_classified: bool) -> Folds:
    """Folds at random, equal inputs never on both sides; a class is missing from no member's training rows.

    Raises
    ------
    SplitError
        If there are too few rows, or rows of a class.
    """
    flat = rows.x.flat()
    duplicates = np.unique(flat, axis=0, return_inverse=True)[1].reshape(-1)
    y, task = np.zeros((len(flat), 1)), Task("regression", ("y",))
    if is_classified and rows.codes is not None and np.ptp(rows.codes):
        classes, codes = np.unique(rows.codes, return_inverse=True)
        kind = "binary" if len(classes) == 2 else "multiclass"
        task = Task(kind, ("y",), tuple(classes.tolist()))  # type: ignore[arg-type]
        y = codes[:, None].astype(float) if kind == "binary" else np.eye(len(classes))[codes]
    split = _SplitRows(y, task, duplicates)
    rng = np.random.default_rng([seed, 1])
    return make_folds(split, n_splits=n_splits, n_repeats=n_repeats, is_stratified=False, rng=rng)
