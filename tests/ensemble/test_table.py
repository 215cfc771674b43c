import numpy as np
import pytest

from ensemble.table import check_table, is_one_of_many, shares
from tests.ensemble.tables import table


@pytest.mark.parametrize(
    ("candidates", "y", "weights", "words"),
    [
        (np.zeros((2, 3)), np.zeros((3, 1)), None, "n_candidates, n_rows, n_outputs"),
        (np.zeros((2, 3, 1)), np.zeros(3), None, r"\(3, 1\)"),
        (np.zeros((0, 3, 1)), np.zeros((3, 1)), None, "empty"),
        (np.full((1, 3, 1), np.nan), np.zeros((3, 1)), None, "finite, got 3"),
        (np.zeros((1, 3, 1)), np.zeros((3, 1)), np.ones(2), r"\(3,\)"),
        (np.zeros((1, 3, 1)), np.zeros((3, 1)), np.array([1, -1, 1]), "not negative"),
        (np.zeros((1, 3, 1)), np.zeros((3, 1)), np.zeros(3), "all be zero"),
    ],
)
def test_refused_at_the_door(candidates, y, weights, words):
    with pytest.raises(ValueError, match=words):
        check_table(candidates, y, weights)


def test_shares_sum_to_one():
    np.testing.assert_allclose(shares(np.array([1, 3]), 2), [0.25, 0.75])
    np.testing.assert_allclose(shares(None, 4), 0.25)


def test_classes_and_labels_are_told_apart():
    assert is_one_of_many(*table("multiclass"))
    assert not is_one_of_many(*table("multilabel"))
    assert not is_one_of_many(*table("binary"))
    candidates, _ = table("multilabel")
    assert not is_one_of_many(candidates, np.eye(3)[np.zeros(80, dtype=int)])  # one-hot by chance
