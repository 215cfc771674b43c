"""The decision rule of a study, replayed on row weights from stored held-out predictions. Nothing is trained.

Per trial one epoch; median pruning in trial order; the winner; members and their weights. With all weights
one the study's own decisions come back (where no checkpoint was thinned out).
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from reports.scoring import losses
from search.metrics import Metric
from search.records import Run, RunError, Trial

Array = NDArray[Any]
Stage = Literal["epoch", "prune", "winner", "members"]
STAGES: tuple[Stage, ...] = ("epoch", "prune", "winner", "members")

ChooseMembers = Callable[[Array, Sequence[Hashable], Array, Array], Array]
"""`(candidates (n_c, n_lines, n_outputs), architectures, y (n_lines, n_outputs), row_weights (n_lines,))`
-> `weights (n_c,)`, not negative, sum 1. Candidates come best first; repeats are laid out as further
lines."""

Curve = tuple[Sequence[int], Sequence[float]]
Ceilings = Callable[[Sequence[Curve], Sequence[int]], Mapping[int, float]]
"""`(curves of the completed trials, checkpoints) -> loss not to be exceeded, by epoch`. A curve is given as
the epochs at which a trial improved and its loss there: only the best loss so far may count."""


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
    predictions : tuple of (n_kept, n_repeats, n_rows, n_outputs)
        NaN where a row was not held out in a repeat, the same for all trials. May be memory-mapped.
    units : (n_rows,)
        Rows that belong together (groups, duplicates) share a number.
    time : (n_rows,) or None
        Sort key of time-ordered data.

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
    predictions: tuple[Array, ...]
    units: Array
    time: Array | None = None

    def __post_init__(self) -> None:
        sizes = {len(self.numbers), len(self.is_completed), len(self.architectures), len(self.epochs)}
        if sizes != {len(self.predictions)} or not np.any(self.is_completed):
            raise ValueError(f"a replay needs a completed trial and one entry for each, got {sizes} entries")
        for epochs, table in zip(self.epochs, self.predictions, strict=True):
            shape = (len(epochs), self.predictions[0].shape[1], *self.y.shape)
            if table.shape != shape or list(epochs) != sorted(set(epochs)):
                raise ValueError(f"predictions at rising epochs {epochs} must be {shape}, got {table.shape}")

    @property
    def n_trials(self) -> int:
        """Trials with stored predictions."""
        return len(self.numbers)

    @cached_property
    def is_held(self) -> NDArray[np.bool_]:
        """Whether a repeat holds a row out, `(n_repeats, n_rows)`."""
        return ~np.isnan(self.predictions[0][0, :, :, 0])

    @property
    def is_ever_held(self) -> NDArray[np.bool_]:
        """Whether any repeat holds a row out, `(n_rows,)`."""
        return np.asarray(self.is_held.any(axis=0))


@dataclass(frozen=True)
class Rule:
    """How a study decides.

    Attributes
    ----------
    metric
        Bound to the task.
    choose_members
        Members and weights from the best candidates.
    ceilings, looks
        The pruning rule, and the epochs at which every trial is looked at; None prunes nothing.
    patience, patience_from
        A trial ends at a look from `patience_from` on at which `patience` times its best epoch has passed;
        0: never.
    most_candidates : int
        So many of the best trials may become members.
    """

    metric: Metric
    choose_members: ChooseMembers
    ceilings: Ceilings | None = None
    looks: tuple[int, ...] = ()
    patience: float = 0.0
    patience_from: int = 25
    most_candidates: int = 50


@dataclass(frozen=True)
class Decision:
    """What the rule decided from some rows; indices count the trials of the history.

    Attributes
    ----------
    kept : (n_trials,) int
        Index of the chosen epoch among a trial's kept ones.
    losses : (n_trials,)
        Loss there, on the rows that decided.
    is_pruned : (n_trials,) bool
    winner : int
    weights : (n_trials,)
        Of the ensemble, sum 1.
    """

    kept: NDArray[np.int64]
    losses: Array
    is_pruned: NDArray[np.bool_]
    winner: int
    weights: Array


Frozen = tuple[Stage, Decision]
"""A stage, and the decision that it is taken from instead of being replayed."""


def history_of(
    run: Run,
    y: Array,
    *,
    architecture: Callable[[Trial], Hashable],
    units: Array | None = None,
    time: Array | None = None,
    has_epochs: bool = True,
) -> History:
    """Read the history of a run; predictions stay on the disk until they are used.

    Parameters
    ----------
    has_epochs
        Whether one epoch per trial was chosen on the held-out rows. If not, a trial's own predictions are
        all that is read: right where epochs were fixed or chosen on inner rows, and too good where each
        fold chose its own.

    Raises
    ------
    RunError
        If no trial was completed, or epochs are asked for and each fold chose its own.
    """
    trials = sorted((t for t in run.trials() if t.status in ("completed", "pruned")), key=lambda t: t.number)
    if not any(trial.status == "completed" for trial in trials):
        raise RunError(f"a replay needs a completed trial, and the run {str(run.path)!r} has none")
    kept = [_kept(run, trial, has_epochs) for trial in trials]
    return History(
        y=np.asarray(y, np.float64),
        numbers=tuple(trial.number for trial in trials),
        is_completed=np.array([trial.status == "completed" for trial in trials]),
        architectures=tuple(architecture(trial) for trial in trials),
        epochs=tuple(epochs for epochs, _ in kept),
        predictions=tuple(tables for _, tables in kept),
        units=np.arange(len(y)) if units is None else np.asarray(units),
        time=time,
    )


def _kept(run: Run, trial: Trial, has_epochs: bool) -> tuple[tuple[int, ...], Array]:
    """Return a trial's epochs and its predictions there."""
    stored: Array = np.load(run.path / f"oof/{trial.number:05d}.npy", mmap_mode="r")
    epoch = trial.chosen_epoch or 1
    if not has_epochs:
        index = trial.kept_epochs.index(epoch) if trial.chosen_index is None else trial.chosen_index
        return (epoch,), stored[index : index + 1]
    if len(stored) != len(trial.kept_epochs):
        raise RunError(
            f"epochs are replayed where a trial has one for all folds; in the run {str(run.path)!r} trial "
            f"{trial.number} has one for each"
        )
    return trial.kept_epochs, stored


def curves(history: History, metric: Metric, row_weights: Array) -> Array:
    """Loss of every trial at every kept epoch under every row weighting.

    Parameters
    ----------
    row_weights : (n_weights, n_rows)

    Returns
    -------
    (n_weights, n_trials, n_most_kept)
        Pooled over the weighted rows of a repeat, averaged over repeats; infinite beyond a trial's last
        epoch and where undefined.
    """
    n_most = max(map(len, history.epochs))
    found = np.full((len(row_weights), history.n_trials, n_most), np.inf)
    weights = np.asarray(row_weights, np.float64)
    by_repeat = [(rows, weights[:, rows]) for rows in map(np.flatnonzero, history.is_held)]
    n_counted = sum(part.any(axis=1).astype(float) for _, part in by_repeat)
    for t, table in enumerate(history.predictions):
        total = np.zeros((len(table), len(weights)))
        for repeat, (rows, part) in enumerate(by_repeat):
            loss = losses(metric, history.y[rows], np.asarray(table[:, repeat, rows]), part)
            total += np.where(part.any(axis=1), loss, 0.0)
        mean = total / np.maximum(n_counted, 1.0)
        found[:, t, : len(table)] = np.where(np.isfinite(mean), mean, np.inf).T
    return found


def decide(
    history: History,
    rule: Rule,
    row_weights: Array,
    *,
    curve: Array | None = None,
    frozen: Frozen | None = None,
) -> Decision:
    """Let the rule decide from weighted rows.

    Parameters
    ----------
    row_weights : (n_rows,)
        At least 0; a row of weight 0 has no say.
    curve : (n_trials, n_most_kept), optional
        Its entry in `curves`, where that is known already.
    frozen : (stage, decision), optional
        One stage is taken from the decision and not replayed.
    """
    if curve is None:
        curve = curves(history, rule.metric, np.asarray(row_weights)[None])[0]
    stage, full = frozen if frozen is not None else (None, None)
    ended = _ended(history, rule, curve)
    kept, is_pruned = ended.argmin(axis=1), _pruned(history, rule, ended)
    if full is not None and stage == "epoch":
        kept = full.kept
    if full is not None and stage == "prune":
        is_pruned = full.is_pruned
    found = curve[np.arange(history.n_trials), kept]
    order = _best_first(found, is_pruned)
    winner = full.winner if full is not None and stage == "winner" else int(order[0])
    if full is not None and stage in ("members", "winner"):  # nobody asks for the ensemble of a frozen winner
        weights = full.weights
    else:
        weights = _member_weights(history, rule, row_weights, kept, order[: rule.most_candidates])
    return Decision(kept, found, is_pruned, winner, weights)


def decide_all(
    history: History,
    rule: Rule,
    row_weights: Array,
    all_curves: Array,
    *,
    frozen: Frozen | None = None,
    n_workers: int = 1,
) -> list[Decision]:
    """Let the rule decide under every row weighting `(n_weights, n_rows)`, in `n_workers` threads."""
    with ThreadPoolExecutor(n_workers) as pool:
        return list(
            pool.map(lambda w, c: decide(history, rule, w, curve=c, frozen=frozen), row_weights, all_curves)
        )


def _ended(history: History, rule: Rule, curve: Array) -> Array:
    """Return the curves with infinite losses after the look at which patience ends a trial."""
    if not rule.patience:
        return curve
    epochs = _padded_epochs(history, curve.shape[1])
    best = np.minimum.accumulate(curve, axis=1)
    is_record = np.diff(best, axis=1, prepend=np.inf) < 0
    best_epoch = np.maximum.accumulate(np.where(is_record, epochs, 0.0), axis=1)
    is_over = epochs >= np.maximum(rule.patience_from, rule.patience * best_epoch)
    is_after = np.cumsum(is_over, axis=1) - is_over > 0
    return np.where(is_after, np.inf, curve)


def _padded_epochs(history: History, n_most: int) -> Array:
    padded = np.full((history.n_trials, n_most), np.inf)
    for row, epochs in zip(padded, history.epochs, strict=True):
        row[: len(epochs)] = epochs
    return padded


def _pruned(history: History, rule: Rule, curve: Array) -> NDArray[np.bool_]:
    """Replay the pruning in trial order; without a trial left, only what was really pruned is pruned."""
    is_pruned = ~history.is_completed
    if rule.ceilings is None:
        return is_pruned
    best = np.minimum.accumulate(curve, axis=1)
    epochs = _padded_epochs(history, curve.shape[1])
    last = np.where(np.isfinite(curve) & np.isfinite(epochs), epochs, 0.0).max(axis=1)
    completed: list[Curve] = []
    limits = _limits(rule, completed)
    for t in np.flatnonzero(history.is_completed):
        rungs, ceilings = limits
        at = np.searchsorted(epochs[t], rungs, side="right") - 1  # the last kept epoch until each rung
        is_pruned[t] = np.any((rungs <= last[t]) & (at >= 0) & (best[t, at] > ceilings))
        if not is_pruned[t]:
            completed.append(_records(epochs[t], best[t]))
            limits = _limits(rule, completed)
    return is_pruned if not is_pruned.all() else ~history.is_completed


def _limits(rule: Rule, completed: Sequence[Curve]) -> tuple[Array, Array]:
    """Return epochs and the losses not to be exceeded there; they change with the completed trials alone."""
    limits = rule.ceilings(completed, rule.looks) if rule.ceilings is not None else {}
    return np.array(list(limits), np.float64), np.array(list(limits.values()), np.float64)


def _records(epochs: Array, best: Array) -> Curve:
    """Return the epochs at which a trial improved, and its loss there."""
    is_record = np.diff(best, prepend=np.inf) < 0
    is_record[0] = True
    return epochs[is_record].tolist(), best[is_record].tolist()


def _best_first(found: Array, is_pruned: Array) -> NDArray[np.int64]:
    """Return the trials that are left, lowest loss first, the earliest of equals first."""
    left = np.flatnonzero(~is_pruned)
    return np.asarray(left[np.argsort(found[left], kind="stable")])


def _member_weights(history: History, rule: Rule, row_weights: Array, kept: Array, best: Array) -> Array:
    repeats, rows = np.nonzero(history.is_held & (np.asarray(row_weights) > 0))
    candidates = np.stack([history.predictions[t][kept[t]][repeats, rows] for t in best]).astype(np.float64)
    architectures = [history.architectures[t] for t in best]
    line_weights = np.asarray(row_weights, np.float64)[rows]
    chosen = rule.choose_members(candidates, architectures, history.y[rows], line_weights)
    if np.shape(chosen) != (len(best),):
        raise ValueError(
            f"choose_members must return one weight for each of {len(best)}, got {np.shape(chosen)}"
        )
    weights = np.zeros(history.n_trials)
    weights[best] = chosen
    return weights


def predictions(history: History, decision: Decision, rows: Array) -> tuple[Array, Array]:
    """Held-out predictions of the winner and of the ensemble for some rows.

    Parameters
    ----------
    rows : (n,) int

    Returns
    -------
    two of (n_repeats, n, n_outputs) float64
        NaN where a repeat does not hold the row out.
    """

    def of(trial: int) -> Array:
        return np.asarray(history.predictions[trial][decision.kept[trial]][:, rows], np.float64)

    ensemble = np.zeros((len(history.is_held), len(rows), history.y.shape[1]))
    for trial in np.flatnonzero(decision.weights):
        ensemble += decision.weights[trial] * of(int(trial))
    return of(decision.winner), ensemble
