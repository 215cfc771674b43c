"""A user's own model as a family: KerasTuner's ``build(hp)`` or HyperModel, or Optuna-style ``build(trial)``.

A build function travels between processes by its import path ``package.module:name``. One that has none, as a
lambda or a function of ``__main__``, is trained in its own process by `search.kfold_tuner.KFoldTuner`.
"""

from __future__ import annotations

import inspect
import random
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from typing import TYPE_CHECKING, Any, TypeAlias, final

from spaces.build_path import Build, HypermodelError
from spaces.build_path import import_path as import_path
from spaces.build_path import load_build as load_build
from spaces.compiled import Compiled, read_compiled
from spaces.exchange import from_keras_tuner, merge, stepped
from spaces.inputs import features
from spaces.mlp import ACTIVATION_OF_TASK
from spaces.parameters import Choice, Float, Int, Parameter, SpaceError, Value
from spaces.signature import Signature
from spaces.space import Condition, Config, Space
from spaces.startup import import_tensorflow
from spaces.training import training_extras

if TYPE_CHECKING:
    import keras

Asked: TypeAlias = dict[str, tuple[Parameter, Condition | None]]

MOST_WALKS = 500
N_RANDOM_WALKS = 20
MOST_BRANCHES = 16  # values of a whole number that decides what else is asked for


@final
class DefinedByRun:
    """What an Optuna-style ``build(trial)`` is given: it answers from a configuration and takes note.

    Parameters
    ----------
    values : mapping
        Answers by name.
    is_open : bool
        Whether a name without an answer gets its first value; else it is an error.
    """

    def __init__(self, values: Mapping[str, Value], *, is_open: bool = False) -> None:
        self._values, self._is_open = values, is_open
        self.asked: Asked = {}
        self.params: Config = {}
        self.number = 0

    def suggest_int(self, name: str, low: int, high: int, *, step: int = 1, log: bool = False) -> int:
        """As Optuna's."""
        return self._answer(name, Int(low, low + (high - low) // step * step, step=step, log=log))  # type: ignore[return-value]

    def suggest_float(
        self, name: str, low: float, high: float, *, step: float | None = None, log: bool = False
    ) -> float:
        """As Optuna's."""
        parameter = Float(float(low), float(high), log=log) if step is None else stepped(low, high, step)
        return self._answer(name, parameter)  # type: ignore[return-value]

    def suggest_categorical(self, name: str, choices: Sequence[Value]) -> Value:
        """As Optuna's."""
        return self._answer(name, Choice(tuple(choices)))

    def _answer(self, name: str, parameter: Parameter) -> Value:
        _, condition = merge(name, [(parameter, None), *([self.asked[name]] if name in self.asked else [])])
        if name not in self._values and not self._is_open:
            raise HypermodelError(f"the model must ask only for what was found before, got {name!r}")
        value = self._values.get(name, parameter.from_unit(0.0))
        if not parameter.contains(value):
            raise HypermodelError(f"{name!r} must be a value of {parameter}, got {value!r}")
        self.asked[name] = (parameter, condition)
        self.params[name] = value
        return value


def is_trial_style(build: Build) -> bool:
    """Whether a build function calls its argument ``trial``, as Optuna's users do."""
    return next(iter(inspect.signature(build).parameters), "") == "trial"


def space_of_build(build: Build) -> Space:
    """The space that a build function searches, found by calling it.

    It is called with one value changed at a time until nothing new is asked for, then at random. KerasTuner's
    conditional scopes are kept. Where a name is asked for exactly at some values of an earlier choice (or of
    a whole number with at most 16 values), it is a condition; any other name is always active.

    Raises
    ------
    SpaceError
        If a name stands for several ranges, or 500 calls find no end.
    """
    walks = list(_walks(build))
    entries: dict[str, list[tuple[Parameter, Condition | None]]] = {}
    fixed: Config = {}
    for space, _ in walks:
        fixed |= space.fixed
        for name, parameter in space.parameters.items():
            entries.setdefault(name, []).append((parameter, space.conditions.get(name)))
    merged = {name: merge(name, found) for name, found in entries.items()}
    parameters = {name: parameter for name, (parameter, _) in merged.items()}
    seen = [{name: values[name] for name in space.parameters if name in values} for space, values in walks]
    conditions = {}
    for name, (_, scope) in merged.items():
        condition = scope or _inferred(name, parameters, seen)
        if condition is not None:
            conditions[name] = condition
    return Space(_in_order(parameters, conditions), conditions, fixed)


def build_with(build: Build, config: Mapping[str, Any], space: Space) -> Any:
    """The model of a configuration.

    Raises
    ------
    HypermodelError
        If the function asks for a name that its space does not have.
    """
    if is_trial_style(build):
        return build(DefinedByRun(config))
    table = _open_table(config)
    model = build(table)
    unknown = [item.name for item in table.space if item.name not in space.names]
    if unknown:
        raise HypermodelError(f"the model must ask only for what was found before, got {unknown[0]!r}")
    return model


@final
class Hypermodel:
    """A family of the models of a build function; it does what `spaces.families.Family` does of a network.

    Parameters
    ----------
    name : str
        Import path ``package.module:name``, see `load_build`.
    """

    is_network = True
    is_installed = True
    package = None

    def __init__(self, name: str) -> None:
        self.name = name

    def space(self, signature: Signature) -> Space:
        """What the build function asks for."""
        return replace(_space_at(self.name), extras=training_extras(signature))

    def first_configs(self, signature: Signature) -> tuple[Config, ...]:
        """The first value of everything."""
        return (_space_at(self.name).walk(lambda _, parameter: parameter.from_unit(0.0)),)

    def structure(self, config: Mapping[str, Any]) -> tuple[Any, ...]:
        """The whole configuration: what a value does to the model is not known."""
        return ("hypermodel", self.name, *sorted(config.items()))

    def dials(self, config: Mapping[str, Any]) -> dict[str, float]:
        """None: nothing can be set without building anew."""
        return {}

    def build(self, config: Mapping[str, Any], signature: Signature) -> keras.Model:
        """The user's model behind the project's encoding of a table's columns, with outputs of the task.

        The model takes the encoded columns, or the one image or sequence that a table is. Where there are
        several, it has an input for each: of the block's name, ``columns`` for all other columns.

        Raises
        ------
        HypermodelError
            If the model does not take these inputs, or does not give the task's outputs.
        """
        import keras

        inner = self._inner(config)
        logits = read_compiled(inner).is_logits if inner.compiled else False
        inner.compiled = False  # the engine trains it; an optimizer has no place in a saved architecture
        shown = features({}, signature)
        given = {**shown.blocks, **({} if shown.rest is None else {"columns": shown.rest})}
        try:
            output = inner(_arranged(inner, given))
        except ValueError as error:
            shapes = ", ".join(f"{name} {tuple(value.shape[1:])}" for name, value in given.items())
            raise HypermodelError(f"the model must take {shapes}: {_line(error)}") from error
        if tuple(output.shape[1:]) != (signature.n_outputs,):
            raise HypermodelError(
                f"the model must give {signature.n_outputs} outputs for this task, got {output.shape[1:]}"
            )
        if logits:
            output = keras.layers.Activation(ACTIVATION_OF_TASK[signature.task.kind], name="output")(output)
        return keras.Model(shown.inputs, output, name="hypermodel")

    def training(self, config: Mapping[str, Any], signature: Signature) -> dict[str, Any]:
        """How the user's model is compiled, by the names of a configuration: optimizer, learning rate, ...

        Raises
        ------
        HypermodelError, NotHonoured
            If the loss is not that of the task, or the engine cannot train as compiled.
        """
        inner = self._inner(config)
        if not inner.compiled:
            return {}
        compiled: Compiled = read_compiled(inner)
        kind = signature.task.kind
        if not compiled.serves(kind):
            raise HypermodelError(f"the loss must be that of a {kind} task, got {compiled.loss!r}")
        return dict(compiled.training)

    def _inner(self, config: Mapping[str, Any]) -> Any:
        import_tensorflow()
        return build_with(load_build(self.name), config, _space_at(self.name))


@lru_cache(maxsize=8)
def _space_at(path: str) -> Space:
    import_tensorflow()
    return space_of_build(load_build(path))


def _walks(build: Build) -> Iterator[tuple[Space, Config]]:
    """Calls of the function: what each asked for, and the values it was given."""
    waiting: deque[Config] = deque([{}])
    tried: set[tuple[str, str]] = set()
    draw, n_random, known = random.Random(0), 0, dict[str, Parameter]()
    for _ in range(MOST_WALKS):
        if not waiting:
            if n_random == N_RANDOM_WALKS or not any(_branches(p) for p in known.values()):
                return
            n_random += 1
            waiting.append({name: p.from_unit(draw.random()) for name, p in known.items()})
        space, values = _walk(build, waiting.popleft())
        known |= space.parameters
        waiting.extend(_turns(space, values, tried))
        yield space, values
    raise SpaceError(f"a model's space must be found within {MOST_WALKS} calls, got no end of new values")


def _turns(space: Space, values: Config, tried: set[tuple[str, str]]) -> Iterator[Config]:
    """What to call next: each value not tried yet, behind the values that led to it."""
    for name, parameter in space.parameters.items():
        for value in _branches(parameter):
            if (name, repr(value)) in tried or name not in values:
                continue
            tried.add((name, repr(value)))
            if value != values[name]:
                yield {**_before(values, name), name: value}


def _before(values: Config, name: str) -> Config:
    names = list(values)
    return {n: values[n] for n in names[: names.index(name)]}


def _branches(parameter: Parameter) -> tuple[Value, ...]:
    """The values that may decide what else is asked for; of a long range its ends."""
    if isinstance(parameter, Choice):
        return parameter.options
    if not isinstance(parameter, Int):
        return ()
    return parameter.grid() if _is_short(parameter) else (parameter.low, parameter.high)


def _is_short(parameter: Parameter) -> bool:
    if isinstance(parameter, Int):
        return not parameter.log and parameter.n_values <= MOST_BRANCHES
    return isinstance(parameter, Choice)


def _walk(build: Build, values: Config) -> tuple[Space, Config]:
    """What a call asks for; a call that fails counts as far as it came, one that asked for nothing not.

    A configuration that cannot be built fails as a trial, and the others are tried.
    """
    trial, table, failure = DefinedByRun(values, is_open=True), _open_table(values), None
    try:
        build(trial if is_trial_style(build) else table)
    except (HypermodelError, SpaceError):
        raise
    except Exception as error:
        failure = error
    if is_trial_style(build):
        space, found = Space({name: parameter for name, (parameter, _) in trial.asked.items()}), trial.params
    else:
        space = from_keras_tuner(table)
        found = {name: table.values[name] for name in space.parameters if name in table.values}
    if failure is not None and not space.names:
        raise HypermodelError(f"a model must be built by its function, got {_named(failure)}") from failure
    return space, found


def _open_table(values: Mapping[str, Any]) -> Any:
    import keras_tuner

    table = keras_tuner.HyperParameters()
    table.values = dict(values)
    return table


def _inferred(name: str, parameters: Mapping[str, Parameter], seen: list[Config]) -> Condition | None:
    """The first earlier name some of whose values, and no others, go with this name; None: always active."""
    with_name = [values for values in seen if name in values]
    if len(with_name) == len(seen):
        return None
    for parent, parameter in parameters.items():
        if parent == name or not _is_short(parameter):
            continue
        if not all(parent in values and _is_before(values, parent, name) for values in with_name):
            continue
        met = list(dict.fromkeys(values[parent] for values in with_name))
        if not any(values.get(parent) in met for values in seen if name not in values and parent in values):
            return Condition(parent, tuple(sorted(met, key=_branches(parameter).index)))
    return None


def _is_before(values: Config, first: str, second: str) -> bool:
    names = list(values)
    return names.index(first) < names.index(second)


def _in_order(
    parameters: Mapping[str, Parameter], conditions: Mapping[str, Condition]
) -> dict[str, Parameter]:
    """Parameters as they were found, each behind the one that it hangs on."""
    ordered: dict[str, Parameter] = {}

    def put(name: str) -> None:
        if name in conditions and conditions[name].parameter in parameters:
            put(conditions[name].parameter)
        ordered.setdefault(name, parameters[name])

    for name in parameters:
        put(name)
    return ordered


def _arranged(model: Any, given: Mapping[str, Any]) -> Any:
    """The tensors in the order of the model's inputs, matched by name where there are several."""
    if len(given) == 1:
        return next(iter(given.values()))
    names = [tensor.name for tensor in getattr(model, "inputs", None) or []]
    if sorted(names) != sorted(given):
        raise ValueError(f"its inputs are named {', '.join(names) or 'nothing'}, not {', '.join(given)}")
    return [given[name] for name in names]


def _named(error: Exception) -> str:
    return f"{type(error).__name__}: {_line(error)}"


def _line(error: Exception) -> str:
    return " ".join(str(error).split())[:300]
