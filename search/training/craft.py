"""What may be done to gradients, weights, rows and rates: clipping, max-norm, class weights, plateaus.

All of it is per member: what one member's gradients, classes or losses are changes nothing for another.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from search.training.plan import Plan
from search.training.plateau import Plateau
from search.training.recipe import Recipe

Array = NDArray[Any]
_TINY = 1e-7


@dataclass(frozen=True)
class Craft:
    """Which of these shape a compiled program; their numbers are its inputs."""

    has_clip_value: bool = False
    has_clip_norm: bool = False
    has_max_norm: bool = False
    has_class_weight: bool = False
    has_plateau: bool = False

    @classmethod
    def of(cls, recipe: Recipe) -> Craft:
        """What a recipe asks for."""
        return cls(
            bool(recipe.clip_value), bool(recipe.clip_norm), bool(recipe.max_norm), bool(recipe.class_weight),
            recipe.schedule == "performance",
        )  # fmt: skip


class CraftNumbers:
    """The numbers of a craft, in variables that a program reads; 1 where they are not used.

    Parameters
    ----------
    n_stacked : int
        Members that are trained together.
    n_classes : int
        Columns of the class weights.
    """

    def __init__(self, n_stacked: int, n_classes: int) -> None:
        self._clip_value, self._clip_norm, self._max_norm = (tf.Variable(1.0) for _ in range(3))
        self._class_weights = tf.Variable(tf.ones((n_stacked, n_classes)))
        self.plateau = Plateau(n_stacked)

    def set(self, recipe: Recipe, class_weights: Array | None) -> None:
        """Take the numbers of a recipe; class weights ``(n_stacked, n_classes)``."""
        self._clip_value.assign(recipe.clip_value)
        self._clip_norm.assign(recipe.clip_norm)
        self._max_norm.assign(recipe.max_norm)
        self.plateau.set(recipe)
        if class_weights is not None:
            self._class_weights.assign(class_weights)

    def clipped(self, craft: Craft, gradients: Sequence[Any]) -> list[Any]:
        """Gradients ``(n_stacked, ...)``, each value within bounds, then each member's norm over all of them.

        The norm is clipped as Keras' ``global_clipnorm`` does it (Pascanu et al. 2013), member by member.
        """
        if not (craft.has_clip_value or craft.has_clip_norm):
            return list(gradients)
        found = [tf.convert_to_tensor(g) for g in gradients]
        if craft.has_clip_value:
            found = [tf.clip_by_value(g, -self._clip_value, self._clip_value) for g in found]
        if craft.has_clip_norm:
            squares = [tf.reduce_sum(g * g, axis=list(range(1, len(g.shape)))) for g in found]
            norms = tf.sqrt(tf.add_n(squares))
            factors = self._clip_norm / tf.maximum(norms, self._clip_norm)
            found = [_times(factors, g) for g in found]
        return found

    def apply(
        self, craft: Craft, optimizer: Any, gradients: Sequence[Any], variables: Sequence[keras.Variable]
    ) -> None:
        """One step of the optimizer on variables ``(n_stacked, ...)``, at each member's own learning rate.

        SGD's momentum adds up rate times gradient, so the gradient is scaled; in every other optimizer the
        step is the rate times something that does not know the rate, so the step is.
        """
        found = self.clipped(craft, gradients)
        if not craft.has_plateau:
            optimizer.apply(found, variables)
            return
        rates = tf.convert_to_tensor(self.plateau.rates)
        if isinstance(optimizer, keras.optimizers.SGD):
            optimizer.apply([_times(rates, g) for g in found], variables)
            return
        before = [tf.identity(v) for v in variables]
        optimizer.apply(found, variables)
        for variable, old in zip(variables, before, strict=True):
            variable.assign(old + _times(rates, variable - old))

    def hold(self, variables: Sequence[keras.Variable]) -> None:
        """Scale the weights ``(n_stacked, n_inputs, n_units)`` into each unit down to the norm allowed.

        Srivastava et al. 2014, section 5.1; as Keras' ``MaxNorm(axis=0)`` for every member.
        """
        for variable in variables:
            weights = tf.convert_to_tensor(variable)
            norms = tf.sqrt(tf.reduce_sum(weights * weights, axis=1, keepdims=True))
            variable.assign(weights * tf.minimum(norms, self._max_norm) / (_TINY + norms))

    def weights_of(self, y: tf.Tensor) -> tf.Tensor:
        """Weight of each row ``(n_stacked, n_rows)`` by its class; y ``(n_stacked, n_rows, n_outputs)``."""
        shares = tf.concat([1.0 - y, y], axis=2) if y.shape[2] == 1 else y
        return tf.einsum("mrc,mc->mr", shares, self._class_weights)


def _times(factors: tf.Tensor, values: tf.Tensor) -> tf.Tensor:
    """Values ``(n_stacked, ...)`` times a factor of each member ``(n_stacked,)``."""
    return values * tf.reshape(factors, (-1, *[1] * (len(values.shape) - 1)))


def is_held(variable: keras.Variable) -> bool:
    """Whether max-norm holds a model's variable: a matrix ``kernel`` of a layer that is no output."""
    layer = variable.path.split("/")[-2] if "/" in variable.path else ""
    return variable.name == "kernel" and len(variable.shape) == 2 and not layer.startswith("output")


def class_weights(plan: Plan, recipe: Recipe, kind: str) -> Array | None:
    """Weight of each class for each member ``(n_members, n_classes)``; None: all the same.

    balanced: the sum of a member's training weights over (classes times the sum of the class), as
    scikit-learn has it, so that the mean over training rows is 1. They count in the training loss alone.

    Raises
    ------
    ValueError
        If the task has no classes, or another number of them than there are weights.
    """
    asked = recipe.class_weight
    if not asked:
        return None
    if kind not in ("binary", "multiclass"):
        raise ValueError(f"class weights are for binary and multiclass tasks, not for {kind}")
    n_classes = max(2, plan.y.shape[1])
    if asked == "balanced":
        return np.stack([_balanced(plan, rows) for rows in plan.train]).astype(np.float32)
    if len(asked) != n_classes:
        raise ValueError(f"class weights need one number a class, {n_classes}, not {len(asked)}")
    return np.tile(np.asarray(asked, np.float32), (plan.n_members, 1))


def _balanced(plan: Plan, rows: Array) -> Array:
    counts = (*plan.weights_of(rows), np.ones(len(rows)))[0]
    totals = counts @ shares_of(plan.y[rows])
    return np.asarray(counts.sum() / (len(totals) * np.maximum(totals, _TINY)) * (totals > 0))


def shares_of(y: Array) -> Array:
    """Targets ``(n_rows, n_outputs)`` with a column for each class; binary targets have one for two."""
    return np.concatenate([1.0 - y, y], axis=1) if y.shape[1] == 1 else y
