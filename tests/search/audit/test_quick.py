"""Quick models: chance is 1, folds respect units, and the tests hold their level."""

import numpy as np
import pytest
from scipy import stats

from search.audit import quick
from search.data import from_frame
from tests.search.audit.tables import clean


@pytest.mark.parametrize("kind", ["regression", "binary", "multiclass"])
def test_chance_is_one(kind: str) -> None:
    frame = clean(kind=kind)  # type: ignore[arg-type]
    d = from_frame(frame, "y")
    rows = np.arange(50, 350)
    s = quick.sample(d, ("colour", "x1"), np.arange(d.n_rows), rows)
    assert quick.losses(s.y, np.zeros_like(s.y)).mean() == pytest.approx(1.0)
    np.testing.assert_allclose(s.y.mean(axis=0), 0.0, atol=1e-12)
    np.testing.assert_array_equal(np.isnan(s.X[:, 1]), frame["x1"].isna().to_numpy()[rows])
    folds = quick.folds(s.strata, s.units, np.random.default_rng(0))
    assert quick.losses(s.y, quick.out_of_fold(s.X, s.y, folds, quick.mean)).mean() >= 1.0


def test_folds_keep_units_whole() -> None:
    units = np.arange(300) // 3
    folds = quick.folds(np.arange(300) % 2, units, np.random.default_rng(0))
    assert all(np.unique(folds[units == u]).size == 1 for u in range(100))
    assert np.unique(folds).size == quick.N_FOLDS


def test_out_of_fold_never_sees_its_row() -> None:
    rng = np.random.default_rng(0)
    y = rng.normal(size=(200, 1))
    folds = quick.folds(np.zeros(200, np.int64), np.arange(200), rng)
    learned = quick.out_of_fold(y.astype(np.float32) * 0 + np.arange(200)[:, None], y, folds, quick.tree(0))
    assert quick.losses(y, learned).mean() > 0.9 * y.var()


def test_without_groups_the_tail_of_units_is_students() -> None:
    d = np.random.default_rng(0).normal(0.1, 1, 60)
    expected = stats.ttest_1samp(d, 0, alternative="greater").pvalue
    assert quick.tail_of_units(d, np.arange(60)) == pytest.approx(expected)


def test_repeating_rows_adds_no_certainty() -> None:
    d = np.random.default_rng(0).normal(0.3, 1, 40)
    once = quick.tail_of_units(d, np.arange(40))
    assert quick.tail_of_units(np.repeat(d, 5), np.repeat(np.arange(40), 5)) == pytest.approx(once)


def test_tail_of_folds_is_wider_than_students() -> None:
    d = np.array([0.2, 0.5, 0.1, 0.4, 0.3])
    plain = stats.ttest_1samp(d, 0, alternative="greater").pvalue
    assert quick.tail_of_folds(d, 0.0) == pytest.approx(plain)
    assert quick.tail_of_folds(d, 0.25) > plain
    assert quick.tail_of_folds(np.ones(5), 0.25) == 0.0
    assert quick.tail_of_folds(-np.ones(5), 0.25) == 1.0
