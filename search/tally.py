"""What a study asks of its trials before each proposal, kept as they come: nothing is counted twice."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import final

from search.pruning import Ceilings
from search.records import Trial
from spaces.families import family_of


@final
class Tally:
    """The trials of a study by number, how many can teach a proposer, and the ceilings of the next.

    Parameters
    ----------
    looks : sequence of int
        Epochs at which every trial is looked at.
    """

    def __init__(self, looks: Sequence[int]) -> None:
        self._by_number: dict[int, Trial] = {}
        self._ceilings = Ceilings(looks)
        self._n_seen = 0
        self._one_at_a_time = threading.Lock()
        self.n_told = 0

    def catch_up(self, trials: Sequence[Trial]) -> None:
        """Take in what is new of all trials so far, which are only ever added to; from any thread."""
        with self._one_at_a_time:
            while self._n_seen < len(trials):
                self._add(trials[self._n_seen])
                self._n_seen += 1

    def trial(self, number: int) -> Trial | None:
        """The first trial of this number; None where there is none."""
        return self._by_number.get(number)

    @property
    def limits(self) -> dict[int, float]:
        """Pruning: networks are compared with networks, whose epochs are their clock."""
        return self._ceilings.limits

    def _add(self, trial: Trial) -> None:
        self._by_number.setdefault(trial.number, trial)
        self.n_told += trial.status in ("completed", "pruned")
        if trial.status == "completed" and family_of(trial.family).is_network:
            self._ceilings.add(trial.checkpoints, trial.curve)
