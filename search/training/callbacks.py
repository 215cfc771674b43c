"""Keras callbacks of a user's: found by their import path, made for each member of a trial, checked.

Members that callbacks attend are trained by Keras' own ``fit`` (`search.training.attended`). Callbacks see
the training rows' loss alone: held-out rows are looked at by the study, which enters each look in its ledger.
"""

from __future__ import annotations

import importlib
import inspect
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from spaces.startup import import_tensorflow

if TYPE_CHECKING:
    import keras

N_ARGUMENTS = (0, 2, 3)


class CallbackError(ValueError):
    """Callbacks of a user's cannot be found, made or used; the message is one line."""


@dataclass(frozen=True)
class Callbacks:
    """Which callbacks attend the members of a trial; it can be sent to another process.

    Attributes
    ----------
    path : str
        Import path ``package.module:function``. The function gives a list of callbacks, and takes nothing, or
        ``(trial, member)``, or ``(trial, member, place)`` with a folder of their own as text.
    place : str
        Folder for the files of all trials; member 3 of trial 7 has ``PLACE/00007/03``.
    trial : int
        Number of the trial.
    """

    path: str
    place: str
    trial: int = 0

    def within(self, name: str) -> Callbacks:
        """The same with a folder of this name in between, for trainings beside those of the search."""
        return replace(self, place=str(Path(self.place) / name))

    def of(self, member: int) -> list[keras.callbacks.Callback]:
        """New callbacks for a member.

        Raises
        ------
        CallbackError
            If there is no such function, it fails, it does not give a list of callbacks, or one of them would
            look at held-out rows.
        """
        function = load_function(self.path)
        place = Path(self.place) / f"{self.trial:05d}" / f"{member:02d}"
        arguments = (self.trial, member, str(place))[: n_arguments(function, self.path)]
        if len(arguments) == 3:
            place.mkdir(parents=True, exist_ok=True)
        try:
            found = function(*arguments)
        except Exception as error:
            cause = " ".join(str(error).split())[:300]
            raise CallbackError(
                f"{self.path!r} must give callbacks: {type(error).__name__}: {cause}"
            ) from error
        return checked(found, self.path)


def attending(path: str | None, run_path: Path, name: str = "") -> Callbacks | None:
    """Who attends trainings of a run: their files are in ``RUN/callbacks/NAME``; None without a path."""
    return None if path is None else Callbacks(path, str((run_path / "callbacks" / name).absolute()))


def check_callbacks(path: str, *, has_networks: bool = True) -> None:
    """Refuse callbacks that cannot be made or have nothing to attend, before anything is trained.

    Raises
    ------
    CallbackError
        See `Callbacks.of`; also where no family of networks is searched.
    """
    if not has_networks:
        raise CallbackError(f"callbacks are for networks, and no family of them is searched, got {path!r}")
    with tempfile.TemporaryDirectory() as place:
        Callbacks(path, place).of(0)


def load_function(path: str) -> Callable[..., Any]:
    """The function at ``package.module:function``.

    Raises
    ------
    CallbackError
        If there is no such module or function.
    """
    module, _, name = path.partition(":")
    if not module or not name:
        raise CallbackError(f"callbacks must be named package.module:function, got {path!r}")
    import_tensorflow()
    try:
        found: Any = importlib.import_module(module)
    except ImportError as error:
        raise CallbackError(f"the module of {path!r} must be importable: {error}") from error
    for part in name.split("."):
        if not hasattr(found, part):
            raise CallbackError(f"the module {module!r} must have what is named, got {name!r}")
        found = getattr(found, part)
    if not callable(found):
        raise CallbackError(f"{path!r} must be a function, got {found!r}")
    return found  # type: ignore[no-any-return]


def n_arguments(function: Callable[..., Any], path: str) -> int:
    """How many arguments the function takes: those that have no default, or all if those are too few.

    Raises
    ------
    CallbackError
        If it takes another number than none, two or three.
    """
    kinds = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    taken = [p for p in inspect.signature(function).parameters.values() if p.kind in kinds]
    n_needed = sum(p.default is inspect.Parameter.empty for p in taken)
    for n in (len(taken), n_needed):
        if n in N_ARGUMENTS:
            return n
    raise CallbackError(f"{path!r} must take (), (trial, member) or (trial, member, place), got {n_needed}")


def checked(found: Any, path: str) -> list[keras.callbacks.Callback]:
    """What a user's function gave, if it is a list of callbacks that look at no held-out row.

    Raises
    ------
    CallbackError
        If it is not.
    """
    import keras

    if not isinstance(found, list | tuple):
        raise CallbackError(f"{path!r} must give a list of callbacks, got {found!r}")
    for callback in found:
        if not isinstance(callback, keras.callbacks.Callback):
            raise CallbackError(f"{path!r} must give instances of keras.callbacks.Callback, got {callback!r}")
        monitor, kind = getattr(callback, "monitor", None), type(callback).__name__
        is_watched = getattr(callback, "save_best_only", True)
        if is_watched and isinstance(monitor, str) and monitor.startswith("val_"):
            raise CallbackError(
                'callbacks must watch the training loss, monitor="loss": held-out rows are the study\'s, '
                f"got {kind}(monitor={monitor!r})"
            )
    return list(found)
