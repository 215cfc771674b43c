import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ensemble.losses import loss_of
from ensemble.weights import _line_search, weigh
from tests.ensemble.tables import KINDS, loss_name, repeated, table

GRIDS = {
    2: [(a / 200, 1 - a / 200) for a in range(201)],
    3: [
        (a / 40, b / 40, (40 - a - b) / 40) for a, b in itertools.product(range(41), repeat=2) if a + b <= 40
    ],
}


def mixed_loss(weights, candidates, y, name, row_weights=None):
    return loss_of(name)(y, np.tensordot(weights, candidates, axes=1), row_weights)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("n_candidates", [2, 3])
@pytest.mark.parametrize("is_weighted", [False, True])
def test_equals_the_best_point_of_a_grid(kind, n_candidates, is_weighted):
    for seed in range(4):
        candidates, y = table(kind, n_candidates=n_candidates, seed=seed)
        rows = np.random.default_rng(seed).uniform(0, 2, len(y)) if is_weighted else None
        name = loss_name(kind)
        grid = [mixed_loss(w, candidates, y, name, rows) for w in GRIDS[n_candidates]]
        found = weigh(candidates, y, loss=name, row_weights=rows)
        loss = mixed_loss(found, candidates, y, name, rows)
        assert loss <= min(grid) + 1e-10
        assert loss >= min(grid) - 5e-3  # a grid this fine comes close
        np.testing.assert_allclose(found, GRIDS[n_candidates][int(np.argmin(grid))], atol=0.06)


@pytest.mark.parametrize("kind", KINDS)
def test_no_small_step_improves(kind):
    candidates, y = table(kind, n_candidates=30, n_rows=60)  # many candidates, few rows
    name = loss_name(kind)
    weights = weigh(candidates, y, loss=name)
    best = mixed_loss(weights, candidates, y, name)
    for corner in np.eye(30):
        assert mixed_loss(0.999 * weights + 0.001 * corner, candidates, y, name) >= best - 1e-9


@given(seed=st.integers(0, 10_000), kind=st.sampled_from(KINDS), n_candidates=st.integers(1, 8))
@settings(max_examples=40, deadline=None)
def test_weights_stay_in_the_simplex(seed, kind, n_candidates):
    candidates, y = table(kind, n_candidates=n_candidates, n_rows=15, seed=seed)
    weights = weigh(candidates, y, loss=loss_name(kind))
    assert weights.shape == (n_candidates,)
    assert (weights >= 0).all()
    assert weights.sum() == pytest.approx(1)


@given(seed=st.integers(0, 10_000), kind=st.sampled_from(KINDS))
@settings(max_examples=30, deadline=None)
def test_permuting_candidates_permutes_weights(seed, kind):
    candidates, y = table(kind, seed=seed)
    order = np.random.default_rng(seed).permutation(len(candidates))
    straight = weigh(candidates, y, loss=loss_name(kind))
    np.testing.assert_allclose(weigh(candidates[order], y, loss=loss_name(kind)), straight[order], atol=1e-4)


@given(seed=st.integers(0, 10_000), kind=st.sampled_from(KINDS))
@settings(max_examples=30, deadline=None)
def test_integer_weights_are_repeated_rows(seed, kind):
    candidates, y = table(kind, seed=seed, n_rows=40)
    counts = np.random.default_rng(seed).integers(0, 4, len(y))
    counts[0] = 1
    weighted = weigh(candidates, y, loss=loss_name(kind), row_weights=counts)
    np.testing.assert_allclose(
        weighted, weigh(*repeated(candidates, y, counts), loss=loss_name(kind)), atol=1e-4
    )


@pytest.mark.parametrize("kind", KINDS)
def test_one_candidate_is_the_ensemble(kind):
    candidates, y = table(kind, n_candidates=1)
    np.testing.assert_array_equal(weigh(candidates, y, loss=loss_name(kind)), [1.0])


@pytest.mark.parametrize("kind", KINDS)
def test_equal_and_perfect_candidates(kind):
    candidates, y = table(kind)
    same = np.repeat(candidates[:1], 3, axis=0)
    assert weigh(same, y, loss=loss_name(kind)).sum() == pytest.approx(1)
    with_perfect = np.concatenate([candidates, y[None]])
    assert weigh(with_perfect, y, loss=loss_name(kind))[-1] == pytest.approx(1, abs=1e-3)
    assert weigh(np.repeat(y[None], 2, axis=0), y, loss=loss_name(kind)).sum() == pytest.approx(1)


def test_scale_of_the_targets_does_not_matter():
    candidates, y = table("regression")
    weights = weigh(candidates, y, loss="squared_error")
    for factor in (1e-9, 1e9):
        np.testing.assert_allclose(
            weigh(candidates * factor, y * factor, loss="squared_error"), weights, atol=1e-8
        )


def test_unknown_loss():
    candidates, y = table("binary")
    with pytest.raises(ValueError, match="got 'auc'"):
        weigh(candidates, y, loss="auc")


def test_without_a_newton_step_the_likelihood_still_rises():
    events = np.random.default_rng(0).uniform(0.1, 0.9, (50, 3))
    shares, weights = np.full(50, 0.02), np.full(3, 1 / 3)
    pull = shares @ (events / (events @ weights)[:, None])
    found = _line_search(events, shares, weights, weights, pull)
    assert found.sum() == pytest.approx(1)
    assert shares @ np.log(events @ found) > shares @ np.log(events @ weights) + 1e-6
