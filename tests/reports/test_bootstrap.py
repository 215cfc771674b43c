"""Intervals from out-of-bag losses: closed forms."""

from typing import Any

import numpy as np
import pytest

from reports.bootstrap import OUT_OF_BAG_VARIANCE, _counts, bootstrap, interval, spread_factor
from reports.parts import bootstrap_counts
from reports.replay import decide, predictions
from search import metrics
from tests.reports.histories import first_only, history, rule_for, small


def test_out_of_bag_means_of_fixed_predictions_vary_e_minus_1_times_too_much() -> None:
    rng = np.random.default_rng(0)
    losses = rng.normal(size=400)
    is_out = np.array([np.bincount(rng.integers(0, 400, 400), minlength=400) == 0 for _ in range(4000)])
    variance = (is_out @ losses / is_out.sum(axis=1)).var()
    assert variance / (losses.var() / 400) == pytest.approx(OUT_OF_BAG_VARIANCE, rel=0.1)


def test_spread_is_drawn_together_by_what_the_rows_add() -> None:
    assert spread_factor(OUT_OF_BAG_VARIANCE, 1.0) == pytest.approx(OUT_OF_BAG_VARIANCE**-0.5)
    assert spread_factor(3.0, 1.0) == pytest.approx(((3.0 - OUT_OF_BAG_VARIANCE + 1.0) / 3.0) ** 0.5)
    assert spread_factor(1.0, 0.0) == spread_factor(0.0, 0.0) == 1.0
    assert spread_factor(1.0, 5.0) == pytest.approx(OUT_OF_BAG_VARIANCE**-0.5)


def test_the_interval_is_centred_on_the_honest_loss() -> None:
    found = np.linspace(2.0, 4.0, 101)
    assert interval(found, 1.0, 0.0) == pytest.approx((0.05, 1.95))
    assert interval(np.append(found, np.nan), 1.0, 0.0) == pytest.approx((0.05, 1.95))
    assert np.isnan(interval(np.array([np.nan, 1.0]), 1.0, 0.0)).all()


def test_a_draw_decides_on_its_rows_and_is_scored_on_the_others() -> None:
    made, rule = small(0), rule_for("log_loss")
    full = decide(made, rule, np.ones(60))
    drawn = bootstrap(made, rule, full, n_draws=5, rng=np.random.default_rng(1))
    for i, counts in enumerate(drawn.counts):
        assert counts.sum() == 60
        decision, rows = decide(made, rule, counts), np.flatnonzero(counts == 0)
        np.testing.assert_array_equal(decision.weights, drawn.decisions[i].weights)
        for found, table in zip(
            (drawn.winner, drawn.ensemble), predictions(made, decision, rows), strict=True
        ):
            expected = np.mean([metrics.loss(rule.metric, made.y[rows], one) for one in table])
            assert found[i] == pytest.approx(expected)


def test_rows_held_out_in_some_repeats_only_are_scored_there() -> None:
    rng = np.random.default_rng(0)
    tables = rng.uniform(0.1, 0.9, (3, 1, 2, 40, 1))
    tables[:, :, 0, :10] = np.nan
    tables[:, :, 1, 30:] = np.nan
    made, rule = (
        history(tables, (rng.random(40) < 0.5).astype(float)),
        rule_for("auc", choose_members=first_only),
    )
    full = decide(made, rule, np.ones(40))
    drawn = bootstrap(made, rule, full, n_draws=20, rng=rng)
    np.testing.assert_allclose(drawn.winner, drawn.ensemble)
    assert np.isfinite(drawn.winner).any()


def test_draws_are_counted_in_bytes_and_are_those_of_one_go(monkeypatch: pytest.MonkeyPatch) -> None:
    made, rule = small(0), rule_for("log_loss")
    full = decide(made, rule, np.ones(60))
    drawn = bootstrap(made, rule, full, n_draws=7, rng=np.random.default_rng(2))
    at_once = bootstrap_counts(made.y, made.units, made.is_ever_held, n_draws=7, rng=np.random.default_rng(2))
    np.testing.assert_array_equal(drawn.counts, at_once)
    assert drawn.counts.dtype == np.uint8
    monkeypatch.setattr("reports.bootstrap.N_DRAWS_COUNTED", 3)
    again = bootstrap(made, rule, full, n_draws=7, rng=np.random.default_rng(2))
    np.testing.assert_array_equal(again.counts, drawn.counts)
    np.testing.assert_array_equal(again.ensemble, drawn.ensemble)


def test_two_units_drawn_often_do_not_wrap_around(monkeypatch: pytest.MonkeyPatch) -> None:
    made = small(0)

    def often(y: np.ndarray, units: np.ndarray, is_held: np.ndarray, *, n_draws: int, rng: Any) -> np.ndarray:
        return np.full((n_draws, len(y)), rng.integers(200, 400))

    monkeypatch.setattr("reports.bootstrap.bootstrap_counts", often)
    monkeypatch.setattr("reports.bootstrap.N_DRAWS_COUNTED", 1)
    found = _counts(made, made.units, 12, np.random.default_rng(0))
    expected = np.random.default_rng(0).integers(200, 400, 12)
    np.testing.assert_array_equal(found[:, 0], expected)
    assert expected.min() < 256 <= expected.max()
