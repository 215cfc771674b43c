"""What a run says of its study: before the first trial in run.json, after the last in summary.json."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from search import metrics
from search import resume as resuming
from search.audit import findings_table
from search.baselines import Baseline, baselines
from search.config import StudyConfig
from search.hardware import versions
from search.looks import row_hashes
from search.objective import fold_scores, standard_error
from search.preparation import Prepared
from search.records import Run, Trial
from search.training.plan import Plan
from search.training.trained import pooled_loss


def write_facts(run: Run, config: StudyConfig, prepared: Prepared, command: str) -> tuple[Baseline, ...]:
    """Write down what is known before the first trial; the result is the reference models."""
    dataset, folds = prepared.dataset, prepared.folds
    before = run.load_json("run.json") if run.has("run.json") else {}
    again = [*before.get("continued", []), command] if before else []
    facts = {
        "command": before.get("command", command),
        "continued": again,
        "versions": versions(),
        "metric": prepared.metric.name,
        "is_higher_better": prepared.metric.is_higher_better,
        "seed": config.seed,
        "task": dataset.task.to_json(),
        "schema": dataset.schema.to_json(),
        "dataset": {
            "name": dataset.name,
            "n_rows": dataset.n_rows,
            "n_columns": dataset.schema.n_columns,
            "n_dropped": dataset.n_dropped,
            "n_sealed": len(prepared.sealed),
            "fingerprint": dataset.fingerprint,
            "source": prepared.source,
            "notes": list(dataset.notes),
        },
        "folds": {
            "kind": folds.kind,
            "n_splits": folds.n_splits,
            "n_repeats": folds.n_repeats,
            "reason": folds.reason,
            "fingerprint": folds.fingerprint,
        },
        "space": prepared.space.to_json(),
    }
    run.save_text("config.toml", resuming.sealed(config))
    run.save_json("run.json", facts)
    folds.save(run.path / "splits.npz")
    run.save_arrays(
        "rows.npz",
        {
            "development": prepared.development,
            "sealed": prepared.sealed,
            "hashes": row_hashes(dataset.table),
        },
    )
    run.save_csv("audit.csv", findings_table(prepared.findings))
    references = baselines(dataset, folds)
    run.save_arrays("baselines.npz", {baseline.name: baseline.predictions for baseline in references})
    return references


@dataclass(frozen=True)
class Searched:
    """The trials of a study, what ended it, and what was said of it meanwhile."""

    trials: list[Trial]
    reason: str
    is_interrupted: bool
    n_announced: int
    n_withheld: int
    leak_budget: dict[str, Any] | None


def summary_of(
    prepared: Prepared, plan: Plan, references: Sequence[Baseline], searched: Searched
) -> dict[str, Any]:
    """What the reports say of a run, but for its ensemble."""
    return {
        "metric": prepared.metric.name,
        "is_higher_better": prepared.metric.is_higher_better,
        "n_rows": prepared.dataset.n_rows,
        "baselines": [_reference(prepared.metric, plan, baseline) for baseline in references],
        "stop_reason": searched.reason,
        "splits_reason": prepared.folds.reason,
        "n_failed": _count(searched.trials, "failed"),
        "n_pruned": _count(searched.trials, "pruned"),
        "n_duplicate": _count(searched.trials, "duplicate"),
        "ladder": {"n_announced": searched.n_announced, "n_withheld": searched.n_withheld},
        "leak_budget": searched.leak_budget,
    }


def _reference(metric: metrics.Metric, plan: Plan, baseline: Baseline) -> dict[str, Any]:
    scores = fold_scores(metric, plan, baseline.predictions)
    return {
        "name": baseline.name,
        "score": pooled_loss(metric.score, plan.y, baseline.predictions, plan.row_weights),
        "score_se": standard_error(scores),
        "fit_seconds": baseline.fit_seconds,
        "n_parameters": baseline.n_parameters,
    }


def _count(trials: Sequence[Trial], status: str) -> int:
    return sum(trial.status == status for trial in trials)
