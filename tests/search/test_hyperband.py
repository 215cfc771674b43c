"""A Hyperband study: members go on with their own weights, nothing leaks, each promotion is accounted for."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from reports.estimates import estimate
from reports.history import history_of
from search import assembly, metrics
from search.combination import Combiner
from search.data import Dataset, from_frame
from search.ledger import Ledger
from search.objective import Objective, make_plan
from search.proposers import (
    Proposal,
    Proposer,
    ProposerError,
    Rung,
    check_has_epochs,
    keras_tuner_proposer,
)
from search.records import Run, Trial
from search.splits import make_folds
from search.study import Budget, Study
from search.training.engine import Engine
from search.training.recipe import Recipe
from search.training.trained import Request, Stretch, Trained, TrainingFailed, validation_loss
from spaces.joint import space_of
from spaces.signature import Signature
from spaces.space import Space
from tests.search.studies import SPACE

N_EPOCHS, N_TRIALS = 27, 18  # 12 trials of 3 epochs, 4 go on to 9, 2 of these to 27
STOPS = (3, 9, 27)
RATES: dict[str, Any] = {**SPACE, "width": 32, "batch_size": 8, "schedule": "cosine"}


def _noise(seed: int, n_rows: int = 90) -> Dataset:
    """Numbers, and a balanced target that has nothing to do with them."""
    rng = np.random.default_rng(seed)
    frame = pd.DataFrame(rng.normal(size=(n_rows, 6)), columns=[f"x{k}" for k in range(6)])
    return from_frame(frame.assign(y=rng.permutation(np.repeat([0, 1], n_rows // 2))), "y")


@dataclass
class Shop:
    """Trains by an engine of this process, and keeps what it was asked."""

    engine: Engine
    is_leaking: bool = False
    failing: tuple[int, ...] = ()
    asked: list[Request] = None  # type: ignore[assignment]

    def train(self, request: Request) -> Trained:
        self.asked = [*(self.asked or []), request]
        if len(self.asked) - 1 in self.failing:
            raise TrainingFailed("out of memory")
        if self.is_leaking and request.state is not None:
            request = replace(request, state={n: _of_others(n, v) for n, v in request.state.items()})
        return self.engine.train_request(request)


def _of_others(name: str, values: Any) -> Any:
    """Each member's training, given to the member that holds out what it learned from."""
    is_of_members = name.startswith("trainer_0") and values.ndim
    return np.roll(values, 1, axis=0) if is_of_members else values


def _study(
    place: Path, data: Dataset, seed: int, *, proposer: Proposer | None = None, **changes: Any
) -> tuple[Study, Shop]:
    metric, signature = metrics.metric_for("auc", data.task), Signature(data.schema, data.task, data.n_rows)
    rng = np.random.default_rng(seed)
    folds = make_folds(data, n_splits=3, n_repeats=1, is_stratified=True, rng=rng)
    plan = make_plan(data, folds.members())
    shop = Shop(Engine(plan, validation_loss("auc", data.task)), **changes)
    run = Run.create(place)
    run.save_json("run.json", {})
    oracle = proposer or _oracle(run, _space(data), seed)
    objective = Objective(shop, plan, folds, signature, metric, Recipe(n_epochs=N_EPOCHS), seed)
    made = Study(
        run, Ledger(run), oracle, objective, ("mlp",), Budget(N_TRIALS), False, lambda trial, trials: None
    )
    return made, shop


def _space(data: Dataset) -> Space:
    return space_of(("mlp",), Signature(data.schema, data.task, data.n_rows), RATES)


def _oracle(run: Run, space: Space, seed: int) -> Proposer:
    return keras_tuner_proposer(
        space, oracle="hyperband", seed=seed, directory=run.path / "oracle", max_trials=N_TRIALS,
        max_epochs=N_EPOCHS,
    )  # fmt: skip


def _honest(study: Study, data: Dataset, seed: int) -> float:
    """The honest score of the best trial: epoch and winner are chosen on other rows than it is scored on."""
    history = history_of(
        study.run, data.y, architecture=assembly.architecture_of, is_watched=lambda t: t.stop_epoch is None
    )
    rule = Combiner(study.objective.metric, "best", "none").rule(study.objective.defaults)
    rng = np.random.default_rng(seed)
    return estimate(history, rule, rng=rng, n_draws=0, n_share_rounds=0, n_workers=1).winner.honest


def _scores_on_noise(place: Path, seeds: range, **changes: Any) -> Iterator[float]:
    for seed in seeds:
        data = _noise(seed)
        study, _ = _study(place / f"run{seed}", data, seed, **changes)
        study.run_all()
        yield _honest(study, data, seed)


def _is_chance(scores: list[float]) -> bool:
    """Whether the mean area under the curve lies within two standard errors of 0.5."""
    return bool(abs(np.mean(scores) - 0.5) < 2.0 * np.std(scores, ddof=1) / math.sqrt(len(scores)))


def test_on_permuted_targets_it_scores_chance(tmp_path: Path) -> None:
    assert _is_chance(list(_scores_on_noise(tmp_path, range(4))))


def test_the_law_finds_the_leak_of_members_that_go_on_with_each_others_weights(tmp_path: Path) -> None:
    scores = list(_scores_on_noise(tmp_path, range(3), is_leaking=True))
    assert not _is_chance(scores) and np.mean(scores) > 0.65


@dataclass(frozen=True)
class Done:
    """A study that has ended, and what was there while it ran."""

    study: Study
    asked: list[Request]
    trials: list[Trial]
    n_states: list[int]


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> Done:
    place, n_states = tmp_path_factory.mktemp("hyperband") / "run", []
    study, shop = _study(place, _noise(0), 0)
    study.on_trial = lambda trial, trials: n_states.append(len(list((place / "resume").glob("*"))))
    assert study.run_all() == f"all {N_TRIALS} trials were run"
    return Done(study, list(shop.asked), study.run.trials(), n_states)


def test_the_best_of_each_round_go_on(done: Done) -> None:
    assert [trial.stop_epoch for trial in done.trials] == [3] * 12 + [9] * 4 + [27] * 2
    assert all(trial.status == "completed" for trial in done.trials)
    for stop, n_left in ((3, 4), (9, 2)):
        before = [t for t in done.trials if t.stop_epoch == stop]
        best = sorted(before, key=lambda t: -t.score)[:n_left]  # type: ignore[operator]
        after = [t.resumed_from for t in done.trials if t.resumed_from in {b.number for b in before}]
        assert after == [trial.number for trial in best], "best first, each once"


def test_a_trial_has_the_curve_and_the_predictions_of_all_its_epochs(done: Done) -> None:
    for trial in done.trials[12:]:
        before = done.trials[trial.resumed_from]  # type: ignore[index]
        n = len(before.curve)
        assert trial.config == before.config
        assert trial.curve[:n] == before.curve and trial.checkpoints[:n] == before.checkpoints
        assert trial.checkpoints[-1] == trial.stop_epoch and set(STOPS[:2]) < {*trial.checkpoints, 9}
        kept, stored = (done.study.run.out_of_fold(one.number) for one in (before, trial))
        assert stored[: len(kept)].tobytes() == kept.tobytes()
        assert trial.kept_epochs == trial.checkpoints


def test_resumed_is_trained_in_one_go(done: Done) -> None:
    """The record of a trial that went on twice is that of the same configuration trained at once."""
    last = done.trials[-1]
    first = done.trials[done.trials[last.resumed_from].resumed_from]  # type: ignore[index]
    assert first.resumed_from is None
    trial, trained = done.study.objective.evaluate(
        first.number, "mlp", last.config, {}, Stretch(N_EPOCHS, STOPS)
    )
    assert trained is not None
    for name in (
        "curve",
        "train_curve",
        "score",
        "fold_scores",
        "chosen_epoch",
        "member_epochs",
        "train_score",
    ):
        assert getattr(trial, name) == getattr(last, name), name
    assert trained.out_of_fold.tobytes() == done.study.run.out_of_fold(last.number).tobytes()
    stored = done.study.run.weights(last.number)
    assert all(np.array_equal(w, stored[f"weight_{k:03d}"]) for k, w in enumerate(trained.weights))


def test_epochs_are_trained_once(done: Done) -> None:
    assert [request.state is not None for request in done.asked] == [False] * 12 + [True] * 6
    assert {request.recipe.n_epochs for request in done.asked} == {N_EPOCHS}
    assert {request.recipe.patience for request in done.asked} == {0.0}
    assert not any(request.ceilings for request in done.asked)
    seeds = [request.seed for request in done.asked]
    assert len(set(seeds)) == 12 and set(seeds[12:]) < set(seeds[:12])


def test_only_what_may_go_on_is_stored_and_nothing_in_the_end(done: Done) -> None:
    assert done.n_states[:5] == [1, 2, 3, 4, 5]
    assert max(done.n_states) <= 4 + 2 + 1  # those of a round that may go on, those that did, the newest
    assert not done.study.run.has("resume")


def test_every_promotion_is_in_the_ledger_for_what_it_costs(done: Done) -> None:
    ledger = Ledger(done.study.run).read()
    went_on = ledger[ledger.stage == "propose"]
    assert list(went_on.trial) == list(range(12, 18))
    assert list(went_on.alternatives) == [12, 11, 10, 9, 4, 3]
    assert went_on.nats[:4].sum() == pytest.approx(math.log(math.comb(12, 4)))
    assert went_on.nats[4:].sum() == pytest.approx(math.log(math.comb(4, 2)))
    assert (went_on.apparent_gain >= 0).all()
    best = done.trials[12].resumed_from
    assert went_on.chosen.iloc[0] == f"trial {best} goes on to epoch 9"
    assert "prune" not in set(ledger.stage)


def test_a_replay_reads_the_whole_curve(done: Done) -> None:
    history = history_of(
        done.study.run, done.study.objective.plan.y, architecture=assembly.architecture_of,
        is_watched=lambda trial: trial.stop_epoch is None,
    )  # fmt: skip
    assert not history.can_end_early.any() and history.is_completed.all()
    assert history.epochs[-1] == done.trials[-1].checkpoints


class Told:
    """Proposes what it is given."""

    def __init__(self, proposals: list[Proposal]) -> None:
        self.left, self.told = list(proposals), list[tuple[int, str]]()

    def ask(self) -> Proposal | None:
        return self.left.pop(0) if self.left else None

    def tell(self, proposal: Proposal, loss: Any, status: str, curve: Any = ()) -> None:
        self.told.append((proposal.number, status))


def _config(rate: float) -> dict[str, Any]:
    return {**_space(_noise(0)).sample(np.random.default_rng(0)), "learning_rate": rate}


def test_a_duplicate_goes_on_as_what_it_is_a_duplicate_of(tmp_path: Path) -> None:
    proposals = [
        Proposal(0, _config(0.01), Rung(2, (2, 4))),
        Proposal(1, _config(0.01), Rung(2, (2, 4), awaited=(0,))),
        Proposal(2, _config(0.01), Rung(4, (2, 4), resumes=1, compared=(1, 0), awaited=(1, 0))),
        Proposal(3, _config(0.01), Rung(4, (2, 4), resumes=0, compared=(0,), n_before=1, awaited=(0,))),
    ]
    oracle = Told(proposals)
    study, shop = _study(tmp_path / "run", _noise(0), 0, proposer=oracle)
    study.run_all()
    assert oracle.told == [(0, "completed"), (1, "duplicate"), (2, "completed"), (3, "duplicate")]
    assert [request.stop for request in shop.asked] == [2, 4]
    assert shop.asked[1].state is not None and shop.asked[0].seed == shop.asked[1].seed
    assert study.run.trials()[3].duplicate_of == 2


def test_without_its_state_a_training_is_done_again_to_the_same_end(tmp_path: Path) -> None:
    proposals = [
        Proposal(0, _config(0.01), Rung(2, (2, 4))),
        Proposal(1, _config(0.01), Rung(4, (2, 4), resumes=0, compared=(0,), awaited=(0,))),
    ]
    found = []
    for place in ("with", "without"):
        study, shop = _study(tmp_path / place, _noise(0), 0, proposer=Told(proposals))
        if place == "without":
            study.on_trial = lambda trial, trials, run=study.run: run.forget_resume()
        study.run_all()
        found.append(study.run.out_of_fold(1))
        assert (shop.asked[1].state is None) == (place == "without")
    assert found[0].tobytes() == found[1].tobytes()


def test_failures_cost_no_promotion_and_hang_nothing(tmp_path: Path) -> None:
    study, _ = _study(tmp_path / "run", _noise(0), 0, failing=(0, 1, 2, 5, 7, 9, 10, 11, 13))
    study.run_all()
    trials = study.run.trials()
    assert [t.stop_epoch for t in trials] == [3] * 12 + [9] * 4 + [27] * 2
    assert [t.number for t in trials if t.status == "failed"] == [0, 1, 2, 5, 7, 9, 10, 11, 13]
    assert trials[13].resumed_from is not None and trials[13].stop_epoch == 9
    assert not {t.resumed_from for t in trials} & {0, 1, 2, 5, 7, 9, 10, 11, 13}


def test_an_interruption_keeps_what_may_go_on(done: Done, tmp_path: Path) -> None:
    def stop(trial: Trial, trials: list[Trial]) -> None:
        if trial.number == 13:
            raise KeyboardInterrupt

    data = _noise(0)
    study, _ = _study(tmp_path / "run", data, 0)
    study.on_trial = stop
    with pytest.raises(KeyboardInterrupt):
        study.run_all()
    assert len(os.listdir(study.run.path / "resume")) == 2 + 2 + 1  # to go on, those that did, its source
    again = _study(tmp_path / "other", data, 0, proposer=_oracle(study.run, _space(data), 0))[0]
    continued = replace(again, run=study.run, ledger=Ledger(study.run))
    continued.take_up(study.run.trials())
    continued.run_all()
    trials = study.run.trials()
    assert [t.score for t in trials] == [t.score for t in done.trials] and not study.run.has("resume")


def test_families_without_epochs_are_refused() -> None:
    check_has_epochs(["mlp", "tabm"])
    with pytest.raises(ProposerError, match="networks, and linear, boosting have none: name networks alone"):
        check_has_epochs(["mlp", "linear", "boosting"])
