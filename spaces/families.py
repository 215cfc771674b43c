"""Families: the kinds of model that can be searched, each loaded when it is first used.

A family's module has ``default_space(signature)``, ``first_configs(signature)`` and ``structure(config)``;
that of a network ``build`` and ``dials`` besides (see `spaces.mlp`), any other one ``COLUMNS``, ``rounds``,
``fit``, ``predict``, ``pack`` and ``unpack`` (see `Fitted`).
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Literal, Protocol, cast

from spaces.space import Space

if TYPE_CHECKING:
    import keras
    import numpy as np

    from spaces.schema import Schema
    from spaces.signature import Signature


class Fitted(Protocol):
    """What the module of a family that is no network can do besides.

    Targets and predictions are ``(n_rows, n_outputs)``: probabilities, or values in standardised units.
    """

    COLUMNS: Literal["encoded", "ordinal"]
    """Which matrix it learns from; see `spaces.matrix`."""

    def rounds(self, config: Mapping[str, Any]) -> tuple[int, ...]:
        """Rounds at which a fitted model can be read, rising; ``(1,)`` for one that has none."""

    def fit(
        self,
        config: Mapping[str, Any],
        signature: Signature,
        x: np.ndarray,
        y: np.ndarray,
        *,
        seed: int,
        row_weights: np.ndarray | None = None,
        n_threads: int = 1,
    ) -> Any:
        """Fit a model."""

    def predict(self, model: Any, x: np.ndarray, n_rounds: int) -> np.ndarray:
        """Predict with the first rounds of a model."""

    def pack(self, model: Any) -> bytes:
        """A model as bytes that `unpack` reads without executing anything."""

    def unpack(self, data: bytes) -> Any:
        """The model of these bytes."""


@dataclass(frozen=True)
class Family:
    """A kind of model: what may be tried of it, and how a configuration becomes a model.

    Parameters
    ----------
    name : str
        What people write, and what records say.
    module : str
        Import path; imported when it is first needed, so that naming a family costs nothing.
    is_network : bool
        Whether it is trained in epochs by the engine; else it is fitted, each member on its own.
    package : str or None
        What must be installed for it, beyond the project's own dependencies.
    blocks : tuple of str
        Kinds of blocks that it is made for (`spaces.blocks`): it needs one of them. Empty: any columns but
        tokens.
    """

    name: str
    module: str
    is_network: bool = False
    package: str | None = None
    blocks: tuple[str, ...] = ()

    def suits(self, schema: Schema) -> bool:
        """Whether it can use the columns of a schema."""
        kinds = {block.kind for block in schema.blocks}
        if "tokens" in kinds and "tokens" not in self.blocks:
            return False
        return not self.blocks or bool(kinds & set(self.blocks))

    @property
    def is_installed(self) -> bool:
        """Whether what it needs can be imported."""
        return self.package is None or find_spec(self.package) is not None

    def space(self, signature: Signature) -> Space:
        """The default space for a table."""
        space: Space = self._module.default_space(signature)
        return space

    def first_configs(self, signature: Signature) -> tuple[dict[str, Any], ...]:
        """Configurations worth trying first."""
        configs: tuple[dict[str, Any], ...] = self._module.first_configs(signature)
        return configs

    def structure(self, config: Mapping[str, Any]) -> tuple[Any, ...]:
        """The hashable part of a configuration that makes it another kind of model, or compiled program."""
        structure: tuple[Any, ...] = self._module.structure(config)
        return structure

    def build(self, config: Mapping[str, Any], signature: Signature) -> keras.Model:
        """A new, uncompiled Keras model of a network's configuration."""
        return self._module.build(config, signature)

    def dials(self, config: Mapping[str, Any]) -> dict[str, float]:
        """The numbers of a network's configuration that are set without tracing the program again."""
        dials: dict[str, float] = self._module.dials(config)
        return dials

    def training(self, config: Mapping[str, Any], signature: Signature) -> dict[str, Any]:
        """How a network is trained beyond its configuration; a user's model says it when it is compiled."""
        return {}

    @property
    def fitted(self) -> Fitted:
        """What a family that is no network can do."""
        return cast(Fitted, self._module)

    @property
    def _module(self) -> Any:
        return importlib.import_module(self.module)


FAMILIES: dict[str, Family] = {
    family.name: family
    for family in (
        Family("mlp", "spaces.mlp", is_network=True),
        Family("tabm", "spaces.tabm", is_network=True),
        Family("convolutional", "spaces.convolutional", is_network=True, blocks=("image", "sequence")),
        Family("recurrent", "spaces.recurrent", is_network=True, blocks=("sequence", "tokens")),
        Family("linear", "spaces.linear"),
        Family("extra_trees", "spaces.extra_trees"),
        Family("random_forest", "spaces.random_forest"),
        Family("boosting", "spaces.boosting"),
        Family("lightgbm", "spaces.boosting_lightgbm", package="lightgbm"),
        Family("xgboost", "spaces.boosting_xgboost", package="xgboost"),
        Family("catboost", "spaces.boosting_catboost", package="catboost"),
    )
}


def family_of(name: str) -> Family:
    """The family of this name, or that of a user's own model, ``package.module:function``."""
    if ":" not in name:
        return FAMILIES[name]
    from spaces.hypermodel import Hypermodel

    return cast(Family, Hypermodel(name))
