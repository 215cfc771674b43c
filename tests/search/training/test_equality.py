"""A stacked member equals the same Keras model trained alone by ``fit``, same rows, same order."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import keras
import numpy as np
import pytest

from search.training.engine import LOSSES, Engine, Job
from search.training.plan import Plan
from search.training.recipe import Recipe, new_optimizer
from spaces import mlp, tabm
from spaces.schema import Column, Schema
from spaces.signature import Signature
from spaces.task import Task

N_ROWS, N_FEATURES, N_MEMBERS, N_EPOCHS, BATCH = 110, 7, 3, 3, 16

Builder = Callable[[], keras.Model]


def _plan(kind: str, n_outputs: int) -> Plan:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(N_ROWS, N_FEATURES)).astype("float32")
    if kind == "multiclass":
        y = np.eye(n_outputs)[rng.integers(0, n_outputs, N_ROWS)]
    elif kind == "regression":
        y = x[:, :1] * 3.0 + 10.0 + rng.normal(size=(N_ROWS, n_outputs))
    else:
        y = (rng.random((N_ROWS, n_outputs)) < 0.5).astype(float)
    rows = [rng.permutation(N_ROWS) for _ in range(N_MEMBERS)]
    center = (
        np.array([y[r[:90]].mean(0) for r in rows])
        if kind == "regression"
        else np.zeros((N_MEMBERS, n_outputs))
    )
    scale = (
        np.array([y[r[:90]].std(0) for r in rows])
        if kind == "regression"
        else np.ones((N_MEMBERS, n_outputs))
    )
    return Plan(
        inputs=(x,),
        y=y,
        train=tuple(r[:90] for r in rows),
        held=tuple(r[90:] for r in rows),
        repeat_of_member=tuple(range(N_MEMBERS)),
        target_center=center,
        target_scale=scale,
    )


def _plain(activation: str = "sigmoid", n_outputs: int = 1) -> keras.Model:
    inputs = keras.Input((N_FEATURES,))
    x = keras.layers.Dense(12, activation="relu")(inputs)
    x = keras.layers.Dense(8, activation="silu")(x)
    return keras.Model(inputs, keras.layers.Dense(n_outputs, activation=activation)(x))


def _normalized() -> keras.Model:
    inputs = keras.Input((N_FEATURES,))
    penalty = keras.regularizers.L1L2(1e-4, 1e-3)
    x = keras.layers.Dense(12, use_bias=False, kernel_regularizer=penalty)(inputs)
    x = keras.layers.BatchNormalization(momentum=0.9)(x)
    x = keras.layers.Activation("relu")(x)
    x = keras.layers.LayerNormalization()(x)
    x = keras.layers.Dense(8, activation="relu", kernel_regularizer=penalty)(x)
    return keras.Model(inputs, keras.layers.Dense(1, activation="sigmoid")(x))


def _penalized_by_dials() -> keras.Model:
    from spaces.layers import PenalizedDense

    inputs = keras.Input((N_FEATURES,))
    x = PenalizedDense(12, l1=1e-4, l2=1e-3, activation="relu")(inputs)
    return keras.Model(inputs, keras.layers.Dense(1, activation="sigmoid")(x))


def _convolutional() -> keras.Model:
    inputs = keras.Input((N_FEATURES,))
    x = keras.layers.Reshape((N_FEATURES, 1))(inputs)
    x = keras.layers.Conv1D(4, 3, activation="relu")(x)
    return keras.Model(inputs, keras.layers.Dense(1, activation="sigmoid")(keras.layers.Flatten()(x)))


def _optimizer_of_keras(name: str) -> Any:
    return {
        "sgd": lambda: keras.optimizers.SGD(0.05, momentum=0.9),
        "plain_sgd": lambda: keras.optimizers.SGD(0.05),
        "rmsprop": lambda: keras.optimizers.RMSprop(0.01),
        "adam": lambda: keras.optimizers.Adam(0.01),
        "adamw": lambda: keras.optimizers.AdamW(0.01, weight_decay=0.02),
    }[name]()


def _recipe(name: str) -> Recipe:
    return Recipe(
        optimizer=name,
        learning_rate=0.05 if name.endswith("sgd") else 0.01,
        weight_decay=0.02,
        batch_size=BATCH,
        n_epochs=N_EPOCHS,
        checkpoints=(N_EPOCHS,),
        is_shuffled=False,
    )


def _trained_alone(
    model: keras.Model, plan: Plan, member: int, weights: list[Any], smoothing: float = 0.0
) -> None:
    """Train one compiled model, reset to a member's initial weights, on that member's rows."""
    fresh = [v.numpy() * 0 if "learning_rate" not in v.path else v.numpy() for v in model.optimizer.variables]
    for variable, value in zip(model.weights, weights, strict=True):
        variable.assign(value[member])
    for variable, value in zip(model.optimizer.variables, fresh, strict=True):
        variable.assign(value)
    rows = plan.train[member]
    y = (plan.y[rows] - plan.target_center[member]) / plan.target_scale[member]
    y = y * (1 - smoothing) + smoothing / max(2, y.shape[1])
    weights_of_rows = None if plan.row_weights is None else plan.row_weights[rows]
    model.fit(
        plan.inputs[0][rows], y, batch_size=BATCH, epochs=N_EPOCHS, shuffle=False, verbose=0,
        sample_weight=weights_of_rows,
    )  # fmt: skip


def _largest_difference(
    build: Builder,
    name: str,
    kind: str = "binary",
    n_outputs: int = 1,
    plan: Plan | None = None,
    **recipe: Any,
) -> tuple[float, str]:
    plan = plan or _plan(kind, n_outputs)
    engine = Engine(plan, lambda y, p, *_: float(np.mean((y - p) ** 2)))
    job = Job("model", build, kind, replace(_recipe(name), **recipe), seed=3)
    initial = engine._initial_weights(job, build())
    trained = engine.train(job)
    assert trained.way == ("looped" if build is _convolutional else "stacked")
    worst = 0.0
    alone = build()
    alone.compile(_optimizer_of_keras(name), LOSSES[kind]())
    alone.optimizer.build(alone.trainable_variables)
    for member in range(N_MEMBERS):
        _trained_alone(alone, plan, member, initial, job.recipe.label_smoothing)
        for variable, stacked in zip(alone.weights, trained.weights, strict=True):
            worst = max(worst, float(np.abs(variable.numpy() - stacked[member]).max()))
        held = alone.predict(plan.inputs[0][plan.held[member]], verbose=0)
        units = held * plan.target_scale[member] + plan.target_center[member]
        assert np.allclose(trained.out_of_fold[0, member][plan.held[member]], units, atol=2e-3)
    return worst, trained.way


# Adam divides by the root of the squared gradient, so rounding of gradients near zero shows in the weights.
TOLERANCE = {"sgd": 2e-6, "plain_sgd": 2e-6, "rmsprop": 2e-5, "adam": 2e-3, "adamw": 2e-3}


@pytest.mark.parametrize("name", ["sgd", "plain_sgd", "rmsprop", "adam", "adamw"])
@pytest.mark.parametrize("build", [_plain, _normalized], ids=["plain", "normalized"])
def test_stacked_members_equal_fit(build: Builder, name: str) -> None:
    worst, _ = _largest_difference(build, name)
    assert worst < TOLERANCE[name]


@pytest.mark.parametrize("build", [_penalized_by_dials, _convolutional], ids=["dials", "looped"])
def test_other_models_equal_fit(build: Builder) -> None:
    worst, _ = _largest_difference(build, "sgd")
    assert worst < 5e-6


@pytest.mark.parametrize(
    ("kind", "activation", "n_outputs"),
    [("multiclass", "softmax", 3), ("regression", "linear", 2), ("multilabel", "sigmoid", 3)],
)
def test_other_tasks_equal_fit(kind: str, activation: str, n_outputs: int) -> None:
    worst, _ = _largest_difference(lambda: _plain(activation, n_outputs), "sgd", kind, n_outputs)
    assert worst < 5e-6


@pytest.mark.parametrize("build", [_plain, _convolutional], ids=["stacked", "looped"])
def test_row_weights_are_sample_weights(build: Builder) -> None:
    plan = _plan("binary", 1)
    weights = np.random.default_rng(1).exponential(size=N_ROWS)
    worst, _ = _largest_difference(build, "sgd", plan=replace(plan, row_weights=weights / weights.mean()))
    assert worst < 5e-6


@pytest.mark.parametrize(
    ("kind", "activation", "n_outputs"), [("multiclass", "softmax", 3), ("binary", "sigmoid", 1)]
)
def test_smoothed_labels_are_smoothed_targets(kind: str, activation: str, n_outputs: int) -> None:
    worst, _ = _largest_difference(
        lambda: _plain(activation, n_outputs), "sgd", kind, n_outputs, label_smoothing=0.1
    )
    assert worst < 5e-6


COLUMNS = tuple(Column(f"x{i}", "number", may_be_missing=False) for i in range(N_FEATURES))
SIGNATURE = Signature(Schema(COLUMNS), Task("regression", ("y",)), N_ROWS)
SHOWN: dict[str, Any] = {"scaling": "robust", "numbers": "periodic", "sigma": 0.3, "feature_scale": True}
NETWORKS: dict[str, dict[str, Any]] = {
    "residual": {"block": "residual", "normalization": "layer", "wide": True, "clip": True},
    "piecewise": {"numbers": "piecewise", "scaling": "standard"},
}


def _mlp(changes: dict[str, Any]) -> Builder:
    config = {"depth": 1, "width": 12, "activation": "mish", **SHOWN, **changes}
    return lambda: mlp.build(config, SIGNATURE)


def _with_statistics(plan: Plan) -> Plan:
    """Statistics that differ from member to member, for the layer that encodes."""
    rng, shape = np.random.default_rng(5), (N_MEMBERS, N_FEATURES)
    edges = np.sort(rng.normal(size=(*shape, 17)), axis=-1)
    names = {"fill": 0.1, "center": 0.1, "scale": 1.5, "robust_scale": 0.7}
    constants = {f"encode/{n}": np.float32(v + 0.1 * rng.random(shape)) for n, v in names.items()}
    return replace(plan, constants={**constants, "encode/edges": edges.astype("float32")})


@pytest.mark.parametrize("name", list(NETWORKS))
def test_networks_for_tables_equal_fit(name: str) -> None:
    plan = _with_statistics(_plan("regression", 1))
    worst, _ = _largest_difference(_mlp(NETWORKS[name]), "adam", "regression", plan=plan)
    assert worst < TOLERANCE["adam"]


@pytest.mark.parametrize("adapters", ["all", "first"])
def test_an_ensemble_inside_a_network_equals_fit(adapters: str) -> None:
    config = {"k": 4, "adapters": adapters, "depth": 1, "width": 12, "activation": "relu"}
    plan = _with_statistics(_plan("regression", 1))
    worst, _ = _largest_difference(lambda: tabm.build(config, SIGNATURE), "sgd", "regression", plan=plan)
    assert worst < 5e-6


def test_the_second_beta_is_that_of_keras() -> None:
    rng = np.random.default_rng(0)
    gradients, start = rng.normal(size=(5, 3, 4)).astype("float32"), rng.normal(size=(3, 4)).astype("float32")
    ours, theirs = new_optimizer("adamw"), keras.optimizers.AdamW(0.01, weight_decay=0.0, beta_2=0.95)
    ours.learning_rate = 0.01
    ours.forgetting.assign(0.95)
    ends = []
    for optimizer in (ours, theirs):
        variable = keras.Variable(start)
        optimizer.build([variable])
        for gradient in gradients:
            optimizer.apply([keras.ops.convert_to_tensor(gradient)], [variable])
        ends.append(variable.numpy())
    assert np.abs(ends[0] - ends[1]).max() < 1e-6


def test_fused_adam_is_that_of_keras() -> None:
    rng = np.random.default_rng(0)
    gradients = rng.normal(size=(5, 3, 4)).astype("float32")
    start = rng.normal(size=(3, 4)).astype("float32")
    for name in ("adam", "adamw"):
        ours, theirs = new_optimizer(name), _optimizer_of_keras(name)
        ours.learning_rate = 0.01
        if name == "adamw":
            ours.decay.assign(0.02)
        ends = []
        for optimizer in (ours, theirs):
            variable = keras.Variable(start)
            optimizer.build([variable])
            for gradient in gradients:
                optimizer.apply([keras.ops.convert_to_tensor(gradient)], [variable])
            ends.append(variable.numpy())
        assert np.abs(ends[0] - ends[1]).max() < 1e-6
