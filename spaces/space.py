"""Space: named parameters and conditions, what a configuration may be."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeAlias

from spaces import grid, overrides
from spaces.parameters import Choice, Float, Int, Parameter, SpaceError, Value, is_same, parameter_from_json

if TYPE_CHECKING:
    import numpy as np

Config: TypeAlias = dict[str, Value]


@dataclass(frozen=True)
class Condition:
    """A parameter is active while ``parameter`` is active and its value is among ``values``."""

    parameter: str
    values: tuple[Value, ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, "values", tuple(self.values))
        if not self.values:
            raise SpaceError(f"a condition needs at least one value, got none for {self.parameter!r}")

    def is_met(self, config: Mapping[str, Value]) -> bool:
        """Whether a configuration (complete up to the parent) fulfils the condition."""
        if self.parameter not in config:
            return False
        return any(is_same(config[self.parameter], value) for value in self.values)


@dataclass(frozen=True)
class Space:
    """What may be tried: parameters in order, conditions between them, fixed values.

    Parameters
    ----------
    parameters : mapping of str to Parameter
        In the order in which they are asked for.
    conditions : mapping of str to Condition
        When the named parameter is active; a condition points to an earlier parameter (a Choice or an
        Int without log) or to a fixed name.
    fixed : mapping of str to Value
        Values that every configuration carries.
    extras : mapping of str to Extra
        What an override may add; no part of what is searched, so not of equality, JSON or fingerprint.

    Raises
    ------
    SpaceError
        If a name stands twice, or a condition points nowhere, forward or to a continuous parameter.
    """

    parameters: Mapping[str, Parameter]
    conditions: Mapping[str, Condition] = field(default_factory=dict)
    fixed: Mapping[str, Value] = field(default_factory=dict)
    extras: Mapping[str, overrides.Extra] = field(default_factory=dict, compare=False, repr=False)

    def __post_init__(self) -> None:
        for name in ("parameters", "conditions", "fixed", "extras"):
            object.__setattr__(self, name, dict(getattr(self, name)))
        self._check_names()
        self._check_conditions()

    def _check_names(self) -> None:
        for name, parameter in self.parameters.items():
            if not isinstance(parameter, Parameter):
                raise SpaceError(f"{name!r} must be an Int, Float or Choice, got {parameter!r}")
        for name, value in self.fixed.items():
            Choice([value])
            if name in self.parameters:
                raise SpaceError(f"a name is searched or fixed, not both, got {name!r} twice")
        for name in (*self.parameters, *self.fixed):
            if not isinstance(name, str) or not name:
                raise SpaceError(f"a name must be a text that is not empty, got {name!r}")

    def _check_conditions(self) -> None:
        order = {name: k for k, name in enumerate((*self.fixed, *self.parameters))}
        for name, condition in self.conditions.items():
            if name not in self.parameters:
                raise SpaceError(f"a condition must belong to a searched parameter, got {name!r}")
            if order.get(condition.parameter, len(order)) >= order[name]:
                raise SpaceError(
                    f"the condition of {name!r} must point to an earlier name, got {condition.parameter!r}"
                )
            parent = self.parameters.get(condition.parameter)
            if isinstance(parent, Float) or (isinstance(parent, Int) and parent.log):
                raise SpaceError(
                    f"the condition of {name!r} must stand on a Choice or an Int without log, got {parent}"
                )

    @property
    def names(self) -> tuple[str, ...]:
        """All names, fixed ones first."""
        return (*self.fixed, *self.parameters)

    @property
    def known(self) -> tuple[str, ...]:
        """All names that an override may give: those of the space, then the extras that it does not have."""
        return (*self.names, *(name for name in self.extras if name not in self.names))

    def is_active(self, name: str, config: Mapping[str, Value]) -> bool:
        """Whether a parameter takes part in a configuration that is complete up to it."""
        condition = self.conditions.get(name)
        return condition is None or condition.is_met(config)

    def walk(self, suggest: Callable[[str, Parameter], Value]) -> Config:
        """Ask for the active parameters in order.

        Returns
        -------
        dict
            The fixed values and those of the active parameters, nothing else.

        Raises
        ------
        SpaceError
            If a suggestion is not a value of its parameter.
        """
        config: Config = dict(self.fixed)
        for name, parameter in self.parameters.items():
            if not self.is_active(name, config):
                continue
            value = suggest(name, parameter)
            if not parameter.contains(value):
                raise SpaceError(f"{name!r} must be a value of {parameter}, got {value!r}")
            config[name] = value
        return config

    def sample(self, rng: np.random.Generator) -> Config:
        """One configuration at random, each active parameter uniform on its unit interval."""
        return self.walk(lambda name, parameter: parameter.from_unit(rng.random()))

    def contains(self, config: Mapping[str, Value]) -> bool:
        """Whether a configuration has exactly the active names, each with a value of its own."""
        return self.explain(config) is None

    def explain(self, config: Mapping[str, Value]) -> str | None:
        """Why a configuration is not contained, in one line; None if it is."""
        for name, value in self.fixed.items():
            if name not in config or not is_same(config[name], value):
                return f"{name!r} is fixed to {value!r}, got {config.get(name)!r}"
        for name, parameter in self.parameters.items():
            if self.is_active(name, config) != (name in config):
                return f"{name!r} is " + ("inactive, yet present" if name in config else "active, but absent")
            if name in config and not parameter.contains(config[name]):
                return f"{name!r} must be a value of {parameter}, got {config[name]!r}"
        unknown = [name for name in config if name not in self.fixed and name not in self.parameters]
        return f"{unknown[0]!r} is not a name of this space" if unknown else None

    def searched(self, config: Mapping[str, Value]) -> Config:
        """The part of a configuration that was searched: all but the fixed names."""
        return {name: config[name] for name in self.parameters if name in config}

    @property
    def n_configs(self) -> int | None:
        """How many configurations there are; None if a reachable parameter is continuous."""
        return grid.n_configs(self)

    @property
    def is_finite(self) -> bool:
        """Whether the configurations can be counted."""
        return self.n_configs is not None

    def override(self, table: Mapping[str, Any]) -> Space:
        """A space with some names fixed, ranged or given choices; see `spaces.overrides.override`."""
        return overrides.override(self, table)

    def to_json(self) -> dict[str, Any]:
        """As plain JSON data, order kept."""
        return {
            "parameters": [{"name": name, **p.to_json()} for name, p in self.parameters.items()],
            "conditions": {
                name: {"parameter": condition.parameter, "values": list(condition.values)}
                for name, condition in self.conditions.items()
            },
            "fixed": dict(self.fixed),
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Space:
        """Read what `to_json` wrote."""
        return cls(
            parameters={
                item["name"]: parameter_from_json({k: v for k, v in item.items() if k != "name"})
                for item in data["parameters"]
            },
            conditions={
                name: Condition(item["parameter"], tuple(item["values"]))
                for name, item in data["conditions"].items()
            },
            fixed=dict(data["fixed"]),
        )

    @property
    def fingerprint(self) -> str:
        """sha256 of the JSON form: equal for equal spaces, in any process."""
        text = json.dumps(self.to_json(), sort_keys=True, ensure_ascii=True)
        return hashlib.sha256(text.encode()).hexdigest()
