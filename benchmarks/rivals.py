"""The usual ways: Keras' ``fit`` once a fold, alone and under Optuna or KerasTuner; scikit-learn's networks.

Each trains on standardised arrays in memory, without validation data while it trains, and predicts its
held-out rows once at the end. Thread counts are the libraries' own defaults.
"""

from __future__ import annotations

import tempfile
import time
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from benchmarks.workloads import N_TRIALS_F, Workload
from search.splits import Member
from spaces.mlp import ACTIVATION_OF_TASK, INITIALIZERS, default_space, widths


@dataclass
class Measured:
    """Seconds of a way, with the part that grows with the number of members; mean held-out log loss."""

    seconds: float = 0.0
    fit_seconds: float = 0.0
    loss: float = float("nan")

    def scaled(self, factor: float) -> Measured:
        """As if ``factor`` times as many members had been fitted."""
        return Measured(self.seconds + (factor - 1) * self.fit_seconds, factor * self.fit_seconds, self.loss)


def warm_up() -> None:
    """Load what Keras loads at its first fit, so that no way is charged with it."""
    import keras

    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    model.compile(optimizer="adam", loss="mse")
    model.fit(np.zeros((8, 2), np.float32), np.zeros((8, 1), np.float32), verbose=0)
    model.predict(np.zeros((8, 2), np.float32), verbose=0)


def fit(work: Workload, members: Sequence[Member]) -> Measured:
    """A loop over configurations and folds: build, compile, ``fit``, ``predict``."""
    losses: list[float] = []
    started = time.perf_counter()
    for config in work.configs:
        losses += [fit_member(work, config, member) for member in members]
    seconds = time.perf_counter() - started
    return Measured(seconds, seconds, float(np.mean(losses)))


def optuna_fit(work: Workload, members: Sequence[Member]) -> Measured:
    """An Optuna study that is handed the configurations and fits every fold in its objective."""
    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    space, measured = default_space(work.signature), Measured()

    def objective(trial: Any) -> float:
        config = space.walk(lambda name, parameter: _suggested(trial, name, parameter))
        return _fit_members(work, config, members, measured)

    started = time.perf_counter()
    study = optuna.create_study(direction="minimize")
    for config in work.configs:
        study.enqueue_trial(config)
    study.optimize(objective, n_trials=len(work.configs))
    measured.seconds = time.perf_counter() - started
    measured.loss = float(np.mean([trial.value for trial in study.trials]))
    return measured


def keras_tuner_fit(work: Workload, members: Sequence[Member]) -> Measured:
    """A KerasTuner search over the configurations, whose ``run_trial`` fits every fold."""
    import keras_tuner

    measured, losses = Measured(), []

    class FoldTuner(keras_tuner.Tuner):  # type: ignore[misc]
        def run_trial(self, trial: Any, *args: Any, **kwargs: Any) -> dict[str, float]:
            config = work.configs[trial.hyperparameters.Int("configuration", 0, len(work.configs) - 1)]
            losses.append(_fit_members(work, config, members, measured))
            return {"loss": losses[-1]}

    started = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        hyperparameters = keras_tuner.HyperParameters()
        hyperparameters.Int("configuration", 0, max(1, len(work.configs) - 1))
        oracle = keras_tuner.oracles.GridSearchOracle(
            objective=keras_tuner.Objective("loss", "min"),
            max_trials=len(work.configs),
            hyperparameters=hyperparameters,
        )
        oracle.verbose = 0
        tuner = FoldTuner(oracle, hypermodel=lambda hp: None, directory=folder, project_name="benchmark")
        tuner.search(verbose=0)
    measured.seconds, measured.loss = time.perf_counter() - started, float(np.mean(losses))
    return measured


def scikit_learn(work: Workload, members: Sequence[Member]) -> Measured:
    """``MLPClassifier`` in ``cross_val_score``; it knows neither dropout nor normalisation."""
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.model_selection import cross_val_score
    from sklearn.neural_network import MLPClassifier
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    (config,) = work.configs
    network = MLPClassifier(
        widths(config), batch_size=config["batch_size"], learning_rate_init=config["learning_rate"],
        alpha=0.0, max_iter=work.n_epochs, n_iter_no_change=work.n_epochs, tol=0.0, random_state=0,
    )  # fmt: skip
    X, y = work.dataset.table.numbers, work.dataset.y[:, 0]
    folds = [(member.train, member.held) for member in members]
    started = time.perf_counter()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        scores = cross_val_score(
            make_pipeline(StandardScaler(), network), X, y, cv=folds, scoring="neg_log_loss"
        )
    seconds = time.perf_counter() - started
    return Measured(seconds, seconds, -float(scores.mean()))


def tuned(work: Workload) -> Any:
    """A KerasTuner build function: width, depth, dropout and learning rate of an MLP are tuned."""

    def build(hp: Any) -> Any:
        import keras

        model = keras.Sequential([keras.Input((work.signature.schema.n_columns,))])
        width, rate = hp.Choice("width", [32, 64, 128]), hp.Float("dropout", 0.1, 0.4)
        for _ in range(hp.Int("depth", 2, 3)):
            model.add(keras.layers.Dense(width, activation="relu"))
            model.add(keras.layers.Dropout(rate))
        model.add(keras.layers.Dense(1, activation="sigmoid"))
        optimizer = keras.optimizers.Adam(hp.Float("learning_rate", 3e-4, 3e-3, sampling="log"))
        model.compile(optimizer=optimizer, loss="binary_crossentropy")
        return model

    return build


def standardised(work: Workload) -> tuple[Any, Any]:
    """All rows, standardised, and the binary target."""
    X = work.dataset.table.numbers
    return (X - X.mean(axis=0)) / X.std(axis=0), work.dataset.y.astype(np.float32)


def random_search(work: Workload, members: Sequence[Member]) -> Measured:
    """KerasTuner's RandomSearch whose ``run_trial`` is a loop over folds: build, ``fit``, ``evaluate``."""
    import keras_tuner

    measured, (X, y) = Measured(), standardised(work)

    class FoldSearch(keras_tuner.RandomSearch):  # type: ignore[misc]
        def run_trial(self, trial: Any, *args: Any, **options: Any) -> dict[str, float]:
            started, losses = time.perf_counter(), []
            for member in members:
                model = self.hypermodel.build(trial.hyperparameters)
                model.fit(X[member.train], y[member.train], **options)
                losses.append(float(model.evaluate(X[member.held], y[member.held], verbose=0)))
            measured.fit_seconds += time.perf_counter() - started
            return {"val_loss": float(np.mean(losses))}

    with tempfile.TemporaryDirectory() as folder:
        started = time.perf_counter()
        tuner = FoldSearch(tuned(work), objective="val_loss", max_trials=N_TRIALS_F, seed=1, directory=folder)
        tuner.search(epochs=work.n_epochs, batch_size=work.configs[0]["batch_size"], verbose=0)
        measured.seconds = time.perf_counter() - started
        losses = [trial.score for trial in tuner.oracle.get_best_trials(N_TRIALS_F)]
    measured.loss = float(np.mean(losses))
    return measured


RIVALS = {
    "random_search": random_search,
    "fit": fit,
    "optuna": optuna_fit,
    "keras_tuner": keras_tuner_fit,
    "scikit_learn": scikit_learn,
}


def fit_member(work: Workload, config: Mapping[str, Any], member: Member) -> float:
    """Build, compile, fit and predict one fold's model; its held-out log loss."""
    X_train, y_train, X_held, y_held = work.fold(member)
    model = MODELS[work.family](config, work.signature)
    n_steps = -(-len(X_train) // config["batch_size"]) * work.n_epochs
    model.compile(optimizer=keras_optimizer(config, n_steps), loss=_loss(y_train))
    model.fit(X_train, y_train, batch_size=config["batch_size"], epochs=work.n_epochs, verbose=0)
    p = np.clip(model.predict(X_held, batch_size=1024, verbose=0).astype(np.float64), 1e-7, 1 - 1e-7)
    if y_held.shape[1] > 1:
        return float(-np.mean(np.log((y_held * p).sum(axis=1))))
    return float(-np.mean(y_held * np.log(p) + (1 - y_held) * np.log(1 - p)))


def _loss(y: Any) -> str:
    return "categorical_crossentropy" if y.shape[1] > 1 else "binary_crossentropy"


def keras_model(config: Mapping[str, Any], signature: Any) -> Any:
    """The same network from Keras' own layers."""
    import keras

    has_penalty = bool(config.get("l1") or config.get("l2"))
    model = keras.Sequential([keras.Input((signature.schema.n_columns,))])
    for units in widths(config):
        penalty = (
            keras.regularizers.L1L2(config.get("l1", 0.0), config.get("l2", 0.0)) if has_penalty else None
        )
        initializer = INITIALIZERS.get(config["activation"], "glorot_uniform")
        model.add(keras.layers.Dense(units, kernel_initializer=initializer, kernel_regularizer=penalty))
        if config["normalization"] == "batch":
            model.add(keras.layers.BatchNormalization(momentum=0.9))
        elif config["normalization"] == "layer":
            model.add(keras.layers.LayerNormalization())
        model.add(keras.layers.Activation(config["activation"]))
        if config["dropout"]:
            model.add(keras.layers.Dropout(config["dropout"]))
    model.add(keras.layers.Dense(signature.n_outputs, activation=ACTIVATION_OF_TASK[signature.task.kind]))
    return model


def keras_convolutional(config: Mapping[str, Any], signature: Any) -> Any:
    """The network of `spaces.convolutional` from Keras' own layers."""
    from keras import Input, Model, layers

    def normal(x: Any) -> Any:
        return layers.BatchNormalization(momentum=0.9)(x)

    def separable(x: Any, filters: int, stride: int = 1) -> Any:
        made = layers.SeparableConv2D(
            filters, config["kernel_size"], strides=stride, padding="same", use_bias=False
        )
        return normal(made(x))

    filters, inputs = config["filters"], Input(signature.schema.blocks[0].shape)
    stem = layers.Conv2D(filters, config["kernel_size"], padding="same", use_bias=False)
    x = layers.ReLU()(normal(stem(inputs)))
    for index in range(config["n_blocks"]):
        if index:
            filters *= config["growth"]
            x = layers.ReLU()(separable(x, filters, 2))
        inner = separable(layers.ReLU()(separable(x, filters)), filters)
        x = layers.ReLU()(layers.Add()([x, inner]))
    return _headed(config, signature, Model, inputs, layers.GlobalAveragePooling2D()(x))


def keras_recurrent(config: Mapping[str, Any], signature: Any) -> Any:
    """The network of `spaces.recurrent` from Keras' own layers."""
    from keras import Input, Model, layers

    inputs = Input(signature.schema.blocks[0].shape)
    x = layers.Bidirectional(layers.GRU(config["width"], return_sequences=True))(inputs)
    return _headed(config, signature, Model, inputs, layers.GlobalAveragePooling1D()(x))


def _headed(config: Mapping[str, Any], signature: Any, model: Any, inputs: Any, x: Any) -> Any:
    import keras

    activation = ACTIVATION_OF_TASK[signature.task.kind]
    x = keras.layers.Dropout(config["dropout"])(x)
    return model(inputs, keras.layers.Dense(signature.n_outputs, activation=activation)(x))


MODELS = {"mlp": keras_model, "convolutional": keras_convolutional, "recurrent": keras_recurrent}


def keras_optimizer(config: Mapping[str, Any], n_steps: int) -> Any:
    """The same optimizer and schedule from Keras; a flat cosine is a plain one here, which costs as much."""
    import keras

    schedules, peak = keras.optimizers.schedules, config["learning_rate"]
    rate: Any = peak
    if config["schedule"] in ("cosine", "flat_cosine"):
        rate = schedules.CosineDecay(peak, n_steps)
    elif config["schedule"] == "exponential":
        rate = schedules.ExponentialDecay(peak, n_steps, 0.01)
    if config["optimizer"] == "adamw":
        return keras.optimizers.AdamW(rate, weight_decay=config["weight_decay"])
    if config["optimizer"] == "sgd":
        return keras.optimizers.SGD(rate, momentum=0.9)
    return {"adam": keras.optimizers.Adam, "rmsprop": keras.optimizers.RMSprop}[config["optimizer"]](rate)


def _fit_members(
    work: Workload, config: Mapping[str, Any], members: Sequence[Member], measured: Measured
) -> float:
    started = time.perf_counter()
    losses = [fit_member(work, config, member) for member in members]
    measured.fit_seconds += time.perf_counter() - started
    return float(np.mean(losses))


def _suggested(trial: Any, name: str, parameter: Any) -> Any:
    if hasattr(parameter, "options"):
        return trial.suggest_categorical(name, parameter.options)
    suggest = trial.suggest_int if type(parameter).__name__ == "Int" else trial.suggest_float
    return suggest(name, parameter.low, parameter.high, log=parameter.log)
