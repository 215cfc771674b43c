"""Tables as text: what a spreadsheet would run does not reach it, and numbers stay numbers."""

import csv
import io

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from search.tables import FORMULA_STARTS, csv_exact, csv_text, neutral

FORMULAS = [
    "=1+1", "=HYPERLINK(\"http://x\")", "+cmd|' /C calc'!A0", "-2+3", "@SUM(A1)", "\t=1", "\r=1", "\n=1",
    "\uff1d1+1", "-", "=", "-1e", "+-1", "-inf",
]  # fmt: skip


def cells(text: str) -> list[list[str]]:
    return list(csv.reader(io.StringIO(text, newline="")))


@pytest.mark.parametrize("formula", FORMULAS)
def test_formulas_become_text(formula: str) -> None:
    frame = pd.DataFrame({formula: ["plain", formula], "n": [1, -2]})
    found = cells(csv_text(frame))
    assert found[0] == [f"'{formula}", "n"]
    assert [row[0] for row in found[1:]] == ["plain", f"'{formula}"]
    assert [row[1] for row in found[1:]] == ["1", "-2"]


def test_numbers_stay() -> None:
    frame = pd.DataFrame(
        {
            "float": [-1.5, np.nan],
            "int": pd.array([-1, None], "Int64"),
            "text": ["-1.5e-07", "+3"],
            "mixed": [-1, "=x"],
            "list": [[-1, "=x"], []],
            "flag": pd.array([True, None], "boolean"),
        }
    )
    found = cells(csv_text(frame))
    assert found[1] == ["-1.5", "-1", "-1.5e-07", "-1", '[-1, "=x"]', "True"]
    assert found[2] == ["", "", "+3", "'=x", "[]", ""]
    assert frame["mixed"][1] == "=x"  # the table itself is as it was


def test_a_carriage_return_ends_no_row() -> None:
    frame = pd.DataFrame({"a\rb": ["x\r=1+1", "y"], "n": [1.5, -2.0]})
    for text in (csv_text(frame), csv_exact(frame)):
        assert cells(text) == [["a\rb", "n"], ["x\r=1+1", "1.5"], ["y", "-2.0"]]


def test_columns_of_one_name_stay_apart() -> None:
    frame = pd.DataFrame([["=a", "b"]], columns=["x", "x"])
    assert cells(csv_text(frame)) == [["x", "x"], ["'=a", "b"]]


@given(st.text(max_size=12))
def test_no_cell_begins_like_a_formula(text: str) -> None:
    found = neutral(text)
    if found.startswith(FORMULA_STARTS):
        assert np.isfinite(float(found))
    assert found in (text, f"'{text}")


@given(
    st.lists(
        st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), max_size=9),
        min_size=1,
        max_size=5,
    )
)
def test_programs_read_what_was_written(texts: list[str]) -> None:
    found = cells(csv_exact(pd.DataFrame({"t": texts, "n": range(len(texts))})))
    assert [row[0] for row in found[1:]] == texts
