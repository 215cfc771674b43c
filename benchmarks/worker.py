"""One way on one workload, measured in a process of its own; the figures go out as one line of JSON.

``python -m benchmarks.worker WAY WORKLOAD [n_members [n_configs]]``, called by `benchmarks.engine`.
"""

from __future__ import annotations

import json
import sys
from typing import Any

from benchmarks.workloads import N_CONFIGS, workload


def measure(way: str, name: str, n_members: int = 0, n_configs: int = N_CONFIGS) -> dict[str, Any]:
    """The figures of one way; with ``n_members``, a rival fits only so many members and is scaled up."""
    from benchmarks import memory, ours, rivals

    if way in ("peak", "tiny_peak"):
        return memory.peak_of_b(way == "tiny_peak")
    if way == "resident":
        return memory.study_over_trials(n_configs)
    work = workload(name, n_configs)
    if way == "kfold_tuner":
        return ours.kfold_tuner(work)
    if way == "engine":
        return ours.one_trial(work)
    if way == "process":
        return ours.through_process(work)
    if way in ("study", "looked_study"):
        return ours.study(work, is_looked=way == "looked_study")
    if way != "scikit_learn":
        rivals.warm_up()
    members = work.members
    if n_members:
        n_folds = 1 + max(member.fold for member in members)
        members = tuple(members[(i * n_folds + i) % len(members)] for i in range(n_members))
    measured = rivals.RIVALS[way](work, members).scaled(len(work.members) / len(members))
    return {LABELS[way]: measured.seconds, "loss": measured.loss}


LABELS = {
    "fit": "keras fit per fold",
    "optuna": "Optuna + fit per fold",
    "keras_tuner": "KerasTuner + fit per fold",
    "random_search": "KerasTuner RandomSearch + fit per fold",
    "scikit_learn": "scikit-learn MLPClassifier",
}

if __name__ == "__main__":
    print(json.dumps(measure(sys.argv[1], sys.argv[2], *map(int, sys.argv[3:]))))
