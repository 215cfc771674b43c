"""Families: the kinds of model that can be searched, each loaded when it is first used."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from spaces.space import Space

if TYPE_CHECKING:
    import keras

    from spaces.signature import Signature


@dataclass(frozen=True)
class DefaultSpace:
    """A module's ``default_space``, imported at the first call."""

    module: str

    def __call__(self, signature: Signature) -> Space:
        """The module's default space for a table."""
        space: Space = _load(self.module, "default_space")(signature)
        return space


@dataclass(frozen=True)
class Family:
    """A kind of model: what may be tried of it, and how a configuration becomes a Keras model.

    Parameters
    ----------
    name : str
        What people write, and what records say.
    space : callable
        ``space(signature) -> Space``, the default space for a table.
    module : str
        Import path of a module with ``build``, ``structure`` and ``dials`` as described below;
        it is imported when one of them is first called, so that naming a family costs nothing.
    """

    name: str
    space: Callable[[Signature], Space]
    module: str

    def build(self, config: Mapping[str, Any], signature: Signature) -> keras.Model:
        """A new, uncompiled Keras model of a configuration."""
        return _load(self.module, "build")(config, signature)

    def first_configs(self, signature: Signature) -> tuple[dict[str, Any], ...]:
        """Configurations worth trying first."""
        configs: tuple[dict[str, Any], ...] = _load(self.module, "first_configs")(signature)
        return configs

    def structure(self, config: Mapping[str, Any]) -> tuple[Any, ...]:
        """The hashable part of a configuration that shapes the compiled program."""
        structure: tuple[Any, ...] = _load(self.module, "structure")(config)
        return structure

    def dials(self, config: Mapping[str, Any]) -> dict[str, float]:
        """The numbers of a configuration that are set without tracing the program again."""
        dials: dict[str, float] = _load(self.module, "dials")(config)
        return dials


def family(name: str, module: str) -> Family:
    """A family whose four functions (``default_space`` too) stand in one module."""
    return Family(name, DefaultSpace(module), module)


def _load(module: str, function: str) -> Callable[..., Any]:
    loaded: Callable[..., Any] = getattr(importlib.import_module(module), function)
    return loaded


FAMILIES: dict[str, Family] = {"mlp": family("mlp", "spaces.mlp")}
