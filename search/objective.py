"""One configuration on one plan: from a proposal to fold scores, curves and out-of-fold predictions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from search import metrics
from search.data import Dataset
from search.preprocess import learn, learn_targets
from search.records import Trial, utc_now
from search.splits import Folds, Member, seal
from search.training.callbacks import Callbacks
from search.training.plan import Plan
from search.training.recipe import Recipe, recipe_for
from search.training.trained import Request, Stretch, Trained, TrainingFailed, pooled_loss
from search.training.workshop import Trains
from spaces.signature import Signature

Array = NDArray[Any]
INNER_FRACTION = 0.15


def make_plan(dataset: Dataset, members: tuple[Member, ...]) -> Plan:
    """Rows and members for the engine; what is learned is learned from each member's training rows."""
    schema, table = dataset.schema, dataset.table
    statistics = [learn(table, schema, member.train).arrays() for member in members]
    constants = {f"encode/{name}": np.stack([s[name] for s in statistics]) for name in statistics[0]}
    units = [learn_targets(dataset.y, dataset.task, member.train) for member in members]
    inputs = (*([table.numbers] if schema.numbers else []), *([table.codes] if schema.categories else []))
    return Plan(
        inputs=tuple(inputs),
        y=dataset.y,
        train=tuple(member.train for member in members),
        held=tuple(member.held for member in members),
        repeat_of_member=tuple(member.repeat for member in members),
        target_center=np.stack([center for center, _ in units]),
        target_scale=np.stack([scale for _, scale in units]),
        constants={path: values for path, values in constants.items() if values.shape[1]},
        row_weights=dataset.row_weights,
    )


def inner_plan(dataset: Dataset, members: tuple[Member, ...], rng: np.random.Generator) -> Plan:
    """As `make_plan`, with a part of each member's training rows set apart to choose its epoch on.

    The part is stratified, keeps groups and duplicates whole, and is the last in time-ordered data.
    """
    parts = [seal(dataset.take(member.train), INNER_FRACTION, rng) for member in members]
    inner = [replace(m, train=m.train[kept]) for m, (kept, _) in zip(members, parts, strict=True)]
    stop = tuple(m.train[apart] for m, (_, apart) in zip(members, parts, strict=True))
    return replace(make_plan(dataset, tuple(inner)), stop=stop)


def full_plan(dataset: Dataset, n_members: int) -> Plan:
    """A plan in which every member learns from all rows, for the final refit; nothing in it is held out."""
    rows = np.arange(dataset.n_rows)
    return make_plan(dataset, tuple(Member(repeat, 0, rows, rows) for repeat in range(n_members)))


@dataclass(frozen=True)
class Objective:
    """What a study minimises: the mean validation loss of a configuration's members.

    Attributes
    ----------
    metric : Metric
        Bound to the task.
    defaults : Recipe
        What a configuration does not name: epochs, patience.
    seed : int
        Root of each trial's seed.
    deadline : float or None
        Seconds by `time.monotonic` after which a trial ends at its next checkpoint.
    callbacks : Callbacks or None
        Keras callbacks that attend the training of networks.
    """

    workshop: Trains
    plan: Plan
    folds: Folds
    signature: Signature
    metric: metrics.Metric
    defaults: Recipe
    seed: int
    deadline: float | None = None
    callbacks: Callbacks | None = None

    def evaluate(
        self,
        number: int,
        family: str,
        config: Mapping[str, Any],
        ceilings: Mapping[int, float],
        stretch: Stretch | None = None,
    ) -> tuple[Trial, Trained | None]:
        """Train a configuration; the trial's record, and what was trained unless it failed."""
        started = utc_now()
        try:
            trained = self.workshop.train(self.request(number, family, config, ceilings, stretch))
        except TrainingFailed as failure:
            return failed_trial(number, family, config, str(failure), started), None
        return self._record(number, family, config, trained, started), trained

    def request(
        self,
        number: int,
        family: str,
        config: Mapping[str, Any],
        ceilings: Mapping[int, float],
        stretch: Stretch | None = None,
    ) -> Request:
        """What is sent to the training process; the seed depends on the root seed and the number alone.

        A stretch has the seed of the trial that began its training, and no patience: what ends it is decided
        elsewhere, by its score.
        """
        first = number if stretch is None or stretch.first is None else stretch.first
        seed = int(np.random.SeedSequence([self.seed, first]).generate_state(1)[0])
        recipe = recipe_for(config, self.defaults)
        attending = None if self.callbacks is None else replace(self.callbacks, trial=number)
        given = Request(
            family, dict(config), self.signature, recipe, seed, dict(ceilings), self.deadline,
            callbacks=attending,
        )  # fmt: skip
        if stretch is None:
            return given
        looks = tuple(sorted({*recipe.looks, *stretch.looks}))
        whole = replace(recipe, patience=0.0, checkpoints=looks)
        return replace(given, recipe=whole, stop=stretch.stop, state=stretch.state)

    def _record(self, number: int, family: str, config: Mapping[str, Any], t: Trained, started: str) -> Trial:
        chosen = t.out_of_fold[t.chosen_index]
        scores = fold_scores(self.metric, self.plan, chosen)
        return Trial(
            number=number,
            family=family,
            config=dict(config),
            status="pruned" if t.is_pruned else "completed",
            cause=f"above the median at epoch {t.checkpoints[-1]}" if t.is_pruned else None,
            score=pooled_loss(self.metric.score, self.plan.y, chosen, self.plan.row_weights),
            score_se=standard_error(scores),
            fold_scores=tuple(scores),
            train_score=-t.train_loss if self.metric.is_higher_better else t.train_loss,
            chosen_epoch=t.chosen_epoch,
            checkpoints=t.checkpoints,
            curve=t.curve,
            train_curve=t.train_curve,
            kept_epochs=t.kept_epochs,
            chosen_index=t.chosen_index,
            member_epochs=t.member_epochs,
            n_parameters=t.n_parameters,
            fit_seconds=t.fit_seconds,
            predict_seconds_per_1000=t.predict_seconds_per_1000,
            way=t.way,
            way_reason=t.way_reason,
            is_traced=t.is_traced,
            peak_memory_mb=t.peak_memory_mb,
            started=started,
            finished=utc_now(),
        )


def loss_of(trial: Trial, metric: metrics.Metric) -> float:
    """A trial's score turned so that lower is better; infinite where there is none."""
    if trial.score is None:
        return float("inf")
    return -trial.score if metric.is_higher_better else trial.score


def failed_trial(number: int, family: str, config: Mapping[str, Any], cause: str, started: str) -> Trial:
    """The record of a configuration that could not be trained."""
    return Trial(number, family, dict(config), "failed", cause=cause, started=started, finished=utc_now())


def fold_scores(metric: metrics.Metric, plan: Plan, out_of_fold: Array) -> list[float]:
    """The metric of each member on its held rows, from predictions ``(n_repeats, n_rows, n_outputs)``."""
    return [
        float(metric.score(plan.y[rows], out_of_fold[repeat, rows], *plan.weights_of(rows)))
        for repeat, rows in zip(plan.repeat_of_member, plan.held, strict=True)
    ]


def standard_error(scores: list[float]) -> float | None:
    """Standard error of the mean over folds, as if they were independent; None for fewer than two."""
    known = np.asarray([s for s in scores if np.isfinite(s)])
    return float(known.std(ddof=1) / np.sqrt(len(known))) if len(known) > 1 else None
