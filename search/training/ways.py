"""Which way suits a model: all members stacked in one program, one after another, or Keras' own ``fit``.

The sizes at which it switches were measured; see ``docs/decisions/0010-images-and-sequences.md``.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import prod
from typing import Any, Literal

import keras

from search.training.plan import Plan

WayName = Literal["stacked", "looped", "fit"]
LARGEST_STACKED_MAP = 3072
"""Values of one row that a depthwise convolution gives at most where stacking it still pays."""

_CONVOLUTION = keras.layers.Conv2D.__mro__[1]
_TRANSPOSED = keras.layers.Conv2DTranspose.__mro__[1]
_SEPARABLE = keras.layers.SeparableConv2D.__mro__[1]
_CELL_BY_CELL = keras.layers.ConvLSTM2D.__mro__[1]
_DEPTHWISE = keras.layers.DepthwiseConv2D.__mro__[1]
_FULL = (_CONVOLUTION, _TRANSPOSED, _SEPARABLE, _CELL_BY_CELL)


@dataclass(frozen=True)
class Way:
    """How the members of a model are trained, and why.

    Attributes
    ----------
    name : str
        stacked: all members in one program; looped: one program, member after member; fit: Keras' own.
    reason : str
        One sentence without its full stop.
    """

    name: WayName
    reason: str

    def __str__(self) -> str:
        return f"{self.name}: {self.reason}"


def choose_way(model: keras.Model, plan: Plan) -> Way:
    """The fastest way that trains the model exactly.

    Depthwise convolutions are stacked as channels of one convolution of all members; other convolutions have
    no such form, and ``vectorized_map`` runs them one by one, slower than one member after another.
    """
    if type(model).train_step is not keras.Model.train_step:
        return Way("fit", "the model has a train_step of its own")
    if not plan.is_even:
        return Way("looped", "the members' training rows differ too much in number")
    full = next((layer for layer in model._flatten_layers() if isinstance(layer, _FULL)), None)
    if full is not None:
        return Way("looped", f"{full.name} is a {type(full).__name__}, which does not stack")
    maps = [(size, layer.name) for layer, size in _depthwise_maps(model)]
    if not maps:
        return Way("stacked", "no layer is a convolution")
    size, name = max(maps)
    if size > LARGEST_STACKED_MAP:
        return Way("looped", f"{name} has {size:,} values a row, more than {LARGEST_STACKED_MAP:,}")
    return Way("stacked", f"its convolutions are depthwise, of at most {size:,} values a row")


def way_of(model: keras.Model, plan: Plan) -> WayName:
    """The name of the way that suits a model; see `choose_way`."""
    return choose_way(model, plan).name


def why(model: keras.Model, plan: Plan) -> str:
    """The way and its reason, as people read it."""
    return str(choose_way(model, plan))


def _depthwise_maps(model: keras.Model) -> Iterator[tuple[Any, int]]:
    """Depthwise convolutions and how many values of a row they take or give; unknown sizes count as large."""
    for layer in model._flatten_layers():
        if isinstance(layer, _DEPTHWISE):
            nodes = layer._inbound_nodes
            sizes = [_size(t.shape[1:]) for n in nodes for t in (*n.input_tensors, *n.output_tensors)]
            yield layer, max(sizes, default=LARGEST_STACKED_MAP + 1)


def _size(shape: tuple[int | None, ...]) -> int:
    known = [side for side in shape if side is not None]
    return prod(known) if len(known) == len(shape) else LARGEST_STACKED_MAP + 1
