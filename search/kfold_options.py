"""What a KFoldTuner is given (its arguments, those of ``fit``), its oracle, and what it tells of a trial."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import keras
import keras_tuner

from search.kfold_inputs import FoldError
from search.kfold_training import Options
from search.proposers.halving import Halving
from search.proposers.seam import seed_of

ORACLES = {
    "random": keras_tuner.oracles.RandomSearchOracle,
    "bayesian": keras_tuner.oracles.BayesianOptimizationOracle,
    "grid": keras_tuner.oracles.GridSearchOracle,
}
NAMES = (*ORACLES, "hyperband")
OF_ORACLE = (
    *("hyperparameters", "tune_new_entries", "allow_new_entries", "max_retries_per_trial"),
    *("max_consecutive_failed_trials", "num_initial_points", "alpha", "beta", "max_epochs", "factor"),
)
IGNORED = ("validation_split", "validation_data", "validation_batch_size", "validation_freq")


@dataclass(frozen=True)
class FoldedTrial:
    """What the folds say of a trial.

    Attributes
    ----------
    scores : tuple of float
        The objective of each member on the rows that it held out.
    epoch : int
        The epoch of all members, by the mean curve; 0 where ``fit`` trained to the end.
    way : str
        ``stacked`` or ``looped`` (engine), or ``fit``.
    reason : str
        Why ``fit`` trained; empty otherwise.
    """

    scores: tuple[float, ...]
    epoch: int
    way: str
    reason: str


class Noted:
    """A model that only notes how its ``fit`` is called.

    Attributes
    ----------
    calls : list of (tuple, dict)
        Positional and named arguments of each call.
    """

    def __init__(self) -> None:
        self.calls: list[tuple[tuple[Any, ...], dict[str, Any]]] = []

    def fit(self, *positional: Any, **named: Any) -> keras.callbacks.History:
        """Take note; the history is empty."""
        self.calls.append((positional, named))
        return keras.callbacks.History()


def options_of(given: Mapping[str, Any]) -> Options:
    """The arguments of ``fit`` as the engine knows them, and the others."""
    others = {name: value for name, value in given.items() if value is not None}
    others.pop("verbose", None)
    return Options(
        epochs=int(others.pop("epochs", 1)),
        batch_size=int(others.pop("batch_size", 32)),
        is_shuffled=bool(others.pop("shuffle", True)),
        callbacks=tuple(others.pop("callbacks", ())),
        others=others,
    )


def check_arguments(
    oracle: str, n_splits: int, n_repeats: int | None, max_trials: int, seed: int | None
) -> None:
    """The rules of the tuner's arguments; raises FoldError."""
    if oracle not in NAMES:
        raise FoldError(f"an oracle must be one of {', '.join(NAMES)}, got {oracle!r}")
    if n_splits < 2 or (n_repeats is not None and n_repeats < 1):
        raise FoldError(f"n_splits must be at least 2 and n_repeats 1, got {n_splits!r} and {n_repeats!r}")
    if max_trials < 1 or (seed is not None and seed < 0):
        raise FoldError(f"max_trials must be at least 1 and seed 0, got {max_trials!r} and {seed!r}")


def oracle_of(name: str, *, objective: Any, max_trials: int, seed: int, given: Mapping[str, Any]) -> Any:
    """The oracle that proposes trials; failures end a search only where they are told to.

    Hyperband is that of `search.proposers.halving`, with ``max_epochs`` 100 where nothing else is told.
    """
    shared = {"objective": objective, "seed": seed_of(seed), "max_consecutive_failed_trials": sys.maxsize}
    if name == "hyperband":
        return Halving(most_trials=max_trials, **{**shared, **given})
    return ORACLES[name](max_trials=max_trials, **{**shared, **given})


def check_objective(objective: Any) -> None:
    """An objective is one number on held-out rows; raises FoldError."""
    if isinstance(objective, list) or not str(objective.name).startswith("val_"):
        raise FoldError(f"an objective must be one val_<name>, on held-out rows, got {objective!r}")
