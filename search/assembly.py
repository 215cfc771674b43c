"""From finished trials to the ensemble: candidate table, members and weights, the saved artefact."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ensemble import diversity_table
from ensemble.architecture import check_architecture
from ensemble.calibration import Calibration
from ensemble.diversity import decompose
from ensemble.model import Candidate, Ensemble
from reports.estimates import Honest, estimate
from reports.history import History, history_of
from reports.replay import Lines
from search import metrics
from search.combination import BASELINES, MOST_CANDIDATES, Combiner
from search.data import Dataset
from search.objective import Objective, full_plan, loss_of
from search.records import Run, Trial
from search.splits import Folds
from search.training.recipe import Recipe
from search.training.workshop import Workshop
from spaces.families import family_of
from spaces.signature import Signature

Array = NDArray[Any]


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
    row_weights, units : ndarray, shape (n_held,)
        How much a line counts, and which lines belong together.
    time : ndarray, shape (n_held,), or None
    """

    trials: tuple[Trial, ...]
    predictions: Array
    y: Array
    repeats: Array
    rows: Array
    row_weights: Array
    units: Array
    time: Array | None = None

    @property
    def lines(self) -> Lines:
        """What members are chosen from; lines without weight have no say."""
        has_say = self.row_weights > 0
        given = (self.y, self.row_weights, self.rows, self.units)
        predictions, time = self.predictions, self.time
        if not has_say.all():
            given = tuple(values[has_say] for values in given)  # type: ignore[assignment]
            predictions, time = predictions[:, has_say], None if time is None else time[has_say]
        return Lines(predictions, [architecture_of(trial) for trial in self.trials], *given, time)

    def score(self, metric: metrics.Metric, predictions: Array) -> float:
        """The metric on each repeat's held rows together, averaged; NaN predictions are left out."""
        scores = []
        for repeat in np.unique(self.repeats):
            is_in = (self.repeats == repeat) & ~np.isnan(predictions[:, 0])
            scores.append(metric.score(self.y[is_in], predictions[is_in], self.row_weights[is_in]))
        return float(np.mean(scores))


@dataclass(frozen=True)
class Choice:
    """Members and weights, chosen on all rows.

    Attributes
    ----------
    weights : ndarray, shape (n_candidates,)
    method : str
        Which method weighed them; ``losses`` holds the cross-fitted loss of each that was compared,
        ``baselines`` that of the plain average of the best and of the best alone.
    calibration : Calibration or None
    n_distinct : int
        Candidates left when near-identical ones count as one.
    in_sample_score : float
        On the rows that chose: too good.
    """

    weights: Array
    method: str
    losses: dict[str, float]
    baselines: dict[str, float]
    calibration: Calibration | None
    n_distinct: int
    in_sample_score: float


def candidate_table(
    run: Run, dataset: Dataset, folds: Folds, trials: Sequence[Trial], metric: metrics.Metric
) -> CandidateTable:
    """The held-out predictions of at most 50 completed trials, best first."""
    best = sorted(trials, key=lambda trial: (loss_of(trial, metric), trial.number))[:MOST_CANDIDATES]
    is_held = ~np.isnan(run.out_of_fold(best[0].number)[best[0].chosen_index][..., 0])
    repeats, rows = np.nonzero(is_held)
    predictions = np.empty((len(best), len(rows), dataset.n_outputs))
    for own, trial in zip(predictions, best, strict=True):
        own[:] = run.out_of_fold(trial.number)[trial.chosen_index][is_held]
    return CandidateTable(
        trials=tuple(best),
        predictions=predictions,
        y=dataset.y[rows],
        repeats=repeats,
        rows=rows,
        row_weights=np.ones(len(rows)) if dataset.row_weights is None else dataset.row_weights[rows],
        units=rows if folds.units is None else folds.units[rows],
        time=None if dataset.time is None else dataset.time[rows],
    )


def choose(table: CandidateTable, combiner: Combiner) -> Choice:
    """Choose members and weights on all rows; what that choice is worth, `replay` finds out."""
    lines = table.lines
    method = combiner.methods[0]
    compared: dict[str, float] = {}
    if len(combiner.methods) > 1:
        method, compared = combiner.compared(lines)
    weights = combiner.weigh(lines.candidates, lines.architectures, lines.y, lines.row_weights, method)
    predictions = np.tensordot(weights, table.predictions, axes=1)
    calibration = combiner.calibrate(lines, predictions, None) if combiner.can_calibrate else None
    if calibration is not None:
        predictions = calibration.apply(predictions)
    return Choice(
        weights=weights,
        method=method,
        losses=compared,
        baselines=combiner.compared(lines, BASELINES)[1],
        calibration=calibration,
        n_distinct=combiner.n_distinct(lines),
        in_sample_score=table.score(combiner.metric, predictions),
    )


def diversity(table: CandidateTable, choice: Choice) -> tuple[dict[str, list[Any]], dict[str, float]]:
    """How the members differ, pair by pair, and what that gains in squared error on the held-out rows.

    Returns
    -------
    dict of columns, dict
        As `ensemble.diversity_table`; and the ambiguity decomposition: `ensemble_error`, the weighted mean
        `member_error`, and the `ambiguity` by which they differ.
    """
    chosen = np.flatnonzero(choice.weights)
    lines, trials = table.lines, [table.trials[i] for i in chosen]
    members, row_weights = lines.candidates[chosen], lines.row_weights
    pairs = diversity_table(
        members,
        lines.y,
        names=[trial.number for trial in trials],
        configs=[{"family": trial.family, **trial.config} for trial in trials],
        row_weights=row_weights,
    )
    return pairs, asdict(decompose(members, lines.y, choice.weights[chosen], row_weights))


def architecture_of(trial: Trial) -> str:
    """What two trials share when they differ in numbers alone."""
    return json.dumps([trial.family, family_of(trial.family).structure(trial.config)], default=str)


def replay(
    run: Run,
    dataset: Dataset,
    folds: Folds,
    combiner: Combiner,
    recipe: Recipe,
    *,
    rng: np.random.Generator,
    n_draws: int,
) -> tuple[History, Honest]:
    """Replay every decision of a finished study on part of the rows and score it on the others."""
    history = history_of(
        run,
        dataset.y,
        architecture=architecture_of,
        units=folds.units,
        time=dataset.time,
        has_epochs=recipe.epoch_choice in ("common", "fold"),
        fold_of_row=folds.fold_of_row if recipe.epoch_choice == "fold" else None,
        is_watched=lambda trial: family_of(trial.family).is_network and trial.stop_epoch is None,
        row_weights=dataset.row_weights,
    )
    return history, estimate(history, combiner.rule(recipe), rng=rng, n_draws=n_draws)


def check_model(name: str, signature: Signature) -> None:
    """Refuse a model of the user's that cannot be trained or saved, before anything is trained."""
    family = family_of(name)
    config = family.first_configs(signature)[0]
    family.training(config, signature)
    check_architecture(family.build(config, signature).to_json())


def restore(run: Run, dataset: Dataset, objective: Objective, trials: Sequence[Trial]) -> None:
    """Fit those trials again whose models were too large to be kept, and store them."""
    from search.study import packed

    missing = [trial for trial in trials if not run.has(f"weights/{trial.number:05d}.npz")]
    if not missing:
        return
    with Workshop(objective.plan, objective.metric.name, dataset.task) as workshop:
        again = replace(objective, workshop=workshop, deadline=None)
        for trial in missing:
            trained = workshop.train(again.request(trial.number, trial.family, trial.config, {}))
            run.save_weights(trial.number, packed(trained, again))


def bagged(run: Run, members: Sequence[tuple[Trial, float]]) -> list[Candidate]:
    """The fold models of the members, from their stored weights."""
    return [_candidate(trial, weight, run.weights(trial.number)) for trial, weight in members]


def refitted(
    dataset: Dataset, objective: Objective, members: Sequence[tuple[Trial, float]], n_models: int
) -> list[Candidate]:
    """The members trained again on all rows, to the epoch that was chosen, ``n_models`` of each."""
    from search.study import packed

    plan = full_plan(dataset, n_models)
    candidates = []
    with Workshop(plan, objective.metric.name, dataset.task) as workshop:
        for trial, weight in members:
            epoch = trial.chosen_epoch or 1
            defaults: Recipe = replace(objective.defaults, checkpoints=(epoch,), epoch_choice="fixed")
            attending = None if objective.callbacks is None else objective.callbacks.within("refit")
            again = replace(
                objective, workshop=workshop, plan=plan, defaults=defaults, deadline=None, callbacks=attending
            )
            trained = workshop.train(again.request(trial.number, trial.family, trial.config, {}))
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


def save_ensemble(
    run: Run,
    dataset: Dataset,
    candidates: Sequence[Candidate],
    calibration: Calibration | None,
    facts: dict[str, Any],
) -> None:
    """Write the predicting artefact into the run."""
    made = Ensemble(dataset.schema, dataset.task, candidates, facts, calibration=calibration)
    made.save(run.path / "ensemble")
