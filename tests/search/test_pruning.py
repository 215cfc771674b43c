"""Median pruning: a rule of recorded curves alone."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from search.pruning import FIRST_EPOCH, N_STARTUP, Ceilings, ceilings

LOOKS = (1, 2, FIRST_EPOCH - 1, FIRST_EPOCH, FIRST_EPOCH + 10, FIRST_EPOCH + 30)


def _curve(*losses: float, n: int = 6) -> tuple[tuple[int, ...], tuple[float, ...]]:
    return LOOKS[:n], losses[:n]


def test_nothing_is_pruned_before_enough_trials_are_completed() -> None:
    curves = [_curve(1, 1, 1, 1, 1, 1)] * N_STARTUP
    assert ceilings(curves[:-1], LOOKS) == {}
    assert ceilings(curves, LOOKS) != {}


def test_ceilings_stand_from_the_first_epoch_on_but_not_at_the_last_look() -> None:
    found = ceilings([_curve(1, 1, 1, 1, 1, 1)] * N_STARTUP, LOOKS)
    assert list(found) == [FIRST_EPOCH, FIRST_EPOCH + 10]


def test_a_ceiling_is_the_median_of_the_best_so_far() -> None:
    curves = [_curve(9, k, 9, 5 + k, 9, 0) for k in range(5)]  # best until the first rung: 0, 1, 2, 3, 4
    assert ceilings(curves, LOOKS) == {FIRST_EPOCH: 2.0, FIRST_EPOCH + 10: 2.0}
    falling = [_curve(9, 9, 9, 6 + k, k, 0) for k in range(6)]
    assert ceilings(falling, LOOKS) == {FIRST_EPOCH: 8.5, FIRST_EPOCH + 10: 2.5}


def test_a_trial_that_ended_early_keeps_its_best() -> None:
    curves = [_curve(3, 1, 2, n=3)] * 3 + [_curve(5, 5, 5, 5, 5, 5)] * 2
    assert ceilings(curves, LOOKS) == {FIRST_EPOCH: 1.0, FIRST_EPOCH + 10: 1.0}


@given(st.lists(st.lists(st.floats(0, 9), min_size=6, max_size=6), min_size=N_STARTUP, max_size=9))
def test_ceilings_fall_with_the_epoch_and_half_of_the_trials_stay_below(losses: list[list[float]]) -> None:
    found = ceilings([(LOOKS, tuple(one)) for one in losses], LOOKS)
    values = list(found.values())
    assert all(a >= b for a, b in pairwise(values))
    for rung, ceiling in found.items():
        best = [min(one[: LOOKS.index(rung) + 1]) for one in losses]
        assert sum(b <= ceiling for b in best) >= len(best) / 2


@pytest.mark.parametrize("looks", [(1,), (1, 5), (40,)])
def test_short_trainings_are_never_pruned(looks: tuple[int, ...]) -> None:
    assert ceilings([(looks, (1.0,) * len(looks))] * N_STARTUP, looks) == {}


@given(st.lists(st.lists(st.floats(0, 9), min_size=6, max_size=6), max_size=20))
def test_medians_that_are_kept_are_those_of_all_trials_so_far(losses: list[list[float]]) -> None:
    running = Ceilings(LOOKS)
    for n, one in enumerate(losses, start=1):
        running.add(LOOKS, one)
        expected = {
            rung: float(np.median([min(other[: LOOKS.index(rung) + 1]) for other in losses[:n]]))
            for rung in (FIRST_EPOCH, FIRST_EPOCH + 10)
        }
        assert running.limits == (expected if n >= N_STARTUP else {})


def test_a_curve_that_is_undefined_prunes_nothing() -> None:
    running = Ceilings(LOOKS)
    for _ in range(N_STARTUP):
        running.add(LOOKS, (1.0,) * 6)
    running.add(LOOKS, (math.nan,) * 6)
    assert all(math.isnan(limit) for limit in running.limits.values())
