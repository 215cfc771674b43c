"""What coordinator and workers agree on: a study in a database, its terms, and what became of each trial.

All of it is attributes of one Optuna study. A trial keeps its number for ever: one whose worker was lost goes
back to those that wait, and whoever takes it up trains the same configuration with the same seed.
"""

from __future__ import annotations

import copy
import os
import random
import socket
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any, TypeVar

import optuna
from optuna.exceptions import UpdateFinishedTrialError
from optuna.storages import RDBStorage
from optuna.storages._rdb.models import NOT_FOUND_MSG
from optuna.trial import FrozenTrial, TrialState

from search.proposers.optuna_driver import begin_with, check_first
from search.records import Trial
from search.remote import tables
from search.remote.address import redacted
from search.remote.desk import Desk
from search.remote.news import News
from search.remote.signs import Signs
from search.remote.storage import PATIENCE, RefusedError, StorageError, open_storage, patiently, rest
from search.remote.terms import Budget, NotYetError, Result, Terms, TermsError
from spaces.space import Config, Space

T = TypeVar("T")
TERMS, BUDGET, ENDED, EXHAUSTED = "foldstack", "budget", "ended", "exhausted"
AT_THE_END = 10.0  # seconds that a process that ends waits for the database
MOST_LOST = 3  # workers that one trial may take down with it
LOOKS_PER_SECOND = 32  # that all workers take together, about, while they have nothing to do
SHORTEST_PAUSE, LONGEST_PAUSE = 0.5, 30.0  # seconds between two looks of a worker that has nothing to do
MOST_NEWS = 100  # of other workers' trials that a worker reads at once where there are many
MANY = 40  # workers with which a connection is given back while it is not needed


@dataclass(frozen=True)
class Look:
    """What a process sees of a study at once: its settings, and how far it is.

    Attributes
    ----------
    n_trials : int
        The budget; fewer than asked for where the space was exhausted.
    ended : str or None
        Why no further trial may begin; None: they may.
    """

    n_trials: int
    ended: str | None
    standing: tables.Standing


class Shared:
    """One process's view of a study in a database; all of it waits while the database is away."""

    def __init__(self, url: str, name: str, storage: RDBStorage, study: optuna.Study) -> None:
        self.url, self.name, self.storage, self.study = url, name, storage, study
        self.terms = _terms_of(study, url)
        self._news = News(storage, self._study_id)
        self._most_running = 0
        self._holder = f"{socket.gethostname()}:{os.getpid()}"
        self._working = threading.RLock()
        self._signs = Signs(storage, self.terms, self.rest)
        self._next_sweep = float("-inf")

    def do(self, operation: Callable[[], T], patience: float = PATIENCE) -> T:
        """Do something with the database, patiently.

        Raises
        ------
        StorageError
            If it is away for too long, refuses what it is told, or does not have the study any more.
        """
        try:
            with self._working:
                return patiently(operation, self.url, patience)
        except RefusedError as refused:
            if not refused.is_gone:
                raise
        except KeyError as error:
            if error.args != (NOT_FOUND_MSG,):
                raise
        raise StorageError(self._gone) from None

    @property
    def _gone(self) -> str:
        return (
            f"the study {self.name} is gone from the storage {redacted(self.url)}: it was deleted or the "
            "database was emptied; what its run folder holds is kept"
        )

    @property
    def _study_id(self) -> int:
        return int(self.study._study_id)

    @property
    def desk(self) -> Desk:
        """Where trials are drawn."""
        found = self.study._storage
        assert isinstance(found, Desk)
        return found

    # -- the whole study -----------------------------------------------------

    @property
    def budget(self) -> Budget:
        """How many trials there are now; fewer than asked for where the space was exhausted."""
        told = self._settings(TERMS, BUDGET, EXHAUSTED)
        if BUDGET not in told:
            raise StorageError(self._gone)
        budget = Budget(**told[BUDGET])
        return Budget(min(budget.n_trials, told.get(EXHAUSTED) or budget.n_trials), budget.deadline)

    @property
    def ended(self) -> str | None:
        """Why no further trial may begin; None: they may."""
        found: str | None = self._settings(ENDED).get(ENDED)
        return found

    @property
    def exhausted(self) -> int | None:
        """How many trials the space had, if it was exhausted."""
        found: int | None = self._settings(EXHAUSTED).get(EXHAUSTED)
        return found

    def _settings(self, *keys: str) -> dict[str, Any]:
        def read() -> dict[str, Any]:
            with tables.transaction(self.storage) as session:
                return tables.settings(session, self._study_id, keys)

        return self.do(read)

    def look(self) -> Look:
        """The settings of the study and how far it is, without reading any trial.

        Raises
        ------
        StorageError
            If the study is gone.
        TermsError
            If it goes on with other terms.
        """

        def read() -> Look:
            with tables.transaction(self.storage) as session:
                told = tables.settings(session, self._study_id, (TERMS, BUDGET, ENDED, EXHAUSTED))
                self._check(told)
                n_trials = told[BUDGET]["n_trials"]
                limit = min(n_trials, told.get(EXHAUSTED) or n_trials)
                return Look(limit, told.get(ENDED), tables.standing(session, self._study_id, limit))

        found = self.do(read)
        self._most_running = max(self._most_running, found.standing.n_running)
        return found

    def _check(self, told: Mapping[str, Any]) -> None:
        """The study must be there, and still be what this process joined."""
        if TERMS not in told or BUDGET not in told:
            raise StorageError(self._gone)
        if told[TERMS]["config"] != self.terms.config:
            raise TermsError(
                "the study goes on with other terms than this worker joined with: start the worker again"
            )

    def n_running(self) -> int:
        """How many trials are trained now, by anybody."""
        return self.look().standing.n_running

    def pause(self) -> float:
        """Seconds until a worker that has nothing to do looks again: longer where there are more workers."""
        seconds = max(SHORTEST_PAUSE, self._most_running / LOOKS_PER_SECOND)
        return min(LONGEST_PAUSE, seconds) * (0.5 + random.random())

    def rest(self) -> None:
        """Give the connection back where there are many workers: nothing is asked of the database for now."""
        if self._most_running <= MANY or not self._working.acquire(blocking=False):
            return  # it is in use
        try:
            if self._signs.signing.acquire(blocking=False):
                try:
                    rest(self.storage)
                finally:
                    self._signs.signing.release()
        finally:
            self._working.release()

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
        return self.do(self._news.read)

    def latest(self) -> list[Result]:
        """As `news`, for a worker; but where there are many workers it reads the newest alone.

        Each of a thousand workers would read what each other did, and no more than these say what a trial is
        compared with. The coordinator reads all.
        """
        return self.do(partial(self._news.read, MOST_NEWS if self._most_running > MANY else None))

    def keep(self, trial_id: int, result: Result, state: TrialState, loss: float | None) -> bool:
        """Finish a trial; False if somebody else has finished it meanwhile, whose result stands."""
        self._news.know(result.trial.number)
        notes = result.to_notes()
        step = _last_epoch(result.trial) if state == TrialState.PRUNED else None

        def finish() -> bool:
            tables.finish(self.storage, trial_id, notes, state, loss, step)
            return True

        try:
            return self.do(finish)
        except UpdateFinishedTrialError:  # also where the answer to our own got lost with the connection
            return False
        finally:
            self._signs.forget(trial_id)

    # -- running trials ------------------------------------------------------

    def take(self, limit: int = sys.maxsize) -> tables.Taken | None:
        """Take a trial that waits, or a new one, and hold it; None where its number would be over the limit.

        Optuna's own `ask` does the same, and draws from a sampler before the number is known.
        """
        taken = tables.take_waiting(self.storage, self._study_id, limit, self._holder)
        taken = taken or tables.create(self.storage, self._study_id, limit, self._holder)
        if taken is not None:
            self._signs.give(taken.trial_id)
        return taken

    def seen_by(self, sampler: optuna.samplers.BaseSampler) -> optuna.Study:
        """The study as it is now, for a sampler; Optuna's objects remember what they saw between two asks."""
        seen = copy.copy(self.study)  # with a memory of its own
        seen.sampler = sampler
        return seen

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
        """As `sweep`, but not more often than signs of life are given, and not all processes at once."""
        if time.monotonic() >= self._next_sweep:
            self.sweep(failed)
            self._next_sweep = time.monotonic() + self.terms.beat * (1.0 + random.random())

    def sweep(self, failed: Callable[[FrozenTrial], Trial]) -> list[int]:
        """Put the trials of lost workers back to those that wait; the result is their numbers.

        One that took several workers down with it is recorded as failed instead, by what `failed` makes of
        it. Where a worker was merely held up, the first to finish a trial is the one that counts.
        """
        swept = []
        for trial_id in self._lost():
            n_lost = self.do(partial(tables.put_back, self.storage, trial_id, self.terms.grace, MOST_LOST))
            if n_lost is None:  # another process was quicker
                continue
            trial = self.do(partial(self.storage.get_trial, trial_id))
            if n_lost >= MOST_LOST:
                self._fail(trial, failed(trial))
            swept.append(trial.number)
        return swept

    def _fail(self, trial: FrozenTrial, record: Trial) -> None:
        self.keep(trial._trial_id, Result(record), TrialState.FAIL, None)
        self._news.forget(trial.number)

    def _lost(self) -> list[int]:
        """Running trials whose last sign of life is too old, and those that never had one for as long."""
        stale, mute = self.do(partial(tables.stale, self.storage, self._study_id, self.terms.grace))
        return sorted({*stale, *self._signs.silent(mute)} - self._signs.held())


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
    desk = Desk(storage)
    if has_trials and name not in patiently(lambda: optuna.get_all_study_names(desk), url):
        storage.engine.dispose()
        raise TermsError(
            f"a run goes on in the storage that it was begun in, and {redacted(url)} has no study {name!r}"
        )
    study = patiently(
        lambda: optuna.create_study(
            storage=desk, study_name=name, direction="minimize", load_if_exists=True,
            pruner=optuna.pruners.NopPruner(),
        ),
        url,
    )  # fmt: skip
    stored = patiently(lambda: study.user_attrs, url).get(TERMS)
    if stored is None:
        patiently(lambda: study.set_user_attr(TERMS, asdict(terms)), url)
        stored = patiently(lambda: study.user_attrs, url)[TERMS]  # another may have been as quick
    if stored["run"] != terms.run:
        storage.engine.dispose()
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
    NotYetError
        If it has no such study, or one that is not begun.
    """
    storage = open_storage(url)
    desk = Desk(storage)
    try:
        study = patiently(lambda: optuna.load_study(study_name=name, storage=desk), url)
    except KeyError:
        known = ", ".join(sorted(patiently(lambda: optuna.get_all_study_names(desk), url))) or "none"
        storage.engine.dispose()
        raise NotYetError(
            f"a worker joins a study that was begun, and {name!r} was not: there are {known}"
        ) from None
    if BUDGET not in patiently(lambda: study.user_attrs, url):
        storage.engine.dispose()
        raise NotYetError(
            f"a worker joins a study that was begun, and {name!r} is not begun yet, or not by us"
        )
    return Shared(url, name, storage, study)


def _terms_of(study: optuna.Study, url: str) -> Terms:
    stored = patiently(lambda: study.user_attrs, url).get(TERMS)
    if stored is None:
        raise TermsError(f"the study {study.study_name!r} was begun by another program than this one")
    return Terms(**stored)
