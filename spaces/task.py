"""What is predicted: the kind of task, its targets and its classes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np

Kind = Literal["binary", "multiclass", "multilabel", "regression"]


class TaskError(ValueError):
    """A task was described inconsistently."""


@dataclass(frozen=True)
class Task:
    """What is predicted and in which form.

    Parameters
    ----------
    kind
        ``"binary"``, ``"multiclass"``, ``"multilabel"`` or ``"regression"``.
    target_names
        One name per target column.
    classes
        Class labels in sorted order (text, whole numbers, floats or booleans): two for binary (the second is
        the positive one), at least three for multiclass, none otherwise.

    Raises
    ------
    TaskError
        If the number of targets or classes does not fit the kind.
    """

    kind: Kind
    target_names: tuple[str, ...]
    classes: tuple[Any, ...] = ()

    def __post_init__(self) -> None:
        if self.kind not in get_args(Kind):
            raise TaskError(f"a task is one of {', '.join(get_args(Kind))}, not {self.kind!r}")
        if not self.target_names:
            raise TaskError("a task needs at least one target, not 0")
        if self.kind in ("binary", "multiclass") and len(self.target_names) != 1:
            raise TaskError(f"a {self.kind} task has one target, not {len(self.target_names)}")
        if self.kind == "binary" and len(self.classes) != 2:
            raise TaskError(f"a binary task has 2 classes, not {len(self.classes)}")
        if self.kind == "multiclass" and len(self.classes) < 3:
            raise TaskError(f"a multiclass task has at least 3 classes, not {len(self.classes)}")
        if self.kind in ("multilabel", "regression") and self.classes:
            raise TaskError(f"a {self.kind} task has no classes, not {len(self.classes)}")

    @property
    def n_outputs(self) -> int:
        """Columns of the targets and of the predictions."""
        return len(self.classes) if self.kind == "multiclass" else len(self.target_names)

    @property
    def is_classification(self) -> bool:
        """Whether predictions are probabilities."""
        return self.kind != "regression"

    def to_json(self) -> dict[str, Any]:
        """Return a dictionary that JSON can hold."""
        return {"kind": self.kind, "target_names": list(self.target_names), "classes": list(self.classes)}

    @classmethod
    def from_json(cls, record: Mapping[str, Any]) -> Task:
        """Read what `to_json` wrote."""
        return cls(record["kind"], tuple(record["target_names"]), tuple(record.get("classes", ())))

    def labels(self, predictions: np.ndarray) -> np.ndarray:
        """Turn predictions into what a person asked for.

        Parameters
        ----------
        predictions
            Probabilities or raw values ``(n_rows, n_outputs)``.

        Returns
        -------
        np.ndarray
            Class labels ``(n_rows,)`` for binary (positive above 0.5) and multiclass (the first largest), a
            0/1 matrix for multilabel, the raw values for regression; one-dimensional when there is one
            target.
        """
        p = np.asarray(predictions)
        if p.ndim != 2 or p.shape[1] != self.n_outputs:
            raise TaskError(f"predictions must be (n_rows, {self.n_outputs}), not {p.shape}")
        if self.kind == "binary":
            return np.asarray(self._class_array()[np.asarray(p[:, 0] > 0.5, np.intp)])
        if self.kind == "multiclass":
            return np.asarray(self._class_array()[p.argmax(axis=1)])
        values: np.ndarray = (p > 0.5).astype(np.int64) if self.kind == "multilabel" else p
        return values[:, 0] if self.n_outputs == 1 else values

    def _class_array(self) -> np.ndarray:
        """Return the classes as an array that keeps their type (text as objects)."""
        is_plain = len({type(c) for c in self.classes}) == 1 and not isinstance(self.classes[0], str)
        return np.array(self.classes, dtype=None if is_plain else object)
