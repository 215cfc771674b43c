"""Callbacks see one training a member: as Keras' own ``fit`` shows it, without a look at held-out rows."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import groupby
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pandas as pd
import pytest

from search.training.attended import AttendedTrainer
from search.training.callbacks import Callbacks
from search.training.engine import LOSSES
from search.training.initial import fresh_weights
from search.training.plan import Plan
from search.training.recipe import Recipe, new_optimizer
from tests.search.training import user_callbacks
from tests.search.training.test_craft import BATCH, RECIPE, model_of, plan_of, trained_of

# Keras reads Variables through numpy in a way that numpy 2 warns of.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

MODULE = "tests.search.training.user_callbacks"
N_STEPS = 48 // BATCH
OF_KERAS = {
    "sgd": lambda **limits: keras.optimizers.SGD(0.1, momentum=0.9, **limits),
    "adamw": lambda **limits: keras.optimizers.AdamW(0.1, weight_decay=0.0, **limits),
}


def started(
    name: str,
    place: Path,
    recipe: Recipe = RECIPE,
    build: Callable[[], keras.Model] = model_of,
    plan: Plan | None = None,
) -> tuple[AttendedTrainer, list[Any]]:
    plan = plan or plan_of()
    user_callbacks.SEEN.clear()
    loss = LOSSES["binary"](reduction=None)
    trainer = AttendedTrainer(build(), new_optimizer(recipe.optimizer), loss, plan)
    weights = fresh_weights(build(), build, list(range(plan.n_members)))
    trainer.attend(Callbacks(f"{MODULE}:{name}", str(place), trial=4))
    trainer.start(weights, recipe, 3)
    return trainer, weights


def alone(
    plan: Plan, member: int, weights: list[Any], optimizer: Any, n_epochs: int = 3,
    callbacks: Any = (), most: float | None = None,
) -> keras.Model:  # fmt: skip
    """The same model trained alone by one call of ``fit``."""
    model, rows = model_of(most=most), plan.train[member]
    model.compile(optimizer, LOSSES["binary"]())
    for variable, value in zip(model.weights, weights, strict=True):
        variable.assign(value[member])
    model.fit(
        plan.inputs[0][rows], plan.y[rows], batch_size=BATCH, epochs=n_epochs, shuffle=False, verbose=0,
        callbacks=list(callbacks),
    )  # fmt: skip
    return model


@pytest.mark.parametrize(
    ("optimizer", "change", "limits", "most"),
    [
        ("sgd", {}, {}, None),
        ("sgd", {"clip_norm": 0.1}, {"global_clipnorm": 0.1}, None),
        ("sgd", {"clip_value": 0.02}, {"clipvalue": 0.02}, None),
        ("sgd", {"max_norm": 0.5}, {}, 0.5),
        ("adamw", {}, {}, None),
    ],
)
def test_weights_are_those_of_one_fit(
    optimizer: str, change: dict[str, float], limits: dict[str, float], most: float | None, tmp_path: Path
) -> None:
    recipe = replace(RECIPE, optimizer=optimizer, **change)  # type: ignore[arg-type]
    trainer, weights = started("nothing", tmp_path, recipe)
    trainer.advance(1)
    trainer.advance(2)
    plan = plan_of()
    for member in range(plan.n_members):
        model = alone(plan, member, weights, OF_KERAS[optimizer](**limits), most=most)
        for variable, stacked in zip(model.weights, trainer.weights, strict=True):
            assert np.abs(variable.numpy() - stacked[member]).max() < (5e-6 if optimizer == "sgd" else 2e-3)


def test_other_limits_are_taken_up_by_the_same_trainer(tmp_path: Path) -> None:
    trainer, weights = started("nothing", tmp_path, replace(RECIPE, clip_norm=0.1))
    ends = []
    for change in ({"clip_norm": 0.1}, {"clip_norm": 0.0}, {"clip_norm": 0.1}):
        trainer.start(weights, replace(RECIPE, **change), 3)  # type: ignore[arg-type]
        trainer.advance(3)
        ends.append(trainer.weights[0])
    assert np.array_equal(ends[0], ends[2]) and np.abs(ends[0] - ends[1]).max() > 1e-2
    with pytest.raises(ValueError, match="not by both"):
        trainer.start(weights, replace(RECIPE, clip_norm=1.0, clip_value=1.0), 3)


def test_many_calls_are_one_training_a_member(tmp_path: Path) -> None:
    trainer, _ = started("notes", tmp_path)
    for n_epochs in (1, 2):
        trainer.advance(n_epochs)
    trainer.end()
    seen = user_callbacks.SEEN
    assert [value for kind, value in seen if kind == "begin"] == [
        {"verbose": 0, "epochs": 3, "steps": N_STEPS}
    ] * 3
    epochs = [value for kind, value in seen if kind == "epoch"]
    assert sorted(epochs) == sorted([(epoch, ["loss"]) for epoch in (0, 1, 2)] * 3)
    assert [value for kind, value in seen if kind == "batch"] == [0, 1, 2] * 9
    assert [value for kind, value in seen if kind == "end"] == [["loss"]] * 3
    order = [kind for kind, _ in groupby(kind for kind, _ in seen if kind in ("begin", "end"))]
    assert order == ["begin", "end"] and seen[-1][0] == "end"


def test_a_training_that_ends_early_ends_for_its_callbacks(tmp_path: Path) -> None:
    trainer, _ = started("notes", tmp_path)
    trainer.advance(1)
    assert not any(kind == "end" for kind, _ in user_callbacks.SEEN)
    trainer.end()
    trainer.end()
    assert [value for kind, value in user_callbacks.SEEN if kind == "end"] == [["loss"]] * 3


def test_files_are_those_of_one_fit(tmp_path: Path) -> None:
    trainer, weights = started("files", tmp_path / "ours")
    trainer.advance(1)
    trainer.advance(2)
    plan = plan_of()
    for member in range(plan.n_members):
        ours, theirs = tmp_path / "ours" / "00004" / f"{member:02d}", tmp_path / "theirs" / str(member)
        theirs.mkdir(parents=True)
        callbacks = user_callbacks.files(0, member, str(theirs))
        model = alone(plan, member, weights, OF_KERAS["sgd"](), callbacks=callbacks)
        tables = [pd.read_csv(p / "log.csv") for p in (ours, theirs)]
        pd.testing.assert_frame_equal(tables[0], tables[1], rtol=1e-5)
        assert tables[0]["epoch"].tolist() == [0, 1, 2] and tables[0]["loss"].notna().all()
        kept = keras.models.clone_model(model)
        kept.load_weights(ours / "03.weights.h5")
        for one, other in zip(kept.weights, model.weights, strict=True):
            np.testing.assert_allclose(one.numpy(), other.numpy(), atol=5e-6)
        assert {p.name for p in ours.iterdir()} == {p.name for p in theirs.iterdir()}
        assert len(list(ours.glob("events/train/*"))) == 1


def test_a_member_that_its_callback_stops_stays_as_it_was_left(tmp_path: Path) -> None:
    recipe = replace(RECIPE, n_epochs=6)
    trainer, weights = started("first_member_stops", tmp_path, recipe)
    losses = np.concatenate([trainer.advance(2), trainer.advance(4)])
    plan = plan_of()
    first = alone(plan, 0, weights, OF_KERAS["sgd"](), n_epochs=1)  # the best epoch, to which it went back
    whole = alone(plan, 1, weights, OF_KERAS["sgd"](), n_epochs=6)
    for model, member in ((first, 0), (whole, 1)):
        for variable, stacked in zip(model.weights, trainer.weights, strict=True):
            assert np.abs(variable.numpy() - stacked[member]).max() < 5e-6
    assert (losses[2:, 0] == losses[2, 0]).all() and len(set(losses[:, 1])) == 6
    ends = [i for i, (kind, _) in enumerate(user_callbacks.SEEN) if kind == "end"]
    assert len(ends) == 3
    trainer.end()
    assert len([1 for kind, _ in user_callbacks.SEEN if kind == "end"]) == 3


def test_a_schedule_moves_the_rate_from_where_callbacks_put_it(tmp_path: Path) -> None:
    for schedule, factors in (("constant", (1.0, 1.0, 1.0)), ("piecewise", (1.0, 1.0, 0.1))):
        trainer, _ = started("halving", tmp_path, replace(RECIPE, schedule=schedule))
        trainer.advance(3)
        rates = [value for kind, value in user_callbacks.SEEN if kind == "rate"]
        assert rates[:3] == pytest.approx([0.1 * 0.5**e * f for e, f in enumerate(factors)])
        assert rates == pytest.approx(rates[:3] * 3)


def test_the_performance_schedule_falls_as_in_the_compiled_program(tmp_path: Path) -> None:
    recipe = replace(
        RECIPE, learning_rate=1.0, schedule="performance", plateau_factor=0.3, plateau_patience=1,
        n_epochs=8, checkpoints=(8,), epoch_choice="fixed",
    )  # fmt: skip
    trained, initial = trained_of(plan_of(), recipe)
    trainer, _ = started("notes", tmp_path, recipe)
    trainer.start(initial, recipe, 3)
    trainer.advance(8)
    rates = [value for kind, value in user_callbacks.SEEN if kind == "rate"]
    assert min(rates) < 0.5
    for ours, stacked in zip(trainer.weights, trained.weights, strict=True):
        np.testing.assert_allclose(ours, stacked, atol=1e-5)


def test_it_cannot_go_on_from_another_trial(tmp_path: Path) -> None:
    trainer, _ = started("nothing", tmp_path)
    with pytest.raises(ValueError, match="use no Hyperband"):
        trainer.go_on({})
