"""What rows can be split, and what is kept in proportion: rules that are checked before and after a split."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Protocol

import numpy as np

from spaces.task import Task

if TYPE_CHECKING:
    from search.splits import Member


class SplitError(ValueError):
    """The rows cannot be split as asked."""


class Rows(Protocol):
    """What a split needs to know about a dataset (see `search.data.Dataset`)."""

    @property
    def y(self) -> np.ndarray: ...
    @property
    def task(self) -> Task: ...
    @property
    def groups(self) -> np.ndarray | None: ...
    @property
    def time(self) -> np.ndarray | None: ...
    @property
    def duplicates(self) -> np.ndarray: ...


def strata_of(dataset: Rows) -> np.ndarray:
    """Return what is kept in proportion ``(n_rows,)``: the class, the rarest label of the row, or nothing."""
    y = dataset.y
    if dataset.task.kind == "regression":
        return np.zeros(len(y), np.int64)
    if dataset.task.kind == "binary":
        return np.asarray(y[:, 0], np.int64)
    if dataset.task.kind == "multiclass":
        return np.asarray(y.argmax(axis=1))
    rarity = np.argsort(y.sum(axis=0), kind="stable")
    return np.asarray(np.where(y.any(axis=1), (y[:, rarity] > 0).argmax(axis=1), y.shape[1]))


def is_learnable(dataset: Rows, fold_of_row: np.ndarray, n_held: int) -> bool:
    """Whether each of the held folds leaves rows of every stratum to learn from."""
    strata = strata_of(dataset)
    everything = np.unique(strata).size
    return all(np.unique(strata[fold_of_row != fold]).size == everything for fold in range(n_held))


def check_counts(n_splits: int | None, n_repeats: int | None, is_timed: bool) -> None:
    """Refuse counts below 1, and repeats of rows that are ordered in time."""
    if n_splits is not None and n_splits < 1:
        raise SplitError(f"splits must be at least 1 (1 is one holdout), not {n_splits}")
    if n_repeats is not None and n_repeats < 1:
        raise SplitError(f"repeats must be at least 1, not {n_repeats}")
    if is_timed and n_repeats is not None and n_repeats > 1:
        raise SplitError(f"rows ordered in time are not shuffled, so repeats must be 1, not {n_repeats}")


def _class_name(dataset: Rows, code: int) -> str:
    """Return a class as it is written in messages."""
    return repr(dataset.task.classes[code])


def check_classes(dataset: Rows, units: np.ndarray, n_splits: int) -> None:
    """Refuse fewer rows or groups, in all or of a class, than folds."""
    n_needed = max(n_splits, 2)
    is_grouped = int(units.max()) + 1 < units.size
    one, noun = ("separate group of rows", "separate groups of rows") if is_grouped else ("row", "rows")
    where = f"{n_splits} folds" if n_splits > 1 else "the 2 sides of a holdout"
    n_units = int(units.max()) + 1
    if n_units < n_needed:
        raise SplitError(f"the table has {n_units} {noun}, fewer than {where}: use fewer splits or more rows")
    if dataset.task.kind not in ("binary", "multiclass"):
        return
    strata = strata_of(dataset)
    for code in range(len(dataset.task.classes)):
        n_here = int(np.unique(units[strata == code]).size)
        if n_here < n_needed:
            fewer = f"use --splits {n_here}, or " if n_here >= 2 else ""
            raise SplitError(
                f"class {_class_name(dataset, code)} has {n_here} {one if n_here == 1 else noun}, "
                f"fewer than {where}: "
                f"{fewer}merge or drop the class"
            )


def check_spread(dataset: Rows, fold_of_row: np.ndarray) -> None:
    """Refuse folds of which one is empty, or holds a class whole, so that its member never trains on it."""
    has_classes = dataset.task.kind in ("binary", "multiclass")
    strata = strata_of(dataset) if has_classes else np.zeros(len(dataset.y), np.int64)
    n_folds = int(fold_of_row.max()) + 1
    for folds in fold_of_row:
        seen = np.zeros((n_folds, int(strata.max()) + 1), bool)
        seen[folds, strata] = True
        if not seen.any(axis=1).all() or n_folds < 2:
            raise SplitError("the groups are too large to give every fold a row: use fewer splits")
        if (alone := np.flatnonzero(seen.sum(axis=0) == 1)).size:
            name = _class_name(dataset, int(alone[0]))
            raise SplitError(f"all rows of class {name} fall into one fold: use other splits or finer groups")


def check_windows(dataset: Rows, members: Iterable[Member]) -> None:
    """Refuse expanding windows whose training rows are empty or of one class."""
    for member in members:
        if not member.train.size:
            raise SplitError(
                f"fold {member.fold} has no earlier row "
                f"outside the groups and duplicates of its held-out rows: "
                f"use either groups or time, or fewer splits"
            )
        if dataset.task.kind in ("binary", "multiclass"):
            seen = np.unique(strata_of(dataset)[member.train])
            if seen.size < 2:
                raise SplitError(
                    f"before the held-out rows of fold {member.fold} only class "
                    f"{_class_name(dataset, int(seen[0]))} occurs: use fewer splits"
                )
