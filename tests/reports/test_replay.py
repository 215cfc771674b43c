"""The replayed rule is the study's rule, and rows of weight zero have no say in it."""

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reports import replay
from reports.history import History, history_of
from reports.replay import STAGES, Decision, Lines, Rule, curves, decide, decide_all, losses_at, predictions
from search import metrics
from search.pruning import ceilings
from search.records import Run, RunError, Trial
from tests.reports.histories import LOOKS, first_only, rule_for, small


def played(history: History, rule: Rule, weights: np.ndarray) -> tuple[list[int], list[bool], int]:
    """The study's rule, written out trial by trial with the metric's own function."""
    completed: list[Any] = []
    kept, is_pruned = [], []
    for t, table in enumerate(history.predictions):
        curve = []
        for predicted in table:
            by_repeat = []
            for repeat, is_held in zip(predicted, history.is_held, strict=True):
                w = weights * is_held
                if w.any():
                    filled = np.where(np.isnan(repeat), 0.5, repeat)
                    by_repeat.append(metrics.loss(rule.metric, history.y, filled, w))
            curve.append(float(np.mean(by_repeat)))
        limits, is_out, end = ceilings(completed, rule.looks), False, len(curve)
        for i, epoch in enumerate(history.epochs[t]):
            best = int(np.argmin(curve[: i + 1]))
            is_out = history.is_completed[t] and curve[best] > limits.get(epoch, np.inf)
            stale = max(rule.patience_from, rule.patience * history.epochs[t][best])
            if is_out or (rule.patience and epoch >= stale):
                end = i + 1
                break
        kept.append(int(np.argmin(curve[:end])))
        is_pruned.append(bool(is_out or not history.is_completed[t]))
        if not is_pruned[-1]:
            completed.append((history.epochs[t][:end], curve[:end]))
        curves_of.setdefault(id(history), {})[t] = curve
    left = [t for t in range(history.n_trials) if not is_pruned[t]]
    return kept, is_pruned, min(left, key=lambda t: (curves_of[id(history)][t][kept[t]], t))


curves_of: dict[int, dict[int, list[float]]] = {}


def agrees(decision: Decision, expected: tuple[list[int], list[bool], int]) -> None:
    kept, is_pruned, winner = expected
    assert decision.is_pruned.tolist() == is_pruned
    left = ~decision.is_pruned  # of a pruned trial nobody asks the epoch
    assert (decision.kept[left] == np.array(kept)[left]).all()
    assert decision.winner == winner


@pytest.mark.parametrize("name", ["log_loss", "accuracy", "auc"])
@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 2**16), is_timid=st.booleans())
def test_the_rule_is_played_as_written(name: str, seed: int, is_timid: bool) -> None:
    rng = np.random.default_rng(seed)
    is_completed = np.arange(12) < rng.integers(6, 13)
    history = small(seed, n_trials=12, is_completed=rng.permutation(is_completed))
    rule = rule_for(name, choose_members=first_only)
    if is_timid:
        rule = replace(rule, patience=2.0, patience_from=8)
    weights = rng.integers(0, 3, len(history.y)).astype(float)
    weights[:2], history.y[:2, 0] = 1.0, (0.0, 1.0)
    agrees(decide(history, rule, weights), played(history, rule, weights))


@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 999))
def test_rows_of_weight_zero_have_no_say(seed: int) -> None:
    rng = np.random.default_rng(seed)
    history, rule = small(seed), rule_for("log_loss")
    weights = (rng.random(len(history.y)) < 0.7).astype(float)
    others = np.where(weights[:, None] > 0, history.y, 1.0 - history.y)
    tables = tuple(
        np.where(weights[:, None] > 0, t, rng.random(t.shape)).astype(t.dtype) for t in history.predictions
    )
    first = decide(history, rule, weights)
    second = decide(replace(history, y=others, predictions=tables), rule, weights)
    for name in ("kept", "losses", "is_pruned", "winner", "weights"):
        np.testing.assert_array_equal(getattr(first, name), getattr(second, name))


def test_a_count_weighs_as_much_as_copies_of_the_row() -> None:
    history, rule = small(3), rule_for("log_loss")
    counts = np.random.default_rng(0).integers(0, 3, len(history.y))
    rows = np.repeat(np.arange(len(counts)), counts)
    copied = replace(
        history,
        y=history.y[rows],
        predictions=tuple(table[:, :, rows] for table in history.predictions),
        units=np.arange(len(rows)),
    )
    one, other = decide(history, rule, counts), decide(copied, rule, np.ones(len(rows)))
    assert one.winner == other.winner
    np.testing.assert_array_equal(one.kept, other.kept)
    np.testing.assert_allclose(one.weights, other.weights)


def test_equal_losses_go_to_the_earlier_epoch_and_trial() -> None:
    history = small(0)
    same = replace(history, predictions=(history.predictions[0],) * 8, architectures=("a",) * 8)
    constant = replace(same, predictions=tuple(np.repeat(t[:1], len(t), axis=0) for t in same.predictions))
    found = decide(constant, rule_for("accuracy"), np.ones(60))
    assert found.winner == 0
    assert not found.kept.any()
    assert found.weights.tolist() == [1.0] + [0.0] * 7


def test_what_was_pruned_is_not_revived_and_without_a_rule_nothing_else_is_pruned() -> None:
    history = small(1)
    best = decide(history, rule_for("log_loss", ceilings=None), np.ones(60)).winner
    is_completed = np.arange(8) != best
    again = decide(
        replace(history, is_completed=is_completed), rule_for("log_loss", ceilings=None), np.ones(60)
    )
    assert again.winner != best
    assert again.weights[best] == 0.0
    assert (again.is_pruned == ~is_completed).all()


class Sharper:
    """A calibration by a power that depends on the rows that decided."""

    method = "power"

    def __init__(self, power: float) -> None:
        self.power = power

    def apply(self, predictions: np.ndarray) -> np.ndarray:
        return predictions**self.power


def sharpened(lines: Lines, predictions: np.ndarray, method: str | None) -> Sharper:
    assert method in (None, "power") and len(predictions) == len(lines.y)
    return Sharper(1.0 + float(lines.row_weights @ lines.y[:, 0]) / len(lines.y))


def test_a_calibration_is_fitted_on_the_rows_that_decide_and_can_be_frozen() -> None:
    history, rule = small(2), rule_for("log_loss", calibrate=sharpened)
    full = decide(history, rule, np.ones(60))
    weights = (np.arange(60) < 30).astype(float)
    free = decide(history, rule, weights)
    held = decide(history, rule, weights, frozen=("calibration", full))
    assert isinstance(free.calibration, Sharper) and isinstance(full.calibration, Sharper)
    assert free.calibration.power != full.calibration.power and held.calibration is full.calibration
    plain = predictions(history, replace(free, calibration=None), np.arange(60))[1]
    np.testing.assert_allclose(
        predictions(history, free, np.arange(60))[1], plain**free.calibration.power, equal_nan=True
    )


def test_the_method_is_chosen_from_the_rows_that_decide_unless_it_is_settled() -> None:
    def by_method(candidates: Any, architectures: Any, y: Any, w: Any, method: str) -> Any:
        return np.eye(len(candidates))[0 if method == "first" else -1]

    rule = rule_for(
        "log_loss",
        choose_members=by_method,
        choose_method=lambda lines: "first" if len(lines.y) == 120 else "last",
    )
    history = small(2)
    full, half = decide(history, rule, np.ones(60)), decide(history, rule, (np.arange(60) < 30).astype(float))
    assert (full.method, half.method) == ("first", "last") and full.weights[full.winner] == 1.0
    settled = decide(history, rule, (np.arange(60) < 30).astype(float), settled=full)
    assert settled.method == "first" and settled.weights[settled.winner] == 1.0


@pytest.mark.parametrize("stage", [stage for stage in STAGES if stage != "calibration"])
def test_a_frozen_stage_stays_as_it_was(stage: Any) -> None:
    history, rule = small(2, n_trials=12), rule_for("log_loss")
    full = decide(history, rule, np.ones(60))
    weights = (np.arange(60) < 30).astype(float)
    free, held = decide(history, rule, weights), decide(history, rule, weights, frozen=(stage, full))
    parts = {"epoch": "kept", "prune": "is_pruned", "winner": "winner", "members": "weights"}
    np.testing.assert_array_equal(getattr(held, parts[stage]), getattr(full, parts[stage]))
    for other in {"epoch", "prune"} - {stage}:
        np.testing.assert_array_equal(getattr(held, parts[other]), getattr(free, parts[other]))
    assert all(
        (decide(history, rule, np.ones(60), frozen=(s, full)).weights == full.weights).all() for s in STAGES
    )


def test_only_the_best_candidates_may_become_members() -> None:
    history = small(4)
    found = decide(history, rule_for("log_loss", most_candidates=1), np.ones(60))
    assert found.weights[found.winner] == 1.0


def test_curves_average_repeats_and_know_their_end() -> None:
    history = small(5)
    cut = replace(
        history,
        epochs=(LOOKS[:2], *history.epochs[1:]),
        predictions=(history.predictions[0][:2], *history.predictions[1:]),
    )
    metric = rule_for("log_loss").metric
    found = curves(cut, metric, np.ones((1, 60)))
    assert found.shape == (1, 8, 5)
    assert np.isinf(found[0, 0, 2:]).all()
    by_repeat = [metrics.loss(metric, cut.y, cut.predictions[0][1, r]) for r in range(2)]
    assert found[0, 0, 1] == pytest.approx(np.mean(by_repeat), rel=1e-12)


def test_predictions_mix_members_at_their_epochs() -> None:
    history = small(6)
    weights = np.array([0.25, 0.75, 0, 0, 0, 0, 0, 0])
    decision = Decision(np.array([1, 2, 0, 0, 0, 0, 0, 3]), np.zeros(8), np.zeros(8, bool), 7, weights)
    winner, ensemble = predictions(history, decision, np.array([4, 9]))
    np.testing.assert_array_equal(winner, history.predictions[7][3][:, [4, 9]])
    mixed = 0.25 * history.predictions[0][1][:, [4, 9]] + 0.75 * history.predictions[1][2][:, [4, 9]]
    np.testing.assert_allclose(ensemble, mixed, rtol=1e-6)


def test_threads_change_nothing() -> None:
    history, rule = small(7), rule_for("log_loss")
    weights = np.random.default_rng(0).integers(0, 2, (6, 60)).astype(float)
    found = curves(history, rule.metric, weights)
    for one, other in zip(
        decide_all(history, rule, weights, found, n_workers=1),
        decide_all(history, rule, weights, found, n_workers=2),
        strict=True,
    ):
        np.testing.assert_array_equal(one.weights, other.weights)


def test_a_history_without_a_completed_trial_is_refused() -> None:
    with pytest.raises(ValueError, match="a replay needs a completed trial"):
        small(0, is_completed=np.zeros(8, bool))
    with pytest.raises(ValueError, match="predictions at rising epochs"):
        small(0, epochs=((1, 2, 4, 8),) * 8)


def stored(path: Path, history: History) -> Run:
    """A run folder with the trials of a history, a failed one and a duplicate."""
    run = Run.create(path)
    for number, table in enumerate(history.predictions):
        run.save_out_of_fold(number, table)
        status: Any = "completed" if history.is_completed[number] else "pruned"
        run.append_trial(Trial(number, "mlp", {"depth": number}, status, kept_epochs=history.epochs[number]))
    run.append_trial(Trial(98, "mlp", {}, "failed", cause="no"))
    run.append_trial(Trial(99, "mlp", {}, "duplicate", duplicate_of=0))
    return run


def test_a_history_is_read_from_the_records(tmp_path: Path) -> None:
    made = small(8, is_completed=np.arange(8) != 3)
    read = history_of(stored(tmp_path / "run", made), made.y, architecture=lambda t: t.config["depth"])
    assert read.numbers == tuple(range(8))
    assert (read.is_completed == made.is_completed).all()
    assert isinstance(read.predictions[0], np.memmap)
    rule = rule_for("log_loss")
    one, other = decide(read, rule, np.ones(60)), decide(made, rule, np.ones(60))
    np.testing.assert_array_equal(one.weights, other.weights)


def test_epochs_of_each_fold_are_not_taken_for_a_common_one(tmp_path: Path) -> None:
    run, made = Run.create(tmp_path / "run"), small(0)
    run.save_out_of_fold(0, made.predictions[0])
    run.append_trial(Trial(0, "mlp", {}, "completed", chosen_epoch=8, kept_epochs=LOOKS[:4], chosen_index=4))
    with pytest.raises(RunError, match=r"a trial has one for all; in the run .* trial 0 has one for each"):
        history_of(run, made.y, architecture=lambda t: 0)
    read = history_of(run, made.y, architecture=lambda t: 0, has_epochs=False)
    assert read.epochs == ((8,),)
    np.testing.assert_array_equal(read.predictions[0][0], made.predictions[0][4])


def test_a_run_in_which_nothing_was_completed_has_no_history(tmp_path: Path) -> None:
    run = Run.create(tmp_path / "run")
    run.append_trial(Trial(0, "mlp", {}, "failed"))
    with pytest.raises(RunError, match="a replay needs a completed trial"):
        history_of(run, np.zeros((3, 1)), architecture=lambda t: 0)


@pytest.mark.slow
@pytest.mark.parametrize("demo", ["breast_cancer", "wine"])
def test_with_equal_weights_a_real_study_comes_back(tmp_path: Path, demo: str) -> None:
    from search.assembly import architecture_of
    from search.data import demo as demo_table
    from search.data import from_frame
    from search.training.recipe import Recipe

    command = [sys.executable, "-m", "search.run", "study", "--demo", demo, "--trials", "10"]
    subprocess.run(
        [*command, "--epochs", "30", "--out", str(tmp_path / "run")], check=True, capture_output=True
    )
    run, dataset = Run.open(tmp_path / "run"), from_frame(*demo_table(demo))
    metric = metrics.metric_for("log_loss", dataset.task)
    history = history_of(run, dataset.y, architecture=architecture_of)
    recipe = Recipe(n_epochs=30)
    rule = Rule(metric, choose_real(metric), ceilings, recipe.looks, recipe.patience)
    found = decide(history, rule, np.ones(dataset.n_rows))
    trials = run.trials()
    assert [history.epochs[t][k] for t, k in enumerate(found.kept)] == [t.chosen_epoch for t in trials]
    assert found.is_pruned.tolist() == [trial.status == "pruned" for trial in trials]
    np.testing.assert_allclose(found.losses, [min(trial.curve) for trial in trials], rtol=1e-12)
    summary = json.loads((run.path / "summary.json").read_text())
    assert history.numbers[found.winner] == summary["best_single"]["trial"]
    members = {m["trial"]: m["weight"] for m in summary["ensemble"]["members"]}
    assert {history.numbers[t]: found.weights[t] for t in np.flatnonzero(found.weights)} == pytest.approx(
        members
    )


def choose_real(metric: metrics.Metric) -> Any:
    from ensemble import collapse, select

    def choose(candidates: Any, architectures: Any, y: Any, row_weights: Any) -> Any:
        keep = collapse(candidates, architectures, y=y, row_weights=row_weights, loss="log_loss").keep
        weights = np.zeros(len(candidates))
        weights[keep] = select(candidates[keep], y, loss="log_loss", row_weights=row_weights).weights
        return weights

    return choose


def test_the_members_get_the_weighted_lines_repeat_by_repeat() -> None:
    seen: list[tuple[Any, ...]] = []

    def choose(candidates: Any, architectures: Any, y: Any, row_weights: Any) -> Any:
        seen.append((candidates, architectures, y, row_weights))
        return np.eye(len(candidates))[0]

    history = small(9)
    weights = np.zeros(60)
    weights[[3, 5]] = 1.0, 2.0
    found = decide(history, rule_for("accuracy", choose_members=choose, ceilings=None), weights)
    candidates, architectures, y, row_weights = seen[0]
    assert architectures[0] == found.winner
    assert row_weights.tolist() == [1.0, 2.0, 1.0, 2.0]
    np.testing.assert_array_equal(y, history.y[[3, 5, 3, 5]])
    own = history.predictions[found.winner][found.kept[found.winner]]
    np.testing.assert_array_equal(candidates[0], own[:, [3, 5]].reshape(4, 1))


def test_a_wrong_number_of_weights_is_refused() -> None:
    rule = rule_for("log_loss", choose_members=lambda c, a, y, w: np.ones(3))
    with pytest.raises(ValueError, match="choose_members must return one weight"):
        decide(small(0), rule, np.ones(60))


@pytest.mark.parametrize("has_row_weights", [False, True])
def test_row_weightings_of_any_type_give_the_same_losses_portion_by_portion(
    monkeypatch: pytest.MonkeyPatch, has_row_weights: bool
) -> None:
    rng = np.random.default_rng(0)
    made, metric = small(3), rule_for("log_loss").metric
    if has_row_weights:
        made = replace(made, row_weights=rng.uniform(0.5, 2.0, len(made.y)))
    counts = rng.integers(0, 4, (9, len(made.y))).astype(np.uint8)
    kept = np.zeros(made.n_trials, np.int64)
    whole = curves(made, metric, counts.astype(np.float64)), losses_at(made, metric, kept, counts)
    seen: list[int] = []
    plain = replay.losses

    def watched(metric: Any, y: np.ndarray, tables: np.ndarray, row_weights: np.ndarray) -> np.ndarray:
        seen.append(row_weights.size)
        assert row_weights.dtype == np.float64
        return plain(metric, y, tables, row_weights)

    monkeypatch.setattr(replay, "losses", watched)
    monkeypatch.setattr(replay, "MOST_WEIGHTS", 2 * int(made.is_held.sum()))
    np.testing.assert_allclose(curves(made, metric, counts), whole[0], rtol=1e-12)
    np.testing.assert_allclose(losses_at(made, metric, kept, counts), whole[1], rtol=1e-12)
    assert max(seen) <= replay.MOST_WEIGHTS
    np.testing.assert_array_equal(curves(made, metric, counts > 0), curves(made, metric, 1.0 * (counts > 0)))
