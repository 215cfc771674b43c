"""Parts and draws keep units whole, classes spread and time in order."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reports.parts import bootstrap_counts, bootstrap_units, deciding, random_parts, strata_of, time_parts


@given(seed=st.integers(0, 999), n_parts=st.integers(2, 12), n_units=st.integers(2, 30))
def test_units_are_never_divided_and_every_held_row_has_a_part(seed: int, n_parts: int, n_units: int) -> None:
    rng = np.random.default_rng(seed)
    units, y = rng.integers(0, n_units, 80), (rng.random((80, 1)) < 0.3).astype(float)
    is_held = rng.random(80) < 0.8
    units[is_held.argmax()], units[len(is_held) - 1 - is_held[::-1].argmax()] = 0, 1
    parts = random_parts(y, units, is_held, n_parts=n_parts, n_rounds=2, rng=rng)
    assert ((parts >= 0) == is_held).all()
    for one in parts:
        assert all(len(np.unique(one[is_held & (units == unit)])) <= 1 for unit in np.unique(units))
        assert set(one[is_held]) == set(range(int(one.max()) + 1))
        for part in range(int(one.max()) + 1):
            rows = deciding(one, part, units, is_in_time=False)
            assert not set(units[rows]) & set(units[one == part])
            assert (rows == (is_held & (one != part))).all()


def test_classes_are_spread_evenly() -> None:
    y = np.repeat([[1.0], [0.0]], [30, 70], axis=0)
    parts = random_parts(
        y, np.arange(100), np.ones(100, bool), n_parts=10, n_rounds=3, rng=np.random.default_rng(0)
    )
    assert all((np.bincount(one[y[:, 0] == 1]) == 3).all() for one in parts)


def test_the_past_decides_for_the_future_and_ties_stay_together() -> None:
    time = np.array([5, 1, 1, 2, 3, 3, 4, 0, 9, 9])
    is_held = time > 0
    (parts,) = time_parts(time, is_held, n_parts=3)
    assert parts[time == 0].tolist() == [-1]
    for moment in np.unique(time):
        assert len(np.unique(parts[time == moment])) == 1
    for part in range(1, int(parts.max()) + 1):
        rows = deciding(parts, part, np.arange(10), is_in_time=True)
        assert rows.any()
        assert time[rows].max() < time[parts == part].min()


def test_a_unit_that_spans_times_does_not_decide_for_itself() -> None:
    parts = np.array([0, 0, 1, 1])
    assert deciding(parts, 1, np.array([0, 1, 1, 2]), is_in_time=True).tolist() == [True, False, False, False]


def test_a_draw_takes_units_whole_and_has_every_class_on_both_sides() -> None:
    rng = np.random.default_rng(0)
    y = np.repeat([[1.0], [0.0]], [4, 56], axis=0)
    units, is_held = np.r_[np.arange(40), np.arange(20, 40)], np.r_[np.ones(55, bool), np.zeros(5, bool)]
    counts = bootstrap_counts(y, units, is_held, n_draws=200, rng=rng)
    assert (counts[:, ~is_held] == 0).all()
    assert (counts[:, 20:35] == counts[:, 40:55]).all()
    for one in counts:
        is_out = (one == 0) & is_held
        assert set(y[one > 0, 0]) == set(y[is_out, 0]) == {0.0, 1.0}


def test_neighbours_in_time_are_drawn_together() -> None:
    time = np.random.default_rng(0).permutation(64)
    units = bootstrap_units(np.arange(64), time, np.ones(64, bool))
    assert all(np.ptp(time[units == unit]) == 3 for unit in np.unique(units))
    assert (bootstrap_units(np.arange(64), None, np.ones(64, bool)) == np.arange(64)).all()


def test_strata_are_patterns_of_labels() -> None:
    assert strata_of(np.array([[0.0, 1], [1, 1], [0, 1]])).tolist() == [0, 1, 0]
    assert strata_of(np.array([[0.5], [1.5]])).tolist() == [0, 0]


def test_one_unit_cannot_be_divided() -> None:
    rng, y, ones = np.random.default_rng(0), np.zeros((3, 1)), np.ones(3, bool)
    with pytest.raises(ValueError, match="at least 2 separate"):
        random_parts(y, np.zeros(3, int), ones, n_parts=5, n_rounds=1, rng=rng)
    with pytest.raises(ValueError, match="at least 2 separate"):
        bootstrap_counts(y, np.zeros(3, int), ones, n_draws=2, rng=rng)
    with pytest.raises(ValueError, match="at least 2 parts"):
        random_parts(y, np.arange(3), ones, n_parts=1, n_rounds=1, rng=rng)
    with pytest.raises(ValueError, match="at least 2 different times"):
        time_parts(np.zeros(3), ones, n_parts=3)
