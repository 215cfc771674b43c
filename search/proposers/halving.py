"""KerasTuner's Hyperband with brackets that fit a budget of trials and outlive failures.

Li et al. 2018: many configurations for few epochs, the best of them go on for more. KerasTuner draws what is
tried, and its sizes and epochs are kept; what differs here:

- the first bracket is the largest that the number of trials can finish (KerasTuner would begin, at 100
  epochs, with 98 configurations, and end before anything goes on);
- a round is decided when all its trials have ended, and a failure costs no promotion;
- where the space has no further configuration, a bracket goes on with those that it has.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import keras_tuner

from search.proposers.seam import Rung

Round = list[dict[str, Any]]
Bracket = dict[str, Any]
FACTOR = 3


class Halving(keras_tuner.oracles.HyperbandOracle):  # type: ignore[misc]
    """A HyperbandOracle for one proposal at a time.

    Parameters
    ----------
    most_trials : int
        Trials after which it ends; those that go on count again.
    factor : int
        One of so many goes on, for so many times the epochs.
    **options
        As KerasTuner's.
    """

    def __init__(self, *, most_trials: int, factor: int = FACTOR, **options: Any) -> None:
        self._most_trials, self._n_brackets = most_trials, 0
        self._brackets: list[Bracket] = []
        super().__init__(factor=factor, hyperband_iterations=1, **options)
        self.max_trials = most_trials

    @property
    def stops(self) -> tuple[int, ...]:
        """Epochs at which a trial may stop, rising."""
        return tuple(self._get_epochs(0, -k) for k in reversed(range(self._get_num_brackets())))

    def populate_space(self, trial_id: str) -> dict[str, Any]:
        """What is tried next; KerasTuner's own hook."""
        for bracket in self._brackets:
            found = self._random(trial_id, bracket) or self._promoted(trial_id, bracket)
            if found is not None:
                return {"status": "RUNNING", "values": found}
        if self.ongoing_trials:
            return {"status": "IDLE"}
        self._brackets = []
        self._increment_bracket_num()
        self._start_new_bracket()
        values = self._random(trial_id, self._brackets[0])
        return {"status": "STOPPED"} if values is None else {"status": "RUNNING", "values": values}

    def rung_of(self, trial_id: str) -> Rung:
        """How far an open trial goes, and from where."""
        bracket, number, entry = next(
            (bracket, number, entry)
            for bracket in self._brackets
            for number, entries in enumerate(bracket["rounds"])
            for entry in entries
            if entry["id"] == trial_id
        )
        stop, past = self._get_epochs(bracket["bracket_num"], number), entry["past_id"]
        awaited = tuple(int(one) for one in self.awaited)
        if past is None:
            return Rung(stop, self.stops, awaited=awaited)
        return Rung(
            stop,
            self.stops,
            resumes=int(past),
            compared=tuple(int(one) for one in entry["compared"]),
            n_before=entry["n_before"],
            awaited=(int(past), *awaited),
        )

    def _random(self, trial_id: str, bracket: Bracket) -> dict[str, Any] | None:
        """A new configuration for the first round of a bracket, if there is room and one is left."""
        first: Round = bracket["rounds"][0]
        if bracket.get("is_exhausted") or len(first) >= self._get_size(bracket["bracket_num"], 0):
            return None
        values: dict[str, Any] | None = self._random_values()
        if values is None:
            bracket["is_exhausted"] = True
            return None
        first.append({"past_id": None, "id": trial_id})
        return {**values, **self._told(bracket, 0)}

    def _promoted(self, trial_id: str, bracket: Bracket) -> dict[str, Any] | None:
        """The best trial of a decided round that has not gone on yet."""
        for number in range(1, len(bracket["rounds"])):
            past, entries = bracket["rounds"][number - 1 : number + 1]
            ends = [self.trials[entry["id"]].status for entry in past]
            if not set(ends) <= {"COMPLETED", "FAILED"}:
                return None
            if len(entries) < min(math.ceil(len(past) / self.factor), ends.count("COMPLETED")):
                left = self._left(past, entries)
                best = left[0]
                entries.append({"past_id": best, "id": trial_id, "compared": left, "n_before": len(entries)})
                values = dict(self.trials[best].hyperparameters.values)
                return {**values, **self._told(bracket, number), "tuner/trial_id": best}
        return None

    def _left(self, past: Round, entries: Round) -> list[str]:
        """Completed trials of a round that have not gone on, best first, the earlier of equals first."""
        chosen = {entry["past_id"] for entry in entries}
        left = [entry["id"] for entry in past if entry["id"] not in chosen]
        completed = [one for one in left if self.trials[one].status == "COMPLETED"]
        sign = -1.0 if self.objective.direction == "max" else 1.0
        return sorted(completed, key=lambda one: sign * float(self.trials[one].score))

    @property
    def awaited(self) -> tuple[str, ...]:
        """Trials that others may go on from, so far as is known."""
        return tuple(one for bracket in self._brackets for one in self._may_go_on(bracket))

    def _may_go_on(self, bracket: Bracket) -> Iterator[str]:
        """Completed trials that are, so far, among those of their round that will go on."""
        for number in range(1, len(bracket["rounds"])):
            past, entries = bracket["rounds"][number - 1 : number + 1]
            n_open = self._get_size(bracket["bracket_num"], number) - len(entries)
            yield from self._left(past, entries)[: max(0, n_open)]

    def _told(self, bracket: Bracket, number: int) -> dict[str, Any]:
        """What KerasTuner tells a trial of its bracket and round."""
        size = bracket["bracket_num"]
        return {
            "tuner/epochs": self._get_epochs(size, number),
            "tuner/initial_epoch": self._get_epochs(size, number - 1) if number else 0,
            "tuner/bracket": size,
            "tuner/round": number,
        }

    def _get_num_brackets(self) -> int:
        """Brackets from the largest that the trials can finish down to that of whole trainings."""
        if not self._n_brackets:
            every = range(super()._get_num_brackets())
            self._n_brackets = 1 + max(size for size in every if size == 0 or self._fits(size))
        return self._n_brackets

    def _fits(self, size: int) -> bool:
        rounds = [self._get_size(size, number) for number in range(size + 1)]
        return sum(rounds) <= self._most_trials or (size == 1 and rounds[0] < self._most_trials)

    def get_state(self) -> dict[str, Any]:
        """KerasTuner's state, and how many brackets there are."""
        return {**super().get_state(), "n_brackets": self._n_brackets}

    def set_state(self, state: dict[str, Any]) -> None:
        """Take up a state."""
        super().set_state(state)
        self._n_brackets = state["n_brackets"]
