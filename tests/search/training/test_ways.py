"""The rule that says how the members of a model are trained, and the reason that it gives."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pytest

from search.training.plan import Plan
from search.training.ways import LARGEST_STACKED_MAP, choose_way, way_of, why


def _plan(sizes: tuple[int, ...] = (30, 30), n_rows: int = 48) -> Plan:
    rows = [np.arange(size) for size in sizes]
    return Plan(
        inputs=(np.zeros((n_rows, 4), np.float32),),
        y=np.zeros((n_rows, 1)),
        train=tuple(rows),
        held=tuple(np.setdiff1d(np.arange(n_rows), r) for r in rows),
        repeat_of_member=tuple(range(len(sizes))),
        target_center=np.zeros((len(sizes), 1)),
        target_scale=np.ones((len(sizes), 1)),
    )


class OwnStep(keras.Model):
    def train_step(self, data: Any) -> Any:
        return super().train_step(data)


def _of(*layers: Any, shape: tuple[int | None, ...] = (8, 8, 2), kind: Any = keras.Model) -> keras.Model:
    x = inputs = keras.Input(shape)
    for layer in layers:
        x = layer(x)
    return kind(inputs, x)


def _depthwise(side: int, n_channels: int) -> keras.Model:
    return _of(keras.layers.DepthwiseConv2D(3, padding="same"), shape=(side, side, n_channels))


def _nested() -> keras.Model:
    return _of(_of(keras.layers.Conv2D(2, 3)))


CASES: dict[str, tuple[Callable[[], keras.Model], str, str]] = {
    "dense": (lambda: _of(keras.layers.Dense(3), shape=(4,)), "stacked", "no layer is a convolution"),
    "gru": (lambda: _of(keras.layers.GRU(3), shape=(5, 2)), "stacked", "no layer is a convolution"),
    "small depthwise": (lambda: _depthwise(8, 32), "stacked", "depthwise, of at most 2,048 values a row"),
    "large depthwise": (lambda: _depthwise(16, 32), "looped", "8,192 values a row, more than 3,072"),
    "of any size": (
        lambda: _of(keras.layers.DepthwiseConv2D(3), shape=(None, None, 2)),
        "looped",
        "values a row",
    ),
    "convolution": (lambda: _of(keras.layers.Conv2D(2, 3)), "looped", "is a Conv2D, which does not stack"),
    "separable": (lambda: _of(keras.layers.SeparableConv2D(2, 3)), "looped", "is a SeparableConv2D"),
    "transposed": (lambda: _of(keras.layers.Conv2DTranspose(2, 3)), "looped", "is a Conv2DTranspose"),
    "in a model": (_nested, "looped", "is a Conv2D"),
    "own step": (lambda: _of(keras.layers.Dense(2), kind=OwnStep), "fit", "a train_step of its own"),
}


@pytest.mark.parametrize("name", CASES)
def test_way_and_reason(name: str) -> None:
    build, way, reason = CASES[name]
    chosen = choose_way(build(), _plan())
    assert chosen.name == way and reason in chosen.reason
    assert way_of(build(), _plan()) == way
    assert why(build(), _plan()).startswith(f"{way}: ") and "\n" not in why(build(), _plan())


def test_the_largest_map_that_is_stacked_is_that_of_the_rule() -> None:
    at, beyond = (_of(keras.layers.DepthwiseConv1D(1), shape=(n, 1)) for n in (3072, 3073))
    assert LARGEST_STACKED_MAP == 3072
    assert (way_of(at, _plan()), way_of(beyond, _plan())) == ("stacked", "looped")


@pytest.mark.parametrize(
    ("sizes", "way"), [((30, 30), "stacked"), ((32, 40), "stacked"), ((31, 40), "looped")]
)
def test_members_of_unequal_size_are_looped(sizes: tuple[int, ...], way: str) -> None:
    model = _of(keras.layers.Dense(1), shape=(4,))
    assert way_of(model, _plan(sizes)) == way
