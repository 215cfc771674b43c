"""The decision rule of a study, replayed on row weights from stored held-out predictions. Nothing is trained.

Per trial one epoch, or one for each fold; median pruning in trial order; the winner; members and their
weights. With all weights one the study's own decisions come back (where no checkpoint was thinned out).
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from reports.history import History as History
from reports.scoring import MOST_VALUES, losses
from reports.stopping import Ceilings, is_after_end, padded, pruned
from search.metrics import Metric

Array = NDArray[Any]
Stage = Literal["epoch", "prune", "winner", "members"]
STAGES: tuple[Stage, ...] = ("epoch", "prune", "winner", "members")

ChooseMembers = Callable[[Array, Sequence[Hashable], Array, Array], Array]
"""`(candidates (n_c, n_lines, n_outputs), architectures, y (n_lines, n_outputs), row_weights (n_lines,))`
-> `weights (n_c,)`, not negative, sum 1. Candidates come best first; repeats are laid out as further
lines."""


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
    kept : (n_trials,) or (n_trials, n_members) int
        Index of the chosen epoch among a trial's kept ones, or those of its members, repeat by repeat.
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


def curves(history: History, metric: Metric, row_weights: Array) -> Array:
    """Loss of every trial at every kept epoch under every row weighting.

    Parameters
    ----------
    row_weights : (n_weights, n_rows)

    Returns
    -------
    (n_weights, n_trials, n_most_kept) or (n_weights, n_trials, n_members, n_most_kept)
        Pooled over the weighted rows of a repeat, averaged over repeats, infinite where undefined; or, where
        each fold has its own epoch, of each member, NaN where undefined. Infinite beyond a trial's last one.
    """
    weights = np.asarray(row_weights, np.float64)
    n_most, shape = max(map(len, history.epochs)), (len(weights), history.n_trials)
    if history.fold_of_row is not None:
        found = np.full((*shape, len(history.members), n_most), np.inf)
        for member, (repeat, rows) in enumerate(history.members):
            own = weights[:, rows]
            for t, table in enumerate(history.predictions):
                loss = losses(metric, history.y[rows], np.asarray(table[:, repeat, rows]), own)
                found[:, t, member, : len(table)] = loss.T
        return found
    found = np.full((*shape, n_most), np.inf)
    by_repeat = _by_repeat(history, weights)
    for t, table in enumerate(history.predictions):
        found[:, t, : len(table)] = _averaged(history, metric, table, by_repeat)
    return found


def losses_at(history: History, metric: Metric, kept: Array, row_weights: Array) -> Array:
    """Loss of every trial at its `Decision.kept` under every row weighting `(n_weights, n_trials)`.

    Pooled over the weighted rows of a repeat, averaged over repeats, infinite where undefined.
    """
    by_repeat = _by_repeat(history, np.asarray(row_weights, np.float64))
    n_chunk = max(1, MOST_VALUES // history.predictions[0][0].size)
    found = []
    for start in range(0, history.n_trials, n_chunk):
        trials = range(start, min(start + n_chunk, history.n_trials))
        tables = np.stack([history.table(t, kept[t]) for t in trials])
        found.append(_averaged(history, metric, tables, by_repeat))
    return np.concatenate(found, axis=1)


def _by_repeat(history: History, weights: Array) -> list[tuple[Array, Array]]:
    """Return the held rows of each repeat and their weights `(n_weights, n_held)`."""
    return [(rows, weights[:, rows]) for rows in map(np.flatnonzero, history.is_held)]


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


def _replayed(history: History, rule: Rule, curve: Array) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Return the chosen epochs, and which trials are pruned by the mean curve of their members.

    A member that the weighted rows say nothing of takes the lowest of that mean.
    """
    by_member = curve if curve.ndim == 3 else curve[:, None]
    mean = curve if curve.ndim == 2 else _mean_curve(by_member)
    epochs = padded(history.epochs, curve.shape[-1])
    is_after = is_after_end(epochs, by_member, rule.patience, rule.patience_from)
    ended = np.where(is_after, np.inf, mean)
    kept = ended.argmin(axis=1)
    if curve.ndim == 3:
        is_known = ~np.asarray(np.isnan(curve).any(axis=2))
        own = np.where(is_known[:, :, None] & ~is_after[:, None], curve, np.inf).argmin(axis=2)
        kept = np.where(is_known, own, kept[:, None])
    return kept, pruned(epochs, ended, history.is_completed, rule.ceilings, rule.looks)


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


def _member_weights(history: History, rule: Rule, row_weights: Array, kept: Array, best: Array) -> Array:
    repeats, rows = np.nonzero(history.is_held & (np.asarray(row_weights) > 0))
    candidates = np.stack([history.table(int(t), kept[t])[repeats, rows] for t in best]).astype(np.float64)
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
        return history.table(trial, decision.kept[trial])[:, rows].astype(np.float64)

    ensemble = np.zeros((len(history.is_held), len(rows), history.y.shape[1]))
    for trial in np.flatnonzero(decision.weights):
        ensemble += decision.weights[trial] * of(int(trial))
    return of(decision.winner), ensemble
