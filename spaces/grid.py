"""Grid: counting the configurations of a space and reading off the k-th."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from spaces.parameters import SpaceError, Value

if TYPE_CHECKING:
    from spaces.space import Space

# A point of the descent: how many parameters are decided, and the values that later conditions look at.
_Point = tuple[int, tuple[tuple[str, Value], ...]]


class Grid:
    """All configurations of a space in lexicographic order, none of them stored.

    Parameters
    ----------
    space : Space
    n_points : int, optional
        At most so many values of each Int and Float (Choices keep all options), at least 2; None: all values.

    Raises
    ------
    SpaceError
        If ``n_points`` is None and a reachable parameter is continuous.
    """

    def __init__(self, space: Space, n_points: int | None = None) -> None:
        self._space = space
        self._n_points = n_points
        self._names = tuple(space.parameters)
        self._last_use = {
            space.conditions[name].parameter: k
            for k, name in enumerate(self._names)
            if name in space.conditions
        }
        self._counts: dict[_Point, int] = {}
        self.n_configs = self._count(0, dict(space.fixed))

    def config(self, index: int) -> dict[str, Value]:
        """The configuration at an index in ``[0, n_configs)``.

        Raises
        ------
        IndexError
            If the index lies outside.
        """
        if not 0 <= index < self.n_configs:
            raise IndexError(f"an index must lie in [0, {self.n_configs}), got {index}")
        config = dict(self._space.fixed)
        for k, name in enumerate(self._names):
            if not self._space.is_active(name, config):
                continue
            for value in self._space.parameters[name].grid(self._n_points):
                n_below = self._count(k + 1, {**config, name: value})
                if index < n_below:
                    config[name] = value
                    break
                index -= n_below
        return config

    def _count(self, k: int, config: Mapping[str, Value]) -> int:
        if k == len(self._names):
            return 1
        seen = {name: value for name, value in config.items() if self._last_use.get(name, -1) >= k}
        point = (k, tuple((name, seen[name]) for name in sorted(seen)))
        if point not in self._counts:
            self._counts[point] = self._count_below(k, seen)
        return self._counts[point]

    def _count_below(self, k: int, seen: dict[str, Value]) -> int:
        name = self._names[k]
        if not self._space.is_active(name, seen):
            return self._count(k + 1, seen)
        values = self._space.parameters[name].grid(self._n_points)
        if self._last_use.get(name, -1) <= k:
            return len(values) * self._count(k + 1, seen)
        return sum(self._count(k + 1, {**seen, name: value}) for value in values)


def n_configs(space: Space) -> int | None:
    """How many configurations a space has; None if a reachable parameter is continuous."""
    try:
        return Grid(space).n_configs
    except SpaceError:
        return None
