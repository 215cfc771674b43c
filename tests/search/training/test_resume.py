"""A training that is stopped and taken up gives what it gives in one go, bit for bit, member by member."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import keras
import numpy as np
import pytest

from search.objective import inner_plan, make_plan
from search.records import Run
from search.training import course as course_module
from search.training.engine import Engine, Job
from search.training.plan import Plan
from search.training.process import TrainingProcess
from search.training.recipe import Recipe
from search.training.trained import Request, State, Trained
from tests.search.training import plans

N_EPOCHS, STOPS = 12, (2, 5, 12)
RECIPE = Recipe(n_epochs=N_EPOCHS, patience=0.0, checkpoints=(1, 2, 3, 5, 7, 9, 12))
# Everything that could forget where it was: dropout noise, schedules, batch statistics, an uneven last batch.
NOISY: dict[str, Any] = {
    "dropout": 0.3, "dropout_schedule": "flat_cosine", "schedule": "one_cycle", "normalization": "batch",
    "learning_rate": 0.05, "batch_size": 16,
}  # fmt: skip


def _in_stretches(engine: Any, request: Request, stops: Sequence[int] = STOPS) -> list[Trained]:
    """Train to each of the stops, each time from the state that the last one left."""
    done: list[Trained] = []
    for stop in stops:
        state = done[-1].state if done else None
        done.append(_train(engine, replace(request, stop=stop, state=state)))
    return done


def _train(engine: Any, request: Request) -> Trained:
    trained: Trained = (engine.train_request if isinstance(engine, Engine) else engine.train)(request)
    return trained


def _check_same(one: Trained, other: Trained) -> None:
    for name in ("checkpoints", "curve", "train_curve", "chosen_epoch", "member_epochs", "kept_epochs",
                 "chosen_index", "train_loss"):  # fmt: skip
        assert getattr(one, name) == getattr(other, name), name
    assert one.out_of_fold.tobytes() == other.out_of_fold.tobytes()
    for first, second in zip(one.weights, other.weights, strict=True):
        assert first.tobytes() == second.tobytes()


@pytest.fixture(scope="module")
def stacked() -> Engine:
    return Engine(plans.plan(n_rows=61, n_repeats=2), plans.loss_for(plans.dataset()))


@pytest.mark.parametrize("optimizer", ["adamw", "rmsprop", "sgd"])
def test_resumed_is_trained_in_one_go(stacked: Engine, optimizer: str) -> None:
    asked = plans.request(plans.dataset(n_rows=61), RECIPE, **NOISY, optimizer=optimizer)
    whole = stacked.train_request(asked)
    assert whole.way == "stacked" and whole.state is None
    sizes = {len(rows) for rows in plans.plan(n_rows=61, n_repeats=2).train}
    assert len(sizes) > 1, "members of unequal size leave out other rows at every call"
    *parts, last = _in_stretches(stacked, asked)
    _check_same(last, whole)
    assert last.state is None and all(part.state is not None for part in parts)
    assert [part.checkpoints for part in parts] == [(1, 2), (1, 2, 3, 5)]
    assert [part.curve for part in parts] == [whole.curve[:2], whole.curve[:4]]
    n_kept = len(parts[1].kept_epochs)
    assert whole.out_of_fold[:n_kept].tobytes() == parts[1].out_of_fold.tobytes()


def test_a_stretch_goes_on_from_its_last_epoch_and_not_from_its_best(stacked: Engine) -> None:
    asked = plans.request(plans.dataset(n_rows=61), RECIPE, learning_rate=0.5)
    first, last = _in_stretches(stacked, asked, (9, 12))
    assert first.chosen_epoch < 9, "the best epoch comes before the last"
    _check_same(last, stacked.train_request(asked))


@pytest.mark.parametrize("choice", ["common", "fold", "inner", "fixed"])
def test_however_the_epoch_is_chosen(stacked: Engine, choice: str) -> None:
    data, engine = plans.dataset(n_rows=61), stacked
    if choice == "inner":
        plan = inner_plan(data, plans.members_of(data), np.random.default_rng(0))
        engine = Engine(plan, plans.loss_for(data))
    asked = plans.request(data, replace(RECIPE, epoch_choice=choice), **NOISY)
    _check_same(_in_stretches(engine, asked)[-1], engine.train_request(asked))


@pytest.mark.parametrize(
    "changes",
    [{"clip_norm": 0.5, "max_norm": 2.0}, {"class_weight": "balanced"}, {"schedule": "performance"}],
)
def test_with_what_else_training_may_do(stacked: Engine, changes: dict[str, Any]) -> None:
    data = plans.dataset(n_rows=61)
    recipe = replace(RECIPE, **{name: value for name, value in changes.items() if name == "class_weight"})
    asked = plans.request(data, recipe, **{**NOISY, **changes, "plateau_patience": 1})
    _check_same(_in_stretches(stacked, asked)[-1], stacked.train_request(asked))


def test_one_member_after_the_other() -> None:
    data = plans.dataset("regression", 60, is_timed=True)  # members of very unequal size
    engine = Engine(make_plan(data, plans.members_of(data)), plans.loss_for(data))
    asked = plans.request(data, RECIPE, **{**NOISY, "schedule": "performance"})
    whole = engine.train_request(asked)
    assert whole.way == "looped"
    _check_same(_in_stretches(engine, asked)[-1], whole)


class Own(keras.Model):  # type: ignore[misc]
    """A model with a ``train_step`` of its own."""

    def train_step(self, data: Any) -> Any:
        return super().train_step(data)


def _own() -> keras.Model:
    inputs = keras.Input((2,))
    hidden = keras.layers.Dropout(0.3, seed=1)(keras.layers.Dense(8, "relu")(inputs))
    return Own(inputs, keras.layers.Dense(1, "sigmoid")(hidden))


def test_models_with_a_train_step_of_their_own() -> None:
    rng = np.random.default_rng(0)
    rows = np.array_split(rng.permutation(40), 2)
    units = np.zeros((2, 1))
    x = rng.normal(size=(40, 2)).astype(np.float32)
    plan = Plan(
        (x,), (x[:, :1] > 0).astype(float), (rows[0], rows[1]), (rows[1], rows[0]), (0, 0), units, units + 1
    )
    engine = Engine(plan, plans.loss_for(plans.dataset()))
    recipe = Recipe(n_epochs=4, patience=0.0, checkpoints=(2, 4), batch_size=8, schedule="cosine")
    job = Job("own", _own, "binary", recipe, seed=3)
    whole, first = engine.train(job), engine.train(replace(job, stop=2))
    assert whole.way == "fit"
    _check_same(engine.train(replace(job, stop=4, state=first.state)), whole)


def test_other_looks_that_do_not_fit_in_memory_are_thinned_alike(
    stacked: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(course_module, "MOST_KEPT_BYTES", 3 * 61 * 2 * 4)
    asked = plans.request(plans.dataset(n_rows=61), RECIPE, **NOISY)
    whole = stacked.train_request(asked)
    assert len(whole.kept_epochs) < len(whole.checkpoints)
    _check_same(_in_stretches(stacked, asked)[-1], whole)


def test_from_a_file_in_another_process(tmp_path: Any) -> None:
    data, run = plans.dataset(n_rows=61), Run.create(tmp_path / "run")
    asked = plans.request(data, RECIPE, **NOISY)
    given = (plans.plan(n_rows=61), "log_loss", data.task)
    with TrainingProcess(*given) as process:
        first = process.train(replace(asked, stop=5))
        assert first.state is not None
        run.save_resume(0, first.state)
    state = run.resume(0)
    assert state is not None and all(values.dtype != object for values in state.values())
    with TrainingProcess(*given) as process:
        last = process.train(replace(asked, stop=12, state=state))
        _check_same(last, process.train(asked))


def test_members_keep_to_themselves(stacked: Engine) -> None:
    """A held-out row of a member reaches its weights in no stretch; the others learn from it."""
    data = plans.dataset(n_rows=61)
    members = plans.members_of(data)
    y = data.y.copy()
    y[members[0].held] = 1.0 - y[members[0].held]
    recipe = replace(RECIPE, epoch_choice="fixed")  # an epoch that is chosen may depend on held-out rows
    asked = plans.request(data, recipe, **NOISY)
    found = [
        _in_stretches(Engine(make_plan(one, members), plans.loss_for(one)), asked)[-1]
        for one in (data, replace(data, y=y))
    ]
    same = [
        all(a[m].tobytes() == b[m].tobytes() for a, b in zip(found[0].weights, found[1].weights, strict=True))
        for m in range(3)
    ]
    assert same == [True, False, False]


def test_a_late_stretch_ends_early_and_can_still_go_on(stacked: Engine) -> None:
    asked = plans.request(plans.dataset(n_rows=61), RECIPE, **NOISY)
    late = stacked.train_request(replace(asked, stop=9, deadline=0.0))
    assert late.checkpoints == (1,) and late.state is not None
    again = stacked.train_request(replace(asked, stop=12, state=late.state))
    _check_same(again, stacked.train_request(asked))


def _moved(state: State, by: int) -> dict[str, Any]:
    """A state in which every member has another member's training."""
    return {
        name: np.roll(values, by, axis=0)
        if name.startswith(("trainer_", "best_")) and values.ndim
        else values
        for name, values in state.items()
    }


def test_another_members_weights_are_another_training(stacked: Engine) -> None:
    """The equality above can fail: it does for the leak that Hyperband is known for."""
    asked = plans.request(plans.dataset(n_rows=61), RECIPE, **NOISY)
    first = stacked.train_request(replace(asked, stop=5))
    assert first.state is not None
    moved = stacked.train_request(replace(asked, stop=12, state=_moved(first.state, 1)))
    assert moved.curve[:4] == first.curve
    assert moved.curve[-1] != stacked.train_request(asked).curve[-1]
