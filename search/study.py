"""The loop of a study: ask, evaluate, tell, record; budgets, pruning, duplicates and failures."""

from __future__ import annotations

import json
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

from search.ledger import Event, Ledger, of_best_of, of_fold_epochs
from search.objective import Objective, loss_of
from search.proposers import Proposal, Proposer
from search.pruning import ceilings
from search.records import Run, Trial, utc_now
from search.training.trained import Trained
from spaces.families import family_of
from spaces.joint import split

MOST_DUPLICATES_IN_A_ROW = 50
MOST_STORED_BYTES = 256 * 2**20  # of a trial that is fitted, not trained: the same seed fits it again


@dataclass(frozen=True)
class Budget:
    """When a study ends: trials in all, seconds (no further trial starts after), failures in a row."""

    n_trials: int
    seconds: float | None = None
    n_failures_in_a_row: int = 5


@dataclass
class Study:
    """A study in progress.

    Parameters
    ----------
    families : sequence of str
        Names of the families that are searched.
    is_adaptive : bool
        Whether proposals depend on earlier losses, which makes each of them a look.
    on_trial : callable
        Called with each trial and all trials so far, after it is on the disk.
    enough : callable, optional
        Called with each trial, after it is on the disk: the reason to end the study, None to go on.
    """

    run: Run
    ledger: Ledger
    proposer: Proposer
    objective: Objective
    families: Sequence[str]
    budget: Budget
    is_adaptive: bool
    on_trial: Callable[[Trial, list[Trial]], None]
    enough: Callable[[Trial], str | None] | None = None
    trials: list[Trial] = field(default_factory=list)
    _first_of: dict[str, Trial] = field(default_factory=dict)

    def run_all(self) -> str:
        """Run trials until something ends the study; the result says what did."""
        started, enough = time.monotonic(), None
        while (reason := self._reason_to_stop(time.monotonic() - started) or enough) is None:
            with whole():
                proposal = self.proposer.ask()
            if proposal is None:
                return f"the space was exhausted after {len(self.trials)} trials"
            self._propose(proposal)
            trial, trained = self._evaluate(proposal)
            with whole():
                self._keep(trial, trained)
                self._tell(proposal, trial)
            self.on_trial(trial, self.trials)
            enough = self.enough(trial) if self.enough else None
        return reason

    def _reason_to_stop(self, seconds: float) -> str | None:
        last = [trial.status for trial in self.trials]
        n_failures, n_duplicates = _n_last(last, "failed"), _n_last(last, "duplicate")
        if len(last) >= self.budget.n_trials:
            return f"all {self.budget.n_trials} trials were run"
        if self.budget.seconds is not None and seconds >= self.budget.seconds:
            return f"the time of {self.budget.seconds:g} s was used up after {len(last)} trials"
        if n_failures >= self.budget.n_failures_in_a_row:
            return f"{n_failures} trials failed in a row, the last because: {self.trials[-1].cause}"
        if n_duplicates >= MOST_DUPLICATES_IN_A_ROW:
            return f"the last {n_duplicates} proposals had been tried before"
        return None

    def _propose(self, proposal: Proposal) -> None:
        """An adaptive proposer uses the ranks of what it was told: the newest of n adds log n."""
        n_told = sum(trial.status in ("completed", "pruned") for trial in self.trials)
        if self.is_adaptive and n_told > 1:
            text = json.dumps(dict(proposal.config), default=str)
            self._enter("propose", proposal.number, alternatives=n_told, nats=of_best_of(n_told), chosen=text)

    def _evaluate(self, proposal: Proposal) -> tuple[Trial, Trained | None]:
        first = self._first_of.get(_key(proposal))
        if first is not None:
            again = replace(first, number=proposal.number, status="duplicate", duplicate_of=first.number)
            return replace(again, fit_seconds=0.0, started=utc_now(), finished=utc_now()), None
        family, config = split(self.families, proposal.config)
        limits = self._limits() if family_of(family).is_network else {}
        trial, trained = self.objective.evaluate(proposal.number, family, config, limits)
        if trained is not None:
            self._first_of[_key(proposal)] = trial
            self._enter_looks(trial, limits)
        return trial, trained

    def _limits(self) -> dict[int, float]:
        """Pruning: networks are compared with networks, whose epochs are their clock."""
        networks = (t for t in self.trials if t.status == "completed" and family_of(t.family).is_network)
        return ceilings([(t.checkpoints, t.curve) for t in networks], self.objective.defaults.looks)

    def _enter_looks(self, trial: Trial, limits: dict[int, float]) -> None:
        n_looks, choice = len(trial.curve), self.objective.defaults.epoch_choice
        if choice in ("common", "fold") and n_looks > 1:
            gain = sum(trial.curve) / n_looks - min(trial.curve)
            n_choices = 1 if choice == "common" else len(trial.member_epochs)
            self._enter(
                "epoch", trial.number, alternatives=n_looks, nats=of_fold_epochs(n_looks, n_choices),
                gain=gain,
                chosen=f"epochs {', '.join(map(str, sorted(set(trial.member_epochs))))}",
            )  # fmt: skip
        rungs = [epoch for epoch in trial.checkpoints if epoch in limits]
        if rungs:
            chosen = f"stopped at epoch {rungs[-1]}" if trial.status == "pruned" else "kept"
            self._enter(
                "prune",
                trial.number,
                alternatives=len(rungs) + 1,
                nats=of_best_of(len(rungs) + 1),
                chosen=chosen,
            )

    def _enter(
        self,
        stage: Any,
        trial: int | None,
        *,
        alternatives: int,
        nats: float,
        chosen: str,
        gain: float | None = None,
    ) -> None:
        folds, plan = self.objective.folds, self.objective.plan
        rows = int((folds.fold_of_row >= 0).any(axis=0).sum())
        self.ledger.append(
            Event(stage, trial, plan.n_repeats, folds.n_splits, rows, alternatives, nats, gain, chosen)
        )

    def _keep(self, trial: Trial, trained: Trained | None) -> None:
        """Arrays first, then the line that says they are there."""
        if trained is not None:
            self.run.save_out_of_fold(trial.number, trained.out_of_fold)
        if trained is not None and trial.status == "completed" and not _is_left_out(trained):
            self.run.save_weights(trial.number, packed(trained, self.objective))
        self.run.append_trial(trial)
        self.trials.append(trial)

    def _tell(self, proposal: Proposal, trial: Trial) -> None:
        loss = None if trial.score is None else loss_of(trial, self.objective.metric)
        self.proposer.tell(
            proposal, loss, trial.status, list(zip(trial.checkpoints, trial.curve, strict=True))
        )


@contextmanager
def whole() -> Iterator[None]:
    """Let Ctrl-C wait until what is under way is done, so that no write or lock is left halfway."""
    before = signal.getsignal(signal.SIGINT)
    if threading.current_thread() is not threading.main_thread() or not callable(before):
        yield
        return
    asked: list[int] = []
    signal.signal(signal.SIGINT, lambda number, _: asked.append(number))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
    if asked:
        raise KeyboardInterrupt


def _is_left_out(trained: Trained) -> bool:
    """Whether a trial's models are too large to be kept, and can be fitted again just as they were."""
    return trained.way == "fitted" and sum(values.nbytes for values in trained.weights) > MOST_STORED_BYTES


def packed(trained: Trained, objective: Objective) -> dict[str, Any]:
    """What a trial's weights file holds: the architecture, stacked weights and target units."""
    import numpy as np

    weights = {f"weight_{index:03d}": values for index, values in enumerate(trained.weights)}
    units = {"target_center": objective.plan.target_center, "target_scale": objective.plan.target_scale}
    return {"architecture": np.array(trained.architecture), **units, **weights}


def _key(proposal: Proposal) -> str:
    return json.dumps(dict(proposal.config), sort_keys=True, default=str)


def _n_last(statuses: Sequence[str], status: str) -> int:
    """How many at the end of the list have the status."""
    n = 0
    while n < len(statuses) and statuses[-1 - n] == status:
        n += 1
    return n
