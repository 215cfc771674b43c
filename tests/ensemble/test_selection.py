import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from ensemble.losses import loss_of
from ensemble.selection import select
from tests.ensemble.tables import KINDS, loss_name, repeated, table


def slow_greedy(candidates, y, loss, row_weights, n_rounds):
    """The definition, word by word."""
    path, losses = [], []
    for _ in range(n_rounds):
        found = []
        for j in range(len(candidates)):
            picks = [*path, j]
            found.append(loss(y, sum(candidates[k] for k in picks) / len(picks), row_weights))
        path.append(min(range(len(candidates)), key=lambda j: (found[j], j)))
        losses.append(min(found))
    n_kept = losses.index(min(losses)) + 1
    weights = np.array([path[:n_kept].count(j) / n_kept for j in range(len(candidates))])
    return weights, tuple(path), losses


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("is_weighted", [False, True])
@pytest.mark.parametrize("is_named", [False, True])
def test_equals_the_definition(kind, is_weighted, is_named):
    for seed in range(3):
        candidates, y = table(kind, seed=seed)
        row_weights = np.random.default_rng(seed).uniform(0, 2, len(y)) if is_weighted else None
        loss = loss_of(loss_name(kind))
        given_loss = loss_name(kind) if is_named else loss
        chosen = select(candidates, y, loss=given_loss, row_weights=row_weights, n_rounds=12)
        weights, path, losses = slow_greedy(candidates, y, loss, row_weights, 12)
        assert chosen.path == path
        np.testing.assert_allclose(chosen.losses, losses, rtol=1e-10)
        np.testing.assert_allclose(chosen.weights, weights)
        assert chosen.n_alternatives == 12 * len(candidates)


def test_any_loss_may_be_given():
    candidates, y = table("binary", n_rows=120)

    def one_minus_auc(y, predictions, row_weights):
        return 1 - roc_auc_score(y[:, 0], predictions[:, 0], sample_weight=row_weights)

    chosen = select(candidates, y, loss=one_minus_auc, n_rounds=8)
    weights, path, _ = slow_greedy(candidates, y, one_minus_auc, None, 8)
    assert chosen.path == path
    np.testing.assert_allclose(chosen.weights, weights)


def test_a_loss_of_many_candidates_is_asked_once_a_round():
    candidates, y = table("binary", n_rows=120)
    asked = []

    class Brier:
        def __call__(self, y, predictions, row_weights):
            raise AssertionError("one at a time")

        def of_many(self, y, tables, row_weights):
            asked.append(tables.shape)
            return ((tables - y) ** 2).mean(axis=2) @ (row_weights / row_weights.sum())

    row_weights = np.random.default_rng(0).uniform(0, 2, len(y))
    chosen = select(candidates, y, loss=Brier(), row_weights=row_weights, n_rounds=6)
    assert asked == [candidates.shape] * 6
    named = select(candidates, y, loss="squared_error", row_weights=row_weights, n_rounds=6)
    assert chosen.path == named.path
    np.testing.assert_array_equal(chosen.weights, named.weights)


def test_keeps_the_best_prefix():
    # round 2 must add something, and everything spoils the exact first candidate
    y = np.zeros((2, 1))
    candidates = np.array([[[0.1], [0.1]], [[-1.0], [-1.0]], [[2.0], [2.0]]])
    calls = iter([0.5, 0.9, 0.9, 0.4, 0.9, 0.9, 0.6, 0.9, 0.9, 0.4, 0.9, 0.9])
    chosen = select(candidates, y, loss=lambda *_: next(calls), n_rounds=4)
    assert chosen.n_kept == 2  # the shortest of the equal prefixes 2 and 4
    np.testing.assert_allclose(chosen.losses, [0.5, 0.4, 0.6, 0.4])


@pytest.mark.parametrize("kind", KINDS)
def test_starts_from_the_best_single_and_never_keeps_worse(kind):
    candidates, y = table(kind)
    loss = loss_of(loss_name(kind))
    singles = [loss(y, one, None) for one in candidates]
    chosen = select(candidates, y, loss=loss_name(kind))
    assert chosen.path[0] == int(np.argmin(singles))
    mixed = loss(y, np.tensordot(chosen.weights, candidates, axes=1), None)
    assert mixed == pytest.approx(chosen.losses[chosen.n_kept - 1], rel=1e-10)
    assert mixed == pytest.approx(chosen.losses.min(), rel=1e-10)
    assert mixed <= min(singles) + 1e-12


@given(
    seed=st.integers(0, 10_000),
    kind=st.sampled_from(KINDS),
    n_candidates=st.integers(1, 7),
    n_rounds=st.integers(1, 9),
    max_members=st.none() | st.integers(1, 3),
)
@settings(max_examples=40, deadline=None)
def test_weights_stay_in_the_simplex(seed, kind, n_candidates, n_rounds, max_members):
    candidates, y = table(kind, n_candidates=n_candidates, n_rows=20, seed=seed)
    chosen = select(candidates, y, loss=loss_name(kind), n_rounds=n_rounds, max_members=max_members)
    assert chosen.weights.shape == (n_candidates,)
    assert (chosen.weights >= 0).all()
    assert chosen.weights.sum() == pytest.approx(1)
    assert len(set(chosen.path)) <= (max_members or n_candidates)


@given(seed=st.integers(0, 10_000), kind=st.sampled_from(KINDS))
@settings(max_examples=30, deadline=None)
def test_permuting_candidates_permutes_weights(seed, kind):
    candidates, y = table(kind, seed=seed)
    order = np.random.default_rng(seed).permutation(len(candidates))
    straight = select(candidates, y, loss=loss_name(kind))
    permuted = select(candidates[order], y, loss=loss_name(kind))
    np.testing.assert_allclose(permuted.weights, straight.weights[order])


@given(seed=st.integers(0, 10_000), kind=st.sampled_from(KINDS))
@settings(max_examples=30, deadline=None)
def test_integer_weights_are_repeated_rows(seed, kind):
    candidates, y = table(kind, seed=seed, n_rows=30)
    counts = np.random.default_rng(seed).integers(0, 4, len(y))
    counts[0] = 1
    weighted = select(candidates, y, loss=loss_name(kind), row_weights=counts)
    copied = select(*repeated(candidates, y, counts), loss=loss_name(kind))
    np.testing.assert_allclose(weighted.weights, copied.weights)


@pytest.mark.parametrize("kind", KINDS)
def test_one_candidate_is_the_ensemble(kind):
    candidates, y = table(kind, n_candidates=1)
    chosen = select(candidates, y, loss=loss_name(kind))
    np.testing.assert_array_equal(chosen.weights, [1.0])
    assert chosen.n_kept == 1


@pytest.mark.parametrize("kind", KINDS)
def test_ties_go_to_the_lowest_index(kind):
    candidates, y = table(kind)
    doubled = np.concatenate([candidates, candidates[::-1]])
    for loss in (loss_name(kind), loss_of(loss_name(kind))):
        chosen = select(doubled, y, loss=loss)
        assert max(chosen.path) < len(candidates)


def test_losses_that_are_not_numbers_are_passed_over():
    candidates, y = table("regression", n_candidates=3)
    values = iter([np.nan, 0.5, np.inf])
    assert select(candidates, y, loss=lambda *_: next(values), n_rounds=1).path == (1,)
    with pytest.raises(ValueError, match="finite loss, got none among 3"):
        select(candidates, y, loss=lambda *_: np.nan)


def test_inputs_are_not_mutated():
    candidates, y = table("binary")
    before = candidates.copy(), y.copy()
    select(candidates, y, loss="log_loss")
    np.testing.assert_array_equal(candidates, before[0])
    np.testing.assert_array_equal(y, before[1])


@pytest.mark.parametrize("arguments", [{"n_rounds": 0}, {"max_members": 0}, {"loss": "auc"}])
def test_refused_at_the_door(arguments):
    candidates, y = table("binary")
    with pytest.raises(ValueError, match="got"):
        select(candidates, y, **{"loss": "log_loss", **arguments})


@pytest.mark.parametrize("kind", ["binary", "regression"])
def test_is_fast_enough_for_a_study(kind):
    candidates, y = table(kind, n_candidates=50, n_rows=6000)
    started = time.perf_counter()
    select(candidates, y, loss=loss_name(kind), n_rounds=25)
    assert time.perf_counter() - started < 3  # about 0.2 s on an idle core
