"""What a good user would run instead, for the same seconds: Optuna over boosting or networks, AutoGluon."""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.quality_tables import Array, Sample

N_MOST_ROUNDS = 2000
N_MOST_EPOCHS = 200
FoldModel = Callable[[], Array]
"""Predicts the test rows ``(n_test, n_outputs)``."""
FitFold = Callable[[int, float], tuple[FoldModel, Array]]
"""Fits the model of a fold until a time of the clock; that model, and predictions of the held-out rows."""


@dataclass(frozen=True)
class Outcome:
    """Predictions of the test rows ``(n_test, n_outputs)``, the seconds they took, and what else is known."""

    predictions: Array
    seconds: float
    facts: dict[str, Any] = field(default_factory=dict)


def tuned(
    sample: Sample, seconds: float, seed: int, begin: Callable[[Any, list[tuple[Array, Array]]], FitFold],
    first: Mapping[str, Any],
) -> Outcome:  # fmt: skip
    """Tune by five-fold cross-validation with Optuna's TPE; the best trial's fold models are averaged.

    No trial starts after ``seconds``, and one that is under way then is given up at the end of a fold; the
    first has the seconds for its folds in equal parts. From the sixth trial on, the median pruner sees the
    mean loss of the folds so far.
    """
    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    started = time.perf_counter()
    folds = sample.folds(seed)
    best: dict[str, Any] = {"loss": np.inf}

    def objective(trial: Any) -> float:
        fit_fold = begin(trial, folds)
        models, losses = [], []
        for number, (_, held) in enumerate(folds):
            share = (number + 1) / len(folds) if "models" not in best else 1.0
            model, predictions = fit_fold(number, started + share * seconds)
            models.append(model)
            losses.append(sample.loss(sample.y_train[held], predictions))
            trial.report(float(np.mean(losses)), number)
            is_late = time.perf_counter() - started > seconds and number + 1 < len(folds)
            if "models" in best and (is_late or trial.should_prune()):
                raise optuna.TrialPruned
        loss = float(np.mean(losses))
        if loss < best["loss"]:
            best.update(loss=loss, models=models)
        return loss

    study = optuna.create_study(
        sampler=optuna.samplers.TPESampler(seed=seed),
        pruner=optuna.pruners.MedianPruner(n_startup_trials=5, n_warmup_steps=1),
    )
    study.enqueue_trial(dict(first))
    study.optimize(objective, timeout=seconds)
    predictions = np.mean([model() for model in best["models"]], axis=0)
    facts = {"n_trials": len(study.trials), "cv_loss": best["loss"], "config": study.best_params}
    return Outcome(predictions, time.perf_counter() - started, facts)


def histgb(sample: Sample, seconds: float, seed: int, settings: Mapping[str, Any]) -> dict[str, Outcome]:
    """scikit-learn's histogram gradient boosting, tuned.

    Categories natively; the held-out fold stops the boosting, and the best round on it is the one used. A
    fold takes seconds, and is never cut short.
    """
    import sklearn.ensemble

    is_classes = sample.kind != "regression"
    model_type = (
        sklearn.ensemble.HistGradientBoostingClassifier
        if is_classes
        else sklearn.ensemble.HistGradientBoostingRegressor
    )

    def begin(trial: Any, folds: list[tuple[Array, Array]]) -> FitFold:
        config = {
            "learning_rate": trial.suggest_float("learning_rate", 0.01, 0.3, log=True),
            "max_leaf_nodes": trial.suggest_int("max_leaf_nodes", 4, 128, log=True),
            "min_samples_leaf": trial.suggest_int("min_samples_leaf", 1, 60, log=True),
            "l2_regularization": trial.suggest_float("l2_regularization", 1e-6, 10.0, log=True),
            "max_features": trial.suggest_float("max_features", 0.3, 1.0),
        }

        def fit_fold(number: int, until: float) -> tuple[FoldModel, Array]:
            rows, held = folds[number]
            model = model_type(
                **config, max_iter=N_MOST_ROUNDS, early_stopping=True, n_iter_no_change=25, random_state=seed
            )
            X, y = sample.train, sample.y_train
            model.fit(X.iloc[rows], y[rows], X_val=X.iloc[held], y_val=y[held])
            n_rounds = max(1, int(np.argmax(model.validation_score_)))

            def predict(frame: Any) -> Array:
                return _at_round(model, frame, n_rounds, sample.kind)

            return lambda: predict(sample.test), predict(X.iloc[held])

        return fit_fold

    first = {"learning_rate": 0.1, "max_leaf_nodes": 31, "min_samples_leaf": 20, "l2_regularization": 1e-6,
             "max_features": 1.0}  # fmt: skip
    return {"histgb": tuned(sample, seconds, seed, begin, first)}


def _at_round(model: Any, frame: Any, n_rounds: int, kind: str) -> Array:
    stages = model.staged_predict(frame) if kind == "regression" else model.staged_predict_proba(frame)
    last = next(stage for number, stage in enumerate(stages, start=1) if number == n_rounds)
    if kind == "regression":
        return np.asarray(last, np.float64)[:, None]
    return np.asarray(last[:, 1:] if kind == "binary" else last, np.float64)


def keras_optuna(
    sample: Sample, seconds: float, seed: int, settings: Mapping[str, Any]
) -> dict[str, Outcome]:
    """Keras networks, tuned: ``fit`` once a fold, early stopping on the held-out fold with the best weights.

    One compiled model serves the five folds of a trial, as those do who know what building it costs. Training
    also stops when the time is up, which leaves the best weights so far.
    """
    import keras

    from benchmarks.rivals import warm_up

    warm_up()
    keras.utils.set_random_seed(seed)

    def begin(trial: Any, folds: list[tuple[Array, Array]]) -> FitFold:
        model, batch_size = _network(trial, sample)
        untrained = [np.array(v) for v in (*model.variables, *model.optimizer.variables)]

        def fit_fold(number: int, until: float) -> tuple[FoldModel, Array]:
            rows, held = folds[number]
            for variable, value in zip(
                (*model.variables, *model.optimizer.variables), untrained, strict=True
            ):
                variable.assign(value)
            X_train, X_held, X_test = encoded(sample, rows, held)
            center, scale = _target_scale(sample, rows)
            targets = (sample.columns(sample.y_train) - center) / scale
            stop = keras.callbacks.EarlyStopping(patience=20, restore_best_weights=True)
            late = keras.callbacks.LambdaCallback(
                on_epoch_end=lambda epoch, logs: _stop_if_late(model, until)
            )
            model.fit(
                X_train, targets[rows], validation_data=(X_held, targets[held]), epochs=N_MOST_EPOCHS,
                batch_size=batch_size, callbacks=[stop, late], verbose=0,
            )  # fmt: skip
            weights = model.get_weights()

            def predict(X: Array) -> Array:
                model.set_weights(weights)
                outputs = model.predict(X, batch_size=1024, verbose=0).astype(np.float64)
                return np.asarray(outputs * scale + center)

            return lambda: predict(X_test), predict(X_held)

        return fit_fold

    first = {"depth": 2, "width": 128, "activation": "relu", "normalization": "none", "dropout": 0.1,
             "optimizer": "adam", "learning_rate": 2e-3, "batch_size": 32}  # fmt: skip
    return {"keras": tuned(sample, seconds, seed, begin, first)}


def _stop_if_late(model: Any, until: float) -> None:
    if time.perf_counter() > until:
        model.stop_training = True


def _network(trial: Any, sample: Sample) -> tuple[Any, int]:
    """A compiled network whose optimizer has its slots, and its batch size."""
    import keras

    n_inputs = encoded(sample, np.arange(len(sample.train)), np.arange(1))[0].shape[1]
    activation = trial.suggest_categorical("activation", ["relu", "silu", "selu"])
    normalization = trial.suggest_categorical("normalization", ["none", "batch", "layer"])
    depth, width = (
        trial.suggest_int("depth", 1, 4),
        trial.suggest_categorical("width", [16, 32, 64, 128, 256]),
    )
    dropout = trial.suggest_float("dropout", 0.0, 0.5)
    rate = trial.suggest_float("learning_rate", 3e-4, 3e-2, log=True)
    if trial.suggest_categorical("optimizer", ["adam", "adamw"]) == "adamw":
        decay = trial.suggest_float("weight_decay", 1e-4, 1e-1, log=True)
        optimizer = keras.optimizers.AdamW(rate, weight_decay=decay)
    else:
        optimizer = keras.optimizers.Adam(rate)
    batch_size = trial.suggest_categorical("batch_size", [16, 32, 64, 128])
    initializer = "lecun_normal" if activation == "selu" else "he_normal"
    model = keras.Sequential([keras.Input((n_inputs,))])
    for _ in range(depth):
        model.add(keras.layers.Dense(width, kernel_initializer=initializer))
        if normalization == "batch":
            model.add(keras.layers.BatchNormalization(momentum=0.9))
        elif normalization == "layer":
            model.add(keras.layers.LayerNormalization())
        model.add(keras.layers.Activation(activation))
        model.add(keras.layers.Dropout(dropout))
    last = {"binary": "sigmoid", "multiclass": "softmax", "regression": "linear"}[sample.kind]
    model.add(keras.layers.Dense(sample.n_outputs, activation=last))
    losses = {"binary": "binary_crossentropy", "multiclass": "categorical_crossentropy", "regression": "mse"}
    loss = "mae" if sample.metric == "mae" else losses[sample.kind]
    model.compile(optimizer=optimizer, loss=loss)
    optimizer.build(model.trainable_variables)
    return model, batch_size


def encoded(sample: Sample, rows: Array, held: Array) -> tuple[Array, Array, Array]:
    """Inputs of training, held-out and test rows, float32, by the statistics of the training rows.

    Numbers standardised, missing ones at the median with a column that says so; categories one-hot.
    """
    import pandas as pd

    both = pd.concat([sample.train, sample.test], ignore_index=True)
    categories = both.select_dtypes("category")
    numbers = both.drop(columns=categories.columns).astype(np.float64)
    fitted = numbers.iloc[rows]
    center, scale = fitted.mean(), fitted.std(ddof=0).replace(0.0, 1.0).fillna(1.0)
    is_missing = numbers.loc[:, sample.train[numbers.columns].isna().any()].isna()
    filled = (numbers.fillna(fitted.median()).fillna(0.0) - center.fillna(0.0)) / scale
    parts = [filled, is_missing] + ([pd.get_dummies(categories)] if len(categories.columns) else [])
    values = np.hstack([part.to_numpy(np.float32) for part in parts])
    return values[rows], values[held], values[len(sample.train) :]


def _target_scale(sample: Sample, rows: Array) -> tuple[float, float]:
    if sample.kind != "regression":
        return 0.0, 1.0
    y = sample.y_train[rows]
    return float(y.mean()), float(y.std()) or 1.0


def autogluon(sample: Sample, seconds: float, seed: int, settings: Mapping[str, Any]) -> dict[str, Outcome]:
    """AutoGluon's tabular predictor with ``best_quality``, under the Python in ``settings["python"]``."""
    script = Path(__file__).with_name("quality_autogluon.py")
    with tempfile.TemporaryDirectory(prefix="quality-") as folder:
        place = Path(folder)
        train = sample.train.assign(**{"the target": sample.y_train})
        if sample.groups is not None:
            train["the fold"] = _fold_of_row(sample, seed)
        train.to_csv(place / "train.csv", index=False)
        sample.test.to_csv(place / "test.csv", index=False)
        facts = {
            "kind": sample.kind, "metric": sample.metric, "seconds": seconds,
            "target": "the target", "fold": None if sample.groups is None else "the fold",
            "categorical": list(sample.train.select_dtypes("category").columns),
        }  # fmt: skip
        (place / "task.json").write_text(json.dumps(facts))
        command = [str(settings["python"]), str(script), folder]
        environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
        done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
        if done.returncode:
            raise RuntimeError(f"AutoGluon failed: {done.stderr.strip()[-1000:]}")
        found = json.loads((place / "outcome.json").read_text())
        predictions = np.load(place / "predictions.npy", allow_pickle=False)
    return {"autogluon": Outcome(predictions, found.pop("seconds"), found)}


def _fold_of_row(sample: Sample, seed: int) -> Array:
    folds = np.zeros(len(sample.train), int)
    for number, (_, held) in enumerate(sample.folds(seed)):
        folds[held] = number
    return folds
