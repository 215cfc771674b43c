"""What the table holds: rows, target, columns, splits, and what the audit found."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from reports.page.figure import Figure, Section, bars, rounded
from reports.page.markup import details, heading, listed, number, pairs, paragraph, short, table
from reports.summary import facts_of, part
from search.records import Run

N_BINS = 30
MOST_CLASSES = 20
MOST_COLUMNS = 400


def gather(run: Run) -> dict[str, Any]:
    """Columns with what they hold (names and kinds alone in older runs), and the target's distribution."""
    told = facts_of(run)
    columns = run.load_json("columns.json") if run.has("columns.json") else None
    if columns is None:
        columns = [
            {"column": c["name"], "kind": c["kind"]} for c in part(told, "schema").get("columns") or []
        ]
    target = None
    if run.has("targets.npz") and told.get("task"):
        target = _target(run.load_arrays("targets.npz")["y"], told["task"])
    found: dict[str, Any] = rounded(
        {"n_columns": len(columns), "columns": columns[:MOST_COLUMNS], "target": target}
    )
    return found


def _target(y: Any, task: Mapping[str, Any]) -> dict[str, Any]:
    """Counts of classes or labels, or histograms of values."""
    if task["kind"] == "regression":
        histograms = [np.histogram(column, min(N_BINS, max(5, len(y) // 10))) for column in y.T[:4]]
        return {
            "histograms": [
                {"target": str(name), "counts": counts.tolist(), "edges": edges.tolist()}
                for name, (counts, edges) in zip(task["target_names"], histograms, strict=False)
            ]
        }
    names = task["target_names"] if task["kind"] == "multilabel" else task["classes"]
    counts = [len(y) - y.sum(), y.sum()] if task["kind"] == "binary" else list(y.sum(axis=0))
    return {"counts": [[str(name), int(count)] for name, count in zip(names, counts, strict=True)]}


def section(facts: Mapping[str, Any]) -> Section:
    """Summary of the data."""
    data, columns = facts["data"], facts["columns"]
    task = data.get("task") or {}
    figures = _figures(columns["target"])
    classes = [str(name) for name in task.get("classes") or []]
    body = [
        pairs(
            {
                "table": data.get("name"),
                "rows": data.get("n_rows"),
                "columns": data.get("n_columns"),
                "rows without a target (left out)": data.get("n_dropped"),
                "rows sealed as a holdout": data.get("n_sealed"),
                "task": task.get("kind"),
                "target": short(", ".join(map(str, task.get("target_names") or [])), 120),
                "classes": short(", ".join(classes), 160) if classes else None,
                "splits": facts["splits"].get("reason"),
            }
        ),
        listed([short(note, 400) for note in data.get("notes") or []]),
        "".join(figure.html for figure in figures),
        heading("Columns"),
        _columns(columns),
        heading("Audit"),
        _audit(facts["honesty"]["audit"]),
    ]
    return Section("data", "Data", "".join(body), figures)


def _figures(target: Mapping[str, Any] | None) -> list[Figure]:
    if target is None:
        return []
    if "counts" in target:
        counted = sorted(target["counts"], key=lambda pair: -pair[1])
        shown = counted[:MOST_CLASSES]
        trace, axis = bars([name for name, _ in shown], [count for _, count in shown], "@single")
        layout = {"yaxis": axis, "xaxis": {"title": {"text": "rows"}}, "showlegend": False}
        says = f"The most frequent is “{short(shown[0][0], 40)}” with {shown[0][1]:,} rows."
        rows = [[short(name), count] for name, count in counted]
        return [
            Figure("target", "Target.", [trace], layout, says, ["class", "rows"], rows, 110 + 26 * len(shown))
        ]
    return [_histogram(one, i) for i, one in enumerate(target["histograms"])]


def _histogram(one: Mapping[str, Any], index: int) -> Figure:
    edges, counts = one["edges"], one["counts"]
    centres = [(a + b) / 2 for a, b in pairwise(edges)]
    trace = {
        "type": "bar",
        "x": centres,
        "y": counts,
        "marker": {"color": "@single/0.85"},
        "hovertemplate": "around %{x:.4g}: %{y} rows<extra></extra>",
    }
    layout = {
        "bargap": 0.05,
        "xaxis": {"title": {"text": "value"}},
        "yaxis": {"title": {"text": "rows"}},
        "showlegend": False,
    }
    says = f"{short(one['target'], 60)} goes from {number(edges[0])} to {number(edges[-1])}."
    rows = [[a, b, n] for a, b, n in zip(edges, edges[1:], counts, strict=False)]
    return Figure(f"target-{index}", "Target.", [trace], layout, says, ["from", "to", "rows"], rows, 280)


def _columns(found: Mapping[str, Any]) -> str:
    if not found["columns"]:
        return paragraph("They were not stored.", "note")
    rows = [
        [short(one["column"]), one["kind"], _share(one.get("missing")), one.get("n_distinct"), _holds(one)]
        for one in found["columns"]
    ]
    header = ["column", "kind", "missing", "distinct", "values"]
    return table(header, rows, "Columns of the table")


def _share(value: float | None) -> str:
    return "" if value is None else "none" if value == 0 else f"{value:.1%}"


def _holds(one: Mapping[str, Any]) -> str:
    quantiles: Sequence[Any] = one.get("quantiles") or ()
    if quantiles:
        shown = [str(q) if isinstance(q, str) else number(q, 3) for q in quantiles]
        return f"{shown[0]} … {shown[2]} … {shown[4]}"
    frequent = one.get("most_frequent") or ()
    return ", ".join(f"{short(top['value'], 24)} {top['share']:.0%}" for top in frequent)


def _audit(findings: Sequence[Mapping[str, str]] | None) -> str:
    if findings is None:
        return paragraph("The table was not audited.")
    if not findings:
        return paragraph("No leak was found.")
    columns = ("severity", "leak", "columns", "evidence", "remedy")
    rows = [[short(one[name], 300) for name in columns] for one in findings]
    return details("Findings", table(list(columns), rows, "Findings of the audit")).replace(
        "<details>", "<details open>", 1
    )
