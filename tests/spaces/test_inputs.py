"""What a network may be shown: only choices that make a difference on the table's columns."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from spaces.inputs import (
    chosen_inputs,
    features,
    input_conditions,
    input_dials,
    input_parameters,
    input_structure,
)
from spaces.schema import Schema
from spaces.signature import Signature
from spaces.task import Task

LEVELS = [f"level {i % 12}" for i in range(24)]
FRAMES = {
    "numbers": pd.DataFrame({"x": np.arange(24.0)}),
    "small": pd.DataFrame({"c": ["a", "b"] * 12}),
    "large": pd.DataFrame({"c": LEVELS}),
    "both": pd.DataFrame({"x": np.arange(24.0), "c": LEVELS}),
}


def _signature(name: str) -> Signature:
    return Signature(Schema.infer(FRAMES[name]), Task("regression", ("y",)))


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("numbers", ["scaling", "numbers", "sigma", "feature_scale"]),
        ("small", ["feature_scale"]),
        ("large", ["categories", "feature_scale"]),
        ("both", ["scaling", "numbers", "sigma", "categories", "feature_scale"]),
    ],
)
def test_choices_are_those_of_the_columns(name: str, expected: list[str]) -> None:
    signature = _signature(name)
    assert list(input_parameters(signature)) == expected
    assert set(input_conditions(signature)) == {"sigma"} & set(expected)
    asked = {"scaling": "robust", "numbers": "periodic", "sigma": 0.2, "categories": "embedding"}
    assert set(chosen_inputs(signature, **asked)) == set(asked) & set(expected)
    assert "sigma" not in chosen_inputs(signature, **{**asked, "numbers": "plain"})


def test_what_is_not_named_is_what_there_was_before() -> None:
    assert input_structure({}) == ("standard", "plain", "one_hot", False)
    assert input_dials({"numbers": "plain", "sigma": 0.3}) == {}
    assert input_dials({"numbers": "periodic", "sigma": 0.3}) == {"dial_sigma": 0.3}


@pytest.mark.parametrize(
    ("config", "n_more", "power"),
    [
        ({}, 0, 0.0),
        ({"numbers": "periodic"}, 3, 0.5),
        ({"numbers": "piecewise"}, 16, 16 / 3),
        ({"categories": "embedding"}, 8 - 16, 0.0),
        ({"feature_scale": True, "scaling": "robust"}, 0, 0.0),
    ],
)
def test_shown_columns_and_their_power(config: dict[str, object], n_more: int, power: float) -> None:
    shown = features(config, _signature("both"))
    assert shown.x.shape[1] == 1 + 16 + n_more
    assert shown.n_sources == pytest.approx(2 + power)
    assert [one.name for one in shown.inputs] == ["numbers", "codes"]


@pytest.mark.parametrize("numbers", ["plain", "periodic", "piecewise"])
@pytest.mark.parametrize("name", list(FRAMES))
def test_every_way_works_on_every_kind_of_table(name: str, numbers: str) -> None:
    config = {"scaling": "robust", "numbers": numbers, "categories": "embedding", "feature_scale": True}
    shown = features(config, _signature(name))
    assert len(shown.inputs) == (2 if name == "both" else 1) and shown.x.shape[1] >= 1
