"""Schemas: what is inferred, and reading frames row by row, in any order."""

import datetime
import json
from decimal import Decimal

import numpy as np
import pandas as pd
import pytest

from spaces.schema import Schema, SchemaError


def one(values: object, **changes: object) -> tuple:
    """Return the inferred column and the table of a one-column frame."""
    frame = pd.DataFrame({"x": values})
    schema = Schema.infer(frame)
    return schema.columns[0], schema.read(frame)


@pytest.fixture
def frame() -> pd.DataFrame:
    return pd.DataFrame(
        {
            "whole": [1, 2, 3, 4],
            "float": [1.5, np.nan, np.inf, 4.0],
            "bool": [True, False, True, True],
            "maybe": pd.Series([True, None, False, True], dtype=object),
            "nullable": pd.array([1, None, 3, 4], dtype="Int64"),
            "day": pd.to_datetime(["2020-01-01", None, "2020-01-03", "2020-01-02"]),
            "date": [datetime.date(2020, 1, 1), None, datetime.date(2020, 1, 2), datetime.date(2020, 1, 2)],
            "decimal": [Decimal("1.5"), None, Decimal(2), Decimal(3)],
            "number text": ["1", " 2.5", None, "1e3"],
            "größe 大": ["b", "a", None, ""],
            "coded": pd.Categorical([3, 1, None, 3], categories=[1, 2, 3]),
            "mixed": [1, "a", 1.0, True],
            "nothing": [None, None, None, None],
        }
    )


def test_kinds(frame: pd.DataFrame) -> None:
    schema = Schema.infer(frame)
    assert [c.name for c in schema.categories] == ["größe 大", "coded", "mixed", "nothing"]
    assert [c.name for c in schema.columns if not c.may_be_missing] == ["whole", "bool", "mixed"]
    assert [c.name for c in schema.columns if c.is_datetime] == ["day", "date"]
    assert schema.n_columns == 13
    assert [c.categories for c in schema.categories] == [("a", "b"), ("1", "3"), ("1", "True", "a"), ()]


def test_values(frame: pd.DataFrame) -> None:
    schema = Schema.infer(frame)
    table = schema.read(frame)
    numbers = dict(zip([c.name for c in schema.numbers], table.numbers.T.astype(float), strict=True))
    nan = np.nan
    expected = {
        "whole": [1, 2, 3, 4],
        "float": [1.5, nan, nan, 4.0],
        "bool": [1, 0, 1, 1],
        "maybe": [1, nan, 0, 1],
        "nullable": [1, nan, 3, 4],
        "day": [-86400, nan, 86400, 0],
        "decimal": [1.5, nan, 2, 3],
        "number text": [1, 2.5, nan, 1000],
    }
    for name, values in expected.items():
        np.testing.assert_array_equal(numbers[name], values, err_msg=name)
    assert table.codes.T.tolist() == [[2, 1, 0, 0], [2, 1, 0, 2], [1, 3, 1, 2], [0, 0, 0, 0]]


def test_each_row_is_read_as_if_alone(frame: pd.DataFrame) -> None:
    schema = Schema.infer(frame)
    table = schema.read(frame)
    for i in range(len(frame)):
        alone = schema.read(frame.iloc[[i]])
        np.testing.assert_array_equal(alone.numbers, table.numbers[[i]])
        np.testing.assert_array_equal(alone.codes, table.codes[[i]])


def test_order_and_further_columns_do_not_matter(frame: pd.DataFrame) -> None:
    schema = Schema.infer(frame)
    before = frame.copy(deep=True)
    turned = schema.read(frame[frame.columns[::-1]].assign(more=1))
    table = schema.read(frame)
    np.testing.assert_array_equal(turned.numbers, table.numbers)
    np.testing.assert_array_equal(turned.codes, table.codes)
    pd.testing.assert_frame_equal(frame, before)


def test_json_keeps_the_schema(frame: pd.DataFrame) -> None:
    schema = Schema.infer(frame)
    assert Schema.from_json(json.loads(json.dumps(schema.to_json()))) == schema


def test_a_csv_file_reads_like_the_frame(frame: pd.DataFrame, tmp_path) -> None:
    frame = frame.drop(columns=["mixed", "nothing"])
    schema = Schema.infer(frame)
    frame.to_csv(tmp_path / "t.csv", index=False)
    again = schema.read(pd.read_csv(tmp_path / "t.csv"))
    table = schema.read(frame)
    np.testing.assert_array_equal(again.numbers, table.numbers)
    np.testing.assert_array_equal(again.codes, table.codes)


@pytest.mark.parametrize(
    ("n_categories", "is_missing", "n_slots"),
    [(1, False, 2), (1, True, 4), (3, False, 4), (3, True, 8), (40, True, 32)],
)
def test_slots(n_categories: int, is_missing: bool, n_slots: int) -> None:
    column, _ = one([f"c{i}" for i in range(n_categories)] + [None] * is_missing)
    assert column.n_slots == n_slots


def test_slots_are_capped() -> None:
    schema = Schema.infer(pd.DataFrame({"x": list("abcdefgh")}), max_slots=8)
    assert schema.columns[0].n_slots == 8


def test_anchor_keeps_differences() -> None:
    moments = 1.7e9 + np.arange(5.0)
    column, table = one(moments)
    assert column.anchor == np.median(moments)
    assert np.diff(table.numbers[:, 0]).tolist() == [1.0] * 4
    assert one([1.0, 2.0, 3.0])[0].anchor == 0.0
    assert one([5.0, 5.0])[1].numbers[:, 0].tolist() == [0.0, 0.0]


def test_huge_numbers_stay_finite() -> None:
    _, table = one([1e300, -1e300, 0.0])
    assert np.isfinite(table.numbers).all()


def test_unknown_and_whole_categories() -> None:
    schema = Schema.infer(pd.DataFrame({"x": ["1", "2", "x"]}))
    codes = schema.read(pd.DataFrame({"x": [2.0, np.nan, 7.0]})).codes[:, 0]
    assert codes.tolist() == [2, 0, 4]
    assert schema.read(pd.DataFrame({"x": pd.Categorical(["x", "q"])})).codes[:, 0].tolist() == [3, 4]


@pytest.mark.parametrize(
    "dtype", ["int8", "uint64", "float32", "boolean", "Float64", "int64[pyarrow]", "double[pyarrow]"]
)
def test_number_dtypes(dtype: str) -> None:
    column, table = one(pd.array([0, 1, 1], dtype=dtype))
    assert column.kind == "number"
    assert table.numbers[:, 0].tolist() == [0.0, 1.0, 1.0]


@pytest.mark.parametrize("dtype", [object, "str", "string", "string[pyarrow]", "category"])
def test_text_dtypes(dtype: str) -> None:
    column, table = one(pd.Series(["q", None, "r"], dtype=dtype))
    assert (column.kind, column.categories) == ("category", ("q", "r"))
    assert table.codes[:, 0].tolist() == [1, 0, 2]


def test_take_copies() -> None:
    _, table = one([1.0, 2.0, 3.0])
    part = table.take(np.array([2, 0]))
    part.numbers[:] = 0
    assert part.n_rows == 2
    assert table.numbers[:, 0].tolist() == [1.0, 2.0, 3.0]


def test_errors() -> None:
    schema = Schema.infer(pd.DataFrame({"a": [1, 2], "b": ["x", "y"], "t": pd.to_datetime(["2020", "2021"])}))
    good = pd.DataFrame({"a": [1], "b": ["x"], "t": ["2020-01-01"]})
    with pytest.raises(SchemaError, match=r"missing: 'a', 't'$"):
        schema.read(good[["b"]])
    with pytest.raises(SchemaError, match="'a' must hold numbers, not 'five'"):
        schema.read(good.assign(a=["five"]))
    with pytest.raises(SchemaError, match="'t' must hold dates, not 'soon'"):
        schema.read(good.assign(t=["soon"]))
    with pytest.raises(SchemaError, match="occurring twice: 'a'"):
        schema.read(pd.concat([good, good[["a"]]], axis=1))
    with pytest.raises(SchemaError, match="complex"):
        Schema.infer(pd.DataFrame({"z": [1j]}))
    with pytest.raises(SchemaError, match="'l' must hold"):
        Schema.infer(pd.DataFrame({"l": [[1], [2]]}))
