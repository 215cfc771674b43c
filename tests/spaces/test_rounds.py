"""Rounds: enough of them, and readings close enough together."""

from __future__ import annotations

import itertools

import pytest

from spaces.rounds import n_rounds, rate_sum, readings
from spaces.task import Task


@pytest.mark.parametrize("rate", [0.001, 0.03, 0.06, 0.1, 0.3, 1.0])
@pytest.mark.parametrize("total", [15.0, 30.0])
def test_readings_of_a_learning_rate(rate: float, total: float) -> None:
    n = n_rounds({"learning_rate": rate, "rate_sum": total})
    found = readings(n)
    assert 60 <= n <= 800 and found[-1] == n and 12 <= len(found) <= 18
    assert all(0 < later - earlier <= max(1, 0.5 * earlier) for earlier, later in itertools.pairwise(found))


def test_a_rate_of_a_half_takes_twice_the_rounds() -> None:
    assert n_rounds({"learning_rate": 0.05, "rate_sum": 15.0}) == 300
    assert n_rounds({"learning_rate": 0.1, "rate_sum": 15.0}) == 150 == n_rounds({"learning_rate": 0.1})


@pytest.mark.parametrize("n_fitted", [1, 2, 5, 60])
def test_few_rounds_are_read_too(n_fitted: int) -> None:
    found = readings(n_fitted)
    assert list(found) == sorted(set(found)) and found[0] >= 1 and found[-1] == n_fitted


def test_values_need_more_rounds_than_classes() -> None:
    assert rate_sum(Task("regression", ("t",))) > rate_sum(Task("binary", ("t",), (0, 1)))
