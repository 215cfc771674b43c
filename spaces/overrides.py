"""Overrides: the words of a person (TOML, flags) that fix, narrow, replace or add parameters of a space."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from spaces.parameters import Choice, Float, Int, Parameter, SpaceError, Value, is_number, is_same, is_whole

if TYPE_CHECKING:
    from spaces.space import Space

RANGE_KEYS = ("low", "high", "log", "step")


@dataclass(frozen=True)
class Extra:
    """A name that an override may add to a space, or the values that one of its names may have besides.

    Attributes
    ----------
    values : Parameter
        All that it may be; an override tells which of it is searched.
    parent : str or None
        Where it is added, it takes part while this name has one of ``parent_values``; None: always.
    """

    values: Parameter
    parent: str | None = None
    parent_values: tuple[Value, ...] = ()


def override(space: Space, table: Mapping[str, Any]) -> Space:
    """A space with some names fixed, ranged or given choices.

    A single value fixes a name (whatever the default range, as long as the type fits), a mapping with
    ``low``, ``high``, ``log``, ``step`` gives a range (what it leaves out stays), a list gives choices.

    A *switch* is a true/false Choice on which another parameter is active when true (``l2_on`` of ``l2``).
    Fixing the parameter also fixes its switch to true; ``0``, ``false`` or ``"off"`` (where the parameter
    itself does not take that value) fixes the switch to false; ``true`` or ``"on"`` fixes it to true and
    leaves the range. In a list, such an off-word stands for the switch: the rest are choices while it is on.

    A fixed value of a parameter that is active only sometimes stays so: it becomes a Choice of one option.

    A name of ``space.extras`` is added where the space does not have it; a range of it needs both ends. Its
    values stay within those of the extra.

    Raises
    ------
    SpaceError
        If a name is unknown (the nearest is named), a value does not fit, or two entries contradict.
    """
    for name in table:
        if name not in space.known:
            raise SpaceError(f"unknown parameter {name!r}{_nearest(name, space.known)}")
    edited = _with_extras(space, table)
    entries = _with_switches(edited, table)
    for name in edited.names:
        if name in entries:
            edited = _apply(edited, name, entries[name])
    return edited


def _with_extras(space: Space, table: Mapping[str, Any]) -> Space:
    """The space with the extras that a table names, each as wide as it may be."""
    from spaces.space import Condition

    for name, extra in space.extras.items():
        if name not in table or name in space.names:
            continue
        conditions = dict(space.conditions)
        if extra.parent is not None:
            conditions[name] = Condition(extra.parent, extra.parent_values)
        space = replace(space, parameters={**space.parameters, name: extra.values}, conditions=conditions)
    return space


def _with_switches(space: Space, table: Mapping[str, Any]) -> dict[str, Any]:
    """The entries with the switches that they imply; children first, so that chains are followed."""
    entries = dict(table)
    for name in reversed(space.names):
        switch = _switch(space, name)
        if name not in entries or switch is None:
            continue
        entry, is_on = _read_switched(space.parameters[name], entries.pop(name))
        if entry is not None:
            entries[name] = entry
        if is_on is not None:
            if isinstance(entries.get(switch), bool) and entries[switch] is not is_on:
                raise SpaceError(
                    f"{name!r} = {table.get(name)!r} needs {switch!r} to be {is_on}, got {entries[switch]!r}"
                )
            entries[switch] = is_on
    return entries


def _read_switched(parameter: Parameter, entry: Any) -> tuple[Any, bool | None]:
    """What remains of an entry for the parameter itself, and what its switch becomes (None: as it was)."""
    if isinstance(entry, Mapping):
        return entry, None
    if isinstance(entry, list | tuple):
        kept = [item for item in entry if not _is_off(parameter, item)]
        return (kept, None) if kept or not entry else (None, False)
    if _is_off(parameter, entry):
        return None, False
    if _is_on(parameter, entry):
        return None, True
    return entry, True


def _is_off(parameter: Parameter, entry: Any) -> bool:
    is_word = entry is False or entry == "off" or (is_number(entry) and entry == 0)
    return is_word and not parameter.contains(entry)


def _is_on(parameter: Parameter, entry: Any) -> bool:
    return (entry is True or entry == "on") and not parameter.contains(entry)


def _switch(space: Space, name: str) -> str | None:
    """The searched true/false parent on which ``name`` is active when true; None if there is none."""
    condition = space.conditions.get(name)
    if condition is None or len(condition.values) != 1 or condition.values[0] is not True:
        return None
    parent = space.parameters.get(condition.parameter)
    if parent is None:
        return condition.parameter if isinstance(space.fixed.get(condition.parameter), bool) else None
    is_switch = isinstance(parent, Choice) and all(isinstance(option, bool) for option in parent.options)
    return condition.parameter if is_switch else None


def _apply(space: Space, name: str, entry: Any) -> Space:
    parameter = space.parameters.get(name) or _of_fixed(space.fixed[name], entry)
    extra = space.extras.get(name)
    try:
        if isinstance(entry, Mapping):
            return _put(
                space, name, _range(parameter, entry) if extra is None else _within(parameter, extra, entry)
            )
        admitted = parameter if extra is None else _widened(parameter, extra)
        if isinstance(entry, list | tuple):
            return _put(space, name, Choice([_admit(admitted, item, extra) for item in entry]))
        return _fix(space, name, _admit(admitted, entry, extra))
    except SpaceError as error:
        raise SpaceError(f"{name}: {error}") from error


def _widened(parameter: Parameter, extra: Extra) -> Parameter:
    """What values are admitted of a parameter that may be more than it is."""
    if isinstance(parameter, Choice) and isinstance(extra.values, Choice):
        return Choice(list(dict.fromkeys([*parameter.options, *extra.values.options])))
    return extra.values


def _within(parameter: Parameter, extra: Extra, table: Mapping[str, Any]) -> Int | Float:
    """The range that a table gives a parameter, held against all that it may be."""
    if parameter is extra.values and not isinstance(parameter, Choice):
        for key in ("low", "high"):
            if key not in table:
                raise SpaceError(f"a range of it needs low and high, got {dict(table)!r}")
    made = _range(parameter, table)
    for end in (made.low, made.high):
        _check_within(extra, end)
    return made


def _check_within(extra: Extra, value: Value) -> None:
    values = extra.values
    if not isinstance(values, Choice) and not values.contains(value):
        raise SpaceError(f"the value must be from {values.low!r} to {values.high!r}, got {value!r}")


def _of_fixed(value: Value, entry: Any) -> Choice:
    """What a fixed name may become: any bool for a bool, any text for a text, a like number for a number."""
    if isinstance(value, bool):
        return Choice([False, True])
    if isinstance(value, str):
        items = entry if isinstance(entry, list | tuple) else [entry]
        return Choice(list(dict.fromkeys([value, *(item for item in items if isinstance(item, str))])))
    return Choice([value])


def _put(space: Space, name: str, parameter: Parameter) -> Space:
    """The parameter in its place; a name that was fixed comes first, so that conditions still look back."""
    fixed = {key: value for key, value in space.fixed.items() if key != name}
    parameters = {**({} if name in space.parameters else {name: parameter}), **space.parameters}
    return replace(space, parameters={**parameters, name: parameter}, fixed=fixed)


def _fix(space: Space, name: str, value: Value) -> Space:
    if not _is_always_active(space, name):
        return _put(space, name, Choice([value]))
    return replace(
        space,
        parameters={key: parameter for key, parameter in space.parameters.items() if key != name},
        conditions={key: condition for key, condition in space.conditions.items() if key != name},
        fixed={**space.fixed, name: value},
    )


def _is_always_active(space: Space, name: str) -> bool:
    return name not in space.conditions or space.conditions[name].is_met(space.fixed)


def _range(parameter: Parameter, table: Mapping[str, Any]) -> Int | Float:
    for key in table:
        if key not in RANGE_KEYS:
            raise SpaceError(f"a range has the keys {', '.join(RANGE_KEYS)}, got {key!r}")
    default = _numbers_as_range(parameter)
    low, high = table.get("low", default.low), table.get("high", default.high)
    step = table.get("step")
    is_log = table.get("log", default.log and step is None)
    if "step" not in table and not is_log:
        step = default.step if default.step and _divides(default, low, high) else None
    if isinstance(default, Int):
        return Int(low, high, step=1 if step is None else step, log=is_log)
    return Float(low, high, log=is_log, step=step)


def _divides(default: Int | Float, low: Any, high: Any) -> bool:
    """Whether the step of the default range also fits another pair of ends."""
    try:
        replace(default, low=low, high=high)
    except SpaceError:
        return False
    return True


def _numbers_as_range(parameter: Parameter) -> Int | Float:
    if not isinstance(parameter, Choice):
        return parameter
    options = [o for o in parameter.options if isinstance(o, int | float) and is_number(o)]
    if len(options) < parameter.n_values:
        raise SpaceError(f"takes a list of choices, not a range: its options are {list(parameter.options)!r}")
    if all(isinstance(option, int) for option in options):
        return Int(int(min(options)), int(max(options)))
    return Float(min(options), max(options))


def _admit(parameter: Parameter, value: Any, extra: Extra | None = None) -> Value:
    """The value, if its type fits the parameter; whole numbers become floats where floats are meant."""
    if isinstance(parameter, Choice):
        return _admit_option(parameter, value)
    if isinstance(parameter, Int):
        if not isinstance(value, int) or not is_whole(value):
            raise SpaceError(f"the value must be a whole number, got {value!r}")
        if abs(value) > 2**53:
            raise SpaceError(f"the value must be within 2**53 of 0, got {value!r}")
    elif not is_number(value):
        raise SpaceError(f"the value must be a finite number, got {value!r}")
    if parameter.log and value <= 0:
        raise SpaceError(f"the value must be above 0, got {value!r}")
    if extra is not None:
        _check_within(extra, value)
    return value if isinstance(parameter, Int) else float(value)


def _admit_option(parameter: Choice, value: Any) -> Value:
    if any(is_same(option, value) for option in parameter.options):
        return value  # type: ignore[no-any-return]
    if all(is_whole(option) for option in parameter.options) and isinstance(value, int) and is_whole(value):
        return value
    if all(isinstance(option, float) for option in parameter.options) and is_number(value):
        return float(value)
    hint = _nearest(value, [str(option) for option in parameter.options])
    raise SpaceError(f"the value must be one of {list(parameter.options)!r}, got {value!r}{hint}")


def _nearest(name: Any, names: Sequence[str]) -> str:
    close = difflib.get_close_matches(str(name), names, n=1)
    return f"; did you mean {close[0]!r}?" if close else f"; known: {', '.join(names)}"
