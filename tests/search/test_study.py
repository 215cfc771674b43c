"""The loop of a study: budgets, duplicates, failures, pruning, the ledger, and what is on disk when."""

from __future__ import annotations

import math
import os
import signal
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from search import metrics, study
from search.ledger import Ledger
from search.proposers import Proposal
from search.pruning import N_STARTUP
from search.records import Run, Trial
from search.study import Budget, Study, whole
from search.training.recipe import Recipe

LOOKS = (1, 8, 16, 20)
CURVE = (0.9, 0.7, 0.5, 0.6)


class Proposer:
    """Proposes what it is given, and notes what it is told and what was on disk when it was asked."""

    def __init__(self, run: Run, configs: Sequence[dict[str, Any]] | None = None) -> None:
        self._run, self._configs = run, configs
        self.told: list[tuple[int, float | None, str, list[tuple[int, float]]]] = []
        self.on_disk: list[int] = []

    def ask(self) -> Proposal | None:
        self.on_disk.append(len(self._run.trials()))
        number = len(self.on_disk) - 1
        if self._configs is None:
            return Proposal(number, {"x": number})
        return Proposal(number, self._configs[number]) if number < len(self._configs) else None

    def tell(self, proposal: Proposal, loss: float | None, status: str, curve: Any = ()) -> None:
        assert len(self._run.trials()) == len(self.told) + 1, "recorded before it is told"
        self.told.append((proposal.number, loss, status, list(curve)))


class Objective:
    """Answers by number: a curve, or a cause of failure; obeys ceilings as the engine does."""

    def __init__(self, answers: Callable[[int], Sequence[float] | str], epoch_choice: str = "common") -> None:
        self.answers, self.ceilings = answers, {}
        self.defaults = Recipe(n_epochs=20, checkpoints=LOOKS, epoch_choice=epoch_choice)
        self.metric = metrics.METRICS["log_loss"]
        self.folds = SimpleNamespace(fold_of_row=np.array([[0, 1, -1, 0, 1]] * 2), n_splits=2)
        units = np.ones((4, 1))
        self.plan = SimpleNamespace(n_repeats=2, target_center=0 * units, target_scale=units)

    def evaluate(self, number: int, family: str, config: Any, ceilings: dict[int, float]) -> Any:
        self.ceilings[number] = ceilings
        answer = self.answers(number)
        if isinstance(answer, str):
            return Trial(number, family, dict(config), "failed", cause=answer), None
        n = next((i + 1 for i, e in enumerate(LOOKS) if min(answer[: i + 1]) > ceilings.get(e, np.inf)), 4)
        curve, is_pruned = tuple(answer[:n]), n < 4
        best = LOOKS[int(np.argmin(curve))]
        trial = Trial(
            number, family, dict(config), "pruned" if is_pruned else "completed", score=min(curve),
            curve=curve, checkpoints=LOOKS[:n], chosen_epoch=best, member_epochs=(best, best, 1, best),
            chosen_index=int(np.argmin(curve)), fit_seconds=3.0,
        )  # fmt: skip
        trained = SimpleNamespace(
            out_of_fold=np.full((n, 2, 5, 1), number, np.float32),
            weights=[np.full((4, 2), number)],
            architecture="{}",
            state=None,
            way="stacked" if family == "mlp" else "fitted",
        )
        return trial, trained


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return Run.create(tmp_path / "run")


def _study(run: Run, objective: Objective, proposer: Proposer, budget: Budget, **changes: Any) -> Study:
    arguments: dict[str, Any] = {
        "families": ("mlp",), "is_adaptive": True, "on_trial": lambda trial, trials: None, **changes
    }  # fmt: skip
    return Study(run, Ledger(run), proposer, objective, budget=budget, **arguments)  # type: ignore[arg-type]


def _statuses(run: Run) -> list[str]:
    return [trial.status for trial in run.trials()]


def test_all_trials_are_run_recorded_and_told(run: Run) -> None:
    shown: list[tuple[int, int]] = []
    proposer = Proposer(run)
    running = _study(
        run, Objective(lambda n: CURVE), proposer, Budget(3),
        on_trial=lambda trial, trials: shown.append((trial.number, len(trials))),
    )  # fmt: skip
    assert running.run_all() == "all 3 trials were run"
    assert proposer.on_disk == [0, 1, 2]
    assert proposer.told == [(n, 0.5, "completed", list(zip(LOOKS, CURVE, strict=True))) for n in range(3)]
    assert shown == [(0, 1), (1, 2), (2, 3)]
    assert run.trials() == running.trials
    assert (run.out_of_fold(2) == 2).all() and run.out_of_fold(2).shape == (4, 2, 5, 1)
    stored = run.weights(1)
    assert set(stored) == {"architecture", "target_center", "target_scale", "weight_000"}
    assert (stored["weight_000"] == 1).all()


def test_a_score_whose_higher_value_is_better_is_told_as_a_loss(run: Run) -> None:
    objective, proposer = Objective(lambda n: CURVE), Proposer(run)
    objective.metric = metrics.METRICS["auc"]
    _study(run, objective, proposer, Budget(1)).run_all()
    assert proposer.told[0][1] == -0.5


def test_the_time_ends_it(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    now = iter([0.0, 0.0, 9.0, 9.9, 10.0])
    monkeypatch.setattr(study.time, "monotonic", lambda: next(now))
    running = _study(run, Objective(lambda n: CURVE), Proposer(run), Budget(100, seconds=10.0))
    assert running.run_all() == "the time of 10 s was used up after 3 trials"
    assert len(run.trials()) == 3


def test_an_exhausted_space_ends_it(run: Run) -> None:
    running = _study(run, Objective(lambda n: CURVE), Proposer(run, [{"x": 1}, {"x": 2}]), Budget(9))
    assert running.run_all() == "the space was exhausted after 2 trials"


def test_failures_in_a_row_end_it_and_others_do_not(run: Run) -> None:
    failing = {1, 2, 4, 6, 7, 8}
    objective = Objective(lambda n: f"diverged: {n}" if n in failing else CURVE)
    proposer = Proposer(run)
    reason = _study(run, objective, proposer, Budget(50, n_failures_in_a_row=3)).run_all()
    assert reason == "3 trials failed in a row, the last because: diverged: 8"
    assert [n for n, status in enumerate(_statuses(run)) if status == "failed"] == sorted(failing)
    assert proposer.told[1] == (1, None, "failed", [])
    assert run.trials()[4].cause == "diverged: 4"
    assert not (run.path / "oof/00001.npy").exists() and not (run.path / "weights/00001.npz").exists()


def test_duplicates_are_not_computed_again(run: Run) -> None:
    configs = [{"x": 1, "y": 2.0}, {"y": 2.0, "x": 1}, {"x": 2, "y": 2.0}, {"x": 1, "y": 2.0}]
    objective, proposer = Objective(lambda n: CURVE), Proposer(run, configs)
    _study(run, objective, proposer, Budget(4)).run_all()
    assert sorted(objective.ceilings) == [0, 2]
    assert _statuses(run) == ["completed", "duplicate", "completed", "duplicate"]
    again = run.trials()[3]
    assert (again.number, again.duplicate_of, again.score, again.fit_seconds) == (3, 0, 0.5, 0.0)
    assert [told[1:3] for told in proposer.told] == [(0.5, "completed"), (0.5, "duplicate")] * 2
    assert not (run.path / "oof/00001.npy").exists()
    stages = Ledger(run).read()
    assert list(stages[stages.stage == "epoch"].trial) == [0, 2]


def test_a_failed_configuration_may_be_tried_again(run: Run) -> None:
    objective = Objective(lambda n: "out of memory" if n == 0 else CURVE)
    _study(run, objective, Proposer(run, [{"x": 1}, {"x": 1}]), Budget(2)).run_all()
    assert _statuses(run) == ["failed", "completed"]


def test_nothing_but_duplicates_ends_it(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(study, "MOST_DUPLICATES_IN_A_ROW", 4)
    reason = _study(run, Objective(lambda n: CURVE), Proposer(run, [{"x": 1}] * 90), Budget(80)).run_all()
    assert reason == "the last 4 proposals had been tried before" and len(run.trials()) == 5


def test_trials_above_the_median_are_pruned_recorded_and_told(run: Run) -> None:
    bad = (0.9, 0.8, 0.8, 0.1)
    objective = Objective(lambda n: bad if n >= N_STARTUP else (0.9, 0.7, 0.3 + n / 10, 0.6))
    proposer = Proposer(run)
    _study(run, objective, proposer, Budget(N_STARTUP + 2)).run_all()
    assert [objective.ceilings[n] for n in range(N_STARTUP)] == [{}] * N_STARTUP
    assert objective.ceilings[N_STARTUP] == {16: 0.5}
    assert _statuses(run) == ["completed"] * N_STARTUP + ["pruned"] * 2
    last = run.trials()[-1]
    assert last.checkpoints == (1, 8, 16) and (run.out_of_fold(last.number) == last.number).all()
    assert not (run.path / f"weights/{last.number:05d}.npz").exists()
    assert proposer.told[-1][1:3] == (0.8, "pruned")
    # What was pruned sets no ceiling.
    assert objective.ceilings[N_STARTUP + 1] == {16: 0.5}


def test_every_decision_is_in_the_ledger_for_what_it_costs(run: Run) -> None:
    objective = Objective(lambda n: CURVE)
    _study(run, objective, Proposer(run), Budget(N_STARTUP + 1)).run_all()
    ledger = Ledger(run).read()
    assert set(ledger.repeats) == {2} and set(ledger.folds) == {2} and set(ledger.rows) == {4}
    epochs = ledger[ledger.stage == "epoch"]
    assert list(epochs.trial) == list(range(N_STARTUP + 1)) and set(epochs.alternatives) == {4}
    assert np.allclose(epochs.nats, math.log(4))
    assert np.allclose(epochs.apparent_gain, np.mean(CURVE) - min(CURVE))
    proposals = ledger[ledger.stage == "propose"]
    assert list(proposals.trial) == [2, 3, 4, 5] and list(proposals.alternatives) == [2, 3, 4, 5]
    assert np.allclose(proposals.nats, np.log([2, 3, 4, 5]))
    assert '"x": 5' in proposals.iloc[-1].chosen
    prunings = ledger[ledger.stage == "prune"]
    assert list(prunings.trial) == [N_STARTUP] and list(prunings.chosen) == ["kept"]
    assert np.allclose(prunings.nats, math.log(2))


def _of_family(family: str, number: int) -> dict[str, Any]:
    return {"family": family, f"{family}.x": number}


def test_networks_are_compared_with_networks_and_nothing_else_is_pruned(run: Run) -> None:
    """Rounds of a booster are no epochs: its curve sets no ceiling, and none is set for it."""
    others = [_of_family(name, n) for n, name in enumerate(("boosting", "linear") * N_STARTUP)]
    networks = [_of_family("mlp", n) for n in range(N_STARTUP + 1)]
    last = [_of_family("boosting", 99), _of_family("mlp", 99)]
    configs = [*others, *networks, *last]
    objective = Objective(lambda n: (0.9, 0.8, 0.8, 0.1) if n >= len(configs) - 2 else CURVE)
    _study(
        run, objective, Proposer(run, configs), Budget(len(configs)), families=("mlp", "boosting", "linear")
    ).run_all()
    first = len(others)
    assert [objective.ceilings[n] for n in range(first + N_STARTUP)] == [{}] * (first + N_STARTUP)
    assert objective.ceilings[first + N_STARTUP] == objective.ceilings[len(configs) - 1] == {16: 0.5}
    assert objective.ceilings[len(configs) - 2] == {}
    assert _statuses(run) == ["completed"] * (len(configs) - 1) + ["pruned"]
    trial = run.trials()[0]
    assert (trial.family, dict(trial.config)) == ("boosting", {"x": 0}), "its own names, without the prefix"
    prunings = Ledger(run).read().query("stage == 'prune'")
    assert list(prunings.trial) == [first + N_STARTUP, len(configs) - 1]


def test_models_that_are_too_large_are_not_kept_if_the_seed_gives_them_again(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(study, "MOST_STORED_BYTES", 10)
    configs = [_of_family("boosting", 0), _of_family("mlp", 1)]
    budget, families = Budget(2), ("mlp", "boosting")
    _study(run, Objective(lambda n: CURVE), Proposer(run, configs), budget, families=families).run_all()
    assert not run.has("weights/00000.npz") and run.has("weights/00001.npz")
    assert run.has("oof/00000.npy"), "predictions are kept in any case"


@pytest.mark.parametrize(("choice", "nats"), [("fold", 4 * math.log(4)), ("inner", None), ("fixed", None)])
def test_what_an_epoch_costs_depends_on_how_it_is_chosen(run: Run, choice: str, nats: float | None) -> None:
    _study(run, Objective(lambda n: CURVE, choice), Proposer(run), Budget(2)).run_all()
    ledger = Ledger(run).read()
    epochs = ledger[ledger.stage == "epoch"]
    assert list(epochs.nats) == ([] if nats is None else [pytest.approx(nats)] * 2)


def test_proposals_that_do_not_look_cost_nothing(run: Run) -> None:
    _study(run, Objective(lambda n: CURVE), Proposer(run), Budget(4), is_adaptive=False).run_all()
    assert "propose" not in set(Ledger(run).read().stage)


def test_an_interruption_keeps_what_is_finished(run: Run) -> None:
    def answer(number: int) -> Sequence[float]:
        if number == 2:
            raise KeyboardInterrupt
        return CURVE

    running = _study(run, Objective(answer), Proposer(run), Budget(9))
    with pytest.raises(KeyboardInterrupt):
        running.run_all()
    assert len(running.trials) == len(run.trials()) == 2


def test_the_hook_ends_it_with_its_reason(run: Run) -> None:
    seen: list[int] = []

    def enough(trial: Trial) -> str | None:
        assert len(run.trials()) == trial.number + 1, "asked after the trial is on the disk"
        seen.append(trial.number)
        return "that will do" if trial.number == 2 else None

    running = _study(run, Objective(lambda n: CURVE), Proposer(run), Budget(9), enough=enough)
    assert running.run_all() == "that will do" and seen == [0, 1, 2] and len(run.trials()) == 3


def test_the_budget_of_trials_is_the_reason_where_both_end_it(run: Run) -> None:
    running = _study(run, Objective(lambda n: CURVE), Proposer(run), Budget(2), enough=lambda trial: "enough")
    running.trials.append(Trial(-1, "mlp", {}, "failed"))
    assert running.run_all() == "all 2 trials were run"


def test_an_interrupt_waits_for_what_is_under_way() -> None:
    done, before = [], signal.signal(signal.SIGINT, signal.default_int_handler)  # a background job ignores it
    try:
        with pytest.raises(KeyboardInterrupt), whole():
            os.kill(os.getpid(), signal.SIGINT)
            done.append("written")
        assert done == ["written"] and signal.getsignal(signal.SIGINT) is signal.default_int_handler
    finally:
        signal.signal(signal.SIGINT, before)


def test_two_workers_train_at_the_same_time_and_each_trial_once(run: Run) -> None:
    together = threading.Barrier(2, timeout=20.0)

    class Met(Objective):
        def evaluate(self, number: int, family: str, config: Any, ceilings: dict[int, float]) -> Any:
            together.wait()  # neither goes on before the other has begun
            return super().evaluate(number, family, config, ceilings)

    class Asked:
        def __init__(self) -> None:
            self.asked, self.told = 0, list[int]()

        def ask(self) -> Proposal:
            self.asked += 1
            return Proposal(self.asked - 1, {"x": self.asked})

        def tell(self, proposal: Proposal, *_: Any) -> None:
            self.told.append(proposal.number)

    proposer = Asked()
    running = _study(run, Met(lambda n: CURVE), proposer, Budget(6))  # type: ignore[arg-type]
    running.n_workers = 2
    assert running.run_all() == "all 6 trials were run"
    assert sorted(trial.number for trial in run.trials()) == sorted(proposer.told) == list(range(6))
