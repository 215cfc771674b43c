"""Optuna-style functions as models of a KFoldTuner: what is asked for, its conditions, its values."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import keras_tuner as kt
import numpy as np
import pytest
from keras import layers

from search.kfold_trial_style import TrialStyle, hypermodel_of
from search.kfold_tuner import KFoldTuner

pytestmark = pytest.mark.filterwarnings("ignore:currentThread|getName:DeprecationWarning")


def build(trial: Any) -> Any:
    """Optuna's example of layers and units by number, with a rate on a log scale and a switch."""
    model = keras.Sequential([keras.Input((3,))])
    for k in range(trial.suggest_int("n_layers", 1, 2)):
        model.add(layers.Dense(trial.suggest_int(f"n_units_l{k}", 4, 16, log=True), "relu"))
    if trial.suggest_categorical("has_dropout", [False, True]):
        model.add(layers.Dropout(trial.suggest_float("dropout", 0.1, 0.3, step=0.1)))
    if trial.suggest_categorical("norm", [None, "batch"]) == "batch":
        model.add(layers.BatchNormalization())
    model.add(layers.Dense(1, "sigmoid"))
    rate = trial.suggest_float("lr", 1e-3, 1e-1, log=True)
    model.compile(keras.optimizers.Adam(rate), "binary_crossentropy", metrics=["accuracy"])
    return model


def test_it_is_searched_as_any_hypermodel(tmp_path: Path) -> None:
    x = np.random.default_rng(0).normal(size=(90, 3))
    tuner = KFoldTuner(
        build, "val_accuracy", 4, n_splits=3, seed=0, directory=tmp_path, project_name="p", oracle="bayesian"
    )
    tuner.search(x, (x[:, 0] > 0).astype(int), epochs=6)
    trials = [t for t in tuner.oracle.trials.values() if t.status == "COMPLETED"]
    assert len(trials) == 4 and {tuner.folds(t.trial_id).way for t in trials} == {"stacked"}
    best = tuner.get_best_hyperparameters()[0]
    assert best.get("n_layers") in (1, 2) and 1e-3 <= best.get("lr") <= 1e-1
    assert tuner.get_best_models()[0].predict(x, verbose=0).shape == (90, 1)


def test_conditions_are_kept() -> None:
    table = kt.HyperParameters()
    TrialStyle(build).build(table)
    scopes = {p.name: [(c.name, list(c.values)) for c in p.conditions] for p in table.space}
    assert scopes["dropout"] == [("has_dropout", [True])]
    assert scopes["n_units_l1"] == [("n_layers", [2])] and scopes["lr"] == []
    kinds = {p.name: type(p).__name__ for p in table.space}
    assert kinds["has_dropout"] == "Boolean" and kinds["norm"] == "Choice"


@pytest.mark.parametrize("seed", range(5))
def test_the_model_is_given_what_the_hyperparameters_say(seed: int) -> None:
    wrapped, table = TrialStyle(build), kt.HyperParameters()
    wrapped.build(table)
    oracle = kt.oracles.RandomSearchOracle(
        kt.Objective("loss", "min"), max_trials=9, seed=seed + 1, hyperparameters=table
    )
    values = oracle._random_values()
    table.values = dict(values)
    names = [type(layer).__name__ for layer in wrapped.build(table).layers]
    assert names.count("Dense") == values["n_layers"] + 1
    assert ("Dropout" in names) == values["has_dropout"]
    assert ("BatchNormalization" in names) == (values["norm"] == '"batch"')
    assert ("dropout" in values) == values["has_dropout"]
    if values["has_dropout"]:
        assert values["dropout"] in (0.1, 0.2, 0.3)


def test_all_else_is_as_it_was() -> None:
    class Own(kt.HyperModel):  # type: ignore[misc]
        def build(self, hp: Any) -> Any:
            return None

    def of_hp(hp: Any) -> Any:
        return None

    own = Own()
    assert hypermodel_of(of_hp) is of_hp and hypermodel_of(own) is own and hypermodel_of(None) is None
    assert isinstance(hypermodel_of(build), TrialStyle)
