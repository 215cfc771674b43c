"""What stays the same for all trials: rows, members and what each learned from its training rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]


@dataclass(frozen=True)
class Plan:
    """Rows and members.

    Attributes
    ----------
    inputs : tuple of ndarray
        The model's inputs for all rows, each ``(n_rows, ...)``.
    y : ndarray of float64, shape (n_rows, n_outputs)
        Targets in their own units.
    train, held : tuple of ndarray of int
        Row indices of each member: what it learns from, what it is scored on.
    repeat_of_member : tuple of int
        Repeat that each member belongs to.
    target_center, target_scale : ndarray of float64, shape (n_members, n_outputs)
        Units in which each member sees its targets.
    stop : tuple of ndarray of int or None
        Rows of each member that are neither learned from nor held out: where its epoch is chosen on an inner
        slice.
    row_weights : ndarray of float64, shape (n_rows,), or None
        How much each row counts, in training and in scores; at least 0, mean 1. None: all the same.
    constants : mapping of str to ndarray
        Weights that are learned from each member's training rows before training, by the end of their path
        (``"encode/fill"``), each ``(n_members, ...)``.
    """

    inputs: tuple[Array, ...]
    y: Array
    train: tuple[Array, ...]
    held: tuple[Array, ...]
    repeat_of_member: tuple[int, ...]
    target_center: Array
    target_scale: Array
    constants: Mapping[str, Array] = field(default_factory=dict)
    stop: tuple[Array, ...] | None = None
    row_weights: Array | None = None

    @property
    def n_members(self) -> int:
        """Models of one trial."""
        return len(self.train)

    @property
    def n_rows(self) -> int:
        """Rows of the table."""
        return len(self.y)

    @property
    def n_repeats(self) -> int:
        """Repeats of the splits."""
        return max(self.repeat_of_member) + 1

    @property
    def is_even(self) -> bool:
        """Whether the members learn from about as many rows each, so that one order length serves all."""
        sizes = [len(rows) for rows in self.train]
        return max(sizes) <= 1.25 * min(sizes)

    def in_units(self, member: int, values: Array) -> Array:
        """A member's outputs in the units of the targets."""
        units: Array = values * self.target_scale[member] + self.target_center[member]
        return units

    def in_standard_units(self, member: int, y: Array) -> Array:
        """Targets as a member sees them."""
        seen: Array = (y - self.target_center[member]) / self.target_scale[member]
        return seen

    def weights_of(self, rows: Array) -> tuple[Array, ...]:
        """How much these rows count, as a further argument of a loss; empty where all count the same."""
        return () if self.row_weights is None else (self.row_weights[rows],)

    def out_of_fold(self, predictions: Sequence[Array]) -> NDArray[np.float32]:
        """Lay predictions of the members' held rows out ``(n_repeats, n_rows, n_outputs)``, NaN elsewhere."""
        table = np.full((self.n_repeats, *self.y.shape), np.nan, np.float32)
        for member, values in enumerate(predictions):
            table[self.repeat_of_member[member], self.held[member]] = self.in_units(member, values)
        return table
