"""Pairs on one data set: tests by hand, no differences where there are none, rows found again."""

from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from reports.entrants import CompareError, Entrant, entrants
from reports.pairs import common_rows, pairs
from tests.reports.runs import N_ROWS, N_SPLITS, finished, targets


def two(tmp_path: Path, first: dict | None = None, second: dict | None = None) -> tuple[Entrant, ...]:
    return entrants([finished(tmp_path / "a", **(first or {})), finished(tmp_path / "b", **(second or {}))])


def test_a_clear_difference_survives_both_tests(tmp_path: Path) -> None:
    found = pairs(
        two(tmp_path, {"noise": 0.3}, {"noise": 3.0, "seed": 1}), rng=np.random.default_rng(0), n_draws=500
    )
    assert [pair.subject for pair in found] == ["ensemble", "winner"]
    for pair in found:
        assert pair.survives and pair.difference < 0
        assert pair.by_fold is not None and pair.by_row is not None
        assert pair.by_row.high < 0 and pair.p == max(pair.by_fold.p or 0, pair.by_row.p or 0)
    own = found[0].first.loss() - found[0].second.loss()
    assert found[0].difference == pytest.approx(own, abs=1e-9)


def test_the_test_by_folds_is_nadeau_and_bengios(tmp_path: Path) -> None:
    group = two(tmp_path, {"noise": 0.8}, {"noise": 1.0, "seed": 1})
    pair = pairs(group, rng=np.random.default_rng(0), n_draws=200)[0]
    d = np.subtract(*(one.fold_losses("ensemble") for one in group))
    error = np.sqrt(d.var(ddof=1) * (1 / len(d) + 1 / (N_SPLITS - 1)))
    assert pair.by_fold is not None
    assert pair.by_fold.p == pytest.approx(2 * stats.t.sf(abs(d.mean()) / error, len(d) - 1))


def test_a_run_does_not_differ_from_itself(tmp_path: Path) -> None:
    for pair in pairs(two(tmp_path), rng=np.random.default_rng(0), n_draws=200):
        assert pair.difference == 0 and not pair.survives and pair.p == 1.0


def test_other_folds_are_compared_by_rows_alone(tmp_path: Path) -> None:
    group = two(tmp_path, {"noise": 0.3}, {"noise": 3.0, "seed": 1, "split_seed": 1})
    pair = pairs(group, rng=np.random.default_rng(0), n_draws=500)[0]
    assert pair.by_fold is None and pair.by_row is not None and pair.survives


def test_without_targets_only_the_winners_folds_are_left(tmp_path: Path) -> None:
    ensemble, winner = pairs(
        two(tmp_path, {"has_targets": False}, {"has_targets": False, "seed": 1}), rng=np.random.default_rng(0)
    )
    assert ensemble.by_fold is None and ensemble.by_row is None and np.isnan(ensemble.p)
    assert not ensemble.survives and winner.by_fold is not None and winner.by_row is None


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"metric": "auc"}, "the metric differs: 'log_loss' in a, 'auc' in b"),
        ({"kind": "multilabel"}, "task differs"),
    ],
)
def test_other_questions_are_refused(tmp_path: Path, change: dict, said: str) -> None:
    with pytest.raises(CompareError, match=said):
        pairs(two(tmp_path, None, {"seed": 1, **change}), rng=np.random.default_rng(0))


def test_rows_in_another_order_are_found(tmp_path: Path) -> None:
    some = np.random.default_rng(5).permutation(N_ROWS)[:90]
    group = two(tmp_path, None, {"rows": some})
    first, second = common_rows(group)
    np.testing.assert_array_equal(np.arange(N_ROWS)[first], some[second])
    np.testing.assert_array_equal(targets("table")[first], group[1].targets["y"][second])
    pair = pairs(group, rng=np.random.default_rng(0), n_draws=200)[0]
    assert pair.by_fold is None and pair.difference == 0  # the same predictions on the rows that both have


def test_no_common_rows_or_other_targets_are_refused(tmp_path: Path) -> None:
    halves = np.arange(40), np.arange(60, 120)
    with pytest.raises(CompareError, match="none in common"):
        common_rows(two(tmp_path, {"rows": halves[0]}, {"rows": halves[1]}))
    with pytest.raises(CompareError, match="the y of c and d differ"):
        common_rows(entrants([finished(tmp_path / "c", data="one"), finished(tmp_path / "d", data="two")]))


def test_row_weights_count_and_must_agree(tmp_path: Path) -> None:
    weights = np.linspace(0.1, 1.9, N_ROWS)
    group = two(tmp_path, {"row_weights": weights}, {"row_weights": weights, "seed": 1, "noise": 2.0})
    pair = pairs(group, rng=np.random.default_rng(0), n_draws=200)[0]
    assert pair.difference == pytest.approx(group[0].loss() - group[1].loss())
    with pytest.raises(CompareError, match="row weights"):
        common_rows(entrants([group[0].run, finished(tmp_path / "c", seed=2)]))


def test_holm_makes_p_values_of_several_runs_larger(tmp_path: Path) -> None:
    group = entrants([finished(tmp_path / str(i), noise=1.0 + 0.1 * i, seed=i) for i in range(4)])
    found = [
        pair for pair in pairs(group, rng=np.random.default_rng(0), n_draws=300) if pair.subject == "ensemble"
    ]
    assert len(found) == 6 and all(pair.p_holm >= pair.p for pair in found)
    assert any(pair.p_holm > pair.p for pair in found)


def test_noise_seldom_survives(tmp_path: Path) -> None:
    """Of 40 pairs of equally good runs, no more than chance allows are told apart."""
    n_found = 0
    for i in range(40):
        group = entrants([finished(tmp_path / f"{i}{j}", seed=1000 + 2 * i + j) for j in range(2)])
        n_found += pairs(group, rng=np.random.default_rng(i), n_draws=200)[0].survives
    assert n_found <= 0.05 * 40 + 2 * np.sqrt(40 * 0.05 * 0.95)
