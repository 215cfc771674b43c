"""Categories as texts: what is equal has one text, what is missing has none."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from spaces.texts import texts_in, texts_of


def objects(*values: object) -> np.ndarray:
    cells = np.empty(len(values), object)
    cells[:] = values
    return cells


def test_equal_texts_share_a_place_and_missing_ones_have_none() -> None:
    texts, which = texts_of(objects("b", "a", None, "b", "", np.nan))
    assert texts == ["b", "a"]
    assert which.tolist() == [0, 1, -1, 0, -1, -1]


def test_numbers_among_texts_agree_however_they_are_written() -> None:
    texts, which = texts_of(objects("1", 1, 1.0, 1.5, None))
    assert texts == ["1", "1.5"]
    assert which.tolist() == [0, 0, 0, 1, -1]


@pytest.mark.parametrize("dtype", ["str", "string", "object", "category"])
def test_every_type_of_text_column_gives_the_same(dtype: str) -> None:
    series = pd.Series(["v", "u", None, "v"], dtype=dtype)
    texts, which = texts_in(series)
    assert [texts[i] if i >= 0 else None for i in which] == ["v", "u", None, "v"]


def test_categories_that_are_not_used_are_not_known() -> None:
    texts, which = texts_in(pd.Series(pd.Categorical(["v"], categories=["u", "v"])))
    assert (texts, which.tolist()) == (["v"], [0])
