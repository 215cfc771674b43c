"""The engine: which epoch is chosen and what is kept, when a training ends, and that dials do something."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import keras
import numpy as np
import pytest

from search.training import course as course_module
from search.training.engine import Engine, Job
from search.training.plan import Plan
from search.training.recipe import Recipe, checkpoint_epochs
from search.training.trained import Diverged, Trained, pooled_loss
from tests.search.training import plans


class _Script:
    """A validation loss that says what it is told to say, look after look."""

    def __init__(self) -> None:
        self.values: Iterator[float] = iter(())

    def __call__(self, y: Any, predictions: Any) -> float:
        return next(self.values, 9.0)


class _Scripted:
    """One engine, one compiled program, and a curve of one's own."""

    def __init__(self) -> None:
        self.data = plans.dataset()
        self.script = _Script()
        self.engine = Engine(plans.plan(), self.script)

    def run(self, curve: list[float], recipe: Recipe, ceilings: Mapping[int, float] | None = None) -> Trained:
        self.script.values = iter(curve)
        return self.engine.train_request(
            replace(plans.request(self.data, recipe), ceilings=dict(ceilings or {}))
        )


@pytest.fixture(scope="module")
def scripted() -> _Scripted:
    return _Scripted()


def test_the_epoch_is_the_lowest_of_the_mean_curve_and_the_earliest_of_equals(scripted: _Scripted) -> None:
    looks = (2, 3, 5, 8, 9)
    recipe = Recipe(n_epochs=9, checkpoints=looks)
    trained = scripted.run([3.0, 1.0, 2.0, 1.0, 4.0], recipe)
    assert (trained.checkpoints, trained.curve) == (looks, (3.0, 1.0, 2.0, 1.0, 4.0))
    assert trained.chosen_epoch == 3 and set(trained.member_epochs) == {3}
    assert trained.kept_epochs == looks and trained.chosen_index == 1
    assert trained.out_of_fold.shape == (5, 1, 60, 1) and trained.out_of_fold.dtype == np.float32
    # The weights are those of that epoch: a training that ends there gives the same.
    shorter = scripted.run([3.0, 1.0], replace(recipe, checkpoints=looks[:2]))
    assert all(np.array_equal(a, b) for a, b in zip(trained.weights, shorter.weights, strict=True))
    last = scripted.run([3.0, 3.0, 3.0, 3.0, 1.0], recipe)
    assert last.chosen_epoch == 9
    assert not np.array_equal(last.weights[-2], trained.weights[-2])
    assert np.array_equal(last.out_of_fold, trained.out_of_fold)


def test_patience_counts_in_multiples_of_the_best_epoch(scripted: _Scripted) -> None:
    looks = checkpoint_epochs(60)
    recipe = Recipe(n_epochs=60, patience=2.0)

    def best_at(epoch: int) -> list[float]:
        return [1.0 if look == epoch else 2.0 for look in looks]

    early = scripted.run(best_at(4), recipe)
    assert early.checkpoints[-1] == next(look for look in looks if look >= 25)
    later = scripted.run(best_at(19), recipe)
    assert later.chosen_epoch == 19 and later.checkpoints[-1] == next(look for look in looks if look >= 38)
    assert scripted.run(best_at(4), replace(recipe, patience=0.0)).checkpoints == looks
    assert not early.is_pruned


def test_pruning_compares_the_best_so_far_with_the_ceiling(scripted: _Scripted) -> None:
    recipe = Recipe(n_epochs=6)
    curve = [5.0, 2.0, 4.0, 3.0, 3.0, 3.0]
    stopped = scripted.run(curve, recipe, {4: 1.9})
    assert stopped.is_pruned and stopped.checkpoints == (1, 2, 3, 4) and stopped.chosen_epoch == 2
    for ceilings in ({4: 2.0}, {1: 5.0, 3: 2.0}, {7: 0.0}):  # not above it, or no look there
        trained = scripted.run(curve, recipe, ceilings)
        assert not trained.is_pruned and trained.checkpoints == (1, 2, 3, 4, 5, 6)


def test_looks_that_do_not_fit_are_thinned_but_the_chosen_one_stays(
    scripted: _Scripted, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(course_module, "MOST_KEPT_BYTES", 3 * 60 * 4)
    trained = scripted.run([6.0, 5.0, 4.0, 3.0, 2.0, 3.0], Recipe(n_epochs=6))
    assert trained.kept_epochs == (1, 3, 5) and trained.chosen_index == 2
    trained = scripted.run([6.0, 5.0, 4.0, 2.0, 3.0, 3.0], Recipe(n_epochs=6))
    assert trained.kept_epochs == (1, 3, 4, 5) and trained.kept_epochs[trained.chosen_index] == 4


def test_a_loss_that_is_not_finite_is_told_with_its_epoch(scripted: _Scripted) -> None:
    for value in (np.nan, np.inf):
        with pytest.raises(Diverged, match="not finite at epoch 2"):
            scripted.run([1.0, value], Recipe(n_epochs=4))
    with pytest.raises(Diverged, match="training"):
        scripted.engine.train_request(
            plans.request(scripted.data, Recipe(n_epochs=9, patience=0), learning_rate=1e38)
        )
    # The program is as good as new afterwards.
    assert np.isfinite(scripted.run([1.0, 2.0], Recipe(n_epochs=2)).out_of_fold[:, 0]).all()


def test_one_diverged_member_is_enough() -> None:
    plan = plans.plan()
    predictions = [np.full((len(rows), 1), 0.5) for rows in plan.held]
    predictions[0][:] = np.nan
    loss = plans.loss_for(plans.dataset())
    course = course_module.Course(plan, loss, _Fixed(predictions), Recipe(), {})
    with pytest.raises(Diverged):
        course.run()


class _Fixed:
    """A trainer whose members always predict the same."""

    def __init__(self, predictions: list[np.ndarray]) -> None:
        self.weights: list[np.ndarray] = []
        self._predictions = predictions

    def advance(self, n_epochs: int) -> np.ndarray:
        return np.ones((n_epochs, len(self._predictions)))

    def predict(self, rows: Any) -> list[np.ndarray]:
        return self._predictions


def _job(recipe: Recipe) -> Job:
    return Job("none", keras.Model, "binary", recipe)


def _recomputed(trained: Trained, plan: Plan, architecture: str) -> np.ndarray:
    """Out-of-fold predictions by plain Keras from the weights that were returned."""
    model = keras.models.model_from_json(architecture)
    predictions = []
    for member, rows in enumerate(plan.held):
        for variable, value in zip(model.weights, trained.weights, strict=True):
            variable.assign(value[member])
        inputs = [values[rows] for values in plan.inputs]
        predictions.append(np.asarray(model(inputs if len(inputs) > 1 else inputs[0], training=False)))
    return plan.out_of_fold(predictions)


@pytest.mark.parametrize("kind", ["regression", "multiclass"])
def test_kept_predictions_are_those_of_the_returned_weights(kind: str) -> None:
    data, plan = plans.dataset(kind), plans.plan(kind, n_repeats=2)
    assert plan.n_members == 6 and plan.n_repeats == 2
    asked = plans.request(
        data, Recipe(n_epochs=14), dropout=0.3, normalization="layer", learning_rate=0.1, optimizer="rmsprop"
    )
    trained = Engine(plan, plans.loss_for(data)).train_request(asked)
    chosen = trained.out_of_fold[trained.chosen_index]
    assert chosen.shape == (2, 60, data.n_outputs) and not np.isnan(chosen).any()
    recomputed = _recomputed(trained, plan, trained.architecture)
    assert np.abs(recomputed - chosen).max() < 1e-5 * max(1.0, float(plan.target_scale.max()))
    assert trained.curve[trained.checkpoints.index(trained.chosen_epoch)] == min(trained.curve)
    assert min(trained.curve) == pytest.approx(pooled_loss(plans.loss_for(data), plan.y, chosen))
    assert trained.n_parameters == sum(w[0].size for w in _trainable(trained))


def _trainable(trained: Trained) -> list[np.ndarray]:
    model = keras.models.model_from_json(trained.architecture)
    pairs = zip(model.weights, trained.weights, strict=True)
    return [value for variable, value in pairs if variable.trainable]


def test_each_fold_may_choose_its_own_epoch() -> None:
    data, plan = plans.dataset("regression"), plans.plan("regression")
    asked = plans.request(
        data, Recipe(n_epochs=12, epoch_choice="fold"), learning_rate=0.3, optimizer="rmsprop"
    )
    trained = Engine(plan, plans.loss_for(data)).train_request(asked)
    assert len(set(trained.member_epochs)) > 1, "this test needs members that differ"
    assert trained.chosen_index == len(trained.kept_epochs) == len(trained.out_of_fold) - 1
    own = trained.out_of_fold[trained.chosen_index]
    loss = plans.loss_for(data)
    for member, rows in enumerate(plan.held):
        by_epoch = [loss(plan.y[rows], table[0, rows]) for table in trained.out_of_fold[:-1]]
        assert trained.kept_epochs[int(np.argmin(by_epoch))] == trained.member_epochs[member]
        assert loss(plan.y[rows], own[0, rows]) == min(by_epoch)
    recomputed = _recomputed(trained, plan, trained.architecture)
    assert np.abs(recomputed - own).max() < 1e-5 * float(plan.target_scale.max())


def test_dials_change_the_training_of_a_program_that_is_not_traced_again() -> None:
    data, plan = plans.dataset("regression"), plans.plan("regression")
    engine = Engine(plan, plans.loss_for(data))
    recipe = Recipe(n_epochs=30, checkpoints=(30,))
    base = {"dropout": 1e-6, "l1_on": True, "l1": 1e-9, "l2_on": True, "l2": 1e-9, "batch_size": 64}

    def train(**changes: float) -> Trained:
        return engine.train_request(plans.request(data, recipe, **{**base, **changes}))

    def size(trained: Trained, power: int) -> float:
        kernel = next(w for w, v in zip(trained.weights, model.weights, strict=True) if v.name == "kernel")
        return float((np.abs(kernel) ** power).mean())

    plain = train()
    model = keras.models.model_from_json(plain.architecture)
    sparse, small, noisy = train(l1=0.05), train(l2=0.05), train(dropout=0.5)
    assert engine.n_traced == 1 and not (sparse.is_traced or small.is_traced or noisy.is_traced)
    assert size(sparse, 1) < 0.8 * size(plain, 1)
    assert size(small, 2) < 0.8 * size(plain, 2)
    assert noisy.train_curve[0] > 1.2 * plain.train_curve[0]
    dials = [
        (v.name, w) for v, w in zip(model.weights, small.weights, strict=True) if v.name.startswith("dial_")
    ]
    assert {name: float(w[0]) for name, w in dials} == pytest.approx(
        {"dial_dropout": 1e-6, "dial_l1": 1e-9, "dial_l2": 0.05}
    )
    assert train().out_of_fold.tobytes() == plain.out_of_fold.tobytes()


def _learnable(n_rows: int = 90) -> Plan:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(n_rows, 6)).astype("float32")
    y = (x[:, :1] + x[:, 1:2] > 0).astype(float)
    held = [np.arange(first, n_rows, 3) for first in range(3)]
    return Plan(
        inputs=(x,),
        y=y,
        train=tuple(np.setdiff1d(np.arange(n_rows), rows) for rows in held),
        held=tuple(held),
        repeat_of_member=(0, 0, 0),
        target_center=np.zeros((3, 1)),
        target_scale=np.ones((3, 1)),
    )


class OwnStep(keras.Model):
    """A model with a training step of its own: here, twice the gradient."""

    def train_step(self, data: Any) -> Any:
        import tensorflow as tf

        x, y = data
        with tf.GradientTape() as tape:
            loss = 2.0 * self.compute_loss(x, y, self(x, training=True))
        gradients = tape.gradient(loss, self.trainable_variables)
        self.optimizer.apply(gradients, self.trainable_variables)
        self._loss_tracker.update_state(loss)
        return {"loss": self._loss_tracker.result()}


def _with_own_step() -> keras.Model:
    inputs = keras.Input((6,))
    return OwnStep(inputs, keras.layers.Dense(1, activation="sigmoid")(inputs))


def _with_convolution() -> keras.Model:
    inputs = keras.Input((6,))
    x = keras.layers.Conv1D(4, 2, activation="relu")(keras.layers.Reshape((6, 1))(inputs))
    x = keras.layers.Dropout(0.1)(keras.layers.Flatten()(x))
    return keras.Model(inputs, keras.layers.Dense(1, activation="sigmoid")(x))


@pytest.mark.parametrize(("build", "way"), [(_with_own_step, "fit"), (_with_convolution, "looped")])
def test_models_that_do_not_stack_are_trained_all_the_same(build: Any, way: str) -> None:
    plan = _learnable()
    engine = Engine(plan, plans.loss_for(plans.dataset()))
    recipe = Recipe(learning_rate=0.1, batch_size=16, n_epochs=6, checkpoints=(2, 4, 6))
    trained = engine.train(Job("one", build, "binary", recipe, seed=3))
    assert trained.way == way and trained.is_traced
    assert min(trained.curve) < 0.45 < np.log(2)
    assert trained.train_curve[-1] < trained.train_curve[0]
    if way == "looped":
        again = engine.train(Job("one", build, "binary", recipe, seed=3))
        assert not again.is_traced and trained.out_of_fold.tobytes() == again.out_of_fold.tobytes()
        recomputed = _recomputed(trained, plan, trained.architecture)
        assert np.abs(recomputed - trained.out_of_fold[trained.chosen_index]).max() < 1e-5
    else:
        kernel, bias = trained.weights
        for member, rows in enumerate(plan.held):
            logits = plan.inputs[0][rows] @ kernel[member] + bias[member]
            expected = 1.0 / (1.0 + np.exp(-logits))
            assert np.allclose(trained.out_of_fold[trained.chosen_index, 0, rows], expected, atol=1e-5)


def test_programs_used_longest_ago_go_first() -> None:
    """The bookkeeping alone: programs are made, kept, found again and dropped by structure."""
    engine = Engine(_learnable(), lambda y, p: 0.0, n_programs=2)
    engine._new = lambda job: job.structure  # type: ignore[method-assign, assignment, return-value]

    def ask(structure: str, optimizer: str = "adam") -> int:
        engine._prepared(replace(_job(Recipe(optimizer=optimizer)), structure=structure))
        return engine.n_traced

    assert [ask("a"), ask("b"), ask("a"), ask("c"), ask("a"), ask("b"), ask("b", "sgd")] == [
        1,
        2,
        2,
        3,
        3,
        4,
        5,
    ]


def test_pooled_loss_takes_each_repeat_by_itself() -> None:
    y = np.array([[0.0], [2.0], [4.0]])
    table = np.array([[[1.0], [2.0], [np.nan]], [[0.0], [0.0], [0.0]]])
    assert pooled_loss(lambda a, b: float(np.abs(a - b).mean()), y, table) == pytest.approx((0.5 + 2.0) / 2)
