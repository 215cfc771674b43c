"""Oblivious trees as plain arrays: every node of a level asks the same question (CatBoost's trees).

Beside the columns of a table, questions look at *target statistics*: a combination of categories and of
answers to other questions is hashed, and a table says what was known of such rows in training (Prokhorenkova
et al. 2018, section 4). Nothing but numpy is needed to predict.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import final

import numpy as np

from spaces.packed import PackedError

MOST_LEVELS = 16
ROWS_AT_ONCE = 4_096
UNSEEN = np.uint64(0x7FFFFFFF)  # hash of a slot that no row of the training had
_MULTIPLIER = np.uint64(0x4906BA494954CB65)


@final
@dataclass(frozen=True)
class Oblivious:
    """Trees whose leaves add up to raw scores, one tree per round.

    Questions and elements of combinations are numbered; several lists stand one after another in one array,
    and ``*_starts`` says where each begins and where the last one ends.

    Attributes
    ----------
    n_columns : ndarray of int32, shape (1,)
        Columns of the matrix; further ones are the statistics.
    column : ndarray of int32, shape (n_questions,)
        What a question looks at.
    border : ndarray of float32, shape (n_questions,)
        The answer is yes where the value is greater; of a category, where it equals this slot.
    is_equal, is_missing_yes : ndarray of bool, shape (n_questions,)
        Whether the question is for equality; what is answered where the value is missing.
    questions, question_starts : ndarray of int32
        The questions of each tree, ``question_starts (n_trees + 1,)``; the first is the leaf's lowest bit.
    value : ndarray of float64, shape (n_leaves, n_scores)
        The leaves of all trees, ``2 ** n_levels`` each.
    baseline : ndarray of float64, shape (n_scores,)
        The scores before the first round.
    slot_hashes, slot_starts : ndarray of uint64 and of int32
        Hash of each slot of each column, ``slot_starts (n_columns + 1,)``; a number has none.
    elements, element_starts : ndarray of int32
        What each table combines, ``element_starts (n_tables + 1,)``: a question, or ``-1 - column``.
    keys, key_starts : ndarray of uint64 and of int32
        The combinations that each table knows, rising, ``key_starts (n_tables + 1,)``.
    table : ndarray of int32, shape (n_statistics,)
        The table of each statistic.
    statistic, unknown : ndarray of float32
        Values of the statistics, one per key of its table; ``unknown (n_statistics,)`` for any other key.
    """

    n_columns: np.ndarray
    column: np.ndarray
    border: np.ndarray
    is_equal: np.ndarray
    is_missing_yes: np.ndarray
    questions: np.ndarray
    question_starts: np.ndarray
    value: np.ndarray
    baseline: np.ndarray
    slot_hashes: np.ndarray
    slot_starts: np.ndarray
    elements: np.ndarray
    element_starts: np.ndarray
    keys: np.ndarray
    key_starts: np.ndarray
    table: np.ndarray
    statistic: np.ndarray
    unknown: np.ndarray

    @property
    def n_trees(self) -> int:
        """How many trees there are."""
        return int(self.question_starts.size - 1)

    def arrays(self) -> dict[str, np.ndarray]:
        """The attributes by name."""
        return {item.name: getattr(self, item.name) for item in fields(self)}

    def scores(self, x: np.ndarray, rounds: Sequence[int]) -> np.ndarray:
        """Raw scores after each of some rising rounds, ``(n_readings, n_rows, n_scores)``.

        Parameters
        ----------
        x
            ``(n_rows, n_columns)`` float32, NaN where missing.
        """
        found = np.empty((len(rounds), len(x), self.baseline.size))
        for first in range(0, len(x), ROWS_AT_ONCE):
            rows = np.ascontiguousarray(x[first : first + ROWS_AT_ONCE], np.float32)
            found[:, first : first + ROWS_AT_ONCE] = self._scores(rows, rounds)
        return found

    def _scores(self, x: np.ndarray, rounds: Sequence[int]) -> np.ndarray:
        yes = _answers(self, x)
        leaf_starts = np.concatenate([[0], np.cumsum(2 ** np.diff(self.question_starts).astype(np.int64))])
        total, done = np.repeat(self.baseline[None], len(x), axis=0), 0
        found = []
        for end in (min(int(n), self.n_trees) for n in rounds):
            for tree in range(done, end):
                leaf = np.full(len(x), leaf_starts[tree])
                first, last = self.question_starts[tree : tree + 2]
                for level, question in enumerate(self.questions[first:last]):
                    leaf += yes[question] << level
                total += self.value[leaf]
            done = max(done, end)
            found.append(total.copy())
        return np.stack(found)


def hashed(parts: Sequence[np.ndarray], n_rows: int) -> np.ndarray:
    """One hash per row of some parts ``(n_rows,)`` uint64, as CatBoost combines them."""
    found: np.ndarray = np.zeros(n_rows, np.uint64)
    with np.errstate(over="ignore"):
        for part in parts:
            found = np.asarray(_MULTIPLIER * (found + _MULTIPLIER * part), np.uint64)
    return found


def checked_oblivious(arrays: Mapping[str, np.ndarray], n_columns: int, n_scores: int) -> Oblivious:
    """Oblivious trees from arrays of unknown origin.

    Raises
    ------
    PackedError
        If an array is absent or of another kind, or an evaluation could leave the arrays.
    """
    names = [item.name for item in fields(Oblivious)]
    for name in names:
        array, kind = arrays.get(name), _KINDS[name]
        if array is None or f"{array.dtype.str[1:]} {array.ndim}" != kind:
            got = None if array is None else f"{array.dtype.str[1:]} {array.ndim}"
            raise PackedError(f"{name} of packed trees must be of kind {kind}, got {got}")
    trees = Oblivious(**{name: arrays[name] for name in names})
    sizes = (trees.n_columns.tolist(), trees.baseline.shape, trees.value.shape[1])
    if sizes != ([n_columns], (n_scores,), n_scores):
        raise PackedError(f"packed trees must have {n_columns} columns and {n_scores} scores")
    if not (_has_sound_tables(trees) and _has_sound_questions(trees)):
        raise PackedError(
            "questions of packed trees must point to columns, statistics and leaves of their own"
        )
    floats = (trees.border, trees.value, trees.baseline, trees.statistic, trees.unknown)
    if not all(np.isfinite(one).all() for one in floats):
        raise PackedError("borders and values of packed trees must be numbers, got NaN or infinite ones")
    return trees


_KINDS = {
    **dict.fromkeys(("n_columns", "column", "questions", "question_starts", "slot_starts"), "i4 1"),
    **dict.fromkeys(("elements", "element_starts", "key_starts", "table"), "i4 1"),
    **dict.fromkeys(("border", "statistic", "unknown"), "f4 1"),
    **dict.fromkeys(("is_equal", "is_missing_yes"), "b1 1"),
    **dict.fromkeys(("slot_hashes", "keys"), "u8 1"),
    "value": "f8 2",
    "baseline": "f8 1",
}


def _has_sound_questions(trees: Oblivious) -> bool:
    n_questions = trees.column.size
    same = all(one.size == n_questions for one in (trees.border, trees.is_equal, trees.is_missing_yes))
    n_known = int(trees.n_columns[0]) + trees.table.size
    levels = np.diff(trees.question_starts)
    return (
        same
        and _are_within(trees.column, n_known)
        and _are_within(trees.questions, n_questions)
        and _are_starts(trees.question_starts, trees.questions.size)
        and bool((levels <= MOST_LEVELS).all())
        and int((2 ** levels.astype(np.int64)).sum()) == len(trees.value)
    )


def _has_sound_tables(trees: Oblivious) -> bool:
    n_columns, n_tables = int(trees.n_columns[0]), trees.element_starts.size - 1
    is_question = trees.elements >= 0
    return (
        _are_starts(trees.element_starts, trees.elements.size)
        and _are_starts(trees.key_starts, trees.keys.size)
        and _are_starts(trees.slot_starts, trees.slot_hashes.size)
        and trees.key_starts.size - 1 == n_tables
        and trees.slot_starts.size - 1 == n_columns
        and _are_within(trees.table, n_tables)
        and trees.unknown.size == trees.table.size
        and int(np.diff(trees.key_starts)[trees.table].sum()) == trees.statistic.size
        and _are_within(-1 - trees.elements[~is_question], n_columns)
        and _are_within(trees.elements[is_question], trees.column.size)
        and bool((trees.column[trees.elements[is_question]] < n_columns).all())  # no statistic of statistics
    )


def _are_within(places: np.ndarray, size: int) -> bool:
    return bool(((places >= 0) & (places < size)).all())


def _are_starts(starts: np.ndarray, size: int) -> bool:
    return bool(starts.size and starts[0] == 0 and starts[-1] == size and (np.diff(starts) >= 0).all())


def _answers(trees: Oblivious, x: np.ndarray) -> np.ndarray:
    """Every question answered for rows, ``(n_questions, n_rows)`` int64 of 0 and 1."""
    n_columns = int(trees.n_columns[0])
    yes = np.zeros((trees.column.size, len(x)), np.int64)
    plain = np.flatnonzero(trees.column < n_columns)
    _answer(trees, plain, x.T, yes)
    if trees.table.size:
        rest = np.flatnonzero(trees.column >= n_columns)
        _answer(trees, rest, _statistics(trees, x, yes), yes, n_columns)
    return yes


def _answer(
    trees: Oblivious, which: np.ndarray, values: np.ndarray, yes: np.ndarray, n_before: int = 0
) -> None:
    for question in which:
        value, border = values[trees.column[question] - n_before], trees.border[question]
        yes[question] = value == border if trees.is_equal[question] else value > border
        if trees.is_missing_yes[question]:
            yes[question] |= np.isnan(value)


def _statistics(trees: Oblivious, x: np.ndarray, yes: np.ndarray) -> np.ndarray:
    """The statistics of rows, ``(n_statistics, n_rows)`` float32."""
    n_tables = trees.element_starts.size - 1
    sizes = np.diff(trees.key_starts)[trees.table]
    starts = np.concatenate([[0], np.cumsum(sizes)])
    found = np.empty((trees.table.size, len(x)), np.float32)
    for table in range(n_tables):
        elements = trees.elements[trees.element_starts[table] : trees.element_starts[table + 1]]
        parts = [
            yes[one].astype(np.uint64) if one >= 0 else _slot_hash(trees, x, -1 - one) for one in elements
        ]
        keys = trees.keys[trees.key_starts[table] : trees.key_starts[table + 1]]
        rows = hashed(parts, len(x))
        place = np.searchsorted(keys, rows)
        is_known = keys[np.minimum(place, keys.size - 1)] == rows if keys.size else np.zeros(len(x), bool)
        for one in np.flatnonzero(trees.table == table):
            found[one] = trees.unknown[one]
            found[one, is_known] = trees.statistic[starts[one] + place[is_known]]
    return found


def _slot_hash(trees: Oblivious, x: np.ndarray, column: int) -> np.ndarray:
    hashes = trees.slot_hashes[trees.slot_starts[column] : trees.slot_starts[column + 1]]
    slot = x[:, column]
    is_known = (slot >= 0) & (slot < hashes.size)
    found = np.full(len(x), UNSEEN, np.uint64)
    found[is_known] = hashes[slot[is_known].astype(np.int64)]
    return found
