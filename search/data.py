"""A table ready for a study: inputs by schema, targets, groups, time, duplicates."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from search.roles import check_column, check_roles, counting, group_codes, row_weights
from search.sources import demo, read_table
from search.targets import DataError, read_targets
from search.time_keys import time_key
from spaces.blocks import frame_of
from spaces.schema import Schema, Table
from spaces.task import Kind, Task

if TYPE_CHECKING:
    import pandas as pd

__all__ = [
    "DataError",
    "Dataset",
    "demo",
    "from_arrays",
    "from_frame",
    "group_codes",
    "read_table",
    "row_weights",
]


@dataclass(frozen=True)
class Dataset:
    """Rows to learn from.

    Parameters
    ----------
    name
        For people.
    schema, table
        Format and values of the inputs.
    y
        Targets ``(n_rows, n_outputs)`` float64: 0/1, one-hot, or raw units.
    task
        What is predicted.
    row_ids
        ``(n_rows,)`` int64: position of each row in the source.
    groups
        ``(n_rows,)`` int64 codes of rows that must stay together, or ``None``.
    time
        ``(n_rows,)`` float64 or int64 sort key, or ``None``.
    duplicates
        ``(n_rows,)`` int64: rows with equal features share a number.
    n_dropped
        Rows of the source without a target.
    fingerprint
        SHA-256 of schema, values, targets, groups and time.
    notes
        Sentences about what was inferred.
    row_weights
        ``(n_rows,)`` float64, how much each row counts in training and in scores: above 0, mean 1; or
        ``None``, all the same.
    """

    name: str
    schema: Schema
    table: Table
    y: np.ndarray
    task: Task
    row_ids: np.ndarray
    groups: np.ndarray | None
    time: np.ndarray | None
    duplicates: np.ndarray
    n_dropped: int
    fingerprint: str
    notes: tuple[str, ...] = ()
    row_weights: np.ndarray | None = None

    @property
    def n_rows(self) -> int:
        """Rows with a target."""
        return int(self.y.shape[0])

    @property
    def n_outputs(self) -> int:
        """Columns of the targets."""
        return int(self.y.shape[1])

    def without_blocks(self) -> Dataset:
        """Return the rows without the schema's blocks; duplicates stay as they are."""
        if not self.schema.blocks:
            return self
        numbers = self.table.numbers[:, self.schema.n_placed :]
        return replace(self, schema=Schema(self.schema.plain), table=Table(numbers, self.table.codes))

    def take(self, rows: np.ndarray) -> Dataset:
        """Return the given rows under the same schema and task, with a fingerprint of their own."""
        groups = None if self.groups is None else self.groups[rows]
        time = None if self.time is None else self.time[rows]
        weights = None if self.row_weights is None else self.row_weights[rows]
        table, y = self.table.take(rows), self.y[rows]
        return replace(
            self,
            table=table,
            y=y,
            row_ids=self.row_ids[rows],
            groups=groups,
            time=time,
            duplicates=self.duplicates[rows],
            fingerprint=_fingerprint(self.schema, table, y, self.task, groups, time, weights),
            row_weights=weights,
        )


def from_frame(
    frame: pd.DataFrame,
    target: str | Sequence[str],
    *,
    name: str = "table",
    task: Kind | None = None,
    groups: str | None = None,
    time: str | None = None,
    weights: str | None = None,
    drop: Sequence[str] = (),
    inputs: Mapping[str, str] | None = None,
) -> Dataset:
    """Read a frame.

    Parameters
    ----------
    frame
        One row per case; it is not changed.
    target
        Column or columns to predict. Rows without one are left out and counted.
    name
        For people.
    task
        The kind of task; inferred when ``None`` (see `search.targets.infer_kind`).
    groups, time
        Columns that tell which rows belong together, and when a row was seen; neither is an input.
    weights
        Column that tells how much a row counts, in any unit; no input either. A row of weight 0 is left out.
    drop
        Columns that are no inputs.
    inputs
        What groups of columns are, such as an image; see `spaces.blocks.find_blocks`.

    Raises
    ------
    DataError
        If a column is absent or has two roles, no input or row is left, no input has a value, or the target
        does not fit the task.
    """
    frame = frame.set_axis([str(c) for c in frame.columns], axis=1)
    targets = [target] if isinstance(target, str) else list(target)
    roles = [("groups", groups), ("time", time), ("weights", weights)]
    told = [(role, column) for role, column in roles if column]
    apart = [*targets, *(column for _, column in told), *drop]
    for column in apart:
        check_column(column, frame)
    check_roles([*(("target", column) for column in targets), *told], drop)
    return _assemble(
        frame.loc[:, [c for c in frame.columns if c not in set(apart)]],
        frame[targets],
        name=name,
        kind=task,
        groups=frame[groups] if groups else None,
        time=frame[time] if time else None,
        weights=frame[weights] if weights else None,
        inputs=inputs,
    )


def from_arrays(
    X: Any,
    y: Any,
    *,
    name: str = "arrays",
    task: Kind | None = None,
    groups: Any = None,
    time: Any = None,
    weights: Any = None,
    feature_names: Sequence[str] | None = None,
    inputs: Mapping[str, str] | None = None,
) -> Dataset:
    """Read arrays, or frames and series, matched by position.

    Parameters
    ----------
    X
        Inputs ``(n_rows, n_columns)``; arrays of more dimensions, or several by name, are read as images and
        sequences (see `inputs_frame`).
    y
        Targets ``(n_rows,)`` or ``(n_rows, n_targets)``.
    name, task
        As in `from_frame`.
    groups, time, weights
        ``(n_rows,)`` each, or ``None``.
    feature_names
        Names of the input columns; by default those of a frame, else ``x0``, ``x1``, ...
    inputs
        As in `from_frame`.

    Raises
    ------
    DataError
        If the lengths differ, or as in `from_frame`.
    """
    import pandas as pd

    features = inputs_frame(X)
    if features is None:
        features = X.copy(deep=False) if isinstance(X, pd.DataFrame) else pd.DataFrame(np.asarray(X))
    elif feature_names is not None:
        raise DataError("feature_names are for a matrix of columns, not for arrays that have names")
    else:
        X = features
    if feature_names is not None or not isinstance(X, pd.DataFrame):
        names = (
            list(feature_names) if feature_names is not None else [f"x{i}" for i in range(features.shape[1])]
        )
        if len(names) != features.shape[1]:
            raise DataError(f"feature_names must name {features.shape[1]} columns, not {len(names)}")
        features = features.set_axis(names, axis=1)
    targets = y if isinstance(y, (pd.DataFrame, pd.Series)) else pd.DataFrame(np.asarray(y))
    if isinstance(targets, pd.Series):
        targets = targets.to_frame(targets.name if targets.name is not None else "target")
    elif not isinstance(y, pd.DataFrame):
        n = targets.shape[1]
        targets = targets.set_axis(["target"] if n == 1 else [f"target_{i}" for i in range(n)], axis=1)
    sides = {"y": targets, "groups": _series(groups), "time": _series(time), "weights": _series(weights)}
    for what, side in sides.items():
        if side is not None and len(side) != len(features):
            raise DataError(
                f"X and {what} must have the same number of rows, not {len(features)} and {len(side)}"
            )
    return _assemble(
        features,
        targets,
        name=name,
        kind=task,
        groups=sides["groups"],
        time=sides["time"],
        weights=sides["weights"],
        inputs=inputs,
    )


def inputs_frame(X: Any) -> pd.DataFrame | None:
    """Arrays of images, sequences and the like as columns; None for what is a table already.

    Parameters
    ----------
    X
        A mapping of names to arrays ``(n_rows, ...)``, or one array of more than two dimensions, named ``x``.
    """
    if isinstance(X, Mapping):
        return frame_of(X)
    if hasattr(X, "columns") or np.ndim(X) < 3:
        return None
    return frame_of({"x": X})


def _series(values: Any) -> Any:
    """Return values as a series, or ``None``."""
    import pandas as pd

    return None if values is None else pd.Series(values)


def _assemble(
    features: pd.DataFrame,
    targets: pd.DataFrame,
    *,
    name: str,
    kind: Kind | None,
    groups: pd.Series | None,
    time: pd.Series | None,
    weights: pd.Series | None,
    inputs: Mapping[str, str] | None,
) -> Dataset:
    """Build the dataset from its parts, which are matched by position."""
    if not features.shape[1]:
        raise DataError("the table has no input column beside target, groups and time")
    counted_rows = np.arange(len(features)) if weights is None else counting(weights)
    found = read_targets(targets.iloc[counted_rows].reset_index(drop=True), kind)
    rows = counted_rows[found.rows]
    kept = features.iloc[rows]
    schema = Schema.infer(kept, inputs=inputs)
    table = schema.read(kept)
    if np.isnan(table.numbers).all() and not table.codes.any():
        raise DataError(
            f"no input column holds a value: all {len(schema.columns)} of them are missing or infinite"
        )
    notes = list(found.notes)
    if found.n_dropped:
        notes.append(f"{found.n_dropped} rows without a target were left out")
    if len(counted_rows) < len(features):
        notes.append(f"{len(features) - len(counted_rows)} rows of weight 0 were left out")
    codes = None if groups is None else group_codes(groups.iloc[rows], notes)
    key = None if time is None else time_key(time.iloc[rows])
    counted = None if weights is None else row_weights(weights.iloc[rows])
    return Dataset(
        name=name,
        schema=schema,
        table=table,
        y=found.y,
        task=found.task,
        row_ids=rows.astype(np.int64),
        groups=codes,
        time=key,
        duplicates=_duplicates(table),
        n_dropped=found.n_dropped,
        fingerprint=_fingerprint(schema, table, found.y, found.task, codes, key, counted),
        notes=tuple(notes),
        row_weights=counted,
    )


def _duplicates(table: Table) -> np.ndarray:
    """Number the rows ``(n_rows,)`` so that equal inputs share a number; missing equals missing."""
    numbers = np.where(
        np.isnan(table.numbers), np.float32(np.nan), table.numbers + np.float32(0.0)
    )  # -0 becomes 0
    content = np.ascontiguousarray(np.hstack([numbers.view(np.int32), table.codes]))
    rows = content.view(np.dtype((np.void, content.shape[1] * 4)))[:, 0]
    return np.unique(rows, return_inverse=True)[1].astype(np.int64)


def _fingerprint(
    schema: Schema,
    table: Table,
    y: np.ndarray,
    task: Task,
    groups: np.ndarray | None,
    time: np.ndarray | None,
    row_weights: np.ndarray | None = None,
) -> str:
    """Hash everything that a study depends on."""
    header: dict[str, Any] = {"schema": schema.to_json(), "task": task.to_json(), "shape": list(y.shape)}
    header |= {"has_groups": groups is not None, "has_time": time is not None}
    if row_weights is not None:
        header["has_weights"] = True
    digest = hashlib.sha256(json.dumps(header, sort_keys=True).encode("utf-8"))
    for array in (table.numbers, table.codes, y, groups, time, row_weights):
        if array is not None:
            digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()
