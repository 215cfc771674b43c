"""A small run folder, made through the records, that every report test reads."""

import math
from pathlib import Path

import pytest

from search.ledger import Event, Ledger, of_best_of, of_common_epoch, of_greedy
from search.records import Run, Trial

SUMMARY = {
    "metric": "log_loss",
    "is_higher_better": False,
    "n_rows": 569,
    "ensemble": {
        "score": 0.071,
        "in_sample_score": 0.066,
        "members": [{"trial": 2, "weight": 0.75}, {"trial": 0, "weight": 0.25}],
        "method": "greedy",
        "final": "bag",
    },
    "best_single": {"trial": 2, "score": 0.08, "crossfit_score": 0.083},
    "baselines": [
        {"name": "linear", "score": 0.09, "score_se": 0.01, "fit_seconds": 0.2, "n_parameters": 31},
        {"name": "dummy", "score": 0.66, "score_se": 0.002, "fit_seconds": 0.01, "n_parameters": 1},
    ],
    "stop_reason": "all 5 trials were made",
    "splits_reason": "5 folds x 3 repeats, as 569 rows are fewer than 2,000",
    "n_failed": 1,
    "n_pruned": 1,
    "n_duplicate": 1,
}
FACTS = {
    "command": "python -m search.run study --demo breast_cancer",
    "metric": "log_loss",
    "seed": 0,
    "dataset": {"name": "breast_cancer", "n_rows": 569, "n_dropped": 0, "fingerprint": "abc"},
    "task": {"kind": "binary", "target_names": ["diagnosis"], "classes": ["benign", "malignant"]},
    "folds": {"kind": "kfold", "n_splits": 5, "n_repeats": 3},
    "versions": {"python": "3.11.7"},
}
TRIALS = (
    Trial(0, "mlp", {"depth": 2}, "completed", score=0.10, score_se=0.02, train_score=0.07, chosen_epoch=9,
          n_parameters=100, fit_seconds=1.0, predict_seconds_per_1000=0.1),
    Trial(1, "mlp", {"depth": 9}, "failed", cause="loss was NaN | at epoch 3\nof fold 1", fit_seconds=0.5),
    Trial(2, "mlp", {"depth": 3}, "completed", score=0.08, score_se=0.01, train_score=0.05, chosen_epoch=4,
          n_parameters=200, fit_seconds=2.0, predict_seconds_per_1000=0.2),
    Trial(3, "mlp", {"depth": 1}, "pruned", score=0.5, fit_seconds=0.1),
    Trial(4, "mlp", {"depth": 2}, "duplicate", duplicate_of=0),
)  # fmt: skip


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """A finished run of five trials, one of each status and two completed."""
    run = unfinished(tmp_path / "run")
    run.save_json("summary.json", SUMMARY)
    run.finish()
    return run


@pytest.fixture
def interrupted(tmp_path: Path) -> Run:
    """The same run, ended before baselines and ensemble were there."""
    return unfinished(tmp_path / "interrupted")


def unfinished(path: Path) -> Run:
    run, ledger = Run.create(path), None
    run.save_json("run.json", FACTS)
    ledger = Ledger(run)
    for trial in TRIALS:
        run.append_trial(trial)
    for trial in (0, 2):
        ledger.append(Event("epoch", trial, 3, 5, 569, 20, of_common_epoch(20), None, "epoch 4"))
    ledger.append(Event("winner", None, 3, 5, 569, 2, of_best_of(2), 0.01, "trial 2"))
    ledger.append(Event("members", None, 3, 5, 569, 2, of_greedy(2, 25), None, "2, 0"))
    return run


TOTAL_NATS = 2 * math.log(20) + math.log(2) + math.log(26)
