"""What an override may add to a network's space: names, values, conditions, and what is refused."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from search.training import recipe
from spaces.families import FAMILIES
from spaces.joint import space_of
from spaces.overrides import Extra
from spaces.parameters import Choice, Float, Int, SpaceError, Value
from spaces.schema import Schema
from spaces.signature import Signature
from spaces.space import Condition, Space
from spaces.task import Task
from spaces.training import SCHEDULES, training_extras

FRAME = pd.DataFrame({"a": np.arange(60.0), "b": np.arange(60.0) % 7})
TASKS = {
    "binary": Task("binary", ("y",), ("n", "p")),
    "regression": Task("regression", ("y",)),
}
SIGNATURES = {kind: Signature(Schema.infer(FRAME), task, len(FRAME)) for kind, task in TASKS.items()}
BINARY = SIGNATURES["binary"]


def configs_of(space: Space, n: int = 40) -> list[dict[str, Value]]:
    rng = np.random.default_rng(0)
    return [space.sample(rng) for _ in range(n)]


def test_the_schedules_are_those_of_a_recipe_but_for_the_range_test() -> None:
    assert set(SCHEDULES) == set(recipe.SCHEDULES) - {"ramp"}


@given(st.sampled_from(sorted(training_extras(BINARY))), st.floats(0, 1))
def test_whatever_an_extra_may_be_is_a_recipe(name: str, place: float) -> None:
    value = training_extras(BINARY)[name].values.from_unit(place)
    made = recipe.recipe_for({name: value}, recipe.Recipe())
    assert getattr(made, name) == (None if value == "none" else value)


@pytest.mark.parametrize("family", ["mlp", "tabm"])
@pytest.mark.parametrize("kind", list(TASKS))
def test_a_default_space_has_no_extra_that_nobody_asked_for(family: str, kind: str) -> None:
    space = FAMILIES[family].space(SIGNATURES[kind])
    assert not {"clip_norm", "clip_value", "max_norm", "plateau_factor", "class_weight"} & set(space.names)
    assert {"clip_norm", "clip_value", "max_norm", "plateau_factor"} <= set(space.known)
    assert ("class_weight" in space.known) == ("label_smoothing" in space.known) == (kind == "binary")
    assert space.override({}) == space
    bare = Space(space.parameters, space.conditions, space.fixed)
    assert bare == space and bare.to_json() == space.to_json() and bare.fingerprint == space.fingerprint


@pytest.mark.parametrize("family", ["mlp", "tabm"])
def test_a_value_a_range_and_choices_add_a_name(family: str) -> None:
    told = {"clip_norm": 1, "max_norm": {"low": 0.5, "high": 4, "log": True}, "clip_value": [0, 0.5]}
    space = FAMILIES[family].space(BINARY).override(told)
    assert space.fixed["clip_norm"] == 1.0 and isinstance(space.fixed["clip_norm"], float)
    assert space.parameters["max_norm"] == Float(0.5, 4.0, log=True)
    assert space.parameters["clip_value"] == Choice([0.0, 0.5])
    configs = configs_of(space)
    assert {config["clip_value"] for config in configs} == {0.0, 0.5}
    assert all(
        config["clip_norm"] == 1.0 and 0.5 <= float(str(config["max_norm"])) <= 4 for config in configs
    )


def test_further_schedules_may_be_named_and_a_plateau_goes_with_its_own() -> None:
    told = {
        "schedule": ["one_cycle", "performance"],
        "plateau_factor": {"low": 0.1, "high": 0.5},
        "plateau_patience": 3,
    }
    configs = configs_of(FAMILIES["mlp"].space(BINARY).override(told))
    assert {config["schedule"] for config in configs} == {"one_cycle", "performance"}
    for config in configs:
        is_watched = config["schedule"] == "performance"
        assert ("plateau_factor" in config) == is_watched
        assert config.get("plateau_patience") == (3 if is_watched else None)
    fixed = FAMILIES["mlp"].space(BINARY).override({"schedule": "performance", "plateau_patience": 3})
    assert fixed.fixed["plateau_patience"] == 3


def test_an_added_name_is_as_any_other_on_the_disk_and_in_a_second_override() -> None:
    told = {
        "clip_norm": {"low": 0.1, "high": 10},
        "schedule": ["power", "performance"],
        "plateau_factor": 0.3,
    }
    space = FAMILIES["mlp"].space(BINARY).override(told)
    read = Space.from_json(json.loads(json.dumps(space.to_json())))
    assert read == space and read.fingerprint == space.fingerprint
    assert space.fingerprint != FAMILIES["mlp"].space(BINARY).fingerprint
    again = space.override({"clip_norm": 2.0, "schedule": "cosine"})
    assert again.fixed["clip_norm"] == 2.0 and again.override({"clip_norm": 3}).fixed["clip_norm"] == 3.0
    assert all("plateau_factor" not in config for config in configs_of(again, 5))


def test_several_families_take_an_extra_each_where_it_has_one() -> None:
    space = space_of(["mlp", "tabm", "linear"], BINARY, {"clip_norm": 1.0, "tabm": {"schedule": "one_cycle"}})
    assert space.fixed == {"mlp.clip_norm": 1.0, "tabm.clip_norm": 1.0, "tabm.schedule": "one_cycle"}
    assert "mlp.schedule" in space.parameters
    with pytest.raises(SpaceError, match="did you mean 'clip_norm'"):
        space_of(["mlp", "linear"], BINARY, {"clipnorm": 1.0})


@pytest.mark.parametrize(
    ("told", "rule"),
    [
        ({"clip_nrm": 1.0}, "unknown parameter 'clip_nrm'; did you mean 'clip_norm'"),
        ({"schedule": "performence"}, "schedule: .*got 'performence'; did you mean 'performance'"),
        ({"schedule": "ramp"}, "schedule: the value must be one of .*got 'ramp'"),
        ({"clip_norm": -1}, "clip_norm: the value must be from 0.0 to 1000000.0, got -1"),
        ({"clip_norm": "much"}, "clip_norm: the value must be a finite number, got 'much'"),
        ({"clip_norm": {"low": 1}}, "clip_norm: a range of it needs low and high, got {'low': 1}"),
        ({"clip_norm": {"low": 0, "high": 1, "log": True}}, "clip_norm: low must be above 0"),
        ({"max_norm": [0, -2]}, "max_norm: the value must be from 0.0"),
        ({"plateau_patience": 0.5}, "plateau_patience: the value must be a whole number, got 0.5"),
        (
            {"plateau_factor": {"low": 0.5, "high": 2}},
            "plateau_factor: the value must be from 0.01 to 0.99, got 2",
        ),
        ({"label_smoothing": 1.5}, "label_smoothing: the value must be from 0.0 to 0.99, got 1.5"),
        ({"class_weight": "even"}, "class_weight: the value must be one of .*got 'even'"),
        ({"class_weight": {"low": 0, "high": 1}}, "class_weight: takes a list of choices, not a range"),
    ],
)
def test_what_is_refused_is_told_in_a_line(told: dict[str, Any], rule: str) -> None:
    with pytest.raises(SpaceError, match=rule) as caught:
        FAMILIES["mlp"].space(BINARY).override(told)
    assert "\n" not in str(caught.value)


def test_values_beyond_the_default_ones_stay_within_the_extra() -> None:
    space = FAMILIES["mlp"].space(BINARY)
    assert space.override({"label_smoothing": 0.3}).fixed["label_smoothing"] == 0.3
    assert space.override({"label_smoothing": {"high": 0.4}}).parameters["label_smoothing"] == Float(0.0, 0.4)
    assert space.override({"beta2": [0.9, 0.99]}).parameters["beta2"] == Choice([0.9, 0.99])


def test_a_condition_on_a_name_that_is_not_there_is_refused() -> None:
    space = Space({"n": Int(0, 1)}, extras={"x": Extra(Float(0, 1), "mode", ("a",))})
    with pytest.raises(SpaceError, match="condition of 'x' must point to an earlier name, got 'mode'"):
        space.override({"x": 0.5})
    both = Space({"n": Int(0, 1)}, extras={"x": Extra(Float(0, 1), "n", (1,))}).override({"x": 0.5})
    assert both.conditions == {"x": Condition("n", (1,))}
    assert {config.get("x") for config in configs_of(both)} == {None, 0.5}
