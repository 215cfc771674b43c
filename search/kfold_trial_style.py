"""Optuna-style ``build(trial)`` functions as a KerasTuner HyperModel."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

import keras
import keras_tuner

from spaces.exchange import conditions_of
from spaces.hypermodel import DefinedByRun, is_trial_style, space_of_build
from spaces.parameters import Choice, Float, Int, Parameter, Value


class TrialStyle(keras_tuner.HyperModel):  # type: ignore[misc]
    """The models of a ``build(trial)``; what it asks for, and when, is found by calling it.

    Options of several types, or None among them, are texts of JSON to KerasTuner.

    Parameters
    ----------
    build : callable
        ``build(trial) -> compiled model``, which asks by ``trial.suggest_int`` and the like.
    """

    def __init__(self, build: Callable[[Any], keras.Model]) -> None:
        super().__init__()
        self._build_with, self.space = build, space_of_build(build)

    def build(self, hp: keras_tuner.HyperParameters) -> keras.Model:
        """The model of these hyperparameters, which are asked for under their conditions."""
        values: dict[str, Any] = {}
        for name, parameter in self.space.parameters.items():
            with ExitStack() as scopes:
                for condition in conditions_of(self.space, name):
                    parent = self.space.parameters[condition.parameter]
                    encoded = [_encoded(parent, value) for value in condition.values]
                    scopes.enter_context(hp.conditional_scope(condition.parameter, encoded))
                values[name] = _asked(hp, name, parameter)
        config = self.space.walk(lambda name, parameter: _decoded(parameter, values[name]))
        return self._build_with(DefinedByRun(config))


def hypermodel_of(given: Any) -> Any:
    """What KerasTuner takes as a hypermodel: an Optuna-style function is wrapped, all else is as it was."""
    is_function = callable(given) and not isinstance(given, keras_tuner.HyperModel | type)
    return TrialStyle(given) if is_function and is_trial_style(given) else given


def _asked(hp: keras_tuner.HyperParameters, name: str, parameter: Parameter) -> Any:
    if isinstance(parameter, Choice):
        if _is_boolean(parameter):
            return hp.Boolean(name, default=bool(parameter.options[0]))
        return hp.Choice(name, [_encoded(parameter, option) for option in parameter.options], ordered=False)
    sampling = "log" if parameter.log else "linear"
    if isinstance(parameter, Int):
        step = None if parameter.log else parameter.step
        return hp.Int(name, parameter.low, parameter.high, step=step, sampling=sampling)
    if parameter.n_values is not None:  # KerasTuner's own steps lose the last value to rounding
        return hp.Choice(name, list(parameter.grid()), ordered=True)
    return hp.Float(name, parameter.low, parameter.high, sampling=sampling)


def _is_plain(parameter: Choice) -> bool:
    """Whether KerasTuner takes the options as they are: of one type, none of them None."""
    kinds = {type(option) for option in parameter.options}
    return kinds in ({str}, {int}, {float}) or _is_boolean(parameter)


def _is_boolean(parameter: Choice) -> bool:
    return {repr(option) for option in parameter.options} == {"False", "True"}


def _encoded(parameter: Parameter, value: Value) -> Any:
    return value if not isinstance(parameter, Choice) or _is_plain(parameter) else json.dumps(value)


def _decoded(parameter: Parameter, value: Any) -> Value:
    if isinstance(parameter, Float | Int):
        return parameter.nearest(value)
    return next(option for option in parameter.options if repr(_encoded(parameter, option)) == repr(value))
