"""The range test: the interval of known curves, and a real training whose curve falls and blows up."""

from __future__ import annotations

import tomllib
from itertools import pairwise
from typing import Any

import numpy as np
import pytest

from search.config import StudyConfig
from search.lr_range import LrRange, RangeError, lr_range, smooth, suggest
from search.preparation import lay_out
from spaces.joint import space_of
from tests.search.training import plans

RATES = 10.0 ** np.linspace(-5, 1, 61)


def suggested(losses: Any) -> LrRange:
    return suggest(RATES[: len(losses)], np.asarray(losses), family="mlp", config={})


def curve(fall_at: float, blow_up_at: float) -> Any:
    """A logarithm that falls by 3, fastest at one rate, and a loss that doubles from another on."""
    falling = np.exp(-3 / (1 + (fall_at / RATES) ** 2))
    return np.where(blow_up_at > RATES, falling, 2.0)


def test_the_interval_of_a_known_curve() -> None:
    found = suggested(curve(1e-3, 0.5))
    assert found.steepest == pytest.approx(1e-3, rel=0.3)
    assert found.blow_up == pytest.approx(0.5, rel=0.4)
    assert found.low == pytest.approx(1e-3, rel=0.3) and found.high == pytest.approx(0.05, rel=0.4)


def test_an_interval_is_a_factor_of_three_at_least() -> None:
    found = suggested(curve(3e-2, 0.5))
    assert found.high / found.low == pytest.approx(3, rel=0.1)
    assert found.high == pytest.approx(found.blow_up / 10, rel=0.05)


@pytest.mark.parametrize("last", [np.nan, np.inf, 1e9])
def test_a_last_loss_beyond_bounds_is_a_blow_up(last: float) -> None:
    found = suggested([*curve(1e-3, 99.0)[:40], last])
    assert found.blow_up is not None and found.blow_up <= RATES[40] * 1.001
    assert np.isfinite(found.smoothed).all() and "<svg" in found.svg()


def test_a_loss_that_only_falls_has_no_blow_up() -> None:
    found = suggested(curve(1e-3, 99.0))
    assert found.blow_up is None and found.high == 1.0 and "did not blow up" in found.sentence


@pytest.mark.parametrize("losses", [np.ones(61), np.linspace(1, 9, 61), [np.nan] * 3, [1.0, np.nan]])
def test_a_loss_that_never_falls_is_an_error(losses: Any) -> None:
    with pytest.raises(RangeError, match="must fall at some learning rate"):
        suggested(losses)


def test_smoothing_keeps_lines_and_is_not_reached_by_a_blow_up() -> None:
    places = np.linspace(-5, 1, 61)
    line = 7.0 - 0.5 * places
    assert smooth(places, line)[10:-10] == pytest.approx(line[10:-10])
    blown = np.append(np.ones(60), 1e30)
    assert smooth(places, blown)[:55] == pytest.approx(np.ones(55), abs=1e-3)


def test_the_lines_seed_a_space() -> None:
    found, data = suggested(curve(1e-3, 0.5)), plans.dataset()
    signature = plans.request(data, plans.Recipe()).signature
    space = space_of(("mlp",), signature, tomllib.loads(found.toml)["space"])
    rate = space.parameters["learning_rate"]
    assert (rate.low, rate.high, rate.log) == (found.low, found.high, True)


def test_a_family_without_learning_rate_is_refused() -> None:
    config = StudyConfig(families=("linear",))
    with pytest.raises(RangeError, match=r"mlp.*got 'linear'"):
        lr_range(config, lay_out(config, plans.dataset()), "linear")


def test_a_training_falls_and_blows_up() -> None:
    config = StudyConfig(families=("mlp",), splits=2, repeats=1, space={"width": 16, "depth": 1})
    prepared = lay_out(config, plans.dataset("regression", 120))
    found = lr_range(config, prepared)
    assert found.config["width"] == 16
    assert all(a < b for a, b in pairwise(found.rates)) and found.rates[0] < 2e-5
    assert min(found.losses) < 0.5 * found.losses[0]
    assert found.blow_up is not None and found.low < found.high < found.blow_up
