"""Proposals of a study that several processes share: each takes a number first, and proposes for it."""

from __future__ import annotations

import os
import socket
from collections.abc import Sequence
from typing import Final, final

import optuna
from optuna.trial import FrozenTrial, TrialState

from search.proposers.optuna_driver import from_params, make_sampler, plan_for, suggest
from search.proposers.plans import GridPlan, Told
from search.proposers.seam import Proposal, ProposerError, Status, key_of, read_outcome, seed_of
from search.records import Run, Trial
from search.remote.artifacts import Artifacts
from search.remote.shared import EXHAUSTED, Shared
from search.remote.signs import HOLDER
from search.remote.terms import Result
from spaces.joint import split
from spaces.space import Config, Space

GENERATION = "generation"
FIXED = "fixed_params"  # as Optuna's `enqueue_trial` says what is to be suggested
STATES = {"completed": TrialState.COMPLETE, "pruned": TrialState.PRUNED, "failed": TrialState.FAIL}


@final
class Pause:
    """Nothing to do now, but a worker may be lost yet and its trial come back."""


PAUSE: Final = Pause()


class SharedProposer:
    """Proposes for one process, and keeps what became of its proposals where all can see it.

    A proposal depends on the seed, its number and what was told until then, so that one process alone
    proposes what `search.proposers.optuna_proposer` would.

    Parameters
    ----------
    shared : Shared
    space : Space
    families : sequence of str
    sampler : str
    seed : int
        Root seed, the same in all processes.
    artifacts : Artifacts
        Where the files of finished trials go.
    scratch : Run
        Where the study of this process writes its trials, from where they are kept.
    """

    def __init__(
        self,
        shared: Shared,
        space: Space,
        families: Sequence[str],
        *,
        sampler: str,
        seed: int,
        artifacts: Artifacts,
        scratch: Run,
    ) -> None:
        self._shared, self._space, self._families = shared, space, families
        self._sampler, self._seed = sampler, seed
        self._artifacts, self._scratch = artifacts, scratch
        self._plan = plan_for(sampler, space, seed_of(seed))
        self._laid_out: list[Config | None] = []
        self._ids: dict[int, int] = {}
        self._seen: dict[int, str] = {}

    def ask(self) -> Proposal | None:
        """A proposal; None where there is none (any more). See `next`."""
        found = self.next()
        return found if isinstance(found, Proposal) else None

    def next(self) -> Proposal | Pause | None:
        """A proposal; `PAUSE` where all are under way; None where all are finished, or it has ended."""
        if self._shared.ended is not None:
            return None
        limit = self._shared.budget.n_trials
        trials = self._shared.trials()
        if sum(trial.state.is_finished() for trial in trials[:limit]) >= limit:
            return None
        self._shared.sweep_when_due(self.lost)
        trials = self._shared.trials()
        is_one_waiting = any(trial.state == TrialState.WAITING for trial in trials[:limit])
        if not is_one_waiting and len(trials) < limit and self._is_used_up(trials):
            self._shared.tell({EXHAUSTED: len(trials)})
            return PAUSE
        if not is_one_waiting and len(trials) >= limit:
            return PAUSE
        return self._shared.do(lambda: self._ask(limit))

    def _ask(self, limit: int) -> Proposal | Pause:
        """Take a number; one too many, where others were quicker, waits for a larger budget."""
        shared = self._shared
        trial_id = shared.take_number()
        number = shared.storage.get_trial(trial_id).number
        if number >= limit:
            shared.give_back(trial_id)
            return PAUSE
        shared.hold(trial_id)
        try:
            shared.storage.set_trial_user_attr(trial_id, HOLDER, f"{socket.gethostname()}:{os.getpid()}")
            config = self._config(trial_id, number)
        except BaseException:
            shared.let_go(trial_id)  # swept, when its last sign of life is too old
            raise
        if config is None:
            shared.give_back(trial_id)
            shared.tell({EXHAUSTED: number})
            return PAUSE
        self._ids[number] = trial_id
        return Proposal(number, config)

    def _config(self, trial_id: int, number: int) -> Config | None:
        """The configuration for a number; what an earlier worker drew for it stands."""
        if self._plan is not None and not self._lay_out(trial_id, number):
            return None
        sampler = make_sampler(self._sampler, self._space, self._seed, number)
        trial = optuna.Trial(self._shared.seen_by(sampler), trial_id)
        return self._space.walk(lambda name, parameter: suggest(trial, name, parameter))

    def _lay_out(self, trial_id: int, number: int) -> bool:
        """Write the plan's configuration down as what the trial is to suggest; False at the plan's end."""
        storage = self._shared.storage
        if FIXED in storage.get_trial(trial_id).system_attrs:
            return True
        told = self._told() if self._sampler == "cmaes" else []
        config = self._planned(number, told)
        if config is None:
            return False
        generation = self._plan.generation(told) if self._plan else None
        if generation is not None:
            storage.set_trial_user_attr(trial_id, GENERATION, generation)
        storage.set_trial_system_attr(trial_id, FIXED, dict(self._space.searched(config)))
        return True

    def _planned(self, number: int, told: Sequence[Told]) -> Config | None:
        plan = self._plan
        assert plan is not None
        if not isinstance(plan, GridPlan):
            return plan.propose(number, (), told)
        while len(self._laid_out) <= number:  # the order of a grid does not depend on who is quicker
            self._laid_out.append(plan.propose(len(self._laid_out), ()))
        return self._laid_out[number]

    def _told(self) -> list[Told]:
        """The completed trials in the order in which they ended."""
        done = self._shared.trials(TrialState.COMPLETE)
        ended = sorted(done, key=lambda one: (str(one.datetime_complete), one.number))
        return [
            Told(one.number, one.params, float(one.values[0]), one.user_attrs.get(GENERATION))
            for one in ended
        ]

    def _config_of(self, trial: FrozenTrial) -> Config | None:
        """The configuration of a trial; None where its worker was lost before it was drawn."""
        try:
            return from_params(self._space, trial.params)
        except KeyError:
            return None

    def _is_used_up(self, trials: Sequence[FrozenTrial]) -> bool:
        """Whether every configuration of a small space was proposed."""
        if self._space.n_configs is None:
            return False
        for trial in trials:
            if trial.number not in self._seen and (config := self._config_of(trial)) is not None:
                self._seen[trial.number] = key_of(self._space.searched(config))
        return len(set(self._seen.values())) >= self._space.n_configs

    def lost(self, trial: FrozenTrial) -> Trial:
        """The record of a trial that took every worker down with it."""
        config = self._config_of(trial) or {}
        family, own = split(self._families, config) if config else (self._families[0], {})
        cause = "the workers that trained it were lost, one after another: out of memory?"
        return Trial(trial.number, family, dict(own), "failed", cause=cause)

    def tell(
        self,
        proposal: Proposal,
        loss: float | None,
        status: Status,
        curve: Sequence[tuple[int, float]] = (),
    ) -> None:
        """Keep a trial that the study of this process has just written; see `search.proposers.Proposer`."""
        if proposal.number not in self._ids:
            raise ProposerError(f"a proposal must be open to be told, got number {proposal.number}")
        trial_id = self._ids.pop(proposal.number)
        outcome = read_outcome(loss, status, curve)
        trial = self._scratch.trials()[-1]
        assert trial.number == proposal.number
        events = [event for event in self._scratch.events() if event["trial"] == trial.number]
        files = self._artifacts.put(self._scratch, trial)
        result = Result(trial, tuple(_told(event) for event in events), files)
        self._shared.keep(trial_id, result, STATES[outcome.kind], outcome.loss)
        for name in trial.checksums:
            (self._scratch.path / name).unlink()


def _told(event: dict[str, object]) -> dict[str, object]:
    """An entry of the ledger without its place there, which is the coordinator's to give."""
    return {name: value for name, value in event.items() if name not in ("event_id", "time")}
