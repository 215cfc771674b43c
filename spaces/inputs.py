"""How a network is shown the columns of a table: scaling, numbers, categories; shared by all networks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from spaces.encoding import N_BINS, Layout
from spaces.parameters import Choice, Float, Parameter
from spaces.schema import Schema
from spaces.signature import Signature
from spaces.space import Condition

Config = Mapping[str, Any]

MANY = 512  # numbers beyond which each has no further features of its own
LARGE = 8  # features of an embedding; categories of more slots have one
SIGMA = 0.1
# Sum of the squares of a number's further features at the start, beside the 1 of the number itself.
PERIODIC_POWER = 0.5
PIECEWISE_POWER = N_BINS / 3


@dataclass(frozen=True)
class Shown:
    """Inputs of a network and what it computes on.

    Attributes
    ----------
    inputs : list of keras.KerasTensor
        ``numbers`` and ``codes``, each only if the table has such columns.
    encoded : keras.KerasTensor
        Scaled numbers, missing indicators and category slots, for a linear path.
    x : keras.KerasTensor
        The same with embeddings, for the network.
    n_sources : float
        About the sum of squares of a row of ``x``: a first layer's weights are drawn with variance ``gain /
        n_sources``.
    blocks : dict of str to keras.KerasTensor
        The scaled values of each block, ``(n_rows, *shape)``; tokens as they are, in float32.
    rest : keras.KerasTensor or None
        The encoded columns that are in no block; None where there are none.
    """

    inputs: list[Any]
    encoded: Any
    x: Any
    n_sources: float
    blocks: dict[str, Any] = field(default_factory=dict)
    rest: Any = None


def input_parameters(signature: Signature) -> dict[str, Parameter]:
    """What may be tried: only choices that make a difference on the table's columns."""
    layout = Layout.of(signature.schema)
    found: dict[str, Parameter] = {}
    if layout.n_numbers:
        found["scaling"] = Choice(("standard", "robust"))
    if 0 < layout.n_numbers <= MANY:
        found["numbers"] = Choice(("plain", "periodic", "piecewise"))
        found["sigma"] = Float(0.03, 1.0, log=True)
    if any(n > LARGE for n in layout.n_slots):
        found["categories"] = Choice(("one_hot", "embedding"))
    return {**found, "feature_scale": Choice((False, True))}


def input_conditions(signature: Signature) -> dict[str, Condition]:
    """When they are active."""
    has_sigma = 0 < Layout.of(signature.schema).n_numbers <= MANY
    return {"sigma": Condition("numbers", ("periodic",))} if has_sigma else {}


def chosen_inputs(signature: Signature, **choices: Any) -> dict[str, Any]:
    """Of some choices, those that there are for the table."""
    parameters = input_parameters(signature)
    is_periodic = choices.get("numbers") == "periodic"
    return {
        name: value
        for name, value in choices.items()
        if name in parameters and (name != "sigma" or is_periodic)
    }


def input_structure(config: Config) -> tuple[Any, ...]:
    """The part of the choices that shapes the compiled program."""
    return (
        config.get("scaling", "standard"),
        config.get("numbers", "plain"),
        config.get("categories", "one_hot"),
        bool(config.get("feature_scale")),
    )


def input_dials(config: Config) -> dict[str, float]:
    """Numbers that are set without building anew."""
    return {"dial_sigma": float(config.get("sigma", SIGMA))} if config.get("numbers") == "periodic" else {}


def features(config: Config, signature: Signature) -> Shown:
    """Inputs, encoding and embeddings of a network.

    ``scaling``, ``numbers``, ``sigma``, ``categories`` and ``feature_scale`` of the configuration are used;
    by default standard, plain, 0.1, one_hot and False.
    """
    import keras

    from spaces.layers import Encode

    layout = Layout.of(signature.schema)
    numbers, codes = layout.n_numbers, len(layout.n_slots)
    inputs = []
    if numbers:
        inputs.append(keras.Input((numbers,), name="numbers", dtype="float32"))
    if codes:
        inputs.append(keras.Input((codes,), name="codes", dtype="int32"))
    way = config.get("numbers", "plain")
    encode = Encode(
        layout, config.get("scaling", "standard"), way == "piecewise" and numbers > 0, name="encode"
    )
    encoded = encode(inputs)
    power = {"periodic": PERIODIC_POWER, "piecewise": PIECEWISE_POWER}.get(way, 0.0)
    n_sources = layout.n_columns + power * numbers
    parts = _parts(signature.schema, layout, encoded)
    return Shown(inputs, encoded, _embedded(config, layout, encoded), n_sources, *parts)


def _parts(schema: Schema, layout: Layout, encoded: Any) -> tuple[dict[str, Any], Any]:
    """The blocks, and the encoded columns that are in none."""
    from spaces.layers import Part

    blocks, first = {}, 0
    for number, block in enumerate(schema.blocks):
        blocks[block.name] = Part(first, block.shape, name=f"block_input_{number}")(encoded)
        first += block.size
    n_rest = layout.n_features - first
    rest = Part(first, (n_rest,), name="rest")(encoded) if blocks and n_rest else None
    return blocks, rest if blocks else encoded


def _embedded(config: Config, layout: Layout, x: Any) -> Any:
    from spaces.embeddings import EmbeddedCategories, FeatureScale, PeriodicNumbers

    if config.get("categories") == "embedding" and any(n > LARGE for n in layout.n_slots):
        n_before = layout.n_numbers + len(layout.indicators)
        x = EmbeddedCategories(n_before, layout.n_slots, LARGE, name="categories")(x)
    if config.get("numbers") == "periodic" and layout.n_numbers:
        x = PeriodicNumbers(layout.n_numbers, sigma=float(config.get("sigma", SIGMA)), name="periodic")(x)
    return FeatureScale(name="feature_scale")(x) if config.get("feature_scale") else x
