"""Paired tests and cross-checks against hand computation, definitions and known chances."""

from dataclasses import replace
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from reports import comparisons
from reports.comparisons import (
    corrected_t,
    effective_alternatives,
    fold_losses,
    overfitting,
    paired,
    tibshirani,
)
from search import metrics
from tests.reports.histories import BINARY, history, rule_for, small


def test_corrected_t_by_hand() -> None:
    d = np.array([1.0, 2.0, 3.0, 6.0])
    found = corrected_t(d, test_to_train=1 / 3)
    error = np.sqrt(d.var(ddof=1) * (1 / 4 + 1 / 3))
    assert found.mean == 3.0
    assert found.standard_error == pytest.approx(error)
    assert found.p == pytest.approx(2 * stats.t.sf(3.0 / error, 3))
    assert found.high - found.low == pytest.approx(2 * stats.t.ppf(0.975, 3) * error)


def test_corrected_t_of_no_difference_is_no_evidence() -> None:
    assert corrected_t(np.zeros(5), test_to_train=0.25).p == 1.0
    with pytest.raises(ValueError, match="at least 2 finite"):
        corrected_t(np.array([1.0, np.nan]), test_to_train=0.25)
    with pytest.raises(ValueError, match="must be positive"):
        corrected_t(np.ones(3), test_to_train=0.0)


def test_tibshirani_by_hand() -> None:
    by_fold = np.array([[1.0, 2.0, 3.0], [2.0, 1.0, 5.0]])
    assert tibshirani(by_fold, 0) == pytest.approx(1 / 3)
    assert tibshirani(by_fold, 1) == pytest.approx(1.0)
    assert tibshirani(np.array([[1.0, np.nan], [2.0, 1.0]]), 0) == 0.0


@given(st.integers(1, 20), st.integers(1, 5))
def test_effective_alternatives_of_equal_choices_is_their_number(n: int, times: int) -> None:
    assert effective_alternatives(list(range(n)) * times) == pytest.approx(n)


def test_effective_alternatives_by_hand() -> None:
    assert effective_alternatives("aaab") == pytest.approx(np.exp(-0.75 * np.log(0.75) - 0.25 * np.log(0.25)))


def test_paired_rows_are_an_ordinary_t_test_when_rows_stand_alone() -> None:
    made = small(0, n_repeats=1)
    metric = rule_for("log_loss").metric
    first, second = (made.predictions[t][0][None].astype(float) for t in (0, 1))
    found = paired(made, metric, first, second, rng=np.random.default_rng(0))
    d = metric.row_losses(made.y, first[0, 0]) - metric.row_losses(made.y, second[0, 0])
    expected = stats.ttest_1samp(d, 0.0)
    assert (found.mean, found.p) == pytest.approx((d.mean(), expected.pvalue))
    assert (found.low, found.high) == pytest.approx(tuple(expected.confidence_interval()))


def test_paired_rows_of_a_unit_count_once() -> None:
    made, metric = small(0, n_repeats=1), rule_for("log_loss").metric
    rows = np.repeat(np.arange(60), 3)
    copied = replace(
        made, y=made.y[rows], predictions=tuple(t[:, :, rows] for t in made.predictions), units=rows
    )
    one, other = (
        paired(h, metric, h.predictions[0][0][None], h.predictions[1][0][None], rng=np.random.default_rng(0))
        for h in (made, copied)
    )
    assert (one.mean, one.low, one.n) == pytest.approx((other.mean, other.low, other.n))


@pytest.mark.parametrize("name", ["auc", "f1"])
def test_pooled_metrics_are_compared_by_bootstrap(name: str) -> None:
    made, metric = small(0), rule_for(name).metric
    first, second = (made.predictions[t][0][None].astype(float) for t in (0, 1))
    found = paired(made, metric, first, second, rng=np.random.default_rng(0), n_draws=200)
    losses = [np.mean([metrics.loss(metric, made.y, one) for one in table[0]]) for table in (first, second)]
    assert found.mean == pytest.approx(losses[0] - losses[1])
    assert found.low < found.mean < found.high
    assert found.p is None


def test_fold_losses_are_those_of_the_held_rows() -> None:
    made, metric = small(0), rule_for("log_loss").metric
    fold_of_row = np.random.default_rng(0).integers(0, 3, (2, 60))
    kept = np.arange(8) % 5
    found = fold_losses(made, metric, kept, fold_of_row)
    assert found.shape == (8, 6)
    rows = fold_of_row[1] == 2
    assert found[4, 5] == pytest.approx(metrics.loss(metric, made.y[rows], made.predictions[4][4][1, rows]))


@pytest.mark.parametrize("name", ["log_loss", "auc"])
def test_overfitting_by_its_definition(name: str) -> None:
    """All halves of 4 blocks, each scored with the metric's own function."""
    made, metric = small(2, n_repeats=1, units=np.arange(60) // 15), rule_for(name).metric
    kept = np.zeros(8, int)
    found = overfitting(made, metric, kept, np.arange(8), rng=np.random.default_rng(0), n_blocks=4)
    ranks = []
    for half in combinations(range(4), 2):
        is_in = np.isin(made.units, half)
        inside, outside = (
            [metrics.loss(metric, made.y[rows], table[0][0, rows]) for table in made.predictions]
            for rows in (is_in, ~is_in)
        )
        ranks.append(stats.rankdata(outside)[int(np.argmin(inside))])
    share = (np.array(ranks) - 1) / 7
    assert found is not None
    assert found.n_halves == 6
    assert found.mean_rank == pytest.approx(share.mean())
    assert found.probability == pytest.approx((share > 0.5).mean())


def test_overfitting_tells_luck_from_merit() -> None:
    rng = np.random.default_rng(0)
    y = rng.integers(0, 2, 400).astype(float)
    noise = rng.uniform(0.2, 0.8, (40, 1, 400))
    good = np.where(y > 0, 0.9, 0.1)[None, None]
    metric, kept = rule_for("log_loss").metric, np.zeros(41, int)
    lucky = overfitting(history(noise, y), metric, kept, np.arange(40), rng=rng)
    merited = overfitting(history(np.concatenate([noise, good]), y), metric, kept, np.arange(41), rng=rng)
    assert lucky is not None and merited is not None
    assert lucky.n_halves == 12870
    assert lucky.probability > 0.35
    assert merited.probability == 0.0


def test_overfitting_needs_something_to_compare() -> None:
    metric = rule_for("log_loss").metric
    assert (
        overfitting(small(0), metric, np.zeros(8, int), np.array([3]), rng=np.random.default_rng(0)) is None
    )


@pytest.mark.parametrize("name", ["log_loss", "auc"])
def test_overfitting_is_the_same_in_however_many_pieces(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is held in memory at a time is bounded, whatever the number of candidates."""
    made, metric = small(seed=4, n_trials=9), metrics.metric_for(name, BINARY)
    kept, left = np.zeros(9, np.int64), np.arange(9)
    whole = overfitting(made, metric, kept, left, rng=np.random.default_rng(0))
    monkeypatch.setattr(comparisons, "MOST_VALUES", 40)
    assert overfitting(made, metric, kept, left, rng=np.random.default_rng(0)) == whole
