"""The space over several families: names, conditions, overrides, and the way back."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spaces import joint
from spaces.families import FAMILIES
from spaces.parameters import Choice, Float, SpaceError
from spaces.schema import Schema
from spaces.signature import Signature
from spaces.space import Condition, Space
from spaces.task import Task

FRAME = pd.DataFrame({"a": np.arange(60.0), "b": np.arange(60.0) % 7, "c": list("xyz") * 20})
SIGNATURE = Signature(Schema.infer(FRAME), Task("regression", ("y",)), len(FRAME))
NAMES = ("mlp", "linear", "boosting")


@given(st.integers(0, 2**32 - 1))
def test_a_joint_configuration_splits_into_one_of_its_family(seed: int) -> None:
    space = joint.space_of(NAMES, SIGNATURE, {})
    family, config = joint.split(NAMES, space.sample(np.random.default_rng(seed)))
    assert FAMILIES[family].space(SIGNATURE).explain(config) is None


def test_a_single_family_keeps_its_own_names() -> None:
    space = joint.space_of(["linear"], SIGNATURE, {})
    assert space == FAMILIES["linear"].space(SIGNATURE)
    config = space.sample(np.random.default_rng(0))
    assert joint.split(["linear"], config) == ("linear", config)


def test_overrides_by_parameter_and_by_family() -> None:
    space = joint.space_of(NAMES, SIGNATURE, {"depth": 2, "boosting": {"learning_rate": 0.1}})
    assert space.fixed.items() >= {"mlp.depth": 2, "boosting.learning_rate": 0.1}.items()
    assert "mlp.learning_rate" in space.parameters
    both = joint.space_of(NAMES, SIGNATURE, {"learning_rate": 0.1})
    assert both.fixed.items() >= {"mlp.learning_rate": 0.1, "boosting.learning_rate": 0.1}.items()


@pytest.mark.parametrize("overrides", [{"dept": 2}, {"boosting": 3}, {"linear": {"depth": 2}}])
def test_an_override_that_fits_nothing_is_refused(overrides: dict) -> None:
    with pytest.raises(
        SpaceError, match=next(iter(overrides)).split("_")[0] if "linear" not in overrides else "depth"
    ):
        joint.space_of(NAMES, SIGNATURE, overrides)


def test_conditions_on_what_an_override_fixed_stay_within_their_family() -> None:
    on = Space({"x": Float(0, 1)}, {"x": Condition("is_on", (True,))}, {"is_on": True})
    off = Space({"x": Float(0, 1)}, {"x": Condition("is_on", (True,))}, {"is_on": False})
    both = joint.join({"on": on, "off": off})
    assert both.parameters["family"] == Choice(("on", "off"))
    assert both.conditions == {"on.x": Condition("family", ("on",))}
    found = [both.sample(np.random.default_rng(seed)) for seed in range(20)]
    assert all(("on.x" in config) == (config["family"] == "on") and "off.x" not in config for config in found)


def test_first_configurations_take_turns_and_are_in_the_space() -> None:
    space = joint.space_of(NAMES, SIGNATURE, {})
    first = joint.first_configs(NAMES, space, SIGNATURE)
    assert [config["family"] for config in first[:3]] == list(NAMES)
    assert all(space.explain(config) is None for config in first)


def test_first_configurations_follow_an_override() -> None:
    space = joint.space_of(NAMES, SIGNATURE, {"mlp": {"activation": ["selu"]}})
    assert all(space.explain(c) is None for c in joint.first_configs(NAMES, space, SIGNATURE))
