"""The standard library reads back what we write."""

import math
import tomllib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from search import toml

SCALARS = (
    st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False)
    | st.text(st.characters(exclude_categories=["Cs"]))
)
KEYS = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
VALUES = st.recursive(
    SCALARS, lambda v: st.lists(v, max_size=3) | st.dictionaries(KEYS, v, max_size=3), max_leaves=6
)


@given(table=st.dictionaries(KEYS, VALUES, max_size=5))
def test_round_trip(table: dict) -> None:
    assert tomllib.loads(toml.dumps(table)) == table


def test_not_a_number_is_written() -> None:
    assert math.isnan(tomllib.loads(toml.dumps({"x": math.nan}))["x"])


def test_none_has_no_type() -> None:
    with pytest.raises(TypeError, match="NoneType"):
        toml.dumps({"x": None})


def test_layout() -> None:
    text = toml.dumps(
        {"trials": 30, "space": {"depth": 3, "dropout": {"low": 0.0, "high": 0.3}, "width": [32, 64]}}
    )
    assert text == "trials = 30\n\n[space]\ndepth = 3\ndropout = {low = 0.0, high = 0.3}\nwidth = [32, 64]\n"
