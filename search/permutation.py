"""Out-of-fold permutation importance: what the held-out predictions become when a column is shuffled.

Breiman 2001, "Random forests", section 10, on rows that a model did not learn from: each model predicts the
rows that its fold held out, once as they are, and once with one column's values dealt anew among these rows.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spaces.schema import Schema, Table

Array = NDArray[Any]
Predict = Callable[[int, Table], Array]
"""`predict(fold, table)`: what the models that did not learn from the fold predict, (n_rows, n_outputs)."""

N_PERMUTATIONS = 3
MOST_COLUMNS = 40
MOST_ROWS, FEWEST_ROWS = 1_000, 100
MOST_PREDICTIONS = 250_000  # rows times models: a few seconds
ROWS_AT_ONCE = 8_192
N_BINS = 10


@dataclass(frozen=True)
class Part:
    """A column, or columns that belong together, shuffled as one: places among the numbers and the codes."""

    name: str
    numbers: tuple[int, ...] = ()
    codes: tuple[int, ...] = ()


@dataclass(frozen=True)
class Shuffled:
    """Held-out predictions with and without shuffled columns.

    Attributes
    ----------
    rows : (n_rows,) int
        Rows of the table that were predicted, fold by fold.
    plain : (n_rows, n_outputs)
    permuted : (n_permutations, n_parts, n_rows, n_outputs)
    parts : tuple of Part
    n_left_out : int
        Parts that the predictions follow least, left out to save time.
    """

    rows: NDArray[np.int64]
    plain: Array
    permuted: Array
    parts: tuple[Part, ...]
    n_left_out: int


def parts_of(schema: Schema) -> tuple[Part, ...]:
    """The columns of a schema; those of a block are one part."""
    blocks = getattr(schema, "blocks", ())
    block_of = {name: block.name for block in blocks for name in block.columns}
    grouped: dict[str, list[int]] = {}
    for i, column in enumerate(schema.numbers):
        grouped.setdefault(block_of.get(column.name, column.name), []).append(i)
    numbers = [Part(name, numbers=tuple(places)) for name, places in grouped.items()]
    return (*numbers, *(Part(c.name, codes=(i,)) for i, c in enumerate(schema.categories)))


def shuffle_columns(
    predict: Predict,
    table: Table,
    held: Sequence[Array],
    parts: Sequence[Part],
    *,
    n_models: int,
    rng: np.random.Generator,
) -> Shuffled:
    """Predict held-out rows with each column shuffled among the rows of its fold.

    Parameters
    ----------
    predict
        Predicts as the models that held a fold out.
    held : sequence of (n_held,) int
        Rows that each fold holds out; folds without rows are passed over.
    parts
        From `parts_of`. At most 40 are shuffled: those that the predictions follow most.
    n_models : int
        Models that one prediction of a row asks: more of them, fewer rows.
    """
    n_parts = min(len(parts), MOST_COLUMNS)
    rows = _drawn(held, _n_rows(n_parts, n_models), rng)
    plain = [predict(fold, table.take(own)) if own.size else None for fold, own in enumerate(rows)]
    known = np.concatenate([one for one in plain if one is not None])
    flat = np.concatenate(rows)
    kept = _followed(parts, table.take(flat), known)
    permuted = [_fold(predict, fold, table.take(own), kept, rng) for fold, own in enumerate(rows) if own.size]
    return Shuffled(flat, known, np.concatenate(permuted, axis=2), kept, len(parts) - len(kept))


def _n_rows(n_parts: int, n_models: int) -> int:
    affordable = MOST_PREDICTIONS // max(1, n_parts * N_PERMUTATIONS * n_models)
    return int(np.clip(affordable, FEWEST_ROWS, MOST_ROWS))


def _drawn(held: Sequence[Array], n_rows: int, rng: np.random.Generator) -> list[NDArray[np.int64]]:
    """Rows of each fold, at most `n_rows` in all, drawn in proportion."""
    share = min(1.0, n_rows / max(1, sum(len(own) for own in held)))
    return [
        np.sort(rng.choice(own, int(np.ceil(share * len(own))), replace=False)).astype(np.int64)
        for own in held
    ]


def _fold(
    predict: Predict, fold: int, table: Table, parts: Sequence[Part], rng: np.random.Generator
) -> Array:
    """Predictions `(n_permutations, n_parts, n_rows, n_outputs)` of one fold's rows."""
    n_rows = table.n_rows
    orders = [rng.permutation(n_rows) for _ in range(N_PERMUTATIONS)]
    jobs = [(order, part) for order in orders for part in parts]
    n_at_once = max(1, ROWS_AT_ONCE // n_rows)
    found = []
    for start in range(0, len(jobs), n_at_once):
        batch = jobs[start : start + n_at_once]
        stacked = [_with(table, part, order) for order, part in batch]
        numbers = np.concatenate([one.numbers for one in stacked])
        codes = np.concatenate([one.codes for one in stacked])
        predicted = predict(fold, Table(numbers, codes))
        found.append(predicted.reshape(len(batch), n_rows, -1))
    return np.concatenate(found).reshape(N_PERMUTATIONS, len(parts), n_rows, -1)


def _with(table: Table, part: Part, order: Array) -> Table:
    """The rows with one part dealt anew."""
    numbers, codes = table.numbers.copy(), table.codes.copy()
    for i in part.numbers:
        numbers[:, i] = numbers[order, i]
    for i in part.codes:
        codes[:, i] = codes[order, i]
    return Table(numbers, codes)


def _followed(parts: Sequence[Part], table: Table, predictions: Array) -> tuple[Part, ...]:
    """The parts that predictions follow most, at most 40, in their own order."""
    if len(parts) <= MOST_COLUMNS:
        return tuple(parts)
    strengths = np.array([_strength(part, table, predictions) for part in parts])
    return tuple(parts[i] for i in np.sort(np.argsort(-strengths, kind="stable")[:MOST_COLUMNS]))


def _strength(part: Part, table: Table, predictions: Array) -> float:
    """Largest share of the predictions' variance that lies between ten bins of a column, or its codes."""
    columns = [_bins(table.numbers[:, i]) for i in part.numbers] + [table.codes[:, i] for i in part.codes]
    return max((_between(bins, predictions) for bins in columns), default=0.0)


def _bins(values: Array) -> NDArray[np.int64]:
    present = values[~np.isnan(values)]
    if not present.size:
        return np.zeros(len(values), np.int64)
    edges = np.unique(np.quantile(present, np.linspace(0, 1, N_BINS + 1)[1:-1]))
    return np.where(np.isnan(values), len(edges) + 1, np.searchsorted(edges, values))


def _between(bins: Array, predictions: Array) -> float:
    codes = np.unique(bins, return_inverse=True)[1]
    counts = np.bincount(codes)
    centred = predictions - predictions.mean(axis=0)
    sums = np.stack([np.bincount(codes, column) for column in centred.T], axis=1)
    total = (centred**2).sum(axis=0)
    between = (sums**2 / counts[:, None]).sum(axis=0)
    return float(np.max(np.divide(between, total, out=np.zeros_like(total), where=total > 0)))
