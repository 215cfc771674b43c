"""The folder of a KFoldTuner's project: what its folds gave, and whose search it is."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from search.kfold_inputs import FoldError

Array = NDArray[Any]
PROJECT, FOLDS, STATE = "folds.json", "folds.npz", "state.npz"


class Store:
    """Files below a project's folder, each replaced as a whole; nothing is pickled.

    Parameters
    ----------
    place : Path
        The project's folder.
    is_new : bool
        Whether what is there is to be overwritten.
    """

    def __init__(self, place: Path, *, is_new: bool) -> None:
        self._place = place
        path = place / PROJECT
        found = {} if is_new or not path.exists() else json.loads(path.read_text(encoding="utf-8"))
        self.project: dict[str, Any] = found

    def hold(self, now: Mapping[str, Any]) -> None:
        """Hold the folder to one search; None: not known yet.

        Raises
        ------
        FoldError
            If it belongs to a search that differs.
        """
        known = {name: value for name, value in now.items() if value is not None}
        for name, value in known.items():
            if self.project.get(name, value) != value:
                raise FoldError(
                    f"{self._place} belongs to a search with another {name}: "
                    "use overwrite=True or another project_name"
                )
        self.project = {**self.project, **known}
        self._place.mkdir(parents=True, exist_ok=True)
        path = self._place / PROJECT
        aside = path.with_suffix(".new")
        aside.write_text(json.dumps(self.project), encoding="utf-8")
        aside.replace(path)

    def keep(self, trial_id: str, arrays: Mapping[str, Any]) -> None:
        """Keep what the folds of a trial gave."""
        _write(self._path(trial_id, FOLDS), arrays)

    def load(self, trial_id: str) -> dict[str, Array]:
        """What the folds of a trial gave.

        Raises
        ------
        FoldError
            If it was not completed.
        """
        path = self._path(trial_id, FOLDS)
        if not path.exists():
            raise FoldError(f"a trial must be completed to have folds, got {trial_id!r}")
        return _read(path)

    def keep_state(self, trial_id: str, state: Mapping[str, Array] | None) -> None:
        """Keep where the members of a trial stopped; None: they will not go on."""
        if state is not None:
            _write(self._path(trial_id, STATE), state)

    def state(self, trial_id: str) -> dict[str, Array] | None:
        """Where the members of a trial stopped; None where that is not known (any more)."""
        path = self._path(trial_id, STATE)
        return _read(path) if path.exists() else None

    def forget_states(self, awaited: Collection[str] = ()) -> None:
        """Remove the states of all trials but the awaited ones."""
        for path in self._states():
            if path.parent.name.removeprefix("trial_") not in awaited:
                path.unlink()

    def _states(self) -> Iterator[Path]:
        yield from self._place.glob(f"trial_*/{STATE}")

    def _path(self, trial_id: str, name: str) -> Path:
        return self._place / f"trial_{trial_id}" / name


def _write(path: Path, arrays: Mapping[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(f"{path.stem}.new.npz")
    np.savez(aside, allow_pickle=False, **arrays)
    aside.replace(path)


def _read(path: Path) -> dict[str, Array]:
    with np.load(path, allow_pickle=False) as stored:
        return {name: stored[name] for name in stored.files}
