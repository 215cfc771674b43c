"""Recurrent networks for sequences and tokens beside other columns.

Functions of a family, as in `spaces.mlp`. TensorFlow is imported by ``build`` alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from spaces.convolutional import TRAINING_CONDITIONS, headed, training_defaults, training_parameters
from spaces.inputs import features
from spaces.parameters import Choice, Int
from spaces.signature import Signature
from spaces.space import Condition, Space
from spaces.training import training_extras

if TYPE_CHECKING:
    import keras

    from spaces.schema import Block

Config = Mapping[str, Any]

BLOCK_KINDS = ("sequence", "tokens")


def default_space(signature: Signature) -> Space:
    """What is tried by default for a table with sequences or tokens; see `spaces.mlp.default_space`."""
    has_tokens = any(block.kind == "tokens" for block in signature.schema.blocks)
    return Space(
        {
            "unit": Choice(("gru", "lstm")),
            "n_layers": Int(1, 2),
            "width": Choice((16, 32, 64, 128)),
            "is_bidirectional": Choice((False, True)),
            "pooling": Choice(("last", "mean", "max")),
            **({"embedding": Choice((8, 16, 32, 64))} if has_tokens else {}),
            **training_parameters(signature),
            "clip_norm_on": Choice((False, True)),
            "clip_norm": Choice((1.0, 5.0)),
        },
        {**TRAINING_CONDITIONS, "clip_norm": Condition("clip_norm_on", (True,))},
        extras=training_extras(signature),
    )


def first_configs(signature: Signature) -> tuple[dict[str, Any], ...]:
    """Configurations worth trying first, before any proposal; admissible in `default_space`."""
    has_tokens = any(block.kind == "tokens" for block in signature.schema.blocks)
    common = {
        "unit": "gru", "n_layers": 1, "width": 32, "is_bidirectional": True, "pooling": "mean",
        **({"embedding": 16} if has_tokens else {}), **training_defaults(signature),
        "clip_norm_on": True, "clip_norm": 1.0,
    }  # fmt: skip
    return common, {**common, "width": 64, "is_bidirectional": False, "pooling": "last"}


def structure(config: Config) -> tuple[Any, ...]:
    """The part of a configuration that shapes the compiled program; the rest are its inputs."""
    return ("recurrent", config["unit"], config["n_layers"], config["width"], config["is_bidirectional"],
            config["pooling"], config.get("embedding"), bool(config.get("dropout")),
            bool(config.get("clip")))  # fmt: skip


def dials(config: Config) -> dict[str, float]:
    """Numbers that a built model takes without being built anew, by the name of its dial."""
    return {"dial_dropout": float(config.get("dropout", 0.0))}


def build(config: Config, signature: Signature) -> keras.Model:
    """Build the untrained network; inputs and output as those of `spaces.mlp.build`.

    Every sequence and every text of tokens has a tower of its own: an embedding for tokens, then GRU or LSTM
    layers in one direction or both, then one vector of all steps that are not padding. What the towers give,
    all other blocks and the other columns go to one linear layer.
    """
    shown = features(config, signature)
    towers = {
        block.name: _tower(config, shown.blocks[block.name], block, number)
        for number, block in enumerate(signature.schema.blocks)
        if block.kind in BLOCK_KINDS
    }
    return headed(config, signature, shown, towers, "recurrent")


def _tower(config: Config, x: Any, block: Block, number: int) -> Any:
    """From steps to a vector; between layers, and before the first on tokens, units are dropped."""
    import keras

    from spaces.layers import Dropout
    from spaces.recurrence import Present, Recurrence, StepPooling, Tokens

    present = Present(name=f"present_{number}")(x)
    if block.kind == "tokens":
        x = Tokens(block.n_tokens, config["embedding"], name=f"tokens_{number}")(x)
    ways = (False, True) if config["is_bidirectional"] else (False,)
    runs = [x]
    for index in range(config["n_layers"]):
        x = keras.layers.Concatenate(name=f"both_{number}_{index}")(runs) if len(runs) > 1 else runs[0]
        if config.get("dropout") and (index or block.kind == "tokens"):
            x = Dropout(config["dropout"], name=f"dropout_{number}_{index}")(x)
        names = [f"{config['unit']}_{number}_{index}{'_reversed' * is_reversed}" for is_reversed in ways]
        runs = [
            Recurrence(config["width"], config["unit"], is_reversed, name=name)([x, present])
            for is_reversed, name in zip(ways, names, strict=True)
        ]
    vectors = [
        StepPooling(config["pooling"], is_reversed, name=f"pooled_{number}_{is_reversed:d}")([run, present])
        for is_reversed, run in zip(ways, runs, strict=True)
    ]
    return keras.layers.Concatenate(name=f"vector_{number}")(vectors) if len(vectors) > 1 else vectors[0]
