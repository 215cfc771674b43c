"""The matrices of the families: the encoding, and one column per input column."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from search.preprocess import learn
from spaces.encoding import Layout, Statistics, encode
from spaces.matrix import MatrixError, is_categorical, matrix
from spaces.schema import Schema

FRAME = pd.DataFrame(
    {
        "x": [1.0, 2.0, np.nan, 4.0] * 3,
        "c": ["a", "a", "b", None] * 3,
        "y": np.arange(12.0),
        "d": ["u", "v"] * 6,
    }
)


def _arguments(frame: pd.DataFrame) -> tuple[Any, ...]:
    schema = Schema.infer(frame)
    table = schema.read(frame)
    return Layout.of(schema), table.numbers, table.codes, learn(table, schema, np.arange(table.n_rows))


def test_ordinal_written_out_by_hand() -> None:
    layout, numbers, codes, learned = _arguments(FRAME)
    # c: missing a b unknown; d: missing u v unknown
    slots = np.array([3, 1, 2, 0, 0, 2, 1, 0], np.int32)
    statistics = Statistics(learned.fill, learned.center, learned.scale, slots)
    found = matrix("ordinal", layout, numbers, codes, statistics)
    assert found.dtype == np.float32 and found.shape == (12, 4)
    assert np.array_equal(
        found[:4], [[1, 0, 1, 2], [2, 1, 1, 1], [np.nan, 2, 2, 2], [4, 3, 3, 1]], equal_nan=True
    )
    assert is_categorical(layout).tolist() == [False, False, True, True]


def test_encoded_is_the_encoding_of_the_networks() -> None:
    layout, numbers, codes, learned = _arguments(FRAME)
    found = matrix("encoded", layout, numbers, codes, learned)
    assert found.dtype == np.float32 and found.shape == (12, layout.n_features)
    assert np.array_equal(found, encode(np, layout, numbers, codes, **learned.arrays()))


@pytest.mark.parametrize("columns", [["x", "y"], ["c", "d"]])
def test_one_kind_of_column_alone(columns: list[str]) -> None:
    arguments = _arguments(FRAME[columns])
    assert matrix("ordinal", *arguments).shape == (12, 2)
    assert matrix("encoded", *arguments).shape == (12, arguments[0].n_features)
    assert is_categorical(arguments[0]).tolist() == [columns == ["c", "d"]] * 2


def test_the_table_is_not_shared() -> None:
    arguments = _arguments(FRAME[["x", "y"]])
    matrix("ordinal", *arguments)[:] = 7.0
    assert arguments[1][0, 0] == 1.0


def test_an_unknown_kind_is_named() -> None:
    with pytest.raises(MatrixError, match="one of encoded, ordinal, got 'dense'"):
        matrix("dense", *_arguments(FRAME))  # type: ignore[arg-type]
