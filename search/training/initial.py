"""Fresh weights for many members at once, without building the model once for each."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]


def fresh_weights(model: keras.Model, build: Callable[[], keras.Model], seeds: Sequence[int]) -> list[Array]:
    """Initial values of ``model.variables``, stacked ``(n_members, ...)``.

    Each member draws from its own seed alone, so that its weights do not depend on how many members there
    are.

    Parameters
    ----------
    model : keras.Model
        A built model; its variables are not changed.
    build : callable
        Builds the same model anew; called once a member when a weight's initializer is not known.
    seeds : sequence of int
        One for each member.
    """
    initializers = _initializers(model)
    if any(initializers.get(id(v)) is None and not _is_state(v) for v in model.variables):
        return _built_one_by_one(build, seeds)
    generators = [np.random.default_rng(seed) for seed in seeds]
    return [_draw(variable, initializers.get(id(variable)), generators) for variable in model.variables]


def _initializers(model: keras.Model) -> dict[int, Any]:
    """Initializer of each variable, by Keras' convention ``<name>_initializer`` on the layer that owns it."""
    found: dict[int, Any] = {}
    for layer in model._flatten_layers():
        for variable in (*layer._trainable_variables, *layer._non_trainable_variables):
            initializer = getattr(layer, f"{variable.name}_initializer", None)
            if initializer is None and variable.name == "kernel":
                initializer = getattr(layer, "depthwise_initializer", None)
            if initializer is None and (not variable.trainable or variable.ndim == 0):
                initializer = np.asarray(variable.numpy())
            found[id(variable)] = initializer
    return found


def _is_state(variable: keras.Variable) -> bool:
    """Whether a variable is the state of a random generator."""
    return bool(variable.path.endswith("seed_generator_state"))


def _draw(variable: keras.Variable, initializer: Any, generators: list[np.random.Generator]) -> Array:
    shape, dtype = tuple(variable.shape), variable.dtype
    if _is_state(variable):
        return np.stack([rng.integers(0, 2**31, shape) for rng in generators]).astype(dtype)
    if isinstance(initializer, np.ndarray):
        return np.broadcast_to(initializer, (len(generators), *shape)).astype(dtype)
    config = initializer.get_config()
    if "seed" not in config:
        return np.broadcast_to(initializer(shape, dtype=dtype).numpy(), (len(generators), *shape))
    kind = type(initializer)
    seeds = (int(rng.integers(2**31)) for rng in generators)
    return np.stack([kind.from_config({**config, "seed": s})(shape, dtype=dtype).numpy() for s in seeds])


def _built_one_by_one(build: Callable[[], keras.Model], seeds: Sequence[int]) -> list[Array]:
    members = []
    for seed in seeds:
        keras.utils.set_random_seed(int(seed))
        members.append([variable.numpy() for variable in build().variables])
    return [np.stack(values) for values in zip(*members, strict=True)]
