"""Proxies: the target in disguise is named; strong features are not."""

import numpy as np
import pandas as pd
import pytest

from search.audit import Finding
from tests.search.audit.tables import alarms, clean, look


def proxies(frame: pd.DataFrame, **options: object) -> list[Finding]:
    return [f for f in look(frame, **options) if f.leak == "target proxy"]


@pytest.mark.parametrize("kind", ["regression", "binary", "multiclass"])
def test_a_copy_of_the_target_is_an_error(kind: str) -> None:
    frame = clean(kind=kind)  # type: ignore[arg-type]
    leak = frame["y"].map(lambda v: f"is {v}") if kind != "regression" else np.exp(-frame["y"] / 3)
    (finding,) = proxies(frame.assign(late=leak))
    assert finding.columns == ("late",)
    assert finding.severity == "error"
    assert "--drop late" in finding.remedy and 'keep = ["late"]' in finding.remedy


def test_a_noisy_copy_is_a_warning() -> None:
    frame = clean(n=1000)
    rng = np.random.default_rng(99)
    noisy = frame["y"] + 0.2 * frame["y"].std() * rng.normal(size=1000)
    assert [(f.severity, f.columns) for f in proxies(frame.assign(noisy=noisy))] == [("warning", ("noisy",))]


def test_missing_values_give_the_target_away() -> None:
    frame = clean(kind="binary")
    late = frame["x0"].where(frame["y"] == "low")
    assert [f.columns for f in proxies(frame.assign(late=late))] == [("late",)]


def test_two_copies_do_not_excuse_each_other() -> None:
    frame = clean(kind="binary")
    found = proxies(frame.assign(one=(frame["y"] == "low") * 1, two=frame["y"].str.upper()))
    assert {f.columns for f in found} == {("one",), ("two",)}


def test_kept_by_name() -> None:
    frame = clean(kind="binary")
    (finding,) = proxies(frame.assign(late=frame["y"]), keep=["late"])
    assert finding.severity == "note"


def test_strong_features_are_no_proxies() -> None:
    rng = np.random.default_rng(0)
    speed, shape = rng.integers(1, 15, 600) / 14, rng.integers(0, 6, 600)
    frame = pd.DataFrame({"speed": speed, "shape": shape + 0.5, "noise": rng.normal(size=600)})
    drag = 60 * speed**4 * (1 + 0.06 * shape)  # speed alone explains 97 %, the shape nearly all of the rest
    assert alarms(look(frame.assign(y=drag))) == []
    halves = pd.DataFrame({"a": rng.normal(size=600), "b": rng.normal(size=600)})
    assert alarms(look(halves.assign(y=halves["a"] + halves["b"]))) == []
