"""Members trained by Keras' own ``fit`` with a user's callbacks, each of which sees one whole training."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from search.training.callbacks import Callbacks
from search.training.course import Weights
from search.training.craft import is_held
from search.training.plan import Plan
from search.training.plateau import Plateau
from search.training.recipe import Recipe, learning_rates, n_steps
from search.training.trainers import FitTrainer

Array = NDArray[Any]


class OneTraining(keras.callbacks.CallbackList):  # type: ignore[misc]
    """A member's callbacks, for which many calls of ``fit`` are one training: it begins and ends once."""

    def __init__(self, callbacks: list[Any], model: keras.Model, **params: Any) -> None:
        super().__init__(callbacks, add_history=True, model=model, **params)
        self._async_train = False  # the model is another member's as soon as an epoch is over
        self._has_begun = self.has_ended = False
        self._logs: Mapping[str, float] | None = None
        self.loss = float("nan")

    def on_train_begin(self, logs: Any = None) -> None:
        """Called by every ``fit``; passed on the first time."""
        if not self._has_begun:
            self._has_begun = True
            super().on_train_begin(logs)

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Take note of the loss and pass it on."""
        self.loss = float(logs["loss"])
        super().on_epoch_end(epoch, logs)

    def on_train_end(self, logs: Any = None) -> None:
        """Called by every ``fit``; passed on by `end`."""
        self._logs = logs

    def end(self) -> None:
        """The member's training is over."""
        if self._has_begun and not self.has_ended:
            self.has_ended = True
            super().on_train_end(self._logs)


class _MeanOfMembers(keras.losses.Loss):  # type: ignore[misc]
    """The task's loss; the mean over the k of models that give ``(n_rows, k, n_outputs)`` in training."""

    def __init__(self, loss: Callable[[Any, Any], Any]) -> None:
        super().__init__(name="loss")
        self._loss = loss

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """Loss of each row."""
        if len(y_pred.shape) == len(y_true.shape):
            return self._loss(y_true, y_pred)
        target = tf.broadcast_to(y_true[:, None, :], tf.shape(y_pred))
        return tf.reduce_mean(self._loss(target, y_pred), axis=1)


class AttendedTrainer(FitTrainer):
    """As `FitTrainer`, with a user's callbacks for each member.

    Epoch numbers run on, ``on_train_begin`` and ``on_train_end`` come once. ``logs`` has the training loss;
    there are no validation data, since held-out rows would then be looked at without an entry in the ledger.
    A callback that sets ``model.stop_training`` ends the training of its member, whose weights stay as the
    callback leaves them. The schedule moves the learning rate relative to where
    callbacks put it, from epoch to epoch. Dropout schedules stay constant.

    Parameters
    ----------
    loss : callable
        ``loss(y, predictions) -> (n_rows,)``, a Keras loss without reduction.
    """

    def __init__(
        self, model: keras.Model, optimizer: Any, loss: Any, plan: Plan, uniform: float = 0.5
    ) -> None:
        super().__init__(model, optimizer, _MeanOfMembers(loss), plan, uniform)
        self._limits: tuple[float, ...] = (0.0, 0.0, 0.0)
        self._attending: list[OneTraining] = []

    def attend(self, callbacks: Callbacks) -> None:
        """Say who attends what is started next."""
        self._callbacks = callbacks

    def start(self, weights: Weights, recipe: Recipe, seed: int, class_weights: Array | None = None) -> None:
        """See `NetworkTrainer`."""
        self._limit(recipe)
        self._has_plateau = recipe.schedule == "performance"
        schedule = "constant" if self._has_plateau else recipe.schedule
        free = replace(recipe, clip_value=0.0, clip_norm=0.0, max_norm=0.0, schedule=schedule)
        super().start(weights, free, seed, class_weights)
        members = range(self._plan.n_members)
        self._plateaus = [Plateau(1) for _ in members]
        for plateau in self._plateaus:
            plateau.set(recipe)
        self._attending = [
            OneTraining(
                self._callbacks.of(member), self._model, verbose=0, epochs=recipe.n_epochs,
                steps=n_steps(len(self._plan.train[member]), recipe.batch_size),
            )
            for member in members
        ]  # fmt: skip

    def go_on(self, state: Mapping[str, Array]) -> None:
        """Refused: what callbacks know does not travel.

        Raises
        ------
        ValueError
            Always.
        """
        raise ValueError(
            "a training that callbacks attend cannot go on from another trial's: use no Hyperband"
        )

    def end(self) -> None:
        """End the training of all members that are not at their end: their callbacks close their files."""
        for member, attending in enumerate(self._attending):
            if not attending.has_ended:
                self._load(self._states[member])
                attending.end()

    def _limit(self, recipe: Recipe) -> None:
        """Clipping and max-norm as Keras has them; ``fit`` is traced again where they change."""
        limits = (recipe.clip_value, recipe.clip_norm, recipe.max_norm)
        if limits[0] and limits[1]:
            raise ValueError("Keras' fit clips by value or by norm, not by both: set clip_value or clip_norm")
        if limits == self._limits:
            return
        optimizer, model, self._limits = self._model.optimizer, self._model, limits
        optimizer.clipvalue, optimizer.global_clipnorm = limits[0] or None, limits[1] or None
        for variable in model.trainable_variables:
            if is_held(variable):
                held = keras.constraints.MaxNorm(recipe.max_norm, axis=0) if recipe.max_norm else None
                variable.constraint = held
        model.train_function = None

    def _epoch(self, member: int, epoch: int) -> float:
        attending = self._attending[member]
        if attending.has_ended:
            return attending.loss
        rows, y = self._batches(member, epoch)
        self._move_rate(len(self._plan.train[member]), epoch)
        self._model.fit(
            _inputs(self._plan, rows), y, batch_size=self._clock.recipe.batch_size,
            sample_weight=self._weights(member, rows), shuffle=False, verbose=0,
            callbacks=attending, initial_epoch=epoch, epochs=epoch + 1,
        )  # fmt: skip
        if self._has_plateau:
            self._look(member, attending.loss)
        if self._model.stop_training or epoch + 1 == self._clock.recipe.n_epochs:
            attending.end()
        return attending.loss

    def _batches(self, member: int, epoch: int) -> tuple[Array, Array]:
        """Rows of an epoch in their order, and their targets as the member sees them, smoothed."""
        plan, recipe, rows = self._plan, self._clock.recipe, self._plan.train[member]
        if recipe.is_shuffled:
            rows = np.random.default_rng([self._clock.seed, member, epoch]).permutation(rows)
        rows = rows[: n_steps(len(rows), recipe.batch_size) * recipe.batch_size]
        y = plan.in_standard_units(member, plan.y[rows])
        y = y * (1.0 - recipe.label_smoothing) + self._uniform * recipe.label_smoothing
        return rows, y.astype(np.float32)

    def _move_rate(self, n_rows: int, epoch: int) -> None:
        steps, optimizer = n_steps(n_rows, self._clock.recipe.batch_size), self._model.optimizer
        rates = learning_rates(self._clock.recipe, steps)[::steps]
        if epoch == 0:
            optimizer.learning_rate = float(rates[0])
        elif rates[epoch] != rates[epoch - 1]:
            ratio = float(rates[epoch]) / float(rates[epoch - 1])
            optimizer.learning_rate = float(optimizer.learning_rate.numpy()) * ratio

    def _look(self, member: int, loss: float) -> None:
        """The performance schedule: the rate falls after the epochs of patience."""
        plateau, optimizer = self._plateaus[member], self._model.optimizer
        before = plateau.rates.numpy()[0]
        plateau.look(tf.constant([loss], tf.float32))
        after = plateau.rates.numpy()[0]
        if after != before:
            optimizer.learning_rate = float(optimizer.learning_rate.numpy() * (after / before))


def _inputs(plan: Plan, rows: Array) -> Any:
    parts: list[Array] = [values[rows] for values in plan.inputs]
    return parts[0] if len(parts) == 1 else parts
