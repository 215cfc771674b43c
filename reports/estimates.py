"""Scores that have paid for every decision: the cross-fitted replay, its interval, each stage's share of the optimism.

Optimism is a loss difference, honest minus in-sample: positive says that the printed score is too good.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from reports import parts as partition
from reports.replay import STAGES, Decision, Frozen, History, Rule, Stage, curves, decide, predictions
from reports.scoring import losses, pooled
from search import metrics
from search.metrics import Metric

Array = NDArray[Any]
Subject = Literal["winner", "ensemble"]
SUBJECTS: tuple[Subject, ...] = ("winner", "ensemble")

OUT_OF_BAG_VARIANCE = float(np.e - 1.0)
"""How much more a score of fixed predictions varies over out-of-bag rows than over samples: those are a share
f = 1/e of the rows without replacement, so the variance is (1 - f) / f = e - 1 times that of a mean of n rows."""


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
class Bootstrap:
    """The rule replayed on bootstrap draws of the rows, scored on the rows left out.

    Attributes
    ----------
    winner, ensemble : (n_draws,)
        Losses on the out-of-bag rows; NaN where the metric is undefined there.
    decisions : tuple of Decision
    losses : (n_draws, n_trials)
        Of every trial on the drawn rows, at the epoch chosen from all rows.
    counts : (n_draws, n_rows) int
        How often each row was drawn.
    """

    winner: Array
    ensemble: Array
    decisions: tuple[Decision, ...]
    losses: Array
    counts: NDArray[np.int64]

    def of(self, subject: Subject) -> Array:
        """The out-of-bag losses of one of the two."""
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
    """Everything that a replay found out about a study."""

    winner: Estimate
    ensemble: Estimate
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
) -> Honest:
    """Replay a study's decisions and score winner and ensemble on rows that had no say.

    Parameters
    ----------
    n_rounds, n_parts : int
        Of the cross-fitted replay; time-ordered data have one round of expanding blocks.
    n_draws : int
        Bootstrap draws; 0: no interval (NaN).
    n_share_rounds : int, optional
        Rounds in which the stages' shares are found, all by default; 0: no shares.
    """
    first, second = rng.spawn(2)
    parts = split(history, n_parts=n_parts, n_rounds=n_rounds, rng=first)
    everything = np.ones(len(history.y))
    full_curve = curves(history, rule.metric, everything[None])[0]
    full = decide(history, rule, everything, curve=full_curve)
    part_curves = curves(history, rule.metric, _row_weights(history, parts))
    fitted = crossfit(history, rule, parts, part_curves=part_curves)
    shares = stage_shares(history, rule, full, fitted, part_curves, n_rounds=n_share_rounds)
    drawn = bootstrap(history, rule, full, n_draws=n_draws, rng=second) if n_draws else None
    found = {s: _estimate(history, rule.metric, s, full, fitted, drawn, shares[s]) for s in SUBJECTS}
    return Honest(found["winner"], found["ensemble"], full, fitted, drawn)


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
        own = np.nanvar(pooled(metric, history.y, fitted.of(subject), drawn.counts), ddof=1)
        ends = interval(drawn.of(subject), honest, float(own))
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
    return np.stack([is_deciding for _, _, is_deciding in _turns(history, parts)]).astype(np.float64)


def crossfit(
    history: History,
    rule: Rule,
    parts: Array,
    *,
    part_curves: Array | None = None,
    frozen: Frozen | None = None,
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
    """
    if part_curves is None:
        part_curves = curves(history, rule.metric, _row_weights(history, parts))
    shape = (len(parts), *history.is_held.shape, history.y.shape[1])
    winner, ensemble = np.full(shape, np.nan), np.full(shape, np.nan)
    decisions = []
    for curve, (number, part, is_deciding) in zip(part_curves, _turns(history, parts), strict=False):
        if not is_deciding.any():
            raise ValueError(f"a replay needs rows to decide on, got none before part {part}: groups span all times")
        decision = decide(history, rule, is_deciding.astype(np.float64), curve=curve, frozen=frozen)
        rows = np.flatnonzero(parts[number] == part)
        winner[number][:, rows], ensemble[number][:, rows] = predictions(history, decision, rows)
        decisions.append((number, part, decision))
    return CrossFitted(parts, winner, ensemble, tuple(decisions))


def honest_loss(history: History, metric: Metric, table: Array) -> float:
    """Loss of predictions `(n_rounds, n_repeats, n_rows, n_outputs)`, pooled over the rows of each, averaged."""
    found = []
    for one in table.reshape(-1, *history.y.shape):
        is_in = ~np.isnan(one[:, 0])
        if is_in.any():
            found.append(metrics.loss(metric, history.y[is_in], one[is_in]))
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
    n_rounds: int | None = None,
) -> dict[Subject, dict[str, float]]:
    """Loss that each stage's optimism adds, for winner and ensemble.

    The replay is made again with one stage taken from the decision on all rows; what the honest loss falls by is
    that stage's share. `epoch` and `prune` count for both, `winner` and `members` for their own.
    """
    n_rounds = len(fitted.parts) if n_rounds is None else min(n_rounds, len(fitted.parts))
    shares: dict[Subject, dict[str, float]] = {subject: {} for subject in SUBJECTS}
    if not n_rounds:
        return shares
    parts = fitted.parts[:n_rounds]
    for stage in STAGES:
        again = crossfit(history, rule, parts, part_curves=part_curves, frozen=(stage, full))
        for subject in _subjects_of(stage):
            paid = honest_loss(history, rule.metric, fitted.of(subject)[:n_rounds])
            shares[subject][stage] = paid - honest_loss(history, rule.metric, again.of(subject))
    return shares


def _subjects_of(stage: Stage) -> Sequence[Subject]:
    return {"winner": ("winner",), "members": ("ensemble",)}.get(stage, SUBJECTS)  # type: ignore[return-value]


def bootstrap(
    history: History, rule: Rule, full: Decision, *, n_draws: int, rng: np.random.Generator
) -> Bootstrap:
    """Replay the rule on bootstrap draws of units and score it on the rows left out.

    Tsamardinos, Greasidou, Borboudakis 2018, with the whole rule in place of the best configuration.
    """
    units = partition.bootstrap_units(history.units, history.time, history.is_ever_held)
    counts = partition.bootstrap_counts(history.y, units, history.is_ever_held, n_draws=n_draws, rng=rng)
    drawn_curves = curves(history, rule.metric, counts)
    decisions = [decide(history, rule, w, curve=c) for w, c in zip(counts, drawn_curves, strict=True)]
    scores = [_out_of_bag(history, rule.metric, d, w) for d, w in zip(decisions, counts, strict=True)]
    at_full = drawn_curves[:, np.arange(history.n_trials), full.kept]
    winner, ensemble = np.array(scores).T
    return Bootstrap(winner, ensemble, tuple(decisions), at_full, counts)


def _out_of_bag(history: History, metric: Metric, decision: Decision, counts: Array) -> tuple[float, float]:
    rows = np.flatnonzero((counts == 0) & history.is_ever_held)
    if not rows.size:
        return np.nan, np.nan
    held, found = history.is_held[:, rows].astype(np.float64), []
    for table in predictions(history, decision, rows):
        filled = np.where(np.isnan(table), 0.0, table)
        by_repeat = [
            losses(metric, history.y[rows], one[None], w[None])[0, 0]
            for one, w in zip(filled, held, strict=True)
            if w.any()
        ]
        found.append(float(np.mean(by_repeat)))
    return found[0], found[1]


def interval(
    out_of_bag: Array, centre: float, sampling_variance: float, *, level: float = 0.95
) -> tuple[float, float]:
    """Interval of a loss: the quantiles of the out-of-bag losses, moved to the cross-fitted one and drawn together.

    Out-of-bag losses are somewhat too bad (decided from 63 % of the rows) and spread too wide (scored on 37 %):
    of their variance, what the rows add counts e - 1 times too much. The rest, which the decisions add, stays.

    Parameters
    ----------
    out_of_bag : (n_draws,)
    centre
        The cross-fitted loss.
    sampling_variance
        Of the loss of fixed predictions under the same bootstrap.
    """
    known = out_of_bag[~np.isnan(out_of_bag)]
    if known.size < 2:
        return np.nan, np.nan
    tail = (1.0 - level) / 2.0
    low, high = np.quantile(known, [tail, 1.0 - tail]) - known.mean()
    scale = _scale(float(known.var(ddof=1)), sampling_variance)
    return float(centre + scale * low), float(centre + scale * high)


def _scale(variance: float, sampling_variance: float) -> float:
    """Return the factor, from 1 / sqrt(e - 1) to 1, by which out-of-bag losses spread too wide."""
    if not variance > 0:
        return 1.0
    share = (variance - (OUT_OF_BAG_VARIANCE - 1.0) * sampling_variance) / variance
    return float(np.sqrt(np.clip(share, 1.0 / OUT_OF_BAG_VARIANCE, 1.0)))
