"""Heads: how many single estimators a task needs, and how their raw scores become predictions."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal, get_args

import numpy as np

from spaces.packed import PackedError
from spaces.task import Task

SMALLEST_PROBABILITY = 1e-6
HeadKind = Literal["binary", "multiclass", "regression", "constant"]


@dataclass(frozen=True)
class Head:
    """One estimator of a task, and the output columns that it fills.

    Parameters
    ----------
    kind
        What the estimator learns; ``"constant"``: the column holds one value only and needs no estimator.
    columns
        Output columns, rising; more than one for multiclass alone.
    value
        What a constant head predicts, 0 otherwise.
    """

    kind: HeadKind
    columns: tuple[int, ...]
    value: float = 0.0

    @property
    def n_scores(self) -> int:
        """Raw scores per row that its estimator gives."""
        return len(self.columns)

    def target(self, y: np.ndarray) -> np.ndarray:
        """What the estimator learns, ``(n_rows,)`` float64: class numbers, 0/1 or values."""
        part = y[:, list(self.columns)]
        return np.asarray(part.argmax(axis=1) if self.kind == "multiclass" else part[:, 0], np.float64)

    def predictions(self, scores: np.ndarray) -> np.ndarray:
        """Turn raw scores ``(n_rows, n_scores)`` into probabilities (sigmoid, softmax) or values."""
        if self.kind == "binary":
            return bounded(_sigmoid(scores))
        if self.kind == "multiclass":
            return bounded(_softmax(scores), is_simplex=True)
        return np.asarray(scores, np.float64)


def heads(task: Task, y: np.ndarray, row_weights: np.ndarray | None = None) -> tuple[Head, ...]:
    """The heads of a task: one for multiclass, else one per output column.

    Parameters
    ----------
    task
        Its kind and outputs.
    y
        Targets ``(n_rows, n_outputs)`` of the training rows.
    row_weights
        ``(n_rows,)``; rows of weight 0 do not count when a column is looked at for being constant.
    """
    seen = y if row_weights is None else y[np.asarray(row_weights) > 0]
    if task.kind == "multiclass":
        return (Head("multiclass", tuple(range(task.n_outputs))),)
    kind: HeadKind = "binary" if task.is_classification else "regression"
    return tuple(
        Head("constant", (k,), _constant(task, seen[0, k]))
        if seen[:, k].min() == seen[:, k].max()
        else Head(kind, (k,))
        for k in range(task.n_outputs)
    )


def joined(parts: Sequence[tuple[Head, np.ndarray]], n_rows: int) -> np.ndarray:
    """Predictions of all heads side by side.

    Parameters
    ----------
    parts
        Each head with its raw scores ``(n_rows, n_scores)``, which a constant head does not need.
    n_rows
        Rows that were predicted.

    Returns
    -------
    np.ndarray
        ``(n_rows, n_outputs)`` float64.
    """
    found = np.empty((n_rows, sum(head.n_scores for head, _ in parts)))
    for head, scores in parts:
        found[:, list(head.columns)] = head.value if head.kind == "constant" else head.predictions(scores)
    return found


def bounded(probabilities: np.ndarray, *, is_simplex: bool = False) -> np.ndarray:
    """Keep probabilities away from 0 and 1; the rows of a simplex still sum to 1."""
    p = np.clip(np.asarray(probabilities, np.float64), SMALLEST_PROBABILITY, 1 - SMALLEST_PROBABILITY)
    return np.asarray(p / p.sum(axis=1, keepdims=True) if is_simplex else p)


def heads_to_json(found: Iterable[Head]) -> list[dict[str, Any]]:
    """Heads as plain JSON data."""
    return [{**asdict(head), "columns": list(head.columns)} for head in found]


def heads_from_json(data: Mapping[str, Any]) -> tuple[Head, ...]:
    """Read the ``"heads"`` of a header.

    Raises
    ------
    PackedError
        If they are not heads that fill each output column once.
    """
    try:
        found = tuple(
            Head(item["kind"], tuple(int(k) for k in item["columns"]), float(item["value"]))
            for item in data["heads"]
        )
    except (KeyError, TypeError, ValueError):
        raise PackedError("a packed model must tell its heads: kind, columns and value") from None
    columns = [k for head in found for k in head.columns]
    if (
        not found
        or sorted(columns) != list(range(len(columns)))
        or any(
            head.kind not in get_args(HeadKind) or (head.n_scores != 1 and head.kind != "multiclass")
            for head in found
        )
    ):
        raise PackedError(f"heads of a packed model must fill each output once, got columns {columns}")
    return found


def _constant(task: Task, value: float) -> float:
    low, high = (
        (SMALLEST_PROBABILITY, 1 - SMALLEST_PROBABILITY) if task.is_classification else (-np.inf, np.inf)
    )
    return float(np.clip(value, low, high))


def _sigmoid(scores: np.ndarray) -> np.ndarray:
    half = np.tanh(0.5 * np.asarray(scores, np.float64))
    return np.asarray(0.5 * (1.0 + half))


def _softmax(scores: np.ndarray) -> np.ndarray:
    shifted = np.asarray(scores, np.float64)
    powers = np.exp(shifted - shifted.max(axis=1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=1, keepdims=True))
