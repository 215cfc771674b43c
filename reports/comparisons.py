"""Paired comparisons, and cross-checks of how much of an edge was luck.

Differences are losses of the first less losses of the second: negative says that the first is better.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable
from dataclasses import asdict, dataclass
from itertools import combinations
from math import comb
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reports.history import History
from reports.parts import bootstrap_counts, bootstrap_units, strata_of
from reports.replay import MOST_WEIGHTS
from reports.scoring import MOST_VALUES, losses, pooled, row_losses
from search import metrics
from search.metrics import Metric

Array = NDArray[Any]

N_BLOCKS = 16
MOST_HALVES = 400  # for metrics that are no means of rows


@dataclass(frozen=True)
class Difference:
    """A mean paired loss difference with its 95 % interval; negative: the first is better.

    `p` is two-sided, None where the interval comes from a bootstrap. `n` counts what was averaged.
    """

    mean: float
    low: float
    high: float
    standard_error: float
    p: float | None
    n: int

    def to_json(self) -> dict[str, Any]:
        """The difference as a JSON object."""
        return asdict(self)


def paired(
    history: History,
    metric: Metric,
    first: Array,
    second: Array,
    *,
    rng: np.random.Generator,
    n_draws: int = 1000,
) -> Difference:
    """Compare two sets of cross-fitted predictions on the same rows.

    Means of rows: the mean difference over rounds and repeats of each row, summed within units, with a t
    interval over units. Other metrics: the units are drawn 1,000 times, the interval is the bootstrap's.

    Parameters
    ----------
    first, second : (n_rounds, n_repeats, n_rows, n_outputs)
        NaN on the same rows.
    """
    if metric.is_mean_of_rows and not metric.is_root and history.time is None and history.row_weights is None:
        return _by_units(_row_differences(history, metric, first, second), history.units)
    units = bootstrap_units(history.units, history.time, _is_scored(first))
    counts = bootstrap_counts(history.y, units, _is_scored(first), n_draws=n_draws, rng=rng)
    weights = history.weighted(np.vstack([np.ones((1, len(history.y))), counts]))
    found = pooled(metric, history.y, first, weights) - pooled(metric, history.y, second, weights)
    low, high = np.nanquantile(found[1:], [0.025, 0.975])
    n_units = len(np.unique(units[_is_scored(first)]))
    spread = float(np.nanstd(found[1:], ddof=1))
    return Difference(float(found[0]), float(low), float(high), spread, None, n_units)


def _is_scored(table: Array) -> NDArray[np.bool_]:
    return np.asarray(~np.isnan(table[..., 0]).all(axis=(0, 1)))


def _row_differences(history: History, metric: Metric, first: Array, second: Array) -> Array:
    """Return the mean difference of each row `(n_rows,)`, NaN where it is not scored.

    A row weighs as much as it does in the honest score: each repeat counts the same, whatever its size.
    """
    total, n_tables = np.zeros(len(history.y)), 0
    for one, other in zip(
        first.reshape(-1, *history.y.shape), second.reshape(-1, *history.y.shape), strict=True
    ):
        rows = np.flatnonzero(~np.isnan(one[:, 0]))
        if rows.size:
            both = row_losses(metric, history.y[rows], np.stack([one[rows], other[rows]]))
            total[rows] += (both[0] - both[1]) / rows.size
            n_tables += 1
    is_scored = _is_scored(first)
    return np.where(is_scored, total / n_tables * is_scored.sum(), np.nan)


def _by_units(by_row: Array, units: Array) -> Difference:
    """Return the mean over rows with the standard error of a ratio of sums over units."""
    is_in = ~np.isnan(by_row)
    codes = np.unique(units[is_in], return_inverse=True)[1].reshape(-1)
    sums, sizes = np.bincount(codes, by_row[is_in]), np.bincount(codes)
    n, mean = len(sums), float(by_row[is_in].mean())
    spread = sums - mean * sizes
    error = float(np.sqrt(n / max(1, n - 1) * (spread @ spread)) / sizes.sum())
    return _t_interval(mean, error, n - 1, n)


def _t_interval(mean: float, error: float, n_free: int, n: int) -> Difference:
    from scipy import stats

    if n_free < 1:
        return Difference(mean, -np.inf, np.inf, np.inf, 1.0, n)
    reach = float(stats.t.ppf(0.975, n_free)) * error
    p = 2.0 * float(stats.t.sf(abs(mean) / error, n_free)) if error > 0 else float(mean == 0.0)
    return Difference(mean, mean - reach, mean + reach, error, p, n)


def corrected_t(differences: Array, *, test_to_train: float) -> Difference:
    """Nadeau and Bengio's corrected t over folds: `var(mean) = s^2 (1/J + n_test/n_train)`, J - 1 free.

    Parameters
    ----------
    differences : (J,)
        One for each fold of each repeat.
    test_to_train
        Rows held out over rows trained on; 1 / (K - 1) for K folds.
    """
    d = np.asarray(differences, np.float64)
    if d.ndim != 1 or len(d) < 2 or not np.isfinite(d).all():
        raise ValueError(f"a corrected t needs at least 2 finite fold differences, got {d}")
    if not test_to_train > 0:
        raise ValueError(f"test_to_train must be positive, got {test_to_train}")
    error = float(np.sqrt(d.var(ddof=1) * (1.0 / len(d) + test_to_train)))
    return _t_interval(float(d.mean()), error, len(d) - 1, len(d))


def fold_losses(history: History, metric: Metric, kept: Array, fold_of_row: Array) -> Array:
    """Loss of every trial at its chosen epoch in every fold `(n_trials, n_repeats * n_folds)`.

    Parameters
    ----------
    kept : (n_trials,) or (n_trials, n_members) int
        From a `Decision`.
    fold_of_row : (n_repeats, n_rows) int
        The fold that holds a row out, -1 for never. Empty folds are left out.
    """
    cells = [
        (repeat, np.flatnonzero(folds == fold))
        for repeat, folds in enumerate(fold_of_row)
        for fold in range(int(fold_of_row.max()) + 1)
    ]
    tables, ones = (history.table(t, k) for t, k in enumerate(kept)), np.ones(len(history.y))
    return np.array(
        [
            [
                metrics.loss(metric, history.y[rows], table[repeat, rows], history.weighted(ones)[rows])
                for repeat, rows in cells
                if rows.size
            ]
            for table in tables
        ]
    )


def tibshirani(by_fold: Array, winner: int) -> float:
    """Tibshirani and Tibshirani's bias: mean over folds of the winner's loss less the fold's lowest.

    Parameters
    ----------
    by_fold : (n_candidates, n_folds)
        Losses; folds where one is undefined are left out.
    """
    known = by_fold[:, np.isfinite(by_fold).all(axis=0)]
    return float((known[winner] - known.min(axis=0)).mean()) if known.size else np.nan


def effective_alternatives(choices: Iterable[Hashable]) -> float:
    """As how many equally likely alternatives repeated choices look: `exp(-sum p log p)`, at least 1."""
    seen: dict[Hashable, int] = {}
    for choice in choices:
        seen[choice] = seen.get(choice, 0) + 1
    shares = np.array(list(seen.values()), np.float64)
    shares /= shares.sum()
    return float(np.exp(-(shares @ np.log(shares))))


@dataclass(frozen=True)
class Overfitting:
    """Probability of backtest overfitting (Bailey, Borwein, Lopez de Prado, Zhu 2017).

    Attributes
    ----------
    probability : float
        How often the winner of one half is in the worse half of the candidates on the other; 0.5 for pure
        luck.
    mean_rank : float
        Of the winner on the other half, from 0 (best) to 1 (worst).
    n_halves, n_candidates : int
    """

    probability: float
    mean_rank: float
    n_halves: int
    n_candidates: int

    def to_json(self) -> dict[str, Any]:
        """The figures as a JSON object."""
        return asdict(self)


def overfitting(
    history: History,
    metric: Metric,
    kept: Array,
    candidates: Array,
    *,
    rng: np.random.Generator,
    n_blocks: int = N_BLOCKS,
) -> Overfitting | None:
    """Let candidates win on half of the row blocks and rank them on the other half.

    All halves for means of rows, at most 400 random ones otherwise.

    Parameters
    ----------
    kept : (n_trials,) or (n_trials, n_members) int
        Epochs of every trial, from a `Decision`.
    candidates : (n,) int
        Indices of the trials to compare.

    Returns
    -------
    Overfitting or None
        None with fewer than two candidates or four units.
    """
    blocks = _row_blocks(history, n_blocks, rng)
    n_blocks = int(blocks.max()) + 1
    if len(candidates) < 2 or n_blocks < 4:
        return None
    first = _halves(
        n_blocks, MOST_HALVES if not metric.is_mean_of_rows else comb(N_BLOCKS, N_BLOCKS // 2), rng
    )
    losses_on = _half_losses(history, metric, kept, candidates, blocks)
    n_at_once = max(1, MOST_VALUES // (2 * len(candidates)))
    some = [first[start : start + n_at_once] for start in range(0, len(first), n_at_once)]
    ranks = np.concatenate([_ranks(losses_on(np.concatenate([one, ~one[::-1]]))) for one in some])
    probability = float(np.where(ranks == 0.5, 0.5, ranks > 0.5).mean())
    return Overfitting(probability, float(ranks.mean()), len(ranks), len(candidates))


def _ranks(inside: Array) -> Array:
    """Return each half's winner's rank on the other, 0 to 1; reversing the halves gives the complements."""
    outside, best = inside[::-1], inside.argmin(axis=1)
    own = np.take_along_axis(outside, best[:, None], axis=1)
    n_better, n_equal = (outside < own).sum(axis=1), (outside == own).sum(axis=1)
    return np.asarray((n_better + (n_equal - 1) / 2) / (inside.shape[1] - 1))


def _row_blocks(history: History, n_blocks: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """Return an even number of blocks of held rows `(n_rows,)`, -1 elsewhere: random units, or along time."""
    is_held = history.is_ever_held
    units = bootstrap_units(history.units, history.time, is_held)
    codes = np.unique(units[is_held], return_inverse=True)[1].reshape(-1)
    n_units = int(codes.max()) + 1
    n_used = min(n_blocks, n_units) // 2 * 2
    strata = strata_of(history.y[is_held])
    stratum = np.zeros(n_units, np.int64)
    stratum[codes] = strata
    order = np.lexsort((rng.random(n_units), stratum))
    block_of_unit = np.empty(n_units, np.int64)
    block_of_unit[order] = np.arange(n_units) % max(n_used, 1)
    blocks = np.full(len(is_held), -1, np.int64)
    blocks[is_held] = block_of_unit[codes]
    return blocks


def _halves(n_blocks: int, n_most: int, rng: np.random.Generator) -> NDArray[np.bool_]:
    """Return halves `(n_halves, n_blocks)` of which none is another's complement."""
    picks = np.array(list(combinations(range(n_blocks), n_blocks // 2)))
    first = picks[: len(picks) // 2]
    if 2 * len(first) > n_most:
        first = first[np.sort(rng.choice(len(first), n_most // 2, replace=False))]
    halves = np.zeros((len(first), n_blocks), bool)
    np.put_along_axis(halves, first, True, axis=1)
    return halves


def _half_losses(
    history: History, metric: Metric, kept: Array, candidates: Array, blocks: Array
) -> Callable[[NDArray[np.bool_]], Array]:
    """Return what gives the loss of each candidate on halves `(n_halves, n_candidates)`, over repeats.

    For means of rows a half's sums are sums of its blocks' sums, which are added up once.
    """
    rows_of = [np.flatnonzero(is_held) for is_held in history.is_held]
    sums = [
        _block_sums(history, metric, kept, candidates, blocks, repeat, rows)
        for repeat, rows in enumerate(rows_of if metric.is_mean_of_rows else [])
    ]

    def found(halves: NDArray[np.bool_]) -> Array:
        total = np.zeros((len(halves), len(candidates)))
        for by_block, sizes in sums:
            total += halves @ by_block.T / np.maximum(halves @ sizes, 1.0)[:, None]
        for repeat, rows in enumerate([] if metric.is_mean_of_rows else rows_of):
            tables = np.stack([history.table(int(t), kept[t])[repeat, rows] for t in candidates])
            n_at_once = max(1, MOST_WEIGHTS // max(1, rows.size))
            for start in range(0, len(halves), n_at_once):
                some = slice(start, start + n_at_once)
                weights = halves[some][:, blocks[rows]].astype(np.float64)
                total[some] += losses(metric, history.y[rows], tables, weights).T
        return np.asarray(np.where(np.isnan(total), np.inf, total))

    return found


def _block_sums(
    history: History,
    metric: Metric,
    kept: Array,
    candidates: Array,
    blocks: Array,
    repeat: int,
    rows: NDArray[np.int64],
) -> tuple[Array, Array]:
    """Return the losses of each block, added `(n_candidates, n_blocks)`, and how many rows it has."""
    in_block = (blocks[rows][:, None] == np.arange(int(blocks.max()) + 1)).astype(np.float64)
    n_at_once = max(1, MOST_VALUES // max(1, rows.size * history.y.shape[1]))
    sums = []
    for start in range(0, len(candidates), n_at_once):
        some = candidates[start : start + n_at_once]
        tables = np.stack([history.table(int(t), kept[t])[repeat, rows] for t in some])
        sums.append(row_losses(metric, history.y[rows], tables) @ in_block)
    return np.concatenate(sums), in_block.sum(axis=0)
