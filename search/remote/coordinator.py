"""The coordinator's loop: gather what workers finished, by their numbers, until the study has ended."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress

from search.ledger import Event
from search.remote.artifacts import Artifacts
from search.remote.proposer import SharedProposer
from search.remote.shared import AT_THE_END, ENDED, Shared
from search.remote.storage import StorageError
from search.remote.terms import Result
from search.study import Study, whole

SECONDS_BETWEEN_LOOKS = 0.5
INTERRUPTED = "the coordinator was interrupted"


def coordinate(
    shared: Shared,
    study: Study,
    proposer: SharedProposer,
    artifacts: Artifacts,
    own_work: Callable[[threading.Event], str] | None = None,
) -> str:
    """Gather trials into the run of a study until it has ended; the result says what ended it.

    Parameters
    ----------
    study : Study
        Has taken up the trials that its run holds already. Others' trials come in by their number, each
        once, with their entries for the ledger and their files.
    proposer : SharedProposer
        Says what a trial was whose workers were all lost.
    own_work : callable, optional
        Trains trials in a thread of this process until the study has ended, or what it is given is set.
    """
    stop = threading.Event()
    with ThreadPoolExecutor(1) as pool:
        own = pool.submit(own_work, stop) if own_work else None
        try:
            return _Gathering(shared, study, proposer, artifacts, own).run()
        except BaseException:
            stop.set()
            with suppress(StorageError):
                shared.tell({ENDED: INTERRUPTED}, AT_THE_END)
            raise
        finally:
            stop.set()


class _Gathering:
    """Trials that wait for those with lower numbers."""

    def __init__(
        self,
        shared: Shared,
        study: Study,
        proposer: SharedProposer,
        artifacts: Artifacts,
        own: Future[str] | None,
    ) -> None:
        self._shared, self._study, self._proposer, self._own = shared, study, proposer, own
        self._artifacts = artifacts
        self._waiting: dict[int, Result] = {}
        self._n_next = 0

    def run(self) -> str:
        started, reason = time.monotonic(), None
        while True:
            is_quiet = not self._shared.n_running()
            self._hear()
            reason = self._take_up_to_gap() or reason
            reason = reason or self._reason(time.monotonic() - started)
            if reason is not None:
                self._shared.tell({ENDED: reason})
                if is_quiet:
                    return self._take_rest() or reason
            if self._own is not None and self._own.done():
                self._own.result()  # what went wrong there goes wrong here
            time.sleep(SECONDS_BETWEEN_LOOKS)
            self._shared.sweep_when_due(self._proposer.lost)

    def _hear(self) -> None:
        kept = {trial.number for trial in self._study.trials}
        new = (result for result in self._shared.news() if result.trial.number not in kept)
        self._waiting.update((result.trial.number, result) for result in new)

    def _take_up_to_gap(self) -> str | None:
        kept, reason = {trial.number for trial in self._study.trials}, None
        while self._n_next in kept or self._n_next in self._waiting:
            if self._n_next in self._waiting:
                reason = self._take(self._waiting.pop(self._n_next)) or reason
            self._n_next += 1
        return reason

    def _take_rest(self) -> str | None:
        """What was finished behind a trial that was never run to its end."""
        self._hear()
        reasons = [self._take(self._waiting.pop(number)) for number in sorted(self._waiting)]
        return next(filter(None, reasons), None)

    def _take(self, result: Result) -> str | None:
        """Bring a trial into the run: files, then entries, then the line that says they are there."""
        trial, study = result.trial, self._study
        if trial.checksums and not self._artifacts.fetch(study.run, trial, result.files):
            trial = study.mended(trial)
        with whole():
            for event in result.events:
                study.ledger.enter(Event(**event))
            study.run.append_trial(trial)
            study.join([trial])
        study.on_trial(trial, study.trials)
        return study.enough(trial) if study.enough else None

    def _reason(self, seconds: float) -> str | None:
        n_exhausted = self._shared.exhausted
        if n_exhausted is not None and len(self._study.trials) >= n_exhausted:
            return f"the space was exhausted after {n_exhausted} trials"
        return self._study.reason_to_stop(seconds, 0)
