"""Clipping, max-norm and class weights: as Keras has them, and per member."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from sklearn.utils.class_weight import compute_class_weight

from search.training.craft import Craft, CraftNumbers, class_weights, is_held
from search.training.engine import LOSSES, Engine, Job
from search.training.plan import Plan
from search.training.recipe import Recipe
from search.training.trained import Trained
from search.training.ways import Way

N_ROWS, N_MEMBERS, BATCH = 60, 3, 16
RECIPE = Recipe(
    optimizer="sgd", learning_rate=0.1, batch_size=BATCH, n_epochs=3, checkpoints=(3,), is_shuffled=False
)


def plan_of(n_classes: int = 2) -> Plan:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(N_ROWS, 5)).astype("float32")
    codes = np.minimum(rng.geometric(0.6, N_ROWS) - 1, n_classes - 1)
    y = np.eye(n_classes)[codes] if n_classes > 2 else codes[:, None].astype(float)
    rows = [rng.permutation(N_ROWS) for _ in range(N_MEMBERS)]
    units = (N_MEMBERS, y.shape[1])
    return Plan(
        inputs=(x,), y=y, train=tuple(r[:48] for r in rows), held=tuple(r[48:] for r in rows),
        repeat_of_member=tuple(range(N_MEMBERS)), target_center=np.zeros(units), target_scale=np.ones(units),
    )  # fmt: skip


def model_of(n_outputs: int = 1, activation: str = "sigmoid", *, most: float | None = None) -> keras.Model:
    inputs = keras.Input((5,))
    held = None if most is None else keras.constraints.MaxNorm(most, axis=0)
    x = keras.layers.Dense(8, activation="relu", kernel_constraint=held)(inputs)
    return keras.Model(inputs, keras.layers.Dense(n_outputs, activation=activation, name="output")(x))


def trained_of(
    plan: Plan, recipe: Recipe, build: Callable[[], keras.Model] = model_of, kind: str = "binary"
) -> tuple[Trained, list[Any]]:
    engine = Engine(plan, lambda y, p, *_: float(np.mean((y - p) ** 2)))
    job = Job("model", build, kind, recipe, seed=3)
    return engine.train(job), engine._initial_weights(job, build())


def worst_difference(
    plan: Plan, found: tuple[Trained, list[Any]], alone: keras.Model, optimizer: Any, kind: str = "binary",
    weights: Any = None,
) -> float:  # fmt: skip
    """The largest difference of any weight from the same model trained alone by ``fit``."""
    trained, initial = found
    alone.compile(optimizer, LOSSES[kind]())
    worst = 0.0
    for member, rows in enumerate(plan.train):
        for variable, value in zip(alone.weights, initial, strict=True):
            variable.assign(value[member])
        own = None if weights is None else weights[member][rows]
        for variable in alone.optimizer.variables:
            if "momentum" in variable.path:
                variable.assign(np.zeros(variable.shape))
        alone.fit(
            plan.inputs[0][rows], plan.y[rows], batch_size=BATCH, epochs=3, shuffle=False, verbose=0,
            sample_weight=own,
        )  # fmt: skip
        for variable, stacked in zip(alone.weights, trained.weights, strict=True):
            worst = max(worst, float(np.abs(variable.numpy() - stacked[member]).max()))
    return worst


@pytest.mark.parametrize(
    ("change", "of_keras"),
    [({"clip_norm": 0.1}, {"global_clipnorm": 0.1}), ({"clip_value": 0.02}, {"clipvalue": 0.02})],
)
def test_clipping_is_that_of_keras(change: dict[str, float], of_keras: dict[str, float]) -> None:
    plan, plain = plan_of(), trained_of(plan_of(), RECIPE)
    found = trained_of(plan, replace(RECIPE, **change))
    optimizer = keras.optimizers.SGD(0.1, momentum=0.9, **of_keras)
    assert worst_difference(plan, found, model_of(), optimizer) < 5e-6
    assert np.abs(found[0].weights[0] - plain[0].weights[0]).max() > 1e-2


@pytest.mark.parametrize("way", ["stacked", "looped"])
def test_max_norm_is_that_of_keras(way: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("search.training.engine.choose_way", lambda *_: Way(way, "asked for"))
    plan = plan_of()
    found = trained_of(plan, replace(RECIPE, max_norm=0.5))
    optimizer = keras.optimizers.SGD(0.1, momentum=0.9)
    assert worst_difference(plan, found, model_of(most=0.5), optimizer) < 5e-6
    norms = np.linalg.norm(found[0].weights[0], axis=1)
    assert norms.shape == (N_MEMBERS, 8) and norms.max() == pytest.approx(0.5, abs=1e-5)
    assert np.linalg.norm(found[0].weights[2], axis=1).max() > 0.6  # the output is free


@pytest.mark.parametrize("way", ["stacked", "looped", "fit"])
def test_balanced_classes_are_sample_weights(way: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("search.training.engine.choose_way", lambda *_: Way(way, "asked for"))
    plan, build = plan_of(3), partial(model_of, 3, "softmax")
    plan = replace(plan, row_weights=np.linspace(0.5, 1.5, N_ROWS))
    recipe = replace(RECIPE, class_weight="balanced")
    by_class = class_weights(plan, recipe, "multiclass")
    assert by_class is not None
    weights = plan.y @ by_class.T * plan.row_weights[:, None]
    found = trained_of(plan, recipe, build, "multiclass")
    optimizer = keras.optimizers.SGD(0.1, momentum=0.9)
    assert worst_difference(plan, found, build(), optimizer, "multiclass", weights.T) < 5e-6


def test_balanced_is_that_of_scikit_learn_on_the_training_rows() -> None:
    for n_classes, kind in ((2, "binary"), (3, "multiclass")):
        plan = plan_of(n_classes)
        found = class_weights(plan, replace(RECIPE, class_weight="balanced"), kind)
        codes = plan.y.argmax(axis=1) if n_classes > 2 else plan.y[:, 0].astype(int)
        for member, rows in enumerate(plan.train):
            y = codes[rows]
            expected = compute_class_weight("balanced", classes=np.arange(n_classes), y=y)
            assert found is not None and found[member] == pytest.approx(expected)


def test_class_weights_move_predictions_and_not_the_score() -> None:
    plan = plan_of()
    plain, told = (trained_of(plan, replace(RECIPE, class_weight=w))[0] for w in (None, (1.0, 9.0)))
    assert np.nanmean(told.out_of_fold) > np.nanmean(plain.out_of_fold) + 0.1
    table = told.out_of_fold[told.chosen_index]
    held = [float(np.mean((plan.y - t)[~np.isnan(t[:, 0])] ** 2)) for t in table]
    assert told.curve[-1] == pytest.approx(np.mean(held), rel=1e-5)


@pytest.mark.parametrize(
    ("kind", "asked", "said"),
    [("regression", "balanced", "not for regression"), ("binary", (1.0, 1.0, 1.0), "2, not 3")],
)
def test_class_weights_that_do_not_fit_are_refused(kind: str, asked: Any, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        class_weights(plan_of(), replace(RECIPE, class_weight=asked), kind)


@pytest.mark.parametrize("change", [{"clip_norm": 1.0}, {"schedule": "performance"}])
def test_a_model_with_its_own_step_is_not_trained_otherwise_in_silence(
    change: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("search.training.engine.choose_way", lambda *_: Way("fit", "asked for"))
    with pytest.raises(ValueError, match="train_step of their own"):
        trained_of(plan_of(), replace(RECIPE, **change))


def test_members_do_not_influence_each_other() -> None:
    """One member's rows are blown up a thousandfold; the others end where they would have ended."""
    plan = plan_of()
    x, third = plan.inputs[0], np.arange(N_ROWS, N_ROWS + 48)
    recipe = replace(RECIPE, clip_norm=0.1, clip_value=0.05, max_norm=0.5, class_weight="balanced")
    ends = []
    for factor in (1.0, 1000.0):
        rows = x[plan.train[2]] * np.float32(factor)
        apart = replace(
            plan, inputs=(np.concatenate([x, rows]),), y=np.concatenate([plan.y, plan.y[plan.train[2]]]),
            train=(*plan.train[:2], third),
        )  # fmt: skip
        ends.append(trained_of(apart, recipe)[0].weights)
    for one, other in zip(*ends, strict=True):
        assert np.array_equal(one[:2], other[:2])
    assert not np.allclose(ends[0][0][2], ends[1][0][2])


def test_a_norm_is_taken_over_all_of_a_members_gradient() -> None:
    numbers = CraftNumbers(2, 2)
    numbers.set(replace(RECIPE, clip_norm=1.0), None)
    gradients = [tf.constant([[3.0, 0.0], [0.3, 0.0]]), tf.constant([[[4.0]], [[0.4]]])]
    clipped = numbers.clipped(Craft(has_clip_norm=True), gradients)
    assert clipped[0].numpy() == pytest.approx(np.array([[0.6, 0.0], [0.3, 0.0]]))
    assert clipped[1].numpy().ravel() == pytest.approx([0.8, 0.4])


def test_numbers_of_one_craft_share_a_program() -> None:
    plan = plan_of()
    engine = Engine(plan, lambda y, p, *_: float(np.mean((y - p) ** 2)))
    norms = (0.05, 0.5, 0.05)
    jobs = [Job("model", model_of, "binary", replace(RECIPE, clip_norm=n), seed=3) for n in norms]
    one, other, again = (engine.train(job).out_of_fold for job in jobs)
    assert engine.n_traced == 1
    assert np.array_equal(one, again, equal_nan=True) and not np.allclose(one, other, equal_nan=True)


def test_matrices_of_hidden_layers_are_held() -> None:
    held = [variable.path.split("/")[-1] for variable in model_of().variables if is_held(variable)]
    assert held == ["kernel"]
