"""What is fed to a compiled program, and that the pieces of networks run for all members at once."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from search.training.engine import Engine
from search.training.recipe import Recipe
from search.training.trained import Request, Trained
from tests.search.training import plans

PIECES: dict[str, tuple[str, dict[str, Any]]] = {
    "mlp": (
        "mlp",
        {"scaling": "robust", "numbers": "periodic", "sigma": 0.2, "categories": "embedding", "clip": True,
         "feature_scale": True, "block": "residual", "normalization": "layer", "wide": True, "dropout": 0.1,
         "activation": "mish"},
    ),
    "tabm": (
        "tabm",
        {"k": 4, "adapters": "all", "numbers": "piecewise", "dropout": 0.1, "activation": "selu"},
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", list(PIECES))
def test_no_piece_falls_back_to_a_loop_over_members(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    vectorized = tf.vectorized_map
    monkeypatch.setattr(tf, "vectorized_map", lambda f, given, **_: vectorized(f, given, False))
    data = plans.dataset("regression")
    family, changes = PIECES[name]
    asked = replace(plans.request(data, Recipe(n_epochs=2), **changes), family=family)
    trained = Engine(plans.plan("regression"), plans.loss_for(data)).train_request(asked)
    assert trained.way == "stacked" and np.isfinite(trained.curve).all()


def test_predictions_stay_within_the_training_targets() -> None:
    data, plan = plans.dataset("regression"), plans.plan("regression")
    recipe = Recipe(n_epochs=3, checkpoints=(3,), patience=0.0)
    engine = Engine(plan, plans.loss_for(data))

    def predicted(*, clip: bool) -> Trained:
        return engine.train_request(plans.request(data, recipe, learning_rate=0.1, clip=clip))

    free, held = (predicted(clip=clip) for clip in (False, True))
    for member, rows in enumerate(plan.held):
        seen = plan.y[plan.train[member]]
        values = held.out_of_fold[0, 0, rows]
        assert values.min() >= seen.min() - 1e-3 and values.max() <= seen.max() + 1e-3
        expected = np.clip(free.out_of_fold[0, 0, rows], seen.min(), seen.max())
        assert np.allclose(values, expected, atol=1e-3)
    assert not np.array_equal(free.out_of_fold, held.out_of_fold)


class _Trials:
    """One engine, one compiled program, many numbers."""

    def __init__(self) -> None:
        self.data = plans.dataset()
        self.engine = Engine(plans.plan(), plans.loss_for(self.data))

    def train(self, **changes: Any) -> Trained:
        recipe = Recipe(n_epochs=8, checkpoints=(8,), patience=0.0)
        numbers = {"numbers": "periodic", "sigma": 0.1, "dropout": 0.3, **changes}
        asked = plans.request(self.data, recipe, **numbers)
        return self.engine.train_request(asked)


@pytest.fixture(scope="module")
def trials() -> _Trials:
    return _Trials()


@pytest.mark.parametrize(
    "change",
    [{"label_smoothing": 0.1}, {"beta2": 0.9}, {"dropout_schedule": "flat_cosine"}, {"sigma": 0.6}],
)
def test_numbers_change_the_training_and_not_the_program(trials: _Trials, change: dict[str, Any]) -> None:
    plain, changed, again = trials.train(), trials.train(**change), trials.train()
    assert trials.engine.n_traced == 1
    assert plain.out_of_fold.tobytes() == again.out_of_fold.tobytes()
    assert not np.allclose(plain.out_of_fold, changed.out_of_fold)


def test_the_dropout_schedule_leaves_the_dials_as_they_are(trials: _Trials) -> None:
    dials = [
        {w.tobytes() for w in t.weights if w.shape == (3,) and np.allclose(w, 0.3)}
        for t in (trials.train(), trials.train(dropout_schedule="flat_cosine"))
    ]
    assert dials[0] == dials[1] == {np.full(3, 0.3, np.float32).tobytes()}


def test_equal_row_weights_are_none_and_others_are_not() -> None:
    data, plan = plans.dataset(), plans.plan()
    recipe = Recipe(n_epochs=4, checkpoints=(4,))
    uneven = np.where(np.arange(60) % 2, 1.9, 0.1)
    trained = [
        Engine(replace(plan, row_weights=weights), plans.loss_for(data)).train_request(
            plans.request(data, recipe)
        )
        for weights in (None, np.ones(60), uneven)
    ]
    assert np.allclose(trained[0].out_of_fold, trained[1].out_of_fold, atol=1e-6)
    assert np.abs(trained[0].out_of_fold - trained[2].out_of_fold).max() > 1e-3


def test_a_sealed_architecture_predicts_what_was_trained() -> None:
    """The saved model of the richest network gives its own out-of-fold predictions again."""
    import keras

    data, plan = plans.dataset("regression"), plans.plan("regression")
    for family, changes in PIECES.values():
        asked: Request = replace(plans.request(data, Recipe(n_epochs=2), **changes), family=family)
        trained = Engine(plan, plans.loss_for(data)).train_request(asked)
        model = keras.models.model_from_json(trained.architecture)
        predictions = []
        for member, rows in enumerate(plan.held):
            for variable, value in zip(model.weights, trained.weights, strict=True):
                variable.assign(value[member])
            predictions.append(np.asarray(model([values[rows] for values in plan.inputs], training=False)))
        chosen = trained.out_of_fold[trained.chosen_index]
        assert np.allclose(plan.out_of_fold(predictions), chosen, atol=1e-3)
