"""Convolutional networks for images and sequences beside other columns: small, residual, depthwise separable.

Functions of a family, as in `spaces.mlp`. TensorFlow is imported by ``build`` alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from spaces.inputs import Shown, features
from spaces.mlp import ACTIVATION_OF_TASK, batch_sizes, limited
from spaces.parameters import Choice, Float, Int
from spaces.signature import Signature
from spaces.space import Condition, Space
from spaces.training import training_extras

if TYPE_CHECKING:
    import keras

Config = Mapping[str, Any]

BLOCK_KINDS = ("image", "sequence")
SMALLEST = 4  # a map of fewer steps along both sides is not halved
EMBEDDED = 16  # features of a token that goes straight to the head


def default_space(signature: Signature) -> Space:
    """What is tried by default for a table with images or sequences; see `spaces.mlp.default_space`."""
    has_width = any(block.kind == "image" for block in signature.schema.blocks)
    return Space(
        {
            "n_blocks": Int(1, 3),
            "filters": Choice((16, 32, 64)),
            "kernel_size": Choice((3, 5)),
            "convolution": Choice(("separable", "full")),
            "growth": Choice((1, 2)),
            "activation": Choice(("relu", "silu")),
            "pooling": Choice(("mean", "flatten")),
            "shift": Float(0.0, 2.0),
            **({"flip": Choice((False, True))} if has_width else {}),
            **training_parameters(signature),
        },
        TRAINING_CONDITIONS,
        extras=training_extras(signature),
    )


def training_parameters(signature: Signature) -> dict[str, Any]:
    """How networks for blocks are trained and regularised."""
    is_regression = signature.task.kind == "regression"
    return {
        "dropout": Float(0.0, 0.5),
        **({"clip": Choice((True, False))} if is_regression else {"label_smoothing": Choice((0.0, 0.1))}),
        "optimizer": Choice(("adam", "adamw")),
        "weight_decay": Float(1e-4, 1e-1, log=True),
        "learning_rate": Float(3e-4, 2e-2, log=True),
        "schedule": Choice(("constant", "cosine", "flat_cosine", "one_cycle")),
        "batch_size": Choice(batch_sizes(signature)),
    }


TRAINING_CONDITIONS = {"weight_decay": Condition("optimizer", ("adamw",))}


def training_defaults(signature: Signature) -> dict[str, Any]:
    """Values of `training_parameters` that do well at first."""
    batches, is_regression = batch_sizes(signature), signature.task.kind == "regression"
    return {
        "dropout": 0.1, "optimizer": "adamw", "weight_decay": 1e-2, "learning_rate": 6e-3,
        "schedule": "cosine", "batch_size": batches[min(2, len(batches) - 1)],
        **({"clip": True} if is_regression else {"label_smoothing": 0.0}),
    }  # fmt: skip


def first_configs(signature: Signature) -> tuple[dict[str, Any], ...]:
    """Configurations worth trying first, before any proposal; admissible in `default_space`."""
    has_width = any(block.kind == "image" for block in signature.schema.blocks)
    common = {
        "n_blocks": 2, "filters": 32, "kernel_size": 3, "convolution": "separable", "growth": 2,
        "activation": "relu", "pooling": "mean", "shift": 0.5, **({"flip": False} if has_width else {}),
        **training_defaults(signature),
    }  # fmt: skip
    return common, {**common, "convolution": "full", "growth": 1, "dropout": 0.3}


def structure(config: Config) -> tuple[Any, ...]:
    """The part of a configuration that shapes the compiled program; the rest are its inputs."""
    return ("convolutional", config["n_blocks"], config["filters"], config["kernel_size"],
            config["convolution"], config["growth"], config["activation"], config["pooling"],
            bool(config.get("shift")), bool(config.get("flip")), bool(config.get("dropout")),
            bool(config.get("clip")))  # fmt: skip


def dials(config: Config) -> dict[str, float]:
    """Numbers that a built model takes without being built anew, by the name of its dial."""
    return {f"dial_{name}": float(config.get(name, 0.0)) for name in ("dropout", "shift")}


def build(config: Config, signature: Signature) -> keras.Model:
    """Build the untrained network; inputs and output as those of `spaces.mlp.build`.

    Every image, and every sequence as an image of width 1, has a tower of its own: residual blocks of
    depthwise separable convolutions (Chollet 2017; He et al. 2016) with batch normalisation, halved in height
    and width between blocks. What the towers give, all other blocks and the other columns go to one linear
    layer.
    """
    shown = features(config, signature)
    towers = {
        block.name: _tower(config, _image(shown.blocks[block.name], block.shape), number)
        for number, block in enumerate(signature.schema.blocks)
        if block.kind in BLOCK_KINDS
    }
    return headed(config, signature, shown, towers, "convolutional")


def headed(
    config: Config, signature: Signature, shown: Shown, towers: Mapping[str, Any], name: str
) -> keras.Model:
    """The network of these towers: vectors ``(n_rows, n)`` by block, with everything else beside them."""
    import keras

    from spaces.layers import Dropout

    parts = [*towers.values(), *_beside(signature, shown, set(towers))]
    x = keras.layers.Concatenate(name="joined")(parts) if len(parts) > 1 else parts[0]
    x = Dropout(config["dropout"], name="dropout")(x) if config.get("dropout") else x
    activation = ACTIVATION_OF_TASK[signature.task.kind]
    output = keras.layers.Dense(signature.n_outputs, activation=activation, name="output")(x)
    return keras.Model(shown.inputs, limited(config, signature, output), name=name)


def _beside(signature: Signature, shown: Shown, done: set[str]) -> list[Any]:
    """Vectors of the blocks that have no tower, and of the columns in no block."""
    import keras

    from spaces.recurrence import Present, StepPooling, Tokens

    parts = []
    for number, block in enumerate(signature.schema.blocks):
        x = shown.blocks[block.name]
        if block.name in done:
            continue
        if block.kind == "tokens":
            vectors = Tokens(block.n_tokens, EMBEDDED, name=f"tokens_{number}")(x)
            parts.append(StepPooling("mean", name=f"mean_{number}")([vectors, Present()(x)]))
        else:
            parts.append(keras.layers.Flatten(name=f"flat_{number}")(x) if len(block.shape) > 1 else x)
    return parts if shown.rest is None else [*parts, shown.rest]


def _image(x: Any, shape: tuple[int, ...]) -> Any:
    """A sequence ``(n_steps, n)`` as an image ``(n_steps, 1, n)``."""
    import keras

    return x if len(shape) == 3 else keras.layers.Reshape((shape[0], 1, shape[1]))(x)


def _tower(config: Config, x: Any, number: int) -> Any:
    """From images to vectors: a first convolution, then blocks."""
    import keras

    from spaces.augmentation import Augmentation

    if config.get("shift") or config.get("flip"):
        name = f"augmentation_{number}"
        x = Augmentation(config.get("shift", 0.0), bool(config.get("flip")), name=name)(x)
    filters = config["filters"]
    x = _convolved(config, x, filters, f"stem_{number}", is_first=True)
    for index in range(config["n_blocks"]):
        if index and max(x.shape[1:3]) >= SMALLEST:
            filters = filters * config["growth"]
            x = _convolved(config, x, filters, f"half_{number}_{index}", stride=2)
        inner = _convolved(config, x, filters, f"block_{number}_{index}a")
        inner = _convolved(config, inner, filters, f"block_{number}_{index}b", is_activated=False)
        x = keras.layers.Add(name=f"block_{number}_{index}")([x, inner])
        x = keras.layers.Activation(config["activation"], name=f"block_{number}_{index}_active")(x)
    if config["pooling"] == "flatten":
        return keras.layers.Flatten(name=f"flatten_{number}")(x)
    return keras.layers.GlobalAveragePooling2D(name=f"mean_{number}")(x)


def _convolved(
    config: Config,
    x: Any,
    filters: int,
    name: str,
    *,
    stride: int = 1,
    is_first: bool = False,
    is_activated: bool = True,
) -> Any:
    """A convolution, normalised and activated.

    A separable one is a matrix product over the channels and a depthwise convolution: the first with the
    product before, so that every filter sees every pixel, all others with the product behind.
    """
    import keras

    size = tuple(min(config["kernel_size"], 2 * side - 1) for side in x.shape[1:3])
    strides = tuple(min(stride, side) for side in x.shape[1:3])
    if config["convolution"] == "full":
        convolution = keras.layers.Conv2D(
            filters, size, strides, "same", use_bias=False, kernel_initializer="he_normal", name=name
        )
        x = convolution(x)
    else:
        depth = depthwise(size, strides, name=f"{name}_depth")
        product = keras.layers.Dense(filters, use_bias=False, kernel_initializer="he_normal", name=name)
        x = depth(product(x)) if is_first else product(depth(x))
    x = keras.layers.BatchNormalization(momentum=0.9, name=f"{name}_normal")(x)
    if not is_activated:
        return x
    return keras.layers.Activation(config["activation"], name=f"{name}_active")(x)


def depthwise(size: tuple[int, ...], strides: tuple[int, ...], name: str) -> keras.layers.Layer:
    """A depthwise convolution whose outputs vary as much as its inputs."""
    import keras

    initializer = keras.initializers.RandomNormal(stddev=(size[0] * size[1]) ** -0.5)
    layer = keras.layers.DepthwiseConv2D(
        size, strides, "same", use_bias=False, depthwise_initializer=initializer, name=name
    )
    layer.kernel_initializer = initializer  # by the name of the weight, where the engine looks for it
    return layer
