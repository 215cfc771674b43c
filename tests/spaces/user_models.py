"""Models as users write them, importable by name."""

from __future__ import annotations

from typing import Any

import keras_tuner as kt

NOT_CALLABLE = 3


def build_deep(hp: Any) -> Any:
    """Python's own ifs and loops, no scopes."""
    import keras

    model = keras.Sequential()
    for layer in range(hp.Int("depth", 1, 3)):
        model.add(keras.layers.Dense(hp.Int(f"units_{layer}", 4, 8, step=4), activation="relu"))
    if hp.Boolean("dropout"):
        model.add(keras.layers.Dropout(hp.Float("rate", 0.1, 0.5)))
    model.add(keras.layers.Dense(1))
    rate = hp.Float("lr", 1e-4, 1e-2, sampling="log")
    loss = keras.losses.BinaryCrossentropy(from_logits=True)
    model.compile(optimizer=keras.optimizers.Adam(rate), loss=loss)
    return model


def build_scoped(hp: Any) -> None:
    kind = hp.Choice("kind", ["wide", "deep"])
    with hp.conditional_scope("kind", ["deep"]):
        if kind == "deep":
            hp.Int("layers", 2, 4)
    hp.Float("lr", 1e-4, 1e-2, sampling="log")


def build_trial(trial: Any) -> None:
    """Optuna's way: nested choices, one of which stands on two flags at once."""
    if trial.suggest_categorical("optimizer", ["sgd", "adam"]) == "sgd":
        trial.suggest_float("momentum", 0.0, 1.0)
    a, b = trial.suggest_categorical("a", [False, True]), trial.suggest_categorical("b", [False, True])
    if a and b:
        trial.suggest_int("both", 1, 5)


def build_endless(trial: Any) -> None:
    n = 0
    while trial.suggest_categorical(f"more_{n}", [False, True]):
        n += 1


class Tuned(kt.HyperModel):  # type: ignore[misc]
    def build(self, hp: Any) -> Any:
        return build_deep(hp)


def build_image(hp: Any) -> Any:
    """A model of images alone, as KerasTuner's users write it."""
    import keras

    return keras.Sequential(
        [
            keras.layers.Conv2D(hp.Int("filters", 2, 4), 3, activation="relu"),
            keras.layers.GlobalAveragePooling2D(),
            keras.layers.Dense(1, activation="sigmoid"),
        ]
    )


def build_two(hp: Any) -> Any:
    """A model of an image and further columns, each with an input of its name."""
    import keras

    columns, picture = keras.Input((2,), name="columns"), keras.Input((4, 4, 3), name="picture")
    seen = keras.layers.Flatten()(picture)
    x = keras.layers.Dense(hp.Int("units", 2, 4))(keras.layers.Concatenate()([columns, seen]))
    return keras.Model([columns, picture], keras.layers.Dense(1, activation="sigmoid")(x))
