"""What a model receives and returns: all that a family may know about the data."""

from __future__ import annotations

from dataclasses import dataclass

from spaces.schema import Schema
from spaces.task import Task


@dataclass(frozen=True)
class Signature:
    """Inputs and outputs of a model.

    Attributes
    ----------
    schema : Schema
        Format of the feature columns.
    task : Task
        What is predicted.
    n_rows : int
        Rows that a study may learn from; families size batches and widths by it.
    """

    schema: Schema
    task: Task
    n_rows: int = 1000

    @property
    def n_outputs(self) -> int:
        """Columns of the predictions."""
        return self.task.n_outputs
