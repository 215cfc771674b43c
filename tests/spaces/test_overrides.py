"""Overrides: laws for any space, and the meaning of each word."""

from __future__ import annotations

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
        "width": Int(16, 512, log=True),
        "batch_size": Choice([16, 32, 64]),
        "dropout": Float(0.0, 0.5),
        "learning_rate": Float(1e-4, 1e-1, log=True),
        "label_smoothing": Choice([0.0, 0.1]),
        "l2_on": Choice([False, True]),
        "l2": Float(1e-6, 1e-2, log=True),
        "optimizer": Choice(["adam", "adamw", "sgd"]),
        "momentum": Float(0.0, 0.99),
        "schedule": Choice(["constant", "cosine"]),
    },
    {"l2": Condition("l2_on", (True,)), "momentum": Condition("optimizer", ("sgd",))},
    {"loss": "auto", "epochs": 100, "is_fast": True},
)


def sampled(space: Space, n: int = 40) -> list[dict[str, Any]]:
    rng = np.random.default_rng(0)
    configs = [space.sample(rng) for _ in range(n)]
    assert all(space.contains(config) for config in configs)
    return configs


@given(spaces(), st.data())
def test_fixing_a_name_fixes_it_wherever_it_is_active(space: Space, data: st.DataObject) -> None:
    name = data.draw(st.sampled_from(list(space.parameters)))
    value = space.parameters[name].from_unit(data.draw(st.floats(0, 1)))
    fixed = space.override({name: value})
    assert set(fixed.names) == set(space.names)
    for config in sampled(fixed, 5):
        assert name not in config or config[name] == value
        assert space.contains(config)
        assert fixed.override({name: value}).contains(config)


@given(spaces(), st.data())
def test_narrowing_keeps_configurations_inside(space: Space, data: st.DataObject) -> None:
    name = data.draw(st.sampled_from(list(space.parameters)))
    parameter = space.parameters[name]
    values = list(parameter.grid(4))
    narrowed = space.override({name: values})
    for config in sampled(narrowed, 5):
        assert space.contains(config)
        assert name not in config or config[name] in values


@given(spaces())
def test_nothing_changes_nothing(space: Space) -> None:
    assert space.override({}) == space


def test_a_value_fixes() -> None:
    space = NETS.override({"depth": 3, "optimizer": "adamw", "dropout": 0, "schedule": "cosine"})
    for config in sampled(space):
        assert (config["depth"], config["optimizer"], config["schedule"]) == (3, "adamw", "cosine")
        assert config["dropout"] == 0.0 and isinstance(config["dropout"], float)
        assert "momentum" not in config


def test_a_value_may_lie_outside_the_default_range() -> None:
    space = NETS.override({"depth": 9, "batch_size": 100, "learning_rate": 1, "label_smoothing": 1})
    config = sampled(space)[0]
    assert (config["depth"], config["batch_size"], config["learning_rate"]) == (9, 100, 1.0)
    assert isinstance(config["learning_rate"], float) and isinstance(config["label_smoothing"], float)


def test_a_table_gives_a_range_and_keeps_what_it_leaves_out() -> None:
    space = NETS.override(
        {
            "dropout": {"low": 0.0, "high": 0.3},
            "learning_rate": {"high": 0.01},
            "width": {"low": 64, "high": 256, "step": 64},
            "depth": {"high": 8},
            "batch_size": {"low": 16, "high": 128, "log": True},
            "label_smoothing": {"low": 0, "high": 0.2},
        }
    )
    assert space.parameters["dropout"] == Float(0.0, 0.3)
    assert space.parameters["learning_rate"] == Float(1e-4, 1e-2, log=True)
    assert space.parameters["width"] == Int(64, 256, step=64)
    assert space.parameters["depth"] == Int(1, 8)
    assert space.parameters["batch_size"] == Int(16, 128, log=True)
    assert space.parameters["label_smoothing"] == Float(0.0, 0.2)
    assert list(space.parameters) == list(NETS.parameters)


def test_a_step_stays_only_where_it_fits() -> None:
    space = Space({"n": Int(0, 10, step=5), "x": Float(0, 1, step=0.5)})
    assert space.override({"n": {"high": 20}}).parameters["n"] == Int(0, 20, step=5)
    assert space.override({"n": {"high": 7}}).parameters["n"] == Int(0, 7)
    assert space.override({"x": {"high": 0.3}}).parameters["x"] == Float(0.0, 0.3)
    assert space.override({"n": {"low": 1, "high": 8, "log": True}}).parameters["n"] == Int(1, 8, log=True)


def test_a_list_gives_choices() -> None:
    space = NETS.override({"depth": [2, 7], "dropout": [0, 0.5], "optimizer": ["sgd", "adam"]})
    assert space.parameters["depth"] == Choice([2, 7])
    assert space.parameters["dropout"] == Choice([0.0, 0.5])
    assert space.parameters["optimizer"] == Choice(["sgd", "adam"])
    assert {config["depth"] for config in sampled(space)} == {2, 7}


def test_fixing_a_switched_parameter_turns_its_switch() -> None:
    for config in sampled(NETS.override({"l2": 1e-4})):
        assert (config["l2_on"], config["l2"]) == (True, 1e-4)
    for config in sampled(NETS.override({"l2": 0.5, "l2_on": True})):
        assert (config["l2_on"], config["l2"]) == (True, 0.5)
    for off in (0, 0.0, "off", False, ["off"], [0]):
        for config in sampled(NETS.override({"l2": off}), 5):
            assert config["l2_on"] is False and "l2" not in config
    for on in (True, "on"):
        space = NETS.override({"l2": on})
        assert space.parameters["l2"] == NETS.parameters["l2"]
        assert all(config["l2_on"] is True for config in sampled(space, 5))


def test_ranges_and_lists_leave_the_switch() -> None:
    for entry in ({"low": 1e-5, "high": 1e-3}, [1e-5, 1e-4], ["off", 1e-5, 1e-4]):
        space = NETS.override({"l2": entry})
        assert {config["l2_on"] for config in sampled(space)} == {False, True}
    assert NETS.override({"l2": ["off", 1e-5]}).parameters["l2"] == Choice([1e-5])


def test_switches_follow_chains() -> None:
    space = Space(
        {"a": Choice([False, True]), "b": Choice([True, False]), "c": Int(1, 3)},
        {"b": Condition("a", (True,)), "c": Condition("b", (True,))},
    )
    assert space.override({"c": 2}).walk(lambda name, p: p.from_unit(0.0)) == {"a": True, "b": True, "c": 2}
    assert space.override({"c": "off"}).walk(lambda name, p: p.from_unit(0.0)) == {"a": True, "b": False}


def test_zero_that_is_a_value_is_no_switch() -> None:
    space = Space({"on": Choice([False, True]), "n": Int(0, 3)}, {"n": Condition("on", (True,))})
    assert space.override({"n": 0}).walk(lambda name, p: p.from_unit(0.0)) == {"on": True, "n": 0}


def test_a_fixed_child_of_a_searched_parent_stays_conditional() -> None:
    space = NETS.override({"momentum": 0.9})
    for config in sampled(space):
        assert config.get("momentum") == (0.9 if config["optimizer"] == "sgd" else None)
    assert NETS.override({"momentum": 0.9, "optimizer": "sgd"}).fixed["momentum"] == 0.9
    assert all("momentum" not in c for c in sampled(NETS.override({"momentum": 0.9, "optimizer": "adam"})))


def test_overriding_twice_equals_the_last_word() -> None:
    twice = NETS.override({"depth": 3, "l2": 1e-4}).override({"depth": 2, "loss": "focal", "is_fast": False})
    config = sampled(twice)[0]
    assert (config["depth"], config["l2"], config["loss"], config["is_fast"]) == (2, 1e-4, "focal", False)
    reopened = NETS.override({"optimizer": "sgd"}).override({"epochs": {"low": 5, "high": 9}})
    assert {config["epochs"] for config in sampled(reopened)} == {5, 6, 7, 8, 9}
    assert {"momentum" in config for config in sampled(reopened)} == {True}


@pytest.mark.parametrize(
    ("table", "rule"),
    [
        ({"dropuot": 0.1}, "unknown parameter 'dropuot'; did you mean 'dropout'\\?"),
        ({"zzz": 0.1}, "unknown parameter 'zzz'; known: loss"),
        ({"depth": 2.5}, "depth: the value must be a whole number, got 2.5"),
        ({"depth": "3"}, "depth: the value must be a whole number, got '3'"),
        ({"depth": True}, "depth: the value must be a whole number, got True"),
        ({"dropout": "low"}, "dropout: the value must be a finite number, got 'low'"),
        ({"learning_rate": 0}, "learning_rate: the value must be above 0, got 0"),
        ({"learning_rate": {"low": 0.0}}, "learning_rate: low must be above 0 with log=True, got low=0.0"),
        ({"optimizer": "adma"}, "optimizer: the value must be one of .* got 'adma'; did you mean 'adam'\\?"),
        ({"optimizer": {"low": 1, "high": 2}}, "optimizer: takes a list of choices, not a range"),
        ({"depth": {"lo": 1}}, "depth: a range has the keys low, high, log, step, got 'lo'"),
        ({"depth": {"low": 5}}, "depth: low must not exceed high, got low=5, high=4"),
        ({"depth": []}, "depth: options must hold at least one value"),
        ({"depth": [1, 1]}, "depth: options must differ, got 1 twice"),
        ({"l2": 1e-4, "l2_on": False}, "'l2' = 0.0001 needs 'l2_on' to be True, got False"),
        ({"l2": "off", "l2_on": True}, "'l2' = 'off' needs 'l2_on' to be False, got True"),
        ({"l2_on": 1}, "l2_on: the value must be one of \\[False, True\\], got 1"),
        ({"epochs": "many"}, "epochs: the value must be one of \\[100\\], got 'many'"),
        ({"depth": None}, "depth: the value must be a whole number, got None"),
    ],
)
def test_errors_state_rule_and_value(table: dict[str, Any], rule: str) -> None:
    with pytest.raises(SpaceError, match=rule) as caught:
        NETS.override(table)
    assert "\n" not in str(caught.value)


def test_the_space_itself_is_not_changed() -> None:
    before = NETS.fingerprint
    NETS.override({"l2": 1e-4, "depth": [1, 2]})
    assert NETS.fingerprint == before
