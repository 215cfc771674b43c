"""The three ways behind one face: which rows they use, and that they agree where they must."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from types import SimpleNamespace
from typing import Any

import keras
import numpy as np
import pytest

from search.training.engine import LOSSES, Engine, Job
from search.training.plan import Plan
from search.training.recipe import Recipe, new_optimizer
from search.training.trainers import FitTrainer, StackedTrainer
from search.training.ways import Way


def _plan(sizes: tuple[int, ...], n_rows: int = 48) -> Plan:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(n_rows, 4)).astype("float32")
    y = (x[:, :1] + 0.5 * x[:, 1:2] > 0).astype(float)
    rows = [np.sort(rng.permutation(n_rows)[:size]) for size in sizes]
    return Plan(
        inputs=(x,),
        y=y,
        train=tuple(rows),
        held=tuple(np.setdiff1d(np.arange(n_rows), r) for r in rows),
        repeat_of_member=tuple(range(len(sizes))),
        target_center=np.zeros((len(sizes), 1)),
        target_scale=np.ones((len(sizes), 1)),
    )


class _Watched:
    """A program that trains nothing and notes the rows that it is given."""

    variables: tuple[Any, ...] = ()

    def __init__(self) -> None:
        self.seen: list[np.ndarray] = []

    def reset(self, weights: Any, weight_decay: float) -> None:
        self.weight_decay = weight_decay

    def train(self, rows: Any, *_: Any) -> np.ndarray:
        self.seen.append(np.asarray(rows))
        return np.zeros((1, len(rows)))


def _rows_over_time(plan: Plan, recipe: Recipe, n_calls: int = 12) -> list[np.ndarray]:
    program = _Watched()
    trainer = StackedTrainer(program, plan)  # type: ignore[arg-type]
    trainer.start([], recipe, seed=4)
    for _ in range(n_calls):
        trainer.advance(1)
    return program.seen


def test_members_that_differ_by_a_few_rows_use_all_of_them_over_time() -> None:
    plan = _plan((30, 33, 32))
    seen = _rows_over_time(plan, Recipe(n_epochs=50))
    for member, rows in enumerate(plan.train):
        for given in seen:
            assert len(set(given[member])) == 30 and set(given[member]) <= set(rows)
        assert set(np.concatenate([given[member] for given in seen])) == set(rows)


def test_members_of_equal_size_get_their_rows_as_they_are() -> None:
    plan = _plan((30, 30))
    for given in _rows_over_time(plan, Recipe(n_epochs=50), 2):
        assert np.array_equal(given, np.stack(plan.train))


def _dense() -> keras.Model:
    inputs = keras.Input((4,))
    return keras.Model(inputs, keras.layers.Dense(1, activation="sigmoid")(inputs))


def _with_convolution() -> keras.Model:
    inputs = keras.Input((4,))
    x = keras.layers.Conv1D(2, 2)(keras.layers.Reshape((4, 1))(inputs))
    return keras.Model(inputs, keras.layers.Dense(1)(keras.layers.Flatten()(x)))


class OwnStep(keras.Model):
    def train_step(self, data: Any) -> Any:
        return super().train_step(data)


def _with_own_step() -> keras.Model:
    inputs = keras.Input((4,))
    return OwnStep(inputs, keras.layers.Dense(1, activation="sigmoid")(inputs))


def _job(recipe: Recipe, build: Callable[[], keras.Model] = _dense) -> Job:
    return Job("model", build, "binary", recipe, seed=7)


def test_stacked_and_looped_agree_on_one_member(monkeypatch: pytest.MonkeyPatch) -> None:
    plan, recipe = _plan((30,)), Recipe(optimizer="sgd", learning_rate=0.1, batch_size=8, n_epochs=3)
    trained = []
    for way in ("stacked", "looped"):
        monkeypatch.setattr("search.training.engine.choose_way", lambda *_, way=way: Way(way, "asked for"))
        trained.append(Engine(plan, lambda y, p: float(np.mean((y - p) ** 2))).train(_job(recipe)))
    assert [t.way for t in trained] == ["stacked", "looped"]
    for a, b in zip(trained[0].weights, trained[1].weights, strict=True):
        assert np.allclose(a, b, atol=1e-7)
    assert trained[0].curve == pytest.approx(trained[1].curve)


@cache
def _trainer(optimizer: str) -> FitTrainer:
    return FitTrainer(_dense(), new_optimizer(optimizer), LOSSES["binary"](), _plan((30, 30)))


def _fitted(recipe: Recipe) -> list[np.ndarray]:
    trainer = _trainer(recipe.optimizer)
    start = [np.ones((2, 4, 1), np.float32), np.zeros((2, 1), np.float32)]
    trainer.start(start, recipe, 3)
    trainer.advance(recipe.n_epochs)
    return trainer.weights


def test_fit_starts_each_member_anew_and_follows_the_schedule() -> None:
    recipe = Recipe(optimizer="sgd", learning_rate=0.1, batch_size=8, n_epochs=2, schedule="constant")
    kernels = _fitted(recipe)[0]
    assert not np.array_equal(kernels[0], kernels[1])
    assert all(np.array_equal(a, b) for a, b in zip(_fitted(recipe), _fitted(recipe), strict=True))
    slower = Recipe(optimizer="sgd", learning_rate=0.001, batch_size=8, n_epochs=2)
    assert np.abs(_fitted(slower)[0] - 1).max() < 0.1 * np.abs(kernels - 1).max()


def test_fit_decays_weights() -> None:
    plain, decayed = (
        _fitted(Recipe(optimizer="adamw", learning_rate=0.01, weight_decay=decay, batch_size=8, n_epochs=2))
        for decay in (0.0, 5.0)
    )
    assert np.abs(decayed[0]).sum() < np.abs(plain[0]).sum() - 0.1


def test_trained_rows_do_not_exceed_what_steps_say() -> None:
    """A last batch of one row is left out by ``fit`` as it is by the compiled loop."""
    plan = _plan((33, 33))
    model = SimpleNamespace(seen=[])
    trainer = FitTrainer(_dense(), new_optimizer("sgd"), LOSSES["binary"](), plan)
    fit = trainer._model.fit

    def watched(x: Any, y: Any, **kwargs: Any) -> Any:
        model.seen.append(len(x))
        return fit(x, y, **kwargs)

    trainer._model.fit = watched
    start = [np.ones((2, 4, 1), np.float32), np.zeros((2, 1), np.float32)]
    trainer.start(start, Recipe(optimizer="sgd", batch_size=16, n_epochs=1), 0)
    trainer.advance(1)
    assert model.seen == [32, 32]
