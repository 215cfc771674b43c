"""KerasTuner's oracles behind the seam: a Space is translated to HyperParameters with conditional scopes.

The oracle's own files are not used: they are not written atomically, the grid oracle does not read its own
back, and a changed range would be ignored. One JSON file, replaced as a whole, holds the state instead.
"""

from __future__ import annotations

import json
import os
import sys
import warnings
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import keras_tuner
import numpy as np
from keras_tuner.engine.trial import Trial
from sklearn.exceptions import ConvergenceWarning

from search.proposers.halving import Halving
from search.proposers.seam import (
    MOST_ASKED,
    N_STARTUP_TRIALS,
    Proposal,
    ProposerError,
    Status,
    key_of,
    read_outcome,
    seed_of,
)
from spaces.parameters import Choice, Float, Int, Parameter, Value
from spaces.space import Condition, Config, Space

ORACLES = ("random", "bayesian", "grid", "hyperband")
LOSS = "loss"
STATE_FILE = "oracle.json"


class KerasTunerProposer:
    """A `Proposer` over one KerasTuner oracle; see `search.proposers.keras_tuner_proposer`."""

    def __init__(
        self,
        space: Space,
        *,
        oracle: str,
        seed: int,
        directory: Path,
        max_trials: int,
        max_epochs: int | None = None,
    ) -> None:
        _check(oracle, max_trials, max_epochs)
        self._space = space
        self._n_configs = space.n_configs
        self._kind, self._max_epochs = oracle, max_epochs if oracle == "hyperband" else None
        self._seed = seed
        self._path = directory / STATE_FILE
        with _quiet():
            self._oracle = _make_oracle(space, oracle, seed_of(seed), max_trials, max_epochs)
        self._open: dict[int, Any] = {}
        self._again: deque[Proposal] = deque()
        self._n_asked: dict[str, int] = {}
        self._seen: set[str] = set()
        if self._path.exists():
            self._load()

    @property
    def settled(self) -> frozenset[int]:
        """Numbers of the proposals that were told with a loss, also by an earlier process."""
        ended = (one for one in self._oracle.trials.values() if one.status == "COMPLETED")
        return frozenset(int(one.trial_id) for one in ended)

    def ask(self) -> Proposal | None:
        """The next configuration; None when the space or the number of trials is exhausted."""
        if self._again:
            return self._again.popleft()
        is_all_seen = self._n_configs is not None and len(self._seen) >= self._n_configs
        if is_all_seen and self._kind != "hyperband":  # there, some are still to go on
            return None
        n_trials = len(self._oracle.trials)
        if self._kind == "bayesian":  # the state of the oracle's generator is not part of its record
            self._oracle._random_state = np.random.RandomState(seed_of(self._seed, n_trials))
        with _quiet():
            trial = self._oracle.create_trial(f"ask {n_trials}")
        if trial.status == "STOPPED":
            return None
        if trial.status == "IDLE":
            raise ProposerError("this oracle proposes only after an open proposal is told, got another ask")
        proposal = self._propose(trial)
        self._save()
        return proposal

    def tell(
        self,
        proposal: Proposal,
        loss: float | None,
        status: Status,
        curve: Sequence[tuple[int, float]] = (),
    ) -> None:
        """Report what became of a proposal; see `search.proposers.Proposer`.

        An oracle knows no pruning: a pruned proposal is completed with the loss at which it was stopped.
        """
        outcome = read_outcome(loss, status, curve)
        if proposal.number not in self._open:
            raise ProposerError(f"a proposal must be open to be told, got number {proposal.number}")
        trial = self._open.pop(proposal.number)
        with _quiet():
            if outcome.kind != "failed":
                self._oracle.update_trial(trial.trial_id, {LOSS: outcome.loss})
            trial.status = "FAILED" if outcome.kind == "failed" else "COMPLETED"
            self._oracle.end_trial(trial)
        self._save()

    def _propose(self, trial: Any) -> Proposal:
        number = int(trial.trial_id)
        config = from_hyperparameters(self._space, trial.hyperparameters.values)
        told = {k: v for k, v in trial.hyperparameters.values.items() if k.startswith("tuner/")}
        trial.hyperparameters.values = {**to_values(self._space, config), **told}
        rung = self._oracle.rung_of(trial.trial_id) if self._kind == "hyperband" else None
        self._open[number] = trial
        self._n_asked[trial.trial_id] = self._n_asked.get(trial.trial_id, 0) + 1
        self._seen.add(key_of(self._space.searched(config)))
        return Proposal(number, config, rung)

    def _save(self) -> None:
        """Write the whole state aside, then put it in place."""
        state = {
            "space": self._space.fingerprint,
            "oracle": self._kind,
            "max_epochs": self._max_epochs,
            "n_asked": self._n_asked,
            "trials": [trial.get_state() for trial in self._oracle.trials.values()],
            "state": self._oracle.get_state(),
            "grid": _grid_state(self._oracle) if self._kind == "grid" else None,
        }
        self._path.parent.mkdir(parents=True, exist_ok=True)
        aside = self._path.with_suffix(".new")
        with aside.open("w", encoding="utf-8") as file:
            json.dump(state, file)
            file.flush()
            os.fsync(file.fileno())
        os.replace(aside, self._path)

    def _load(self) -> None:
        state = json.loads(self._path.read_text(encoding="utf-8"))
        if state["space"] != self._space.fingerprint:
            raise ProposerError(f"{self._path} searches another space: use a new run folder")
        if state["oracle"] != self._kind:
            raise ProposerError(
                f"{self._path} belongs to oracle {state['oracle']!r}, not {self._kind!r}: "
                "use a new run folder"
            )
        if state.get("max_epochs") != self._max_epochs:
            raise ProposerError(
                f"{self._path} shares out {state['max_epochs']} epochs, not {self._max_epochs}: "
                "use a new run folder"
            )
        self._n_asked = state["n_asked"]
        for item in state["trials"]:
            trial = Trial.from_state(item)
            self._oracle.trials[trial.trial_id] = trial
            config = from_hyperparameters(self._space, trial.hyperparameters.values)
            self._seen.add(key_of(self._space.searched(config)))
        self._oracle.set_state(state["state"])
        if state["grid"] is not None:
            _set_grid_state(self._oracle, state["grid"])
        self._take_up()

    def _take_up(self) -> None:
        """Propose again what an earlier process asked for and never told; fail what was taken up before."""
        for trial in sorted(self._oracle.ongoing_trials.values(), key=lambda trial: int(trial.trial_id)):
            if self._n_asked[trial.trial_id] < MOST_ASKED:
                self._again.append(self._propose(trial))
                continue
            trial.status = "FAILED"
            with _quiet():
                self._oracle.end_trial(trial)
        self._save()


def to_hyperparameters(space: Space) -> keras_tuner.HyperParameters:
    """KerasTuner's form of a space.

    Choices become choices of JSON texts (KerasTuner wants one type), stepped floats choices of numbers (its
    own steps lose the last value to rounding). Fixed values are left out, and so is what they switch off.
    """
    table = keras_tuner.HyperParameters()
    known: set[str] = set()
    for name, parameter in space.parameters.items():
        chain = _chain(space, name)
        searched = {c.parameter: _reachable(space, c) for c in chain if c.parameter not in space.fixed}
        is_off = any(not c.is_met(space.fixed) for c in chain if c.parameter in space.fixed)
        if is_off or not all(parent in known and values for parent, values in searched.items()):
            continue
        with ExitStack() as scopes:
            for parent, values in searched.items():
                scopes.enter_context(table.conditional_scope(parent, values))
            _register(table, name, parameter)
        known.add(name)
    return table


def from_hyperparameters(space: Space, values: Mapping[str, Any]) -> Config:
    """The configuration that KerasTuner's values stand for."""
    return space.walk(lambda name, parameter: _decode(parameter, values[name]))


def to_values(space: Space, config: Mapping[str, Value]) -> dict[str, Any]:
    """KerasTuner's values of a configuration."""
    return {name: _encode(space.parameters[name], value) for name, value in space.searched(config).items()}


def _chain(space: Space, name: str) -> list[Condition]:
    """The conditions of a parameter, those of its ancestors first."""
    chain: list[Condition] = []
    while name in space.conditions:
        chain.insert(0, space.conditions[name])
        name = space.conditions[name].parameter
    return chain


def _reachable(space: Space, condition: Condition) -> list[Any]:
    """The values of a condition that its parent can take; KerasTuner reads all by the type of the first."""
    parent = space.parameters[condition.parameter]
    return [_encode(parent, value) for value in condition.values if parent.contains(value)]


def _register(table: keras_tuner.HyperParameters, name: str, parameter: Parameter) -> None:
    if isinstance(parameter, Choice):
        table.Choice(name, [_encode(parameter, option) for option in parameter.options], ordered=False)
    elif isinstance(parameter, Int):
        sampling, step = ("log", None) if parameter.log else ("linear", parameter.step)
        table.Int(name, parameter.low, parameter.high, step=step, sampling=sampling)
    elif parameter.n_values is not None:
        table.Choice(name, list(parameter.grid()), ordered=True)
    else:
        table.Float(name, parameter.low, parameter.high, sampling="log" if parameter.log else "linear")


def _encode(parameter: Parameter, value: Value) -> Any:
    if isinstance(parameter, Choice):
        return json.dumps(value)
    return parameter.nearest(value) if isinstance(parameter, Float) and isinstance(value, float) else value


def _decode(parameter: Parameter, value: Any) -> Value:
    if isinstance(parameter, Choice):
        decoded: Value = json.loads(value)
        return decoded
    return parameter.nearest(value)


def _check(oracle: str, max_trials: int, max_epochs: int | None) -> None:
    if oracle not in ORACLES:
        raise ProposerError(f"an oracle must be one of {', '.join(ORACLES)}, got {oracle!r}")
    if max_trials < 1:
        raise ProposerError(f"max_trials must be at least 1, got {max_trials!r}")
    if oracle == "hyperband" and (max_epochs is None or max_epochs < 1):
        raise ProposerError(f"hyperband shares epochs out: max_epochs must be at least 1, got {max_epochs!r}")


def _make_oracle(space: Space, oracle: str, seed: int, max_trials: int, max_epochs: int | None) -> Any:
    options: dict[str, Any] = {
        "objective": keras_tuner.Objective(LOSS, "min"),
        "hyperparameters": to_hyperparameters(space),
        "seed": seed,
        "max_consecutive_failed_trials": sys.maxsize,  # the study counts failures
    }
    if oracle == "hyperband":
        made = Halving(most_trials=max_trials, max_epochs=max_epochs, **options)
    else:
        options["max_trials"] = max_trials
    if oracle == "bayesian":
        made = keras_tuner.oracles.BayesianOptimizationOracle(num_initial_points=N_STARTUP_TRIALS, **options)
    elif oracle == "random":
        made = keras_tuner.oracles.RandomSearchOracle(**options)
    elif oracle == "grid":
        made = keras_tuner.oracles.GridSearchOracle(**options)
    made.verbose = 0
    made.save = _keep_nothing
    made._save_trial = _keep_nothing
    return made


def _keep_nothing(*_: Any) -> None:
    """In place of the oracle's own, non-atomic writing."""


def _grid_state(oracle: Any) -> dict[str, list[str]]:
    """Order and open ends of the grid walk, which the oracle leaves out of its own state."""
    order, index = [], oracle._ordered_ids._next_index[None]
    while index is not None:
        order.append(oracle._ordered_ids._memory[index])
        index = oracle._ordered_ids._next_index[index]
    return {"order": order, "next": list(oracle._populate_next)}


def _set_grid_state(oracle: Any, state: Mapping[str, Sequence[str]]) -> None:
    for trial_id in state["order"]:
        oracle._ordered_ids.insert(trial_id)
    oracle._populate_next = list(state["next"])


@contextmanager
def _quiet() -> Iterator[None]:
    """Silence what KerasTuner and its Gaussian process warn of and nobody here can act on."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "currentThread|getName", DeprecationWarning)
        warnings.simplefilter("ignore", ConvergenceWarning)
        yield
