"""Adam and AdamW by TensorFlow's fused kernel: one pass over memory where Keras makes ten."""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf


class Adam(keras.optimizers.Adam):  # type: ignore[misc]
    """Keras' Adam (Kingma & Ba 2015), optionally with decoupled decay (Loshchilov & Hutter 2019).

    The numbers are those of ``keras.optimizers.Adam`` and ``AdamW``; the decay and the rate at which squared
    gradients are forgotten are variables, so that a compiled program serves every value of them.
    """

    def __init__(self, *, is_decoupled: bool = False) -> None:
        super().__init__(1e-3)
        self.forgetting = keras.Variable(self.beta_2, trainable=False, name="beta_2")
        self.decay = keras.Variable(0.0, trainable=False, name="decay") if is_decoupled else None

    def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
        """One step of one variable; the formula is Keras', with the bias correction in the step size."""
        index = self._get_variable_index(variable)
        rate = tf.cast(learning_rate, variable.dtype)
        step = tf.cast(self.iterations + 1, variable.dtype)
        beta_2 = tf.cast(tf.convert_to_tensor(self.forgetting), variable.dtype)
        if self.decay is not None:
            variable.assign_sub(variable * (tf.convert_to_tensor(self.decay) * rate))
        tf.raw_ops.ResourceApplyAdam(
            var=variable.handle,
            m=self._momentums[index].value.handle,
            v=self._velocities[index].value.handle,
            beta1_power=tf.pow(tf.cast(self.beta_1, variable.dtype), step),
            beta2_power=tf.pow(beta_2, step),
            lr=rate,
            beta1=self.beta_1,
            beta2=beta_2,
            epsilon=self.epsilon,
            grad=gradient,
        )
