"""What is done between two trials: a person is told, and the leak budget is asked."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np

from reports.budget import LeakBudget, Trajectory
from reports.estimates import crossfit, honest_loss, split
from reports.history import History, history_of
from reports.replay import Rule
from search.assembly import architecture_of
from search.combination import Combiner
from search.config import StudyConfig
from search.ladder import Ladder, paired_losses
from search.preparation import Prepared
from search.progress import Progress, Tried
from search.records import Run, Trial
from search.training.recipe import Recipe
from spaces.families import family_of

N_PARTS = 5
FEWEST_TRIALS = 3
SHARE_OF_TRAINING = 0.03
SECONDS_AT_FIRST = 0.3  # what the first estimate is thought to take


class Leak:
    """Ends a study when another trial is not worth its leak."""

    def __init__(self, run: Run, config: StudyConfig, prepared: Prepared) -> None:
        dataset, self._run, self._has_epochs = prepared.dataset, run, config.epoch_choice == "common"
        trajectory = Trajectory(
            prepared.metric, dataset.y, rng=prepared.seeds.rng("budget"), units=prepared.folds.units,
            time=dataset.time,
        )  # fmt: skip
        self.budget = LeakBudget(trajectory)

    def __call__(self, trial: Trial) -> str | None:
        if trial.status not in ("completed", "pruned"):
            return None
        stored = self._run.out_of_fold(trial.number)
        own = stored if self._has_epochs or trial.chosen_index is None else stored[[trial.chosen_index]]
        return self.budget.add(own, is_completed=trial.status == "completed")


class Growing:
    """Scores the ensemble of the trials so far on rows that did not choose it, now and then.

    One round of the cross-fitted replay in five parts, epochs and pruning replayed too; members are weighed
    by one method (greedy, unless another was asked for) and not calibrated. It is made when all estimates
    together take at most 3 % of the time that was spent on training. A new score is told only past the
    Ladder's step from the one told before.
    """

    def __init__(
        self, run: Run, config: StudyConfig, prepared: Prepared, combiner: Combiner, recipe: Recipe
    ) -> None:
        self._run, self._prepared, self._recipe = run, prepared, recipe
        self._epoch_choice, self._rule = config.epoch_choice, quick_rule(combiner, recipe)
        self._n_before = len(run.trials())  # of a run that goes on, to be taken up first
        self._n_seen, self._n_stored, self._n_completed, self._trained_seconds = 0, 0, 0, 0.0
        self._parts: np.ndarray | None = None
        self._n_last, self._last_seconds = 0, SECONDS_AT_FIRST
        self._is_off = False
        self.ladder = Ladder()
        self.seconds = 0.0

    def __call__(self, trials: Sequence[Trial]) -> tuple[float, int] | None:
        """The score, in its own direction, and the trials behind it; None where nothing is to be told.

        `trials` are all so far, which are only ever added to.
        """
        self._catch_up(trials)
        if self._is_off or not self._is_due(len(trials)):
            return None
        started = time.perf_counter()
        try:
            found = self._estimate()
        except ValueError:  # too few rows, a metric that is undefined: the study goes on without
            self._is_off = True
            return None
        self._last_seconds = time.perf_counter() - started
        self.seconds += self._last_seconds
        self._n_last = self._n_stored
        return None if found is None else (found, len(trials))

    def _catch_up(self, trials: Sequence[Trial]) -> None:
        """Count what is new."""
        for trial in trials[self._n_seen :]:
            if trial.status in ("completed", "pruned"):
                self._n_stored += 1
                self._n_completed += trial.status == "completed"
                self._trained_seconds += trial.fit_seconds
        self._n_seen = len(trials)

    def _is_due(self, n_trials: int) -> bool:
        if self._n_completed < FEWEST_TRIALS or self._n_stored <= self._n_last:
            return False
        if n_trials < self._n_before:  # a run that goes on is taken up: what came before is known
            return False
        expected = self._last_seconds * self._n_stored / max(self._n_last, FEWEST_TRIALS)
        return self.seconds + expected <= SHARE_OF_TRAINING * self._trained_seconds

    def _estimate(self) -> float | None:
        """The honest score, if it is better than the one told by more than noise."""
        prepared, history = self._prepared, self._history()
        if self._parts is None:
            rng = prepared.seeds.rng("budget").spawn(1)[0]
            self._parts = split(history, n_parts=N_PARTS, n_rounds=1, rng=rng)
        table = crossfit(history, self._rule, self._parts, n_workers=1).ensemble
        losses = paired_losses(prepared.metric, prepared.dataset.y, table[0], self._fold_scores(table[0]))
        if not self.ladder.offer(losses):
            return None
        loss = honest_loss(history, prepared.metric, table)
        return -loss if prepared.metric.is_higher_better else loss

    def _history(self) -> History:
        dataset, folds = self._prepared.dataset, self._prepared.folds
        return history_of(
            self._run,
            dataset.y,
            architecture=architecture_of,
            units=folds.units,
            time=dataset.time,
            has_epochs=self._epoch_choice in ("common", "fold"),
            fold_of_row=folds.fold_of_row if self._epoch_choice == "fold" else None,
            is_watched=lambda trial: family_of(trial.family).is_network and trial.stop_epoch is None,
            row_weights=dataset.row_weights,
        )

    def _fold_scores(self, table: np.ndarray) -> tuple[float, ...]:
        """Scores by fold, for metrics that are no means of rows."""
        metric, dataset = self._prepared.metric, self._prepared.dataset
        if metric.is_mean_of_rows:
            return ()
        found = []
        for member in self._prepared.folds.members():
            rows = member.held[~np.isnan(table[member.repeat, member.held, 0])]
            weights = None if dataset.row_weights is None else dataset.row_weights[rows]
            known = rows.size > 0
            found.append(
                metric.score(dataset.y[rows], table[member.repeat, rows], weights) if known else np.nan
            )
        return tuple(found)


def quick_rule(combiner: Combiner, recipe: Recipe) -> Rule:
    """The study's rule with one method of weighing and no calibration."""
    method = "greedy" if len(combiner.methods) > 1 else combiner.methods[0]
    members = partial(combiner.weigh, method=method)
    return replace(combiner.rule(recipe), choose_members=members, choose_method=None, calibrate=None)


class Watch:
    """Tells a person of each trial; a new best one, and a better ensemble, only past the Ladder's step."""

    def __init__(
        self, run: Run, prepared: Prepared, progress: Progress, growing: Growing | None = None
    ) -> None:
        self._run, self._prepared, self._progress = run, prepared, progress
        self._growing = growing
        self._n_of: Counter[str] = Counter()
        self.ladder = Ladder()

    @property
    def counts(self) -> dict[str, int]:
        """Best trials and ensembles that were announced, and those withheld as noise; for the summary."""
        grown = Ladder() if self._growing is None else self._growing.ladder
        return {
            "n_announced": self.ladder.n_announced,
            "n_withheld": self.ladder.n_withheld,
            "n_ensembles_announced": grown.n_announced,
            "n_ensembles_withheld": grown.n_withheld,
        }

    def begin(self, number: int, family: str, config: Mapping[str, Any]) -> None:
        """Tell what is tried now."""
        self._progress.update(current=Tried(number, family, config))

    def __call__(self, trial: Trial, trials: Sequence[Trial]) -> None:
        self._n_of.update(one.status for one in trials[self._n_of.total() :])
        counts = {f"n_{status}": self._n_of[status] for status in ("failed", "pruned", "duplicate")}
        is_new_best = trial.status == "completed" and self.ladder.offer(self._losses(trial))
        best: dict[str, Any] = {}
        if is_new_best:
            tried = Tried(trial.number, trial.family, trial.config)
            best = {"best_trial": trial.number, "best_score": trial.score, "best": tried}
        grown = None if self._growing is None else self._growing(trials)
        if grown is not None:
            best |= {"ensemble_score": grown[0], "ensemble_trials": grown[1]}
        self._progress.update(n_done=len(trials), **counts, **best)
        if trial.status == "failed":
            self._progress.say(f"trial {trial.number} failed: {trial.cause}")

    def _losses(self, trial: Trial) -> np.ndarray:
        table = self._run.out_of_fold(trial.number)[trial.chosen_index]
        return paired_losses(self._prepared.metric, self._prepared.dataset.y, table, trial.fold_scores)
