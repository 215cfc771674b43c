"""A build function by its import path ``package.module:name``, by which it travels between processes."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Callable
from typing import Any, TypeAlias

Build: TypeAlias = Callable[[Any], Any]


class HypermodelError(ValueError):
    """A user's model cannot be found, built or trained; the message is one line."""


def load_build(path: str) -> Build:
    """The build function at ``package.module:name``; a HyperModel, or a class of one, gives its ``build``.

    Raises
    ------
    HypermodelError
        If there is no such module or attribute, or it cannot be called.
    """
    module_name, _, name = path.partition(":")
    if not module_name or not name or module_name.startswith("."):
        raise HypermodelError(f"a model must be named package.module:function, got {path!r}")
    try:
        found: Any = importlib.import_module(module_name)
    except ImportError as error:
        raise HypermodelError(f"the module of {path!r} must be importable: {error}") from error
    for part in name.split("."):
        if not hasattr(found, part):
            raise HypermodelError(f"the module {module_name!r} must have what is named, got {name!r}")
        found = getattr(found, part)
    if inspect.isclass(found):
        found = found()
    build = getattr(found, "build", found)
    if not callable(build):
        raise HypermodelError(f"a model must be a function or a HyperModel, got {build!r} for {path!r}")
    return build  # type: ignore[no-any-return]


def import_path(build: Build) -> str:
    """Where a build function can be imported from, as ``module:name``.

    Raises
    ------
    HypermodelError
        If it cannot be: a lambda, a local function, or one of ``__main__``.
    """
    module, name = getattr(build, "__module__", ""), getattr(build, "__qualname__", "")
    if not module or not name or module == "__main__" or "<" in name:
        raise HypermodelError(
            f"a model for another process must be a function of an importable module, got {build!r}"
        )
    return f"{module}:{name}"
