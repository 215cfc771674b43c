"""What a study's trials predicted for the rows they did not learn from, as a replay reads it."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from operator import index
from pathlib import Path
from typing import Any, Self, final, overload

import numpy as np
from numpy.typing import NDArray

from search.records import Run, RunError, Trial

Array = NDArray[Any]
MOST_OPEN = 128  # files: more than the candidates of a decision, less than any system allows


@final
class Stored(Sequence[Array]):
    """Predictions that stay on the disk: a trial's file is memory-mapped when it is asked for.

    A map keeps its file open, and a process may not open as many as a study can have trials: those that were
    asked for longest ago are closed when nobody holds them.

    Parameters
    ----------
    places : sequence of (Path, slice)
        For each trial an ``.npy`` file of ``(n_kept, n_repeats, n_rows, n_outputs)``, and what of its first
        axis counts.
    """

    def __init__(self, places: Sequence[tuple[Path, slice]]) -> None:
        self._places = tuple(places)
        self._opened = lru_cache(MOST_OPEN)(opened)

    def __len__(self) -> int:
        return len(self._places)

    @overload
    def __getitem__(self, place: int) -> Array: ...
    @overload
    def __getitem__(self, place: slice) -> Self: ...
    def __getitem__(self, place: int | slice) -> Array | Self:
        if isinstance(place, slice):
            return type(self)(self._places[place])
        path, part = self._places[index(place)]
        found: Array = self._opened(path)[part]
        return found


def opened(path: Path) -> Array:
    """The array of an ``.npy`` file, memory-mapped."""
    try:
        stored: Array = np.load(path, mmap_mode="r", allow_pickle=False)
    except ValueError as error:
        raise RunError(f"{path} must hold a whole array: {error}") from None
    return stored


@dataclass(frozen=True)
class History:
    """What trials predicted for the rows they did not learn from.

    Attributes
    ----------
    y : (n_rows, n_outputs)
    numbers : tuple of int
        Trials with stored predictions, in the order in which they were run.
    is_completed : (n_trials,) bool
        False for those that were pruned: they cannot be revived.
    architectures : tuple of hashable
    epochs : tuple of tuple of int
        Checkpoints of each trial with stored predictions, rising.
    predictions : sequence of (n_kept, n_repeats, n_rows, n_outputs)
        NaN where a row was not held out in a repeat, the same for all trials. They may be `Stored`.
    units : (n_rows,)
        Rows that belong together (groups, duplicates) share a number.
    time : (n_rows,) or None
        Sort key of time-ordered data.
    fold_of_row : (n_repeats, n_rows) int or None
        The fold that holds a row out, -1 for never, where each fold chose its own epoch; None: one epoch per
        trial.
    is_watched : (n_trials,) bool or None
        Whether training was watched, so that pruning and patience could end it; None: always.
    row_weights : (n_rows,) or None
        How much each row counts in every score; None: all the same.

    Raises
    ------
    ValueError
        When shapes do not fit, or no trial was completed.
    """

    y: Array
    numbers: tuple[int, ...]
    is_completed: NDArray[np.bool_]
    architectures: tuple[Hashable, ...]
    epochs: tuple[tuple[int, ...], ...]
    predictions: Sequence[Array]
    units: Array
    time: Array | None = None
    fold_of_row: Array | None = None
    is_watched: NDArray[np.bool_] | None = None
    row_weights: Array | None = None

    def __post_init__(self) -> None:
        sizes = {len(self.numbers), len(self.is_completed), len(self.architectures), len(self.epochs)}
        if sizes != {len(self.predictions)} or not np.any(self.is_completed):
            raise ValueError(f"a replay needs a completed trial and one entry for each, got {sizes} entries")
        for epochs, table in zip(self.epochs, self.predictions, strict=True):
            shape = (len(epochs), self.predictions[0].shape[1], *self.y.shape)
            if table.shape != shape or list(epochs) != sorted(set(epochs)):
                raise ValueError(f"predictions at rising epochs {epochs} must be {shape}, got {table.shape}")
        if self.fold_of_row is not None and not np.array_equal(self.fold_of_row >= 0, self.is_held):
            raise ValueError(
                "fold_of_row must name a fold for each row that a repeat holds out, and no other"
            )

    @property
    def n_trials(self) -> int:
        """Trials with stored predictions."""
        return len(self.numbers)

    @cached_property
    def is_held(self) -> NDArray[np.bool_]:
        """Whether a repeat holds a row out, `(n_repeats, n_rows)`."""
        return ~np.isnan(self.predictions[0][0, :, :, 0])

    @property
    def can_end_early(self) -> NDArray[np.bool_]:
        """Whether pruning and patience could end a trial, `(n_trials,)`."""
        return np.ones(self.n_trials, bool) if self.is_watched is None else np.asarray(self.is_watched)

    def weighted(self, row_weights: Array) -> Array:
        """Row weights `(..., n_rows)` times how much each row counts."""
        given = np.asarray(row_weights, np.float64)
        return given if self.row_weights is None else given * self.row_weights

    @property
    def is_ever_held(self) -> NDArray[np.bool_]:
        """Whether any repeat holds a row out, `(n_rows,)`."""
        return np.asarray(self.is_held.any(axis=0))

    @cached_property
    def member_of_row(self) -> Array:
        """Member that holds a row out `(n_repeats, n_rows)`, fold by fold in each repeat; 0 for none."""
        folds = np.zeros(self.is_held.shape, np.int64) if self.fold_of_row is None else self.fold_of_row
        first = np.arange(len(folds))[:, None] * (int(folds.max()) + 1)
        return np.where(folds >= 0, first + folds, 0)

    @cached_property
    def members(self) -> tuple[tuple[int, Array], ...]:
        """Repeat and held rows of each member, repeat by repeat."""
        n_folds = int(self.member_of_row[0].max()) + 1
        member_of_row = np.where(self.is_held, self.member_of_row, -1)
        return tuple(
            (repeat, np.flatnonzero(members == repeat * n_folds + fold))
            for repeat, members in enumerate(member_of_row)
            for fold in range(n_folds)
        )

    def table(self, trial: int, kept: Array) -> Array:
        """Predictions of a trial `(n_repeats, n_rows, n_outputs)` at its kept epoch, or its members'."""
        stored = self.predictions[trial]
        if np.ndim(kept) == 0:
            return np.asarray(stored[kept])
        n_repeats, n_rows = self.is_held.shape
        return np.asarray(stored[kept[self.member_of_row], np.arange(n_repeats)[:, None], np.arange(n_rows)])


def history_of(
    run: Run,
    y: Array,
    *,
    architecture: Callable[[Trial], Hashable],
    units: Array | None = None,
    time: Array | None = None,
    has_epochs: bool = True,
    fold_of_row: Array | None = None,
    is_watched: Callable[[Trial], bool] | None = None,
    row_weights: Array | None = None,
) -> History:
    """Read the history of a run; predictions stay on the disk until they are used.

    Parameters
    ----------
    has_epochs
        Whether epochs were chosen on the held-out rows. If not, a trial's own predictions are all that is
        read: right where epochs were fixed or chosen on inner rows.
    fold_of_row : (n_repeats, n_rows) int, optional
        Given where each fold chose its own epoch.
    is_watched
        Whether pruning and patience could end a trial; by default any.
    row_weights : (n_rows,), optional

    Raises
    ------
    RunError
        If no trial was completed, or epochs were not chosen as said.
    """
    trials = sorted((t for t in run.trials() if t.status in ("completed", "pruned")), key=lambda t: t.number)
    if not any(trial.status == "completed" for trial in trials):
        raise RunError(f"a replay needs a completed trial, and the run {str(run.path)!r} has none")
    kept = [_kept(run, trial, has_epochs, fold_of_row is not None) for trial in trials]
    return History(
        y=np.asarray(y, np.float64),
        numbers=tuple(trial.number for trial in trials),
        is_completed=np.array([trial.status == "completed" for trial in trials]),
        architectures=tuple(architecture(trial) for trial in trials),
        epochs=tuple(epochs for epochs, _, _ in kept),
        predictions=Stored([(path, part) for _, path, part in kept]),
        units=np.arange(len(y)) if units is None else np.asarray(units),
        time=time,
        fold_of_row=fold_of_row,
        is_watched=None if is_watched is None else np.array([is_watched(trial) for trial in trials]),
        row_weights=row_weights,
    )


def _kept(run: Run, trial: Trial, has_epochs: bool, is_by_fold: bool) -> tuple[tuple[int, ...], Path, slice]:
    """Return a trial's epochs, its file, and where its predictions are there; of its folds' epochs last."""
    path = run.path / f"oof/{trial.number:05d}.npy"
    epoch, n_kept = trial.chosen_epoch or 1, len(trial.kept_epochs)
    if not has_epochs:
        place = trial.kept_epochs.index(epoch) if trial.chosen_index is None else trial.chosen_index
        return (epoch,), path, slice(place, place + 1)
    if len(opened(path)) != n_kept + is_by_fold:
        said, found = (
            ("each fold has its own", "one for all") if is_by_fold else ("one for all", "one for each")
        )
        raise RunError(
            f"epochs are replayed as said, a trial has {said}; in the run {str(run.path)!r} trial "
            f"{trial.number} has {found}"
        )
    return trial.kept_epochs, path, slice(n_kept)
