"""Many copies of one Keras model, trained by one compiled TensorFlow program.

The variables of the copies are stacked with a leading member axis; ``tf.vectorized_map`` over
``stateless_call`` turns one model's step into that of all members. Whole epochs run in the graph: order,
batch, step. Everything that is a number (learning rates, batch size, epochs, the dials in the model's
non-trainable weights) is an input, so that configurations of one structure share one program.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from search.training.craft import Craft, CraftNumbers, is_held

Array = NDArray[Any]
ROWS_PER_PREDICTION = 4096  # members x rows of one step of a prediction, which bounds its memory


class Program:
    """``n_stacked`` copies of a model and the compiled functions that train and apply them.

    Parameters
    ----------
    model : keras.Model
        The template; its own variables are never changed.
    optimizer : keras.optimizers.Optimizer
        Not yet built; its update is elementwise.
    loss : callable
        ``loss(y, predictions) -> (n_rows,)``, a Keras loss without reduction.
    n_stacked : int
        Members that are trained together.
    inputs : sequence of tensor
        The model's inputs for all rows of the table, each ``(n_rows, ...)``.
    y : tensor of float64, shape (n_rows, n_outputs)
        Targets in their own units.
    row_weights : tensor of float32, shape (n_rows,), or None
        How much the loss of each row counts; None: all the same.
    uniform : float
        What a class target is smoothed towards: one over the number of classes.
    craft : Craft
        What is done to gradients, weights and rows beside.

    A model may give ``(n_rows, k, n_outputs)`` while training: then its loss is the mean over k.
    """

    def __init__(
        self,
        model: keras.Model,
        optimizer: keras.optimizers.Optimizer,
        loss: Callable[[Any, Any], Any],
        n_stacked: int,
        inputs: Sequence[tf.Tensor],
        y: tf.Tensor,
        row_weights: tf.Tensor | None = None,
        uniform: float = 0.5,
        craft: Craft = Craft(),  # noqa: B008 - frozen
    ) -> None:
        self._craft, self.craft_numbers = craft, CraftNumbers(n_stacked, max(2, y.shape[1]))
        self._row_weights, self._uniform = row_weights, uniform
        self._model, self._optimizer, self._loss = model, optimizer, loss
        self._n_stacked, self._inputs, self._y = n_stacked, tuple(inputs), y
        self._noisy = [layer for layer in model._flatten_layers() if hasattr(layer, "noise_width")]
        self._trainable = [_stacked(v, n_stacked, index) for index, v in enumerate(model.trainable_variables)]
        self._fixed = [_stacked(v, n_stacked, index) for index, v in enumerate(model.non_trainable_variables)]
        held = zip(model.trainable_variables, self._trainable, strict=True)
        self._held = [stacked for variable, stacked in held if craft.has_max_norm and is_held(variable)]
        self._dropouts = [i for i, v in enumerate(model.non_trainable_variables) if v.name == "dial_dropout"]
        optimizer.build(self._trainable)
        self._optimizer_start = [(v, _start_value(v)) for v in optimizer.variables]
        self.train = _compiled(self._train, self._train_signature())
        self.predict = _compiled(self._predict, (tf.TensorSpec((n_stacked, None), tf.int32),))

    # -- state ------------------------------------------------------------

    @property
    def variables(self) -> list[keras.Variable]:
        """The stacked variables in the order of ``model.variables``, each ``(n_stacked, ...)``."""
        stacked = dict(zip(map(id, self._model.trainable_variables), self._trainable, strict=True))
        stacked.update(zip(map(id, self._model.non_trainable_variables), self._fixed, strict=True))
        return [stacked[id(v)] for v in self._model.variables]

    @property
    def state(self) -> list[keras.Variable]:
        """Everything that training changes: the stacked variables, the optimizer's, those of a plateau."""
        plateau = self.craft_numbers.plateau.variables if self._craft.has_plateau else []
        return [*self.variables, *self._optimizer.variables, *plateau]

    def reset(self, weights: Sequence[Array], numbers: Mapping[str, float]) -> None:
        """Start anew from initial weights ``(n_stacked, ...)`` in the order of ``model.variables``.

        numbers: values of the optimizer's variables, by attribute; those that it does not have are left out.
        """
        for variable, value in zip(self.variables, weights, strict=True):
            variable.assign(value)
        for variable, start in self._optimizer_start:
            variable.assign(tf.zeros(variable.shape, variable.dtype) if start is None else start)
        self.craft_numbers.plateau.reset()
        for name, number in numbers.items():
            if getattr(self._optimizer, name, None) is not None:
                getattr(self._optimizer, name).assign(number)

    # -- compiled ------------------------------------------------------------

    def _train_signature(self) -> tuple[tf.TensorSpec, ...]:
        """Types of the arguments of ``_train``; any number of rows, so that it is traced once."""
        units = tf.TensorSpec((self._n_stacked, 1, self._y.shape[1]), tf.float64)
        rows, rates = tf.TensorSpec((self._n_stacked, None), tf.int32), tf.TensorSpec((None,), tf.float32)
        number, is_shuffled = tf.TensorSpec((), tf.int32), tf.TensorSpec((), tf.bool)
        seed, smoothing = tf.TensorSpec((2,), tf.int32), tf.TensorSpec((), tf.float32)
        return (rows, units, units, rates, rates, smoothing, number, number, number, seed, is_shuffled)

    def _train(
        self,
        rows: tf.Tensor,
        center: tf.Tensor,
        scale: tf.Tensor,
        rates: tf.Tensor,
        dropouts: tf.Tensor,
        smoothing: tf.Tensor,
        first_epoch: tf.Tensor,
        n_epochs: tf.Tensor,
        batch_size: tf.Tensor,
        seed: tf.Tensor,
        is_shuffled: tf.Tensor,
    ) -> tf.Tensor:
        """Train some epochs; the result is the mean training loss ``(n_epochs, n_stacked)``.

        rows ``(n_stacked, n_train)``: training rows of each member; center, scale ``(n_stacked, 1,
        n_outputs)``: its target units; rates, dropouts: learning rate and factor of the dropout rates of
        every step from epoch 0 on; smoothing: of the class targets; seed ``(2,)``: of orders and noise.
        """
        n_rows = tf.shape(rows)[1]
        n_whole = n_rows // batch_size
        n_steps = n_whole + tf.cast(n_rows - n_whole * batch_size > 1, tf.int32)
        losses = tf.TensorArray(tf.float32, size=n_epochs, element_shape=(self._n_stacked,))
        for epoch in tf.range(first_epoch, first_epoch + n_epochs):
            epoch_seed = seed + tf.stack([epoch, 0])
            order = self._shuffled(rows, epoch_seed) if is_shuffled else rows
            total, penalised = tf.zeros((self._n_stacked,)), tf.zeros((self._n_stacked,))
            for step in tf.range(n_steps):
                batch = order[:, step * batch_size : (step + 1) * batch_size]
                at = epoch * n_steps + step
                self._optimizer.learning_rate.assign(rates[at])
                y = self._targets(batch, center, scale, smoothing)
                loss, whole = self._step(batch, y, dropouts[at], epoch_seed + tf.stack([0, step + 1]))
                total += loss * tf.cast(tf.shape(batch)[1], tf.float32)
                penalised += whole * tf.cast(tf.shape(batch)[1], tf.float32)
            if self._craft.has_plateau:
                n_used = tf.minimum(n_steps * batch_size, n_rows)
                self.craft_numbers.plateau.look(penalised / tf.cast(n_used, tf.float32))
            losses = losses.write(epoch - first_epoch, total / tf.cast(n_rows, tf.float32))
        return losses.stack()

    def _predict(self, rows: tf.Tensor) -> tf.Tensor:
        """Predictions ``(n_stacked, n_rows, n_outputs)`` on each member's rows ``(n_stacked, n_rows)``."""
        n_rows, chunk = tf.shape(rows)[1], max(32, ROWS_PER_PREDICTION // self._n_stacked)
        n_chunks = (n_rows + chunk - 1) // chunk
        parts = tf.TensorArray(tf.float32, size=n_chunks, infer_shape=False)
        for index in tf.range(n_chunks):
            part = self._apply(rows[:, index * chunk : (index + 1) * chunk])
            parts = parts.write(index, tf.transpose(part, [1, 0, 2]))
        return tf.transpose(tf.ensure_shape(parts.concat(), (None, self._n_stacked, None)), [1, 0, 2])

    def _shuffled(self, rows: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
        keys = tf.random.stateless_uniform(tf.shape(rows), seed)
        return tf.gather(rows, tf.argsort(keys, axis=1), batch_dims=1)

    def _targets(
        self, batch: tf.Tensor, center: tf.Tensor, scale: tf.Tensor, smoothing: tf.Tensor
    ) -> tf.Tensor:
        """Targets of a batch in each member's units ``(n_stacked, n_rows, n_outputs)``, smoothed."""
        y = tf.cast((tf.gather(self._y, batch) - center) / scale, tf.float32)
        return y * (1.0 - smoothing) + self._uniform * smoothing

    def _step(
        self, batch: tf.Tensor, y: tf.Tensor, dropout: tf.Tensor, seed: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """One optimizer step of every member; its loss ``(n_stacked,)``, and that with its penalties."""
        noise = self._noise(tf.shape(batch)[1], seed)
        weights = self._weights(batch)
        changed: list[int] = []

        def member(given: Any) -> Any:
            trainable, fixed, inputs, target, noise_of_layer, weights_of_rows = given
            with _Supplied(self._noisy, noise_of_layer):
                predictions, state, penalties = self._model.stateless_call(
                    trainable, fixed, _one_or_list(inputs), training=True, return_losses=True
                )
            changed[:] = [i for i, (new, old) in enumerate(zip(state, fixed, strict=True)) if new is not old]
            loss = _mean_loss(self._loss, target, predictions, *weights_of_rows)
            return (
                loss,
                tf.add_n([loss, *map(tf.cast, penalties, ["float32"] * len(penalties))]),
                [state[i] for i in changed],
            )

        with tf.GradientTape() as tape:
            trainable = [tf.convert_to_tensor(v) for v in self._trainable]
            tape.watch(trainable)
            fixed = [tf.convert_to_tensor(v) for v in self._fixed]
            for index in self._dropouts:
                fixed[index] = fixed[index] * dropout
            given = (trainable, fixed, self._gathered(batch), y, noise, weights)
            loss, penalised, state = self._mapped(member, given)
            total = tf.reduce_sum(penalised)
        gradients = tape.gradient(total, trainable, unconnected_gradients=tf.UnconnectedGradients.ZERO)
        for index, value in zip(changed, state, strict=True):
            self._fixed[index].assign(value)
        self.craft_numbers.apply(self._craft, self._optimizer, gradients, self._trainable)
        self.craft_numbers.hold(self._held)
        return loss, penalised

    def _weights(self, batch: tf.Tensor) -> list[tf.Tensor]:
        """How much each row of a batch counts ``(n_stacked, n_rows)``; nothing where all count the same."""
        found = [] if self._row_weights is None else [tf.gather(self._row_weights, batch)]
        if self._craft.has_class_weight:
            y = tf.cast(tf.gather(self._y, batch), tf.float32)
            found.append(self.craft_numbers.weights_of(y))
        return found if len(found) < 2 else [found[0] * found[1]]

    def _apply(self, batch: tf.Tensor) -> tf.Tensor:
        def member(given: Any) -> Any:
            trainable, fixed, inputs = given
            return self._model.stateless_call(trainable, fixed, _one_or_list(inputs), training=False)[0]

        trainable = [tf.convert_to_tensor(v) for v in self._trainable]
        fixed = [tf.convert_to_tensor(v) for v in self._fixed]
        return tf.cast(self._mapped(member, (trainable, fixed, self._gathered(batch))), tf.float32)

    def _mapped(self, function: Callable[[Any], Any], given: Any) -> Any:
        """The function for every member: vectorised, or plainly where there is only one."""
        if self._n_stacked > 1:
            return tf.vectorized_map(function, given, fallback_to_while_loop=True)
        return tf.nest.map_structure(
            lambda t: t[None], function(tf.nest.map_structure(lambda t: t[0], given))
        )

    def _gathered(self, batch: tf.Tensor) -> list[tf.Tensor]:
        return [tf.gather(values, batch) for values in self._inputs]

    def _noise(self, n_rows: tf.Tensor, seed: tf.Tensor) -> list[tf.Tensor]:
        """Uniform numbers for the layers that take them, drawn at once with the member axis outside."""
        if not self._noisy:
            return []
        sizes = [layer.noise_width for layer in self._noisy]
        drawn = tf.random.stateless_uniform((self._n_stacked, n_rows, sum(sizes)), seed)
        parts: list[tf.Tensor] = tf.split(drawn, sizes, axis=2)
        return parts


class _Supplied:
    """Hand noise to layers for the time of one call, then take it back: no graph outlives its program."""

    def __init__(self, layers: list[Any], noise: list[Any]) -> None:
        self._layers, self._noise = layers, noise

    def __enter__(self) -> None:
        for layer, noise in zip(self._layers, self._noise, strict=True):
            layer.noise = noise

    def __exit__(self, *_: object) -> None:
        for layer in self._layers:
            layer.noise = None


def _mean_loss(
    loss: Callable[[Any, Any], Any],
    target: tf.Tensor,
    predictions: tf.Tensor,
    row_weights: tf.Tensor | None = None,
) -> tf.Tensor:
    """Mean over rows of weight times loss; over the members inside one model too, where it has such."""
    if len(predictions.shape) > len(target.shape):
        target = tf.broadcast_to(target[:, None, :], tf.shape(predictions))
        losses = tf.reduce_mean(loss(target, predictions), axis=1)
    else:
        losses = loss(target, predictions)
    return tf.reduce_mean(losses if row_weights is None else losses * row_weights)


def _compiled(function: Callable[..., Any], signature: Sequence[tf.TensorSpec]) -> Callable[..., Any]:
    """A graph of the function, traced at its first call, freed with its program.

    Gradients registered by ``tf.custom_gradient`` while tracing would keep the whole graph alive for ever;
    once the graph stands nobody asks for them again.
    """
    graph = tf.function(function, input_signature=signature)

    def call(*arguments: Any) -> Any:
        n_traces = graph.experimental_get_tracing_count()
        result = graph(*arguments)
        if graph.experimental_get_tracing_count() > n_traces:
            _forget_custom_gradients()
        return result

    return call


def _forget_custom_gradients() -> None:
    from tensorflow.python.framework import ops

    registry = getattr(ops.gradient_registry, "_registry", {})
    for name in [name for name in registry if name.startswith("CustomGradient-")]:
        del registry[name]


def _stacked(variable: keras.Variable, n_stacked: int, index: int) -> keras.Variable:
    name = f"{variable.path.replace('/', '_')}_{index}"
    value = np.zeros((n_stacked, *variable.shape), variable.dtype)
    return keras.Variable(value, dtype=variable.dtype, trainable=variable.trainable, name=name)


def _start_value(variable: keras.Variable) -> Array | None:
    """A variable's value before training, None where it is all zeros."""
    value = variable.numpy()
    return value if value.any() else None


def _one_or_list(inputs: list[Any]) -> Any:
    return inputs[0] if len(inputs) == 1 else inputs
