import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ensemble.bagging import select_bagged
from ensemble.selection import select
from tests.ensemble.tables import KINDS, loss_name, repeated, table


@pytest.mark.parametrize("kind", KINDS)
def test_one_bag_of_all_is_the_greedy_selection(kind):
    candidates, y = table(kind)
    found = select_bagged(candidates, y, loss=loss_name(kind), n_bags=1, bag_fraction=1.0, n_rounds=9)
    expected = select(candidates, y, loss=loss_name(kind), n_rounds=9).weights
    np.testing.assert_allclose(found, expected)


@given(seed=st.integers(0, 10_000), kind=st.sampled_from(KINDS))
@settings(max_examples=20, deadline=None)
def test_integer_weights_are_repeated_rows(seed, kind):
    candidates, y = table(kind, seed=seed, n_rows=30)
    counts = np.random.default_rng(seed).integers(0, 4, len(y))
    counts[0] = 1
    weighted = select_bagged(candidates, y, loss=loss_name(kind), row_weights=counts, seed=seed)
    copied = select_bagged(*repeated(candidates, y, counts), loss=loss_name(kind), seed=seed)
    np.testing.assert_allclose(weighted, copied)
    assert weighted.min() >= 0 and weighted.sum() == pytest.approx(1)


def test_the_seed_decides_the_bags():
    candidates, y = table("binary", n_candidates=12)
    found = [select_bagged(candidates, y, loss="log_loss", n_bags=2, seed=seed) for seed in (0, 0, 1)]
    np.testing.assert_array_equal(found[0], found[1])
    assert not np.array_equal(found[0], found[2])


def test_a_candidate_without_a_loss_is_in_no_bag():
    candidates, y = table("regression", n_candidates=3)

    def loss(y, predictions, row_weights):
        return np.nan if predictions[0, 0] == candidates[1, 0, 0] else float(np.mean((predictions - y) ** 2))

    assert select_bagged(candidates, y, loss=loss, n_rounds=1)[1] == 0.0
    with pytest.raises(ValueError, match="got none among 3"):
        select_bagged(candidates, y, loss=lambda *_: np.nan)


@pytest.mark.parametrize(
    "arguments", [{"n_bags": 0}, {"bag_fraction": 0.0}, {"bag_fraction": 1.1}, {"n_rounds": 0}]
)
def test_refused_at_the_door(arguments):
    candidates, y = table("binary")
    with pytest.raises(ValueError, match="got"):
        select_bagged(candidates, y, loss="log_loss", **arguments)
