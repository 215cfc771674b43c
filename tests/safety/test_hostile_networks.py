"""Networks from strangers: no code, no foreign class, and no memory before the weights are known to fit."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ensemble.model import Ensemble
from tests.ensemble import models
from tests.safety.forgeries import change_architecture, replace, rewrite
from tests.safety.strangers import content, first_array_file, npz, refused


def dense_of(architecture: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = next(x for x in architecture["config"]["layers"] if x["class_name"] == "Dense")
    return found


def test_networks_are_loaded(networks: Path, network: Ensemble) -> None:
    rows = models.frame(6)
    assert np.allclose(Ensemble.load(networks).predict_raw(rows), network.predict_raw(rows), atol=1e-6)


@pytest.mark.parametrize(
    "node",
    [
        {"class_name": "Lambda", "module": "keras.layers", "registered_name": None},
        {"class_name": "TFSMLayer", "module": "keras.layers", "registered_name": None},
        {"class_name": "StringLookup", "module": "keras.layers", "registered_name": None},
        {"class_name": "TextVectorization", "module": "keras.layers", "registered_name": None},
        {"class_name": "Lambda", "module": "keras.src.layers.core.lambda_layer", "registered_name": "Lambda"},
        {"class_name": "Evil", "module": "evil", "registered_name": "evil>Evil"},
        {"class_name": "Evil", "module": "evil", "registered_name": "foldstack>Evil"},
        {"class_name": "Evil", "module": "spaces.evil", "registered_name": "foldstack>Other"},
        {"class_name": "system", "module": "os", "registered_name": "foldstack>system"},
        {"class_name": "function", "module": "builtins", "config": "exec", "registered_name": "function"},
        {"class_name": "Map", "module": "keras.src.ops.core", "registered_name": "Map"},
        {"class_name": "Evil", "config": {}},
        {"class_name": ["Dense"], "module": {"a": 1}, "registered_name": None},
    ],
    ids=lambda node: f"{node.get('module')}.{node['class_name']}",
)
def test_layers_that_hold_code(
    networks: Path, canary: Path, node: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    (canary.parent / "evil.py").write_text(f"open({str(canary)!r}, 'w')\nclass Evil: pass\n")
    monkeypatch.setattr(sys, "path", [str(canary.parent), *sys.path])
    change_architecture(networks, lambda architecture: dense_of(architecture).update(node))
    refused(networks, "and no code")


def test_a_real_lambda_layer(networks: Path, canary: Path) -> None:
    import keras

    inputs = keras.Input((2,), name="numbers")
    outputs = keras.layers.Lambda(lambda x: Path("canary").write_text("executed") and x, output_shape=(2,))(
        inputs
    )
    text = keras.Model([inputs], outputs).to_json()
    rewrite(networks, lambda record: record["candidates"][0].update(architecture=text))
    refused(networks, "and no code")


def test_unknown_layers_of_ours_are_refused_before_anything_is_built(networks: Path) -> None:
    node = {"class_name": "Missing", "module": "spaces.layers", "registered_name": "foldstack>Missing"}
    change_architecture(networks, lambda architecture: dense_of(architecture).update(node))
    refused(networks, "known layers", models.frame(5), at_load=False)


def test_layers_with_gigantic_weights(networks: Path) -> None:
    change_architecture(networks, lambda a: dense_of(a)["config"].update(units=10**11))
    refused(networks, "weights must be|cannot build", models.frame(5), at_load=False)


def test_gigantic_embeddings(networks: Path) -> None:
    def grow(architecture: dict[str, Any]) -> None:
        for layer in architecture["config"]["layers"]:
            if layer["class_name"] == "Embedding":
                layer["config"]["input_dim"] = 10**12

    change_architecture(networks, grow)
    refused(networks, "weights must be", models.frame(5), at_load=False)


def test_rows_that_grow_within_a_network(networks: Path) -> None:
    import keras

    inputs = keras.Input((2,), name="numbers")
    long = keras.layers.RepeatVector(50)(inputs)
    outputs = keras.layers.Dense(1, "sigmoid")(keras.layers.GlobalAveragePooling1D()(long))
    architecture = json.loads(keras.Model([inputs], outputs).to_json())
    for layer in architecture["config"]["layers"]:
        if layer["class_name"] == "RepeatVector":
            layer["config"]["n"] = 10**10
    name = first_array_file(networks)
    arrays = {"weight_0000": np.zeros((3, 2, 1), np.float32), "weight_0001": np.zeros((3, 1), np.float32)}
    rest = {key: content(networks)[key] for key in ("target_center", "target_scale")}
    replace(networks, name, npz({**arrays, **rest}))
    rewrite(networks, lambda record: record["candidates"][0].update(architecture=json.dumps(architecture)))
    refused(networks, "a row must become at most", models.frame(5), at_load=False)


@pytest.mark.parametrize(
    "change",
    [
        lambda a: dense_of(a)["config"].update(units=-1),
        lambda a: dense_of(a)["config"].update(units="many"),
        lambda a: dense_of(a)["config"].update(activation="no such thing"),
        lambda a: dense_of(a)["config"].update(surprise=1),
        lambda a: a["config"].update(layers=[]),
        lambda a: a["config"].update(output_layers=[["nowhere", 0, 0]]),
        lambda a: a.update(config=None),
    ],
    ids=range(7),
)
def test_what_keras_cannot_build(networks: Path, change: Callable[[dict[str, Any]], object]) -> None:
    change_architecture(networks, change)
    refused(networks, r"trial 7: ", models.frame(5), at_load=False)


def test_architectures_without_end(networks: Path) -> None:
    deep: Any = {}
    for _ in range(400):
        deep = {"a": deep}
    change_architecture(networks, lambda a: a["config"].update(deep=deep))
    refused(networks, "levels")
    rewrite(networks, lambda r: r["candidates"][0].update(architecture="[" * 10_000 + "]" * 10_000))
    refused(networks, "levels")
    node = {"class_name": "Zeros", "module": "keras.initializers", "registered_name": None}
    text = json.dumps({"class_name": "Functional", "module": "keras", "a": [node] * 30_000})
    rewrite(networks, lambda r: r["candidates"][0].update(architecture=text))
    refused(networks, "objects")


def test_weights_of_other_shapes(networks: Path) -> None:
    arrays, name = content(networks), first_array_file(networks)
    replace(networks, name, npz({**arrays, "weight_0002": arrays["weight_0002"][:, :1]}))
    refused(networks, "weights must be", models.frame(5), at_load=False)
