"""TabM: an ensemble inside one network, whose members share weights (Gorishniy et al. 2025).

Functions of a family, as in `spaces.mlp`. TensorFlow is imported by ``build`` alone.
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
from spaces.mlp import ACTIVATION_OF_TASK, GAIN, batch_sizes, limited
from spaces.parameters import Choice, Float, Int
from spaces.signature import Signature
from spaces.space import Space
from spaces.training import training_extras

if TYPE_CHECKING:
    import keras

Config = Mapping[str, Any]


def default_space(signature: Signature) -> Space:
    """What is tried by default for a table of this size; see `spaces.mlp.default_space`."""
    is_regression = signature.task.kind == "regression"
    return Space(
        {
            "k": Choice((8, 16, 32)),
            "adapters": Choice(("all", "first")),
            "depth": Int(1, 3),
            "width": Choice((32, 64, 128, 256)),
            "activation": Choice(("relu", "selu", "mish")),
            **input_parameters(signature),
            "dropout": Float(0.0, 0.5),
            **({"clip": Choice((True, False))} if is_regression else {}),
            "optimizer": Choice(("adamw",)),
            "weight_decay": Float(1e-4, 1e-1, log=True),
            "beta2": Choice((0.95, 0.999)),
            "learning_rate": Float(3e-4, 1e-2, log=True),
            "schedule": Choice(("constant", "cosine", "flat_cosine")),
            "batch_size": Choice(batch_sizes(signature)),
        },
        input_conditions(signature),
        extras=training_extras(signature),
    )


def first_configs(signature: Signature) -> tuple[dict[str, Any], ...]:
    """Configurations worth trying first, before any proposal; admissible in `default_space`."""
    batches, is_regression = batch_sizes(signature), signature.task.kind == "regression"
    common = {
        "k": 16, "depth": 2, "width": 128, "activation": "relu", "dropout": 0.1, "optimizer": "adamw",
        "weight_decay": 1e-2, "beta2": 0.999, "learning_rate": 3e-3 if is_regression else 1e-3,
        "schedule": "flat_cosine" if is_regression else "cosine",
        "batch_size": batches[min(1, len(batches) - 1)],
        **({"clip": True} if is_regression else {}),
    }  # fmt: skip

    def shown(scaling: str, numbers: str) -> dict[str, Any]:
        return chosen_inputs(
            signature, scaling=scaling, numbers=numbers, sigma=0.1, categories="one_hot", feature_scale=False
        )

    bins = {**common, **shown("standard", "piecewise"), "adapters": "first"}
    waves = {**common, **shown("robust", "periodic"), "adapters": "all"}
    return (bins, waves) if is_regression else (waves, bins)


def structure(config: Config) -> tuple[Any, ...]:
    """The part of a configuration that shapes the compiled program; the rest are its inputs."""
    return ("tabm", config["k"], config["adapters"], config["depth"], config["width"], config["activation"],
            bool(config.get("dropout")), bool(config.get("clip")), *input_structure(config))  # fmt: skip


def dials(config: Config) -> dict[str, float]:
    """Numbers that a built model takes without being built anew, by the name of its dial."""
    return {"dial_dropout": float(config.get("dropout", 0.0))} | input_dials(config)


def build(config: Config, signature: Signature) -> keras.Model:
    """Build the untrained network; inputs and output as those of `spaces.mlp.build`.

    While training the output is ``(n_rows, k, n_outputs)``, so that each member has a loss of its own.
    """
    import keras

    from spaces.adapters import Heads, MeanOfMembers, SharedDense, Spread
    from spaces.layers import Dropout

    shown = features(config, signature)
    x, gain = Spread(config["k"], name="spread")(shown.x), GAIN.get(config["activation"], 1.0)
    for index in range(config["depth"]):
        stddev = (gain / (config["width"] if index else shown.n_sources)) ** 0.5
        is_adapted = config["adapters"] == "all"
        x = SharedDense(config["width"], is_adapted, stddev, name=f"dense_{index}")(x)
        x = keras.layers.Activation(config["activation"], name=f"activation_{index}")(x)
        if config.get("dropout"):
            x = Dropout(config["dropout"], name=f"dropout_{index}")(x)
    x = Heads(signature.n_outputs, name="output")(x)
    x = keras.layers.Activation(ACTIVATION_OF_TASK[signature.task.kind], name="output_activation")(x)
    output = limited(config, signature, MeanOfMembers(name="mean")(x))
    return keras.Model(shown.inputs, output, name="tabm")
