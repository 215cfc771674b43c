"""From target columns to a task and an array."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, get_args

import numpy as np

from spaces.shown import shown
from spaces.task import Kind, Task

if TYPE_CHECKING:
    import pandas as pd

MOST_NUMERIC_CLASSES = 20
LARGEST_TARGET = 1e37  # held-out predictions are kept as float32
_LARGEST_EXACT = 2**53
_N_SHOWN = 8


class DataError(ValueError):
    """A table or its targets cannot be used."""


@dataclass(frozen=True)
class Targets:
    """Targets as read.

    Parameters
    ----------
    task
        What is predicted.
    y
        ``(n_kept, n_outputs)`` float64.
    rows
        ``(n_kept,)`` positions of the rows that have every target.
    n_dropped
        Rows left out.
    notes
        Sentences about what was inferred.
    """

    task: Task
    y: np.ndarray
    rows: np.ndarray
    n_dropped: int
    notes: tuple[str, ...]


def read_targets(targets: pd.DataFrame, kind: Kind | None) -> Targets:
    """Read target columns, inferring the kind of task when it is ``None``.

    Raises
    ------
    DataError
        If no row has a target, there is one class only, or the values do not fit the kind.
    """
    if kind is not None and kind not in get_args(Kind):
        raise DataError(f"task must be one of {', '.join(get_args(Kind))}, not {shown(kind)}")
    if not targets.shape[1]:
        raise DataError("at least one target is needed, not 0")
    names = tuple(str(c) for c in targets.columns)
    values = [_values(targets.iloc[:, i]) for i in range(len(names))]
    is_kept = np.all([~_is_missing(v) for v in values], axis=0)
    if not is_kept.any():
        raise DataError(f"no row has a value of the target {', '.join(map(shown, names))}")
    rows = np.flatnonzero(is_kept)
    kept = [v[rows] for v in values]
    note = ""
    if kind is None:
        kind, why = infer_kind(kept, names)
        note = f"task inferred: {kind} ({why}); give the task to choose another"
    task, y = _build(kind, names, kept)
    return Targets(task, y, rows, int(is_kept.size - rows.size), (note,) if note else ())


def infer_kind(values: Sequence[np.ndarray], names: Sequence[str]) -> tuple[Kind, str]:
    """Infer the kind of task.

    One target of text or booleans gives classes. So do whole numbers when they are two, or when they look
    like codes: at most 20 different ones, starting at 0 or 1 without large gaps, each on ten rows on average.
    Other numbers are regression. Several targets are multilabel when all are 0/1, else regression.

    Parameters
    ----------
    values
        One array ``(n_rows,)`` per target without missing values: float64, bool or object.
    names
        Their names.

    Returns
    -------
    kind, why

    Raises
    ------
    DataError
        If several targets are not all numbers.
    """
    if len(values) > 1:
        texts = [n for n, v in zip(names, values, strict=True) if v.dtype == object]
        if texts:
            raise DataError(
                f"several targets must all be numbers; {shown(texts[0])} holds text: "
                "predict it alone, or code it as numbers"
            )
        is_labels = all(np.isin(v, (0, 1)).all() for v in values)
        return (
            ("multilabel", "all targets are 0 or 1")
            if is_labels
            else ("regression", "several numeric targets")
        )
    (column,) = values
    distinct = _distinct(column)
    n = len(distinct)
    several: Kind = "binary" if n <= 2 else "multiclass"
    if column.dtype != np.float64:
        return several, f"{n} classes of {'booleans' if column.dtype == np.bool_ else 'text'}"
    if not all(v == int(v) for v in distinct):
        return "regression", "numbers with fractions"
    if n <= 2:
        return several, f"{n} whole numbers"
    is_dense = distinct[0] in (0, 1) and distinct[-1] - distinct[0] + 1 <= 1.5 * n
    if n <= MOST_NUMERIC_CLASSES and n <= column.size / 10 and is_dense:
        return several, f"{n} whole numbers from {distinct[0]:g} to {distinct[-1]:g}"
    return "regression", f"{n} different whole numbers that do not look like codes of classes"


def _values(series: pd.Series) -> np.ndarray:
    """Return a target column as bool, float64 (NaN: missing) or object (``None``: missing) ``(n_rows,)``."""
    import pandas as pd
    from pandas.api import types

    dtype = series.dtype
    if (
        types.is_datetime64_any_dtype(dtype)
        or types.is_timedelta64_dtype(dtype)
        or types.is_complex_dtype(dtype)
    ):
        raise DataError(f"target {shown(str(series.name))} must hold numbers, text or booleans, not {dtype}")
    if dtype == np.bool_:
        return series.to_numpy(np.bool_)
    is_plain_number = types.is_numeric_dtype(dtype) and not types.is_bool_dtype(dtype)
    if is_plain_number and not isinstance(dtype, pd.CategoricalDtype):
        numbers = series.to_numpy(np.float64, na_value=np.nan)
        if types.is_integer_dtype(dtype):
            _check_exact(str(series.name), numbers, series.dropna().tolist())
        return numbers
    values = series.astype(object).to_numpy(copy=True)
    values[series.isna().to_numpy(bool)] = None
    present = [v for v in values if v is not None]
    if present and all(isinstance(v, (int, float, np.number)) and not isinstance(v, bool) for v in present):
        numbers = np.array([np.nan if v is None else _float(v) for v in values], np.float64)
        _check_exact(str(series.name), numbers, present)
        return numbers
    if {type(v) for v in present} - {bool, np.bool_}:
        return np.array([None if v is None or v == "" else str(v) for v in values], object)
    return np.array([None if v is None else bool(v) for v in values], object)


def _float(value: Any) -> float:
    """Return a number as a float; one beyond all floats is infinite."""
    try:
        return float(value)
    except OverflowError:
        return float("inf") if value > 0 else float("-inf")


def _check_exact(name: str, numbers: np.ndarray, present: Sequence[Any]) -> None:
    """Refuse whole numbers that become one float although they differ."""
    if not (np.abs(numbers) > _LARGEST_EXACT).any():  # NaN is not
        return
    if len(set(present)) > len(set(numbers[~np.isnan(numbers)].tolist())):
        largest = max(present, key=abs)
        raise DataError(
            f"whole numbers of target {shown(name)} must differ as 64-bit floats too, and some up to "
            f"{shown(largest)} do not: subtract a constant, or write them as text for classes"
        )


def _is_missing(values: np.ndarray) -> np.ndarray:
    """Mark missing targets; an infinite one is missing."""
    if values.dtype == object:
        return np.array([v is None for v in values], bool)
    return np.asarray(~np.isfinite(values))


def _distinct(values: np.ndarray) -> list[Any]:
    """Return the distinct values, sorted, as plain Python values; whole floats as whole numbers."""
    found = sorted(set(values.tolist()))
    return [int(v) if isinstance(v, float) and v.is_integer() else v for v in found]


def _build(kind: Kind, names: tuple[str, ...], values: Sequence[np.ndarray]) -> tuple[Task, np.ndarray]:
    """Return the task and its targets ``(n_rows, n_outputs)`` float64."""
    if kind in ("binary", "multiclass"):
        return _build_classes(kind, names, values)
    for name, column in zip(names, values, strict=True):
        if column.dtype == object and any(not isinstance(v, bool) for v in column.tolist()):
            raise DataError(
                f"a {kind} target must be numeric; {shown(name)} holds text such as {shown(column[0])}"
            )
        if kind == "multilabel" and not np.isin(column.astype(np.float64), (0.0, 1.0)).all():
            raise DataError(f"a multilabel target must be 0 or 1 everywhere; {shown(name)} is not")
    y = np.column_stack([v.astype(np.float64) for v in values])
    if kind == "regression" and (constant := np.flatnonzero(y.max(axis=0) == y.min(axis=0))).size:
        raise DataError(
            f"target {shown(names[constant[0]])} has one value only, {y[0, constant[0]]:g}: nothing to learn"
        )
    if kind == "regression":
        _check_range(names, y)
    return Task(kind, names), y


def _check_range(names: tuple[str, ...], y: np.ndarray) -> None:
    """Refuse targets whose predictions float32 could not hold, or could not tell apart."""
    for name, low, high in zip(names, y.min(axis=0), y.max(axis=0), strict=True):
        if max(-low, high) > LARGEST_TARGET or high - low < 1.0 / LARGEST_TARGET:
            raise DataError(
                f"a regression target must lie within {LARGEST_TARGET:g} of 0 and spread by more than "
                f"{1.0 / LARGEST_TARGET:g}; {shown(name)} goes from {low:g} to {high:g}: choose another unit"
            )


def _build_classes(
    kind: Kind, names: tuple[str, ...], values: Sequence[np.ndarray]
) -> tuple[Task, np.ndarray]:
    """Return a task with classes and its targets: one 0/1 column, or one-hot."""
    if len(values) != 1:
        raise DataError(
            f"a {kind} task has one target, not {len(values)}; several 0/1 targets are multilabel"
        )
    classes = _distinct(values[0])
    if len(classes) == 1:
        raise DataError(f"target {shown(names[0])} has one class only, {shown(classes[0])}: nothing to learn")
    if (kind == "binary") != (len(classes) == 2):
        remedy = "multiclass" if kind == "binary" else "binary"
        raise DataError(
            f"a {kind} target cannot have {len(classes)} classes ({shown(names[0])}): use task {remedy!r}"
        )
    place = {c: i for i, c in enumerate(classes)}
    codes = np.array([place[v] for v in values[0].tolist()], np.int64)
    y = codes[:, None].astype(np.float64) if kind == "binary" else np.eye(len(classes))[codes]
    return Task(kind, names, tuple(classes)), y


def coded(targets: pd.DataFrame, task: Task) -> tuple[np.ndarray, np.ndarray]:
    """Code further rows of the targets of a known task.

    Returns
    -------
    y, rows
        ``(n_kept, n_outputs)`` float64, and the positions of the rows that have every target.

    Raises
    ------
    DataError
        If a target column is absent or a class is unknown.
    """
    absent = [name for name in task.target_names if name not in targets.columns]
    if absent:
        raise DataError(f"a labelled table needs the target column {shown(absent[0])}, and there is none")
    values = [_values(targets[name]) for name in task.target_names]
    rows = np.flatnonzero(np.all([~_is_missing(v) for v in values], axis=0))
    if not rows.size:
        raise DataError(f"no row has a value of the target {', '.join(map(shown, task.target_names))}")
    if not task.classes:
        return _numeric([v[rows] for v in values], task), rows
    place = {c: i for i, c in enumerate(task.classes)}
    labels = [_plain_label(v, task.classes) for v in values[0][rows].tolist()]
    unknown = sorted({str(v) for v in labels if v not in place})
    if unknown:
        known = ", ".join(map(shown, task.classes[:_N_SHOWN])) + (
            ", ..." if len(task.classes) > _N_SHOWN else ""
        )
        raise DataError(f"the classes are {known}, not {shown(unknown[0])}")
    codes = np.array([place[v] for v in labels], np.int64)
    y = codes[:, None].astype(np.float64) if task.kind == "binary" else np.eye(len(task.classes))[codes]
    return y, rows


def _plain_label(value: Any, classes: Sequence[Any]) -> Any:
    """Return a label as the classes write it: whole floats as whole numbers, as text where they are text."""
    plain = int(value) if isinstance(value, float) and value.is_integer() else value
    return str(plain) if all(isinstance(c, str) for c in classes) else plain


def _numeric(values: Sequence[np.ndarray], task: Task) -> np.ndarray:
    """Return targets that are numbers ``(n_rows, n_targets)``; labels are 0 or 1."""
    columns = []
    for name, column in zip(task.target_names, values, strict=True):
        try:
            columns.append(column.astype(np.float64))
        except ValueError:
            raise DataError(f"a {task.kind} target must hold numbers; {shown(name)} holds text") from None
        if task.kind == "multilabel" and not np.isin(columns[-1], (0.0, 1.0)).all():
            raise DataError(f"a multilabel target must be 0 or 1 everywhere; {shown(name)} is not")
    return np.column_stack(columns)
