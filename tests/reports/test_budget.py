"""The trajectory is the replay of every prefix; the verdict is arithmetic; what stopping by it costs."""

from __future__ import annotations

import math
import time
from typing import Any

import numpy as np
import pytest

from reports.budget import FEWEST_TRIALS, LeakBudget, Trajectory, is_enough, verdict
from reports.estimates import crossfit, honest_loss, in_sample_loss, split
from reports.replay import History, decide
from search import metrics
from search.metrics import Metric
from tests.reports.histories import BINARY, first_only, rule_for, sigmoid, small

LOG_LOSS = metrics.metric_for("log_loss", BINARY)


def _followed(history: History, metric: Metric, **changes: Any) -> Trajectory:
    trajectory = Trajectory(
        metric, history.y, rng=np.random.default_rng(3), units=history.units, time=history.time, **changes
    )
    for table, is_completed in zip(history.predictions, history.is_completed, strict=True):
        trajectory.add(table, is_completed=bool(is_completed))
    return trajectory


def _prefix(history: History, n: int) -> History:
    return History(
        history.y, history.numbers[:n], history.is_completed[:n], history.architectures[:n],
        history.epochs[:n], history.predictions[:n], history.units, history.time,
    )  # fmt: skip


def _replayed(history: History, name: str) -> tuple[list[float], list[float]]:
    """The same losses the slow way: a whole replay for each number of trials."""
    rule = rule_for(name, ceilings=None, choose_members=first_only)
    parts = split(history, n_parts=10, n_rounds=5, rng=np.random.default_rng(3))
    honest, in_sample = [], []
    for n in range(1, history.n_trials + 1):
        first = _prefix(history, n)
        full = decide(first, rule, np.ones(len(first.y)))
        honest.append(honest_loss(first, rule.metric, crossfit(first, rule, parts).winner))
        in_sample.append(in_sample_loss(first, rule.metric, full, parts)[0])
    return honest, in_sample


PRUNED = np.array([True, True, False, True, False, False, True, True])


@pytest.mark.parametrize("name", ["log_loss", "auc", "accuracy"])
@pytest.mark.parametrize(
    "changes",
    [{}, {"units": np.arange(60) // 3}, {"time": np.arange(60) // 2}, {"is_completed": PRUNED}],
    ids=["plain", "groups", "time", "pruned"],
)
def test_the_trajectory_is_the_replay_of_every_prefix(name: str, changes: dict[str, Any]) -> None:
    history = small(4, **changes)
    followed = _followed(history, metrics.metric_for(name, BINARY))
    honest, in_sample = _replayed(history, name)
    assert followed.honest == pytest.approx(honest) and followed.in_sample == pytest.approx(in_sample)
    assert len(set(honest)) > 1


def test_a_single_trial_with_one_epoch_has_no_optimism() -> None:
    history = small(1, n_trials=1)
    trajectory = Trajectory(LOG_LOSS, history.y, rng=np.random.default_rng(0))
    trajectory.add(history.predictions[0][:1])
    assert trajectory.honest == pytest.approx(trajectory.in_sample)


def test_what_is_pruned_changes_nothing_and_counts() -> None:
    history = small(1, is_completed=PRUNED)
    followed = _followed(history, LOG_LOSS)
    assert len(followed.honest) == 8
    assert followed.honest[2] == followed.honest[1] and followed.in_sample[5] == followed.in_sample[3]


def test_before_the_first_completed_trial_there_is_no_loss() -> None:
    trajectory = Trajectory(LOG_LOSS, np.zeros((10, 1)), rng=np.random.default_rng(0))
    trajectory.add(np.full((1, 1, 10, 1), 0.5), is_completed=False)
    assert trajectory.honest == trajectory.in_sample == []


def _logarithmic(gain: float, growth: float, n: int = 30) -> tuple[list[float], list[float]]:
    """Trajectories whose honest loss falls by `gain` and whose optimism grows by `growth` times log k."""
    log = np.log(np.arange(1, n + 1))
    return list(0.7 - gain * log), list(0.7 - (gain + growth) * log)


@pytest.mark.parametrize(("gain", "growth"), [(0.02, 0.01), (0.01, 0.02), (-0.01, 0.03), (0.0, 0.01)])
def test_the_verdict_in_closed_form(gain: float, growth: float) -> None:
    worth = verdict(*_logarithmic(gain, growth))
    assert worth.expected_gain == pytest.approx(gain * math.log(31 / 30), abs=1e-12)
    assert worth.optimism_growth == pytest.approx(growth * math.log(31 / 30))
    assert worth.is_worth is (gain > growth)
    assert is_enough(*_logarithmic(gain, growth)) is (gain < growth)


def test_standing_still_leaks_nothing() -> None:
    assert verdict([0.1 + 0.2] * 40, [0.3] * 40).is_worth
    assert verdict([0.1 + 0.2] * 40, [0.3] * 40).expected_gain == 0.0


def test_nothing_is_judged_before_there_are_enough_trials() -> None:
    honest, in_sample = _logarithmic(0.0, 0.1, FEWEST_TRIALS)
    assert verdict(honest[:-1], in_sample[:-1]).is_worth and not verdict(honest, in_sample).is_worth
    assert not is_enough(honest, in_sample), "one verdict is not two"
    assert is_enough(*_logarithmic(0.0, 0.1, FEWEST_TRIALS + 1))


def test_the_budget_says_why_and_keeps_what_it_did() -> None:
    rng, y = np.random.default_rng(1), np.repeat([0.0, 1.0], 50)[:, None]
    budget = LeakBudget(Trajectory(LOG_LOSS, y, rng=rng))
    reasons = [budget.add(rng.uniform(0.3, 0.7, (1, 1, 100, 1)), is_completed=True) for _ in range(60)]
    first = next(i for i, reason in enumerate(reasons) if reason)
    assert first >= FEWEST_TRIALS
    assert str(reasons[first]).startswith(f"another trial is not worth its leak: after {first + 1} trials")
    did = budget.to_json()
    assert did["has_stopped"] and did["n_trials"] == 60 == len(did["honest"]) == len(did["in_sample"])


def test_a_trial_costs_little_time() -> None:
    """100 trials x 20 checkpoints x 2,000 rows x 3 repeats; the hundredth costs what the second does."""
    rng, y = np.random.default_rng(0), (np.arange(2000.0) % 2)[:, None]
    trajectory = Trajectory(LOG_LOSS, y, rng=rng)
    table = rng.uniform(0.1, 0.9, (20, 3, 2000, 1)).astype(np.float32)
    started = time.perf_counter()
    for shift in range(4):
        trajectory.add(np.roll(table, shift, axis=2))
    assert (time.perf_counter() - started) / 4 < 0.5


REGIMES = {"equal": (0.0, 0.0), "random": (0.4, 0.0), "learning": (0.25, 0.6)}


def _study(seed: int, spread: float, progress: float, n_rows: int, n_trials: int = 60) -> tuple[Any, Any]:
    """Where the budget stops, the trajectory, and the true loss of the best trial after 1, 2, ... trials.

    `spread` of the trials' noise; `progress`: what a sampler learns takes from it over 40 trials (in logs).
    """
    rng, n_all = np.random.default_rng(seed), n_rows + 4000
    quality = spread * rng.normal(size=n_trials) - progress * np.minimum(np.arange(n_trials) / 40, 1.0)
    truth, common = rng.normal(0.0, 1.5, n_all), rng.normal(size=n_all)
    y = (rng.random(n_all) < sigmoid(truth)).astype(float)[:, None]
    trajectory = Trajectory(LOG_LOSS, y[:n_rows], rng=rng)
    true, best = [], math.inf
    for noise in 1.2 * np.exp(quality):
        z = 0.55 * common + 0.72 * rng.normal(size=n_all) + 0.42 * rng.normal(size=(4, n_all))
        p = sigmoid(0.8 * (truth + noise * np.exp(rng.normal(0.0, 0.1, (4, 1))) * z))[..., None]
        losses = [metrics.loss(LOG_LOSS, y[:n_rows], one[:n_rows]) for one in p]
        if min(losses) < best:
            best, kept = min(losses), p[int(np.argmin(losses)), n_rows:]
        true.append(metrics.loss(LOG_LOSS, y[n_rows:], kept))
        trajectory.add(p[:, None, :n_rows])
    return trajectory, true


def _simulated(regime: str, n_rows: int, n_studies: int) -> dict[str, float]:
    """Means over studies: trials run, share stopped, true loss by stopping, optimism not built up."""
    found = []
    for seed in range(n_studies):
        trajectory, true = _study(seed, *REGIMES[regime], n_rows)
        h, i = np.array(trajectory.honest), np.array(trajectory.in_sample)
        stops = (k for k in range(1, len(h) + 1) if is_enough(h[:k].tolist(), i[:k].tolist()))
        k = next(stops, len(h))
        saved = (h - i)[-1] - (h - i)[k - 1]
        found.append((k, k < len(h), true[k - 1] - true[-1], saved, true[0] - true[-1]))
    means, errors = np.mean(found, 0), np.std(found, 0) / n_studies**0.5
    names = ("trials", "stopped", "cost", "saved", "gain_of_all")
    return {**dict(zip(names, means.tolist(), strict=True)), "cost_se": float(errors[2])}


@pytest.mark.slow
def test_it_stops_what_learns_nothing_and_lets_go_on_what_does() -> None:
    """Simulated studies of up to 60 trials with known truth."""
    found = {
        (regime, n): _simulated(regime, n, 40)
        for regime, n in (("equal", 150), ("random", 150), ("random", 600), ("learning", 600))
    }
    for (regime, n), f in found.items():
        print(
            f"{regime:8} {n} rows: {f['trials']:.0f} of 60 trials, {f['stopped']:.0%} stopped, cost "
            f"{f['cost']:+.4f} (se {f['cost_se']:.4f}) of {f['gain_of_all']:.4f}, optimism {-f['saved']:+.4f}"
        )
    noise, useful = found["equal", 150], [found["random", 600], found["learning", 600]]
    assert noise["stopped"] > 0.75 and noise["trials"] < 40
    assert abs(noise["cost"]) < 3 * noise["cost_se"]
    for f in useful:
        assert f["stopped"] < 0.5 and f["trials"] > 40
        assert f["cost"] < 0.2 * f["gain_of_all"]
