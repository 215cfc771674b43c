"""Heads: which estimators a task needs, and how their scores become predictions."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import expit, softmax

from spaces.heads import Head, bounded, heads, heads_from_json, heads_to_json, joined
from spaces.packed import PackedError
from spaces.task import Task

MULTICLASS = Task("multiclass", ("t",), ("a", "b", "c"))
MULTILABEL = Task("multilabel", ("t", "u", "v"))


def test_one_head_per_output_but_one_for_all_classes() -> None:
    y = np.array([[1.0, 0.0, 0.0], [0.0, 0.0, 1.0], [0.0, 0.0, 1.0]])
    assert heads(MULTICLASS, y) == (Head("multiclass", (0, 1, 2)),)
    found = heads(MULTILABEL, y)
    assert found == (Head("binary", (0,)), Head("constant", (1,), 1e-6), Head("binary", (2,)))
    assert heads(MULTILABEL, y, np.array([0.0, 1.0, 2.0]))[2] == Head("constant", (2,), 1 - 1e-6)
    regression = heads(Task("regression", ("t", "u")), np.array([[1.0, 5.0], [2.0, 5.0]]))
    assert regression == (Head("regression", (0,)), Head("constant", (1,), 5.0))


def test_targets() -> None:
    y = np.array([[1.0, 0.0, 0.0], [0.0, 0.0, 1.0]])
    assert Head("multiclass", (0, 1, 2)).target(y).tolist() == [0, 2]
    assert Head("binary", (2,)).target(y).tolist() == [0, 1]


def test_scores_become_probabilities_as_in_scipy() -> None:
    scores = np.array([[-3.0, 0.5, 2.0], [0.0, 800.0, -800.0], [1e4, 0.0, 0.0]])
    found = Head("multiclass", (0, 1, 2)).predictions(scores)
    assert np.allclose(found, softmax(scores, axis=1), atol=3e-6) and np.allclose(found.sum(axis=1), 1)
    binary = Head("binary", (0,)).predictions(scores[:, :1])
    assert np.allclose(binary, expit(scores[:, :1]), rtol=0, atol=1.1e-6) and binary.max() < 1
    assert np.array_equal(Head("regression", (0,)).predictions(scores[:, :1]), scores[:, :1])


def test_bounded_keeps_away_from_certainty() -> None:
    found = bounded(np.array([[0.0, 1.0, 0.0]]), is_simplex=True)
    assert (found > 9e-7).all() and np.isclose(found.sum(), 1, atol=1e-15)


def test_joined_puts_each_head_into_its_columns() -> None:
    parts = [
        (Head("regression", (1,)), np.array([[1.0], [2.0]])),
        (Head("constant", (0,), 7.0), np.zeros((2, 1))),
    ]
    assert joined(parts, 2).tolist() == [[7.0, 1.0], [7.0, 2.0]]


def test_json_round_trip() -> None:
    found = (Head("binary", (0,)), Head("constant", (1,), 0.25))
    assert heads_from_json({"heads": heads_to_json(found)}) == found


@pytest.mark.parametrize(
    "data",
    [
        {},
        {"heads": []},
        {"heads": 3},
        {"heads": [{"kind": "binary"}]},
        {"heads": [{"kind": "other", "columns": [0], "value": 0}]},
        {"heads": [{"kind": "binary", "columns": [1], "value": 0}]},
        {"heads": [{"kind": "binary", "columns": [0, 1], "value": 0}]},
        {"heads": [{"kind": "binary", "columns": [0], "value": 0}] * 2},
    ],
)
def test_other_json_is_refused(data: dict[str, object]) -> None:
    with pytest.raises(PackedError):
        heads_from_json(data)
