"""The rule replayed on bootstrap draws, and the intervals that come of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from reports.history import History
from reports.parts import bootstrap_counts, bootstrap_units
from reports.replay import Decision, Rule, curves, decide_all, losses_at, predictions
from reports.scoring import losses
from search.metrics import Metric

Array = NDArray[Any]
Subject = Literal["winner", "ensemble"]
SUBJECTS: tuple[Subject, ...] = ("winner", "ensemble")
N_DRAWS_AT_ONCE = 128  # whose curves are held in memory
N_DRAWS_COUNTED = 25  # at a time, in 8 bytes for each row

OUT_OF_BAG_VARIANCE = float(np.e - 1.0)
"""How much more a score of fixed predictions varies over out-of-bag rows than over samples: those are a share
f = 1/e of n rows, without replacement, so the variance is (1 - f) / f = e - 1 times that of a mean of n."""


@dataclass(frozen=True)
class Bootstrap:
    """The rule replayed on bootstrap draws of the rows, scored on the rows left out.

    Attributes
    ----------
    winner, ensemble : (n_draws,)
        Losses on the out-of-bag rows; NaN where the metric is undefined there.
    decisions : tuple of Decision
    losses : (n_draws, n_trials)
        Of every trial on the drawn rows, at the epochs chosen from all rows.
    counts : (n_draws, n_rows) int
        How often each row was drawn; in the smallest type that holds it.
    """

    winner: Array
    ensemble: Array
    decisions: tuple[Decision, ...]
    losses: Array
    counts: NDArray[np.integer[Any]]

    def of(self, subject: Subject) -> Array:
        """The out-of-bag losses of one of the two."""
        return self.winner if subject == "winner" else self.ensemble


def bootstrap(
    history: History,
    rule: Rule,
    full: Decision,
    *,
    n_draws: int,
    rng: np.random.Generator,
    n_workers: int = 2,
) -> Bootstrap:
    """Replay the rule on bootstrap draws of units and score it on the rows left out.

    Tsamardinos, Greasidou, Borboudakis 2018, with the whole rule in place of the best configuration; the
    method of weighing and the kind of calibration are those of the full decision.
    """
    units = bootstrap_units(history.units, history.time, history.is_ever_held)
    counts = _counts(history, units, n_draws, rng)
    decisions: list[Decision] = []
    for start in range(0, n_draws, N_DRAWS_AT_ONCE):
        some = counts[start : start + N_DRAWS_AT_ONCE]
        some_curves = curves(history, rule.metric, some)
        settled = [full] * len(some)
        decisions += decide_all(history, rule, some, some_curves, settled=settled, n_workers=n_workers)
    scores = [_out_of_bag(history, rule.metric, d, w) for d, w in zip(decisions, counts, strict=True)]
    at_full = losses_at(history, rule.metric, full.kept, counts)
    winner, ensemble = np.array(scores).T
    return Bootstrap(winner, ensemble, tuple(decisions), at_full, counts)


def _counts(
    history: History, units: Array, n_draws: int, rng: np.random.Generator
) -> NDArray[np.integer[Any]]:
    """Return how often each row is drawn `(n_draws, n_rows)`: a byte each where that is enough."""
    found: NDArray[np.integer[Any]] = np.zeros((n_draws, len(history.y)), np.uint8)
    for start in range(0, n_draws, N_DRAWS_COUNTED):
        part = slice(start, min(start + N_DRAWS_COUNTED, n_draws))
        n = part.stop - start
        some = bootstrap_counts(history.y, units, history.is_ever_held, n_draws=n, rng=rng)
        found = found.astype(np.promote_types(found.dtype, np.min_scalar_type(int(some.max()))), copy=False)
        found[part] = some
    return found


def _out_of_bag(history: History, metric: Metric, decision: Decision, counts: Array) -> tuple[float, float]:
    rows = np.flatnonzero((counts == 0) & history.is_ever_held)
    if not rows.size:
        return np.nan, np.nan
    held, found = history.weighted(np.asarray(history.is_held))[:, rows], []
    for table in predictions(history, decision, rows):
        filled = np.where(np.isnan(table), 0.0, table)
        by_repeat = [
            losses(metric, history.y[rows], one[None], w[None])[0, 0]
            for one, w in zip(filled, held, strict=True)
            if w.any()
        ]
        found.append(float(np.mean(by_repeat)) if by_repeat else np.nan)
    return found[0], found[1]


def interval(
    out_of_bag: Array, centre: float, sampling_variance: float = 0.0, *, level: float = 0.95
) -> tuple[float, float]:
    """Interval of a loss: quantiles of out-of-bag losses, moved to the cross-fitted one and drawn together.

    Out-of-bag losses are somewhat too bad (decided from 63 % of the rows) and spread wider than those of all
    rows (scored on 37 %): of their variance, what the rows add counts e - 1 times too much. For a score that
    width is kept: it stands for what a bootstrap of rows cannot redraw, the models' own training rows. With
    it the 95 % interval covers 97 to 99 % of simulated predictions; without it, 94 to 96 % of them, but only
    90 to 92 % in studies with real training (docs/validity.md). For a difference of two scores, whose models
    share their training rows, it is taken out.

    Parameters
    ----------
    out_of_bag : (n_draws,)
    centre
        The cross-fitted loss.
    sampling_variance
        Of the loss of fixed predictions under the same bootstrap; 0 keeps the width.
    """
    known = out_of_bag[~np.isnan(out_of_bag)]
    if known.size < 2:
        return np.nan, np.nan
    tail = (1.0 - level) / 2.0
    low, high = np.quantile(known, [tail, 1.0 - tail]) - known.mean()
    scale = spread_factor(float(known.var(ddof=1)), sampling_variance)
    return float(centre + scale * low), float(centre + scale * high)


def spread_factor(variance: float, sampling_variance: float) -> float:
    """Return the factor, from 1 / sqrt(e - 1) to 1, by which out-of-bag losses spread too wide."""
    if not variance > 0:
        return 1.0
    share = (variance - (OUT_OF_BAG_VARIANCE - 1.0) * sampling_variance) / variance
    return float(np.sqrt(np.clip(share, 1.0 / OUT_OF_BAG_VARIANCE, 1.0)))
