"""The performance schedule: each member's learning rate falls when its own training loss stands still."""

from __future__ import annotations

import keras
import tensorflow as tf

from search.training.recipe import Recipe

LEAST_GAIN = 1e-4  # what a loss must fall by to count as better, as in Keras


class Plateau:
    """What the learning rate of each member is multiplied by, and what that depends on.

    The rule is that of ``keras.callbacks.ReduceLROnPlateau(monitor="loss", min_delta=1e-4)``, member by
    member: after ``plateau_patience`` epochs without a better training loss the rate is multiplied by
    ``plateau_factor``. No held-out row is looked at.

    Parameters
    ----------
    n_stacked : int
        Members that are trained together.
    """

    def __init__(self, n_stacked: int) -> None:
        self._factor, self._patience = tf.Variable(1.0), tf.Variable(1.0)
        self.rates = keras.Variable(tf.ones(n_stacked), trainable=False, name="plateau_rates")
        self._best = keras.Variable(tf.fill(n_stacked, tf.float32.max), trainable=False, name="plateau_best")
        self._n_waited = keras.Variable(tf.zeros(n_stacked), trainable=False, name="plateau_waited")

    @property
    def variables(self) -> list[keras.Variable]:
        """What training changes, each ``(n_stacked,)``."""
        return [self.rates, self._best, self._n_waited]

    def set(self, recipe: Recipe) -> None:
        """Take the numbers of a recipe."""
        self._factor.assign(recipe.plateau_factor)
        self._patience.assign(recipe.plateau_patience)

    def reset(self) -> None:
        """Start anew: full rates, nothing seen."""
        for variable, value in zip(self.variables, (1.0, tf.float32.max, 0.0), strict=True):
            variable.assign(tf.fill(variable.shape, value))

    def look(self, losses: tf.Tensor) -> None:
        """Take note of the losses ``(n_stacked,)`` of an epoch, and lower the rates that are due."""
        is_better = losses + LEAST_GAIN < tf.convert_to_tensor(self._best)
        n_waited = tf.where(is_better, 0.0, tf.convert_to_tensor(self._n_waited) + 1.0)
        is_due = n_waited >= self._patience
        self._best.assign(tf.where(is_better, losses, tf.convert_to_tensor(self._best)))
        self._n_waited.assign(tf.where(is_due, 0.0, n_waited))
        rates = tf.convert_to_tensor(self.rates)
        self.rates.assign(tf.where(is_due, rates * self._factor, rates))
