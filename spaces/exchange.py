"""Spaces of others: KerasTuner's HyperParameters both ways, and Optuna's distributions into a Space.

`search.proposers.optuna_driver.to_distributions` is the way to Optuna. Both libraries are imported when a
function here is called.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from spaces.parameters import Choice, Float, Int, Parameter, SpaceError, Value
from spaces.space import Condition, Space

if TYPE_CHECKING:
    import keras_tuner
    from optuna.distributions import BaseDistribution

Seen = tuple[Parameter, Condition | None]


def to_keras_tuner(space: Space) -> keras_tuner.HyperParameters:
    """The HyperParameters with the values and conditions of a space, readable by a ``build(hp)``.

    Parameters that can never be active are left out. Fixed names become ``Fixed``.

    Raises
    ------
    SpaceError
        If a choice holds None or options of several types, which KerasTuner does not take.
    """
    import keras_tuner

    table = keras_tuner.HyperParameters()
    for name, value in space.fixed.items():
        _check_options(name, (value,))
        table.Fixed(name, value)
    known = set(space.fixed)
    for name, parameter in space.parameters.items():
        chain = [(c.parameter, _reachable(space, c)) for c in conditions_of(space, name)]
        if not all(parent in known and values for parent, values in chain):
            continue
        with ExitStack() as scopes:
            for parent, values in chain:
                scopes.enter_context(table.conditional_scope(parent, values))
            _register(table, name, parameter)
        known.add(name)
    return table


def from_keras_tuner(table: keras_tuner.HyperParameters) -> Space:
    """The space that HyperParameters stand for, in their order.

    ``reverse_log`` ranges become plain ones, and multiplied steps (``sampling="log"``) choices of values.
    Of nested scopes the innermost is kept, which holds the others where it stands inside them; a parameter
    under scopes of several parents is always active.

    Raises
    ------
    SpaceError
        If one name stands for several ranges, or a scope hangs on a continuous parameter.
    """
    seen: dict[str, list[Seen]] = {}
    fixed: dict[str, Value] = {}
    for item in table.space:
        if type(item).__name__ == "Fixed" and not item.conditions:
            fixed[item.name] = item.value
            continue
        seen.setdefault(item.name, []).append((_parameter(item), _innermost(item)))
    merged = {name: merge(name, entries) for name, entries in seen.items() if name not in fixed}
    return Space(
        {name: parameter for name, (parameter, _) in merged.items()},
        {name: condition for name, (_, condition) in merged.items() if condition is not None},
        fixed,
    )


def from_optuna(
    distributions: Mapping[str, BaseDistribution], conditions: Mapping[str, Condition] | None = None
) -> Space:
    """The space of Optuna's distributions, in their order.

    Parameters
    ----------
    distributions : mapping of str to Int-, Float- or CategoricalDistribution
    conditions : mapping of str to Condition, optional
        Optuna has none: when each name takes part.

    Raises
    ------
    SpaceError
        If a distribution is of another kind, or a condition does not fit the space.
    """
    return Space(
        {name: _of_distribution(name, item) for name, item in distributions.items()}, conditions or {}
    )


def stepped(low: float, high: float, step: float) -> Float:
    """Steps from ``low`` to the last that does not pass ``high``.

    >>> stepped(0.0, 1.0, 0.3).high
    0.9
    """
    first, width = Decimal(repr(float(low))), Decimal(repr(float(step)))
    last = first + (Decimal(repr(float(high))) - first) // width * width
    return Float(float(low), float(last), step=float(step))


def conditions_of(space: Space, name: str) -> list[Condition]:
    """The conditions of a parameter, those of its ancestors first."""
    chain: list[Condition] = []
    while name in space.conditions:
        chain.insert(0, space.conditions[name])
        name = space.conditions[name].parameter
    return chain


def merge(name: str, entries: list[Seen]) -> Seen:
    """One parameter and condition of all places where a name was asked for.

    Raises
    ------
    SpaceError
        If the places do not agree about its values.
    """
    parameter = entries[0][0]
    if any(other != parameter for other, _ in entries):
        raise SpaceError(f"a name must stand for one range everywhere, got several for {name!r}")
    conditions = [condition for _, condition in entries if condition is not None]
    if len(conditions) < len(entries) or len({c.parameter for c in conditions}) > 1:
        return parameter, None
    values = dict.fromkeys((type(v), v) for c in conditions for v in c.values)
    return parameter, Condition(conditions[0].parameter, tuple(value for _, value in values))


def _register(table: keras_tuner.HyperParameters, name: str, parameter: Parameter) -> None:
    if isinstance(parameter, Int):
        log, step = ("log", None) if parameter.log else ("linear", parameter.step)
        table.Int(name, parameter.low, parameter.high, step=step, sampling=log)
    elif isinstance(parameter, Float):
        log = "log" if parameter.log else "linear"
        table.Float(name, parameter.low, parameter.high, step=parameter.step, sampling=log)
    else:
        _check_options(name, parameter.options)
        if not isinstance(parameter.options[0], bool):
            table.Choice(name, list(parameter.options), ordered=False)
        elif len(parameter.options) == 2:  # KerasTuner turns a choice of booleans into one of numbers
            table.Boolean(name, default=parameter.options[0])
        else:
            table.Fixed(name, parameter.options[0])


def _check_options(name: str, options: tuple[Value, ...]) -> None:
    if None in options or len({type(option) for option in options}) > 1:
        raise SpaceError(
            f"KerasTuner takes options of one type and no None, got {list(options)} for {name!r}"
        )


def _reachable(space: Space, condition: Condition) -> list[Value]:
    """The values of a condition that its parent can take."""
    fixed, parent = space.fixed, condition.parameter
    parameter = Choice((fixed[parent],)) if parent in fixed else space.parameters[parent]
    return [value for value in condition.values if parameter.contains(value)]


def _innermost(item: Any) -> Condition | None:
    if not item.conditions:
        return None
    parent = item.conditions[-1]
    return Condition(parent.name, tuple(parent.values))


def _parameter(item: Any) -> Parameter:
    kind = type(item).__name__
    if kind == "Fixed":
        return Choice((item.value,))
    if kind == "Boolean":
        return Choice((bool(item.default), not item.default))
    if kind == "Choice":
        return Choice(tuple(dict.fromkeys(item.values)))
    is_log = item.sampling == "log"
    if item.step is not None and item.sampling != "linear":
        return Choice(tuple(item.values))
    if kind == "Int":
        if is_log:
            return Int(item.min_value, item.max_value, log=True)
        step = item.step or 1
        last = item.min_value + (item.max_value - item.min_value) // step * step
        return Int(item.min_value, last, step=step)
    if item.step is not None:
        return stepped(item.min_value, item.max_value, item.step)
    return Float(float(item.min_value), float(item.max_value), log=is_log)


def _of_distribution(name: str, item: BaseDistribution) -> Parameter:
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

    if isinstance(item, CategoricalDistribution):
        return Choice(item.choices)
    if isinstance(item, IntDistribution):
        return Int(item.low, item.high, step=1 if item.log else item.step, log=item.log)
    if not isinstance(item, FloatDistribution):
        raise SpaceError(f"a distribution must be int, float or categorical, got {item!r} for {name!r}")
    if item.step is not None:
        return stepped(item.low, item.high, item.step)
    return Float(item.low, item.high, log=item.log)
