"""The workflow of the textbook on one table: baseline, power, overfit, regularise, tune.

The steps train on the folds of the study that ends the workflow, so that all are compared on the same rows.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reports.estimates import estimate
from reports.history import History
from reports.report import write_report
from reports.workflow import Answer, Step, answers, curve_plots, markdown, to_json
from search import metrics
from search.assembly import architecture_of
from search.baselines import Baseline, baselines
from search.combination import Combiner
from search.config import StudyConfig
from search.flow import carry_out
from search.objective import Objective, fold_scores, make_plan
from search.preparation import Prepared, name_of, prepare
from search.progress import Progress
from search.records import Run, RunError, Trial
from search.training.context import start_server
from search.training.plan import Plan
from search.training.recipe import Recipe
from search.training.trained import Trained, TrainingFailed, pooled_loss
from search.training.workshop import Workshop
from spaces.mlp import batch_sizes
from spaces.signature import Signature

Array = NDArray[Any]

N_TRIALS = 12
_PLAIN: dict[str, Any] = {
    "block": "plain", "shape": "constant", "activation": "relu", "normalization": "none", "wide": False,
    "dropout": 0.0, "l1_on": False, "l2_on": False, "optimizer": "adam", "schedule": "constant",
}  # fmt: skip
_LARGE = {**_PLAIN, "depth": 3, "width": 256, "learning_rate": 1e-3}
NETWORKS: dict[str, tuple[str, dict[str, Any]]] = {
    "power": (
        "one hidden layer of 16 units",
        {**_PLAIN, "depth": 1, "width": 16, "learning_rate": 3e-3},
    ),
    "overfit": ("three layers of 256 units without regularisation", _LARGE),
    "regularised": (
        "the same with dropout 0.3 and weight decay",
        {**_LARGE, "dropout": 0.3, "optimizer": "adamw", "weight_decay": 1e-2},
    ),
}
_BASELINES = {"dummy": "class frequencies, or the mean", "linear": "ridge or logistic regression"}


@dataclass(frozen=True)
class Workflow:
    """Where the workflow was written, its steps and what they answer."""

    path: Path
    steps: tuple[Step, ...]
    answers: tuple[Answer, ...]


def workflow(config: StudyConfig, *, command: str, place: Path) -> Workflow:
    """Go through the steps and write ``workflow.md``, ``workflow.json``, plots and the tuned run.

    Parameters
    ----------
    config : StudyConfig
        Its families are not asked: all networks here are of the family mlp. Epochs are chosen on the mean
        curve, whatever it says.

    Raises
    ------
    RunError
        If there is something at ``place`` already.
    TrainingFailed
        If a network of the workflow could not be trained, or no trial of the tuning was completed.
    """
    if place.exists() and (not place.is_dir() or any(place.iterdir())):
        raise RunError(f"a workflow needs an empty folder, and {str(place)!r} is none: choose another --out")
    config = config.model_copy(update={"families": ("mlp",), "epoch_choice": "common"})
    start_server(needs_networks=True)
    prepared = prepare(config)
    run = Run.create(place / "tuned")
    with Progress(config.trials, prepared.metric.name) as progress:
        fixed = _fixed(config, prepared, progress)
        progress.say("tuning")
        outcome = carry_out(run, config, prepared, command=command, progress=progress)
    if not outcome.n_completed:
        raise TrainingFailed(f"no trial of the tuning was completed; causes: {run.path}/trials.csv")
    write_report(run)
    if not outcome.is_interrupted:
        run.finish()
    return _written(place, config, prepared, fixed, _tuned(run, prepared))


def _fixed(config: StudyConfig, prepared: Prepared, progress: Progress) -> dict[str, Step]:
    """The steps before the tuning, by name."""
    dataset, plan = prepared.dataset, make_plan(prepared.dataset, prepared.folds.members())
    references = baselines(dataset, prepared.folds)
    steps = {b.name: _reference(prepared.metric, plan, b) for b in references}
    recipe = Recipe(n_epochs=config.epochs, patience=0.0)
    with Workshop(plan, prepared.metric.name, dataset.task) as workshop:
        objective = Objective(
            workshop, plan, prepared.folds, prepared.signature, prepared.metric, recipe,
            prepared.seeds.number("training"),
        )  # fmt: skip
        for name, (what, changes) in NETWORKS.items():
            progress.say(f"{name}: {what}")
            trial, trained = objective.evaluate(0, "mlp", _sized(changes, prepared.signature), {})
            if trained is None:
                raise TrainingFailed(f"the step {name!r} could not be trained: {trial.cause}")
            steps[name] = _network(name, what, prepared, objective, trial, trained)
    return steps


def _sized(changes: Mapping[str, Any], signature: Signature) -> dict[str, Any]:
    sizes = batch_sizes(signature)
    return {**changes, "batch_size": sizes[min(1, len(sizes) - 1)]}


def _reference(metric: metrics.Metric, plan: Plan, baseline: Baseline) -> Step:
    losses = _losses(metric, plan, baseline.predictions)
    loss = float(np.mean(losses["repeat_losses"]))
    return Step(
        name=baseline.name, what=_BASELINES[baseline.name], score=_as_score(metric, loss), loss=loss,
        n_parameters=baseline.n_parameters, seconds=baseline.fit_seconds, **losses,
    )  # fmt: skip


def _network(
    name: str, what: str, prepared: Prepared, objective: Objective, trial: Trial, trained: Trained
) -> Step:
    honest = _without_choice(prepared, objective, trial, trained)
    return Step(
        name=name, what=what, score=honest, loss=_as_score(prepared.metric, honest),
        train_score=trial.train_score, epochs=trial.checkpoints, curve=trial.curve,
        train_curve=trial.train_curve, chosen_epoch=trial.chosen_epoch, n_parameters=trial.n_parameters,
        seconds=trial.fit_seconds, config=trial.config,
        **_losses(prepared.metric, objective.plan, trained.out_of_fold[trained.chosen_index]),
    )  # fmt: skip


def _losses(metric: metrics.Metric, plan: Plan, out_of_fold: Array) -> dict[str, Any]:
    """Losses by fold and by repeat of predictions ``(n_repeats, n_rows, n_outputs)``."""
    by_repeat = [pooled_loss(metric.score, plan.y, [table], plan.row_weights) for table in out_of_fold]
    return {
        "fold_losses": tuple(_as_score(metric, s) for s in fold_scores(metric, plan, out_of_fold)),
        "repeat_losses": tuple(_as_score(metric, score) for score in by_repeat),
    }


def _as_score(metric: metrics.Metric, loss: float) -> float:
    """A loss as a score, or a score as a loss."""
    return -loss if metric.is_higher_better else loss


def _without_choice(prepared: Prepared, objective: Objective, trial: Trial, trained: Trained) -> float:
    """The score with the epoch chosen on other rows than are scored."""
    dataset, folds = prepared.dataset, prepared.folds
    history = History(
        y=dataset.y,
        numbers=(0,),
        is_completed=np.array([True]),
        architectures=(architecture_of(trial),),
        epochs=(trained.kept_epochs,),
        predictions=(trained.out_of_fold,),
        units=np.arange(dataset.n_rows) if folds.units is None else folds.units,
        time=dataset.time,
        row_weights=dataset.row_weights,
    )
    rule = Combiner(prepared.metric, "best", "none").rule(objective.defaults)
    rng = prepared.seeds.rng("crossfit")
    return estimate(history, rule, rng=rng, n_draws=0, n_share_rounds=0).winner.honest


def _tuned(run: Run, prepared: Prepared) -> Step:
    summary, metric = run.load_json("summary.json"), prepared.metric
    number, score = summary["best_single"]["trial"], float(summary["ensemble"]["score"])
    best = next(trial for trial in run.trials() if trial.number == number)
    n_members = len(summary["ensemble"]["members"])
    return Step(
        name="tuned",
        what=f"an ensemble of {n_members} from the tuning; curves and training rows are of its best trial",
        score=score, loss=_as_score(metric, score), train_score=best.train_score, epochs=best.checkpoints,
        curve=best.curve, train_curve=best.train_curve, chosen_epoch=best.chosen_epoch,
        n_parameters=best.n_parameters, seconds=sum(t.fit_seconds for t in run.trials()), config=best.config,
    )  # fmt: skip


def _written(
    place: Path, config: StudyConfig, prepared: Prepared, fixed: Mapping[str, Step], tuned: Step
) -> Workflow:
    members = prepared.folds.members()
    ratio = float(np.mean([len(member.held) / len(member.train) for member in members]))
    found = answers(fixed["dummy"], fixed["power"], fixed["overfit"], fixed["regularised"], ratio)
    steps = (*fixed.values(), tuned)
    facts = {
        "name": name_of(config), "metric": prepared.metric.name, "tuned": "tuned",
        "is_higher_better": prepared.metric.is_higher_better, "folds": f"Folds: {prepared.folds.reason}",
    }  # fmt: skip
    plots = curve_plots(steps)
    for name, text in plots.items():
        (place / name).write_text(text, encoding="utf-8")
    page = Run(place)
    page.save_text("workflow.md", markdown(steps, found, facts, list(plots)))
    page.save_json("workflow.json", to_json(steps, found, facts))
    return Workflow(place, steps, found)
