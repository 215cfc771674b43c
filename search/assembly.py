"""From finished trials to the ensemble: candidate table, members and weights, the saved artefact."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ensemble import collapse, select
from ensemble.model import Candidate, Ensemble
from ensemble.selection import Selection
from reports.estimates import Honest, estimate
from reports.history import History, history_of
from reports.replay import Rule
from reports.scoring import losses
from search import metrics
from search.data import Dataset
from search.objective import Objective, full_plan, loss_of
from search.pruning import ceilings
from search.records import Run, Trial
from search.splits import Folds
from search.training.process import TrainingProcess
from search.training.recipe import PATIENCE_FROM_EPOCH, Recipe
from spaces.families import FAMILIES

Array = NDArray[Any]
N_ROUNDS = 25
MOST_CANDIDATES = 50
NAMED_LOSSES = {"log_loss": "log_loss", "rmse": "squared_error"}  # the losses that selection computes fast


@dataclass(frozen=True)
class CandidateTable:
    """Held-out predictions of the best trials at their chosen epochs, repeats laid out as further rows.

    Attributes
    ----------
    trials : tuple of Trial
        Best first.
    predictions : ndarray, shape (n_candidates, n_held, n_outputs)
        ``n_held`` counts a row once for each repeat that holds it out.
    y : ndarray, shape (n_held, n_outputs)
    repeats, rows : ndarray of int, shape (n_held,)
        Repeat and row of each line of the table.
    """

    trials: tuple[Trial, ...]
    predictions: Array
    y: Array
    repeats: Array
    rows: Array

    def score(self, metric: metrics.Metric, predictions: Array) -> float:
        """The metric on each repeat's held rows together, averaged; NaN predictions are left out."""
        scores = []
        for repeat in np.unique(self.repeats):
            is_in = (self.repeats == repeat) & ~np.isnan(predictions[:, 0])
            scores.append(metric.score(self.y[is_in], predictions[is_in]))
        return float(np.mean(scores))


@dataclass(frozen=True)
class Choice:
    """Members and weights, chosen on all rows.

    Attributes
    ----------
    weights : ndarray, shape (n_candidates,)
    n_distinct : int
        Candidates left when near-identical ones count as one.
    in_sample_score : float
        On the rows that chose: too good.
    """

    weights: Array
    n_distinct: int
    n_alternatives: int
    n_rounds: int
    in_sample_score: float


def candidate_table(
    run: Run, dataset: Dataset, trials: Sequence[Trial], metric: metrics.Metric
) -> CandidateTable:
    """The held-out predictions of at most 50 completed trials, best first."""
    best = sorted(trials, key=lambda trial: (loss_of(trial, metric), trial.number))[:MOST_CANDIDATES]
    stored = [run.out_of_fold(t.number)[t.chosen_index] for t in best]
    is_held = ~np.isnan(stored[0][..., 0])
    repeats, rows = np.nonzero(is_held)
    return CandidateTable(
        trials=tuple(best),
        predictions=np.stack([p[is_held] for p in stored]).astype(np.float64),
        y=dataset.y[rows],
        repeats=repeats,
        rows=rows,
    )


def choose(table: CandidateTable, metric: metrics.Metric) -> Choice:
    """Choose members and weights on all rows; what that choice is worth, `replay` finds out."""
    architectures = [architecture_of(trial) for trial in table.trials]
    weights, keep, selection = _picked(metric, table.predictions, architectures, table.y, None)
    return Choice(
        weights=weights,
        n_distinct=int(keep.sum()),
        n_alternatives=selection.n_alternatives,
        n_rounds=len(selection.path),
        in_sample_score=table.score(metric, np.tensordot(weights, table.predictions, axes=1)),
    )


def architecture_of(trial: Trial) -> str:
    """What two trials share when they differ in numbers alone."""
    return json.dumps([trial.family, FAMILIES[trial.family].structure(trial.config)], default=str)


@dataclass(frozen=True)
class MetricLoss:
    """A metric turned into a loss that can also be asked for many tables at once."""

    metric: metrics.Metric

    def __call__(self, y: Array, predictions: Array, row_weights: Array | None) -> float:
        """The loss of one table ``(n_rows, n_outputs)``."""
        return metrics.loss(self.metric, y, predictions, row_weights)

    def of_many(self, y: Array, tables: Array, row_weights: Array | None) -> Array:
        """The loss of each of ``(n_tables, n_rows, n_outputs)``."""
        weights = np.ones(len(y)) if row_weights is None else np.asarray(row_weights)
        return losses(self.metric, y, tables, weights[None])[:, 0]


def choose_members(metric: metrics.Metric) -> Callable[[Array, Sequence[Any], Array, Array], Array]:
    """The rule by which members and weights are chosen, for a replay on any weighted rows."""

    def chosen(candidates: Array, architectures: Sequence[Any], y: Array, row_weights: Array) -> Array:
        return _picked(metric, candidates, architectures, y, row_weights)[0]

    return chosen


def _picked(
    metric: metrics.Metric,
    candidates: Array,
    architectures: Sequence[Any],
    y: Array,
    row_weights: Array | None,
) -> tuple[Array, Array, Selection]:
    """Weights of all candidates, which of them are distinct, and how the distinct ones were selected."""
    loss: Any = NAMED_LOSSES.get(metric.name) or MetricLoss(metric)
    keep = collapse(candidates, architectures, y=y, row_weights=row_weights, loss=loss).keep
    selection = select(candidates[keep], y, loss=loss, row_weights=row_weights, n_rounds=N_ROUNDS)
    weights = np.zeros(len(candidates))
    weights[keep] = selection.weights
    return weights, keep, selection


def replay(
    run: Run,
    dataset: Dataset,
    folds: Folds,
    metric: metrics.Metric,
    recipe: Recipe,
    *,
    rng: np.random.Generator,
    n_draws: int,
) -> tuple[History, Honest]:
    """Replay every decision of a finished study on part of the rows and score it on the others.

    Where each fold has its own epoch from an inner slice, pruning and patience did not look at held-out rows.
    """
    looks_at_held = recipe.epoch_choice != "inner"
    history = history_of(
        run,
        dataset.y,
        architecture=architecture_of,
        units=folds.units,
        time=dataset.time,
        has_epochs=recipe.epoch_choice in ("common", "fold"),
        fold_of_row=folds.fold_of_row if recipe.epoch_choice == "fold" else None,
    )
    rule = Rule(
        metric=metric,
        choose_members=choose_members(metric),
        ceilings=ceilings if looks_at_held else None,
        looks=recipe.looks,
        patience=recipe.patience if looks_at_held else 0.0,
        patience_from=PATIENCE_FROM_EPOCH,
        most_candidates=MOST_CANDIDATES,
    )
    return history, estimate(history, rule, rng=rng, n_draws=n_draws)


def bagged(run: Run, members: Sequence[tuple[Trial, float]]) -> list[Candidate]:
    """The fold models of the members, from their stored weights."""
    return [_candidate(trial, weight, run.weights(trial.number)) for trial, weight in members]


def refitted(
    dataset: Dataset, objective: Objective, members: Sequence[tuple[Trial, float]], n_models: int
) -> list[Candidate]:
    """The members trained again on all rows, to the epoch that was chosen, ``n_models`` of each."""
    from dataclasses import replace

    from search.study import packed

    plan = full_plan(dataset, n_models)
    candidates = []
    with TrainingProcess(plan, objective.metric.name, dataset.task) as process:
        for trial, weight in members:
            epoch = trial.chosen_epoch or 1
            defaults: Recipe = replace(objective.defaults, checkpoints=(epoch,), epoch_choice="fixed")
            again = replace(objective, process=process, plan=plan, defaults=defaults)
            trained = process.train(again.request(trial.number, trial.family, trial.config, {}))
            candidates.append(_candidate(trial, weight, packed(trained, again)))
    return candidates


def _candidate(trial: Trial, weight: float, arrays: dict[str, Array]) -> Candidate:
    return Candidate(
        trial=trial.number,
        family=trial.family,
        weight=weight,
        architecture=str(arrays["architecture"]),
        weights=tuple(arrays[name] for name in sorted(arrays) if name.startswith("weight_")),
        target_center=arrays["target_center"],
        target_scale=arrays["target_scale"],
    )


def save_ensemble(run: Run, dataset: Dataset, candidates: Sequence[Candidate], facts: dict[str, Any]) -> None:
    """Write the predicting artefact into the run."""
    Ensemble(dataset.schema, dataset.task, candidates, facts).save(run.path / "ensemble")
