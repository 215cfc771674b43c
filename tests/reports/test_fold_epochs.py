"""An epoch for each fold: too good when printed, replayed as the study chose it, and paid for."""

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

from reports.comparisons import fold_losses
from reports.estimates import estimate
from reports.history import History, history_of
from reports.replay import Rule, curves, decide, losses_at, predictions
from search import metrics
from search.pruning import ceilings
from search.records import Run, RunError, Trial
from search.training.trained import pooled_loss
from tests.reports.histories import BINARY, LOOKS, first_only, fold_histories, rule_for, small

LOG_LOSS = metrics.metric_for("log_loss", BINARY)


def by_fold(seed: int, n_folds: int = 3, **changes: Any) -> History:
    made = small(seed, **changes)
    tables = np.stack(made.predictions)
    return fold_histories(
        tables, made.y, n_folds=n_folds, n_repeats=tables.shape[2], is_completed=made.is_completed
    )


def members_of(made: History) -> list[tuple[int, np.ndarray]]:
    folds = made.fold_of_row
    assert folds is not None
    return [(r, np.flatnonzero(f == k)) for r, f in enumerate(folds) for k in range(int(folds.max()) + 1)]


def played(made: History, rule: Rule, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The study's course in this mode, look by look, with the metric's own function."""
    members, completed, kept, is_pruned = members_of(made), [], [], []
    for t, table in enumerate(made.predictions):
        limits: Any = ceilings(completed, rule.looks)
        best, best_at, mean_best, curve, is_out = {}, {}, np.inf, [], False
        for i, epoch in enumerate(made.epochs[t]):
            found = {
                m: metrics.loss(rule.metric, made.y[rows], table[i, r, rows], weights[rows])
                for m, (r, rows) in enumerate(members)
                if weights[rows].any()
            }
            for m, loss in found.items():
                if loss < best.get(m, np.inf):
                    best[m], best_at[m] = loss, i
            curve.append(float(np.mean(list(found.values()))))
            mean_best = min(mean_best, curve[-1])
            is_out = bool(made.is_completed[t] and mean_best > limits.get(epoch, np.inf))
            latest = max(made.epochs[t][at] for at in best_at.values())
            if is_out or (rule.patience and epoch >= max(rule.patience_from, rule.patience * latest)):
                break
        common = int(np.argmin(curve))
        kept.append([best_at.get(m, common) for m in range(len(members))])
        is_pruned.append(is_out or not made.is_completed[t])
        if not is_pruned[-1]:
            completed.append((made.epochs[t][: len(curve)], curve))
    return np.array(kept), np.array(is_pruned)


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 2**16), is_timid=st.booleans(), has_silent_fold=st.booleans())
def test_the_rule_is_played_as_written(seed: int, is_timid: bool, has_silent_fold: bool) -> None:
    rng = np.random.default_rng(seed)
    is_completed = rng.permutation(np.arange(12) < rng.integers(6, 13))
    made = by_fold(seed, n_trials=12, is_completed=is_completed)
    rule = rule_for("log_loss", choose_members=first_only)
    if is_timid:
        rule = replace(rule, patience=2.0, patience_from=8)
    weights = rng.integers(0, 3, len(made.y)).astype(float)
    weights[1] = 1.0
    if has_silent_fold:
        weights[members_of(made)[0][1]] = 0.0
    found = decide(made, rule, weights)
    kept, is_pruned = played(made, rule, weights)
    np.testing.assert_array_equal(found.is_pruned, is_pruned)
    np.testing.assert_array_equal(found.kept[~is_pruned], kept[~is_pruned])
    left = np.flatnonzero(~is_pruned)
    assert found.winner == left[np.argmin(found.losses[left])]


def test_each_row_is_predicted_at_the_epoch_of_its_fold() -> None:
    made, rule = by_fold(1), rule_for("log_loss")
    weights = np.random.default_rng(0).integers(0, 3, 60).astype(float)
    found = decide(made, rule, weights)
    composed = np.full((made.n_trials, 2, 60, 1), np.nan)
    for t, table in enumerate(made.predictions):
        for m, (repeat, rows) in enumerate(members_of(made)):
            composed[t, repeat, rows] = table[found.kept[t, m], repeat, rows]
    assert len({tuple(k) for k in found.kept}) > 1 and (found.kept != found.kept[:, :1]).any()
    by_hand = [np.mean([metrics.loss(LOG_LOSS, made.y, r, weights) for r in one]) for one in composed]
    np.testing.assert_allclose(found.losses, by_hand, rtol=1e-12)
    np.testing.assert_allclose(losses_at(made, LOG_LOSS, found.kept, weights[None])[0], by_hand, rtol=1e-12)
    winner, ensemble = predictions(made, found, np.array([4, 9]))
    np.testing.assert_array_equal(winner, composed[found.winner][:, [4, 9]])
    np.testing.assert_allclose(ensemble, np.tensordot(found.weights, composed, axes=1)[:, [4, 9]])
    assert made.fold_of_row is not None
    lost = fold_losses(made, LOG_LOSS, found.kept, made.fold_of_row)
    repeat, rows = members_of(made)[4]
    assert lost[2, 4] == pytest.approx(metrics.loss(LOG_LOSS, made.y[rows], composed[2, repeat, rows]))


def test_rows_of_weight_zero_have_no_say() -> None:
    rng = np.random.default_rng(0)
    made, rule = by_fold(2), rule_for("log_loss")
    weights = (rng.random(60) < 0.7).astype(float)
    others = np.where(weights[:, None] > 0, made.y, 1.0 - made.y)
    first, second = decide(made, rule, weights), decide(replace(made, y=others), rule, weights)
    for name in ("kept", "losses", "is_pruned", "winner", "weights"):
        np.testing.assert_array_equal(getattr(first, name), getattr(second, name))


def test_with_one_fold_a_repeat_of_one_is_as_one_common_epoch() -> None:
    common = small(3, n_repeats=1)
    made = replace(common, fold_of_row=np.zeros((1, 60), int))
    rule = replace(rule_for("log_loss"), patience=2.0, patience_from=8)
    one, other = decide(common, rule, np.ones(60)), decide(made, rule, np.ones(60))
    np.testing.assert_array_equal(one.kept, other.kept[:, 0])
    np.testing.assert_allclose(one.losses, other.losses, rtol=1e-12)
    np.testing.assert_array_equal(one.weights, other.weights)


def test_a_fold_without_a_class_has_no_area_and_takes_the_common_epoch() -> None:
    made = by_fold(4)
    metric = metrics.metric_for("auc", BINARY)
    made.y[members_of(made)[0][1]] = 0.0
    found = curves(made, metric, np.ones((1, 60)))[0]
    assert np.isnan(found[:, 0]).all() and np.isfinite(found[:, 1:]).all()
    kept = decide(made, rule_for("auc", ceilings=None), np.ones(60)).kept
    np.testing.assert_array_equal(kept[:, 0], found[:, 1:].mean(axis=1).argmin(axis=1))


def test_folds_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ValueError, match="fold_of_row must name a fold for each row"):
        replace(small(0), fold_of_row=np.full((2, 60), -1))


def test_the_composed_table_is_read_as_no_epoch(tmp_path: Path) -> None:
    run, made = Run.create(tmp_path / "run"), small(0)
    run.save_out_of_fold(0, made.predictions[0])
    run.append_trial(Trial(0, "mlp", {}, "completed", chosen_epoch=8, kept_epochs=LOOKS[:4], chosen_index=4))
    folds = np.arange(120).reshape(2, 60) % 3
    read = history_of(run, made.y, architecture=lambda t: 0, fold_of_row=folds)
    assert read.epochs == (LOOKS[:4],) and read.predictions[0].shape[0] == 4
    run.append_trial(Trial(1, "mlp", {}, "completed", chosen_epoch=8, kept_epochs=LOOKS, chosen_index=4))
    run.save_out_of_fold(1, made.predictions[0])
    with pytest.raises(RunError, match=r"each fold has its own; in the run .* trial 1 has one for all"):
        history_of(run, made.y, architecture=lambda t: 0, fold_of_row=folds)


def test_epochs_of_each_fold_are_too_good_when_printed_and_right_when_replayed() -> None:
    """All epochs of all trials are equally good for new rows; HONESTY's table with known truth."""
    rng = np.random.default_rng(99)
    chance = rng.uniform(0.2, 0.8, 2_000_000)
    said = np.clip(chance + rng.normal(0.0, 0.25, chance.size), 0.02, 0.98)
    truth = float(-(chance * np.log(said) + (1 - chance) * np.log1p(-said)).mean())
    rule = rule_for("log_loss", choose_members=first_only, ceilings=None)
    found = {"common": [], "fold": []}
    for seed in range(40):
        draw = np.random.default_rng(seed)
        chance = draw.uniform(0.2, 0.8, 120)
        tables = np.clip(chance + draw.normal(0.0, 0.25, (6, 10, 120)), 0.02, 0.98)
        made = fold_histories(tables, (draw.random(120) < chance).astype(float), n_folds=5)
        every = curves(replace(made, fold_of_row=None), LOG_LOSS, np.ones((1, 120)))
        for name, one in (("fold", made), ("common", replace(made, fold_of_row=None))):
            got = estimate(
                one, rule, rng=np.random.default_rng(seed), n_rounds=2, n_draws=0, n_share_rounds=1
            )
            reference = every.mean() - truth
            errors = [got.winner.printed - truth - reference, got.winner.honest - truth - reference]
            found[name].append([*errors, got.winner.shares["epoch"]])
    fold, common = np.array(found["fold"]), np.array(found["common"])
    mean, error = fold.mean(axis=0), fold[:, 1].std(ddof=1) / 40**0.5
    print(
        f"fold: printed {mean[0]:+.4f}, replayed {mean[1]:+.4f} +- {error:.4f}, epoch's share {mean[2]:.4f}"
    )
    print(f"common: printed {common[:, 0].mean():+.4f}, replayed {common[:, 1].mean():+.4f}")
    assert mean[0] < 1.5 * common[:, 0].mean() < -0.03
    assert abs(mean[1]) < max(2.5 * error, 0.1 * abs(mean[0]))
    assert mean[2] > 0.5 * abs(mean[0])


@pytest.mark.slow
def test_with_equal_weights_a_real_study_comes_back(tmp_path: Path) -> None:
    place = tmp_path / "run"
    command = [sys.executable, "-m", "search.run", "study", "--demo", "wine", "--trials", "8", "--epochs"]
    options = ["40", "--epoch-choice", "fold", "--no-audit", "--out", str(place)]
    options += ["--families", "mlp", "--ensemble", "greedy", "--calibration", "none"]
    subprocess.run([*command, *options], check=True, capture_output=True)
    comes_back(place)


def comes_back(place: Path) -> None:
    from search.assembly import architecture_of
    from search.combination import Combiner
    from search.data import demo, from_frame
    from search.splits import Folds
    from search.training.recipe import Recipe

    run, dataset, folds = Run.open(place), from_frame(*demo("wine")), Folds.load(place / "splits.npz")
    metric, recipe = metrics.metric_for("log_loss", dataset.task), Recipe(n_epochs=40, epoch_choice="fold")
    made = history_of(run, dataset.y, architecture=architecture_of, fold_of_row=folds.fold_of_row)
    rule = Combiner(metric, "greedy", "none").rule(recipe)
    found, trials = decide(made, rule, np.ones(dataset.n_rows)), run.trials()
    for kept, epochs, trial in zip(found.kept, made.epochs, trials, strict=True):
        assert tuple(epochs[k] for k in kept) == trial.member_epochs
    assert found.is_pruned.tolist() == [trial.status == "pruned" for trial in trials]
    np.testing.assert_allclose(found.losses, [trial.score for trial in trials], rtol=1e-12)
    curve = curves(made, metric, np.ones((1, dataset.n_rows)))[0].mean(axis=1)
    for own, trial in zip(curve, trials, strict=True):
        np.testing.assert_allclose(own[: len(trial.curve)], trial.curve, rtol=1e-5)
    composed = run.out_of_fold(found.winner)[-1]
    np.testing.assert_array_equal(made.table(found.winner, found.kept[found.winner]), composed)
    assert found.losses[found.winner] == pytest.approx(
        pooled_loss(lambda y, p: metrics.loss(metric, y, p), made.y, composed)
    )
    summary = json.loads((place / "summary.json").read_text())
    assert made.numbers[found.winner] == summary["best_single"]["trial"]
    chosen = {m["trial"]: m["weight"] for m in summary["ensemble"]["members"]}
    assert {made.numbers[t]: found.weights[t] for t in np.flatnonzero(found.weights)} == pytest.approx(chosen)
