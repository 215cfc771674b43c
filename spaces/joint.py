"""One space over several families: a choice of family, and each one's own parameters while it is chosen.

A parameter is called ``family.parameter`` there; with a single family the space is that family's own.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from itertools import zip_longest
from typing import Any

from spaces.families import FAMILIES, family_of
from spaces.parameters import Choice, Parameter, SpaceError, Value
from spaces.signature import Signature
from spaces.space import Condition, Config, Space

FAMILY = "family"


def space_of(names: Sequence[str], signature: Signature, overrides: Mapping[str, Any]) -> Space:
    """The space over some families, with overrides.

    Parameters
    ----------
    names : sequence of str
        Families, at least one.
    overrides : mapping
        By parameter, for every family that has it; or by family, a table for this family alone.

    Raises
    ------
    SpaceError
        If an override names no parameter of these families, or breaks a rule of `Space.override`.
    """
    spaces = {name: family_of(name).space(signature) for name in names}
    shared = {key: value for key, value in overrides.items() if key not in FAMILIES}
    _check_names(shared, spaces)
    for name, space in spaces.items():
        own = {key: value for key, value in shared.items() if key in space.known}
        spaces[name] = space.override({**own, **_table_of(name, overrides)})
    return next(iter(spaces.values())) if len(spaces) == 1 else join(spaces)


def _check_names(shared: Mapping[str, Any], spaces: Mapping[str, Space]) -> None:
    if len(spaces) == 1:
        next(iter(spaces.values())).override(shared)
        return
    for key in shared:
        if not any(key in space.known for space in spaces.values()):
            known = dict.fromkeys(name for space in spaces.values() for name in space.known)
            close = difflib.get_close_matches(key, [*spaces, *known], n=1)
            raise SpaceError(
                f"an override must name one of {', '.join(spaces)}, or a parameter of one, got {key!r}"
                + (f"; did you mean {close[0]!r}?" if close else "")
            )


def _table_of(name: str, overrides: Mapping[str, Any]) -> Mapping[str, Any]:
    table = overrides.get(name, {})
    if not isinstance(table, Mapping):
        raise SpaceError(f"the overrides of a family must be a table, got {table!r} for {name!r}")
    return table


def join(spaces: Mapping[str, Space]) -> Space:
    """Join spaces by family name; each family's parameters are active while it is chosen."""
    parameters: dict[str, Parameter] = {FAMILY: Choice(tuple(spaces))}
    conditions: dict[str, Condition] = {}
    fixed: Config = {}
    for family, space in spaces.items():
        chosen = Condition(FAMILY, (family,))
        fixed |= {f"{family}.{name}": value for name, value in space.fixed.items()}
        for name, parameter in space.parameters.items():
            condition = space.conditions.get(name)
            if condition is not None and condition.parameter in space.fixed:
                if not condition.is_met(space.fixed):
                    continue
                condition = None
            parameters[f"{family}.{name}"] = parameter
            conditions[f"{family}.{name}"] = (
                chosen
                if condition is None
                else Condition(f"{family}.{condition.parameter}", condition.values)
            )
    return Space(parameters, conditions, fixed)


def split(names: Sequence[str], config: Mapping[str, Value]) -> tuple[str, Config]:
    """Family and own configuration of a configuration of `space_of`.

    >>> split(["mlp", "linear"], {"family": "linear", "mlp.depth": 2, "linear.strength": 1.0})
    ('linear', {'strength': 1.0})
    """
    if len(names) == 1:
        return names[0], dict(config)
    family = str(config[FAMILY])
    start = f"{family}."
    return family, {name[len(start) :]: value for name, value in config.items() if name.startswith(start)}


def first_configs(names: Sequence[str], space: Space, signature: Signature) -> list[Config]:
    """The families' configurations worth trying first, in turn; fitted where an override excludes a value."""
    turns = zip_longest(*(_named(name, names, signature) for name in names))
    found: list[Config] = []
    for good in (config for turn in turns for config in turn if config is not None):
        walked = space.walk(
            lambda name, p, good=good: good[name] if p.contains(good.get(name)) else p.from_unit(0.5)  # type: ignore[misc]
        )
        if walked not in found:
            found.append(walked)
    return found


def _named(family: str, names: Sequence[str], signature: Signature) -> list[Config]:
    configs = family_of(family).first_configs(signature)
    if len(names) == 1:
        return [dict(config) for config in configs]
    return [{FAMILY: family, **{f"{family}.{key}": v for key, v in config.items()}} for config in configs]
