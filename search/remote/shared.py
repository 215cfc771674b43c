"""What coordinator and workers agree on: a study in a database, its terms, and what became of each trial.

All of it is attributes of one Optuna study. A trial keeps its number for ever: one whose worker was lost goes
back to those that wait, and whoever takes it up trains the same configuration with the same seed.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict
from functools import partial
from typing import Any, TypeVar

import optuna
from optuna.exceptions import UpdateFinishedTrialError
from optuna.storages import RDBStorage
from optuna.trial import FrozenTrial, TrialState

from search.proposers.optuna_driver import begin_with, check_first
from search.records import Trial
from search.remote.address import redacted
from search.remote.signs import Signs
from search.remote.storage import PATIENCE, StorageError, open_storage, patiently
from search.remote.terms import Budget, Result, Terms, TermsError
from spaces.space import Config, Space

T = TypeVar("T")
TERMS, BUDGET, ENDED, EXHAUSTED, RESULT, N_LOST = (
    "foldstack", "budget", "ended", "exhausted", "result", "n_lost"
)  # fmt: skip
AT_THE_END = 10.0  # seconds that a process that ends waits for the database
MOST_LOST = 3  # workers that one trial may take down with it


class Shared:
    """One process's view of a study in a database; all of it waits while the database is away."""

    def __init__(self, url: str, name: str, storage: RDBStorage, study: optuna.Study) -> None:
        self.url, self.name, self.storage, self.study = url, name, storage, study
        self.terms = _terms_of(study, url)
        storage.heartbeat_interval, storage.grace_period = self.terms.beat, self.terms.grace
        self._known: set[int] = set()
        self._signs = Signs(storage, self.terms)
        self._swept = float("-inf")

    def do(self, operation: Callable[[], T], patience: float = PATIENCE) -> T:
        """Do something with the database, patiently."""
        return patiently(operation, self.url, patience)

    # -- the whole study -----------------------------------------------------

    @property
    def budget(self) -> Budget:
        """How many trials there are now; fewer than asked for where the space was exhausted."""
        told = self.do(lambda: self.study.user_attrs)
        budget = Budget(**told[BUDGET])
        return Budget(min(budget.n_trials, told.get(EXHAUSTED) or budget.n_trials), budget.deadline)

    @property
    def ended(self) -> str | None:
        """Why no further trial may begin; None: they may."""
        found: str | None = self.do(lambda: self.study.user_attrs).get(ENDED)
        return found

    @property
    def exhausted(self) -> int | None:
        """How many trials the space had, if it was exhausted."""
        found: int | None = self.do(lambda: self.study.user_attrs).get(EXHAUSTED)
        return found

    def tell(self, attributes: Mapping[str, Any], patience: float = PATIENCE) -> None:
        """Set attributes of the study."""
        for key, value in attributes.items():
            self.do(partial(self.study.set_user_attr, key, value), patience)

    def begin(self, budget: Budget, space: Space, first: Sequence[Config] = ()) -> None:
        """Let trials begin, up to a budget, with these configurations first."""
        check_first(space, first)
        self.do(lambda: begin_with(self.study, space, first))
        self.tell({BUDGET: asdict(budget), EXHAUSTED: None, ENDED: None})

    def trials(self, *states: TrialState) -> list[FrozenTrial]:
        """Trials in these states, or all, by number."""
        return self.do(lambda: self.study.get_trials(deepcopy=False, states=states or None))

    # -- finished trials -----------------------------------------------------

    def news(self) -> list[Result]:
        """What was finished since the last call, by number; what this process kept is no news."""
        done = self.trials(TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL)
        fresh = [trial for trial in done if trial.number not in self._known]
        self._known.update(trial.number for trial in fresh)
        return [result_of(trial) for trial in fresh]

    def keep(self, trial_id: int, result: Result, state: TrialState, loss: float | None) -> bool:
        """Finish a trial; False if somebody else has finished it meanwhile, whose result stands."""
        self._known.add(result.trial.number)
        record = json.dumps(result.to_json(), allow_nan=False, ensure_ascii=False)

        def finish() -> bool:
            self.storage.set_trial_user_attr(trial_id, RESULT, record)
            if loss is not None and state == TrialState.PRUNED:
                self.storage.set_trial_intermediate_value(trial_id, _last_epoch(result.trial), loss)
            return self.storage.set_trial_state_values(trial_id, state, None if loss is None else [loss])

        try:
            return self.do(finish)
        except UpdateFinishedTrialError:  # also where the answer to our own got lost with the connection
            return False
        finally:
            self._signs.forget(trial_id)

    # -- running trials ------------------------------------------------------

    def take_number(self) -> int:
        """The trial that waits with the lowest number, or a new one; the result is its identifier.

        Optuna's own `ask` does the same, and draws from a sampler before the number is known.
        """
        for trial in self.trials(TrialState.WAITING):
            if self.storage.set_trial_state_values(trial._trial_id, TrialState.RUNNING):
                return int(trial._trial_id)
        return int(self.study._storage.create_new_trial(self.study._study_id))  # known to Optuna's cache

    def seen_by(self, sampler: optuna.samplers.BaseSampler) -> optuna.Study:
        """The study as it is now, for a sampler; Optuna's objects remember what they saw between two asks."""
        return optuna.load_study(study_name=self.name, storage=self.study._storage, sampler=sampler)

    def hold(self, trial_id: int) -> None:
        """Give signs of life for a trial from now on."""
        self._signs.give(trial_id)

    def let_go(self, trial_id: int) -> None:
        """Give no further sign of life for a trial: it is swept in a while."""
        self._signs.forget(trial_id)

    def give_back(self, trial_id: int) -> None:
        """Let another worker have a trial, under its number."""
        self._signs.forget(trial_id)
        with suppress(UpdateFinishedTrialError, StorageError):  # where it is away, the trial is swept later
            self.do(lambda: self.storage.set_trial_state_values(trial_id, TrialState.WAITING), AT_THE_END)

    def give_all_back(self) -> None:
        """Give back all trials that this process holds."""
        for trial_id in self._signs.held():
            self.give_back(trial_id)

    def close(self) -> None:
        """Give no further sign of life, and let go of the database."""
        self._signs.stop()
        self.storage.engine.dispose()

    def sweep_when_due(self, failed: Callable[[FrozenTrial], Trial]) -> None:
        """As `sweep`, but not more often than signs of life are given."""
        if time.monotonic() - self._swept >= self.terms.beat:
            self.sweep(failed)
            self._swept = time.monotonic()

    def sweep(self, failed: Callable[[FrozenTrial], Trial]) -> list[int]:
        """Put the trials of lost workers back to those that wait; the result is their numbers.

        One that took several workers down with it is recorded as failed instead, by what `failed` makes of
        it. Where a worker was merely held up, the first to finish a trial is the one that counts.
        """
        found = [trial for trial in self.trials(TrialState.RUNNING) if trial._trial_id in self._lost()]
        for trial in found:
            n_lost = int(trial.user_attrs.get(N_LOST, 0)) + 1
            with suppress(UpdateFinishedTrialError):
                if n_lost >= MOST_LOST:
                    self._fail(trial, failed(trial))
                    continue
                self.do(partial(self._put_back, trial._trial_id, n_lost))
        return [trial.number for trial in found]

    def _put_back(self, trial_id: int, n_lost: int) -> None:
        self.storage.set_trial_user_attr(trial_id, N_LOST, n_lost)
        self.storage.set_trial_state_values(trial_id, TrialState.WAITING)

    def _fail(self, trial: FrozenTrial, record: Trial) -> None:
        self.keep(trial._trial_id, Result(record), TrialState.FAIL, None)
        self._known.discard(trial.number)  # news to ourselves as well

    def _lost(self) -> set[int]:
        """Running trials whose last sign of life is too old, and those that never had one for as long."""
        stale = set(self.do(lambda: self.storage._get_stale_trial_ids(self.study._study_id)))
        return (stale | self._signs.silent(self.trials(TrialState.RUNNING))) - self._signs.held()


def result_of(trial: FrozenTrial) -> Result:
    """What became of a finished trial; a failed one where something else than ours ended it."""
    text = trial.user_attrs.get(RESULT)
    if text is not None:
        return Result.from_json(json.loads(text))
    cause = "it was ended in the storage by something else"
    return Result(Trial(trial.number, "unknown", dict(trial.params), "failed", cause=cause))


def _last_epoch(trial: Trial) -> int:
    return trial.checkpoints[-1] if trial.checkpoints else 1


# -- making and finding ------------------------------------------------------


def found(url: str, name: str, terms: Terms, *, has_trials: bool = False) -> Shared:
    """The coordinator's view of a study, which is made unless it was begun for the same run.

    Parameters
    ----------
    has_trials : bool
        Whether the run has trials already, so that its study must be there.

    Raises
    ------
    StorageError
        If the storage cannot be used.
    TermsError
        If the study of this name belongs to another run, or is missing where it must be there.
    """
    storage = open_storage(url)
    if has_trials and name not in patiently(lambda: optuna.get_all_study_names(storage), url):
        raise TermsError(
            f"a run goes on in the storage that it was begun in, and {redacted(url)} has no study {name!r}"
        )
    study = patiently(
        lambda: optuna.create_study(
            storage=storage, study_name=name, direction="minimize", load_if_exists=True,
            pruner=optuna.pruners.NopPruner(),
        ),
        url,
    )  # fmt: skip
    stored = patiently(lambda: study.user_attrs, url).get(TERMS)
    if stored is None:
        patiently(lambda: study.set_user_attr(TERMS, asdict(terms)), url)
    elif stored["run"] != terms.run:
        raise TermsError(
            f"the storage {redacted(url)} has a study {name!r} of another run: tell another --name"
        )
    return Shared(url, name, storage, study)


def joined(url: str, name: str) -> Shared:
    """A worker's view of a study that a coordinator began.

    Raises
    ------
    StorageError
        If the storage cannot be used.
    TermsError
        If it has no such study.
    """
    storage = open_storage(url)
    names = list(patiently(lambda: optuna.get_all_study_names(storage), url))
    if name not in names:
        known = ", ".join(sorted(names)) or "none"
        raise TermsError(f"a worker joins a study that was begun, and {name!r} was not: there are {known}")
    study = patiently(lambda: optuna.load_study(study_name=name, storage=storage), url)
    return Shared(url, name, storage, study)


def _terms_of(study: optuna.Study, url: str) -> Terms:
    stored = patiently(lambda: study.user_attrs, url).get(TERMS)
    if stored is None:
        raise TermsError(f"the study {study.study_name!r} was begun by another program than this one")
    return Terms(**stored)
