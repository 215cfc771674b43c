"""The grid counts and reads off what brute force lists."""

from __future__ import annotations

import itertools
import json
from typing import Any

import pytest
from hypothesis import given

from spaces.grid import Grid
from spaces.parameters import Choice, Float, Int
from spaces.space import Condition, Space
from tests.spaces.strategies import finite, spaces


def listed(space: Space) -> set[str]:
    """All configurations, found by walking every product of unconditional values."""
    found = set()
    for values in itertools.product(*(p.grid() for p in space.parameters.values())):
        table: dict[str, Any] = dict(zip(space.parameters, values, strict=True))
        found.add(json.dumps(space.walk(lambda name, _, table=table: table[name]), sort_keys=True))  # type: ignore[misc]
    return found


@given(spaces(of=finite, max_size=4))
def test_grid_equals_brute_force(space: Space) -> None:
    grid = Grid(space)
    configs = [grid.config(k) for k in range(grid.n_configs)]
    assert all(space.contains(config) for config in configs)
    keys = [json.dumps(config, sort_keys=True) for config in configs]
    assert len(set(keys)) == len(keys) == space.n_configs
    assert set(keys) == listed(space)


@given(spaces(max_size=4))
def test_points_make_any_space_finite(space: Space) -> None:
    grid = Grid(space, 3)
    for k in {0, grid.n_configs // 2, grid.n_configs - 1}:
        assert space.contains(grid.config(k))


def test_continuous_space_has_no_count() -> None:
    space = Space({"on": Choice([False]), "x": Float(0, 1)}, {"x": Condition("on", (True,))})
    assert space.n_configs == 1  # x is never reached
    assert Space({"x": Float(0, 1)}).n_configs is None
    assert not Space({"x": Float(0, 1)}).is_finite
    assert Space({"x": Float(0, 1, step=0.5), "y": Int(1, 3)}).n_configs == 9
    assert Space({}).n_configs == 1


def test_wide_grids_cost_nothing() -> None:
    space = Space({f"x{k}": Float(0, 1) for k in range(40)})
    grid = Grid(space, 10)
    assert grid.n_configs == 10**40
    assert space.contains(grid.config(10**39 + 7))


@pytest.mark.parametrize("index", [-1, 2])
def test_index_outside_is_refused(index: int) -> None:
    with pytest.raises(IndexError, match=r"an index must lie in \[0, 2\)"):
        Grid(Space({"a": Int(0, 1)})).config(index)
