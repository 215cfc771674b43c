"""The drivers under test, two spaces, and a loop that asks and tells."""

from __future__ import annotations

import importlib.util
import math
from collections.abc import Callable
from pathlib import Path
from typing import get_args

import pytest

from search.proposers import (
    Proposal,
    Proposer,
    Status,
    keras_tuner_proposer,
    optuna_proposer,
)
from spaces.parameters import Choice, Float, Int
from spaces.space import Condition, Config, Space

needs_cmaes = pytest.mark.skipif(
    importlib.util.find_spec("cmaes") is None, reason="the package cmaes is not installed"
)
OPTUNA = ("tpe", "random", "grid", "qmc")
KERAS_TUNER = ("kt-random", "kt-bayesian", "kt-grid", "kt-hyperband")
DRIVERS = [*OPTUNA, pytest.param("cmaes", marks=needs_cmaes), *KERAS_TUNER]
STATUSES: tuple[Status, ...] = get_args(Status)

NETS = Space(
    {
        "depth": Int(1, 4),
        "width": Int(16, 512, log=True),
        "dropout": Float(0.0, 0.6, step=0.2),
        "l2_on": Choice([False, True]),
        "l2": Float(1e-6, 1e-2, log=True),
        "optimizer": Choice(["adam", None, 3, 0.5]),
        "nesterov": Choice([True, False]),
        "momentum": Float(0.0, 0.99),
    },
    {
        "l2": Condition("l2_on", (True,)),
        "nesterov": Condition("optimizer", (None, 3)),
        "momentum": Condition("nesterov", (True,)),
    },
    {"epochs": 10},
)
SMALL = Space(
    {"a": Choice([False, True]), "b": Int(1, 3), "c": Choice(["x", "y"])}, {"b": Condition("a", (True,))}
)  # 2 * (1 + 3) configurations

Make = Callable[..., Proposer]


def make(driver: str, space: Space, place: Path | None, seed: int = 0, max_trials: int = 200) -> Proposer:
    """A proposer of a driver, keeping its state in a folder (KerasTuner always needs one)."""
    if driver.startswith("kt-"):
        assert place is not None
        return keras_tuner_proposer(
            space, oracle=driver[3:], seed=seed, directory=place / "kt", max_trials=max_trials, max_epochs=27
        )
    return optuna_proposer(space, sampler=driver, seed=seed, storage_path=place and place / "journal.log")


def loss_of(config: Config) -> float:
    """A loss that depends on every name of a configuration."""
    numbers = [value for value in config.values() if isinstance(value, int | float)]
    return sum(math.tanh(number) for number in numbers) + len(config)


def run(proposer: Proposer, n: int, statuses: tuple[Status, ...] = STATUSES) -> list[Proposal]:
    """Ask and tell ``n`` times with the statuses in turn; the proposals."""
    proposals = []
    for _ in range(n):
        proposal = proposer.ask()
        if proposal is None:
            break
        status = statuses[proposal.number % len(statuses)]
        loss = None if status == "failed" else loss_of(proposal.config)
        curve = [(epoch, 1.0 / epoch) for epoch in range(1, 20)]
        proposer.tell(proposal, loss, status, () if status == "failed" else curve)
        proposals.append(proposal)
    return proposals
