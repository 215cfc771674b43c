"""Inputs of a KFoldTuner: one array, several as a dict or a list, images, tokens; fold models of them all."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from keras import layers

from search.kfold_inputs import FoldError, Layout, inputs_of
from search.kfold_tuner import KFoldTuner

pytestmark = pytest.mark.filterwarnings("ignore:currentThread|getName:DeprecationWarning")
N_ROWS = 90


def _several() -> tuple[dict[str, np.ndarray], np.ndarray]:
    """An image, tokens and a number of each row; the target needs all three."""
    rng = np.random.default_rng(0)
    image, number = rng.normal(size=(N_ROWS, 6, 6, 1)), rng.normal(size=N_ROWS)
    tokens = rng.integers(0, 5, (N_ROWS, 4))
    signal = 4.0 * image.mean(axis=(1, 2, 3)) + (tokens == 1).sum(axis=1) - 1.0 + number
    return {"image": image, "tokens": tokens, "age": number}, (signal > 0).astype(int)


X, Y = _several()


def _of_three(hp: Any, *, has_logits: bool) -> Any:
    """keras.io/guides/functional_api, "Models with multiple inputs", on these inputs."""
    image = keras.Input((6, 6, 1), name="image")
    tokens = keras.Input((4,), dtype="int32", name="tokens")
    age = keras.Input((1,), name="age")
    seen = layers.Flatten()(image)
    read = layers.GlobalAveragePooling1D()(layers.Embedding(5, hp.Choice("width", [4, 8]))(tokens))
    joined = layers.Concatenate()([layers.Dense(8, "relu")(seen), read, age])
    output = layers.Dense(1, None if has_logits else "sigmoid", name="ill")(joined)
    model = keras.Model({"age": age, "image": image, "tokens": tokens}, output)
    loss = keras.losses.BinaryCrossentropy(from_logits=has_logits)
    model.compile(keras.optimizers.Adam(0.02), loss, metrics=["accuracy"])
    return model


def _as_dict(hp: Any) -> Any:
    return _of_three(hp, has_logits=False)


def _with_logits(hp: Any) -> Any:
    return _of_three(hp, has_logits=True)


def _as_list(hp: Any) -> Any:
    first, second = keras.Input((3,)), keras.Input((3,))
    hidden = layers.Dense(hp.Choice("units", [4, 8]), "relu")(layers.Subtract()([first, second]))
    model = keras.Model([first, second], layers.Dense(1, "sigmoid")(hidden))
    model.compile(keras.optimizers.Adam(0.02), "binary_crossentropy")
    return model


class Tower(keras.Model):  # type: ignore[misc]
    """A model whose inputs nobody knows before it is called."""

    def __init__(self) -> None:
        super().__init__()
        self.hidden, self.out = layers.Dense(4, "relu"), layers.Dense(1, "sigmoid")

    def call(self, inputs: Any) -> Any:
        return self.out(self.hidden(keras.ops.concatenate([inputs["a"], inputs["b"]], axis=1)))


def _subclassed(hp: Any) -> Any:
    model = Tower()
    model.compile(keras.optimizers.Adam(hp.Choice("lr", [0.01, 0.02])), "binary_crossentropy")
    return model


def _two_tables() -> list[np.ndarray]:
    return [np.random.default_rng(k).normal(size=(N_ROWS, 3)) for k in (1, 2)]


def _searched(place: Path, build: Any, x: Any, y: Any = Y, **changes: Any) -> KFoldTuner:
    options = {"max_trials": 2, "n_splits": 3, "seed": 0, "directory": place, "project_name": "p", **changes}
    tuner = KFoldTuner(build, **options)
    tuner.search(x, y, epochs=8)
    return tuner


def _check_fold_models(tuner: KFoldTuner, x: Any, way: str) -> None:
    """Held-out predictions, best models and the ensemble are what the fold models say."""
    trial = tuner.oracle.get_best_trials(1)[0]
    assert tuner.folds(trial.trial_id).way == way
    out, models = tuner.out_of_fold(trial.trial_id), tuner.fold_models(trial.trial_id)
    given = inputs_of(x)
    for member, model in zip(tuner._training.members, models, strict=True):  # type: ignore[union-attr]
        said = _squashed(model.predict(given.take(member.held), verbose=0), model)
        np.testing.assert_allclose(said, out[member.repeat, member.held], atol=1e-5)
    mean = np.mean([model.predict(given.given, verbose=0) for model in models], axis=0)
    best = tuner.get_best_models()[0]
    np.testing.assert_allclose(best.predict(given.given, verbose=0), mean, atol=1e-5)
    ensemble = tuner.ensemble()
    assert ensemble.predict(x).shape == (N_ROWS, 1) and np.isfinite(ensemble.loss)


def _squashed(outputs: np.ndarray, model: Any) -> np.ndarray:
    has_logits = getattr(model.loss, "get_config", dict)().get("from_logits", False)
    return 1.0 / (1.0 + np.exp(-outputs)) if has_logits else outputs


@pytest.mark.parametrize("build", [_as_dict, _with_logits])
def test_a_dict_of_an_image_tokens_and_a_number(build: Any, tmp_path: Path) -> None:
    tuner = _searched(tmp_path, build, X)
    _check_fold_models(tuner, X, "stacked")
    if build is _as_dict:
        assert tuner.oracle.get_best_trials(1)[0].score < 0.6, "it learns from them"


def test_each_part_of_a_dict_reaches_its_own_input(tmp_path: Path) -> None:
    """The order of the dict says nothing: names do."""
    turned = {name: X[name] for name in reversed(X)}
    one, other = (
        _searched(tmp_path / str(k), _as_dict, x, max_trials=1).out_of_fold("0")
        for k, x in enumerate((X, turned))
    )
    np.testing.assert_allclose(one, other, atol=1e-5)


def test_a_list_of_arrays(tmp_path: Path) -> None:
    x = _two_tables()
    y = (x[0][:, 0] > x[1][:, 0]).astype(int)
    tuner = _searched(tmp_path, _as_list, x, y)
    _check_fold_models(tuner, x, "stacked")
    assert tuner.oracle.get_best_trials(1)[0].score < 0.65


def test_a_subclassed_model_of_several_inputs_goes_through_fit(tmp_path: Path) -> None:
    x = dict(zip("ab", _two_tables(), strict=True))
    y = (x["a"][:, 0] > x["b"][:, 0]).astype(int)
    _check_fold_models(_searched(tmp_path, _subclassed, x, y, max_trials=1), x, "fit")


def test_images_through_a_convolution(tmp_path: Path) -> None:
    def build(hp: Any) -> Any:
        model = keras.Sequential(
            [keras.Input((6, 6, 1)), layers.Conv2D(hp.Choice("n", [2]), 3, activation="relu")]
        )
        model.add(layers.Flatten())
        model.add(layers.Dense(1, "sigmoid"))
        model.compile("adam", "binary_crossentropy")
        return model

    _check_fold_models(_searched(tmp_path, build, X["image"], max_trials=1), X["image"], "looped")


def test_rows_that_are_equal_in_all_parts_share_a_fold(tmp_path: Path) -> None:
    twice = {name: np.concatenate([part[:45], part[:45]]) for name, part in X.items()}
    tuner = _searched(tmp_path, _as_dict, twice, np.concatenate([Y[:45], Y[:45]]), max_trials=1)
    for member in tuner._training.members:  # type: ignore[union-attr]
        assert not {int(row) % 45 for row in member.held} & {int(row) % 45 for row in member.train}


def test_other_rows_in_any_part_are_another_project(tmp_path: Path) -> None:
    tuner = _searched(tmp_path, _as_dict, X, max_trials=1)
    with pytest.raises(FoldError, match="another data"):
        tuner.search({**X, "age": X["age"] + 1.0}, Y, epochs=1)
    with pytest.raises(FoldError, match="another data"):
        tuner.search({**X, "years": X["age"]}, Y, epochs=1)


def test_too_few_inputs_are_told(tmp_path: Path) -> None:
    with pytest.raises(FoldError, match="no trial could be trained"):
        _searched(tmp_path, _as_list, _two_tables()[0], max_trials=1)


@pytest.mark.parametrize(
    ("x", "kind", "shapes", "dtypes"),
    [
        (np.zeros((5, 3)), "one", ((3,),), ("float32",)),
        ([[1, 2], [3, 4], [5, 6]], "one", ((2,),), ("int32",)),
        ([np.zeros(2), np.ones(2)], "one", ((2,),), ("float32",)),
        ([np.zeros((5, 2)), np.zeros((5, 2))], "list", ((2,), (2,)), ("float32", "float32")),
        ((np.zeros((5, 2)), np.zeros(5, int)), "list", ((2,), (1,)), ("float32", "int32")),
        (
            {"b": np.zeros(5), "a": np.zeros((5, 4, 4), np.uint8)},
            "dict",
            ((1,), (4, 4)),
            ("float32", "float32"),
        ),
    ],
)
def test_what_is_one_array_and_what_are_several(x: Any, kind: str, shapes: Any, dtypes: Any) -> None:
    layout = inputs_of(x).layout
    assert (layout.kind, layout.shapes, layout.dtypes) == (kind, shapes, dtypes)
    assert Layout.from_json(json.loads(json.dumps(layout.to_json()))) == layout
    assert type(layout.put(inputs_of(x).parts)) is {"one": np.ndarray, "list": list, "dict": dict}[kind]


@pytest.mark.parametrize(
    ("x", "rule"),
    [
        ({}, "x must be one array or several, got {}"),
        ([], "x must be"),
        (np.zeros(5), r"x must be numbers \(n_rows, ...\), got float64 of shape \(5,\)"),
        ({"a": np.zeros(5), "b": np.zeros(4)}, r"the same rows, got \[5, 4\]"),
        ({"a": np.array(["x"] * 5)}, "x must be numbers"),
    ],
)
def test_what_is_refused(x: Any, rule: str) -> None:
    with pytest.raises(FoldError, match=rule):
        inputs_of(x)
