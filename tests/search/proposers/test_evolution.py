"""CMA-ES as a plan: it learns, and it is a function of the seed and of what was told."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from search.proposers.evolution import SIGMA, EvolutionPlan
from search.proposers.plans import Told
from search.proposers.seam import N_STARTUP_TRIALS, seed_of
from spaces.parameters import Choice, Float, Int
from spaces.space import Condition, Config, Space
from tests.search.proposers.drivers import NETS, loss_of
from tests.spaces.strategies import spaces

pytest.importorskip("cmaes", reason="an optional extra")

BOWL = Space({name: Float(-1, 1) for name in "xyz"})


def bowl(config: Config) -> float:
    x, y, z = (float(config[name] or 0) for name in "xyz")
    return (x - 0.3) ** 2 + (y + 0.4) ** 2 + (z - 0.1) ** 2


def searched(
    plan: EvolutionPlan, n: int, loss: Callable[[Config], float] = bowl, told: list[Told] | None = None
) -> list[Told]:
    """Propose and tell until there are ``n`` trials."""
    found = list(told or [])
    for number in range(len(found), n):
        config = plan.propose(number, (), found)
        assert config is not None
        found.append(Told(number, config, loss(config), plan.generation(found)))
    return found


@settings(max_examples=25, deadline=None)
@given(space=spaces(), seed=st.integers(0, 2**31), n=st.integers(0, 60), n_more=st.integers(1, 8))
def test_a_plan_continued_from_history_proposes_what_an_uninterrupted_one_does(
    space: Space, seed: int, n: int, n_more: int
) -> None:
    whole = searched(EvolutionPlan(space, seed), n + n_more, loss_of)
    stored = json.dumps([dataclasses.asdict(one) for one in whole[:n]])
    history = [Told(**item) for item in json.loads(stored)]
    assert searched(EvolutionPlan(space, seed), n + n_more, loss_of, history) == whole
    assert all(space.explain(one.config) is None for one in whole)


def test_it_learns() -> None:
    best, chance = [], []
    for seed in range(7):
        best.append(min(one.loss for one in searched(EvolutionPlan(BOWL, seed), 80)))
        rng = np.random.default_rng(seed)
        chance.append(min(bowl(BOWL.sample(rng)) for _ in range(80)))
    assert np.median(best) < 0.2 * np.median(chance)


def test_it_is_the_optimiser_of_the_package() -> None:
    """The same points as CMA asked and told by hand, with the seed of each trial."""
    from cmaes import CMA

    plan = EvolutionPlan(BOWL, 3)
    trials = searched(plan, 40)[N_STARTUP_TRIALS:]
    by_hand = CMA(np.full(3, 0.5), SIGMA, np.tile([0.0, 1.0], (3, 1)), n_max_resampling=30)
    solutions = []
    for trial in trials:
        by_hand.reseed_rng(seed_of(3, trial.number, 1))
        point = by_hand.ask()
        assert [trial.config[name] for name in "xyz"] == [
            pytest.approx(2 * float(u) - 1, abs=1e-12) for u in point
        ]
        solutions.append((point, trial.loss))
        if len(solutions) == by_hand.population_size:
            by_hand.tell(solutions)
            solutions = []
    assert by_hand.generation == (40 - N_STARTUP_TRIALS) // by_hand.population_size


def test_generations_are_numbered_after_random_trials() -> None:
    numbers = [one.generation for one in searched(EvolutionPlan(BOWL, 0), 31)]
    assert numbers == [None] * 10 + [0] * 7 + [1] * 7 + [2] * 7


def test_trials_that_were_not_told_do_not_count() -> None:
    plan = EvolutionPlan(BOWL, 0)
    told = searched(plan, 17)
    lost = [one for one in told if one.number != 12]
    assert EvolutionPlan(BOWL, 0).generation(told) == 1
    assert EvolutionPlan(BOWL, 0).generation(lost) == 0
    assert plan.generation(lost) == 0  # also where it had gone further


def test_a_late_trial_changes_no_generation_that_ended() -> None:
    told = searched(EvolutionPlan(BOWL, 0), 24)
    late = [*told, Told(24, told[-1].config, -5.0, 0)]
    assert EvolutionPlan(BOWL, 0).propose(25, (), late) == EvolutionPlan(BOWL, 0).propose(25, (), told)


def test_configurations_drawn_elsewhere_are_told_as_they_are() -> None:
    """A worker that saw other losses drew another point under the same number."""
    told = searched(EvolutionPlan(BOWL, 0), 24)
    elsewhere = [dataclasses.replace(one, config={"x": -1.0, "y": 1.0, "z": 0.9}) for one in told[10:17]]
    found = EvolutionPlan(BOWL, 0).propose(30, (), [*told[:10], *elsewhere, *told[17:]])
    assert found != EvolutionPlan(BOWL, 0).propose(30, (), told)


@pytest.mark.parametrize(
    "changes",
    [
        {"loss": float("nan")},
        {"generation": "0"},
        {"generation": []},
        {"config": {"x": 7.0, "y": "a", "z": None}},
    ],
)
def test_a_forged_history_is_no_error(changes: dict[str, object]) -> None:
    told = searched(EvolutionPlan(BOWL, 0), 24)
    forged = [dataclasses.replace(one, **changes) if one.number % 2 else one for one in told]
    assert BOWL.contains(EvolutionPlan(BOWL, 0).propose(24, (), forged) or {})


def test_inactive_numbers_keep_their_place() -> None:
    space = Space(
        {"on": Choice([False, True]), "a": Float(0, 1), "b": Float(0, 1), "n": Int(1, 9), "one": Int(3, 3)},
        {"b": Condition("on", (True,))},
    )
    told = searched(EvolutionPlan(space, 1), 60, loss_of)
    assert {("b" in one.config) for one in told if one.generation} == {True, False}
    assert EvolutionPlan(space, 1)._names == ("a", "b", "n")


def test_a_space_without_numbers_is_searched_at_random() -> None:
    space = Space({"c": Choice(["x", "y"]), "d": Choice([1, 2, 3])})
    told = searched(EvolutionPlan(space, 1), 30, loss_of)
    assert {one.generation for one in told} == {None}
    assert len({str(one.config) for one in told}) == 6


def test_choices_stay_random() -> None:
    space = Space({**NETS.parameters, **BOWL.parameters}, NETS.conditions, NETS.fixed)
    told = searched(EvolutionPlan(space, 1), 60, bowl)
    late = [one.config["optimizer"] for one in told[30:]]
    assert len({str(option) for option in late}) == 4
