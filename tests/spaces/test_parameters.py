"""Parameters check themselves, and map to the unit interval and back."""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spaces.parameters import Choice, Float, Int, Parameter, SpaceError, parameter_from_json
from tests.spaces.strategies import choices, continuous, ints, parameters, stepped

units = st.floats(0.0, 1.0)


@given(parameters, units)
def test_any_place_gives_a_value(parameter: Parameter, u: float) -> None:
    assert parameter.contains(parameter.from_unit(u))


@given(st.one_of(ints(), stepped(), choices()), units)
def test_value_to_unit_and_back_is_exact(parameter: Parameter, u: float) -> None:
    value = parameter.from_unit(u)
    back = parameter.from_unit(parameter.to_unit(value))
    assert type(back) is type(value) and back == value


@given(continuous(), units)
def test_continuous_value_to_unit_and_back_is_close(parameter: Float, u: float) -> None:
    value = parameter.from_unit(u)
    span = parameter.high - parameter.low
    assert 0 <= parameter.to_unit(value) <= 1
    assert math.isclose(
        parameter.from_unit(parameter.to_unit(value)), value, rel_tol=1e-9, abs_tol=1e-9 * span
    )


@given(st.one_of(ints(), continuous(), stepped()), units, units)
def test_numbers_rise_with_the_unit(parameter: Int | Float, u: float, v: float) -> None:
    assert parameter.from_unit(min(u, v)) <= parameter.from_unit(max(u, v))


@given(st.one_of(ints(), continuous(), stepped()))
def test_ends_are_reached(parameter: Int | Float) -> None:
    assert (parameter.from_unit(0.0), parameter.from_unit(1.0)) == (parameter.low, parameter.high)


@given(parameters)
def test_json_round_trip(parameter: Parameter) -> None:
    assert parameter_from_json(json.loads(json.dumps(parameter.to_json()))) == parameter


@given(parameters, st.integers(2, 12))
def test_grid_holds_distinct_values(parameter: Parameter, n_points: int) -> None:
    grid = parameter.grid(n_points)
    assert all(parameter.contains(value) for value in grid)
    assert len({repr(value) for value in grid}) == len(grid)
    if isinstance(parameter, Choice):
        assert grid == parameter.options
    else:
        assert len(grid) <= n_points
        assert {grid[0], grid[-1]} == {parameter.low, parameter.high}


@given(st.one_of(ints(), stepped(), choices()))
def test_full_grid_counts_the_values(parameter: Parameter) -> None:
    assert len(parameter.grid()) == parameter.n_values


@given(st.one_of(ints(), continuous(), stepped()), st.floats(-1e7, 1e7))
def test_nearest_is_the_nearest(parameter: Int | Float, number: float) -> None:
    nearest = parameter.nearest(number)
    assert parameter.contains(nearest)
    others = [abs(value - number) for value in parameter.grid(5)]
    assert abs(nearest - number) <= min(others) + 1e-9 * max(1.0, abs(number))


def test_shares_of_the_unit_are_fair() -> None:
    places = (np.arange(10_000) + 0.5) / 10_000
    assert np.bincount([Int(0, 4).from_unit(u) for u in places]).tolist() == [2000] * 5
    logs = np.log([Float(1e-5, 1e-1, log=True).from_unit(u) for u in places])
    assert np.allclose(np.quantile(logs, [0.25, 0.5, 0.75]), np.log([1e-4, 1e-3, 1e-2]), atol=1e-2)
    by_log = np.bincount([Int(1, 100, log=True).from_unit(u) for u in places])
    assert math.isclose(by_log[1] / by_log[2], math.log(3) / math.log(5 / 3), rel_tol=0.02)


def test_steps_are_clean_decimals() -> None:
    assert Float(0.0, 0.3, step=0.1).grid() == (0.0, 0.1, 0.2, 0.3)
    assert Float(0.0, 0.9, step=0.1).contains(0.1 + 0.2)
    assert Int(16, 64, step=16).grid() == (16, 32, 48, 64)
    assert Int(1, 1000, log=True).grid(3) == (1, 22, 1000)  # sqrt(0.5 * 1000.5) = 22.4


@pytest.mark.parametrize(
    ("make", "rule"),
    [
        (lambda: Int(3, 2), "low must not exceed high, got low=3, high=2"),
        (lambda: Int(0, 8, log=True), "low must be above 0 with log=True, got low=0"),
        (lambda: Int(1, 8, step=2, log=True), "step must be 1 with log=True, got 2"),
        (lambda: Int(1, 8, step=2), "high - low must be a multiple of step=2, got 7"),
        (lambda: Int(1, 8, step=0), "step must be at least 1, got 0"),
        (lambda: Int(1.5, 8), "low must be a whole number, got 1.5"),  # type: ignore[arg-type]
        (lambda: Int(True, 8), "low must be a whole number, got True"),
        (lambda: Float(1, math.inf), "high must be a finite number, got inf"),
        (lambda: Float(math.nan, 1), "low must be a finite number, got nan"),
        (lambda: Float(0.0, 1, log=True), "low must be above 0 with log=True, got low=0.0"),
        (lambda: Float(0.1, 1, log=True, step=0.1), "step does not go with log=True, got step=0.1"),
        (lambda: Float(0, 1, step=0.3), "high - low must be a multiple of step=0.3, got 0.0 to 1.0"),
        (lambda: Float(0, 1, step=-0.5), "step must be above 0, got -0.5"),
        (lambda: Float("a", 1), "low must be a finite number, got 'a'"),  # type: ignore[arg-type]
        (lambda: Choice([]), "options must hold at least one value"),
        (lambda: Choice(["a", "a"]), "options must differ, got 'a' twice"),
        (lambda: Choice([1, True]), "options must differ, got True twice"),
        (lambda: Choice("relu"), "options must be a list, got 'relu'"),
        (lambda: Choice([[1], [2]]), "an option must be a text, a finite number, a bool or None"),  # type: ignore[list-item]
        (lambda: Choice([math.nan]), "an option must be a text, a finite number, a bool or None, got nan"),
        (lambda: Int(1, 3).from_unit(1.5), "a unit value must lie in \\[0, 1\\], got 1.5"),
        (lambda: Int(1, 3).from_unit(math.nan), "a unit value must lie in \\[0, 1\\], got nan"),
        (lambda: Int(1, 3).to_unit(4), "4 is not a value of Int"),
        (lambda: Choice(["a"]).to_unit("b"), "'b' is not a value of Choice"),
        (lambda: Float(0, 1).grid(), "a continuous range needs a number of grid points"),
        (lambda: Int(0, 9).grid(1), "a grid needs at least 2 points per range, got 1"),
        (lambda: parameter_from_json({"kind": "complex"}), "kind must be one of int, float, choice"),
        (lambda: parameter_from_json({"kind": "int", "lo": 1}), "does not have these fields"),
    ],
)
def test_errors_state_rule_and_value(make: Any, rule: str) -> None:
    with pytest.raises(SpaceError, match=rule) as caught:
        make()
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("parameter", "value"),
    [
        (Int(0, 3), True),
        (Int(0, 3), 1.0),
        (Int(0, 4, step=2), 1),
        (Float(0, 1), True),
        (Float(0, 1), math.nan),
        (Float(0, 1), "0.5"),
        (Float(0, 1, step=0.5), 0.25),
        (Choice([1, 2]), True),
        (Choice([True]), 1),
    ],
)
def test_values_of_another_kind_are_not_contained(parameter: Parameter, value: object) -> None:
    assert not parameter.contains(value)
