"""Who is held out when: fold ids per row and repeat, and the sealed holdout."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np

from search.assignment import assign, shuffles
from spaces.task import Task

SMALL, LARGE = 2_000, 50_000  # rows: below, 5 folds x 3 repeats; from here on, one holdout
HOLDOUT = 0.2


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


@dataclass(frozen=True)
class Member:
    """One model of one fold of one repeat.

    Parameters
    ----------
    repeat, fold
        Which one, from 0.
    train, held
        Row indices, sorted; no row, group or duplicate is on both sides.
    """

    repeat: int
    fold: int
    train: np.ndarray
    held: np.ndarray


@dataclass(frozen=True)
class Folds:
    """All splits of a study.

    Parameters
    ----------
    fold_of_row
        ``(n_repeats, n_rows)`` int16: the fold that holds a row out, -1 for never.
    kind
        ``"kfold"``, ``"holdout"`` or ``"time"`` (expanding windows).
    n_splits
        Folds per repeat, 1 for a holdout.
    reason
        A sentence: what was chosen and why.
    units
        ``(n_rows,)`` rows that belong together (groups, duplicates) share a number. In expanding windows,
        training rows that belong to a held-out one are left out.
    """

    fold_of_row: np.ndarray
    kind: Literal["kfold", "holdout", "time"]
    n_splits: int
    reason: str
    units: np.ndarray | None = None

    @property
    def n_repeats(self) -> int:
        """Reshufflings."""
        return int(self.fold_of_row.shape[0])

    @property
    def n_rows(self) -> int:
        """Rows of the dataset."""
        return int(self.fold_of_row.shape[1])

    @property
    def n_members(self) -> int:
        """Models per trial."""
        return self.n_repeats * self.n_splits

    def members(self) -> tuple[Member, ...]:
        """Return all members, repeat by repeat."""
        return tuple(self._member(r, k) for r in range(self.n_repeats) for k in range(self.n_splits))

    def _member(self, repeat: int, fold: int) -> Member:
        """Return one member; in expanding windows it trains on earlier blocks only."""
        folds = self.fold_of_row[repeat]
        is_held = folds == fold
        is_train = folds < fold if self.kind == "time" else ~is_held
        if self.kind == "time" and self.units is not None:
            is_train &= ~np.isin(self.units, self.units[is_held])
        return Member(repeat, fold, np.flatnonzero(is_train), np.flatnonzero(is_held))

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 of everything but the reason."""
        digest = hashlib.sha256(f"{self.kind} {self.n_splits} {self.fold_of_row.shape}".encode())
        digest.update(np.ascontiguousarray(self.fold_of_row, "<i2").tobytes())
        if self.units is not None:
            digest.update(np.ascontiguousarray(self.units, "<i8").tobytes())
        return digest.hexdigest()

    def save(self, path: str | Path) -> None:
        """Write an ``.npz`` file without pickled objects; an existing file is replaced in one step."""
        arrays: dict[str, Any] = {"fold_of_row": self.fold_of_row, "kind": np.array(self.kind)}
        arrays |= {"n_splits": np.array(self.n_splits), "reason": np.array(self.reason)}
        if self.units is not None:
            arrays["units"] = self.units
        aside = Path(path).with_name(Path(path).name + ".part")
        with aside.open("wb") as file:
            np.savez_compressed(file, **arrays)
        os.replace(aside, path)

    @classmethod
    def load(cls, path: str | Path) -> Folds:
        """Read what `save` wrote."""
        with np.load(path, allow_pickle=False) as stored:
            units = stored.get("units")
            kind: Any = str(stored["kind"])
            return cls(stored["fold_of_row"], kind, int(stored["n_splits"]), str(stored["reason"]), units)


def make_folds(
    dataset: Rows,
    *,
    n_splits: int | None = None,
    n_repeats: int | None = None,
    is_stratified: bool = True,
    rng: np.random.Generator,
) -> Folds:
    """Split the rows for a study.

    Parameters
    ----------
    dataset
        Rows with targets, groups, time and duplicates.
    n_splits
        Folds; 1 holds out 20 % once. By default 5, and 1 from 50,000 rows on.
    n_repeats
        Reshufflings. By default 3 below 2,000 rows, else 1; always 1 when rows are ordered in time.
    is_stratified
        Whether held-out rows have the class shares of the training rows. New rows have not: a log loss is
        then too good by up to ``(n_classes - 1) / n_rows``. Where random folds would keep a class from a
        member's training rows, they are stratified all the same.
    rng
        Source of the shuffling.

    Returns
    -------
    Folds
        Groups and duplicates whole; expanding windows when the rows have a time.

    Raises
    ------
    SplitError
        If there are too few rows, groups, moments or rows of a class, or repeats are asked for with time.
    """
    n_rows, is_timed = len(dataset.y), dataset.time is not None
    _check_counts(n_splits, n_repeats, is_timed)
    k = n_splits if n_splits is not None else (5 if n_rows < LARGE else 1)
    r = n_repeats if n_repeats is not None else (3 if n_rows < SMALL and k > 1 and not is_timed else 1)
    units = _units(dataset)
    reason = _reason(dataset, units, k, r, n_splits is None, n_repeats is None, is_stratified)
    if dataset.time is not None:
        folds = Folds(_blocks(dataset.time, k)[None], "time", k, reason, units)
        _check_windows(dataset, folds)
        return folds
    _check_classes(dataset, units, k)
    shares = np.full(k, 1.0 / k) if k > 1 else np.array([HOLDOUT, 1.0 - HOLDOUT])
    fold_of_row = np.stack(list(shuffles(_strata(dataset), units, shares, r, rng)))
    if dataset.task.is_classification and not is_stratified:
        nothing = np.zeros(len(units), np.int64)
        at_random = shuffles(nothing, units, shares, r, rng)
        pairs = zip(at_random, fold_of_row, strict=True)
        fold_of_row = np.stack([free if _is_learnable(dataset, free, k) else kept for free, kept in pairs])
    if k == 1:
        fold_of_row = np.stack([_on_both_sides(sides, units) for sides in fold_of_row])
        return Folds(np.where(fold_of_row == 0, 0, -1).astype(np.int16), "holdout", k, reason, units)
    _check_spread(dataset, fold_of_row)
    return Folds(fold_of_row, "kfold", k, reason, units)


def _is_learnable(dataset: Rows, fold_of_row: np.ndarray, n_held: int) -> bool:
    """Whether each of the held folds leaves rows of every stratum to learn from."""
    strata = _strata(dataset)
    everything = np.unique(strata).size
    return all(np.unique(strata[fold_of_row != fold]).size == everything for fold in range(n_held))


def _on_both_sides(sides: np.ndarray, units: np.ndarray) -> np.ndarray:
    """Move the smallest unit over where few large ones left a side of a holdout (0: held) empty."""
    if len(np.unique(sides)) == 2:
        return sides
    codes, counts = np.unique(units, return_counts=True)
    return np.where(units == codes[counts.argmin()], 1 - sides, sides)


def seal(
    dataset: Rows, fraction: float, rng: np.random.Generator, *, is_stratified: bool = True
) -> tuple[np.ndarray, np.ndarray]:
    """Set rows aside before anything is learned.

    Parameters
    ----------
    dataset
        Rows with targets, groups, time and duplicates.
    fraction
        Share to set aside, between 0 and 1, both excluded.
    rng
        Source of the shuffling.
    is_stratified
        As in `make_folds`.

    Returns
    -------
    development, holdout
        Sorted row indices: groups and duplicates whole. When the rows have a time, the holdout is
        the last rows, and earlier rows that belong to one of them are in neither.

    Raises
    ------
    SplitError
        If the fraction is out of range or one side would be empty.
    """
    if not 0.0 < fraction < 1.0:
        raise SplitError(f"the holdout is a share between 0 and 1, both excluded, not {fraction!r}")
    units = _units(dataset)
    if dataset.time is not None:
        is_held = _last(dataset.time, fraction)
        is_kept = ~is_held & ~np.isin(units, units[is_held])
    else:
        shares, strata = np.array([fraction, 1.0 - fraction]), _strata(dataset)
        sides = assign(strata if is_stratified else np.zeros_like(strata), units, shares, rng)
        if not is_stratified and not _is_learnable(dataset, sides, 1):
            sides = assign(strata, units, shares, rng)
        is_held = sides == 0
        is_kept = ~is_held
    if not is_held.any() or not is_kept.any():
        raise SplitError(
            f"a holdout of {fraction:g} of {is_held.size} rows leaves one side empty; change the share"
        )
    return np.flatnonzero(is_kept), np.flatnonzero(is_held)


def _check_counts(n_splits: int | None, n_repeats: int | None, is_timed: bool) -> None:
    """Refuse counts below 1, and repeats of rows that are ordered in time."""
    if n_splits is not None and n_splits < 1:
        raise SplitError(f"splits must be at least 1 (1 is one holdout), not {n_splits}")
    if n_repeats is not None and n_repeats < 1:
        raise SplitError(f"repeats must be at least 1, not {n_repeats}")
    if is_timed and n_repeats is not None and n_repeats > 1:
        raise SplitError(f"rows ordered in time are not shuffled, so repeats must be 1, not {n_repeats}")


def _units(dataset: Rows) -> np.ndarray:
    """Number the rows ``(n_rows,)`` so that those linked by a group or by equal features share a number."""
    _, duplicates = np.unique(dataset.duplicates, return_inverse=True)
    if dataset.groups is None:
        return duplicates.astype(np.int64)
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    _, groups = np.unique(dataset.groups, return_inverse=True)
    n_groups = int(groups.max()) + 1
    n_nodes = n_groups + int(duplicates.max()) + 1
    links = coo_array((np.ones(groups.size), (groups, n_groups + duplicates)), shape=(n_nodes, n_nodes))
    _, component = connected_components(links, directed=False)
    return np.asarray(component[groups], np.int64)


def _strata(dataset: Rows) -> np.ndarray:
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


def _blocks(time: np.ndarray, n_splits: int) -> np.ndarray:
    """Cut time into a first block (-1) and one block per fold ``(n_rows,)``, equal moments on one side."""
    if n_splits == 1:
        return np.where(_last(time, HOLDOUT), 0, -1).astype(np.int16)
    moments, which, n_at = np.unique(time, return_inverse=True, return_counts=True)
    if moments.size < n_splits + 1:
        raise SplitError(
            f"{n_splits} folds in time need at least {n_splits + 1} different times, not {moments.size}; "
            f"use fewer splits"
        )
    ends = np.cumsum(n_at)  # rows up to and including each moment
    cuts: list[int] = []
    for k in range(1, n_splits + 1):
        low, high = (cuts[-1] + 1 if cuts else 0), moments.size - 2 - (n_splits - k)
        ideal = k * time.size / (n_splits + 1)
        cuts.append(low + int(np.abs(ends[low : high + 1] - ideal).argmin()))
    blocks: np.ndarray = (np.searchsorted(np.array(cuts), which, side="left") - 1).astype(np.int16)
    return blocks


def _last(time: np.ndarray, fraction: float) -> np.ndarray:
    """Mark the last rows in time, about `fraction` of them, equal moments on one side."""
    moments, which, n_at = np.unique(time, return_inverse=True, return_counts=True)
    if moments.size < 2:
        raise SplitError(f"a holdout in time needs at least 2 different times, not {moments.size}")
    ends = np.cumsum(n_at)[:-1]
    return np.asarray(which > int(np.abs(ends - (1.0 - fraction) * time.size).argmin()))


def _class_name(dataset: Rows, code: int) -> str:
    """Return a class as it is written in messages."""
    return repr(dataset.task.classes[code])


def _check_classes(dataset: Rows, units: np.ndarray, n_splits: int) -> None:
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
    strata = _strata(dataset)
    for code in range(len(dataset.task.classes)):
        n_here = int(np.unique(units[strata == code]).size)
        if n_here < n_needed:
            fewer = f"use --splits {n_here}, or " if n_here >= 2 else ""
            raise SplitError(
                f"class {_class_name(dataset, code)} has {n_here} {one if n_here == 1 else noun}, "
                f"fewer than {where}: "
                f"{fewer}merge or drop the class"
            )


def _check_spread(dataset: Rows, fold_of_row: np.ndarray) -> None:
    """Refuse folds of which one is empty, or holds a class whole, so that its member never trains on it."""
    has_classes = dataset.task.kind in ("binary", "multiclass")
    strata = _strata(dataset) if has_classes else np.zeros(len(dataset.y), np.int64)
    n_folds = int(fold_of_row.max()) + 1
    for folds in fold_of_row:
        seen = np.zeros((n_folds, int(strata.max()) + 1), bool)
        seen[folds, strata] = True
        if not seen.any(axis=1).all() or n_folds < 2:
            raise SplitError("the groups are too large to give every fold a row: use fewer splits")
        if (alone := np.flatnonzero(seen.sum(axis=0) == 1)).size:
            name = _class_name(dataset, int(alone[0]))
            raise SplitError(f"all rows of class {name} fall into one fold: use other splits or finer groups")


def _check_windows(dataset: Rows, folds: Folds) -> None:
    """Refuse expanding windows whose training rows are empty or of one class."""
    for member in folds.members():
        if not member.train.size:
            raise SplitError(
                f"fold {member.fold} has no earlier row "
                f"outside the groups and duplicates of its held-out rows: "
                f"use either groups or time, or fewer splits"
            )
        if dataset.task.kind in ("binary", "multiclass"):
            seen = np.unique(_strata(dataset)[member.train])
            if seen.size < 2:
                raise SplitError(
                    f"before the held-out rows of fold {member.fold} only class "
                    f"{_class_name(dataset, int(seen[0]))} occurs: use fewer splits"
                )


def _reason(
    dataset: Rows,
    units: np.ndarray,
    n_splits: int,
    n_repeats: int,
    is_default: bool,
    is_repeat_default: bool,
    is_stratified: bool,
) -> str:
    """Say what was chosen and why."""
    n_rows, n_units = units.size, int(units.max()) + 1
    size = (
        f"{n_rows:,} rows are fewer than {SMALL:,}"
        if n_rows < SMALL
        else f"{n_rows:,} rows are fewer than {LARGE:,}"
        if n_rows < LARGE
        else f"{n_rows:,} rows are at least {LARGE:,}"
    )
    plan = f"{n_splits} folds x {n_repeats} repeat{'s' * (n_repeats != 1)}"
    if n_splits == 1:
        plan = f"one holdout of {HOLDOUT:.0%}" if n_repeats == 1 else f"{n_repeats} holdouts of {HOLDOUT:.0%}"
    if dataset.time is not None:
        plan = (
            f"{n_splits} expanding windows in time"
            if n_splits > 1
            else f"the last {HOLDOUT:.0%} in time held out"
        )
    elif dataset.task.is_classification:
        plan += ", stratified" if is_stratified else ", not stratified"
    if dataset.groups is not None:
        plan += f", groups whole ({n_units:,} separate sets of rows)"
    elif n_units < n_rows:
        plan += f", equal rows kept together ({n_rows - n_units:,} repeated)"
    asked = not is_default and (not is_repeat_default or dataset.time is not None or n_splits == 1)
    return f"{plan}: " + (
        "as asked for." if asked else f"{'' if is_default else 'folds as asked for, and '}{size}."
    )
