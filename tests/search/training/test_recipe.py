"""Recipes: looks, steps, learning rates, and what is refused."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from search.training.recipe import (
    OPTIMIZERS,
    SCHEDULES,
    Recipe,
    checkpoint_epochs,
    dropout_factors,
    learning_rates,
    n_steps,
    new_optimizer,
    recipe_for,
)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"optimizer": "lion"}, "'lion'"),
        ({"schedule": "linear"}, "'linear'"),
        ({"epoch_choice": "best"}, "'best'"),
        ({"dropout_schedule": "cosine"}, "'cosine'"),
        ({"beta2": 1.0}, "beta2 lies in .*not 1.0"),
        ({"label_smoothing": -0.1}, "label_smoothing lies in .*not -0.1"),
        ({"clip_norm": -1.0}, "clip_norm is finite and at least 0, not -1.0"),
        ({"clip_value": math.inf}, "clip_value is finite .*not inf"),
        ({"max_norm": math.nan}, "max_norm is finite .*not nan"),
        ({"class_weight": "equal"}, "class_weight is .*not 'equal'"),
        ({"class_weight": (1.0, 0.0)}, r"number above 0 .*not \(1.0, 0.0\)"),
        ({"plateau_factor": 1.0}, r"plateau_factor lies in \(0, 1\), not 1.0"),
        ({"plateau_patience": 0}, "plateau_patience is at least 1, not 0"),
        ({"batch_size": 0}, "batch_size is at least 1, not 0"),
        ({"n_epochs": 0}, "n_epochs is at least 1, not 0"),
    ],
)
def test_mistakes_are_told_with_rule_and_value(change: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said) as error:
        Recipe(**change)
    assert "\n" not in str(error.value)


@given(st.integers(1, 3000))
def test_checkpoints_rise_to_the_last_epoch_and_thin_out(n_epochs: int) -> None:
    epochs = checkpoint_epochs(n_epochs)
    assert epochs[0] == 1 and epochs[-1] == n_epochs
    assert all(a < b for a, b in pairwise(epochs))
    assert all(b <= max(a + 1, math.ceil(1.16 * a)) for a, b in pairwise(epochs))
    assert len(epochs) <= 8 + 8 * math.log(n_epochs)


def test_looks_are_the_checkpoints_asked_for_or_the_usual_ones() -> None:
    assert Recipe(n_epochs=9).looks == checkpoint_epochs(9)
    assert Recipe(n_epochs=9, checkpoints=(2, 9)).looks == (2, 9)
    assert Recipe(n_epochs=9, epoch_choice="fixed").looks == (9,)


@given(st.integers(1, 500), st.integers(1, 600))
def test_steps_leave_out_at_most_one_row(n_rows: int, batch_size: int) -> None:
    batch = min(batch_size, n_rows)
    batches = [min(batch, n_rows - first) for first in range(0, n_rows, batch)][: n_steps(n_rows, batch_size)]
    assert sum(batches) >= n_rows - 1
    assert batch == 1 or min(batches) > 1
    assert sum(batches) == n_rows or n_rows % batch == 1


FALLING = tuple(name for name in SCHEDULES if name not in ("one_cycle", "ramp"))


@pytest.mark.parametrize("schedule", FALLING)
def test_learning_rates(schedule: str) -> None:
    rates = learning_rates(Recipe(learning_rate=0.2, schedule=schedule, n_epochs=10), 7)
    assert rates.shape == (70,) and rates.dtype == np.float32
    assert rates[0] == np.float32(0.2) and (np.diff(rates) <= 0).all() and rates[-1] > 0
    at = {
        "constant": (0.2, 0.2, 0.2),
        "cosine": (0.1, 0.1 * (1 + math.cos(0.75 * math.pi)), 0.1 * (1 + math.cos(math.pi * 69 / 70))),
        "flat_cosine": (0.2, 0.1, 0.1 * (1 + math.cos(math.pi * 68 / 70))),
        "exponential": (0.02, 0.2 * 0.01**0.75, 0.2 * 0.01 ** (69 / 70)),
        "piecewise": (0.02, 0.002, 0.002),
        "performance": (0.2, 0.2, 0.2),  # before any member's own factor
        "power": (0.2 / 6, 0.2 / 8.5, 0.2 / (1 + 690 / 70)),
    }[schedule]
    assert rates[[35, 69]] == pytest.approx([at[0], at[2]], rel=1e-5)
    twice = learning_rates(Recipe(learning_rate=0.2, schedule=schedule, n_epochs=20), 4)
    assert twice[60] == pytest.approx(at[1], rel=1e-5)


def test_one_cycle_rises_to_the_peak_and_ends_far_below_its_start() -> None:
    rates = learning_rates(Recipe(learning_rate=0.2, schedule="one_cycle", n_epochs=10), 10)
    assert rates[[0, 45, 90]] == pytest.approx([0.02, 0.2, 0.02], rel=1e-5)
    assert rates.argmax() == 45 and rates[-1] < 0.003
    assert np.diff(rates[:46]) == pytest.approx(np.full(45, 0.004), rel=1e-3)


def test_a_ramp_is_even_in_the_logarithm() -> None:
    rates = learning_rates(Recipe(learning_rate=10.0, schedule="ramp", n_epochs=6), 100).astype(float)
    assert rates[0] == pytest.approx(1e-5) and rates[-1] < 10.0
    assert np.diff(np.log10(rates)) == pytest.approx(np.full(599, 0.01), rel=1e-2)


def test_dropout_factors_are_those_of_the_learning_rate() -> None:
    flat = Recipe(learning_rate=1.0, schedule="flat_cosine", dropout_schedule="flat_cosine", n_epochs=10)
    assert np.array_equal(dropout_factors(flat, 7), learning_rates(flat, 7))
    constant = dropout_factors(Recipe(n_epochs=10, schedule="cosine"), 7)
    assert constant.shape == (70,) and constant.dtype == np.float32 and (constant == 1).all()


def test_a_configuration_overrides_the_defaults() -> None:
    defaults = Recipe(n_epochs=7, patience=3.0, learning_rate=0.5)
    config = {"optimizer": "adamw", "weight_decay": 0.1, "batch_size": 8, "depth": 3, "beta2": 0.95}
    recipe = recipe_for({**config, "label_smoothing": 0.1, "dropout_schedule": "flat_cosine"}, defaults)
    assert (recipe.beta2, recipe.label_smoothing, recipe.dropout_schedule) == (0.95, 0.1, "flat_cosine")
    assert (recipe.optimizer, recipe.weight_decay, recipe.batch_size) == ("adamw", 0.1, 8)
    assert (recipe.n_epochs, recipe.patience, recipe.learning_rate) == (7, 3.0, 0.5)
    craft = {"clip_norm": 1.0, "max_norm": 2.0, "plateau_factor": 0.2, "plateau_patience": 3}
    told = recipe_for({**craft, "class_weight": "balanced"}, defaults)
    assert {name: getattr(told, name) for name in craft} == craft and told.class_weight == "balanced"
    assert recipe_for({"class_weight": "none"}, told).class_weight is None


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_every_optimizer_can_be_made(name: str) -> None:
    import keras

    variable = keras.Variable(np.ones(3, np.float32))
    optimizer = new_optimizer(name)
    optimizer.build([variable])
    optimizer.learning_rate.assign(0.1)
    optimizer.apply([keras.ops.convert_to_tensor(np.float32([1, -1, 0]))], [variable])
    moved = variable.numpy() - 1.0
    assert moved[0] < 0 < moved[1] and moved[2] == 0
    assert (getattr(optimizer, "decay", None) is not None) == (name == "adamw")
