"""The inputs of a KFoldTuner's models: one array, or several as a dict or a list, of whatever shape."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]


class FoldError(ValueError):
    """Rows or options do not go with folds; the message is one line."""


@dataclass(frozen=True)
class Layout:
    """How the inputs of a model are put together.

    Attributes
    ----------
    kind : str
        ``one`` array, a ``list`` or a ``dict`` of them.
    names : tuple of str
        Of a dict, in its order; else empty.
    shapes : tuple of tuple of int
        Shape of one row of each array.
    dtypes : tuple of str
    """

    kind: str
    names: tuple[str, ...]
    shapes: tuple[tuple[int, ...], ...]
    dtypes: tuple[str, ...]

    def put(self, parts: Any) -> Any:
        """One value for each array, as the model takes them."""
        if self.kind == "dict":
            return dict(zip(self.names, parts, strict=True))
        return list(parts) if self.kind == "list" else next(iter(parts))

    def symbolic(self) -> list[Any]:
        """Keras inputs for these arrays."""
        names = self.names or (None,) * len(self.shapes)
        return [
            keras.Input(shape, dtype=dtype, name=name)
            for shape, dtype, name in zip(self.shapes, self.dtypes, names, strict=True)
        ]

    def built(self, model: keras.Model) -> keras.Model:
        """The model with its weights made for these inputs."""
        if not model.built and self.kind == "one":
            model.build((None, *self.shapes[0]))
        elif not model.built:
            model(self.put([np.zeros((1, *s), d) for s, d in zip(self.shapes, self.dtypes, strict=True)]))
        return model

    def wrapped(self, model: Callable[[Any], Any], head: Callable[[Any], Any]) -> keras.Model:
        """A model of these inputs, in their order, that gives what the head makes of the model's outputs."""
        inputs = self.symbolic()
        return keras.Model(inputs[0] if self.kind == "one" else inputs, head(model(self.put(inputs))))

    def to_json(self) -> str:
        """The layout as text."""
        return json.dumps(vars(self))

    @classmethod
    def from_json(cls, text: str) -> Layout:
        """The layout of a text."""
        told = json.loads(text)
        shapes = tuple(tuple(shape) for shape in told["shapes"])
        return cls(told["kind"], tuple(told["names"]), shapes, tuple(told["dtypes"]))


@dataclass(frozen=True)
class Inputs:
    """What models are given for some rows.

    Attributes
    ----------
    parts : tuple of ndarray
        Each ``(n_rows, ...)``.
    layout : Layout
    """

    parts: tuple[Array, ...]
    layout: Layout

    def __len__(self) -> int:
        return len(self.parts[0])

    @property
    def given(self) -> Any:
        """As the model takes them: an array, a list or a dict."""
        return self.layout.put(self.parts)

    def take(self, rows: Array) -> Any:
        """Some rows, as the model takes them."""
        return self.layout.put([part[rows] for part in self.parts])

    def flat(self) -> Array:
        """All numbers of each row side by side ``(n_rows, n)``."""
        return np.concatenate([part.reshape(len(part), -1) for part in self.parts], axis=1)


def inputs_of(x: Any) -> Inputs:
    """Inputs as numbers that TensorFlow computes with: float32, or int32 for 32 and 64 bits.

    As for Keras, a dict, a tuple, or a list of arrays are several inputs; arrays ``(n_rows,)`` among them
    become columns ``(n_rows, 1)``. Any other list is one array.

    Raises
    ------
    FoldError
        If they are no numbers ``(n_rows, ...)``, or do not have the same rows.
    """
    if isinstance(x, Mapping):
        kind, names, given = "dict", tuple(x), list(x.values())
    elif isinstance(x, tuple) or _is_list_of_inputs(x):
        kind, names, given = "list", (), list(x)
    else:
        kind, names, given = "one", (), [x]
    if not given:
        raise FoldError(f"x must be one array or several, got {x!r}")
    parts = tuple(_numbers(part, may_be_column=kind != "one") for part in given)
    if len({len(part) for part in parts}) > 1:
        raise FoldError(f"the arrays of x must have the same rows, got {[len(part) for part in parts]}")
    shapes, dtypes = tuple(p.shape[1:] for p in parts), tuple(str(p.dtype) for p in parts)
    return Inputs(parts, Layout(kind, names, shapes, dtypes))


def _is_list_of_inputs(x: Any) -> bool:
    """Whether it is a list of tables; a list of rows is none."""
    return isinstance(x, list) and all(hasattr(part, "__array__") and np.ndim(part) > 1 for part in x)


def _numbers(given: Any, *, may_be_column: bool) -> Array:
    values = np.asarray(given)
    if values.ndim == 1 and may_be_column:
        values = values[:, None]
    if values.dtype.kind not in "fiub" or values.ndim < 2:
        raise FoldError(f"x must be numbers (n_rows, ...), got {values.dtype} of shape {values.shape}")
    return values.astype(np.int32 if values.dtype in (np.int32, np.int64) else np.float32)
