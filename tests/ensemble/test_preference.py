import numpy as np
import pytest
from scipy.stats import sem

from ensemble.preference import paired_error, prefer


def test_the_error_of_single_rows_is_that_of_scipy():
    d = np.random.default_rng(0).normal(size=50)
    assert paired_error(d, np.full(50, 1 / 50), np.arange(50)) == pytest.approx(float(sem(d)))


def test_a_weight_is_copies_in_the_same_unit():
    rng = np.random.default_rng(0)
    d, counts = rng.normal(size=20), rng.integers(1, 4, 20)
    units = np.arange(20)
    copied = paired_error(
        np.repeat(d, counts), np.full(counts.sum(), 1 / counts.sum()), np.repeat(units, counts)
    )
    assert paired_error(d, counts / counts.sum(), units) == pytest.approx(copied)


def test_the_first_within_one_error_is_preferred():
    noise = np.tile([1.0, -1.0], 50)  # the mean of 100 has a standard error of about 0.1
    shares, units = np.full(100, 0.01), np.arange(100)
    assert prefer(np.stack([noise + 0.09, 0 * noise]), shares, units) == 0
    assert prefer(np.stack([noise + 0.12, 0 * noise]), shares, units) == 1
    assert prefer(np.stack([noise + 0.12, 0 * noise]), shares, units, n_errors=2.0) == 0
    assert prefer(np.stack([0 * noise, 0 * noise]), shares, units) == 0
    assert prefer(np.stack([noise + 9, noise + 8, noise]), shares, units) == 2


def test_one_unit_tells_nothing():
    assert prefer(np.array([[2.0, 2.0], [1.0, 1.5]]), np.full(2, 0.5), np.zeros(2, dtype=int)) == 0
