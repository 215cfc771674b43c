"""Numbers and dates as float64, whatever they are written as, and however far away."""

from __future__ import annotations

from datetime import date

import numpy as np
import pandas as pd
import pytest

from spaces.schema import Schema
from spaces.values import (
    SchemaError,
    are_numbers,
    first_text,
    floats,
    floats_of,
    is_blank,
    parsed,
    since_1970,
)


def objects(*values: object) -> np.ndarray:
    cells = np.empty(len(values), object)
    cells[:] = values
    return cells


def test_numbers_among_objects() -> None:
    found = parsed(objects("1.5", 2, "u", None, "nan", 10**400, -(10**400), True))
    np.testing.assert_array_equal(found, [1.5, 2, np.nan, np.nan, np.nan, np.inf, -np.inf, 1])
    assert are_numbers(objects("1", "-2e3")) and not are_numbers(objects("1", "nan"))
    assert not are_numbers(objects())


def test_blank_cells_and_the_first_text() -> None:
    assert is_blank(objects(None, "", np.nan, pd.NA, " ", 0)).tolist() == [True] * 4 + [False] * 2
    assert first_text(objects(None, "", "u", "v")).tolist() == ["u"]
    assert first_text(objects(None, "")).size == 0


def test_missing_numbers_and_texts_that_are_none() -> None:
    found = floats_of("a", objects("1", "", None, "NULL", "1e999"), False)
    np.testing.assert_array_equal(found, [1, np.nan, np.nan, np.nan, np.nan])
    with pytest.raises(SchemaError, match="column 'a' must hold numbers, not 'u'"):
        floats_of("a", objects("1", "u"), False)
    with pytest.raises(SchemaError, match="column 'a' must hold dates, not 'u'"):
        floats_of("a", objects("2024-01-01", "u"), True)


@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
def test_seconds_of_every_unit_are_those_of_pandas(unit: str) -> None:
    rng = np.random.default_rng(0)
    steps = rng.integers(-(10**9), 10**9, 200).astype("datetime64[s]").astype(f"datetime64[{unit}]")
    moments = pd.DatetimeIndex(steps).append(pd.DatetimeIndex([pd.NaT], dtype=f"datetime64[{unit}]"))
    found = since_1970(moments)
    expected = (moments - pd.Timestamp(0).as_unit(unit)).total_seconds()
    np.testing.assert_array_equal(found, expected)
    np.testing.assert_array_equal(floats("t", pd.Series(moments.tz_localize("UTC")), True), found)


def test_dates_beyond_what_nanoseconds_can_count() -> None:
    far = np.array(["9999-12-31", "0001-01-01", "2024-01-01"], "datetime64[s]")
    frame = pd.DataFrame({"a": far, "b": [date(9999, 12, 31), date(1, 1, 1), None]})
    table = Schema.infer(frame).read(frame)
    assert np.isfinite(table.numbers[:2]).all() and table.numbers[0, 0] == table.numbers[0, 1]
    assert table.numbers[0, 0] == np.float32(253402214400.0)


def test_a_span_of_time_is_no_date() -> None:
    with pytest.raises(SchemaError, match="must hold dates"):
        floats("a", pd.Series([pd.Timedelta(1, "s")]), True)
