"""Oblivious trees as arrays: walked by hand, and safe whatever their origin."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from spaces.oblivious import UNSEEN, Oblivious, checked_oblivious, hashed
from spaces.packed import PackedError


def _made() -> Oblivious:
    """Column 0 is a number, column 1 a category of 3 slots with a statistic of its own; two trees."""
    hashes = np.array([11, 22, 33], np.uint64)
    keys = np.sort(hashed([hashes[:2]], 2))
    by_slot = {int(key): value for key, value in zip(hashed([hashes[:2]], 2), (0.25, 0.75), strict=True)}
    return Oblivious(
        n_columns=np.array([2], np.int32),
        column=np.array([0, 1, 2], np.int32),
        border=np.array([0.5, 2, 0.5], np.float32),
        is_equal=np.array([False, True, False]),
        is_missing_yes=np.array([True, False, False]),
        questions=np.array([0, 1, 2], np.int32),
        question_starts=np.array([0, 2, 3], np.int32),
        value=np.array([[0.0], [1.0], [2.0], [3.0], [10.0], [20.0]]),
        baseline=np.array([100.0]),
        slot_hashes=hashes,
        slot_starts=np.array([0, 0, 3], np.int32),
        elements=np.array([-2], np.int32),
        element_starts=np.array([0, 1], np.int32),
        keys=keys,
        key_starts=np.array([0, 2], np.int32),
        table=np.array([0], np.int32),
        statistic=np.array([by_slot[int(key)] for key in keys], np.float32),
        unknown=np.array([0.6], np.float32),
    )


X = np.array([[0.5, 0], [0.75, 0], [0.0, 2], [np.nan, 2], [0.0, 1], [0.0, 9]], np.float32)


def test_by_hand() -> None:
    first = [0, 1, 2, 3, 0, 0]  # above 0.5 (or missing), and twice as much for slot 2
    second = [10, 10, 20, 20, 20, 20]  # slot 0 has 0.25, slot 1 has 0.75, slots 2 and 9 are not known: 0.6
    found = _made().scores(X, (0, 1, 2, 5))
    assert found[0, :, 0].tolist() == [100.0] * 6
    assert (found[1, :, 0] - 100).tolist() == first
    assert (found[2, :, 0] - 100).tolist() == [a + b for a, b in zip(first, second, strict=True)]
    assert np.array_equal(found[3], found[2])


def test_a_combination_holds_answers_to_questions() -> None:
    made = _made()
    answers = np.array([0, 1], np.uint64)
    keys = hashed([np.array([11, 11], np.uint64), answers], 2)
    order = np.argsort(keys)
    both = replace(
        made,
        elements=np.array([-2, 0], np.int32),
        element_starts=np.array([0, 2], np.int32),
        keys=keys[order],
        statistic=np.array([0.25, 0.75], np.float32)[order],
    )
    x = np.array([[0.0, 0], [1.0, 0]], np.float32)
    assert (both.scores(x, (2,)) - made.scores(x, (1,)))[0, :, 0].tolist() == [10.0, 20.0]


def test_hashes_are_catboosts() -> None:
    multiplier, mask = 0x4906BA494954CB65, 2**64 - 1
    one = (multiplier * ((0 + multiplier * 7) & mask)) & mask
    two = (multiplier * ((one + multiplier * 9) & mask)) & mask
    assert int(hashed([np.array([7], np.uint64), np.array([9], np.uint64)], 1)[0]) == two
    assert int(UNSEEN) == 0x7FFFFFFF


def test_blocks_of_rows_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = _made().scores(X, (1, 2))
    monkeypatch.setattr("spaces.oblivious.ROWS_AT_ONCE", 2)
    assert np.array_equal(_made().scores(X, (1, 2)), whole)


def test_sound_arrays_are_let_in() -> None:
    assert isinstance(checked_oblivious(_made().arrays(), 2, 1), Oblivious)
    for n_columns, n_scores in ((3, 1), (2, 2)):
        with pytest.raises(PackedError, match="columns and"):
            checked_oblivious(_made().arrays(), n_columns, n_scores)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("column", [0, 1, 3]), ("column", [0, 1, -1]), ("column", [0, 1]),
        ("questions", [0, 1, 3]), ("questions", [0, -1, 2]),
        ("question_starts", [0, 3, 2]), ("question_starts", [1, 2, 3]), ("question_starts", [0, 3]),
        ("question_starts", []), ("question_starts", [0, 2, 9]), ("question_starts", [0, 40, 3]),
        ("slot_starts", [0, 3, 2]), ("slot_starts", [0, 3]),
        ("elements", [-3]), ("elements", [3]), ("elements", [2]),
        ("element_starts", [0, 2]), ("key_starts", [0, 1]), ("key_starts", [0, 0, 2]),
        ("table", [1]), ("table", [-1]), ("table", [0, 0]), ("statistic", [0.0]), ("unknown", [0.0, 0.0]),
        ("border", [np.nan, 0, 0]), ("unknown", [np.inf]), ("baseline", [np.nan]),
    ],
)  # fmt: skip
def test_arrays_that_lead_astray_are_refused(name: str, value: list[float]) -> None:
    arrays = _made().arrays()
    with pytest.raises(PackedError):
        checked_oblivious({**arrays, name: np.asarray(value, arrays[name].dtype)}, 2, 1)


@pytest.mark.parametrize("name", list(_made().arrays()))
def test_arrays_of_another_kind_are_refused(name: str) -> None:
    arrays = _made().arrays()
    for changed in (None, arrays[name][None], arrays[name].astype("U8")):
        rest = {key: array for key, array in arrays.items() if key != name}
        with pytest.raises(PackedError, match=name):
            checked_oblivious(rest if changed is None else {**rest, name: changed}, 2, 1)


def test_trees_of_too_many_levels_are_refused() -> None:
    made = _made()
    deep = replace(
        made,
        questions=np.zeros(20, np.int32),
        question_starts=np.array([0, 20], np.int32),
        value=np.zeros((1 << 20, 1)),
    )
    with pytest.raises(PackedError, match="must point to"):
        checked_oblivious(deep.arrays(), 2, 1)
