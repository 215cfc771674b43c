"""Signs of life: how the others know that the worker of a trial is still there."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import final

from optuna.storages import RDBStorage

from search.remote import tables
from search.remote.terms import Terms


@final
class Signs:
    """Signs of life of the trials that a process holds, from a thread of their own.

    Parameters
    ----------
    rest : callable
        Called after the signs were given: nothing more is to be asked of the database for now.
    """

    def __init__(self, storage: RDBStorage, terms: Terms, rest: Callable[[], None]) -> None:
        self._storage, self._terms, self._rest = storage, terms, rest
        self._held: set[int] = set()
        self._lock, self.signing = threading.Lock(), threading.Lock()
        self._is_over = threading.Event()
        self._thread: threading.Thread | None = None
        self._seen: dict[int, float] = {}

    def held(self) -> set[int]:
        """Trials that this process holds."""
        with self._lock:
            return set(self._held)

    def give(self, trial_id: int) -> None:
        """Give signs of life for a trial, at every beat from now on; taking it was the first."""
        with self._lock:
            self._held.add(trial_id)
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="signs of life", daemon=True)
            self._thread.start()

    def forget(self, trial_id: int) -> None:
        """Give no further sign of life for a trial."""
        with self._lock:
            self._held.discard(trial_id)

    def stop(self) -> None:
        """Give no further sign of life for any trial."""
        self._is_over.set()
        if self._thread is not None:
            self._thread.join(5)

    def silent(self, mute: Iterable[int]) -> set[int]:
        """Of trials without any sign of life, those that this process has seen so for the grace period."""
        now = time.monotonic()
        self._seen = {trial_id: self._seen.get(trial_id, now) for trial_id in mute}
        return {one for one, since in self._seen.items() if now - since > self._terms.grace}

    def beat(self) -> None:
        """Give a sign of life for all trials that are held."""
        if held := self.held():
            with self.signing:
                tables.sign(self._storage, held)
        self._rest()

    def _run(self) -> None:
        while not self._is_over.wait(self._terms.beat):
            with suppress(Exception):  # a database that is away: the next beat comes
                self.beat()
