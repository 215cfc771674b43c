"""The performance schedule: Keras' ReduceLROnPlateau on the training loss, for each member on its own."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from search.training.plan import Plan
from search.training.plateau import Plateau
from search.training.recipe import Recipe
from search.training.ways import Way
from tests.search.training.test_craft import BATCH, model_of, plan_of, trained_of

# Keras' callback reads a Variable through numpy in a way that numpy 2 warns of.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

N_EPOCHS = 10
RATES = {"sgd": 1.0, "rmsprop": 0.2, "adam": 0.2, "adamw": 0.4}
OF_KERAS = {
    "sgd": lambda: keras.optimizers.SGD(RATES["sgd"], momentum=0.9),
    "rmsprop": lambda: keras.optimizers.RMSprop(RATES["rmsprop"]),
    "adam": lambda: keras.optimizers.Adam(RATES["adam"]),
    "adamw": lambda: keras.optimizers.AdamW(RATES["adamw"], weight_decay=0.02),
}
TOLERANCE = {"sgd": 5e-6, "rmsprop": 5e-5, "adam": 5e-4, "adamw": 5e-4}  # Adam blows small gradients up


def recipe_of(optimizer: str, **changes: Any) -> Recipe:
    told: dict[str, Any] = {
        "learning_rate": RATES[optimizer], "weight_decay": 0.02, "schedule": "performance",
        "plateau_factor": 0.3, "plateau_patience": 1, "batch_size": BATCH, "n_epochs": N_EPOCHS,
        "checkpoints": (1, 3, 4, N_EPOCHS), "patience": 0.0, "epoch_choice": "fixed", "is_shuffled": False,
    }  # fmt: skip
    return Recipe(optimizer=optimizer, **{**told, **changes})


def penalised() -> keras.Model:
    inputs = keras.Input((5,))
    x = keras.layers.Dense(8, activation="relu", kernel_regularizer=keras.regularizers.L2(1e-2))(inputs)
    return keras.Model(inputs, keras.layers.Dense(1, activation="sigmoid", name="output")(x))


def alone(plan: Plan, member: int, initial: list[Any], recipe: Recipe) -> tuple[list[Any], float]:
    """Weights and last learning rate of the same model trained by ``fit`` with Keras' callback."""
    model = penalised()
    model.compile(OF_KERAS[recipe.optimizer](), "binary_crossentropy")
    for variable, value in zip(model.weights, initial, strict=True):
        variable.assign(value[member])
    watching = keras.callbacks.ReduceLROnPlateau(
        monitor="loss", factor=recipe.plateau_factor, patience=recipe.plateau_patience
    )
    rows = plan.train[member]
    model.fit(
        plan.inputs[0][rows], plan.y[rows], batch_size=BATCH, epochs=N_EPOCHS, shuffle=False, verbose=0,
        callbacks=[watching],
    )  # fmt: skip
    return [v.numpy() for v in model.weights], float(model.optimizer.learning_rate)


@pytest.mark.parametrize(
    ("optimizer", "way"),
    [("sgd", "stacked"), ("sgd", "looped"), ("rmsprop", "stacked"), ("adam", "looped"), ("adamw", "stacked")],
)
def test_each_member_falls_as_keras_has_it(optimizer: str, way: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("search.training.engine.choose_way", lambda *_: Way(way, "asked for"))
    plan, recipe = plan_of(), recipe_of(optimizer)
    trained, initial = trained_of(plan, recipe, penalised)
    steady, _ = trained_of(plan, replace(recipe, schedule="constant"), penalised)
    ends = [alone(plan, member, initial, recipe) for member in range(plan.n_members)]
    falls = {round(float(np.log(rate / RATES[optimizer]) / np.log(0.3))) for _, rate in ends}
    assert len(falls) > 1  # members fall on their own
    for member, (weights, _) in enumerate(ends):
        for expected, stacked in zip(weights, trained.weights, strict=True):
            assert np.abs(expected - stacked[member]).max() < TOLERANCE[optimizer]
    moved = max(np.abs(a - b).max() for a, b in zip(trained.weights, steady.weights, strict=True))
    assert moved > 10 * TOLERANCE[optimizer]


def test_numbers_of_a_plateau_share_a_program_and_leave_nothing_behind() -> None:
    from search.training.engine import Engine, Job

    engine = Engine(plan_of(), lambda y, p, *_: float(np.mean((y - p) ** 2)))
    recipes = [recipe_of("sgd", plateau_factor=factor) for factor in (0.3, 0.9, 0.3)]
    one, other, again = (engine.train(Job("m", model_of, "binary", r, seed=3)).weights for r in recipes)
    assert engine.n_traced == 1
    assert all(np.array_equal(a, b) for a, b in zip(one, again, strict=True))
    assert not all(np.allclose(a, b) for a, b in zip(one, other, strict=True))


@pytest.mark.parametrize("way", ["stacked", "looped"])
def test_held_out_rows_change_no_weight(way: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("search.training.engine.choose_way", lambda *_: Way(way, "asked for"))
    base = plan_of()
    free = np.setdiff1d(np.arange(len(base.y)), base.train[0])
    plan = replace(base, train=base.train[:1] * 3)  # rows that nobody learns from
    y = plan.y.copy()
    y[free] = 1.0 - y[free]
    ends = [trained_of(p, recipe_of("sgd"))[0] for p in (plan, replace(plan, y=y))]
    assert ends[0].curve != ends[1].curve
    assert all(np.array_equal(a, b) for a, b in zip(ends[0].weights, ends[1].weights, strict=True))


def test_a_rate_falls_when_patience_is_over_and_only_that_members() -> None:
    plateau = Plateau(2)
    plateau.set(Recipe(plateau_factor=0.5, plateau_patience=2))
    seen = []
    for losses in ([1.0, 1.0], [1.0, 0.9], [1.0, 0.8], [0.99995, 0.7], [1.0, 0.6], [0.5, 0.7], [0.5, 0.7]):
        plateau.look(tf.constant(losses))
        seen.append(plateau.rates.numpy().tolist())
    assert [rate for rate, _ in seen] == [1.0, 1.0, 0.5, 0.5, 0.25, 0.25, 0.25]
    assert [rate for _, rate in seen] == [1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 0.5]
    plateau.reset()
    assert plateau.rates.numpy().tolist() == [1.0, 1.0]


def test_a_training_in_stretches_ends_where_one_in_one_go_does() -> None:
    from search.training.engine import Engine, Job

    whole = Job("m", model_of, "binary", recipe_of("adam", n_epochs=9, checkpoints=(4, 9)), seed=3)
    end = Engine(plan_of(), lambda y, p, *_: float(np.mean((y - p) ** 2))).train(whole)
    engine = Engine(plan_of(), lambda y, p, *_: float(np.mean((y - p) ** 2)))
    first = engine.train(replace(whole, stop=4))
    engine.train(replace(whole, seed=5))  # another training in between leaves nothing behind
    second = engine.train(replace(whole, stop=9, state=first.state))
    assert all(np.array_equal(a, b) for a, b in zip(end.weights, second.weights, strict=True))
