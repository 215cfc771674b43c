"""Trees as arrays: walked as scikit-learn walks them, and safe to walk whatever their origin."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from spaces.packed import PackedError
from spaces.trees import (
    MOST_LEVELS,
    Nodes,
    Trees,
    _rounded_down,
    breadth_first,
    checked,
    leaves,
    members_of,
    scores_by_round,
    stacked,
    sums,
)


def _stump(threshold: float, left: float, right: float, *, is_missing_left: bool = False) -> Nodes:
    return Nodes(
        feature=np.array([0, -1, -1]),
        threshold=np.array([threshold, 0.0, 0.0]),
        left=np.array([1, -1, -1]),
        right=np.array([2, -1, -1]),
        is_missing_left=np.array([is_missing_left, False, False]),
        value=np.array([[0.0], [left], [right]]),
    )


TREES = stacked(
    [_stump(0.5, 1.0, 2.0), _stump(0.0, 10.0, 20.0, is_missing_left=True), _stump(9.0, 100.0, 200.0)]
)
X = np.array([[-1.0], [0.25], [0.5], [7.0], [np.nan]], np.float32)


def test_stumps_by_hand() -> None:
    assert leaves(TREES, X).tolist() == [[0, 2, 4], [0, 3, 4], [0, 3, 4], [1, 3, 4], [1, 2, 5]]
    found = sums(TREES, X, (1, 3))
    assert found[0, :, 0].tolist() == [1, 1, 1, 2, 2]
    assert found[1, :, 0].tolist() == [111, 121, 121, 122, 212]


def test_categories_by_hand() -> None:
    stump = _stump(0.0, 1.0, 2.0)
    nodes = Nodes(**{**stump.__dict__, "category_set": np.array([0, -1, -1])})
    is_left, is_known = np.array([[False, True, False]]), np.array([[True, True, False]])
    trees = stacked([nodes], is_left, is_known)
    x = np.array([[0.0], [1.0], [2.0], [3.0], [np.nan]], np.float32)
    assert leaves(trees, x)[:, 0].tolist() == [1, 0, 1, 1, 1]
    nodes.is_missing_left[0] = True
    assert leaves(stacked([nodes], is_left, is_known), x)[:, 0].tolist() == [1, 0, 0, 0, 0]


def test_blocks_of_rows_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(50, 1)).astype(np.float32)
    whole = sums(TREES, x, (2, 3))
    monkeypatch.setattr("spaces.trees.PAIRS_AT_ONCE", 7)
    assert np.array_equal(sums(TREES, x, (2, 3)), whole)
    assert np.array_equal(
        np.concatenate([sums(TREES, x[:13], (2, 3)), sums(TREES, x[13:], (2, 3))], axis=1), whole
    )


@given(
    hnp.arrays(np.float64, 20, elements=st.floats(-1e30, 1e30)),
    hnp.arrays(np.float32, 20, elements=st.floats(-(2.0**90), 2.0**90, width=32)),
)
def test_narrow_thresholds_decide_as_wide_ones(thresholds: np.ndarray, values: np.ndarray) -> None:
    near = np.concatenate([values, thresholds.astype(np.float32)])
    wide = np.concatenate([thresholds, thresholds])
    assert np.array_equal(near <= _rounded_down(wide), near.astype(np.float64) <= wide)


def test_infinite_thresholds_stay() -> None:
    assert _rounded_down(np.array([np.inf, -np.inf]))[0] == np.inf


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("left", [0, 0, 1]),  # a child that is no later node: endless
        ("left", [-1, 0, 1]),
        ("right", [3, 0, 0]),
        ("left", [1, 2, 1]),  # a leaf without a value
        ("left", [1, -3, 1]),
        ("feature", [5, -1, -1]),
        ("roots", [1]),
        ("roots", [0, 0]),
        ("roots", [0, 9]),
        ("roots", []),
        ("threshold", [0.0]),
        ("category_set", [4, -1, -1]),
        ("category_set", [0]),
    ],
)
def test_arrays_that_lead_astray_are_refused(name: str, value: list[float]) -> None:
    arrays = stacked([_stump(0.5, 1.0, 2.0)]).arrays()
    assert isinstance(checked(arrays, 1), Trees)
    with pytest.raises(PackedError):
        checked({**arrays, name: np.asarray(value, arrays[name].dtype)}, 1)


@pytest.mark.parametrize("name", list(TREES.arrays()))
def test_arrays_of_another_kind_are_refused(name: str) -> None:
    arrays = TREES.arrays()
    with pytest.raises(PackedError, match=name):
        checked({key: array for key, array in arrays.items() if key != name}, 1)
    with pytest.raises(PackedError, match=name):
        checked({**arrays, name: arrays[name].astype("U8")}, 1)
    with pytest.raises(PackedError, match=name):
        checked({**arrays, name: arrays[name][None]}, 1)


def test_scores_are_one_tree_per_score_and_round() -> None:
    found = scores_by_round(
        stacked([_stump(0.5, k, -k) for k in (1.0, 10.0, 2.0, 20.0)]), np.ones(2), X, (0, 1, 9)
    )
    assert found[:, 0].tolist() == [[1, 1], [2, 11], [4, 31]] and found[2, 3].tolist() == [-2, -29]


def test_sums_keep_the_precision_of_the_values() -> None:
    trees = stacked([_stump(0.5, 1.0, 2.0)] + [_stump(0.5, 1e-8, 1e-8)] * 9, dtype=np.float32)
    assert sums(trees, X, (10,))[0, 0, 0] == 1.0
    assert sums(trees, X, (1,), start=2.0**24)[0, 0, 0] == 2.0**24
    assert isinstance(checked(trees.arrays(), 1), Trees)


def test_sets_of_levels() -> None:
    found = members_of([np.array([0, 2]), np.array([], np.int64), np.array([3])])
    assert found.astype(int).tolist() == [[1, 0, 1, 0], [0, 0, 0, 0], [0, 0, 0, 1]]
    assert members_of([]).shape == (0, 0)


def test_nodes_are_sorted_parents_first() -> None:
    left, right = np.array([4, -1, -1, -1, 1]), np.array([3, -1, -1, -1, 2])
    assert breadth_first(left, right).tolist() == [0, 4, 3, 1, 2]


def _chain(n_levels: int) -> Trees:
    """A tree whose right child is always a leaf."""
    inner = np.arange(n_levels - 1)
    nodes = np.zeros(2 * n_levels - 1)
    left, right, feature = nodes.astype(int), nodes.astype(int), np.full(nodes.size, -1)
    left[2 * inner], right[2 * inner], feature[2 * inner] = 2 * inner + 2, 2 * inner + 1, 0
    return stacked([Nodes(feature, nodes, left, right, nodes > 0, nodes[:, None])])


def test_trees_of_too_many_levels_are_refused() -> None:
    assert isinstance(checked(_chain(MOST_LEVELS).arrays(), 1), Trees)
    with pytest.raises(PackedError, match="at most 4096 levels"):
        checked(_chain(MOST_LEVELS + 1).arrays(), 1)


def test_nodes_with_two_parents_are_refused() -> None:
    arrays = _chain(4).arrays()
    with pytest.raises(PackedError, match="one parent each"):
        checked({**arrays, "right": np.where(arrays["right"] == 1, 3, arrays["right"])}, 1)


@pytest.mark.parametrize(("name", "value"), [("threshold", np.nan), ("value", np.nan), ("value", np.inf)])
def test_numbers_that_are_none_are_refused(name: str, value: float) -> None:
    arrays = TREES.arrays()
    with pytest.raises(PackedError, match="must be numbers"):
        checked({**arrays, name: np.full_like(arrays[name], value)}, 1)
