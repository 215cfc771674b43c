"""The loop of a study: ask, evaluate, tell, record; budgets, pruning, duplicates and failures."""

from __future__ import annotations

import json
import signal
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any, TypeAlias

from search.ledger import Event, Ledger, of_best_of, of_fold_epochs, of_top_k
from search.objective import Objective, loss_of
from search.proposers import Proposal, Proposer, Rung
from search.records import Run, Trial, utc_now
from search.tally import Tally
from search.training.trained import Stretch, Trained
from spaces.families import family_of
from spaces.joint import split

Submit: TypeAlias = Callable[..., Future[Any]]
Running: TypeAlias = dict[Future[Any], tuple[Proposal, dict[int, float]]]
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
        Whether proposals depend on earlier losses, which makes each of them a look. Proposals that go on from
        earlier trials (`search.proposers.Rung`) are looks in any case.
    on_trial : callable
        Called with each trial and all trials so far, after it is on the disk.
    enough : callable, optional
        Called with each trial, after it is on the disk: the reason to end the study, None to go on.
    n_workers : int
        Trials that are trained at the same time; the objective's workshop must be as large.
    on_start : callable, optional
        Called with number, family and configuration of each trial before it is trained.
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
    n_workers: int = 1
    on_start: Callable[[int, str, Mapping[str, Any]], None] | None = None
    trials: list[Trial] = field(default_factory=list)
    _first_of: dict[str, Trial] = field(default_factory=dict)
    _tally: Tally = field(init=False)

    def __post_init__(self) -> None:
        self._tally = Tally(self.objective.defaults.looks)

    @property
    def so_far(self) -> Tally:
        """What is known of all trials so far."""
        self._tally.catch_up(self.trials)
        return self._tally

    def run_all(self) -> str:
        """Run trials until something ends the study; the result says what did."""
        reason = self._run_all()
        self.run.forget_resume()  # not where it was interrupted: it may be gone on with
        return reason

    def take_up(self, earlier: Sequence[Trial]) -> None:
        """Begin with trials that an earlier process finished; nothing of them is trained or entered again.

        Where a stored file of a trial is missing or altered, the trial is trained again.
        """
        is_mended = False
        for trial in earlier:
            if not self.run.is_whole(trial):
                trial, is_mended = self.mended(trial), True
            self.trials.append(trial)
            if trial.status in ("completed", "pruned"):
                self._first_of[_key(trial.family, trial.config, trial.stop_epoch)] = trial
            self.on_trial(trial, self.trials)
            if self.enough:
                self.enough(trial)
        if is_mended:
            self.run.rewrite_trials(self.trials)

    def join(self, trials: Iterable[Trial]) -> None:
        """Know of trials that other processes finished: for pruning, duplicates and the reasons to stop."""
        for trial in trials:
            self.trials.append(trial)
            if trial.status in ("completed", "pruned"):
                self._first_of.setdefault(_key(trial.family, trial.config, trial.stop_epoch), trial)

    def mended(self, trial: Trial) -> Trial:
        """The same trial, trained again from its seed; its entries in the ledger stand already."""
        if trial.stop_epoch is not None:
            return replace(trial, status="failed", cause="its stored files were damaged", checksums={})
        limits = self.so_far.limits if family_of(trial.family).is_network else {}
        again, trained = self.objective.evaluate(trial.number, trial.family, trial.config, limits)
        return self._stored(again, trained)

    def _run_all(self) -> str:
        with working(self.n_workers) as submit:
            return self._run_with(submit)

    def _run_with(self, submit: Submit) -> str:
        """Keep all workers busy until something ends the study, then wait for what is under way."""
        started, reason, enough = time.monotonic(), None, None
        running: Running = {}
        while True:
            if reason is None and len(running) < self.n_workers:
                reason = self.reason_to_stop(time.monotonic() - started, len(running)) or enough
                if reason is None:
                    reason = self._start(submit, running)
                continue
            if not running:
                assert reason is not None
                return reason
            for future in wait(running, return_when=FIRST_COMPLETED).done:
                enough = self.finish(*running.pop(future), *future.result()) or enough

    def _start(self, submit: Submit, running: Running) -> str | None:
        """Ask for a proposal and have it trained; the result is a reason to end the study."""
        with whole():
            proposal = self.proposer.ask()
        if proposal is None:
            return f"the space was exhausted after {len(self.trials) + len(running)} trials"
        self.begin(submit, running, proposal)
        return None

    def begin(self, submit: Submit, running: Running, proposal: Proposal) -> None:
        """Have a proposal trained, unless it was tried before."""
        if not self._is_known(proposal):
            self._propose(proposal)
            limits = self._limits_of(proposal)
            if self.on_start:
                self.on_start(proposal.number, *split(self.families, proposal.config))
            running[submit(self._trained, proposal, limits)] = proposal, limits

    def _is_known(self, proposal: Proposal) -> bool:
        """Settle what needs no training: told too late by a process that was killed, or tried before."""
        done = self.so_far.trial(proposal.number)
        if done is not None:
            with whole():
                self._tell(proposal, done)
            return True
        first = self._first_of.get(_key_of(proposal, self.families))
        if first is None:
            return False
        self._propose(proposal)
        again = replace(first, number=proposal.number, status="duplicate", duplicate_of=first.number)
        again = replace(again, checksums={}, fit_seconds=0.0, started=utc_now(), finished=utc_now())
        self.finish(proposal, {}, again, None)
        return True

    def finish(
        self, proposal: Proposal, limits: dict[int, float], trial: Trial, trained: Trained | None
    ) -> str | None:
        """Record and tell a trial; the result is a reason to end the study."""
        if trained is not None:
            self._first_of.setdefault(_key_of(proposal, self.families), trial)
            self._enter_looks(trial, limits)
        with whole():
            self._keep(trial, trained)
            self._tell(proposal, trial)
        self.on_trial(trial, self.trials)
        return self.enough(trial) if self.enough else None

    def reason_to_stop(self, seconds: float, n_running: int) -> str | None:
        """Why no further trial begins; None: it may."""
        n_trials = len(self.trials)
        n_failures, n_duplicates = _n_last(self.trials, "failed"), _n_last(self.trials, "duplicate")
        if n_trials + n_running >= self.budget.n_trials:
            return f"all {self.budget.n_trials} trials were run"
        if self.budget.seconds is not None and seconds >= self.budget.seconds:
            return f"the time of {self.budget.seconds:g} s was used up after {n_trials} trials"
        if n_failures >= self.budget.n_failures_in_a_row:
            return f"{n_failures} trials failed in a row, the last because: {self.trials[-1].cause}"
        if n_duplicates >= MOST_DUPLICATES_IN_A_ROW:
            return f"the last {n_duplicates} proposals had been tried before"
        return None

    def _propose(self, proposal: Proposal) -> None:
        """An adaptive proposer uses the ranks of what it was told: the newest of n adds log n."""
        if proposal.rung is not None:
            self.run.forget_resume([self._source(number) for number in proposal.rung.awaited])
            self._promote(proposal.number, proposal.rung)
        n_told = self.so_far.n_told
        if self.is_adaptive and n_told > 1:
            text = json.dumps(dict(proposal.config), default=str)
            self._enter("propose", proposal.number, alternatives=n_told, nats=of_best_of(n_told), chosen=text)

    def _promote(self, number: int, rung: Rung) -> None:
        """The k-th trial of n that goes on adds log C(n, k) - log C(n, k - 1): all k add log C(n, k)."""
        if rung.resumes is None:
            return
        n, k = len(rung.compared) + rung.n_before, rung.n_before + 1
        losses = [loss_of(self._trial(one), self.objective.metric) for one in rung.compared]
        self._enter(
            "propose",
            number,
            alternatives=len(losses),
            nats=max(0.0, of_top_k(n, k) - of_top_k(n, k - 1)),
            gain=sum(losses) / len(losses) - loss_of(self._trial(rung.resumes), self.objective.metric),
            chosen=f"trial {rung.resumes} goes on to epoch {rung.stop}",
        )

    def _limits_of(self, proposal: Proposal) -> dict[int, float]:
        """Pruning's ceilings for a network; none where the proposer decides what goes on."""
        family, _ = split(self.families, proposal.config)
        return self.so_far.limits if proposal.rung is None and family_of(family).is_network else {}

    def _trained(self, proposal: Proposal, limits: dict[int, float]) -> tuple[Trial, Trained | None]:
        """Train a proposal; nothing of the study is changed here, so that several can be trained at once."""
        family, config = split(self.families, proposal.config)
        rung = proposal.rung
        if rung is None:
            return self.objective.evaluate(proposal.number, family, config, limits)
        trial, trained = self.objective.evaluate(proposal.number, family, config, {}, self._stretch(rung))
        return replace(trial, stop_epoch=rung.stop, resumed_from=rung.resumes), trained

    def _stretch(self, rung: Rung) -> Stretch:
        """What a trial trains; without a stored state it does again what went before, to the same end."""
        if rung.resumes is None:
            return Stretch(rung.stop, rung.stops)
        source = self._source(rung.resumes)
        return Stretch(rung.stop, rung.stops, self._first(source), self.run.resume(source))

    def _trial(self, number: int) -> Trial:
        found = self.so_far.trial(number)
        assert found is not None, number
        return found

    def _source(self, number: int) -> int:
        """The trial that was trained, for a duplicate of it."""
        same = self._trial(number).duplicate_of
        return number if same is None else same

    def _first(self, number: int) -> int:
        """The trial with which the training of a trial began."""
        while (before := self._trial(number).resumed_from) is not None:
            number = self._source(before)
        return number

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
        self.ledger.enter(
            Event(stage, trial, plan.n_repeats, folds.n_splits, rows, alternatives, nats, gain, chosen)
        )

    def _keep(self, trial: Trial, trained: Trained | None) -> None:
        """Arrays first, then the line that says they are there."""
        trial = self._stored(trial, trained)
        self.run.append_trial(trial)
        self.trials.append(trial)

    def _stored(self, trial: Trial, trained: Trained | None) -> Trial:
        """Write the arrays of a trial; the result knows their checksums."""
        if trained is None:
            return trial
        found = dict([self.run.save_out_of_fold(trial.number, trained.out_of_fold)])
        if trial.status == "completed" and not _is_left_out(trained):
            found |= dict([self.run.save_weights(trial.number, packed(trained, self.objective))])
        if trained.state is not None:
            self.run.save_resume(trial.number, trained.state)
        return replace(trial, checksums=found)

    def _tell(self, proposal: Proposal, trial: Trial) -> None:
        loss = None if trial.score is None else loss_of(trial, self.objective.metric)
        self.proposer.tell(
            proposal, loss, trial.status, list(zip(trial.checkpoints, trial.curve, strict=True))
        )


@contextmanager
def working(n_workers: int) -> Iterator[Submit]:
    """What gives work to so many threads; with one worker it is done at once, in this thread."""
    if n_workers == 1:
        yield _done
        return
    pool = ThreadPoolExecutor(n_workers)
    try:
        yield pool.submit
    finally:
        pool.shutdown(wait=False, cancel_futures=True)  # the workshop ends what still trains


def _done(function: Callable[..., Any], *arguments: Any) -> Future[Any]:
    future: Future[Any] = Future()
    future.set_result(function(*arguments))
    return future


@contextmanager
def whole() -> Iterator[None]:
    """Let Ctrl-C, SIGTERM and a closed terminal wait until what is under way is done, lest a lock is left."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    signals = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = {number: handler for number in signals if callable(handler := signal.getsignal(number))}
    asked: list[int] = []
    for number in before:
        signal.signal(number, lambda number, _: asked.append(number))
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
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


def _key_of(proposal: Proposal, families: Sequence[str]) -> str:
    family, config = split(families, proposal.config)
    return _key(family, config, None if proposal.rung is None else proposal.rung.stop)


def _key(family: str, config: Mapping[str, Any], stop: int | None) -> str:
    """Equal for trials that give the same: the same configuration, trained as far."""
    return json.dumps([family, dict(config), stop], sort_keys=True, default=str)


def _n_last(trials: Sequence[Trial], status: str) -> int:
    """How many at the end of the list have the status."""
    n = 0
    while n < len(trials) and trials[-1 - n].status == status:
        n += 1
    return n
