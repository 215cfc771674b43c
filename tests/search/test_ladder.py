"""The Ladder announces a trial only past the noise of the difference, and pairs losses by row or by fold."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import log_loss

from search.ladder import Ladder, paired_losses
from search.metrics import METRICS


def _shifted(gain: float, spread: float, n: int = 16) -> tuple[np.ndarray, np.ndarray]:
    """Losses of an old and a new trial whose difference has this mean and this standard deviation."""
    unit = np.tile([1.0, -1.0], n // 2)
    unit /= unit.std(ddof=1)
    return np.full(n, 5.0), 5.0 - gain - spread * unit


def test_the_first_is_announced() -> None:
    ladder = Ladder()
    assert ladder.offer(np.array([3.0, 4.0]))
    assert (ladder.n_announced, ladder.n_withheld) == (1, 0)


@pytest.mark.parametrize("spread", [0.1, 2.0])
@pytest.mark.parametrize(("factor", "is_announced"), [(1.001, True), (0.999, False)])
def test_the_step_is_the_standard_error_of_the_difference(
    spread: float, factor: float, is_announced: bool
) -> None:
    old, new = _shifted(factor * spread / np.sqrt(16), spread)
    ladder = Ladder()
    ladder.offer(old)
    assert ladder.offer(new) is is_announced
    assert (ladder.n_announced, ladder.n_withheld) == (1 + is_announced, 1 - is_announced)


def test_what_is_no_better_is_neither_announced_nor_withheld() -> None:
    ladder, losses = Ladder(), np.arange(8.0)
    ladder.offer(losses)
    assert not ladder.offer(losses) and not ladder.offer(losses + 0.5)
    assert (ladder.n_announced, ladder.n_withheld) == (1, 0)


def test_the_rival_is_the_announced_one_not_the_withheld_one() -> None:
    """Two small steps, each within the noise of the one before, are together past the announced one's."""
    old, half = _shifted(0.6 * 2.0 / 4, 2.0)
    ladder = Ladder()
    ladder.offer(old)
    assert not ladder.offer(half)
    assert ladder.offer(half - 0.6 * 2.0 / 4)


@given(st.integers(0, 2**32 - 1))
def test_announced_means_never_rise(seed: int) -> None:
    rng, ladder, announced = np.random.default_rng(seed), Ladder(), []
    for _ in range(12):
        losses = rng.normal(size=6)
        if ladder.offer(losses):
            announced.append(float(losses.mean()))
    assert announced == sorted(announced, reverse=True) and ladder.n_announced == len(announced)


def test_one_pair_tells_no_noise_so_any_gain_is_announced() -> None:
    ladder = Ladder()
    assert ladder.offer(np.array([-0.7])) and ladder.offer(np.array([-0.71]))
    assert not ladder.offer(np.array([-0.70]))


def test_folds_without_a_score_are_left_out() -> None:
    ladder = Ladder()
    ladder.offer(np.array([1.0, np.nan, 1.0, 1.0]))
    assert not ladder.offer(np.array([2.0, 0.0, 2.0, np.nan]))
    assert ladder.offer(np.array([0.5, 0.0, 0.5, 0.49]))
    assert not ladder.offer(np.full(4, np.nan))


def test_losses_by_row_are_the_mean_over_repeats_of_held_rows() -> None:
    y = np.array([[1.0], [0.0], [1.0]])
    table = np.array([[[0.8], [np.nan], [np.nan]], [[0.4], [0.3], [np.nan]]])
    losses = paired_losses(METRICS["log_loss"], y, table, (9.0, 9.0))
    assert losses == pytest.approx([-(np.log(0.8) + np.log(0.4)) / 2, -np.log(0.7)])
    whole = np.array([[[0.8], [0.3], [0.6]]])
    expected = log_loss(y[:, 0], whole[0, :, 0])
    assert paired_losses(METRICS["log_loss"], y, whole, ()).mean() == pytest.approx(expected)


@pytest.mark.parametrize(("name", "sign"), [("auc", -1.0), ("balanced_accuracy", -1.0)])
def test_losses_of_rank_metrics_are_the_folds(name: str, sign: float) -> None:
    y, table = np.zeros((3, 1)), np.zeros((1, 3, 1))
    assert paired_losses(METRICS[name], y, table, (0.7, 0.9)) == pytest.approx([sign * 0.7, sign * 0.9])
