"""KFoldTuner: a documented example of KerasTuner with callbacks; others are in test_kfold_tuner.py."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import pytest
from keras import layers
from sklearn.datasets import load_digits

from search.kfold_tuner import KFoldTuner

pytestmark = pytest.mark.filterwarnings("ignore:currentThread|getName:DeprecationWarning")
IMAGES, CLASSES = load_digits(return_X_y=True)
X, Y = IMAGES[:240].reshape(-1, 8, 8, 1) / 16.0, CLASSES[:240]


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # TensorBoard's writer
def test_a_convolution_or_layers_with_tensorboard(tmp_path: Path) -> None:
    """keras.io/guides/keras_tuner/visualize_tuning, on smaller images."""

    def build_model(hp: Any) -> Any:
        inputs = keras.Input(shape=(8, 8, 1))
        # Model type can be MLP or CNN.
        model_type = hp.Choice("model_type", ["mlp", "cnn"])
        x = inputs
        if model_type == "mlp":
            x = layers.Flatten()(x)
            # Number of layers of the MLP is a hyperparameter.
            for i in range(hp.Int("mlp_layers", 1, 3)):
                # Number of units of each layer are
                # different hyperparameters with different names.
                x = layers.Dense(units=hp.Int(f"units_{i}", 32, 128, step=32), activation="relu")(x)
        else:
            # Number of layers of the CNN is also a hyperparameter.
            for i in range(hp.Int("cnn_layers", 1, 2)):
                x = layers.Conv2D(
                    hp.Int(f"filters_{i}", 32, 128, step=32), kernel_size=(3, 3), activation="relu"
                )(x)
                x = layers.MaxPooling2D(pool_size=(2, 2), padding="same")(x)
            x = layers.Flatten()(x)
        # A hyperparamter for whether to use dropout layer.
        if hp.Boolean("dropout"):
            x = layers.Dropout(0.5)(x)
        # The last layer contains 10 units,
        # which is the same as the number of classes.
        outputs = layers.Dense(units=10, activation="softmax")(x)
        model = keras.Model(inputs=inputs, outputs=outputs)
        # Compile the model.
        model.compile(loss="sparse_categorical_crossentropy", metrics=["accuracy"], optimizer="adam")
        return model

    tuner = KFoldTuner(
        build_model, max_trials=2, overwrite=True, objective="val_accuracy", directory=tmp_path / "tb",
        n_splits=2, seed=5,
    )  # fmt: skip
    with pytest.warns(UserWarning, match="validation_split is not used"):
        tuner.search(
            X, Y, validation_split=0.2, epochs=2,
            callbacks=[keras.callbacks.TensorBoard(str(tmp_path / "tb_logs"))],
        )  # fmt: skip
    done = [trial for trial in tuner.oracle.trials.values() if trial.status == "COMPLETED"]
    assert len(done) == 2
    assert {tuner.folds(trial.trial_id).way for trial in done} == {"fit"}
    assert len(list((tmp_path / "tb_logs").glob("*/*"))) >= 2, "a log of each trial"
    assert tuner.get_best_models()[0].predict(X[:3], verbose=0).shape == (3, 10)
