"""Multi-layer perceptrons: the default family of networks.

Functions of a family: ``default_space(signature)``, ``build(config, signature)``, ``structure(config)`` and
``dials(config)``. TensorFlow is imported by ``build`` alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from spaces.inputs import (
    chosen_inputs,
    features,
    input_conditions,
    input_dials,
    input_parameters,
    input_structure,
)
from spaces.parameters import Choice, Float, Int
from spaces.signature import Signature
from spaces.space import Condition, Space
from spaces.training import training_extras

if TYPE_CHECKING:
    import keras

Config = Mapping[str, Any]

ACTIVATION_OF_TASK = {
    "binary": "sigmoid",
    "multiclass": "softmax",
    "multilabel": "sigmoid",
    "regression": "linear",
}
INITIALIZERS = {
    "relu": "he_normal",
    "gelu": "he_normal",
    "silu": "he_normal",
    "mish": "he_normal",
    "selu": "lecun_normal",
}
GAIN = {"relu": 2.0, "gelu": 2.0, "silu": 2.0, "mish": 2.0}


# How first configurations are trained: values to the end of a schedule, classes slowly and with more noise.
_VALUES = {
    "dropout": 0.15,
    "dropout_schedule": "flat_cosine",
    "learning_rate": 2e-3,
    "schedule": "flat_cosine",
}
_CLASSES = {"dropout": 0.3, "dropout_schedule": "constant", "learning_rate": 7e-4, "schedule": "cosine"}


def default_space(signature: Signature) -> Space:
    """What is tried by default for a table of this size.

    Parameters
    ----------
    signature : Signature
        Its ``n_rows`` bounds the batch sizes: at least ten steps an epoch. Its columns and its task decide
        which ways to show columns and to train there are. What an override may add: `spaces.training`.
    """
    kind = signature.task.kind
    of_task = (
        {"clip": Choice((True, False))} if kind == "regression" else {"label_smoothing": Choice((0.0, 0.1))}
    )
    return Space(
        {
            "depth": Int(1, 4),
            "width": Choice((16, 32, 64, 128, 256)),
            "block": Choice(("plain", "residual")),
            "shape": Choice(("constant", "pyramid")),
            "activation": Choice(("relu", "silu", "selu", "mish")),
            "normalization": Choice(("none", "batch", "layer")),
            "wide": Choice((False, True)),
            **input_parameters(signature),
            "dropout": Float(0.0, 0.5),
            "dropout_schedule": Choice(("constant", "flat_cosine")),
            **of_task,
            "l1_on": Choice((False, True)),
            "l1": Float(1e-7, 1e-3, log=True),
            "l2_on": Choice((False, True)),
            "l2": Float(1e-6, 1e-2, log=True),
            "optimizer": Choice(("adam", "adamw", "rmsprop", "sgd")),
            "weight_decay": Float(1e-4, 1e-1, log=True),
            "beta2": Choice((0.95, 0.999)),
            "learning_rate": Float(3e-4, 3e-2, log=True),
            "schedule": Choice(("constant", "cosine", "flat_cosine", "exponential")),
            "batch_size": Choice(batch_sizes(signature)),
        },
        {
            "shape": Condition("block", ("plain",)),
            **input_conditions(signature),
            "l1": Condition("l1_on", (True,)),
            "l2": Condition("l2_on", (True,)),
            "weight_decay": Condition("optimizer", ("adamw",)),
            "beta2": Condition("optimizer", ("adam", "adamw")),
        },
        extras=training_extras(signature),
    )


def batch_sizes(signature: Signature) -> tuple[int, ...]:
    """Batch sizes worth trying on so many rows: with at least ten steps an epoch, five at most."""
    sizes = tuple(size for size in (16, 32, 64, 128, 256, 512) if size * 10 <= max(signature.n_rows, 320))
    return sizes[-5:] if signature.n_rows < 20_000 else (128, 256, 512)


def first_configs(signature: Signature) -> tuple[dict[str, Any], ...]:
    """Configurations worth trying first, before any proposal.

    They are admissible in `default_space`; the caller drops those that an override excludes. The first shows
    numbers as RealMLP does (Holzmueller et al. 2024), the second in the other scaling to a wider network, the
    third is a plain network.
    """
    batches, is_regression = batch_sizes(signature), signature.task.kind == "regression"
    common: dict[str, Any] = {
        "depth": 3, "block": "plain", "shape": "constant", "activation": "mish", "normalization": "none",
        "wide": False, "l1_on": False, "l2_on": False, "optimizer": "adamw", "weight_decay": 1e-2,
        "beta2": 0.999, "batch_size": batches[min(1, len(batches) - 1)],
        **({"clip": True, **_VALUES} if is_regression else {"label_smoothing": 0.0, **_CLASSES}),
    }  # fmt: skip
    first, second = ("standard", "robust") if is_regression else ("robust", "standard")

    def shown(scaling: str, numbers: str, *, is_scaled: bool) -> dict[str, Any]:
        return chosen_inputs(
            signature,
            scaling=scaling,
            numbers=numbers,
            sigma=0.1,
            categories="one_hot",
            feature_scale=is_scaled,
        )

    plain = {name: value for name, value in common.items() if name != "weight_decay"}
    return (
        {**common, **shown(first, "periodic", is_scaled=True), "width": 128},
        {**common, **shown(second, "periodic", is_scaled=False), "width": 256},
        {**plain, **shown("standard", "plain", is_scaled=False), "depth": 2, "width": 128,
         "activation": "relu", "dropout": 0.1, "dropout_schedule": "constant", "optimizer": "adam",
         "learning_rate": 2e-3, "schedule": "cosine"},
    )  # fmt: skip


def widths(config: Config) -> tuple[int, ...]:
    """Units of each hidden layer or block: constant, or halved from layer to layer and at least 8.

    >>> widths({"depth": 3, "width": 64, "shape": "pyramid"})
    (64, 32, 16)
    """
    is_pyramid = config.get("shape") == "pyramid" and config.get("block", "plain") == "plain"
    halvings = range(config["depth"]) if is_pyramid else [0] * config["depth"]
    return tuple(
        max(8, int(config["width"]) >> halving) if halving else int(config["width"]) for halving in halvings
    )


def structure(config: Config) -> tuple[Any, ...]:
    """The part of a configuration that shapes the compiled program; the rest are its inputs."""
    has_penalty = bool(config.get("l1") or config.get("l2"))
    return ("mlp", widths(config), config["activation"], config.get("normalization", "none"),
            bool(config.get("dropout")), has_penalty, config.get("block", "plain"),
            bool(config.get("wide")), bool(config.get("clip")), *input_structure(config))  # fmt: skip


def dials(config: Config) -> dict[str, float]:
    """Numbers that a built model takes without being built anew, by the name of its dial."""
    numbers = {f"dial_{name}": float(config.get(name, 0.0)) for name in ("dropout", "l1", "l2")}
    return numbers | input_dials(config)


def build(config: Config, signature: Signature) -> keras.Model:
    """Build the untrained network.

    Inputs are ``numbers (n_rows, n_numbers)`` float32 with NaN where missing and ``codes (n_rows,
    n_categories)`` int32, each only if the schema has such columns; the output ``(n_rows, n_outputs)`` is a
    probability (sigmoid or softmax) or, for regression, a value in standardised target units.

    Parameters
    ----------
    config : mapping
        A configuration of `default_space` or of an override of it; a choice that it does not name is not made
        (standard scaling, plain numbers, one-hot categories, plain blocks, nothing beside them).
    signature : Signature
        The data's format and task.
    """
    import keras

    shown = features(config, signature)
    stack = _residual if config.get("block", "plain") == "residual" else _plain
    x = stack(config, shown.x, shown.n_sources)
    activation = ACTIVATION_OF_TASK[signature.task.kind]
    deep = "linear" if config.get("wide") else activation
    output = keras.layers.Dense(signature.n_outputs, activation=deep, name="output")(x)
    if config.get("wide"):
        beside = keras.layers.Dense(
            signature.n_outputs, use_bias=False, kernel_initializer="zeros", name="output_wide"
        )(shown.encoded)
        output = keras.layers.Activation(activation, name="output_sum")(keras.layers.Add()([output, beside]))
    return keras.Model(shown.inputs, limited(config, signature, output), name="mlp")


def limited(config: Config, signature: Signature, output: Any) -> Any:
    """The output, held within the range of the training targets where the configuration says so."""
    from spaces.layers import Limit

    is_limited = config.get("clip") and signature.task.kind == "regression"
    return Limit(name="limit")(output) if is_limited else output


def _plain(config: Config, x: Any, n_sources: float) -> Any:
    """Layer after layer: multiply, normalise, activate, drop."""
    for index, units in enumerate(widths(config)):
        has_bias = config.get("normalization", "none") != "batch"
        x = _dense(config, index, units, n_sources if index == 0 else None, has_bias)(x)
        x = _activated(config, _normalized(config, x, index), index)
    return x


def _residual(config: Config, x: Any, n_sources: float) -> Any:
    """Pre-normalised residual blocks on a first linear layer (ResNet; Gorishniy et al. 2021, sec. 3.2)."""
    import keras

    x = _dense(config, 0, widths(config)[0], n_sources)(x)
    for index, units in enumerate(widths(config)):
        inner = _dense(config, 2 * index + 1, units)(_normalized(config, x, index))
        inner = _dense(config, 2 * index + 2, units)(_activated(config, inner, index))
        x = keras.layers.Add(name=f"block_{index}")([x, inner])
    return _normalized(config, x, len(widths(config)))


def _activated(config: Config, x: Any, index: int) -> Any:
    import keras

    from spaces.layers import Dropout

    x = keras.layers.Activation(config["activation"], name=f"activation_{index}")(x)
    return Dropout(config["dropout"], name=f"dropout_{index}")(x) if config.get("dropout") else x


def _dense(
    config: Config, index: int, units: int, n_sources: float | None = None, has_bias: bool = True
) -> Any:
    """A hidden layer; the first is scaled by sources of variance, since a category's slots share one."""
    import keras

    from spaces.layers import PenalizedDense

    activation = config["activation"]
    initializer: Any = INITIALIZERS.get(activation, "glorot_uniform")
    if n_sources is not None:
        initializer = keras.initializers.RandomNormal(stddev=(GAIN.get(activation, 1.0) / n_sources) ** 0.5)
    arguments = {"kernel_initializer": initializer, "use_bias": has_bias, "name": f"dense_{index}"}
    if config.get("l1") or config.get("l2"):
        return PenalizedDense(units, l1=config.get("l1", 0.0), l2=config.get("l2", 0.0), **arguments)
    return keras.layers.Dense(units, **arguments)


def _normalized(config: Config, x: Any, index: int) -> Any:
    import keras

    name = config.get("normalization", "none")
    if name == "none":
        return x
    if name == "batch":
        return keras.layers.BatchNormalization(momentum=0.9, name=f"normalization_{index}")(x)
    return keras.layers.LayerNormalization(name=f"normalization_{index}")(x)
