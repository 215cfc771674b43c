"""A spreadsheet finds no formula in a table, and a program finds the same table."""

import io

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reports.safe_csv import neutral, safe_csv


@pytest.mark.parametrize("text", ["=cmd()", "+1", "-1", "@x", "\tx", "\rx", "=HYPERLINK(1)"])
def test_formulas_become_text(text: str) -> None:
    table = pd.DataFrame({text: [text, "plain"], "n": [-1.5, 2.0]})
    read = pd.read_csv(io.StringIO(safe_csv(table)), dtype=str, keep_default_na=False)
    shown = "'" + text.replace("\r", "\n")
    assert read.columns.tolist() == [shown, "n"] and read.iloc[0].tolist() == [shown, "-1.5"]
    assert table.columns[0] == text  # the table itself is left alone


def test_a_carriage_return_begins_no_row() -> None:
    read = pd.read_csv(io.StringIO(safe_csv(pd.DataFrame({"x": ["a\r=cmd()", "b\r\nc"]}))))
    assert read["x"].tolist() == ["a\n=cmd()", "b\nc"]


def test_numbers_and_gaps_stay() -> None:
    table = pd.DataFrame({"x": [-1, None], "words": ["a,b", None], "yes": [True, False]})
    pd.testing.assert_frame_equal(
        pd.read_csv(io.StringIO(safe_csv(table))), pd.read_csv(io.StringIO(table.to_csv(index=False)))
    )


def test_columns_of_one_name_are_each_made_safe() -> None:
    table = pd.DataFrame([["=1", "=2"]], columns=["x", "x"])
    assert safe_csv(table).splitlines() == ["x,x", "'=1,'=2"]


@given(st.text(max_size=8))
def test_nothing_begins_like_a_formula(text: str) -> None:
    assert not neutral(text).startswith(("=", "+", "-", "@", "\t", "\r")) and neutral(text).endswith(text)
