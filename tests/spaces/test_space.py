"""Spaces: what is walked or sampled is contained, conditions hold, JSON keeps everything."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spaces.parameters import Choice, Float, Int, SpaceError
from spaces.space import Condition, Space
from tests.spaces.strategies import spaces

NETS = Space(
    {
        "depth": Int(1, 4),
        "l2_on": Choice([False, True]),
        "l2": Float(1e-6, 1e-2, log=True),
        "optimizer": Choice(["adam", "sgd"]),
        "momentum": Float(0.0, 0.99),
    },
    {"l2": Condition("l2_on", (True,)), "momentum": Condition("optimizer", ("sgd",))},
    {"epochs": 10},
)


@given(spaces(), st.integers(0, 2**32 - 1))
def test_samples_are_contained(space: Space, seed: int) -> None:
    config = space.sample(np.random.default_rng(seed))
    assert space.explain(config) is None
    assert space.contains(config)
    assert json.loads(json.dumps(config)) == config


@given(spaces(), st.integers(0, 2**32 - 1))
def test_each_name_is_needed_and_no_other(space: Space, seed: int) -> None:
    config = space.sample(np.random.default_rng(seed))
    for name in config:
        assert not space.contains({key: value for key, value in config.items() if key != name})
    for name in space.parameters:
        assert (name in config) == space.is_active(name, config)
        if name not in config:
            assert not space.contains({**config, name: space.parameters[name].from_unit(0.5)})
    assert not space.contains({**config, "unknown": 1})


@given(spaces())
def test_json_round_trip(space: Space) -> None:
    back = Space.from_json(json.loads(json.dumps(space.to_json())))
    assert back == space
    assert list(back.parameters) == list(space.parameters)
    assert back.fingerprint == space.fingerprint


def test_fingerprint_tells_spaces_apart() -> None:
    same = Space(dict(NETS.parameters), dict(NETS.conditions), dict(NETS.fixed))
    assert same.fingerprint == NETS.fingerprint
    assert NETS.override({"depth": {"high": 5}}).fingerprint != NETS.fingerprint
    assert Space(NETS.parameters, {}, NETS.fixed).fingerprint != NETS.fingerprint
    assert Space(NETS.parameters, NETS.conditions, {"epochs": 11}).fingerprint != NETS.fingerprint


def test_walk_asks_for_active_names_in_order() -> None:
    asked: list[str] = []
    answers = {"depth": 2, "l2_on": False, "optimizer": "sgd", "momentum": 0.5}

    def suggest(name: str, _: Any) -> Any:
        asked.append(name)
        return answers[name]

    assert NETS.walk(suggest) == {"epochs": 10, **answers}
    assert asked == list(answers)


def test_walk_refuses_what_is_not_a_value() -> None:
    with pytest.raises(SpaceError, match=r"'depth' must be a value of Int.*got 9"):
        NETS.walk(lambda name, _: 9)


def test_grandchildren_of_inactive_parents_are_inactive() -> None:
    space = Space(
        {"a": Choice([False, True]), "b": Choice([False, True]), "c": Int(0, 1)},
        {"b": Condition("a", (True,)), "c": Condition("b", (True,))},
    )
    assert space.walk(lambda name, p: p.from_unit(0.0)) == {"a": False}
    assert space.n_configs == 4


def test_conditions_tell_types_apart() -> None:
    space = Space({"a": Int(0, 1), "b": Int(0, 1)}, {"b": Condition("a", (True,))})
    assert space.walk(lambda name, p: p.from_unit(1.0)) == {"a": 1}


@pytest.mark.parametrize(
    ("make", "rule"),
    [
        (lambda: Space({"a": Int(0, 1)}, {"b": Condition("a", (1,))}), "must belong to a searched parameter"),
        (
            lambda: Space({"a": Int(0, 1), "b": Int(0, 1)}, {"a": Condition("b", (1,))}),
            "an earlier name, got 'b'",
        ),
        (lambda: Space({"a": Int(0, 1)}, {"a": Condition("a", (1,))}), "an earlier name, got 'a'"),
        (lambda: Space({"a": Int(0, 1)}, {"a": Condition("z", (1,))}), "an earlier name, got 'z'"),
        (
            lambda: Space({"a": Float(0, 1), "b": Int(0, 1)}, {"b": Condition("a", (1.0,))}),
            "stand on a Choice",
        ),
        (lambda: Space({"a": Int(0, 1)}, {}, {"a": 1}), "searched or fixed, not both, got 'a'"),
        (lambda: Space({"": Int(0, 1)}), "a name must be a text that is not empty"),
        (lambda: Space({"a": 3}), "'a' must be an Int, Float or Choice, got 3"),  # type: ignore[dict-item]
        (lambda: Space({}, {}, {"a": [1]}), "an option must be a text"),  # type: ignore[dict-item]
        (lambda: Condition("a", ()), "a condition needs at least one value"),
    ],
)
def test_errors_state_rule_and_value(make: Any, rule: str) -> None:
    with pytest.raises(SpaceError, match=rule) as caught:
        make()
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"depth": 9}, "'depth' must be a value of"),
        ({"depth": None}, "'depth' must be a value of"),
        ({"epochs": 11}, "'epochs' is fixed to 10, got 11"),
        ({"l2": 1e-3}, "'l2' is inactive, yet present"),
        ({"l2_on": True}, "'l2' is active, but absent"),
        ({"dept": 1}, "'dept' is not a name of this space"),
    ],
)
def test_explain_names_the_reason(change: dict[str, Any], reason: str) -> None:
    config = {"epochs": 10, "depth": 2, "l2_on": False, "optimizer": "adam"}
    assert NETS.explain(config) is None
    assert (NETS.explain({**config, **change}) or "").startswith(reason)


def test_searched_leaves_the_fixed_names_out() -> None:
    assert NETS.searched({"epochs": 10, "l2_on": False, "depth": 2}) == {"depth": 2, "l2_on": False}
