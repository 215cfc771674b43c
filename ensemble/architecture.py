"""Which architectures may become models: layers of Keras and of this project, families' own; never code."""

from __future__ import annotations

import json
from dataclasses import fields
from importlib import import_module
from typing import Any

from spaces.encoding import Layout
from spaces.families import FAMILIES

FITTED = "Fitted"  # the class name of a trial of a family that is no network
_PACKAGE = "foldstack>"
_MODULES = (
    "keras",
    "keras.constraints",
    "keras.dtype_policies",
    "keras.initializers",
    "keras.layers",
    "keras.models",
    "keras.regularizers",
)
_INTERNAL = ("keras.src.models.", "keras.src.ops.", "keras.src.layers.", "keras.src.dtype_policies.")
_CODE = frozenset(
    {
        "Lambda",
        "TorchModuleWrapper",
        "TFSMLayer",
        "JaxLayer",
        "FlaxLayer",
        "function",
        "__lambda__",
        "__class__",
    }
)
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


def template_of(text: str) -> Any:
    """Build the uncompiled `keras.Model` of an architecture that `check_architecture` accepts."""
    config = _parsed(text)
    from spaces.startup import import_tensorflow

    import_tensorflow()
    import keras

    if _PACKAGE in text:
        import_module("spaces.layers")  # registers the project's layers
    config.pop("compile_config", None)
    return keras.models.model_from_json(json.dumps(config))


def _object(text: str) -> dict[str, Any]:
    try:
        config = json.loads(text)
    except ValueError as error:
        raise ArchitectureError(f"an architecture must be JSON, got: {error}") from None
    if not isinstance(config, dict) or "class_name" not in config:
        raise ArchitectureError(f"an architecture must be the JSON of a Keras model, got {text[:60]!r}")
    return config


def _check_fitted(config: dict[str, Any]) -> None:
    """Check that a fitted trial is of a family of this project, with a layout of plain numbers."""
    family = FAMILIES.get(config.get("family", ""))
    if family is None or family.is_network:
        raise ArchitectureError(f"a fitted trial must be of a known family, got {config.get('family')!r}")
    layout = config.get("layout")
    names = {field.name for field in fields(Layout)}
    if not isinstance(layout, dict) or set(layout) != names:
        raise ArchitectureError(f"a layout must have {sorted(names)}, got {layout!r}")
    for value in layout.values():
        numbers = value if isinstance(value, list) else [value]
        if not all(type(number) is int for number in numbers):
            raise ArchitectureError(f"a layout must hold whole numbers, got {value!r}")


def _parsed(text: str) -> dict[str, Any]:
    config = _object(text)
    if config["class_name"] == FITTED:
        raise ArchitectureError("a fitted trial has no Keras model")
    _check({key: value for key, value in config.items() if key != "compile_config"})
    return config


def _check(node: object) -> None:
    """Walk a configuration; every object in it must be allowed."""
    if isinstance(node, dict):
        if "class_name" in node:
            _check_object(node)
        for value in node.values():
            _check(value)
    elif isinstance(node, list):
        for value in node:
            _check(value)


def _check_object(node: dict[str, Any]) -> None:
    name, module, registered = node["class_name"], node.get("module"), node.get("registered_name")
    if name in _CODE:
        raise ArchitectureError(f"an architecture must not hold code, got {name!r}")
    if module is None and registered is None and name in _VALUES:
        return
    if isinstance(registered, str) and registered.startswith(_PACKAGE):
        return
    is_keras = isinstance(module, str) and (module in _MODULES or module.startswith(_INTERNAL))
    if not is_keras or registered not in (None, name):
        raise ArchitectureError(
            f"an architecture must hold only layers of Keras and Foldstack, got {module}.{registered or name}"
        )
