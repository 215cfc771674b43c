"""Signs of life: how the others know that the worker of a trial is still there."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from typing import final

from optuna.exceptions import UpdateFinishedTrialError
from optuna.storages import RDBStorage
from optuna.trial import FrozenTrial

from search.remote.terms import Terms

HOLDER = "holder"


@final
class Signs:
    """Signs of life of the trials that a process holds, from a thread of their own."""

    def __init__(self, storage: RDBStorage, terms: Terms) -> None:
        self._storage, self._terms = storage, terms
        self._held: set[int] = set()
        self._lock = threading.Lock()
        self._is_over = threading.Event()
        self._thread: threading.Thread | None = None
        self._seen: dict[int, float] = {}

    def held(self) -> set[int]:
        with self._lock:
            return set(self._held)

    def give(self, trial_id: int) -> None:
        with self._lock:
            self._held.add(trial_id)
        self._sign(trial_id)
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="signs of life", daemon=True)
            self._thread.start()

    def forget(self, trial_id: int) -> None:
        with self._lock:
            self._held.discard(trial_id)

    def stop(self) -> None:
        self._is_over.set()
        if self._thread is not None:
            self._thread.join(5)

    def silent(self, running: Sequence[FrozenTrial]) -> set[int]:
        """Running trials that this process has seen without a holder for the whole grace period."""
        now = time.monotonic()
        mute = {trial._trial_id for trial in running if HOLDER not in trial.user_attrs}
        self._seen = {trial_id: self._seen.get(trial_id, now) for trial_id in mute}
        return {one for one, since in self._seen.items() if now - since > self._terms.grace}

    def _sign(self, trial_id: int) -> None:
        with suppress(UpdateFinishedTrialError):
            self._storage.record_heartbeat(trial_id)

    def _run(self) -> None:
        while not self._is_over.wait(self._terms.beat):
            for trial_id in self.held():
                with suppress(Exception):  # a database that is away: the next beat comes
                    self._sign(trial_id)
