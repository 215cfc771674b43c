"""Permutation importance on held-out rows: a column that is used matters, one that is not does not."""

import numpy as np
import pytest

from search.permutation import (
    FEWEST_ROWS,
    MOST_COLUMNS,
    MOST_ROWS,
    N_PERMUTATIONS,
    Part,
    parts_of,
    shuffle_columns,
)
from spaces.schema import Column, Schema, Table

Array = np.ndarray


def table(n_rows: int = 60, n_numbers: int = 3, seed: int = 0) -> Table:
    rng = np.random.default_rng(seed)
    codes = rng.integers(1, 4, (n_rows, 1)).astype(np.int32)
    return Table(rng.normal(size=(n_rows, n_numbers)).astype(np.float32), codes)


def folds(n_rows: int, n_folds: int = 3) -> list[Array]:
    return [np.flatnonzero(np.arange(n_rows) % n_folds == fold) for fold in range(n_folds)]


def first_and_code(fold: int, given: Table) -> Array:
    return (given.numbers[:, :1] + given.codes + 100.0 * fold).astype(np.float64)


PARTS = (Part("a", numbers=(0,)), Part("b", numbers=(1, 2)), Part("c", codes=(0,)))


def test_only_what_is_used_changes_predictions() -> None:
    given = table()
    found = shuffle_columns(first_and_code, given, folds(60), PARTS, n_models=1, rng=np.random.default_rng(1))
    assert found.permuted.shape == (N_PERMUTATIONS, 3, 60, 1) and found.n_left_out == 0
    moved = np.abs(found.permuted - found.plain).max(axis=(0, 2, 3))
    assert moved[0] > 0.5 and moved[1] == 0.0 and moved[2] > 0.5


def test_rows_are_predicted_by_their_own_fold_and_dealt_within_it() -> None:
    given = table()
    found = shuffle_columns(first_and_code, given, folds(60), PARTS, n_models=1, rng=np.random.default_rng(1))
    assert sorted(found.rows.tolist()) == list(range(60))
    assert found.plain == pytest.approx(
        first_and_code(0, given.take(found.rows)) + 100.0 * (found.rows % 3)[:, None], abs=1e-4
    )
    for fold in range(3):
        own = found.rows % 3 == fold
        before, after = found.plain[own, 0], found.permuted[0, 0, own, 0]
        codes = given.codes[found.rows[own], 0]
        assert np.sort(after - codes) == pytest.approx(np.sort(before - codes), abs=1e-4)


def test_a_block_is_shuffled_as_one() -> None:
    def difference(fold: int, given: Table) -> Array:
        return (given.numbers[:, 1:2] - given.numbers[:, 2:3]).astype(np.float64)

    numbers = np.repeat(np.arange(30.0, dtype=np.float32)[:, None], 3, axis=1)
    given = Table(numbers, np.ones((30, 1), np.int32))
    found = shuffle_columns(difference, given, folds(30), PARTS, n_models=1, rng=np.random.default_rng(0))
    assert np.all(found.permuted[:, 1] == 0.0)  # both of the pair moved together


def test_much_work_means_fewer_rows() -> None:
    given = table(5_000)
    rng = np.random.default_rng(0)
    few = shuffle_columns(first_and_code, given, folds(5_000), PARTS, n_models=10_000, rng=rng)
    many = shuffle_columns(first_and_code, given, folds(5_000), PARTS, n_models=1, rng=rng)
    assert FEWEST_ROWS <= len(few.rows) <= FEWEST_ROWS + 3
    assert MOST_ROWS <= len(many.rows) <= MOST_ROWS + 3


def test_columns_beyond_the_most_are_those_that_predictions_follow_least() -> None:
    given = table(200, n_numbers=60)
    parts = tuple(Part(str(i), numbers=(i,)) for i in range(60))

    def last(fold: int, some: Table) -> Array:
        return (some.numbers[:, 59:] ** 2).astype(np.float64)  # no straight line

    found = shuffle_columns(last, given, folds(200), parts, n_models=1, rng=np.random.default_rng(0))
    assert len(found.parts) == MOST_COLUMNS and found.n_left_out == 20
    assert "59" in [part.name for part in found.parts]


def test_missing_numbers_and_empty_folds_are_no_obstacle() -> None:
    given = table(40)
    given.numbers[:10, 0] = np.nan

    def count(fold: int, some: Table) -> Array:
        return np.isnan(some.numbers).sum(axis=1, keepdims=True).astype(np.float64)

    held = [np.zeros(0, np.int64), *folds(40, 2)]
    found = shuffle_columns(count, given, held, PARTS, n_models=1, rng=np.random.default_rng(0))
    assert len(found.rows) == 40 and found.permuted[0, 0].sum() == 10


def test_the_parts_of_a_schema_are_its_columns() -> None:
    columns = (Column("a", "number", False), Column("k", "category", False, categories=("x",), n_slots=2),
               Column("b", "number", True))  # fmt: skip
    assert parts_of(Schema(columns)) == (
        Part("a", numbers=(0,)),
        Part("b", numbers=(1,)),
        Part("k", codes=(0,)),
    )
