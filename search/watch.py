"""What is done between two trials: a person is told, and the leak budget is asked."""

from __future__ import annotations

import numpy as np

from reports.budget import LeakBudget, Trajectory
from search.config import StudyConfig
from search.ladder import Ladder, paired_losses
from search.preparation import Prepared
from search.progress import Progress
from search.records import Run, Trial


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


class Watch:
    """Tells a person of each trial; a new best one only past the Ladder's step."""

    def __init__(self, run: Run, prepared: Prepared, progress: Progress) -> None:
        self._run, self._prepared, self._progress = run, prepared, progress
        self.ladder = Ladder()

    def __call__(self, trial: Trial, trials: list[Trial]) -> None:
        counts = {
            f"n_{status}": sum(t.status == status for t in trials)
            for status in ("failed", "pruned", "duplicate")
        }
        is_new_best = trial.status == "completed" and self.ladder.offer(self._losses(trial))
        best = {"best_trial": trial.number, "best_score": trial.score} if is_new_best else {}
        self._progress.update(n_done=len(trials), **counts, **best)
        if trial.status == "failed":
            self._progress.say(f"trial {trial.number} failed: {trial.cause}")

    def _losses(self, trial: Trial) -> np.ndarray:
        table = self._run.out_of_fold(trial.number)[trial.chosen_index]
        return paired_losses(self._prepared.metric, self._prepared.dataset.y, table, trial.fold_scores)
