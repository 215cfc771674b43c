"""Which architectures may become models: layers of Keras and of this project, families' own; never code."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import fields
from importlib import import_module
from typing import Any

from spaces.encoding import Layout
from spaces.families import FAMILIES

FITTED = "Fitted"  # the class name of a trial of a family that is no network
MOST_LEVELS = 200  # of objects and lists within each other
MOST_OBJECTS = 20_000
MOST_VALUES = 1 << 26  # that one row may become within a network

_PACKAGE = "foldstack>"
_OURS = re.compile(r"spaces\.[a-z_]+")
_CLASS = re.compile(r"[A-Z]\w*")
_PLAIN_LAYERS = """
    Activation ActivityRegularization Add AdditiveAttention AlphaDropout Attention Average
    BatchNormalization Bidirectional CategoryEncoding CenterCrop Concatenate Dense Discretization Dot
    Dropout ELU EinsumDense Embedding Flatten GRU GRUCell GaussianDropout GaussianNoise
    GroupNormalization GroupQueryAttention Identity InputLayer LSTM LSTMCell LayerNormalization
    LeakyReLU Masking Maximum Minimum MultiHeadAttention Multiply Normalization PReLU Permute
    RMSNormalization RNN RandomBrightness RandomContrast RandomCrop RandomFlip RandomRotation
    RandomTranslation RandomZoom ReLU RepeatVector Rescaling Reshape Resizing ReversibleEmbedding
    SimpleRNN SimpleRNNCell Softmax SpectralNormalization StackedRNNCells Subtract TimeDistributed
    UnitNormalization
"""
_LAYERS_BY_DIMENSION = """
    AdaptiveAveragePooling AdaptiveMaxPooling AveragePooling Conv ConvLSTM Cropping DepthwiseConv
    GlobalAveragePooling GlobalMaxPooling MaxPooling SeparableConv SpatialDropout UpSampling ZeroPadding
"""
_LAYERS = (
    frozenset(_PLAIN_LAYERS.split())
    | {f"{name}{n}D" for name in _LAYERS_BY_DIMENSION.split() for n in (1, 2, 3)}
    | {f"Conv{n}DTranspose" for n in (1, 2, 3)}
)
_MODELS = frozenset({"Functional", "Model", "Sequential"})
_POLICIES = frozenset({"DTypePolicy", "DTypePolicyMap", "FloatDTypePolicy"})
_CORE = frozenset({"Cast", "SaturateCast", "Slice", "SliceUpdate", "StopGradient", "Unstack"})
_NAMES: dict[str, frozenset[str] | re.Pattern[str]] = {  # of each module, the classes that are let in
    "keras": _MODELS | _POLICIES,
    "keras.constraints": _CLASS,
    "keras.dtype_policies": _POLICIES,
    "keras.initializers": _CLASS,
    "keras.layers": _LAYERS,
    "keras.models": _MODELS,
    "keras.regularizers": _CLASS,
    "keras.src.ops.core": _CORE,
    "keras.src.ops.image": _CLASS,
    "keras.src.ops.linalg": _CLASS,
    "keras.src.ops.math": _CLASS,
    "keras.src.ops.nn": _CLASS,
    "keras.src.ops.numpy": _CLASS,
}
_FAMILIES = {
    "keras.src.layers.": _LAYERS,
    "keras.src.models.": _MODELS,
    "keras.src.dtype_policies.": _POLICIES,
}
_VALUES = frozenset({"__keras_tensor__", "__tensor__", "__numpy__", "__tuple__", "__slice__", "__ellipsis__"})


class ArchitectureError(ValueError):
    """A model configuration holds something else than layers of Keras and of this project."""


def check_architecture(text: str) -> None:
    """Check that the JSON of a Keras model names nothing but plain layers and this project's own.

    Raises
    ------
    ArchitectureError
        When the text is no JSON object of a model, or names code, a Lambda layer or a foreign class.
    """
    config = _object(text)
    if config["class_name"] == FITTED:
        _check_fitted(config)
    else:
        _parsed(text)


def is_fitted(text: str) -> bool:
    """Whether an architecture is that of a fitted trial, and not of a network."""
    return bool(_object(text).get("class_name") == FITTED)


def check_fits(text: str, shapes: Sequence[tuple[int, ...]]) -> None:
    """Check, before any memory is taken for them, that a network has weights of these shapes and no others.

    Parameters
    ----------
    text : str
        An architecture that `check_architecture` accepts.
    shapes : sequence of tuple
        Of one member's stored weights, in the order of `model.weights`.

    Raises
    ------
    ArchitectureError
        When the network has other weights, cannot be built, or makes more than `MOST_VALUES` of one row.
    """
    from spaces.startup import import_tensorflow

    import_tensorflow()
    with _unallocated():
        model = _built(text)
        expected = [tuple(variable.shape) for variable in model.weights]
        largest = max(_row_sizes(model), default=0)
    if expected != list(shapes):
        raise ArchitectureError(f"weights must be {str(expected)[:100]}, got {str(list(shapes))[:100]}")
    if largest > MOST_VALUES:
        raise ArchitectureError(
            f"a row must become at most {MOST_VALUES} values within a layer, got {largest}"
        )


def template_of(text: str) -> Any:
    """Build the uncompiled `keras.Model` of an architecture that `check_architecture` accepts."""
    from spaces.startup import import_tensorflow

    import_tensorflow()
    return _built(text)


def _built(text: str) -> Any:
    config = _parsed(text)
    config.pop("compile_config", None)
    import keras

    for node in _objects(config):
        registered = node.get("registered_name")
        if isinstance(registered, str) and registered.startswith(_PACKAGE):
            import_module(node["module"])  # registers the project's layers
            if keras.saving.get_registered_object(registered) is None:
                raise ArchitectureError(f"an architecture must hold known layers, got {registered[:60]!r}")
    try:
        return keras.saving.deserialize_keras_object(config, safe_mode=True)
    except Exception as error:  # whatever Keras makes of a configuration that it did not write
        raise ArchitectureError(f"Keras cannot build an architecture: {_line(error)}") from None


@contextmanager
def _unallocated() -> Iterator[None]:
    """Build models whose variables have shapes but no values, and forget them afterwards."""
    from keras.src.backend.common import global_state
    from keras.src.backend.common.stateless_scope import StatelessScope

    known = global_state.get_global_attribute("uninitialized_variables", [])
    global_state.set_global_attribute("uninitialized_variables", [])
    try:
        with StatelessScope(initialize_variables=False):
            yield
    finally:
        global_state.set_global_attribute("uninitialized_variables", known)


def _row_sizes(model: Any) -> Iterator[int]:
    """How many values a row has in each place of a network."""
    import keras

    for operation in getattr(model, "operations", model.layers):
        for node in operation._inbound_nodes:
            for tensor in keras.tree.flatten(node.outputs):
                yield math.prod(size or 1 for size in tensor.shape[1:])
        if hasattr(operation, "layers"):
            yield from _row_sizes(operation)


def _object(text: str) -> dict[str, Any]:
    try:
        config = json.loads(text)
    except RecursionError:
        raise ArchitectureError(f"an architecture must have at most {MOST_LEVELS} levels, got more") from None
    except (TypeError, ValueError) as error:
        raise ArchitectureError(f"an architecture must be JSON, got: {_line(error)}") from None
    if not isinstance(config, dict) or "class_name" not in config:
        raise ArchitectureError(f"an architecture must be the JSON of a Keras model, got {text[:60]!r}")
    return config


def _check_fitted(config: dict[str, Any]) -> None:
    """Check that a fitted trial is of a family of this project, with a layout of plain numbers."""
    name = config.get("family")
    family = FAMILIES.get(name) if isinstance(name, str) else None
    if family is None or family.is_network:
        raise ArchitectureError(f"a fitted trial must be of a known family, got {_line(repr(name))}")
    layout = config.get("layout")
    names = {field.name for field in fields(Layout)}
    if not isinstance(layout, dict) or set(layout) != names:
        raise ArchitectureError(f"a layout must have {sorted(names)}, got {_line(repr(layout))}")
    for name, value in layout.items():
        numbers = [value] if name == "n_numbers" else value
        if not isinstance(numbers, list) or not all(type(n) is int and n >= 0 for n in numbers):
            raise ArchitectureError(f"a layout must hold whole numbers, got {_line(repr(value))}")


def _parsed(text: str) -> dict[str, Any]:
    config = _object(text)
    if config["class_name"] == FITTED:
        raise ArchitectureError("a fitted trial has no Keras model")
    for n_before, node in enumerate(_objects({k: v for k, v in config.items() if k != "compile_config"})):
        if n_before >= MOST_OBJECTS:
            raise ArchitectureError(f"an architecture must have at most {MOST_OBJECTS} objects, got more")
        _check_object(node)
    return config


def _objects(node: object, level: int = 0) -> Iterator[dict[str, Any]]:
    """Every object in a configuration that names a class."""
    if level > MOST_LEVELS:
        raise ArchitectureError(f"an architecture must have at most {MOST_LEVELS} levels, got more")
    if isinstance(node, dict):
        if "class_name" in node:
            yield node
        for value in node.values():
            yield from _objects(value, level + 1)
    elif isinstance(node, list):
        for value in node:
            yield from _objects(value, level + 1)


def _check_object(node: dict[str, Any]) -> None:
    name, module, registered = node["class_name"], node.get("module"), node.get("registered_name")
    if module is None and registered is None and name in _VALUES:
        return
    config = node.get("config")
    if isinstance(config, dict) and config.get("unroll"):
        raise ArchitectureError(f"an architecture must not unroll its steps, got {_line(repr(name))}")
    is_ours = isinstance(module, str) and _OURS.fullmatch(module) and registered == f"{_PACKAGE}{name}"
    is_keras = isinstance(name, str) and isinstance(module, str) and _is_let_in(module, name)
    if not is_ours and not (is_keras and registered in (None, name)):
        found = _line(f"{module}.{registered or name}")
        raise ArchitectureError(
            f"an architecture must hold only layers of Keras and Foldstack and no code, got {found!r}"
        )


def _is_let_in(module: str, name: str) -> bool:
    names = _NAMES.get(module)
    if names is None:
        names = next((found for start, found in _FAMILIES.items() if module.startswith(start)), frozenset())
    return bool(names.fullmatch(name)) if isinstance(names, re.Pattern) else name in names


def _line(error: object) -> str:
    return " ".join(str(error).split())[:200] or type(error).__name__
