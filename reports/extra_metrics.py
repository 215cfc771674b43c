"""Further metrics of what a run's entries predicted, from the predictions that it stored."""

from __future__ import annotations

import difflib
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reports.summary import facts_of, part, summary_of
from search.metrics import METRICS, Metric
from search.records import Run, RunError

Array = NDArray[Any]
Scorer = Callable[[str, str, Any], float | None]
"""`(metric, entry, trial)`: the score of a row of the leaderboard, None where nothing is stored."""

_SUBJECTS = {"ensemble": "ensemble", "best single": "winner"}


def bound(run: Run, name: str) -> Metric:
    """A metric bound to the task of a run.

    Raises
    ------
    RunError
        If no metric that is defined for the task has this name.
    """
    kind = part(facts_of(run), "task").get("kind")
    fitting = [known for known, metric in METRICS.items() if kind is None or kind in metric.tasks]
    if name not in fitting:
        nearest = difflib.get_close_matches(name, fitting, 1, cutoff=0.0)[0]
        raise RunError(
            f"no metric of a {kind} task is called {name!r}: {nearest!r}? (of {', '.join(sorted(fitting))})"
        )
    return replace(METRICS[name], kind=kind)


def targets_of(run: Run) -> tuple[Array, Array | None]:
    """Targets `(n_rows, n_outputs)` and row weights `(n_rows,)` or None, as the run stored them.

    Raises
    ------
    RunError
        If it stored none.
    """
    if not run.has("targets.npz"):
        raise RunError(
            f"further metrics need the targets, and the run {str(run.path)!r} stored none "
            "(targets.npz): was it made by an older version, or interrupted?"
        )
    stored = run.load_arrays("targets.npz")
    return stored["y"], stored.get("row_weights")


def scorer(run: Run) -> Scorer:
    """Scores of a run's entries by any metric of its task.

    Trials and baselines: on held-out rows, each repeat together, averaged over repeats, as their score is.
    Ensemble and best single trial: cross-fitted, averaged over rounds too.
    """
    y, row_weights = targets_of(run)
    honest = run.load_arrays("honest.npz") if run.has("honest.npz") else {}
    references = run.load_arrays("baselines.npz") if run.has("baselines.npz") else {}
    trials = {trial.number: trial for trial in run.trials()}
    has_single = bool(part(summary_of(run), "best_single"))

    def tables(entry: str, trial: Any) -> Array | None:
        if entry in _SUBJECTS:
            return honest.get(f"{_SUBJECTS[entry]}_predictions") if has_single else None
        if entry != "trial":
            return references.get(entry)
        known = trials[int(trial)]
        place = f"oof/{known.number:05d}.npy"
        if known.chosen_index is None or known.duplicate_of is not None or not run.has(place):
            return None
        stored: Array = run.out_of_fold(known.number)[known.chosen_index]
        return stored

    def score(name: str, entry: str, trial: Any) -> float | None:
        found = tables(entry, trial)
        return None if found is None else _score(bound(run, name), y, found, row_weights)

    return score


def _score(metric: Metric, y: Array, tables: Array, row_weights: Array | None) -> float:
    """The score of each table on the rows that it predicts, averaged over tables; NaN where undefined."""
    found = []
    for one in tables.astype(np.float64).reshape(-1, *y.shape):
        rows = np.flatnonzero(~np.isnan(one[:, 0]))
        if rows.size:
            weights = None if row_weights is None else row_weights[rows]
            found.append(metric.score(y[rows], one[rows], weights))
    return float(np.mean(found)) if found else np.nan
