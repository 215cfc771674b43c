"""Who is held out when: fold ids per row and repeat, and the sealed holdout."""

from __future__ import annotations

import hashlib
import os
import zipfile
import zlib
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np

from search.archives import check_arrays
from search.assignment import assign, shuffles
from search.splittable import (
    Rows,
    check_classes,
    check_counts,
    check_spread,
    check_windows,
    is_learnable,
    strata_of,
)
from search.splittable import (
    SplitError as SplitError,
)

SMALL, LARGE = 2_000, 50_000  # rows: below, 5 folds x 3 repeats; from here on, one holdout
HOLDOUT = 0.2
MOST_MEMBERS = 10_000


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
        with open(aside, "wb", opener=lambda name, flags: os.open(name, flags, 0o600)) as file:
            np.savez_compressed(file, allow_pickle=False, **arrays)
        os.replace(aside, path)

    @classmethod
    def load(cls, path: str | Path) -> Folds:
        """Read what `save` wrote.

        Raises
        ------
        SplitError
            If the file is damaged.
        """
        try:
            check_arrays(Path(path))
            with open(path, "rb") as file, np.load(file, allow_pickle=False) as stored:
                kind: Any = str(stored["kind"])
                n_splits, reason = int(stored["n_splits"]), str(stored["reason"])
                return cls(stored["fold_of_row"], kind, n_splits, reason, stored.get("units"))
        except (ValueError, KeyError, EOFError, zlib.error, zipfile.BadZipFile) as error:
            raise SplitError(f"splits must be whole, and {str(path)!r} is not: {error}") from None


def make_folds(
    dataset: Rows,
    *,
    n_splits: int | None = None,
    n_repeats: int | None = None,
    is_hurried: bool = False,
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
    is_hurried
        Whether time is short, so that one repeat is the default for any number of rows.
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
        If there are too few rows, groups, moments or rows of a class, repeats are asked for with time, or
        there would be more than 10,000 models per trial.
    """
    n_rows, is_timed = len(dataset.y), dataset.time is not None
    check_counts(n_splits, n_repeats, is_timed)
    k = n_splits if n_splits is not None else (5 if n_rows < LARGE else 1)
    r = (
        n_repeats
        if n_repeats is not None
        else (3 if n_rows < SMALL and k > 1 and not is_timed and not is_hurried else 1)
    )
    units = _units(dataset)
    reason = _reason(dataset, units, k, r, n_splits is None, n_repeats is None, is_stratified)
    if is_hurried and n_repeats is None and n_rows < SMALL and k > 1 and not is_timed:
        reason = f"{reason[:-1]}, and time is short."
    if dataset.time is not None:
        _check_members(k, r)
        folds = Folds(_blocks(dataset.time, k)[None], "time", k, reason, units)
        check_windows(dataset, folds.members())
        return folds
    check_classes(dataset, units, k)
    _check_members(k, r)
    shares = np.full(k, 1.0 / k) if k > 1 else np.array([HOLDOUT, 1.0 - HOLDOUT])
    fold_of_row = np.stack(list(shuffles(strata_of(dataset), units, shares, r, rng)))
    if dataset.task.is_classification and not is_stratified:
        nothing = np.zeros(len(units), np.int64)
        at_random = shuffles(nothing, units, shares, r, rng)
        pairs = zip(at_random, fold_of_row, strict=True)
        fold_of_row = np.stack([free if is_learnable(dataset, free, k) else kept for free, kept in pairs])
    if k == 1:
        fold_of_row = np.stack([_on_both_sides(sides, units) for sides in fold_of_row])
        return Folds(np.where(fold_of_row == 0, 0, -1).astype(np.int16), "holdout", k, reason, units)
    check_spread(dataset, fold_of_row)
    return Folds(fold_of_row, "kfold", k, reason, units)


def _check_members(n_splits: int, n_repeats: int) -> None:
    """Refuse more models per trial than a person could want."""
    if n_splits * n_repeats > MOST_MEMBERS:
        raise SplitError(
            f"splits times repeats must be at most {MOST_MEMBERS:,} models, not {n_splits} times {n_repeats}"
        )


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
        shares, strata = np.array([fraction, 1.0 - fraction]), strata_of(dataset)
        sides = assign(strata if is_stratified else np.zeros_like(strata), units, shares, rng)
        if not is_stratified and not is_learnable(dataset, sides, 1):
            sides = assign(strata, units, shares, rng)
        is_held = sides == 0
        is_kept = ~is_held
    if not is_held.any() or not is_kept.any():
        raise SplitError(
            f"a holdout of {fraction:g} of {is_held.size} rows leaves one side empty; change the share"
        )
    return np.flatnonzero(is_kept), np.flatnonzero(is_held)


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
