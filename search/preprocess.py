"""What one member learns about columns and targets, from its training rows alone."""

from __future__ import annotations

from collections.abc import Iterator
from math import ceil

import numpy as np

from spaces.encoding import N_BINS, Statistics
from spaces.schema import Column, Schema, Table
from spaces.task import Task

MOST_POOLED = 1_000_000  # values of a channel that are looked at


def learn(table: Table, schema: Schema, rows: np.ndarray) -> Statistics:
    """Learn fills, centres, scales and category slots.

    Parameters
    ----------
    table
        The whole table; nothing but `rows` of it is read.
    schema
        Its format.
    rows
        Training rows of the member, as indices.

    Returns
    -------
    Statistics
        Medians of the present values; mean and standard deviation after filling (scale 1 for a constant
        column); input slots by falling frequency; the interquartile range of the present values (half of
        the whole range where that is 0, then 1) and the edges of bins that hold equally many of them. The
        columns of a block share theirs, channel by channel, and are filled with their mean; tokens stay as
        they are.
    """
    numbers, codes = table.numbers[rows], table.codes[rows]
    n_numbers = numbers.shape[1]
    fill, center, scale = np.zeros(n_numbers), np.zeros(n_numbers), np.ones(n_numbers)
    robust_scale, edges = np.ones(n_numbers), np.zeros((n_numbers, N_BINS + 1))
    for columns, is_pooled in _columns_at_once(schema):
        values = _some(numbers[:, columns].ravel()) if is_pooled else numbers[:, columns]
        fill[columns], center[columns], scale[columns] = _learn_number(values)
        robust_scale[columns], edges[columns] = _learn_spread(values)
        if is_pooled:
            fill[columns] = center[columns]
    slots = [_learn_slots(codes[:, i], column) for i, column in enumerate(schema.categories)]
    return Statistics(
        fill.astype(np.float32),
        center.astype(np.float32),
        scale.astype(np.float32),
        np.concatenate(slots) if slots else np.zeros(0, np.int32),
        robust_scale.astype(np.float32),
        edges.astype(np.float32),
    )


def _columns_at_once(schema: Schema) -> Iterator[tuple[slice | int, bool]]:
    """Number columns that are learned together, and whether there are several."""
    first = 0
    for block in schema.blocks:
        last = first + block.size
        if block.kind != "tokens":
            yield from ((slice(first + c, last, block.n_channels), True) for c in range(block.n_channels))
        first = last
    yield from ((i, False) for i in range(first, len(schema.numbers)))


def _some(values: np.ndarray) -> np.ndarray:
    """At most a million of the values, evenly spread over them."""
    return values[:: 1 + values.size // MOST_POOLED]


def learn_targets(y: np.ndarray, task: Task, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Learn how targets are standardised.

    Parameters
    ----------
    y
        Targets ``(n_rows, n_outputs)``; nothing but `rows` of it is read.
    task
        Kind of task.
    rows
        Training rows of the member, as indices.

    Returns
    -------
    center, scale
        ``(n_outputs,)`` float64 each: mean and standard deviation for regression (1 for a constant target),
        zeros and ones for classification.
    """
    if task.is_classification:
        return np.zeros(y.shape[1]), np.ones(y.shape[1])
    seen = np.asarray(y[rows], np.float64)
    is_constant = seen.max(axis=0) == seen.min(axis=0)
    center = np.where(is_constant, seen[0], seen.mean(axis=0))
    return center, np.where(is_constant, 1.0, seen.std(axis=0))


def learn_limits(
    y: np.ndarray, center: np.ndarray, scale: np.ndarray, rows: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Learn the range of the targets, in the units that a member sees them in.

    Parameters
    ----------
    y
        Targets ``(n_rows, n_outputs)``; nothing but `rows` of it is read.
    center, scale
        ``(n_outputs,)`` of `learn_targets`.
    rows
        Training rows of the member, as indices.

    Returns
    -------
    low, high
        ``(n_outputs,)`` float32 each.
    """
    seen = (np.asarray(y[rows], np.float64) - center) / scale
    return seen.min(axis=0).astype(np.float32), seen.max(axis=0).astype(np.float32)


def rare_threshold(n_train: int) -> int:
    """Return how many training rows a category needs to get an input of its own: 0.5 %, between 2 and 10."""
    return min(10, max(2, ceil(0.005 * n_train)))


def _learn_number(values: np.ndarray) -> tuple[float, float, float]:
    """Return fill, centre and scale of one column ``(n_train,)``."""
    is_missing = np.isnan(values)
    present = values[~is_missing]
    if not present.size:
        return 0.0, 0.0, 1.0
    fill = np.float32(np.median(present.astype(np.float64)))
    filled = np.where(is_missing, fill, values).astype(np.float64)
    if filled.max() == filled.min():
        return float(fill), float(filled[0]), 1.0
    scale = float(filled.std())
    return float(fill), float(filled.mean()), scale if scale > np.finfo(np.float32).tiny else 1.0


def _learn_spread(values: np.ndarray) -> tuple[float, np.ndarray]:
    """Return robust scale and bin edges ``(N_BINS + 1,)`` of one column ``(n_train,)``."""
    present = values[~np.isnan(values)].astype(np.float64)
    if not present.size:
        return 1.0, np.zeros(N_BINS + 1)
    edges = np.quantile(present, np.linspace(0, 1, N_BINS + 1)).astype(np.float32)
    low, first, third, high = np.quantile(present, (0, 0.25, 0.75, 1))
    scale = third - first or (high - low) / 2  # half the range, as RealMLP does
    distinct = np.unique(edges)
    edges = np.pad(distinct, (0, edges.size - distinct.size), mode="edge")
    return float(scale) if scale > np.finfo(np.float32).tiny else 1.0, edges


def _learn_slots(codes: np.ndarray, column: Column) -> np.ndarray:
    """Return the slot of each code ``(len(categories) + 2,)``; 0 is "other", where unknown texts go."""
    counts = np.bincount(codes, minlength=len(column.categories) + 2)[:-1]
    frequent = np.flatnonzero(counts >= rare_threshold(codes.size))
    chosen = frequent[np.argsort(-counts[frequent], kind="stable")][: column.n_slots - 1]
    slot_of_code = np.zeros(counts.size + 1, np.int32)
    slot_of_code[chosen] = np.arange(1, chosen.size + 1)
    return slot_of_code
