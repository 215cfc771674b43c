"""Scores that have paid for every decision: the cross-fitted replay, and each stage's share of the optimism.

Optimism is a loss difference, honest minus in-sample: positive says that the printed score is too good.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reports import parts as partition
from reports.bootstrap import SUBJECTS, Bootstrap, Subject, bootstrap, interval, spread_factor
from reports.comparisons import Difference, paired
from reports.history import History
from reports.replay import (
    MOST_WEIGHTS,
    STAGES,
    Decision,
    Frozen,
    Rule,
    Stage,
    curves,
    decide_all,
    predictions,
)
from reports.scoring import pooled
from search import metrics
from search.metrics import Metric

Array = NDArray[Any]

MOST_SHARE_ROUNDS = (
    2  # of stage shares, for metrics that are no means of rows: members are slow to choose by them
)


@dataclass(frozen=True)
class CrossFitted:
    """Predictions for rows that had no say in the decision behind them.

    Attributes
    ----------
    parts : (n_rounds, n_rows) int
        Part of each row; -1 where it is not scored.
    winner, ensemble : (n_rounds, n_repeats, n_rows, n_outputs)
        NaN where a row is not scored or not held out.
    decisions : tuple of (round, part, Decision)
    """

    parts: NDArray[np.int64]
    winner: Array
    ensemble: Array
    decisions: tuple[tuple[int, int, Decision], ...]

    def of(self, subject: Subject) -> Array:
        """The predictions of one of the two."""
        return self.winner if subject == "winner" else self.ensemble


@dataclass(frozen=True)
class Estimate:
    """What one predictor was said to score, and what it scores.

    Attributes
    ----------
    printed : float
        Score on the rows that decided, all of them.
    honest, low, high : float
        Cross-fitted score with its 95 % interval.
    optimism : float
        Loss, honest minus in-sample, on the rows that are scored: positive is too good.
    out_of_bag : float
        Mean out-of-bag score of the bootstrap, a cross-check that is somewhat too bad.
    shares : dict of stage to float
        Optimism less what is left of it when this stage is not replayed; they need not add up.
    """

    printed: float
    honest: float
    low: float
    high: float
    optimism: float
    out_of_bag: float
    shares: dict[str, float]

    def to_json(self) -> dict[str, Any]:
        """The estimate as a JSON object."""
        return {field.name: getattr(self, field.name) for field in fields(self)}


@dataclass(frozen=True)
class Honest:
    """Everything that a replay found out about a study.

    Attributes
    ----------
    winner, ensemble : Estimate
    difference : Difference
        Ensemble less winner, as loss.
    full : Decision
        From all rows.
    bootstrap : Bootstrap or None
        None when no draws were asked for.
    """

    winner: Estimate
    ensemble: Estimate
    difference: Difference
    full: Decision
    fitted: CrossFitted
    bootstrap: Bootstrap | None


def estimate(
    history: History,
    rule: Rule,
    *,
    rng: np.random.Generator,
    n_rounds: int = 5,
    n_parts: int = 10,
    n_draws: int = 500,
    n_share_rounds: int | None = None,
    n_workers: int = 2,
) -> Honest:
    """Replay a study's decisions and score winner and ensemble on rows that had no say.

    Parameters
    ----------
    n_rounds, n_parts : int
        Of the cross-fitted replay; time-ordered data have one round of expanding blocks.
    n_draws : int
        Bootstrap draws; 0: no interval (NaN).
    n_share_rounds : int, optional
        Rounds in which the stages' shares are found; 0: no shares. By default all, and two for metrics that
        are no means of rows.
    n_workers : int
        Threads that decide; the result does not depend on it.
    """
    first, second, third = rng.spawn(3)
    parts = split(history, n_parts=n_parts, n_rounds=n_rounds, rng=first)
    everything = np.ones((1, len(history.y)), bool)
    all_curves = curves(history, rule.metric, np.vstack([everything, _row_weights(history, parts)]))
    full = decide_all(history, rule, everything, all_curves[:1])[0]
    fitted = crossfit(history, rule, parts, part_curves=all_curves[1:], n_workers=n_workers)
    if n_share_rounds is None:
        n_share_rounds = n_rounds if rule.metric.is_mean_of_rows else MOST_SHARE_ROUNDS
    shares = stage_shares(
        history, rule, full, fitted, all_curves[1:], n_rounds=n_share_rounds, n_workers=n_workers
    )
    drawn = None
    if n_draws:
        drawn = bootstrap(history, rule, full, n_draws=n_draws, rng=second, n_workers=n_workers)
    found = {s: _estimate(history, rule.metric, s, full, fitted, drawn, shares[s]) for s in SUBJECTS}
    difference = compare(history, rule.metric, fitted, drawn, rng=third)
    return Honest(found["winner"], found["ensemble"], difference, full, fitted, drawn)


def _estimate(
    history: History,
    metric: Metric,
    subject: Subject,
    full: Decision,
    fitted: CrossFitted,
    drawn: Bootstrap | None,
    shares: dict[str, float],
) -> Estimate:
    sign = -1.0 if metric.is_higher_better else 1.0
    rows = np.arange(len(history.y))
    printed = predictions(history, full, rows)[SUBJECTS.index(subject)]
    honest = honest_loss(history, metric, fitted.of(subject))
    inside = in_sample_loss(history, metric, full, fitted.parts)[SUBJECTS.index(subject)]
    ends, out_of_bag = (np.nan, np.nan), np.nan
    if drawn is not None:
        ends = interval(drawn.of(subject), honest)
        out_of_bag = float(np.nanmean(drawn.of(subject)))
    low, high = sorted(sign * end for end in ends)
    return Estimate(
        printed=sign * honest_loss(history, metric, printed[None]),
        honest=sign * honest,
        low=max(low, metric.low),
        high=min(high, metric.high),
        optimism=honest - inside,
        out_of_bag=sign * out_of_bag,
        shares=shares,
    )


def split(history: History, *, n_parts: int, n_rounds: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """Parts of the rows for a cross-fitted replay `(n_rounds, n_rows)`: random, or blocks in time."""
    if history.time is not None:
        return partition.time_parts(history.time, history.is_ever_held, n_parts=n_parts)
    return partition.random_parts(
        history.y, history.units, history.is_ever_held, n_parts=n_parts, n_rounds=n_rounds, rng=rng
    )


def _turns(history: History, parts: Array) -> Iterator[tuple[int, int, Array]]:
    """Yield round, part and the rows that decide for it."""
    is_in_time = history.time is not None
    for number, one in enumerate(parts):
        for part in range(int(is_in_time), int(one.max()) + 1):
            yield number, part, partition.deciding(one, part, history.units, is_in_time=is_in_time)


def _row_weights(history: History, parts: Array) -> Array:
    return np.stack([is_deciding for _, _, is_deciding in _turns(history, parts)])


def crossfit(
    history: History,
    rule: Rule,
    parts: Array,
    *,
    part_curves: Array | None = None,
    frozen: Frozen | None = None,
    settled: Sequence[Decision] | None = None,
    n_workers: int = 2,
) -> CrossFitted:
    """Decide from the rows outside a part (in time: before it) and predict the part, for all parts.

    Parameters
    ----------
    parts : (n_rounds, n_rows)
        From `split`.
    part_curves : (n_decisions, n_trials, n_most_kept), optional
        The `curves` of all decisions, where they are known already.
    frozen : (stage, decision), optional
        One stage is not replayed.
    settled : sequence of Decision, optional
        Method and kind of calibration of each decision, where they are known already.
    """
    turns = list(_turns(history, parts))
    for _, part, is_deciding in turns:
        if not is_deciding.any():
            raise ValueError(
                f"a replay needs rows to decide on, got none for part {part}: groups span all times"
            )
    weights = np.stack([is_deciding for _, _, is_deciding in turns])
    if part_curves is None:
        part_curves = curves(history, rule.metric, weights)
    decided = decide_all(
        history, rule, weights, part_curves, frozen=frozen, settled=settled, n_workers=n_workers
    )
    shape = (len(parts), *history.is_held.shape, history.y.shape[1])
    winner, ensemble = np.full(shape, np.nan), np.full(shape, np.nan)
    for decision, (number, part, _) in zip(decided, turns, strict=True):
        rows = np.flatnonzero(parts[number] == part)
        winner[number][:, rows], ensemble[number][:, rows] = predictions(history, decision, rows)
    decisions = tuple((number, part, d) for d, (number, part, _) in zip(decided, turns, strict=True))
    return CrossFitted(parts, winner, ensemble, decisions)


def honest_loss(history: History, metric: Metric, table: Array) -> float:
    """Loss of predictions `(n_rounds, n_repeats, n_rows, n_outputs)`, pooled over rows, averaged."""
    found = []
    for one in table.reshape(-1, *history.y.shape):
        is_in = ~np.isnan(one[:, 0])
        if is_in.any():
            weights = None if history.row_weights is None else history.row_weights[is_in]
            found.append(metrics.loss(metric, history.y[is_in], one[is_in], weights))
    return float(np.mean(found))


def in_sample_loss(history: History, metric: Metric, full: Decision, parts: Array) -> tuple[float, float]:
    """Losses of winner and ensemble decided from all rows, on those that the cross-fitted replay scores."""
    lowest = 1 if history.time is not None else 0
    rows = np.flatnonzero(parts[0] >= lowest)
    found = []
    for table in predictions(history, full, rows):
        whole = np.full((1, len(history.is_held), *history.y.shape), np.nan)
        whole[0][:, rows] = table
        found.append(honest_loss(history, metric, whole))
    return found[0], found[1]


def stage_shares(
    history: History,
    rule: Rule,
    full: Decision,
    fitted: CrossFitted,
    part_curves: Array,
    *,
    n_rounds: int,
    n_workers: int = 2,
) -> dict[Subject, dict[str, float]]:
    """Loss that each stage's optimism adds, for winner and ensemble.

    The replay is made again with one stage taken from the decision on all rows; what the honest loss falls
    by is that stage's share. `epoch` and `prune` count for both, the others for their own. The method of
    weighing and the kind of calibration are not chosen again.
    """
    n_rounds = min(n_rounds, len(fitted.parts))
    shares: dict[Subject, dict[str, float]] = {subject: {} for subject in SUBJECTS}
    if not n_rounds:
        return shares
    parts = fitted.parts[:n_rounds]
    decided = [decision for number, _, decision in fitted.decisions if number < n_rounds]
    first_curves = part_curves[: len(decided)]
    for stage in STAGES:
        if stage == "calibration" and rule.calibrate is None:
            continue
        again = crossfit(
            history,
            rule,
            parts,
            part_curves=first_curves,
            frozen=(stage, full),
            settled=decided,
            n_workers=n_workers,
        )
        for subject in _subjects_of(stage):
            paid = honest_loss(history, rule.metric, fitted.of(subject)[:n_rounds])
            shares[subject][stage] = paid - honest_loss(history, rule.metric, again.of(subject))
    return shares


def _subjects_of(stage: Stage) -> Sequence[Subject]:
    own: dict[Stage, Sequence[Subject]] = {"winner": ("winner",), "members": ("ensemble",)}
    return own.get(stage, ("ensemble",) if stage == "calibration" else SUBJECTS)


def compare(
    history: History,
    metric: Metric,
    fitted: CrossFitted,
    drawn: Bootstrap | None,
    *,
    rng: np.random.Generator,
) -> Difference:
    """Ensemble less winner, as loss, with an interval that knows that other rows would have chosen others.

    Made as that of a score, from the out-of-bag differences. Without a bootstrap the decisions are taken as
    given (`paired`), and the interval is too narrow.
    """
    if drawn is None:
        return paired(history, metric, fitted.ensemble, fitted.winner, rng=rng)
    centre = honest_loss(history, metric, fitted.ensemble) - honest_loss(history, metric, fitted.winner)
    by_draw = [_by_draw(history, metric, fitted.of(subject), drawn.counts) for subject in SUBJECTS]
    own = float(np.nanvar(by_draw[1] - by_draw[0], ddof=1))
    found = drawn.ensemble - drawn.winner
    low, high = interval(found, centre, own)
    variance = float(np.nanvar(found, ddof=1))
    error = spread_factor(variance, own) * variance**0.5
    return Difference(centre, low, high, error, None, int(np.isfinite(found).sum()))


def _by_draw(history: History, metric: Metric, table: Array, counts: Array) -> Array:
    """Return the loss of fixed predictions in each draw `(n_draws,)`, a portion of the draws at a time."""
    n_at_once = max(1, MOST_WEIGHTS // len(history.y))
    parts = [counts[i : i + n_at_once] for i in range(0, len(counts), n_at_once)]
    return np.concatenate([pooled(metric, history.y, table, history.weighted(part)) for part in parts])
