"""Plans that learn nothing: what they give depends on the seed and the number alone."""

from __future__ import annotations

import pytest

from search.proposers.plans import GridPlan, Plan, SobolPlan, Told
from search.proposers.seam import key_of
from tests.search.proposers.drivers import NETS, SMALL


@pytest.mark.parametrize("make", [GridPlan, SobolPlan])
def test_nothing_told_changes_anything(make: type[GridPlan | SobolPlan]) -> None:
    told = [Told(0, {"a": True}, 1.0, 3)]
    plans: list[Plan] = [make(NETS, 5), make(NETS, 5)]
    assert plans[0].generation(told) is None
    assert plans[0].propose(0, set()) == plans[1].propose(0, set(), told)


def test_the_grid_ends() -> None:
    plan, seen = GridPlan(SMALL, 0), set()
    for number in range(8):
        config = plan.propose(number, seen)
        assert config is not None
        seen.add(key_of(config))
    assert len(seen) == 8 and plan.propose(8, seen) is None


def test_sobol_points_are_those_of_their_number() -> None:
    later, again = SobolPlan(NETS, 1), SobolPlan(NETS, 1)
    assert [later.propose(k, ()) for k in (4, 2)] == [again.propose(k, ()) for k in (4, 2)]
