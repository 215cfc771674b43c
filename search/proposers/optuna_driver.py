"""Optuna's samplers behind the seam: a Space is translated to distributions, outcomes to trial states."""

from __future__ import annotations

import importlib.util
import os
import warnings
from bisect import bisect
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import optuna
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.exceptions import ExperimentalWarning
from optuna.storages.journal import JournalFileBackend
from optuna.trial import TrialState

from search.proposers.evolution import EvolutionPlan
from search.proposers.plans import GridPlan, Plan, SobolPlan, Told
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
from spaces.space import Config, Space

SAMPLERS = ("tpe", "random", "grid", "qmc", "cmaes")


class OptunaProposer:
    """A `Proposer` over one Optuna study; see `search.proposers.optuna_proposer`."""

    def __init__(
        self,
        space: Space,
        *,
        sampler: str,
        seed: int,
        storage_path: Path | None,
        study_name: str,
        enqueue: Sequence[Config],
    ) -> None:
        _check_sampler(sampler)
        check_first(space, enqueue)
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        self._space = space
        self._n_configs = space.n_configs
        self._sampler = sampler
        self._seed = seed
        self._plan = plan_for(sampler, space, seed_of(seed))
        self._study = _open(storage_path, study_name, space)
        self._open: dict[int, optuna.Trial] = {}
        self._again: deque[Proposal] = deque()
        self._seen = self._read_seen()
        begin_with(self._study, space, enqueue)
        self._take_up()
        trials = self._study.get_trials(deepcopy=False)
        self._n_trials = len(trials)  # this process alone adds to them: they are counted once
        self._n_waiting = sum(trial.state == TrialState.WAITING for trial in trials)
        self._told: list[Told] = []  # the completed trials in the order in which they ended
        self._told_at: list[tuple[str, int]] = []
        for one in trials:
            self._keep(one)

    @property
    def settled(self) -> frozenset[int]:
        """Numbers of the proposals that were told with a loss, also by an earlier process."""
        states = (TrialState.COMPLETE, TrialState.PRUNED)
        return frozenset(one.number for one in self._study.get_trials(deepcopy=False, states=states))

    def ask(self) -> Proposal | None:
        """The next configuration; None when the space is exhausted."""
        if self._again:
            return self._again.popleft()
        n_trials = self._n_trials
        if not self._n_waiting and not self._plan_next(n_trials):
            return None
        self._study.sampler = make_sampler(self._sampler, self._space, self._seed, n_trials)
        trial = self._study.ask()
        if self._n_waiting:
            self._n_waiting -= 1
        else:
            self._n_trials += 1
        return self._propose(trial)

    def tell(
        self,
        proposal: Proposal,
        loss: float | None,
        status: Status,
        curve: Sequence[tuple[int, float]] = (),
    ) -> None:
        """Report what became of a proposal; see `search.proposers.Proposer`."""
        outcome = read_outcome(loss, status, curve)
        if proposal.number not in self._open:
            raise ProposerError(f"a proposal must be open to be told, got number {proposal.number}")
        trial = self._open.pop(proposal.number)
        points = outcome.curve
        if outcome.kind == "pruned" and not points:
            assert outcome.loss is not None
            points = ((1, outcome.loss),)
        for step, value in points:
            trial.report(value, step)
        with _quiet():
            if outcome.kind == "completed":
                self._keep(self._study.tell(trial, outcome.loss))
            else:
                states = {"pruned": TrialState.PRUNED, "failed": TrialState.FAIL}
                self._study.tell(trial, state=states[outcome.kind])

    def _propose(self, trial: optuna.Trial) -> Proposal:
        with _quiet():
            config = self._space.walk(lambda name, parameter: suggest(trial, name, parameter))
        self._open[trial.number] = trial
        self._seen.add(key_of(self._space.searched(config)))
        return Proposal(trial.number, config)

    def _plan_next(self, n_trials: int) -> bool:
        """Lay the next planned configuration out as Optuna's next trial; False when nothing is left."""
        if self._n_configs is not None and len(self._seen) >= self._n_configs:
            return False
        if self._plan is None:
            return True
        config = self._plan.propose(n_trials, self._seen, self._told)
        if config is None:
            return False
        generation = self._plan.generation(self._told)
        notes = {} if generation is None else {"generation": generation}
        self._study.enqueue_trial(dict(self._space.searched(config)), user_attrs=notes)
        return True

    def _keep(self, one: optuna.trial.FrozenTrial) -> None:
        """Keep a completed trial for a plan that learns, which reads all of them at each proposal."""
        if self._sampler != "cmaes" or one.state != TrialState.COMPLETE:
            return
        ended_at = (str(one.datetime_complete), one.number)
        place = bisect(self._told_at, ended_at)
        self._told_at.insert(place, ended_at)
        loss, generation = float(one.values[0]), one.user_attrs.get("generation")
        self._told.insert(place, Told(one.number, one.params, loss, generation))

    def _read_seen(self) -> set[str]:
        seen = set()
        for trial in self._study.get_trials(deepcopy=False):
            with suppress(KeyError):  # a process that died while proposing leaves parameters out
                seen.add(key_of(self._space.searched(from_params(self._space, trial.params))))
        return seen

    def _take_up(self) -> None:
        """Propose again what an earlier process asked for and never told; fail what was taken up before."""
        for frozen in self._study.get_trials(deepcopy=True, states=(TrialState.RUNNING,)):
            n_asked = int(frozen.user_attrs.get("n_asked", 1))
            if n_asked >= MOST_ASKED:
                self._study.tell(frozen.number, state=TrialState.FAIL)
                continue
            self._study.sampler = make_sampler(self._sampler, self._space, self._seed, frozen.number)
            trial = optuna.Trial(self._study, frozen._trial_id)
            trial.set_user_attr("n_asked", n_asked + 1)
            self._again.append(self._propose(trial))


def check_first(space: Space, configs: Sequence[Config]) -> None:
    """Refuse configurations to begin with that are not in the space."""
    for config in configs:
        reason = space.explain(config)
        if reason is not None:
            raise ProposerError(f"a configuration to begin with must be in the space: {reason}")


def begin_with(study: optuna.Study, space: Space, configs: Sequence[Config]) -> None:
    """Lay configurations out as the first trials of a study; those that it has already are not repeated."""
    for config in configs:
        study.enqueue_trial(dict(space.searched(config)), skip_if_exists=True)


def to_distribution(parameter: Parameter) -> BaseDistribution:
    """The Optuna distribution with the same values as a parameter."""
    if isinstance(parameter, Int):
        return IntDistribution(parameter.low, parameter.high, log=parameter.log, step=parameter.step)
    if isinstance(parameter, Float):
        return FloatDistribution(parameter.low, parameter.high, log=parameter.log, step=parameter.step)
    return CategoricalDistribution(parameter.options)


def to_distributions(space: Space) -> dict[str, BaseDistribution]:
    """The Optuna distributions of a space by name; conditions are kept by walking the space."""
    return {name: to_distribution(parameter) for name, parameter in space.parameters.items()}


def from_params(space: Space, params: Mapping[str, Any]) -> Config:
    """The configuration that an Optuna trial's parameters stand for."""
    return space.walk(lambda name, parameter: _from_optuna(parameter, params[name]))


def suggest(trial: optuna.Trial, name: str, parameter: Parameter) -> Value:
    """A value of a parameter, suggested by an Optuna trial."""
    if isinstance(parameter, Choice):
        return _from_optuna(parameter, trial.suggest_categorical(name, parameter.options))
    low, high, step, log = parameter.low, parameter.high, parameter.step, parameter.log
    if isinstance(parameter, Int):
        return parameter.nearest(trial.suggest_int(name, int(low), int(high), step=int(step or 1), log=log))
    return parameter.nearest(trial.suggest_float(name, low, high, step=step, log=log))


def _from_optuna(parameter: Parameter, value: Any) -> Value:
    if isinstance(parameter, Choice):
        return next(option for option in parameter.options if option == value)
    return parameter.nearest(value)


def make_sampler(sampler: str, space: Space, seed: int, number: int) -> optuna.samplers.BaseSampler:
    """A sampler of its own for each trial, so that a study continued draws what it would have drawn."""
    own = seed_of(seed, number)
    with _quiet():
        if sampler == "tpe":
            has_groups = bool(space.conditions)  # conditional parameters are modelled together
            return optuna.samplers.TPESampler(n_startup_trials=N_STARTUP_TRIALS, group=has_groups, seed=own)
        return optuna.samplers.RandomSampler(seed=own)


def plan_for(sampler: str, space: Space, seed: int) -> Plan | None:
    """What lays the proposals of a sampler out; None where Optuna draws them."""
    if sampler == "grid":
        return GridPlan(space, seed)
    if sampler == "cmaes":
        return EvolutionPlan(space, seed)
    return SobolPlan(space, seed) if sampler == "qmc" else None


def _check_sampler(sampler: str) -> None:
    if sampler not in SAMPLERS:
        raise ProposerError(f"a sampler must be one of {', '.join(SAMPLERS)}, got {sampler!r}")
    if sampler == "cmaes" and importlib.util.find_spec("cmaes") is None:
        raise ProposerError("the sampler 'cmaes' needs the package cmaes: pip install cmaes")


def _open(storage_path: Path | None, study_name: str, space: Space) -> optuna.Study:
    """The study of this name, new or loaded; the storage of another space is refused."""
    try:
        with _quiet():
            study = optuna.create_study(
                storage=_storage(storage_path),
                study_name=study_name,
                direction="minimize",
                pruner=optuna.pruners.NopPruner(),
                load_if_exists=True,
            )
    except (ValueError, KeyError, TypeError, AttributeError, AssertionError) as error:
        raise ProposerError(
            f"a journal must be as Optuna wrote it, and {storage_path} was altered: use a new run folder"
        ) from error
    stored = study.user_attrs.get("space")
    if stored is None:
        study.set_user_attr("space", space.fingerprint)
    elif stored != space.fingerprint:
        raise ProposerError(
            f"study {study_name!r} in {storage_path} searches another space "
            f"({stored[:12]}, not {space.fingerprint[:12]}): use a new run folder"
        )
    return study


def _storage(path: Path | None) -> optuna.storages.BaseStorage:
    if path is None:
        return optuna.storages.InMemoryStorage()
    path.parent.mkdir(parents=True, exist_ok=True)
    _drop_torn_line(path)
    os.close(os.open(path, os.O_CREAT | os.O_WRONLY, 0o600))  # Optuna would let others read it
    return optuna.storages.JournalStorage(JournalFileBackend(str(path)))


def _drop_torn_line(path: Path) -> None:
    """Cut an unfinished last line off; Optuna would write on behind it and never read the file again."""
    if not path.exists():
        return
    content = path.read_bytes()
    end = content.rfind(b"\n") + 1
    if end < len(content):
        with path.open("r+b") as file:
            file.truncate(end)


@contextmanager
def _quiet() -> Iterator[None]:
    """Silence what Optuna says of its own experimental features; they are chosen knowingly."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)
        yield
