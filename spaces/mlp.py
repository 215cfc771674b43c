"""Multi-layer perceptrons: the default family of networks.

Functions of a family: ``default_space(signature)``, ``build(config, signature)``, ``structure(config)`` and
``dials(config)``. TensorFlow is imported by ``build`` alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from spaces.encoding import Layout
from spaces.parameters import Choice, Float, Int
from spaces.signature import Signature
from spaces.space import Condition, Space

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


def default_space(signature: Signature) -> Space:
    """What is tried by default for a table of this size.

    Parameters
    ----------
    signature : Signature
        Its ``n_rows`` bounds the batch sizes: at least ten steps an epoch.
    """
    batches = tuple(size for size in (16, 32, 64, 128, 256, 512) if size * 10 <= max(signature.n_rows, 320))
    batches = batches[-5:] if signature.n_rows < 20_000 else (128, 256, 512)
    return Space(
        {
            "depth": Int(1, 4),
            "width": Choice((16, 32, 64, 128, 256)),
            "shape": Choice(("constant", "pyramid")),
            "activation": Choice(("relu", "silu", "selu")),
            "normalization": Choice(("none", "batch", "layer")),
            "dropout": Float(0.0, 0.5),
            "l1_on": Choice((False, True)),
            "l1": Float(1e-7, 1e-3, log=True),
            "l2_on": Choice((False, True)),
            "l2": Float(1e-6, 1e-2, log=True),
            "optimizer": Choice(("adam", "adamw", "rmsprop", "sgd")),
            "weight_decay": Float(1e-4, 1e-1, log=True),
            "learning_rate": Float(3e-4, 3e-2, log=True),
            "schedule": Choice(("constant", "cosine", "flat_cosine", "exponential")),
            "batch_size": Choice(batches),
        },
        {
            "l1": Condition("l1_on", (True,)),
            "l2": Condition("l2_on", (True,)),
            "weight_decay": Condition("optimizer", ("adamw",)),
        },
    )


def first_configs(signature: Signature) -> tuple[dict[str, Any], ...]:
    """Configurations worth trying first, before any proposal.

    They are admissible in `default_space`; the caller drops those that an override excludes.
    """
    batches = default_space(signature).parameters["batch_size"].options  # type: ignore[union-attr]
    common = {
        "l1_on": False,
        "l2_on": False,
        "shape": "constant",
        "batch_size": batches[min(1, len(batches) - 1)],
    }
    return (
        {**common, "depth": 2, "width": 128, "activation": "relu", "normalization": "none", "dropout": 0.1,
         "optimizer": "adam", "learning_rate": 2e-3, "schedule": "cosine"},
        {**common, "depth": 3, "width": 256, "activation": "silu", "normalization": "none", "dropout": 0.15,
         "optimizer": "adamw", "weight_decay": 1e-2, "learning_rate": 2e-3, "schedule": "flat_cosine"},
        {**common, "depth": 1, "width": 64, "activation": "relu", "normalization": "batch", "dropout": 0.3,
         "optimizer": "adam", "learning_rate": 5e-3, "schedule": "cosine"},
    )  # fmt: skip


def widths(config: Config) -> tuple[int, ...]:
    """Units of each hidden layer: constant, or halved from layer to layer and at least 8.

    >>> widths({"depth": 3, "width": 64, "shape": "pyramid"})
    (64, 32, 16)
    """
    halvings = range(config["depth"]) if config.get("shape") == "pyramid" else [0] * config["depth"]
    return tuple(
        max(8, int(config["width"]) >> halving) if halving else int(config["width"]) for halving in halvings
    )


def structure(config: Config) -> tuple[Any, ...]:
    """The part of a configuration that shapes the compiled program; the rest are its inputs."""
    has_penalty = bool(config.get("l1") or config.get("l2"))
    return ("mlp", widths(config), config["activation"], config.get("normalization", "none"),
            bool(config.get("dropout")), has_penalty)  # fmt: skip


def dials(config: Config) -> dict[str, float]:
    """Numbers that a built model takes without being built anew, by the name of its dial."""
    return {f"dial_{name}": float(config.get(name, 0.0)) for name in ("dropout", "l1", "l2")}


def build(config: Config, signature: Signature) -> keras.Model:
    """Build the untrained network.

    Inputs are ``numbers (n_rows, n_numbers)`` float32 with NaN where missing and ``codes (n_rows,
    n_categories)`` int32, each only if the schema has such columns; the output ``(n_rows, n_outputs)`` is a
    probability (sigmoid or softmax) or, for regression, a value in standardised target units.

    Parameters
    ----------
    config : mapping
        A configuration of `default_space` or of an override of it.
    signature : Signature
        The data's format and task.
    """
    import keras

    from spaces.layers import Dropout

    inputs, x = encoded_inputs(signature)
    for index, units in enumerate(widths(config)):
        x = _dense(config, signature, index, units)(x)
        if config.get("normalization", "none") != "none":
            x = _normalization(config["normalization"], index)(x)
        x = keras.layers.Activation(config["activation"], name=f"activation_{index}")(x)
        if config.get("dropout"):
            x = Dropout(config["dropout"], name=f"dropout_{index}")(x)
    activation = ACTIVATION_OF_TASK[signature.task.kind]
    output = keras.layers.Dense(signature.n_outputs, activation=activation, name="output")(x)
    return keras.Model(inputs, output, name="mlp")


def encoded_inputs(signature: Signature) -> tuple[list[Any], Any]:
    """Inputs of a model on a table, and the matrix that they are encoded to."""
    import keras

    from spaces.layers import Encode

    layout = Layout.of(signature.schema)
    inputs = []
    if layout.n_numbers:
        inputs.append(keras.Input((layout.n_numbers,), name="numbers", dtype="float32"))
    if layout.n_slots:
        inputs.append(keras.Input((len(layout.n_slots),), name="codes", dtype="int32"))
    return inputs, Encode(layout, name="encode")(inputs)


def _dense(config: Config, signature: Signature, index: int, units: int) -> Any:
    """A hidden layer; the first is scaled by columns, since a category's features share one variance."""
    import keras

    from spaces.layers import PenalizedDense

    activation = config["activation"]
    initializer: Any = INITIALIZERS.get(activation, "glorot_uniform")
    if index == 0:
        n_columns = Layout.of(signature.schema).n_columns
        initializer = keras.initializers.RandomNormal(stddev=(GAIN.get(activation, 1.0) / n_columns) ** 0.5)
    uses_bias = config.get("normalization", "none") != "batch"
    arguments = {"kernel_initializer": initializer, "use_bias": uses_bias, "name": f"dense_{index}"}
    if config.get("l1") or config.get("l2"):
        return PenalizedDense(units, l1=config.get("l1", 0.0), l2=config.get("l2", 0.0), **arguments)
    return keras.layers.Dense(units, **arguments)


def _normalization(name: str, index: int) -> Any:
    import keras

    if name == "batch":
        return keras.layers.BatchNormalization(momentum=0.9, name=f"normalization_{index}")
    return keras.layers.LayerNormalization(name=f"normalization_{index}")
