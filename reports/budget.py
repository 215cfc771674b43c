"""When another trial is not worth its leak: losses of the best single trial, honest and in-sample, over time.

A trial is worth its leak while it can be expected to lower the honest loss by at least what it adds to the
optimism. With h the honest and i the in-sample loss that is: while more than half of what the in-sample loss
falls by is real, ``-dh >= d(h - i)``. A study that stands still adds no leak, and is not stopped.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reports import parts as partition
from reports.estimates import honest_loss, split
from reports.replay import History, curves
from search.metrics import Metric

Array = NDArray[Any]

FEWEST_TRIALS = 20
N_IN_A_ROW = 2
N_PARTS, N_ROUNDS = 10, 5
MANY_ROWS = 10_000  # held-out rows from which one round is precise enough


@dataclass(frozen=True)
class Worth:
    """Whether another trial is worth its leak.

    Attributes
    ----------
    expected_gain : float
        Honest loss that the next trial is expected to take away.
    optimism_growth : float
        Optimism (honest minus in-sample loss) that it is expected to add.
    is_worth : bool
        Whether the gain is not below the growth.
    """

    expected_gain: float
    optimism_growth: float
    is_worth: bool


def verdict(honest: Sequence[float], in_sample: Sequence[float]) -> Worth:
    """Judge the next trial by the losses of the best single trial after 1, 2, ... trials.

    Both trajectories are smoothed by a straight line in the logarithm of the number of trials (the best of k
    draws improves about evenly with log k), and what it says of the next trial is compared. Always worth it
    before 20 trials. In simulated studies a line through the last half of the trials stopped nearly all of
    them at about 20 trials, useful or not; a start at 10 cost twice as much where later trials were better.
    """
    n = len(honest)
    if n < FEWEST_TRIALS:
        return Worth(np.nan, np.nan, True)
    outside, inside = np.asarray(honest, np.float64), np.asarray(in_sample, np.float64)
    x, step = np.log(np.arange(1, n + 1)), float(np.log1p(1.0 / n))
    gain, growth = -step * _slope(x, outside), step * _slope(x, outside - inside)
    return Worth(gain, growth, not gain < growth)


def _slope(x: Array, values: Array) -> float:
    """Least squares; exactly 0 for values that are all equal."""
    x = x - x.mean()
    return float(x @ (values - values[0]) / (x @ x))


def is_enough(honest: Sequence[float], in_sample: Sequence[float]) -> bool:
    """Whether the last two verdicts both said that another trial is not worth its leak."""
    ends = range(max(0, len(honest) - N_IN_A_ROW), len(honest))
    return len(ends) == N_IN_A_ROW and not any(
        verdict(honest[: end + 1], in_sample[: end + 1]).is_worth for end in ends
    )


class Trajectory:
    """Losses of the best single trial, honest and in-sample, as trials come.

    Only what is best so far is kept: per part of the rows the lowest loss on the other rows, and what the
    trial that has it predicted there. Epoch and winner are decided anew for each part; what was pruned stays
    pruned.

    Parameters
    ----------
    y : (n_rows, n_outputs)
    units, time : (n_rows,), optional
        As in `reports.replay.History`.
    n_rounds : int, optional
        Of the cross-fitted replay; by default five, and one from 10,000 held-out rows on.

    Attributes
    ----------
    honest, in_sample : list of float
        One loss per trial, from the first completed one on.
    """

    def __init__(
        self,
        metric: Metric,
        y: Array,
        *,
        rng: np.random.Generator,
        units: Array | None = None,
        time: Array | None = None,
        n_parts: int = N_PARTS,
        n_rounds: int | None = None,
    ) -> None:
        self._metric, self._y, self._rng = metric, np.asarray(y, np.float64), rng
        self._units = np.arange(len(y)) if units is None else np.asarray(units)
        self._time, self._n_parts, self._n_rounds = time, n_parts, n_rounds
        self._weights = np.empty((0, len(y)), bool)  # of those who decide: all rows, then by round and part
        self._scored: list[tuple[int, Array]] = []  # round and rows of each part
        self._best = self._inside = self._outside = np.empty(0)
        self.honest: list[float] = []
        self.in_sample: list[float] = []

    def add(self, predictions: Array, *, is_completed: bool = True) -> None:
        """Add a trial's held-out predictions `(n_kept, n_repeats, n_rows, n_outputs)` at its kept epochs."""
        if not is_completed:
            self._repeat_last()
            return
        is_first = not self._scored
        one = self._history(predictions)
        if is_first:
            self._start(one)
        curve = curves(one, self._metric, self._weights)[:, 0]
        found, kept = curve.min(axis=1), curve.argmin(axis=1)
        is_better = (found < self._best) | is_first
        for turn in np.flatnonzero(is_better[1:]):
            number, rows = self._scored[turn]
            self._outside[number][:, rows] = predictions[kept[turn + 1]][:, rows]
        if is_better[0]:
            rows = np.concatenate([rows for number, rows in self._scored if number == 0])
            self._inside[0][:, rows] = predictions[kept[0]][:, rows]
        self._best = np.minimum(self._best, found)
        self.honest.append(honest_loss(one, self._metric, self._outside))
        self.in_sample.append(honest_loss(one, self._metric, self._inside))

    def _repeat_last(self) -> None:
        for losses in (self.honest, self.in_sample):
            losses.extend(losses[-1:])

    def _history(self, predictions: Array) -> History:
        epochs = tuple(range(1, len(predictions) + 1))
        return History(
            y=self._y,
            numbers=(0,),
            is_completed=np.ones(1, bool),
            architectures=(0,),
            epochs=(epochs,),
            predictions=(predictions,),
            units=self._units,
            time=self._time,
        )

    def _start(self, one: History) -> None:
        """Deal the rows into parts, now that it is known which are held out."""
        n_rounds = self._n_rounds or (N_ROUNDS if one.is_ever_held.sum() < MANY_ROWS else 1)
        dealt = split(one, n_parts=self._n_parts, n_rounds=n_rounds, rng=self._rng)
        is_in_time, weights = self._time is not None, [one.is_ever_held]
        for number, parts in enumerate(dealt):
            for part in range(int(is_in_time), int(parts.max()) + 1):
                weights.append(partition.deciding(parts, part, self._units, is_in_time=is_in_time))
                self._scored.append((number, np.flatnonzero(parts == part)))
        self._weights = np.stack(weights)
        self._best = np.full(len(weights), np.inf)
        shape = one.predictions[0].shape[1:]
        self._outside = np.full((len(dealt), *shape), np.nan)
        self._inside = np.full((1, *shape), np.nan)


class LeakBudget:
    """Says after each trial whether the leak budget ends the study, and keeps what it did."""

    def __init__(self, trajectory: Trajectory) -> None:
        self.trajectory = trajectory
        self.has_stopped = False

    def add(self, predictions: Array, *, is_completed: bool) -> str | None:
        """Add a trial (see `Trajectory.add`); the result is the reason to stop, None to go on."""
        self.trajectory.add(predictions, is_completed=is_completed)
        honest, in_sample = self.trajectory.honest, self.trajectory.in_sample
        if not is_enough(honest, in_sample):
            return None
        self.has_stopped = True
        worth = verdict(honest, in_sample)
        return (
            f"another trial is not worth its leak: after {len(honest)} trials the next one is expected to "
            f"gain {worth.expected_gain:.2g} of loss and to add {worth.optimism_growth:.2g} of optimism"
        )

    def to_json(self) -> dict[str, Any]:
        """What the budget did, with its last verdict and both trajectories."""
        honest, in_sample = self.trajectory.honest, self.trajectory.in_sample
        return {
            "has_stopped": self.has_stopped,
            "n_trials": len(honest),
            "fewest_trials": FEWEST_TRIALS,
            **asdict(verdict(honest, in_sample)),
            "honest": honest,
            "in_sample": in_sample,
        }
