import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import rankdata

from ensemble.crossfit import crossfit
from ensemble.losses import loss_of
from ensemble.methods import METHODS, Pool, available, choose_method
from tests.ensemble.tables import KINDS, loss_name, repeated, table


def pool(kind, row_weights=None, **arguments):
    candidates, y = table(kind, **arguments)
    return Pool(candidates, y, loss_name(kind), row_weights)


def one_minus_auc(y, predictions, row_weights):
    ranks = rankdata(predictions[:, 0])[y[:, 0] > 0.5]
    n = len(ranks)
    return 1 - (ranks.sum() - n * (n + 1) / 2) / (n * (len(y) - n))


@given(seed=st.integers(0, 10_000), kind=st.sampled_from(KINDS), name=st.sampled_from(list(METHODS)))
@settings(max_examples=60, deadline=None)
def test_every_method_counts_a_weight_as_copies(seed, kind, name):
    candidates, y = table(kind, seed=seed, n_rows=40, n_candidates=12)
    counts = np.random.default_rng(seed).integers(0, 4, len(y))
    counts[0] = 1
    weighted = METHODS[name](Pool(candidates, y, loss_name(kind), counts))
    copied = METHODS[name](Pool(*repeated(candidates, y, counts), loss_name(kind)))
    np.testing.assert_allclose(weighted, copied, atol=1e-4)
    assert weighted.min() >= 0 and weighted.sum() == pytest.approx(1)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", METHODS)
def test_one_candidate_is_the_ensemble(kind, name):
    np.testing.assert_allclose(METHODS[name](pool(kind, n_candidates=1)), [1.0])


def test_uniform_and_best_by_hand():
    y = np.zeros((4, 1))
    candidates = np.arange(12, 0, -1.0)[:, None, None] * np.ones((12, 4, 1))
    one = Pool(candidates, y, "squared_error")
    np.testing.assert_allclose(METHODS["uniform"](one), np.r_[0, 0, np.full(10, 0.1)])
    np.testing.assert_array_equal(METHODS["best"](one), np.eye(12)[11])


@pytest.mark.parametrize("kind", KINDS)
def test_convex_is_never_worse_in_sample(kind):
    for seed in range(3):
        one = pool(kind, seed=seed)
        loss = loss_of(loss_name(kind))
        found = {n: loss(one.y, np.tensordot(METHODS[n](one), one.candidates, axes=1), None) for n in METHODS}
        assert found["convex"] <= min(found.values()) + 1e-8


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("is_in_time", [False, True])
def test_losses_are_those_of_a_crossfit(kind, is_in_time):
    """The shortcuts (likelihoods, moments) change no loss."""
    rng = np.random.default_rng(5)
    one = pool(kind, rng.uniform(0.5, 2, 80))
    groups, time = np.arange(80) // 2, np.arange(80) if is_in_time else None
    choice = choose_method(one, groups=groups, time=time, n_parts=3, seed=4, methods=list(METHODS))
    for name in METHODS:
        replayed = crossfit(
            one.candidates,
            one.y,
            decide=lambda c, y, w, name=name: METHODS[name](Pool(c, y, one.loss, w)),
            rng=np.random.default_rng(4),
            groups=groups,
            row_weights=one.row_weights,
            n_parts=3,
            n_rounds=1,
            time=time,
        )
        assert choice.losses[name] == pytest.approx(
            replayed.score(one.y, one.loss, one.row_weights), rel=1e-5
        )
    np.testing.assert_allclose(choice.weights, METHODS[choice.method](one), atol=1e-6)
    assert choice.n_alternatives == len(METHODS)


@pytest.mark.parametrize("kind", KINDS)
def test_a_weight_is_copies_of_one_group(kind):
    candidates, y = table(kind)
    counts = np.random.default_rng(0).integers(0, 4, len(y))
    rows = np.arange(len(y))
    weighted = choose_method(Pool(candidates, y, loss_name(kind), counts), groups=rows)
    copied = choose_method(
        Pool(*repeated(candidates, y, counts), loss_name(kind)), groups=np.repeat(rows, counts)
    )
    assert weighted.method == copied.method
    np.testing.assert_allclose(list(weighted.losses.values()), list(copied.losses.values()), rtol=1e-5)
    np.testing.assert_allclose(weighted.weights, copied.weights, atol=1e-5)


def test_any_loss_may_be_given_but_has_no_convex_method():
    candidates, y = table("binary", n_rows=40, n_candidates=2)
    choice = choose_method(Pool(candidates, y, one_minus_auc), n_parts=2)
    assert list(choice.losses) == ["greedy", "diverse"]
    assert set(available(one_minus_auc)) == set(METHODS) - {"convex"}
    with pytest.raises(ValueError, match="convex"):
        choose_method(Pool(candidates, y, one_minus_auc), methods=["convex"])


def test_a_clear_winner_is_taken_and_a_tie_goes_to_the_first():
    rng = np.random.default_rng(0)
    y = rng.normal(size=(300, 1))
    candidates = np.stack([y + 0.01 * rng.normal(size=y.shape), *(y + s for s in (3.0, 4.0, 5.0))])
    one = Pool(candidates, y, "squared_error")
    assert choose_method(one, methods=["uniform", "best"]).method == "best"
    assert choose_method(one, methods=["best", "uniform"]).method == "best"
    same = Pool(np.stack([candidates[0]] * 3), y, "squared_error")
    assert choose_method(same, methods=["uniform", "best"]).method == "uniform"
    assert choose_method(one, methods=["best"]).losses == {}


@pytest.mark.parametrize("arguments", [{"n_parts": 1}, {"methods": []}, {"methods": ["vote"]}])
def test_refused_at_the_door(arguments):
    with pytest.raises(ValueError, match="got"):
        choose_method(pool("binary"), **arguments)
    with pytest.raises(ValueError, match="got 1"):
        Pool(*table("binary"), "log_loss", families=["a"])


@pytest.mark.slow
def test_choosing_does_not_lose_against_always_greedy():
    """On fresh rows of simulated candidates, over tables that favour different methods."""
    gains = []
    for seed in range(60):
        rng = np.random.default_rng(seed)
        kind = KINDS[seed % len(KINDS)]
        n_rows = int(rng.choice([100, 400]))
        candidates, y = table(
            kind, n_candidates=25, n_rows=n_rows + 3000, seed=seed, noise=rng.uniform(0.3, 2)
        )
        one = Pool(candidates[:, :n_rows], y[:n_rows], loss_name(kind))
        loss = loss_of(loss_name(kind))
        fresh = [
            loss(y[n_rows:], np.tensordot(weights, candidates[:, n_rows:], axes=1), None)
            for weights in (choose_method(one, seed=seed).weights, METHODS["greedy"](one))
        ]
        gains.append(fresh[0] / fresh[1] - 1)
    assert np.mean(gains) < 0.0
