"""Finished run folders, made through the records: one table, predictions of a given quality."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from search import toml
from search.metrics import METRICS
from search.records import Run, Trial

N_ROWS, N_SPLITS, N_REPEATS, N_ROUNDS = 120, 4, 2, 2


def targets(data: str, n_rows: int = N_ROWS) -> np.ndarray:
    """The binary targets of a table `(n_rows, 1)`, different for each name."""
    return (np.random.default_rng([*data.encode()]).random((n_rows, 1)) < 0.4).astype(np.float64)


def folds_of(seed: int, n_rows: int = N_ROWS) -> np.ndarray:
    """Shuffled folds `(n_repeats, n_rows)`."""
    rng = np.random.default_rng(seed)
    return np.stack([rng.permutation(np.arange(n_rows) % N_SPLITS) for _ in range(N_REPEATS)])


def finished(
    path: Path,
    *,
    data: str = "table",
    noise: float = 1.0,
    seed: int = 0,
    split_seed: int = 0,
    rows: np.ndarray | None = None,
    metric: str = "log_loss",
    kind: str = "binary",
    source: str | None = None,
    has_targets: bool = True,
    row_weights: np.ndarray | None = None,
    n_trials: int = 3,
    config: dict[str, Any] | None = None,
) -> Run:
    """A run whose ensemble is nearer to the targets the lower `noise` is; the same seed, the same errors.

    `rows` are the positions of its rows in the table, by default all.
    """
    rows = np.arange(N_ROWS) if rows is None else rows
    y, folds = targets(data)[rows], folds_of(split_seed)[:, rows]
    run, rng = Run.create(path), np.random.default_rng(seed)
    error = rng.normal(size=(N_ROUNDS, N_REPEATS, N_ROWS, 1))[:, :, rows]
    predictions = 1.0 / (1.0 + np.exp(-(2.0 * (2.0 * y - 1.0) + noise * error)))
    run.save_arrays(
        "honest.npz",
        {"ensemble_predictions": predictions, "winner_predictions": predictions * 0.9 + 0.02},
    )
    run.save_arrays(
        "splits.npz", {"fold_of_row": folds, "kind": np.array("kfold"), "n_splits": np.array(N_SPLITS)}
    )
    run.save_arrays("rows.npz", {"development": rows, "sealed": np.setdiff1d(np.arange(N_ROWS), rows)})
    if has_targets:
        run.save_arrays(
            "targets.npz", {"y": y, **({} if row_weights is None else {"row_weights": row_weights})}
        )
    run.save_json("run.json", _facts(data, source, kind, metric, split_seed, rows))
    own = {
        "preset": "good",
        "sampler": "tpe",
        "seed": seed,
        "data": f"{data}.csv",
        "target": ["y"],
        **(config or {}),
    }
    run.save_text("config.toml", toml.dumps(own))
    scores = _scores(metric, y, predictions, row_weights)
    run.save_json("summary.json", _summary(metric, scores, n_trials))
    for number in range(n_trials):
        run.append_trial(
            Trial(
                number, "mlp", {"depth": number}, "completed", score=float(scores.mean()) + number,
                fold_scores=tuple(np.repeat(scores, N_SPLITS) + 0.01 * np.arange(N_SPLITS * N_REPEATS)),
                fit_seconds=1.0,
            )
        )  # fmt: skip
    run.finish()
    return run


def _scores(metric: str, y: np.ndarray, tables: np.ndarray, row_weights: np.ndarray | None) -> np.ndarray:
    """The metric on each repeat `(n_repeats,)`, averaged over rounds."""
    found = [[METRICS[metric].score(y, one, row_weights) for one in repeats] for repeats in tables]
    return np.asarray(found).mean(axis=0)


def _facts(
    data: str, source: str | None, kind: str, metric: str, split_seed: int, rows: np.ndarray
) -> dict[str, Any]:
    return {
        "metric": metric,
        "seed": 0,
        "task": {"kind": kind, "target_names": ["y"], "classes": ["no", "yes"]},
        "dataset": {"name": data, "n_rows": len(rows), "source": source or f"source of {data}"},
        "folds": {"kind": "kfold", "n_splits": N_SPLITS, "fingerprint": f"{data} {split_seed} {rows.sum()}"},
    }


def _summary(metric: str, scores: np.ndarray, n_trials: int) -> dict[str, Any]:
    score = float(scores.mean())
    return {
        "metric": metric,
        "is_higher_better": METRICS[metric].is_higher_better,
        "ensemble": {
            "score": score, "low": score - 0.05, "high": score + 0.05, "in_sample_score": score,
            "members": [{"trial": 0, "family": "mlp", "weight": 1.0}],
        },
        "best_single": {"trial": 0, "score": score, "crossfit_score": score},
        "baselines": [{"name": "dummy", "score": 0.7}, {"name": "linear", "score": 0.5}],
    }  # fmt: skip
