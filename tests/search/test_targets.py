"""Targets: the inferred kind of task, its array, and what is refused."""

import numpy as np
import pandas as pd
import pytest

from search.targets import DataError, coded, read_targets
from spaces.task import Task


def read(values: object, kind: object = None):
    return read_targets(pd.DataFrame({"y": values}), kind)


@pytest.mark.parametrize(
    ("values", "kind", "classes"),
    [
        (["b", "a", "b"], "binary", ("a", "b")),
        (["b", "a", "c", "a"], "multiclass", ("a", "b", "c")),
        ([True, False, True], "binary", (False, True)),
        (pd.Series([True, None, False], dtype=object), "binary", (False, True)),
        (pd.array([True, None, False], dtype="boolean"), "binary", (False, True)),
        ([0, 1, 1], "binary", (0, 1)),
        ([1.0, 2.0, np.nan], "binary", (1, 2)),
        ([7, 3, 3], "binary", (3, 7)),
        (pd.Categorical(["lo", "hi", "lo"], categories=["lo", "hi", "unused"]), "binary", ("hi", "lo")),
        (list(range(3)) * 10, "multiclass", (0, 1, 2)),
        ([1, 2, 3, 5, 6, 7] * 10, "multiclass", (1, 2, 3, 5, 6, 7)),
        ([1.5, 2.5, 1.5], "regression", ()),
        (list(range(3)) * 5, "regression", ()),
        ([3, 4, 5, 6, 7, 8] * 20, "regression", ()),
        ([0, 10, 100] * 20, "regression", ()),
        (list(range(25)) * 20, "regression", ()),
        (np.arange(30) / 7, "regression", ()),
        (pd.array([1, None, 5, 9], dtype="Int64"), "regression", ()),
    ],
)
def test_inferred_kind(values: object, kind: str, classes: tuple) -> None:
    found = read(values)
    assert (found.task.kind, found.task.classes) == (kind, classes)
    assert [type(c) for c in found.task.classes] == [type(c) for c in classes]
    assert found.notes[0].startswith(f"task inferred: {kind} (")


def test_arrays() -> None:
    assert read(["b", "a", None, "b"]).y.tolist() == [[1.0], [0.0], [1.0]]
    assert read(["b", "a", "c"]).y.tolist() == [[0, 1, 0], [1, 0, 0], [0, 0, 1]]
    found = read([1.5, np.nan, np.inf, -2.5])
    assert (found.y.tolist(), found.rows.tolist(), found.n_dropped) == ([[1.5], [-2.5]], [0, 3], 2)
    assert found.y.dtype == np.float64


def test_several_targets() -> None:
    labels = read_targets(pd.DataFrame({"a": [0, 1, 1], "b": [True, False, False]}), None)
    assert (labels.task.kind, labels.y.tolist()) == ("multilabel", [[0, 1], [1, 0], [1, 0]])
    numbers = read_targets(pd.DataFrame({"a": [0, 1, 2], "b": [0.5, None, 3]}), None)
    assert (numbers.task.kind, numbers.y.tolist(), numbers.n_dropped) == ("regression", [[0, 0.5], [2, 3]], 1)
    with pytest.raises(DataError, match="'b' holds text: predict it alone"):
        read_targets(pd.DataFrame({"a": [0, 1], "b": ["x", "y"]}), None)


def test_a_kind_can_be_chosen() -> None:
    assert read([0, 1, 2] * 10, "regression").task.kind == "regression"
    assert read([0, 10, 100], "multiclass").task.classes == (0, 10, 100)
    assert read([True, False], "regression").y.tolist() == [[1.0], [0.0]]
    assert read([0, 1], "multilabel").task.kind == "multilabel"
    assert read([0, 1, 2] * 10, "regression").notes == ()


@pytest.mark.parametrize(
    ("values", "kind", "message"),
    [
        (["a", "a"], None, "one class only, 'a'"),
        ([3.0, 3.0], None, "one class only, 3"),
        ([3.5, 3.5], None, "one value only, 3.5"),
        ([None, np.nan], None, "no row has a value of the target 'y'"),
        ([0, 1, 2], "binary", "cannot have 3 classes .*: use task 'multiclass'"),
        ([0, 1], "multiclass", "cannot have 2 classes .*: use task 'binary'"),
        (["a", "b"], "regression", "must be numeric; 'y' holds text such as 'a'"),
        ([0, 2], "multilabel", "must be 0 or 1 everywhere; 'y' is not"),
        ([0, 1], "ranking", "task must be one of .*, not 'ranking'"),
        (pd.to_datetime(["2020", "2021"]), None, "must hold numbers, text or booleans, not datetime64"),
    ],
)
def test_errors(values: object, kind: object, message: str) -> None:
    with pytest.raises(DataError, match=message):
        read(values, kind)


def test_classes_that_look_like_numbers_are_matched_as_text() -> None:
    """Without its one text label, a column of classes is read from a file as numbers."""
    task = Task("multiclass", ("y",), ("1", "2", "x"))
    y, rows = coded(pd.DataFrame({"y": [2, 1, 2]}), task)
    assert np.argmax(y, axis=1).tolist() == [1, 0, 1] and rows.tolist() == [0, 1, 2]


def test_text_in_a_target_of_numbers_is_one_line() -> None:
    for task in (Task("regression", ("y",)), Task("multilabel", ("y", "w"))):
        frame = pd.DataFrame({"y": ["1", "many"], "w": [0, 1]})
        with pytest.raises(DataError, match="'y'"):
            coded(frame, task)
    with pytest.raises(DataError, match="0 or 1"):
        coded(pd.DataFrame({"y": [0, 2], "w": [0, 1]}), Task("multilabel", ("y", "w")))


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ([2**60 + i for i in range(5)], "must differ as 64-bit floats"),
        ([10**400 + i for i in range(5)], "must differ as 64-bit floats"),
        ([1e300, 0.5, 2.0], "must lie within 1e\\+37"),
        ([1e-300, 2e-300, 3e-301], "spread by more than 1e-37"),
    ],
)
def test_numbers_that_floats_do_not_hold(values: list, message: str) -> None:
    with pytest.raises(DataError, match=message):
        read_targets(pd.DataFrame({"y": values}), None)
