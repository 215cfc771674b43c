"""Predictions come as columns that say what they are."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from search import predictions
from search.predictions import PredictionsError
from spaces.task import Task


def test_binary() -> None:
    frame = predictions.of(np.array([[0.9], [0.2]]), Task("binary", ("ill",), ("no", "yes")))
    assert frame.columns.tolist() == ["ill", "probability_no", "probability_yes"]
    assert frame["ill"].tolist() == ["yes", "no"]
    np.testing.assert_allclose(frame["probability_no"] + frame["probability_yes"], 1.0)
    np.testing.assert_allclose(frame["probability_yes"], [0.9, 0.2])


def test_multiclass_keeps_the_type_of_its_classes() -> None:
    raw = np.array([[0.1, 0.2, 0.7], [0.5, 0.3, 0.2]])
    frame = predictions.of(raw, Task("multiclass", ("grade",), (1, 2, 5)))
    assert frame.columns.tolist() == ["grade", "probability_1", "probability_2", "probability_5"]
    assert frame["grade"].tolist() == [5, 1] and frame["grade"].dtype == np.int64
    np.testing.assert_array_equal(frame.iloc[:, 1:], raw)


def test_multilabel_and_regression() -> None:
    labels = predictions.of(np.array([[0.9, 0.1]]), Task("multilabel", ("a", "b")))
    assert labels.iloc[0].tolist() == [1, 0, 0.9, 0.1]
    values = predictions.of(np.array([[1.5, -2.0], [0.0, 3.0]]), Task("regression", ("x", "y")))
    assert values.columns.tolist() == ["x", "y"] and values["y"].tolist() == [-2.0, 3.0]


def test_a_column_is_never_overwritten() -> None:
    task = Task("multilabel", ("probability_a", "a"))
    frame = predictions.of(np.array([[0.9, 0.1]]), task)
    assert frame.shape == (1, 4) and frame["probability_a"].tolist() == [1]


@pytest.mark.parametrize("ending", [".csv", ".parquet"])
def test_files_come_back(tmp_path: Path, ending: str) -> None:
    frame = pd.DataFrame({"größe": ["a,b", 'c"d'], "p": [0.1, 1 / 3]})
    path = tmp_path / f"out{ending}"
    predictions.write(frame, path)
    back = pd.read_csv(path) if ending == ".csv" else pd.read_parquet(path)
    pd.testing.assert_frame_equal(back, frame)


def test_labels_like_formulas_come_back(tmp_path: Path) -> None:
    """Predictions are for programs; reports are what a spreadsheet opens."""
    frame = predictions.of(np.array([[0.9], [0.2]]), Task("binary", ("=y",), ("-no", "=yes")))
    predictions.write(frame, tmp_path / "out.csv")
    back = pd.read_csv(tmp_path / "out.csv")
    assert back["=y"].tolist() == ["=yes", "-no"]
    assert back.columns.tolist() == ["=y", "probability_-no", "probability_=yes"]


def test_places_are_checked_first(tmp_path: Path) -> None:
    with pytest.raises(PredictionsError, match=r"not as 'out\.xlsx'"):
        predictions.check_place(tmp_path / "out.xlsx")
    with pytest.raises(PredictionsError, match="existing folder"):
        predictions.check_place(tmp_path / "no" / "out.csv")
