"""The cross-fitted replay: no row judges a decision that it took part in, and the truth is met."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reports.estimates import crossfit, estimate, honest_loss, in_sample_loss, split, stage_shares
from reports.replay import Rule, curves, decide, predictions
from search import metrics
from spaces.task import Task
from tests.reports.histories import BINARY, World, first_only, history, rule_for, small


@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 999), row=st.integers(0, 59))
def test_a_label_has_no_say_in_the_decision_it_is_scored_with(seed: int, row: int) -> None:
    made, rule = small(seed, units=np.arange(60) // 2), rule_for("log_loss")
    parts = split(made, n_parts=5, n_rounds=2, rng=np.random.default_rng(seed))
    other = np.array(made.y)
    other[row] = 1.0 - other[row]
    one, two = crossfit(made, rule, parts), crossfit(replace(made, y=other), rule, parts)
    mates = made.units == made.units[row]
    np.testing.assert_array_equal(one.winner[:, :, mates], two.winner[:, :, mates])
    np.testing.assert_array_equal(one.ensemble[:, :, mates], two.ensemble[:, :, mates])


def test_in_time_only_the_past_decides() -> None:
    time = np.random.default_rng(0).permutation(60)
    made, rule = small(1, time=time), rule_for("log_loss")
    parts = split(made, n_parts=6, n_rounds=5, rng=np.random.default_rng(0))
    assert parts.shape == (1, 60)
    late = time >= 40
    other = np.where(late[:, None], 1.0 - made.y, made.y)
    one, two = crossfit(made, rule, parts), crossfit(replace(made, y=other), rule, parts)
    np.testing.assert_array_equal(one.ensemble[:, :, ~late], two.ensemble[:, :, ~late])
    assert np.isnan(one.winner[0, 0, parts[0] == 0]).all()
    found = estimate(made, rule, rng=np.random.default_rng(0), n_parts=6, n_draws=4)
    full = decide(made, rule, np.ones(60))
    inside = in_sample_loss(made, rule.metric, full, parts)[1]
    assert found.ensemble.optimism == pytest.approx(found.ensemble.honest - inside)


def test_each_part_is_predicted_by_the_decision_of_the_others() -> None:
    made, rule = small(2), rule_for("log_loss")
    parts = split(made, n_parts=4, n_rounds=2, rng=np.random.default_rng(0))
    fitted = crossfit(made, rule, parts)
    assert len(fitted.decisions) == 8
    rows = np.flatnonzero(parts[1] == 2)
    decision = decide(made, rule, (parts[1] != 2).astype(float))
    winner, ensemble = predictions(made, decision, rows)
    np.testing.assert_array_equal(fitted.winner[1][:, rows], winner)
    np.testing.assert_array_equal(fitted.ensemble[1][:, rows], ensemble)


@pytest.mark.parametrize("name", [n for n, m in metrics.METRICS.items() if "binary" in m.tasks])
def test_every_classification_metric_is_estimated(name: str) -> None:
    rule = rule_for(name)
    checked(small(3), rule)


@pytest.mark.parametrize("name", [n for n, m in metrics.METRICS.items() if "regression" in m.tasks])
def test_every_regression_metric_is_estimated(name: str) -> None:
    rng = np.random.default_rng(0)
    y = rng.gamma(3.0, size=(50, 2))
    tables = np.maximum(y + rng.normal(0.0, rng.uniform(0.5, 2.0, (6, 1, 1, 1, 1)), (6, 2, 2, 50, 2)), 0.0)
    checked(history(tables, y), rule_for(name, Task("regression", ("a", "b"))))


def checked(made: Any, rule: Rule) -> None:
    found = estimate(made, rule, rng=np.random.default_rng(0), n_rounds=2, n_parts=4, n_draws=20)
    sign = -1.0 if rule.metric.is_higher_better else 1.0
    for one, table in ((found.winner, found.fitted.winner), (found.ensemble, found.fitted.ensemble)):
        pooled = [metrics.loss(rule.metric, made.y, t) for t in table.reshape(-1, *made.y.shape)]
        assert sign * one.honest == pytest.approx(np.mean(pooled))
        assert one.low <= one.honest <= one.high
        assert one.optimism == pytest.approx(sign * (one.honest - one.printed))
    everything = decide(made, rule, np.ones(len(made.y)))
    assert sign * found.winner.printed == pytest.approx(everything.losses[everything.winner])
    assert found.difference.mean == pytest.approx(sign * (found.ensemble.honest - found.winner.honest))


def test_the_same_seed_gives_the_same_figures_and_threads_change_nothing() -> None:
    made, rule = small(4), rule_for("log_loss")
    runs = [
        estimate(made, rule, rng=np.random.default_rng(5), n_rounds=2, n_draws=10, n_workers=n)
        for n in (1, 2)
    ]
    assert runs[0].ensemble.to_json() == runs[1].ensemble.to_json()
    assert runs[0].difference == runs[1].difference


def test_without_draws_there_is_no_interval_and_without_rounds_there_are_no_shares() -> None:
    found = estimate(
        small(5), rule_for("log_loss"), rng=np.random.default_rng(0), n_draws=0, n_share_rounds=0
    )
    assert found.bootstrap is None
    assert np.isnan([found.winner.low, found.winner.high, found.winner.out_of_bag]).all()
    assert found.ensemble.shares == {}
    assert found.difference.p is not None


def test_one_candidate_at_one_epoch_has_no_optimism() -> None:
    world = World(0, n_trials=1, n_epochs=1, signal=1.5)
    found = estimate(history(*world.draw(80)), rule_for("log_loss"), rng=np.random.default_rng(0), n_draws=10)
    assert found.winner.optimism == pytest.approx(0.0, abs=1e-12)
    assert found.winner.shares == pytest.approx({"epoch": 0.0, "prune": 0.0, "winner": 0.0}, abs=1e-12)
    assert found.difference.mean == pytest.approx(0.0, abs=1e-12)


def test_a_stage_that_alone_decides_has_the_whole_optimism() -> None:
    """One trial with many epochs: all is the epoch's; many trials with one epoch: all is the winner's."""
    rng = np.random.default_rng(0)
    y, noise = (rng.random(100) < 0.5).astype(float), rng.uniform(0.2, 0.8, (1, 30, 100))
    rule = rule_for("log_loss", choose_members=first_only, ceilings=None)
    for table, stage in ((noise, "epoch"), (noise.reshape(30, 1, 100), "winner")):
        found = estimate(history(table, y), rule, rng=np.random.default_rng(1), n_draws=0).winner
        assert found.optimism > 0.0
        assert found.shares[stage] == pytest.approx(found.optimism)
        assert found.shares["prune"] == pytest.approx(0.0, abs=1e-12)


def test_shares_of_fewer_rounds_are_those_of_the_first() -> None:
    made, rule = small(6), rule_for("log_loss")
    parts = split(made, n_parts=4, n_rounds=3, rng=np.random.default_rng(0))
    full = decide(made, rule, np.ones(60))
    weights = np.stack([(parts[r] != p).astype(float) for r in range(3) for p in range(4)])
    found = curves(made, rule.metric, weights)
    fitted, first = crossfit(made, rule, parts), crossfit(made, rule, parts[:1])
    one = stage_shares(made, rule, full, fitted, found, n_rounds=1)
    other = stage_shares(made, rule, full, first, found[:4], n_rounds=1)
    assert one == other


def noise_study(seed: int) -> tuple[Any, np.ndarray]:
    """Thirty trials of equal merit, noisy copies of one truth, and the true chance of class 1."""
    rng = np.random.default_rng(seed)
    chance = rng.uniform(0.2, 0.8, 120)
    tables = np.clip(chance + rng.normal(0.0, 0.25, (30, 3, 120)), 0.02, 0.98)
    return history(tables, (rng.random(120) < chance).astype(float)), chance


def test_among_equals_the_printed_score_is_too_good_and_the_replayed_one_is_right() -> None:
    """All candidates are equally good for new rows: the expected loss of any winner is known."""
    rule = rule_for("log_loss", choose_members=first_only, ceilings=None)
    rng = np.random.default_rng(99)
    chance = rng.uniform(0.2, 0.8, 2_000_000)
    said = np.clip(chance + rng.normal(0.0, 0.25, chance.size), 0.02, 0.98)
    truth = float(-(chance * np.log(said) + (1 - chance) * np.log1p(-said)).mean())
    printed, honest = [], []
    for seed in range(40):
        made, _ = noise_study(seed)
        found = estimate(made, rule, rng=np.random.default_rng(seed), n_rounds=2, n_draws=0, n_share_rounds=0)
        reference = metrics.loss(rule.metric, made.y, made.predictions[0][0, 0]) - truth
        printed.append(found.winner.printed - truth - reference)
        honest.append(found.winner.honest - truth - reference)
    error = np.std(honest, ddof=1) / 40**0.5
    print(f"printed {np.mean(printed):+.4f}, replayed {np.mean(honest):+.4f} +- {error:.4f}")
    assert np.mean(printed) < -0.05
    assert abs(np.mean(honest)) < max(2.5 * error, 0.1 * abs(np.mean(printed)))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "n_rows", "signal", "n_studies"),
    [
        ("log_loss", 100, 1.5, 150),
        ("log_loss", 150, 0.0, 150),
        ("accuracy", 200, 1.5, 120),
        ("auc", 150, 1.5, 60),
    ],
)
def test_bias_and_coverage_where_the_truth_is_known(
    name: str, n_rows: int, signal: float, n_studies: int
) -> None:
    """Studies of 12 trials x 4 epochs with a greedy ensemble, scored on 20,000 further rows."""
    rule = rule_for(name, BINARY, ceilings=None)
    found = np.array([known_truth(rule, seed, n_rows, signal) for seed in range(n_studies)])
    mean, error = found.mean(axis=0), found.std(axis=0, ddof=1) / n_studies**0.5
    for i, subject in enumerate(("winner", "ensemble")):
        printed, honest, covered, width = mean[4 * i : 4 * i + 4]
        se = error[4 * i + 1]
        print(
            f"{name} n={n_rows} signal={signal} {subject}: "
            f"printed {printed:+.4f}, honest {honest:+.4f} +- {se:.4f}, "
            f"95 % interval covers {covered:.3f}, width {width:.3f}"
        )
        assert abs(honest) < max(2.5 * se, 0.12 * abs(printed))
        assert covered > 0.90
    print(f"{name} n={n_rows}: ensemble less winner covers {mean[8]:.3f}")
    assert mean[8] > 0.88


def known_truth(rule: Rule, seed: int, n_rows: int, signal: float) -> list[float]:
    """Errors of the printed and the honest loss, coverage and width, of winner and ensemble."""
    world = World(seed, n_trials=12, n_epochs=4, signal=signal)
    (drawn, y), (new, new_y) = world.draw(n_rows), world.draw(20_000)
    made = history(drawn, y)
    honest = estimate(
        made, rule, rng=np.random.default_rng(seed), n_rounds=3, n_draws=150, n_share_rounds=0, n_workers=1
    )
    sign = -1.0 if rule.metric.is_higher_better else 1.0
    fresh = history(new, new_y)
    truths = [
        honest_loss(fresh, rule.metric, t[None]) for t in predictions(fresh, honest.full, np.arange(20_000))
    ]
    luck = luck_of(rule, drawn, y) - luck_of(rule, new, new_y)
    row: list[float] = []
    for one, truth in zip((honest.winner, honest.ensemble), truths, strict=True):
        is_covered = one.low <= sign * truth <= one.high
        errors = [sign * one.printed - truth - luck, sign * one.honest - truth - luck]
        row += [*errors, float(is_covered), one.high - one.low]
    d = honest.difference
    return [*row, float(d.low <= truths[1] - truths[0] <= d.high)]


def luck_of(rule: Rule, tables: np.ndarray, y: np.ndarray) -> float:
    """Loss of the mean of all trials at their last epoch, fixed before anything was seen."""
    return metrics.loss(rule.metric, y[:, None], tables[:, -1].mean(axis=0)[:, None])
