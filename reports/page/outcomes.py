"""What the ensemble's honest predictions do, in figures: decisions, ranking, calibration; or residuals.

Each row's prediction is the mean of its cross-fitted ones over rounds and repeats, so these figures can be a
little better than the honest score, which is of one at a time.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reports.page.figure import rounded
from reports.summary import facts_of, part
from search.metrics import METRICS, MetricError
from search.records import Run

Array = NDArray[Any]

MOST_CURVES = 8  # classes or labels that have curves of their own
MOST_CLASSES = 25  # of a confusion table
MOST_TARGETS = 4
MOST_POINTS = 1_200
N_CURVE = 150
N_BINS = 10
SHARE_INSIDE = 0.9


def gather(run: Run) -> dict[str, Any] | None:
    """Everything the task's pictures need, as plain data; `reason` where something is not in the run."""
    if not run.has("honest.npz"):
        return {"reason": "The study did not come as far as honest predictions."}
    if not run.has("targets.npz"):
        return {"reason": "This run does not hold its targets (targets.npz), which these pictures need."}
    stored, y = run.load_arrays("honest.npz")["ensemble_predictions"], run.load_arrays("targets.npz")["y"]
    p, is_there = _means(stored.reshape(-1, *stored.shape[-2:]))
    if not is_there.any():
        return {"reason": "No row has an honest prediction."}
    found = outcomes(y[is_there], p[is_there], part(facts_of(run), "task"), np.flatnonzero(is_there))
    return {**found, "n_averaged": int(np.prod(stored.shape[:2]))}


def _means(tables: Array) -> tuple[Array, NDArray[np.bool_]]:
    """Mean over tables of what is there `(n_rows, n_outputs)`, and for which rows something is."""
    is_known = ~np.isnan(tables)
    n_known = is_known.sum(axis=0)
    total = np.where(is_known, tables, 0.0).sum(axis=0, dtype=np.float64)
    return total / np.maximum(n_known, 1), n_known[:, 0] > 0


def outcomes(y: Array, p: Array, task: Mapping[str, Any], rows: Array) -> dict[str, Any]:
    """Figures of predictions.

    Parameters
    ----------
    y, p : (n_rows, n_outputs)
        Targets, and finite predictions.
    task
        Kind, target names and classes, as `run.json` has them.
    rows : (n_rows,) int
        Their numbers in the table.
    """
    kind = task["kind"]
    found: dict[str, Any] = {"kind": kind, "n_rows": len(y), "scores": _scores(y, p, kind)}
    if kind == "regression":
        names = [str(name) for name in task["target_names"]][:MOST_TARGETS]
        found["targets"] = [_residuals(name, y[:, j], p[:, j], rows) for j, name in enumerate(names)]
    else:
        found |= _decisions(y, p, task)
    plain: dict[str, Any] = rounded(found)
    return plain


def _scores(y: Array, p: Array, kind: Any) -> dict[str, float | None]:
    found: dict[str, float | None] = {}
    for name, metric in METRICS.items():
        if kind in metric.tasks:
            try:
                value = replace(metric, kind=kind).score(y, p)
            except MetricError:  # targets outside what a metric is defined for
                continue
            found[name] = value if math.isfinite(value) else None
    return found


def _decisions(y: Array, p: Array, task: Mapping[str, Any]) -> dict[str, Any]:
    """Confusion, curves of each class or label, and calibration."""
    kind, is_binary = task["kind"], task["kind"] == "binary"
    names = [str(name) for name in (task["target_names"] if kind == "multilabel" else task["classes"])]
    columns = (
        {names[1]: (y[:, 0], p[:, 0])} if is_binary else {n: (y[:, j], p[:, j]) for j, n in enumerate(names)}
    )
    frequent = sorted(columns, key=lambda name: -float(columns[name][0].sum()))[:MOST_CURVES]
    found: dict[str, Any] = {"names": names, "confusion": None, "labels": None}
    if kind == "multilabel":
        found["labels"] = [_counts(name, *columns[name]) for name in names[:MOST_CLASSES]]
    else:
        true, said = (y[:, 0] > 0.5, p[:, 0] > 0.5) if is_binary else (y.argmax(axis=1), p.argmax(axis=1))
        found["confusion"] = _confusion(np.asarray(true, int), np.asarray(said, int), len(names))
    curves = [_curve(name, *columns[name]) for name in frequent]
    found["curves"] = [curve for curve in curves if curve is not None]
    found["calibration"] = _calibration(*_confidence(y, p, kind))
    found["calibrates"] = (
        "the class that is predicted" if kind == "multiclass" else (names[1] if is_binary else "all labels")
    )
    return found


def _confidence(y: Array, p: Array, kind: str) -> tuple[Array, Array]:
    """What is checked against what happened: of several classes, that the predicted one is right."""
    if kind != "multiclass":
        return y.ravel(), p.ravel()
    said = p.argmax(axis=1)
    return (y.argmax(axis=1) == said).astype(np.float64), p[np.arange(len(p)), said]


def _confusion(true: Array, said: Array, n_classes: int) -> dict[str, Any]:
    """Counts `[true][predicted]` of the most frequent classes."""
    table = np.bincount(true * n_classes + said, minlength=n_classes**2).reshape(n_classes, n_classes)
    kept = np.sort(np.argsort(-table.sum(axis=1), kind="stable")[:MOST_CLASSES])
    return {"classes": kept.tolist(), "counts": table[np.ix_(kept, kept)].tolist()}


def _counts(name: str, y: Array, p: Array) -> dict[str, Any]:
    true, said = y > 0.5, p > 0.5
    pairs = {
        "hits": true & said,
        "false_alarms": ~true & said,
        "misses": true & ~said,
        "rejections": ~true & ~said,
    }
    return {"name": name, **{key: int(one.sum()) for key, one in pairs.items()}}


def _curve(name: str, y: Array, p: Array) -> dict[str, Any] | None:
    """Receiver operating characteristic and precision against recall; None without both answers."""
    n_positive, n_negative = float((y > 0.5).sum()), float((y <= 0.5).sum())
    if not n_positive or not n_negative:
        return None
    order = np.argsort(-p, kind="stable")
    is_last = np.append(np.diff(p[order]) != 0, True)
    hits, alarms = np.cumsum(y[order] > 0.5)[is_last], np.cumsum(y[order] <= 0.5)[is_last]
    recall, precision = hits / n_positive, hits / (hits + alarms)
    kept = _thinned(len(hits))
    column, own = y[:, None], p[:, None]
    return {
        "name": name,
        "auc": METRICS["auc"].score(column, own),
        "average_precision": METRICS["average_precision"].score(column, own),
        "share": n_positive / len(y),
        "false_positive_rate": [0.0, *(alarms / n_negative)[kept]],
        "recall": [0.0, *recall[kept]],
        "precision": [float(precision[0]), *precision[kept]],
    }


def _thinned(n: int) -> NDArray[np.int64]:
    return np.unique(np.linspace(0, n - 1, min(n, N_CURVE)).round().astype(np.int64))


def _calibration(happened: Array, p: Array) -> list[dict[str, Any]]:
    """Predicted against observed share in bins of equal size, with Wilson's 95 % interval."""
    order = np.argsort(p, kind="stable")
    found = []
    for own in np.array_split(order, min(N_BINS, max(1, len(p) // 10))):
        n, share = len(own), float(happened[own].mean())
        low, high = _wilson(share, n)
        found.append({"predicted": float(p[own].mean()), "observed": share, "low": low, "high": high, "n": n})
    return found


def _wilson(share: float, n: int, z: float = 1.96) -> tuple[float, float]:
    """Interval of a share (Wilson 1927)."""
    centre = (share + z**2 / (2 * n)) / (1 + z**2 / n)
    half = z / (1 + z**2 / n) * math.sqrt(share * (1 - share) / n + z**2 / (4 * n**2))
    return max(0.0, centre - half), min(1.0, centre + half)


def _residuals(name: str, y: Array, p: Array, rows: Array) -> dict[str, Any]:
    """True and predicted values (at most 1,200 rows), and the interval that holds 90 % of the residuals.

    Its half-width is the ceil(0.9 (n + 1))-th smallest absolute residual (Vovk, Gammerman and Shafer 2005):
    for a further row like these it holds with probability 0.9, as far as they were no part of the decisions.
    """
    residuals = y - p
    n = len(y)
    rank = min(n, math.ceil(SHARE_INSIDE * (n + 1)))
    half = float(np.sort(np.abs(residuals))[rank - 1])
    kept = np.unique(np.linspace(0, n - 1, min(n, MOST_POINTS)).round().astype(np.int64))
    return {
        "name": name,
        "half_width": half,
        "share_inside": SHARE_INSIDE,
        "inside": float(np.mean(np.abs(residuals) <= half)),
        "by_quarter": _by_quarter(p, residuals, half),
        "row": rows[kept].tolist(),
        "true": y[kept].tolist(),
        "predicted": p[kept].tolist(),
    }


def _by_quarter(p: Array, residuals: Array, half: float) -> list[dict[str, Any]]:
    """Spread and bias of the residuals, and the share within the interval, by quarters of the prediction."""
    parts: Sequence[Array] = [q for q in np.array_split(np.argsort(p, kind="stable"), 4) if len(q)]
    return [
        {
            "from": float(p[own].min()),
            "to": float(p[own].max()),
            "mean_residual": float(residuals[own].mean()),
            "spread": float(residuals[own].std()),
            "inside": float(np.mean(np.abs(residuals[own]) <= half)),
        }
        for own in parts
    ]
