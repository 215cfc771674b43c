"""CMA-ES (Hansen 2016, arXiv:1604.00772) over the numbers of a space, rebuilt from what was told.

Optuna's own sampler keeps its optimiser as a pickle in the journal, so that a stranger's run folder could
execute anything when it is read. Here nothing is kept but the number of a trial's generation: the optimiser
is a function of the seed and of the losses that were told.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Container, Iterable
from typing import Any, final

import numpy as np

from search.proposers.plans import Told
from search.proposers.seam import N_STARTUP_TRIALS, seed_of
from spaces.parameters import Choice, Parameter, Value
from spaces.space import Config, Space

SIGMA = 1 / 6  # of the first generation, in the unit cube

Generation = tuple[Told, ...]


@final
class EvolutionPlan:
    """CMA-ES in the unit cube of all numbers of a space; choices are drawn at random.

    As in Optuna's sampler, the first trials are random, a generation ends when enough of its trials are
    completed, and pruned or failed trials are not told. Inactive numbers keep their place in the cube.

    Parameters
    ----------
    space : Space
    seed : int
        Proposals depend on the space, this seed and the trials told alone.
    """

    def __init__(self, space: Space, seed: int) -> None:
        self._space = space
        self._seed = seed
        self._names = tuple(name for name, one in space.parameters.items() if _is_searched_number(one))
        self._ended: list[Generation] = []
        self._optimiser = self._fresh()

    def propose(self, number: int, seen: Container[str], told: Iterable[Told] = ()) -> Config | None:
        """The configuration for a trial number, after the completed trials `told`."""
        rng = np.random.default_rng(seed_of(self._seed, number))
        point: dict[str, float] = {}
        if self.generation(told) is not None:
            point = dict(zip(self._names, self._point(number), strict=True))

        def suggest(name: str, parameter: Parameter) -> Value:
            return parameter.from_unit(point[name] if name in point else float(rng.random()))

        return self._space.walk(suggest)

    def generation(self, told: Iterable[Told]) -> int | None:
        """The generation of the next trial; None while trials are random."""
        trials = [one for one in told if math.isfinite(one.loss)]
        if len(trials) < N_STARTUP_TRIALS or not self._names:
            return None
        self._replay(trials)
        return len(self._ended)

    def _replay(self, trials: list[Told]) -> None:
        """Bring the optimiser to the state after all generations that ended, from where it is if it can."""
        found = self._generations(trials)
        if found[: len(self._ended)] != self._ended:
            self._optimiser, self._ended = self._fresh(), []
        for one in found[len(self._ended) :]:
            self._optimiser.tell([(self._told_point(trial), trial.loss) for trial in one])
            self._ended.append(one)

    def _generations(self, trials: list[Told]) -> list[Generation]:
        """The first completed trials of each generation, as far as generations are complete."""
        members: defaultdict[int, list[Told]] = defaultdict(list)
        for trial in trials:
            if isinstance(trial.generation, int):
                members[trial.generation].append(trial)
        size: int = self._optimiser.population_size
        found: list[Generation] = []
        while len(members[len(found)]) >= size:
            found.append(tuple(members[len(found)][:size]))
        return found

    def _told_point(self, trial: Told) -> np.ndarray:
        """Where a trial of the current generation was drawn, with the active numbers of its configuration.

        They are what the point says, unless generations ended in another order in the process that drew it.
        """
        point = self._point(trial.number)
        for place, name in enumerate(self._names):
            parameter, value = self._space.parameters[name], trial.config.get(name)
            if parameter.contains(value) and parameter.from_unit(float(point[place])) != value:
                point[place] = parameter.to_unit(value)
        return point

    def _point(self, number: int) -> np.ndarray:
        """The point in the unit cube that the current generation draws for a trial number."""
        self._optimiser.reseed_rng(seed_of(self._seed, number, 1))
        return np.asarray(np.clip(self._optimiser.ask(), 0.0, 1.0))

    def _fresh(self) -> Any:
        """The optimiser before its first generation; None where the space has no numbers."""
        n = len(self._names)
        if not n:
            return None
        from cmaes import CMA  # type: ignore[import-untyped]

        bounds = np.tile([0.0, 1.0], (n, 1))
        return CMA(np.full(n, 0.5), SIGMA, bounds, n_max_resampling=10 * n, seed=self._seed)


def _is_searched_number(parameter: Parameter) -> bool:
    return not isinstance(parameter, Choice) and parameter.n_values != 1
