"""Spaces of others: nothing is lost on the way there and back."""

from __future__ import annotations

from typing import Any

import numpy as np
import optuna
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from spaces.exchange import from_keras_tuner, from_optuna, to_keras_tuner
from spaces.parameters import Choice, Float, Int, SpaceError
from spaces.space import Condition, Space
from tests.spaces.strategies import continuous, ints, spaces, stepped

kt = pytest.importorskip("keras_tuner", reason="KerasTuner is an optional package")

of_one_type = st.one_of(
    st.lists(st.text(max_size=4), min_size=1, max_size=4, unique=True),
    st.lists(st.integers(-5, 5), min_size=1, max_size=4, unique=True),
    st.lists(st.integers(-50, 50).map(lambda n: n / 10), min_size=1, max_size=4, unique=True),
    st.sampled_from([[True], [False], [True, False], [False, True]]),
).map(lambda options: Choice(options))
LOOSE = settings(deadline=None, max_examples=60, suppress_health_check=list(HealthCheck))


def _is_told(space: Space) -> bool:
    return all(value is not None for value in space.fixed.values())


@LOOSE
@given(spaces(st.one_of(ints(), continuous(), stepped(), of_one_type)).filter(_is_told), st.integers(0, 99))
def test_keras_tuner_and_back_has_the_same_configurations(space: Space, seed: int) -> None:
    back = from_keras_tuner(to_keras_tuner(space))
    rng = np.random.default_rng(seed)
    for _ in range(10):
        assert back.explain(space.sample(rng)) is None
        assert space.explain(back.sample(rng)) is None


@LOOSE
@given(spaces())
def test_optuna_and_back_is_the_same_space(space: Space) -> None:
    from search.proposers.optuna_driver import to_distributions

    space = Space(
        space.parameters, {k: c for k, c in space.conditions.items() if c.parameter not in space.fixed}
    )
    assert from_optuna(to_distributions(space), space.conditions) == space


def test_scopes_are_kept_exactly() -> None:
    space = Space(
        {
            "n": Int(1, 3),
            "units": Choice((8, 16)),
            "on": Choice((False, True)),
            "rate": Float(0.1, 0.5, step=0.1),
        },
        {"units": Condition("n", (2, 3)), "rate": Condition("on", (True,))},
        {"loss": "mse"},
    )
    assert from_keras_tuner(to_keras_tuner(space)) == space


def test_what_people_write_for_keras_tuner() -> None:
    hp = kt.HyperParameters()
    hp.Int("units", 32, 1000, step=2, sampling="log")
    hp.Int("depth", 1, 6, step=2)
    kind = hp.Choice("kind", ["a", "b", "c"])
    for name in ("a", "b"):
        with hp.conditional_scope("kind", [name]):
            hp.Float("rate", 0.0, 1.0, step=0.3)
    with hp.conditional_scope("kind", ["a"]):
        hp.Boolean("flag")
        with hp.conditional_scope("flag", [True]):
            hp.Float("lr", 1e-4, 1e-2, sampling="log")
    assert kind == "a"
    space = from_keras_tuner(hp)
    assert space.parameters["units"] == Choice((32, 64, 128, 256, 512))
    assert space.parameters["depth"] == Int(1, 5, step=2)
    assert space.parameters["rate"] == Float(0.0, 0.9, step=0.3)
    assert space.conditions == {
        "rate": Condition("kind", ("a", "b")),
        "flag": Condition("kind", ("a",)),
        "lr": Condition("flag", (True,)),
    }


@pytest.mark.parametrize("options", [(1, None), ("a", 2)])
def test_keras_tuner_takes_one_type(options: Any) -> None:
    with pytest.raises(SpaceError, match="KerasTuner takes options of one type and no None"):
        to_keras_tuner(Space({"x": Choice(options)}))


def test_a_name_stands_for_one_range() -> None:
    hp = kt.HyperParameters()
    hp.Choice("kind", ["a", "b"])
    with hp.conditional_scope("kind", ["a"]):
        hp.Int("units", 1, 5)
    with hp.conditional_scope("kind", ["b"]):
        hp.Int("units", 1, 9)
    with pytest.raises(SpaceError, match="one range everywhere, got several for 'units'"):
        from_keras_tuner(hp)


def test_optuna_conditions_and_uneven_steps() -> None:
    space = from_optuna(
        {
            "depth": optuna.distributions.IntDistribution(1, 4),
            "rate": optuna.distributions.FloatDistribution(0.0, 0.5, step=0.25),
        },
        {"rate": Condition("depth", (3,))},
    )
    assert space == Space(
        {"depth": Int(1, 4), "rate": Float(0.0, 0.5, step=0.25)}, {"rate": Condition("depth", (3,))}
    )
