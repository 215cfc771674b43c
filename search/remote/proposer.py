"""Proposals of a study that several processes share: each takes a number first, and proposes for it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Any, Final, final

import optuna
from optuna.trial import FrozenTrial, TrialState

from search.proposers.optuna_driver import from_params, make_sampler, plan_for, suggest
from search.proposers.plans import GridPlan, Told
from search.proposers.seam import Proposal, ProposerError, Status, key_of, read_outcome, seed_of
from search.records import Run, Trial
from search.remote.artifacts import Artifacts
from search.remote.shared import EXHAUSTED, Shared
from search.remote.tables import Taken
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

    @property
    def settled(self) -> frozenset[int]:
        """Numbers of the proposals that were told with a loss, by any process."""
        told = self._shared.trials(TrialState.COMPLETE, TrialState.PRUNED)
        return frozenset(one.number for one in told)

    def ask(self) -> Proposal | None:
        """A proposal; None where there is none (any more). See `next`."""
        found = self.next()
        return found if isinstance(found, Proposal) else None

    def next(self) -> Proposal | Pause | None:
        """A proposal; `PAUSE` where all are under way; None where all are finished, or it has ended."""
        try:
            return self._next()
        finally:
            self._shared.rest()

    def _next(self) -> Proposal | Pause | None:
        self._shared.sweep_when_due(self.lost)
        look = self._shared.look()
        limit, standing = look.n_trials, look.standing
        if look.ended is not None or standing.n_finished >= limit:
            return None
        if not standing.n_waiting and standing.n_trials >= limit:
            return PAUSE
        if not standing.n_waiting and self._is_used_up(standing.n_trials):
            self._shared.tell({EXHAUSTED: standing.n_trials})
            return PAUSE
        return self._shared.do(lambda: self._ask(limit))

    def _ask(self, limit: int) -> Proposal | Pause:
        """Take a number and draw for it; there is none where others were quicker."""
        shared = self._shared
        taken = shared.take(limit)
        if taken is None:
            return PAUSE
        try:
            config = self._config(taken)
        except BaseException:
            shared.let_go(taken.trial_id)  # swept, when its last sign of life is too old
            raise
        if config is None:
            shared.give_back(taken.trial_id)
            shared.tell({EXHAUSTED: taken.number})
            return PAUSE
        self._ids[taken.number] = taken.trial_id
        return Proposal(taken.number, config)

    def _config(self, taken: Taken) -> Config | None:
        """The configuration for a number; what an earlier worker drew for it stands."""
        desk = self._shared.desk
        while True:
            notes = self._lay_out(desk.lay(taken))
            if notes is None:
                return None
            sampler = make_sampler(self._sampler, self._space, self._seed, taken.number)
            trial = optuna.Trial(self._shared.seen_by(sampler), taken.trial_id)
            config = self._space.walk(partial(suggest, trial))
            if desk.write(**notes):
                return config
            taken = replace(taken, is_new=False)  # one who was held up drew for it meanwhile

    def _lay_out(self, trial: FrozenTrial) -> dict[str, Any] | None:
        """Tell the trial what the plan has for it; the result is to be noted, None at the plan's end."""
        if self._plan is None or trial.params or FIXED in trial.system_attrs:
            return {}
        told = self._told() if self._sampler == "cmaes" else []
        config = self._planned(trial.number, told)
        if config is None:
            return None
        trial.system_attrs[FIXED] = dict(self._space.searched(config))
        generation = self._plan.generation(told)
        return {} if generation is None else {GENERATION: generation}

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

    def _is_used_up(self, n_trials: int) -> bool:
        """Whether every configuration of a small space was proposed."""
        if self._space.n_configs is None or n_trials < self._space.n_configs:
            return False
        for trial in self._shared.trials():
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
