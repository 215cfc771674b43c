"""The decision rule of a study, replayed on row weights from stored held-out predictions. Nothing is trained.

Per trial one epoch, or one for each fold; median pruning in trial order; the winner; members and their
weights. With all weights one the study's own decisions come back (where no checkpoint was thinned out).
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from reports.history import History as History
from reports.scoring import MOST_VALUES, losses
from reports.stopping import Ceilings, is_after_end, padded, pruned
from search.metrics import Metric

Array = NDArray[Any]
MOST_WEIGHTS = 16_000_000  # row weights in double precision at a time
Stage = Literal["epoch", "prune", "winner", "members", "calibration"]
STAGES: tuple[Stage, ...] = ("epoch", "prune", "winner", "members", "calibration")

ChooseMembers = Callable[..., Array]
"""`(candidates (n_c, n_lines, n_outputs), architectures, y (n_lines, n_outputs), row_weights (n_lines,))`
-> `weights (n_c,)`, not negative, sum 1. Candidates come best first; repeats are laid out as further
lines. Where a method is chosen first, its name is the fifth argument."""

ChooseMethod = Callable[["Lines"], str]
"""The name of the method that weighs the candidates best, cross-fitted on the lines that decide."""


class Calibration(Protocol):
    """A correction of probabilities."""

    @property
    def method(self) -> Any:
        """How it was fitted; "none" changes nothing."""

    def apply(self, predictions: Array) -> Array:
        """Corrected predictions `(n, n_outputs)`."""


Calibrate = Callable[["Lines", Array, str | None], Calibration]
"""`(lines, predictions of the ensemble (n_lines, n_outputs), method)`: the calibration by this method, None:
by the one that is best, cross-fitted."""


@dataclass(frozen=True)
class Lines:
    """What decides about members: candidates' predictions, with repeats laid out as further lines.

    Attributes
    ----------
    candidates : (n_candidates, n_lines, n_outputs)
        Best first.
    architectures : sequence of hashable
        One for each candidate.
    y : (n_lines, n_outputs)
    row_weights, rows, units : (n_lines,)
        How much a line counts, its row, and which lines belong together: those of one row always.
    time : (n_lines,) or None
        Sort key of time-ordered data.
    """

    candidates: Array
    architectures: Sequence[Hashable]
    y: Array
    row_weights: Array
    rows: Array
    units: Array
    time: Array | None


@dataclass(frozen=True)
class Rule:
    """How a study decides.

    Attributes
    ----------
    metric
        Bound to the task.
    choose_members
        Members and weights from the best candidates.
    choose_method
        Which method does that; None: there is only one.
    calibrate
        How the ensemble's probabilities are corrected; None: not.
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
    choose_method: ChooseMethod | None = None
    calibrate: Calibrate | None = None
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
    kept : (n_trials,) or (n_trials, n_members) int
        Index of the chosen epoch among a trial's kept ones, or those of its members, repeat by repeat.
    losses : (n_trials,)
        Loss there, on the rows that decided.
    is_pruned : (n_trials,) bool
    winner : int
    weights : (n_trials,)
        Of the ensemble, sum 1.
    method : str
        Which method weighed them; empty where there is only one.
    calibration : Calibration or None
    """

    kept: NDArray[np.int64]
    losses: Array
    is_pruned: NDArray[np.bool_]
    winner: int
    weights: Array
    method: str = ""
    calibration: Calibration | None = None


Frozen = tuple[Stage, Decision]
"""A stage, and the decision that it is taken from instead of being replayed."""


def curves(history: History, metric: Metric, row_weights: Array) -> Array:
    """Loss of every trial at every kept epoch under every row weighting.

    Parameters
    ----------
    row_weights : (n_weights, n_rows)
        Booleans and counts may be so: they become numbers of double precision a portion at a time.

    Returns
    -------
    (n_weights, n_trials, n_most_kept) or (n_weights, n_trials, n_members, n_most_kept)
        Pooled over the weighted rows of a repeat, averaged over repeats, infinite where undefined; or, where
        each fold has its own epoch, of each member, NaN where undefined. Infinite beyond a trial's last one.
    """
    given = np.asarray(row_weights)
    return np.concatenate([_curves(history, metric, given[part]) for part in _portions(history, len(given))])


def _portions(history: History, n_weights: int) -> list[slice]:
    """Return slices of row weightings, each few enough to be held in double precision."""
    n_at_once = max(1, MOST_WEIGHTS // max(1, int(history.is_held.sum())))
    return [slice(i, i + n_at_once) for i in range(0, max(1, n_weights), n_at_once)]


def _curves(history: History, metric: Metric, row_weights: Array) -> Array:
    n_most, shape = max(map(len, history.epochs)), (len(row_weights), history.n_trials)
    if history.fold_of_row is not None:
        found = np.full((*shape, len(history.members), n_most), np.inf)
        for member, (repeat, rows) in enumerate(history.members):
            own = _weights_of(history, row_weights, rows)
            for t, table in enumerate(history.predictions):
                loss = losses(metric, history.y[rows], np.asarray(table[:, repeat, rows]), own)
                found[:, t, member, : len(table)] = loss.T
        return found
    found = np.full((*shape, n_most), np.inf)
    by_repeat = _by_repeat(history, row_weights)
    for t, table in enumerate(history.predictions):
        found[:, t, : len(table)] = _averaged(history, metric, table, by_repeat)
    return found


def losses_at(history: History, metric: Metric, kept: Array, row_weights: Array) -> Array:
    """Loss of every trial at its `Decision.kept` under every row weighting `(n_weights, n_trials)`.

    Pooled over the weighted rows of a repeat, averaged over repeats, infinite where undefined.
    """
    given = np.asarray(row_weights)
    parts = [_losses_at(history, metric, kept, given[part]) for part in _portions(history, len(given))]
    return np.concatenate(parts)


def _losses_at(history: History, metric: Metric, kept: Array, row_weights: Array) -> Array:
    by_repeat = _by_repeat(history, row_weights)
    n_chunk = max(1, MOST_VALUES // history.predictions[0][0].size)
    found = []
    for start in range(0, history.n_trials, n_chunk):
        trials = range(start, min(start + n_chunk, history.n_trials))
        tables = np.stack([history.table(t, kept[t]) for t in trials])
        found.append(_averaged(history, metric, tables, by_repeat))
    return np.concatenate(found, axis=1)


def _by_repeat(history: History, row_weights: Array) -> list[tuple[Array, Array]]:
    """Return the held rows of each repeat and their weights `(n_weights, n_held)`."""
    return [(rows, _weights_of(history, row_weights, rows)) for rows in map(np.flatnonzero, history.is_held)]


def _weights_of(history: History, row_weights: Array, rows: Array) -> Array:
    """Return the weights of some rows, times how much each counts, in double precision."""
    own = row_weights[:, rows].astype(np.float64)
    return own if history.row_weights is None else own * history.row_weights[rows]


def _averaged(history: History, metric: Metric, tables: Array, by_repeat: list[tuple[Array, Array]]) -> Array:
    """Return the losses of tables `(n_tables, n_repeats, n_rows, n_outputs)`, `(n_weights, n_tables)`."""
    total: Array = np.zeros(1)
    n_counted: Array = np.zeros(1)
    for repeat, (rows, weights) in enumerate(by_repeat):
        loss = losses(metric, history.y[rows], np.asarray(tables[:, repeat, rows]), weights)
        is_counted = weights.any(axis=1)
        total, n_counted = total + np.where(is_counted, loss, 0.0), n_counted + is_counted
    mean = np.asarray(total / np.maximum(n_counted, 1.0))
    return np.where(np.isfinite(mean), mean, np.inf).T


def decide(
    history: History,
    rule: Rule,
    row_weights: Array,
    *,
    curve: Array | None = None,
    frozen: Frozen | None = None,
    settled: Decision | None = None,
) -> Decision:
    """Let the rule decide from weighted rows.

    Parameters
    ----------
    row_weights : (n_rows,)
        At least 0; a row of weight 0 has no say.
    curve : (n_trials, n_most_kept) or (n_trials, n_members, n_most_kept), optional
        Its entry in `curves`, where that is known already.
    frozen : (stage, decision), optional
        One stage is taken from the decision and not replayed.
    settled : Decision, optional
        Methods of weighing and of calibration are taken from it; weights and parameters are not.
    """
    if curve is None:
        curve = curves(history, rule.metric, np.asarray(row_weights)[None])[0]
    stage, full = frozen if frozen is not None else (None, None)
    kept, is_pruned = _replayed(history, rule, curve)
    if full is not None and stage == "epoch":
        kept = full.kept
    if full is not None and stage == "prune":
        is_pruned = full.is_pruned
    if history.fold_of_row is None:
        found = curve[np.arange(history.n_trials), kept]
    else:
        found = losses_at(history, rule.metric, kept, np.asarray(row_weights)[None])[0]
    order = _best_first(found, is_pruned)
    winner = full.winner if full is not None and stage == "winner" else int(order[0])
    if full is not None and stage == "winner":  # nobody asks for the ensemble then
        return Decision(kept, found, is_pruned, winner, full.weights, full.method, full.calibration)
    best = order[: rule.most_candidates]
    if full is not None and stage == "members":
        best, method = np.flatnonzero(full.weights), full.method
        lines = _lines(history, row_weights, kept, best)
        own = full.weights[best]
    else:
        lines = _lines(history, row_weights, kept, best)
        method, own = _weighed(rule, lines, None if settled is None else settled.method)
    weights = np.zeros(history.n_trials)
    weights[best] = own
    calibration = None
    if rule.calibrate is not None:
        known = (
            settled.calibration.method if settled is not None and settled.calibration is not None else None
        )
        if full is not None and stage == "calibration":
            calibration = full.calibration
        else:
            calibration = rule.calibrate(lines, np.tensordot(own, lines.candidates, axes=1), known)
    return Decision(kept, found, is_pruned, winner, weights, method, calibration)


def decide_all(
    history: History,
    rule: Rule,
    row_weights: Array,
    all_curves: Array,
    *,
    frozen: Frozen | None = None,
    settled: Sequence[Decision] | None = None,
    n_workers: int = 1,
) -> list[Decision]:
    """Let the rule decide under every row weighting `(n_weights, n_rows)`, in `n_workers` threads."""

    def one(row_weights: Array, curve: Array, known: Decision | None) -> Decision:
        return decide(history, rule, row_weights, curve=curve, frozen=frozen, settled=known)

    with ThreadPoolExecutor(n_workers) as pool:
        return list(pool.map(one, row_weights, all_curves, settled or [None] * len(row_weights)))


def _replayed(history: History, rule: Rule, curve: Array) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Return the chosen epochs, and which trials are pruned by the mean curve of their members.

    A member that the weighted rows say nothing of takes the lowest of that mean.
    """
    by_member = curve if curve.ndim == 3 else curve[:, None]
    mean = curve if curve.ndim == 2 else _mean_curve(by_member)
    epochs = padded(history.epochs, curve.shape[-1])
    is_watched = history.can_end_early
    is_after = is_after_end(epochs, by_member, rule.patience, rule.patience_from) & is_watched[:, None]
    ended = np.where(is_after, np.inf, mean)
    kept = ended.argmin(axis=1)
    if curve.ndim == 3:
        is_known = ~np.asarray(np.isnan(curve).any(axis=2))
        own = np.where(is_known[:, :, None] & ~is_after[:, None], curve, np.inf).argmin(axis=2)
        kept = np.where(is_known, own, kept[:, None])
    return kept, pruned(epochs, ended, history.is_completed, is_watched, rule.ceilings, rule.looks)


def _mean_curve(by_member: Array) -> Array:
    """Return the mean over the members that are known `(n_trials, n_most)`, infinite without any."""
    last = np.ascontiguousarray(np.moveaxis(by_member, 1, 2))  # sums then round as the study's own mean does
    is_known = ~np.isnan(last)
    n_known = is_known.sum(axis=2)
    return np.where(n_known > 0, last.sum(axis=2, where=is_known) / np.maximum(n_known, 1), np.inf)


def _best_first(found: Array, is_pruned: Array) -> NDArray[np.int64]:
    """Return the trials that are left, lowest loss first, the earliest of equals first."""
    left = np.flatnonzero(~is_pruned)
    return np.asarray(left[np.argsort(found[left], kind="stable")])


def _lines(history: History, row_weights: Array, kept: Array, trials: Array) -> Lines:
    """Lay out what some trials predicted for the rows that have a say."""
    weighted = history.weighted(row_weights)
    repeats, rows = np.nonzero(history.is_held & (weighted > 0))
    candidates = np.empty((len(trials), len(rows), history.y.shape[1]))
    for own, t in zip(candidates, trials, strict=True):
        own[:] = history.table(int(t), kept[t])[repeats, rows]
    return Lines(
        candidates=candidates,
        architectures=[history.architectures[t] for t in trials],
        y=history.y[rows],
        row_weights=weighted[rows],
        rows=rows,
        units=history.units[rows],
        time=None if history.time is None else history.time[rows],
    )


def _weighed(rule: Rule, lines: Lines, method: str | None) -> tuple[str, Array]:
    """Return the method, chosen unless it is given, and the weights of the candidates."""
    given = (lines.candidates, lines.architectures, lines.y, lines.row_weights)
    if rule.choose_method is None:
        method, weights = "", rule.choose_members(*given)
    else:
        method = method or rule.choose_method(lines)
        weights = rule.choose_members(*given, method)
    n_candidates = len(lines.candidates)
    if np.shape(weights) != (n_candidates,):
        raise ValueError(
            f"choose_members must return one weight for each of {n_candidates}, got {np.shape(weights)}"
        )
    return method, weights


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
        return history.table(trial, decision.kept[trial])[:, rows].astype(np.float64)

    ensemble = np.zeros((len(history.is_held), len(rows), history.y.shape[1]))
    for trial in np.flatnonzero(decision.weights):
        ensemble += decision.weights[trial] * of(int(trial))
    if decision.calibration is not None:
        is_held = ~np.isnan(ensemble[..., 0])
        ensemble[is_held] = decision.calibration.apply(ensemble[is_held])
    return of(decision.winner), ensemble
