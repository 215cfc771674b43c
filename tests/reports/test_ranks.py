"""Ranks and their tests agree with Demsar's worked example, with scipy, and with what must hold."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from reports.ranks import (
    RankError,
    SignedRank,
    cliques,
    friedman,
    holm,
    nemenyi_difference,
    ranks,
    signed_ranks,
)

# AUC of C4.5, C4.5+m, C4.5+cf and C4.5+m+cf on 14 data sets: Demsar 2006, table 6 (whose ranks tell
# apart two values of "voting" that are printed alike).
DEMSAR = -np.array(
    [
        (0.763, 0.768, 0.771, 0.798), (0.599, 0.591, 0.590, 0.569), (0.954, 0.971, 0.968, 0.967),
        (0.628, 0.661, 0.654, 0.657), (0.882, 0.888, 0.886, 0.898), (0.936, 0.931, 0.916, 0.931),
        (0.661, 0.668, 0.609, 0.685), (0.583, 0.583, 0.563, 0.625), (0.775, 0.838, 0.866, 0.875),
        (1.000, 1.000, 1.000, 1.000), (0.940, 0.962, 0.965, 0.962), (0.619, 0.666, 0.614, 0.669),
        (0.972, 0.981, 0.9755, 0.975), (0.957, 0.978, 0.946, 0.970),
    ]
)  # fmt: skip


def test_mean_ranks_of_the_paper() -> None:
    np.testing.assert_allclose(ranks(DEMSAR).mean(axis=0), [3.143, 2.000, 2.893, 1.964], atol=5e-4)


def test_friedman_of_the_paper() -> None:
    """Demsar: chi-square 9.28 and F 3.69 without the correction for ties, which scipy makes too."""
    found = friedman(DEMSAR)
    assert found is not None
    plain = stats.friedmanchisquare(*DEMSAR.T)
    assert (found.chi_square, found.p) == pytest.approx((plain.statistic, plain.pvalue))
    assert found.chi_square > 9.28 and found.f > 3.69
    untied = np.random.default_rng(0).normal(size=(9, 4))
    mean, n, k = ranks(untied).mean(axis=0), 9, 4
    chi = 12 * n / (k * (k + 1)) * ((mean**2).sum() - k * (k + 1) ** 2 / 4)
    again = friedman(untied)
    assert again is not None
    assert again.chi_square == pytest.approx(chi)
    assert again.f == pytest.approx((n - 1) * chi / (n * (k - 1) - chi))
    assert again.p_f == pytest.approx(stats.f.sf(again.f, k - 1, (k - 1) * (n - 1)))


def test_nemenyi_of_the_paper() -> None:
    assert nemenyi_difference(4, 14) == pytest.approx(1.25, abs=5e-3)  # 2.569 sqrt(4 * 5 / (6 * 14))


def test_friedman_needs_three_methods_and_two_sets() -> None:
    assert friedman(DEMSAR[:, :2]) is None and friedman(DEMSAR[:1]) is None
    same = friedman(np.tile([1.0, 2.0, 3.0], (5, 1)))
    assert same is not None and same.f == np.inf and same.p_f == 0.0
    equal = friedman(np.ones((5, 3)))
    assert equal is not None and equal.chi_square == 0.0 and equal.p_f == 1.0


def test_signed_ranks_agree_with_scipy() -> None:
    table = np.random.default_rng(1).normal([0.0, 0.2, 1.5], size=(12, 3))
    found = signed_ranks(table)
    assert [(t.first, t.second) for t in found] == [(0, 1), (0, 2), (1, 2)]
    for test in found:
        d = table[:, test.first] - table[:, test.second]
        assert test.p == pytest.approx(stats.wilcoxon(d, method="exact").pvalue)
        assert (test.n_better, test.n_worse, test.n_equal) == ((d < 0).sum(), (d > 0).sum(), 0)
        assert test.median == pytest.approx(np.median(d))
    np.testing.assert_allclose([t.p_holm for t in found], holm([t.p for t in found]))


def test_equal_methods_do_not_differ() -> None:
    (test,) = signed_ranks(np.ones((8, 2)))
    assert (test.p, test.n_equal) == (1.0, 8)


def test_five_sets_can_never_differ_and_six_can() -> None:
    def p(n: int) -> float:
        table = np.column_stack([np.arange(n, dtype=float), np.arange(n) + 1 + np.arange(n) / 10])
        return signed_ranks(table)[0].p

    assert p(5) == pytest.approx(0.0625) and p(6) == pytest.approx(0.03125)


def test_holm_by_hand() -> None:
    np.testing.assert_allclose(holm([0.01, 0.04, 0.03, 0.005]), [0.03, 0.06, 0.06, 0.02])
    found = holm([0.02, np.nan, 0.9])
    assert found[0] == pytest.approx(0.04) and np.isnan(found[1]) and found[2] == pytest.approx(0.9)
    assert holm([]).shape == (0,)


@given(st.lists(st.floats(0.0, 1.0), min_size=1, max_size=12))
def test_holm_is_between_the_p_and_bonferroni_in_the_same_order(p: list[float]) -> None:
    found = holm(p)
    assert (found >= np.array(p) - 1e-12).all() and (
        found <= np.minimum(1.0, len(p) * np.array(p)) + 1e-12
    ).all()
    order = np.argsort(p, kind="stable")
    assert (np.diff(found[order]) >= 0).all()


@pytest.mark.parametrize("table", [np.ones((3, 1)), np.ones(4), np.array([[1.0, np.nan]]), np.ones((0, 3))])
def test_what_has_no_ranks_is_refused(table: np.ndarray) -> None:
    with pytest.raises(RankError, match="ranks need finite losses"):
        ranks(table)


def _differing(*pairs: tuple[int, int]) -> list[SignedRank]:
    return [SignedRank(i, j, 0.0, 0, 0, 0, 0.001, 0.001) for i, j in pairs]


def test_cliques_are_the_longest_runs_without_a_difference() -> None:
    mean = np.array([4.0, 1.0, 2.0, 3.0])  # best first: 1, 2, 3, 0
    assert cliques(mean, []) == [(1, 2, 3, 0)]
    assert cliques(mean, _differing((1, 0))) == [(1, 2, 3), (2, 3, 0)]
    assert cliques(mean, _differing((1, 2), (1, 3), (1, 0))) == [(2, 3, 0)]
    every = _differing((0, 1), (0, 2), (0, 3), (1, 2), (1, 3), (2, 3))
    assert cliques(mean, every) == []


def test_significance_is_not_too_frequent_on_noise() -> None:
    """Of 400 comparisons of three equal methods on ten data sets, at most 5 % find a difference."""
    rng = np.random.default_rng(0)
    n_found = sum(any(t.p_holm < 0.05 for t in signed_ranks(rng.normal(size=(10, 3)))) for _ in range(400))
    assert n_found <= 0.05 * 400 + 2 * np.sqrt(400 * 0.05 * 0.95)
