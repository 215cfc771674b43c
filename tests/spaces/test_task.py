"""Tasks: checks, labels, and the way through JSON."""

import json

import numpy as np
import pytest

from spaces.task import Task, TaskError

BINARY = Task("binary", ("y",), ("no", "yes"))
THREE = Task("multiclass", ("y",), (1, 2, 5))
LABELS = Task("multilabel", ("a", "b"))
NUMBERS = Task("regression", ("u", "v"))


@pytest.mark.parametrize("task", [BINARY, THREE, LABELS, NUMBERS, Task("binary", ("è",), (False, True))])
def test_json_keeps_the_task(task: Task) -> None:
    assert Task.from_json(json.loads(json.dumps(task.to_json()))) == task


def test_outputs() -> None:
    assert [t.n_outputs for t in (BINARY, THREE, LABELS, NUMBERS)] == [1, 3, 2, 2]
    assert [t.is_classification for t in (BINARY, THREE, LABELS, NUMBERS)] == [True, True, True, False]


@pytest.mark.parametrize(
    ("kind", "names", "classes", "message"),
    [
        ("ternary", ("y",), (), "not 'ternary'"),
        ("binary", ("y",), ("a",), "2 classes, not 1"),
        ("multiclass", ("y",), ("a", "b"), "at least 3 classes, not 2"),
        ("multiclass", ("y", "z"), ("a", "b", "c"), "one target, not 2"),
        ("regression", (), (), "at least one target"),
        ("regression", ("y",), (1, 2), "no classes, not 2"),
    ],
)
def test_inconsistent_tasks_are_refused(kind: str, names: tuple, classes: tuple, message: str) -> None:
    with pytest.raises(TaskError, match=message):
        Task(kind, names, classes)


def test_labels_of_classes() -> None:
    assert BINARY.labels(np.array([[0.5], [0.51], [0.0]])).tolist() == ["no", "yes", "no"]
    labels = THREE.labels(np.array([[0.2, 0.2, 0.6], [0.4, 0.4, 0.2]]))
    assert labels.tolist() == [5, 1]
    assert labels.dtype.kind == "i"


def test_labels_of_values() -> None:
    assert LABELS.labels(np.array([[0.9, 0.1]])).tolist() == [[1, 0]]
    values = np.array([[0.25, 3.0]])
    assert np.array_equal(NUMBERS.labels(values), values)
    assert Task("regression", ("u",)).labels(np.array([[1.5], [2.5]])).shape == (2,)


def test_labels_refuse_another_shape() -> None:
    with pytest.raises(TaskError, match=r"\(n_rows, 3\), not \(2,\)"):
        THREE.labels(np.zeros(2))
