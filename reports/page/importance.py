"""Permutation importance of the ensemble on rows that its models did not learn from."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from reports.page.figure import Figure, Section, bars, rounded
from reports.page.markup import paragraph, short
from search.records import Run

MOST_SHOWN = 20


def gather(run: Run) -> dict[str, Any]:
    """What was stored of it; `reason` where there is nothing."""
    if not run.has("importance.json"):
        return {"reason": "It was not computed for this run.", "columns": []}
    found: dict[str, Any] = rounded(run.load_json("importance.json"))
    return found


def section(facts: Mapping[str, Any]) -> Section:
    """The columns that the ensemble needs most."""
    found = facts["importance"]
    if not found["columns"]:
        words = f"There is none: {found.get('reason') or 'the table has no columns.'}"
        return Section("importance", "Permutation importance", paragraph(words, "note"))
    figure = _figure(found)
    words = (
        f"How much the ensemble's loss ({found['metric']}) grows on {found['n_rows']:,} held-out rows "
        "when one column is "
        f"dealt anew among the rows of a fold, mean of {found['n_permutations']} deals. Columns that "
        "tell the same can "
        "stand in for each other, and then neither looks important; no column's effect is causal by this."
    )
    if found.get("n_left_out"):
        words += f" {found['n_left_out']} columns that the predictions hardly follow were left out."
    return Section("importance", "Permutation importance", paragraph(words) + figure.html, [figure])


def _figure(found: Mapping[str, Any]) -> Figure:
    columns, shown = found["columns"], found["columns"][:MOST_SHOWN]
    values = [one["loss_increase"] for one in shown]
    lows = [v if one["low"] is None else one["low"] for v, one in zip(values, shown, strict=True)]
    highs = [v if one["high"] is None else one["high"] for v, one in zip(values, shown, strict=True)]
    error = (
        [v - low for v, low in zip(values, lows, strict=True)],
        [h - v for v, h in zip(values, highs, strict=True)],
    )
    trace, axis = bars([one["column"] for one in shown], values, "@ensemble", error)
    layout = {"yaxis": axis, "xaxis": {"title": {"text": "loss added"}}, "showlegend": False}
    n_clear = sum(low > 0 for low in lows)
    says = (
        f"“{short(shown[0]['column'], 40)}” matters most. {n_clear} of the {len(shown)} columns shown "
        "are above noise "
        "(95 % bootstrap interval over rows)."
    )
    rows = [[short(one["column"]), one["loss_increase"], one["low"], one["high"]] for one in columns]
    header = ["column", "loss added", "low", "high"]
    return Figure(
        "importance",
        "Loss added without a column.",
        [trace],
        layout,
        says,
        header,
        rows,
        110 + 24 * len(shown),
    )
