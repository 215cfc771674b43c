"""Plans: proposals that are laid out from a seed; the grid and the low-discrepancy sequence learn nothing."""

from __future__ import annotations

import random
from collections.abc import Container, Iterable, Iterator
from dataclasses import dataclass
from typing import Protocol

from search.proposers.seam import N_GRID_POINTS, key_of
from spaces.grid import Grid
from spaces.space import Config, Space

SHUFFLED_AT_ONCE = 2**16


@dataclass(frozen=True)
class Told:
    """A trial that was completed; ``generation`` is the number that its plan gave it, if any."""

    number: int
    config: Config
    loss: float
    generation: int | None = None


class Plan(Protocol):
    """What lays proposals out; the same history gives the same proposal in any process."""

    def propose(self, number: int, seen: Container[str], told: Iterable[Told] = ()) -> Config | None:
        """The configuration for a trial number; None at the end of the plan.

        Parameters
        ----------
        number : int
        seen : container of str
            Keys of what was proposed before; a plan that learns nothing gives none of them.
        told : iterable of Told
            Completed trials in the order in which they ended; only a plan that learns reads them.
        """

    def generation(self, told: Iterable[Told]) -> int | None:
        """What is to be kept beside the next trial, so that the plan can be rebuilt; None: nothing."""


class GridPlan:
    """The grid of a space in random order, each configuration once.

    Parameters
    ----------
    space : Space
    seed : int
        The order depends on the space and this seed alone.
    """

    def __init__(self, space: Space, seed: int) -> None:
        self._space = space
        self._grid = Grid(space, N_GRID_POINTS)
        self._order = _shuffled(self._grid.n_configs, seed)

    def propose(self, number: int, seen: Container[str], told: Iterable[Told] = ()) -> Config | None:
        """The next configuration that was not seen; None at the end of the grid."""
        for index in self._order:
            config = self._grid.config(index)
            if key_of(self._space.searched(config)) not in seen:
                return config
        return None

    def generation(self, told: Iterable[Told]) -> int | None:
        """None: nothing is learnt."""
        return None


class SobolPlan:
    """Points of a scrambled Sobol sequence over all parameters; those that are inactive skip their place.

    Parameters
    ----------
    space : Space
    seed : int
        Seed of the scrambling.
    """

    def __init__(self, space: Space, seed: int) -> None:
        self._space = space
        self._seed = seed

    def propose(self, number: int, seen: Container[str], told: Iterable[Told] = ()) -> Config | None:
        """The configuration at the ``number``-th point."""
        from scipy.stats import qmc

        names = tuple(self._space.parameters)
        sequence = qmc.Sobol(max(1, len(names)), scramble=True, rng=self._seed)
        if number:
            sequence.fast_forward(number)
        point = dict(zip(names, sequence.random(1)[0], strict=False))
        return self._space.walk(lambda name, parameter: parameter.from_unit(float(point[name])))

    def generation(self, told: Iterable[Told]) -> int | None:
        """None: nothing is learnt."""
        return None


def _shuffled(n: int, seed: int) -> Iterator[int]:
    """The numbers below ``n`` in random order; large ``n`` are drawn one by one and not stored."""
    draw = random.Random(seed)
    if n <= SHUFFLED_AT_ONCE:
        order = list(range(n))
        draw.shuffle(order)
        yield from order
        return
    drawn: set[int] = set()
    while len(drawn) < n:
        index = draw.randrange(n)
        if index not in drawn:
            drawn.add(index)
            yield index
