"""KFoldTuner: KerasTuner's documented examples with one line changed, and KerasTuner's traps."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import keras
import keras_tuner as kt
import numpy as np
import pytest
from keras import layers
from sklearn.datasets import load_digits

from search.kfold_inputs import FoldError
from search.kfold_tuner import KFoldTuner

pytestmark = pytest.mark.filterwarnings("ignore:currentThread|getName:DeprecationWarning")


def _digits(n_rows: int = 240) -> tuple[np.ndarray, np.ndarray]:
    images, classes = load_digits(return_X_y=True)
    return images[:n_rows].reshape(-1, 8, 8, 1) / 16.0, classes[:n_rows]


X, Y = _digits()


def _two(n_rows: int = 90) -> tuple[np.ndarray, np.ndarray]:
    x = np.random.default_rng(0).normal(size=(n_rows, 3))
    return x, (x[:, 0] + 0.5 * x[:, 1] > 0).astype(int)


def _small(hp: Any) -> Any:
    model = keras.Sequential([keras.Input((3,)), layers.Dense(4, "relu"), layers.Dense(1, "sigmoid")])
    rate = hp.Float("lr", 1e-3, 1e-1, sampling="log")
    model.compile(keras.optimizers.Adam(rate), "binary_crossentropy", metrics=["accuracy"])
    return model


def _tuner(place: Path, build: Any = _small, **changes: Any) -> KFoldTuner:
    options = {"max_trials": 2, "n_splits": 3, "seed": 0, "directory": place, "project_name": "p", **changes}
    return KFoldTuner(build, **options)


def _done(tuner: KFoldTuner) -> list[Any]:
    return [trial for trial in tuner.oracle.trials.values() if trial.status == "COMPLETED"]


def test_getting_started(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """keras.io/keras_tuner/getting_started: "Tune the model architecture"."""

    def build_model(hp: Any) -> Any:
        model = keras.Sequential()
        model.add(layers.Flatten())
        for i in range(hp.Int("num_layers", 1, 3)):
            model.add(
                layers.Dense(
                    units=hp.Int(f"units_{i}", min_value=32, max_value=64, step=32),
                    activation=hp.Choice("activation", ["relu", "tanh"]),
                )
            )
        if hp.Boolean("dropout"):
            model.add(layers.Dropout(rate=0.25))
        model.add(layers.Dense(10, activation="softmax"))
        learning_rate = hp.Float("lr", min_value=1e-3, max_value=1e-2, sampling="log")
        model.compile(
            optimizer=keras.optimizers.Adam(learning_rate=learning_rate),
            loss="categorical_crossentropy",
            metrics=["accuracy"],
        )
        return model

    build_model(kt.HyperParameters())
    tuner = KFoldTuner(
        hypermodel=build_model,
        objective="val_accuracy",
        max_trials=2,
        executions_per_trial=1,
        overwrite=True,
        directory=tmp_path,
        project_name="helloworld",
        seed=1,
        n_splits=3,
    )
    tuner.search_space_summary()
    with pytest.warns(UserWarning, match="validation_data is not used"):
        tuner.search(X, keras.utils.to_categorical(Y), epochs=12, validation_data=(X[:9], Y[:9]))
    models = tuner.get_best_models(num_models=2)
    assert [tuner.folds(t.trial_id).way for t in _done(tuner)] == ["stacked", "stacked"]
    assert models[0].evaluate(X, keras.utils.to_categorical(Y), verbose=0)[1] > 0.8
    hp = tuner.get_best_hyperparameters(2)[0]
    assert hp.get("num_layers") in (1, 2, 3)
    tuner.results_summary()
    printed = capsys.readouterr().out
    assert "num_layers (Int)" in printed
    assert "Folds: " in printed


def test_choice_of_learning_rate_with_classes_as_numbers(tmp_path: Path) -> None:
    """The README of KerasTuner and the TensorFlow tutorial: ``hp.Choice`` of rates, logits."""

    def model_builder(hp: Any) -> Any:
        model = keras.Sequential()
        model.add(keras.layers.Flatten(input_shape=(8, 8, 1)))
        hp_units = hp.Int("units", min_value=32, max_value=64, step=32)
        model.add(keras.layers.Dense(units=hp_units, activation="relu"))
        model.add(keras.layers.Dense(10))
        hp_learning_rate = hp.Choice("learning_rate", values=[1e-2, 1e-3])
        model.compile(
            optimizer=keras.optimizers.Adam(learning_rate=hp_learning_rate),
            loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
            metrics=["accuracy"],
        )
        return model

    with pytest.warns(UserWarning, match="input_shape"):  # Keras' own, to the tutorial's first layer
        tuner = KFoldTuner(
            model_builder, "val_accuracy", 3, oracle="bayesian", directory=tmp_path, seed=3, n_splits=3
        )
    with pytest.warns(UserWarning, match="input_shape|validation_split"):
        tuner.search(X, Y, epochs=8, validation_split=0.2)
        ensemble = tuner.ensemble()
        best = tuner.get_best_hyperparameters()[0]
        trial = tuner.oracle.get_best_trials(1)[0]
        out = tuner.out_of_fold(trial.trial_id)
    assert out.shape == (1, len(X), 10)
    np.testing.assert_allclose(out.sum(axis=2), 1.0, atol=1e-5)
    assert trial.score == pytest.approx((out[0].argmax(axis=1) == Y).mean(), abs=1e-6)
    assert best.get("learning_rate") in (1e-2, 1e-3)
    assert ensemble.weights.sum() == pytest.approx(1.0)
    assert (ensemble.predict(X).argmax(axis=1) == Y).mean() > 0.85
    assert 0 < ensemble.loss < math.log(10)


def test_conditional_scopes(tmp_path: Path) -> None:
    """The docstring of ``HyperParameters.conditional_scope``: an MLP or a convolution."""

    class MyHyperModel(kt.HyperModel):  # type: ignore[misc]
        def build(self, hp: Any) -> Any:
            model = keras.Sequential()
            model.add(keras.Input(shape=(8, 8, 1)))
            model_type = hp.Choice("model_type", ["mlp", "cnn"])
            with hp.conditional_scope("model_type", ["mlp"]):
                if model_type == "mlp":
                    model.add(layers.Flatten())
                    model.add(layers.Dense(hp.Choice("units", [16, 32]), activation="relu"))
            with hp.conditional_scope("model_type", ["cnn"]):
                if model_type == "cnn":
                    model.add(layers.Conv2D(hp.Choice("filters", [4]), 3, activation="relu"))
                    model.add(layers.GlobalAveragePooling2D())
            model.add(layers.Dense(10, activation="softmax"))
            model.compile("adam", "sparse_categorical_crossentropy")
            return model

    tuner = KFoldTuner(MyHyperModel(), max_trials=3, oracle="grid", directory=tmp_path, seed=0, n_splits=2)
    tuner.search(X, Y, epochs=2)
    ways = {
        trial.hyperparameters.values["model_type"]: tuner.folds(trial.trial_id).way for trial in _done(tuner)
    }
    assert ways == {"mlp": "stacked", "cnn": "looped"}
    assert len(_done(tuner)) == 3


def test_tuned_fit(tmp_path: Path) -> None:
    """keras.io/keras_tuner/getting_started: "Tune model training", a batch size and shuffling besides."""

    class MyHyperModel(kt.HyperModel):  # type: ignore[misc]
        def build(self, hp: Any) -> Any:
            return _small(hp)

        def fit(self, hp: Any, model: Any, *args: Any, **kwargs: Any) -> Any:
            return model.fit(
                *args,
                batch_size=hp.Choice("batch_size", [16, 32]),
                shuffle=hp.Boolean("shuffle"),
                **kwargs,
            )

    x, y = _two()
    tuner = _tuner(tmp_path, MyHyperModel(), max_trials=3)
    tuner.search(x, y, epochs=5)
    assert {tuner.folds(trial.trial_id).way for trial in _done(tuner)} == {"stacked"}
    assert {"batch_size", "shuffle", "lr"} <= set(tuner.get_best_hyperparameters()[0].values)


def test_a_fit_that_changes_the_rows_is_done_by_keras(tmp_path: Path) -> None:
    """The same page: the rows are normalised in ``fit``."""
    seen: list[int] = []

    class MyHyperModel(kt.HyperModel):  # type: ignore[misc]
        def build(self, hp: Any) -> Any:
            return _small(hp)

        def fit(self, hp: Any, model: Any, x: Any, y: Any, **kwargs: Any) -> Any:
            if hp.Boolean("normalize", default=True):
                x = layers.Normalization()(x)
            seen.append(len(x))
            return model.fit(x, y, **kwargs)

    x, y = _two()
    tuner = _tuner(tmp_path, MyHyperModel(), max_trials=1)
    tuner.search(x, y, epochs=2)
    (trial,) = _done(tuner)
    assert tuner.folds(trial.trial_id).way == "fit"
    assert seen == [51, 51, 51]  # 60 rows a member, 9 of them set apart to be looked at


def test_callbacks_and_another_momentum_go_through_fit(tmp_path: Path) -> None:
    def build(hp: Any) -> Any:
        model = _small(hp)
        model.compile(keras.optimizers.SGD(0.01, momentum=0.5), "binary_crossentropy")
        return model

    x, y = _two()
    tuner = _tuner(tmp_path, build, max_trials=1)
    tuner.search(x, y, epochs=2, callbacks=[keras.callbacks.EarlyStopping("val_loss", patience=1)])
    (trial,) = _done(tuner)
    assert "callbacks" in tuner.folds(trial.trial_id).reason
    model = tuner.fold_models(trial.trial_id)
    out, held = tuner.out_of_fold(trial.trial_id)[0], tuner._training.members[1].held  # type: ignore[union-attr]
    np.testing.assert_allclose(model[1].predict(x[held], verbose=0), out[held], atol=1e-6)
    tuner = _tuner(tmp_path, build, max_trials=1, project_name="plain")
    tuner.search(x, y, epochs=2)
    assert tuner.folds("0").reason == "the engine knows no momentum=0.5 of sgd"


def test_each_member_predicts_what_it_held_out(tmp_path: Path) -> None:
    x, y = _two()
    tuner = _tuner(tmp_path, n_repeats=2, max_trials=1)
    tuner.search(x, y, epochs=4, sample_weight=np.where(y, 1.0, 2.0))
    out, models = tuner.out_of_fold("0"), tuner.fold_models("0")
    assert len(models) == 6
    for member, model in zip(tuner._training.members, models, strict=True):  # type: ignore[union-attr]
        given = model.predict(x[member.held], verbose=0)
        np.testing.assert_allclose(given, out[member.repeat, member.held], atol=1e-5)
    mean = np.mean([model.predict(x, verbose=0) for model in models], axis=0)
    np.testing.assert_allclose(tuner.get_best_models()[0].predict(x, verbose=0), mean, atol=1e-5)
    assert len(tuner.folds("0").scores) == 6


def test_permuted_targets_score_chance(tmp_path: Path) -> None:
    x, y = _two(200)
    y = np.random.default_rng(1).permutation(y)
    tuner = _tuner(tmp_path, max_trials=3, objective="val_accuracy")
    tuner.search(x, y, epochs=20)
    assert tuner.oracle.get_best_trials(1)[0].score < 0.65


def test_a_score_that_is_not_finite_is_a_failure_and_not_the_best(tmp_path: Path) -> None:
    def build(hp: Any) -> Any:
        model = keras.Sequential([keras.Input((3,)), layers.Dense(1)])
        rate = hp.Choice("lr", [1e30, 1e-2])
        model.compile(keras.optimizers.Adam(rate), "mse")
        return model

    x, y = _two()
    tuner = _tuner(tmp_path, build, oracle="grid", max_trials=5)
    tuner.search(x, y, epochs=3)
    statuses = {t.hyperparameters.get("lr"): t.status for t in tuner.oracle.trials.values()}
    assert statuses == {1e30: "FAILED", 1e-2: "COMPLETED"}
    assert [hp.get("lr") for hp in tuner.get_best_hyperparameters(5)] == [1e-2]  # no failed one fills up
    assert len(tuner.get_best_models(5)) == 1


def test_failures_in_a_row_end_nothing(tmp_path: Path) -> None:
    def build(hp: Any) -> Any:
        if hp.Choice("n", list(range(6))) in (1, 2, 3, 4):
            raise ValueError("no such model")
        return _small(hp)

    x, y = _two()
    tuner = _tuner(tmp_path, build, max_trials=12)
    tuner.search(x, y, epochs=1)
    statuses = [trial.status for trial in tuner.oracle.trials.values()]
    assert len(statuses) == 12
    assert ("FAILED",) * 3 in zip(statuses, statuses[1:], statuses[2:], strict=False)


def test_failures_alone_are_told(tmp_path: Path) -> None:
    is_broken: list[bool] = []

    def build(hp: Any) -> Any:
        model = _small(hp)
        if is_broken and hp.values["lr"] != 1e-3:
            raise ValueError("no such model")
        return model

    x, y = _two()
    tuner = _tuner(tmp_path, build, max_trials=4)
    is_broken.append(True)
    with pytest.raises(FoldError, match="no trial could be trained: ValueError: no such model"):
        tuner.search(x, y, epochs=1)
    assert [trial.status for trial in tuner.oracle.trials.values()] == ["FAILED"] * 4


def test_seed_0_is_a_seed(tmp_path: Path) -> None:
    x, y = _two()
    found = []
    for place in ("a", "b"):
        tuner = _tuner(tmp_path / place, seed=0)
        tuner.search(x, y, epochs=2)
        found.append([(t.hyperparameters.values, t.score) for t in _done(tuner)])
    assert found[0] == found[1]


def test_a_folder_is_taken_up_only_by_the_same_search(tmp_path: Path) -> None:
    x, y = _two()
    _tuner(tmp_path, seed=None).search(x, y, epochs=2)
    again = _tuner(tmp_path, seed=None, max_trials=3)
    again.search(x, y, epochs=2)
    assert len(_done(again)) == 3
    assert again.out_of_fold("0").shape == (1, 90, 1)
    with pytest.raises(FoldError, match="another data"):
        again.search(x + 1.0, y, epochs=2)
    with pytest.raises(FoldError, match="another n_splits"):
        _tuner(tmp_path, n_splits=4, seed=None)

    def wider(hp: Any) -> Any:
        model = _small(kt.HyperParameters())
        hp.Float("lr", 1e-5, 1.0)
        return model

    with pytest.raises(FoldError, match="another space: use overwrite=True"):
        _tuner(tmp_path, wider, seed=None)
    assert json.loads((tmp_path / "p" / "folds.json").read_text())["n_splits"] == 3
    assert not _done(_tuner(tmp_path, wider, overwrite=True))


@pytest.mark.parametrize(
    ("changes", "rule"),
    [
        ({"oracle": "best"}, "an oracle must be one of random, bayesian, grid, hyperband, got 'best'"),
        ({"n_splits": 1}, "n_splits must be at least 2"),
        ({"seed": -1}, "max_trials must be at least 1 and seed 0"),
        ({"objective": "loss"}, "an objective must be one val_<name>"),
    ],
)
def test_the_door(changes: dict[str, Any], rule: str, tmp_path: Path) -> None:
    with pytest.raises(FoldError, match=rule):
        _tuner(tmp_path, **changes)


def test_rows_that_do_not_go_together(tmp_path: Path) -> None:
    x, y = _two()
    tuner = _tuner(tmp_path)
    with pytest.raises(FoldError, match="the same rows, got 90 and 89"):
        tuner.search(x, y[1:])
    with pytest.raises(FoldError, match=r"must be numbers \(n_rows, ...\), got <U1 of shape \(90, 1\)"):
        tuner.search(np.full((90, 1), "a"), y)
    with pytest.raises(FoldError, match=r"the arrays of x must have the same rows, got \[90, 89\]"):
        tuner.search({"a": x, "b": x[1:]}, y)


def test_weights_that_a_model_brings_along_are_kept(tmp_path: Path) -> None:
    kernel = np.random.default_rng(0).normal(size=(3, 4)).astype(np.float32)

    def build(hp: Any) -> Any:
        model = _small(hp)
        model.layers[0].kernel.assign(kernel)
        model.layers[0].trainable = True
        return model

    x, y = _two()
    tuner = _tuner(tmp_path, build, max_trials=1)
    tuner.search(x, y, epochs=1)
    assert tuner.folds("0").reason == "the engine draws fresh weights, and this model brings its own"
