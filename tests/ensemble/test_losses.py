import numpy as np
import pytest
from sklearn import metrics

from ensemble.losses import log_loss, loss_of, squared_error
from tests.ensemble.tables import table

WEIGHTS = np.random.default_rng(1).uniform(0, 2, 80)


@pytest.mark.parametrize("weights", [None, WEIGHTS])
def test_log_loss_is_that_of_scikit_learn(weights):
    candidates, y = table("binary")
    expected = metrics.log_loss(y[:, 0], candidates[0, :, 0], sample_weight=weights)
    assert log_loss(y, candidates[0], weights) == pytest.approx(expected, rel=1e-12)
    candidates, y = table("multiclass")
    expected = metrics.log_loss(y, candidates[0], sample_weight=weights)
    assert log_loss(y, candidates[0], weights) == pytest.approx(expected, rel=1e-12)
    candidates, y = table("multilabel")
    each = [metrics.log_loss(y[:, k], candidates[0, :, k], sample_weight=weights) for k in range(3)]
    assert log_loss(y, candidates[0], weights) == pytest.approx(np.mean(each), rel=1e-12)


@pytest.mark.parametrize("weights", [None, WEIGHTS])
def test_squared_error_is_that_of_scikit_learn(weights):
    candidates, y = table("regression")
    expected = metrics.mean_squared_error(y, candidates[0], sample_weight=weights)
    assert squared_error(y, candidates[0], weights) == pytest.approx(expected, rel=1e-12)


def test_certain_and_wrong_is_finite():
    assert log_loss(np.ones((1, 1)), np.zeros((1, 1))) == pytest.approx(-np.log(1e-7))


def test_log_loss_needs_zeros_and_ones():
    with pytest.raises(ValueError, match=r"0 and 1, got values from 0\.0 to 2\.0"):
        log_loss(np.array([[0.0], [2.0]]), np.full((2, 1), 0.5))


def test_unknown_name():
    with pytest.raises(ValueError, match="got 'auc'"):
        loss_of("auc")
