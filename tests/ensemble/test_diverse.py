import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ensemble.diverse import error_cosine, preselect, select_diverse
from ensemble.losses import loss_of
from ensemble.selection import select
from tests.ensemble.tables import KINDS, loss_name, repeated, table


def test_cosines_by_hand():
    y = np.zeros((2, 1))
    candidates = np.array([[[1.0], [0.0]], [[1.0], [1.0]], [[0.0], [-2.0]], [[0.0], [0.0]]])
    half = np.sqrt(0.5)
    expected = [[1, half, 0, 0], [half, 1, -half, 0], [0, -half, 1, 0], [0, 0, 0, 1]]
    np.testing.assert_allclose(error_cosine(candidates, y), expected, atol=1e-12)


def test_over_classes_what_happened_counts():
    y = np.eye(3)[[0, 1]]
    candidates = np.array([[[0.5, 0.5, 0], [0, 1.0, 0]], [[0.5, 0, 0.5], [0.2, 0.8, 0]]])
    expected = 0.25 / (0.5 * np.sqrt(0.25 + 0.04))
    assert error_cosine(candidates, y)[0, 1] == pytest.approx(expected)


def test_every_family_keeps_its_best_and_near_copies_stay_out():
    losses = np.array([0.3, 0.31, 0.32, 0.9, 0.33, 0.34])
    cosines = np.full((6, 6), 0.5) + 0.5 * np.eye(6)
    cosines[0, 1] = cosines[1, 0] = 0.999
    families, architectures = list("aaabab"), list("ssxtxu")
    chosen = preselect(losses, cosines, families=families, architectures=architectures, n_kept=6)
    np.testing.assert_array_equal(chosen, [0, 2, 3, 4, 5])
    few = preselect(losses, cosines, families=families, architectures=architectures, n_kept=3)
    np.testing.assert_array_equal(few, [0, 2, 5])  # best of a, best of b, best of the architecture x
    np.testing.assert_array_equal(preselect(losses, cosines, families=families, n_kept=1), [0, 5])


def test_without_strength_it_is_greedy_among_the_preselected():
    for kind in KINDS:
        candidates, y = table(kind)
        found = select_diverse(candidates, y, loss=loss_name(kind), strength=0.0, near_copy=1.0)
        np.testing.assert_allclose(found.weights, select(candidates, y, loss=loss_name(kind)).weights)


@pytest.mark.parametrize("kind", KINDS)
def test_each_pick_lowers_the_stated_sum_most(kind):
    candidates, y = table(kind, seed=3)
    loss, cosines = loss_of(loss_name(kind)), error_cosine(candidates, y)
    found = select_diverse(candidates, y, loss=loss_name(kind), strength=0.7, near_copy=1.0, n_rounds=8)
    price = 0.7 * min(loss(y, one, None) for one in candidates)
    picks: list[int] = []
    for pick, value in zip(found.path, found.losses, strict=True):
        sums = []
        for j in range(len(candidates)):
            w = np.bincount([*picks, j], minlength=len(candidates)) / (len(picks) + 1)
            sums.append(loss(y, np.tensordot(w, candidates, axes=1), None) + price * w @ cosines @ w)
        assert pick == int(np.argmin(sums)) and value == pytest.approx(min(sums), rel=1e-9)
        picks.append(pick)


def test_strength_takes_the_unlike_candidate_in():
    rng = np.random.default_rng(0)
    y = rng.normal(size=(400, 1))
    shared = rng.normal(size=y.shape)
    alike = [y + shared + 0.1 * rng.normal(size=y.shape) for _ in range(3)]
    candidates = np.stack([*alike, y + 3.2 * rng.normal(size=y.shape)])
    plain = select_diverse(candidates, y, loss="squared_error", strength=0.0, near_copy=1.0).weights
    paid = select_diverse(candidates, y, loss="squared_error", strength=1.0, near_copy=1.0).weights
    assert paid[3] > plain[3] + 0.05


@given(seed=st.integers(0, 10_000), kind=st.sampled_from(KINDS))
@settings(max_examples=20, deadline=None)
def test_integer_weights_are_repeated_rows(seed, kind):
    candidates, y = table(kind, seed=seed, n_rows=30)
    counts = np.random.default_rng(seed).integers(0, 4, len(y))
    counts[0] = 1
    weighted = select_diverse(candidates, y, loss=loss_name(kind), row_weights=counts, families="ababab")
    copied = select_diverse(*repeated(candidates, y, counts), loss=loss_name(kind), families="ababab")
    np.testing.assert_allclose(weighted.weights, copied.weights)
    assert weighted.weights.min() >= 0 and weighted.weights.sum() == pytest.approx(1)


@pytest.mark.parametrize(
    "arguments",
    [{"strength": -1.0}, {"n_kept": 0}, {"families": "ab"}, {"architectures": "ab"}, {"n_rounds": 0}],
)
def test_refused_at_the_door(arguments):
    candidates, y = table("binary")
    with pytest.raises(ValueError, match="got"):
        select_diverse(candidates, y, loss="log_loss", **arguments)
