"""What was finished since the last look, without reading anything twice."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, final

from optuna.storages import RDBStorage
from optuna.trial import FrozenTrial

from search.records import Trial
from search.remote import tables
from search.remote.terms import RESULT, Result


@final
class News:
    """What a process knows of the trials of a study: which are finished, and which were open before."""

    def __init__(self, storage: RDBStorage, study_id: int) -> None:
        self._storage, self._study_id = storage, study_id
        self._known: set[int] = set()
        self._open: set[int] = set()
        self._highest = -1

    def know(self, number: int) -> None:
        """A trial that this process finishes is no news to it."""
        self._known.add(number)

    def forget(self, number: int) -> None:
        """A trial that this process finished for a lost worker is news to it too."""
        self._known.discard(number)

    def begin_at(self, is_open: set[int], highest: int) -> None:
        """As if the last look had found these trials open, and none above this identifier."""
        self._open, self._highest = set(is_open), highest

    def read(self, most: int | None = None) -> list[Result]:
        """What was finished since the last call, by number; of more than `most`, those with the highest."""
        found = tables.newly_finished(self._storage, self._study_id, self._open, self._highest)
        fresh = {one: number for one, number, is_over in found if is_over and number not in self._known}
        read = list(fresh)[-(most or len(fresh)) :]
        notes = tables.notes_of(self._storage, read, RESULT)
        results = [result_of(notes.get(one, {}), partial(self._storage.get_trial, one)) for one in read]
        self._known.update(fresh.values())
        self._open -= {one for one, _, is_over in found if is_over}
        self._open |= {one for one, _, is_over in found if not is_over}
        self._highest = max([self._highest, *(one for one, _, _ in found)])
        return results


def result_of(notes: Mapping[str, Any], whole: Callable[[], FrozenTrial]) -> Result:
    """What became of a finished trial by its notes; a failed one where something else than ours ended it."""
    result = Result.from_notes(notes)
    if result is not None:
        return result
    trial, cause = whole(), "it was ended in the storage by something else"
    return Result(Trial(trial.number, "unknown", dict(trial.params), "failed", cause=cause))
