"""Predictions as a table, and the table as a file."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from search.records import write_aside
from search.tables import csv_exact, parquet_bytes
from spaces.shown import shown

if TYPE_CHECKING:
    from spaces.task import Task

FORMATS = (".csv", ".parquet")


class PredictionsError(ValueError):
    """A place where predictions cannot be written."""


def of(predictions: "np.ndarray[Any, Any]", task: "Task") -> pd.DataFrame:
    """The answer as columns: each target, then for classification `probability_CLASS` (or `_LABEL`).

    Parameters
    ----------
    predictions
        Probabilities or raw values `(n_rows, n_outputs)`; for a binary task one column, of the second class.
    """
    answers = np.asarray(task.labels(predictions)).reshape(len(predictions), -1)
    columns = {name: answers[:, i] for i, name in enumerate(task.target_names)}
    for name, column in _probabilities(predictions, task).items():
        columns[_free(f"probability_{name}", columns)] = column
    return pd.DataFrame(columns).infer_objects()


def _probabilities(predictions: "np.ndarray[Any, Any]", task: "Task") -> "dict[Any, np.ndarray[Any, Any]]":
    if task.kind == "regression":
        return {}
    if task.kind == "binary":
        second = predictions[:, 0]
        return dict(zip(task.classes, (1.0 - second, second), strict=True))
    names = task.classes if task.kind == "multiclass" else task.target_names
    return {name: predictions[:, i] for i, name in enumerate(names)}


def _free(name: str, columns: "dict[str, np.ndarray[Any, Any]]") -> str:
    while name in columns:
        name += "_"
    return name


def check_place(path: Path) -> None:
    """Refuse a file that could not be written, before anything is computed.

    Raises
    ------
    PredictionsError
        If the ending is none of `FORMATS`, the folder is not there, or something else than a file is in the
        place.
    """
    if "\0" in str(path):
        raise PredictionsError(f"a path must hold no NUL byte, and {shown(str(path))} does")
    if path.suffix.lower() not in FORMATS:
        raise PredictionsError(
            f"predictions are written as {' or '.join(FORMATS)}, not as {shown(path.name)}"
        )
    if not path.parent.is_dir():
        raise PredictionsError(
            f"predictions need an existing folder, and there is none at {shown(str(path.parent))}"
        )
    if path.exists() and not path.is_file():
        raise PredictionsError(
            f"predictions are written to a plain file, and {shown(str(path))} is a folder, pipe or device"
        )


def write(frame: pd.DataFrame, path: Path) -> None:
    """Write the table as CSV or Parquet, by the ending of `path`.

    Predictions are for programs: labels come back as they are, also those that a spreadsheet would take for a
    formula. Reports neutralise such text (`search.tables.csv_text`).
    """
    check_place(path)
    content = parquet_bytes(frame) if path.suffix.lower() == ".parquet" else csv_exact(frame).encode()

    def put(file: Any) -> None:
        file.write(content)

    write_aside(path, put, mode=0o666)
