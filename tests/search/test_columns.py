"""What the columns hold, in figures: checked against pandas."""

import numpy as np
import pandas as pd
import pytest

from search.columns import N_NAMED, summaries
from spaces.schema import Schema

FRAME = pd.DataFrame(
    {
        "n": [3.0, 1.0, np.nan, 2.0, 2.0, 8.0],
        "far": [1e9 + i for i in range(6)],
        "day": pd.to_datetime(["2024-01-01", "2024-01-03", None, "2024-01-05", "2024-01-07", "2024-01-09"]),
        "word": ["b", "a", "b", None, "b", "c"],
        "many": list("uvwxyz"),
    }
)


@pytest.fixture
def found() -> dict[str, dict[str, object]]:
    schema = Schema.infer(FRAME)
    return {str(one["column"]): one for one in summaries(schema, schema.read(FRAME))}


def test_numbers(found: dict[str, dict[str, object]]) -> None:
    assert found["n"]["missing"] == pytest.approx(1 / 6) and found["n"]["n_distinct"] == 4
    assert found["n"]["quantiles"] == pytest.approx(FRAME["n"].quantile([0, 0.25, 0.5, 0.75, 1]).tolist())
    assert found["far"]["quantiles"] == pytest.approx(FRAME["far"].quantile([0, 0.25, 0.5, 0.75, 1]).tolist())


def test_dates_are_shown_as_dates(found: dict[str, dict[str, object]]) -> None:
    quantiles = found["day"]["quantiles"]
    assert isinstance(quantiles, list) and found["day"]["kind"] == "date"
    assert (quantiles[0], quantiles[2], quantiles[4]) == (
        "2024-01-01T00:00",
        "2024-01-05T00:00",
        "2024-01-09T00:00",
    )


def test_categories(found: dict[str, dict[str, object]]) -> None:
    assert found["word"]["missing"] == pytest.approx(1 / 6) and found["word"]["n_distinct"] == 3
    assert found["word"]["most_frequent"] == [
        {"value": "b", "share": 0.5},
        {"value": "a", "share": pytest.approx(1 / 6)},
        {"value": "c", "share": pytest.approx(1 / 6)},
    ]
    named = found["many"]["most_frequent"]
    assert isinstance(named, list) and len(named) == N_NAMED
