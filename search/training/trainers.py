"""Three ways to train the members of a trial, behind one face.

stacked: all members in one program; looped: one program, its state swapped from member to member; fit: Keras'
own ``fit`` on one reused model. A trainer is started with weights, advanced by epochs and asked for
predictions.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Protocol

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from search.training.course import Trainer, Weights
from search.training.craft import Craft, shares_of
from search.training.plan import Plan
from search.training.program import Program
from search.training.recipe import Recipe, dropout_factors, learning_rates, n_steps, optimizer_numbers
from search.training.trained import State

Array = NDArray[Any]


class NetworkTrainer(Trainer, Protocol):
    """Members of a network in training."""

    def start(self, weights: Weights, recipe: Recipe, seed: int, class_weights: Array | None = None) -> None:
        """Begin from weights ``(n_members, ...)`` in the order of ``model.variables``.

        class_weights: how much the classes count for each member ``(n_members, n_classes)``; None: the same.
        """

    @property
    def state(self) -> dict[str, Array]:
        """All that further epochs depend on beside what it was started with; each member's is its own."""

    def go_on(self, state: State) -> None:
        """Take up the state of a trainer that was started alike."""


class _Clock:
    """What every trainer keeps between calls: the recipe, the seed and the epochs done."""

    def __init__(self, recipe: Recipe, seed: int) -> None:
        self.recipe, self.seed, self.n_done = recipe, seed, 0


class StackedTrainer:
    """All members in one program."""

    def __init__(self, program: Program, plan: Plan) -> None:
        self._program, self._plan = program, plan
        self._n_train = min(len(rows) for rows in plan.train)
        self._is_equal = all(len(rows) == self._n_train for rows in plan.train)

    def start(self, weights: Weights, recipe: Recipe, seed: int, class_weights: Array | None = None) -> None:
        """See `NetworkTrainer`."""
        self._program.reset(weights, optimizer_numbers(recipe))
        if Craft.of(recipe) != Craft():
            self._program.craft_numbers.set(recipe, class_weights)
        self._clock = _Clock(recipe, seed)
        self._orders = np.random.default_rng(seed)
        self._rows = tf.constant(np.stack([rows[: self._n_train] for rows in self._plan.train]), tf.int32)

    def advance(self, n_epochs: int) -> Array:
        """See `Trainer`; where members differ by a few rows, each call leaves out others."""
        clock, plan = self._clock, self._plan
        if not self._is_equal and clock.recipe.is_shuffled:
            chosen = [self._orders.permutation(rows)[: self._n_train] for rows in plan.train]
            self._rows = tf.constant(np.stack(chosen), tf.int32)
        losses = self._program.train(
            self._rows,
            tf.constant(plan.target_center[:, None, :]),
            tf.constant(plan.target_scale[:, None, :]),
            *_arguments(clock, n_epochs, self._n_train),
        )
        clock.n_done += n_epochs
        return np.asarray(losses)

    def predict(self, rows: Sequence[Array]) -> list[Array]:
        """See `Trainer`."""
        n_most = max(len(r) for r in rows)
        padded = np.stack([np.pad(r, (0, n_most - len(r)), mode="edge") for r in rows])
        predictions = np.asarray(self._program.predict(tf.constant(padded, tf.int32)))
        return [p[: len(r)] for p, r in zip(predictions, rows, strict=True)]

    @property
    def state(self) -> dict[str, Array]:
        """See `NetworkTrainer`."""
        values = [v.numpy().copy() for v in self._program.state]
        orders = np.array(json.dumps(self._orders.bit_generator.state))
        return {**_state_of(values, self._clock), "trainer_orders": orders}

    def go_on(self, state: State) -> None:
        """See `NetworkTrainer`."""
        for variable, value in zip(self._program.state, _values_of(state, self._clock), strict=True):
            variable.assign(value)
        self._orders.bit_generator.state = json.loads(str(state["trainer_orders"]))

    @property
    def weights(self) -> Weights:
        """Copies of the current weights."""
        return [v.numpy().copy() for v in self._program.variables]

    @weights.setter
    def weights(self, values: Weights) -> None:
        for variable, value in zip(self._program.variables, values, strict=True):
            variable.assign(value)


class LoopedTrainer:
    """One member at a time in a program of one: for models that do not stack and unequal members."""

    def __init__(self, program: Program, plan: Plan) -> None:
        self._program, self._plan = program, plan

    def start(self, weights: Weights, recipe: Recipe, seed: int, class_weights: Array | None = None) -> None:
        """See `NetworkTrainer`."""
        self._clock, self._class_weights = _Clock(recipe, seed), class_weights
        self._states: list[list[Array]] = []
        for member in range(self._plan.n_members):
            self._program.reset([w[member : member + 1] for w in weights], optimizer_numbers(recipe))
            self._states.append([v.numpy().copy() for v in self._program.state])

    def advance(self, n_epochs: int) -> Array:
        """See `Trainer`."""
        losses = [self._advance(member, n_epochs) for member in range(self._plan.n_members)]
        self._clock.n_done += n_epochs
        return np.stack(losses, axis=1)

    def _advance(self, member: int, n_epochs: int) -> Array:
        plan, clock = self._plan, self._clock
        rows = plan.train[member]
        self._load(self._states[member])
        if Craft.of(clock.recipe) != Craft():
            own = None if self._class_weights is None else self._class_weights[member : member + 1]
            self._program.craft_numbers.set(clock.recipe, own)
        losses = self._program.train(
            tf.constant(rows[None], tf.int32),
            tf.constant(plan.target_center[member][None, None]),
            tf.constant(plan.target_scale[member][None, None]),
            *_arguments(clock, n_epochs, len(rows), member),
        )
        self._states[member] = [v.numpy().copy() for v in self._program.state]
        return np.asarray(losses)[:, 0]

    def _load(self, state: list[Array]) -> None:
        for variable, value in zip(self._program.state, state, strict=True):
            variable.assign(value)

    def predict(self, rows: Sequence[Array]) -> list[Array]:
        """See `Trainer`."""
        predictions = []
        for state, member_rows in zip(self._states, rows, strict=True):
            self._load(state)
            predictions.append(np.asarray(self._program.predict(tf.constant(member_rows[None], tf.int32)))[0])
        return predictions

    @property
    def state(self) -> dict[str, Array]:
        """See `NetworkTrainer`."""
        return _state_of([np.stack(values) for values in zip(*self._states, strict=True)], self._clock)

    def go_on(self, state: State) -> None:
        """See `NetworkTrainer`."""
        values = _values_of(state, self._clock)
        self._states = [[value[member] for value in values] for member in range(self._plan.n_members)]

    @property
    def weights(self) -> Weights:
        """Copies of the current weights."""
        n_weights = len(self._program.variables)
        members = zip(*[state[:n_weights] for state in self._states], strict=True)
        return [np.concatenate(values) for values in members]

    @weights.setter
    def weights(self, values: Weights) -> None:
        for member, state in enumerate(self._states):
            state[: len(values)] = [value[member : member + 1] for value in values]


class FitTrainer:
    """Keras' own ``fit`` on one model, reset for each member: for models with their own ``train_step``.

    uniform: what a class target is smoothed towards, one over the number of classes.
    """

    def __init__(
        self, model: keras.Model, optimizer: Any, loss: Any, plan: Plan, uniform: float = 0.5
    ) -> None:
        self._model, self._plan, self._uniform = model, plan, uniform
        if not model.compiled:
            model.compile(optimizer=optimizer, loss=loss)
        model.optimizer.build(model.trainable_variables)
        self._optimizer_start = [v.numpy().copy() for v in model.optimizer.variables]

    def start(self, weights: Weights, recipe: Recipe, seed: int, class_weights: Array | None = None) -> None:
        """See `NetworkTrainer`."""
        if Craft.of(replace(recipe, class_weight=None)) != Craft():
            raise ValueError(
                "clipping, max-norm and plateaus are not for models with a train_step of their own"
            )
        self._clock, self._class_weights = _Clock(recipe, seed), class_weights
        held = {
            id(getattr(self._model.optimizer, name, None)): n for name, n in optimizer_numbers(recipe).items()
        }
        start = [
            np.full_like(value, held[id(variable)]) if id(variable) in held else value
            for variable, value in zip(self._model.optimizer.variables, self._optimizer_start, strict=True)
        ]
        self._states = [[*(w[member] for w in weights), *start] for member in range(self._plan.n_members)]

    @property
    def _variables(self) -> list[Any]:
        return [*self._model.variables, *self._model.optimizer.variables]

    def _load(self, state: list[Array]) -> None:
        for variable, value in zip(self._variables, state, strict=True):
            variable.assign(value)

    def advance(self, n_epochs: int) -> Array:
        """See `Trainer`."""
        losses = [self._advance(member, n_epochs) for member in range(self._plan.n_members)]
        self._clock.n_done += n_epochs
        return np.stack(losses, axis=1)

    def _advance(self, member: int, n_epochs: int) -> Array:
        self._load(self._states[member])
        first = self._clock.n_done
        losses = [self._epoch(member, epoch) for epoch in range(first, first + n_epochs)]
        self._states[member] = [v.numpy().copy() for v in self._variables]
        return np.asarray(losses)

    def _epoch(self, member: int, epoch: int) -> float:
        plan, recipe, rows = self._plan, self._clock.recipe, self._plan.train[member]
        if recipe.is_shuffled:
            rows = np.random.default_rng([self._clock.seed, member, epoch]).permutation(rows)
        steps = n_steps(len(rows), recipe.batch_size)
        rows = rows[: steps * recipe.batch_size]
        self._model.optimizer.learning_rate = float(learning_rates(recipe, steps)[epoch * steps])
        y = (plan.y[rows] - plan.target_center[member]) / plan.target_scale[member]
        y = y * (1.0 - recipe.label_smoothing) + self._uniform * recipe.label_smoothing
        fitted = self._model.fit(
            _inputs(plan, rows),
            y.astype(np.float32),
            batch_size=recipe.batch_size,
            sample_weight=self._weights(member, rows),
            shuffle=False,
            verbose=0,
        )
        return float(fitted.history.get("loss", next(iter(fitted.history.values())))[-1])

    def _weights(self, member: int, rows: Array) -> Array | None:
        """How much each of these rows counts; None where all count the same."""
        plan = self._plan
        if self._class_weights is None:
            return None if plan.row_weights is None else plan.row_weights[rows].astype(np.float32)
        by_class = shares_of(plan.y[rows]) @ self._class_weights[member]
        weights: Array = (by_class * (*plan.weights_of(rows), 1.0)[0]).astype(np.float32)
        return weights

    def predict(self, rows: Sequence[Array]) -> list[Array]:
        """See `Trainer`."""
        predictions = []
        for state, member_rows in zip(self._states, rows, strict=True):
            self._load(state)
            predictions.append(
                self._model.predict(_inputs(self._plan, member_rows), batch_size=1024, verbose=0)
            )
        return predictions

    @property
    def state(self) -> dict[str, Array]:
        """See `NetworkTrainer`."""
        return _state_of([np.stack(values) for values in zip(*self._states, strict=True)], self._clock)

    def go_on(self, state: State) -> None:
        """See `NetworkTrainer`."""
        values = _values_of(state, self._clock)
        self._states = [[value[member] for value in values] for member in range(self._plan.n_members)]

    @property
    def weights(self) -> Weights:
        """Copies of the current weights."""
        n_weights = len(self._model.variables)
        return [
            np.stack(values) for values in zip(*[state[:n_weights] for state in self._states], strict=True)
        ]

    @weights.setter
    def weights(self, values: Weights) -> None:
        for member, state in enumerate(self._states):
            state[: len(values)] = [value[member] for value in values]


def _state_of(values: Sequence[Array], clock: _Clock) -> dict[str, Array]:
    named = {f"trainer_{place:03d}": value for place, value in enumerate(values)}
    return {**named, "trainer_done": np.array(clock.n_done)}


def _values_of(state: State, clock: _Clock) -> list[Array]:
    """The values of `_state_of`; the clock is set."""
    clock.n_done = int(state["trainer_done"])
    return [state[name] for name in sorted(state) if name.startswith("trainer_") and name[8:].isdigit()]


def _arguments(clock: _Clock, n_epochs: int, n_train: int, member: int = 0) -> tuple[tf.Tensor, ...]:
    """The numbers that a program's ``train`` takes after rows and units."""
    first, second = np.random.SeedSequence([clock.seed, member]).generate_state(2) >> 2
    steps = n_steps(n_train, clock.recipe.batch_size)
    return (
        tf.constant(learning_rates(clock.recipe, steps)),
        tf.constant(dropout_factors(clock.recipe, steps)),
        tf.constant(clock.recipe.label_smoothing, tf.float32),
        tf.constant(clock.n_done, tf.int32),
        tf.constant(n_epochs, tf.int32),
        tf.constant(min(clock.recipe.batch_size, n_train), tf.int32),
        tf.constant([first, second], tf.int32),
        tf.constant(clock.recipe.is_shuffled),
    )


def _inputs(plan: Plan, rows: Array) -> Any:
    parts: list[Array] = [values[rows] for values in plan.inputs]
    return parts[0] if len(parts) == 1 else parts
