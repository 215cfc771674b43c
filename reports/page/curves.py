"""Learning curves of the members, with the epoch that was chosen for each."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from reports.page.figure import Figure, Section, grid, label, line, rounded
from reports.page.markup import number, paragraph
from reports.summary import part, summary_of
from search.records import Run

MOST_MEMBERS = 8
MOST_POINTS = 80
FEWEST_CHECKPOINTS = 3


def gather(run: Run) -> list[dict[str, Any]]:
    """Loss by epoch of the members that were trained in epochs, the heaviest first; at most eight."""
    members = part(summary_of(run), "ensemble").get("members") or []
    trials = {trial.number: trial for trial in run.trials()}
    found = []
    for member in sorted(members, key=lambda one: -one["weight"]):
        trial = trials.get(member["trial"])
        if trial is None or len(trial.checkpoints) < FEWEST_CHECKPOINTS:
            continue
        kept = _thinned(list(trial.checkpoints), trial.chosen_epoch)
        found.append(
            {
                "trial": trial.number,
                "family": trial.family,
                "weight": member["weight"],
                "chosen_epoch": trial.chosen_epoch,
                "epochs": [trial.checkpoints[i] for i in kept],
                "validation": [trial.curve[i] for i in kept if i < len(trial.curve)],
                "training": [trial.train_curve[i] for i in kept if i < len(trial.train_curve)],
            }
        )
    plain: list[dict[str, Any]] = rounded(found[:MOST_MEMBERS])
    return plain


def _thinned(epochs: list[int], chosen: int | None) -> list[int]:
    """Places of at most 80 checkpoints, evenly, with the chosen one."""
    n = len(epochs)
    step = max(1, -(-n // MOST_POINTS))
    return sorted({*range(0, n, step), n - 1, *([epochs.index(chosen)] if chosen in epochs else [])})


def section(facts: Mapping[str, Any]) -> Section:
    """One picture for each member that was trained in epochs."""
    figures = [_figure(curve, facts) for curve in facts["curves"]]
    n_members = len(facts["ensemble"].get("members") or [])
    words = (
        "Mean held-out loss of a member's fold models by epoch (left axis) and mean training loss "
        "(right axis, in the "
        "loss that is trained). The chosen epoch is the same for all folds unless each chose its own."
    )
    if not figures:
        words = "No member was trained in epochs." if n_members else "There is no ensemble."
    elif len(figures) < n_members:
        words += (
            f" {n_members - len(figures)} of {n_members} members have no epochs or little weight, and "
            f"are left out."
        )
    return Section("curves", "Learning curves", paragraph(words) + grid(figures), figures)


def _figure(curve: Mapping[str, Any], facts: Mapping[str, Any]) -> Figure:
    x, epoch, trial = curve["epochs"], curve["chosen_epoch"], curve["trial"]
    traces = [line(x, curve["validation"], "held-out", "@single")]
    if curve["training"]:
        traces.append(line(x, curve["training"], "training (right)", "@muted", dash="dash", yaxis="y2"))
    at = x.index(epoch) if epoch in x else None
    if at is not None and at < len(curve["validation"]):
        marker = {"color": "@printed", "size": 11, "symbol": "diamond"}
        traces.append(
            {
                "type": "scatter",
                "mode": "markers",
                "x": [epoch],
                "y": [curve["validation"][at]],
                "name": "chosen epoch",
                "marker": marker,
            }
        )
    layout = {
        "xaxis": {"title": {"text": "epoch"}},
        "yaxis": {"title": {"text": label(facts["metric"]["name"]) + " (as loss)"}},
        "yaxis2": {
            "overlaying": "y",
            "side": "right",
            "tickmode": "auto",
            "nticks": 5,
            "tickformat": ".3~g",
            "showgrid": False,
            "zeroline": False,
        },
        "legend": {"orientation": "h", "y": -0.28},
        "shapes": [] if epoch is None else [_mark(epoch)],
    }
    lowest = min((v for v in curve["validation"] if v is not None), default=None)
    says = (
        f"Weight {curve['weight']:.2f}; chosen epoch {epoch}, lowest loss {number(lowest)}, {x[-1]} "
        f"epochs trained."
    )
    rows = [[e, v] for e, v in zip(x, curve["validation"], strict=False)]
    title = f"Trial {trial}, {curve['family']}."
    return Figure(f"curve-{trial}", title, traces, layout, says, ["epoch", "held-out loss"], rows, 320)


def _mark(epoch: int) -> dict[str, Any]:
    return {
        "type": "line",
        "x0": epoch,
        "x1": epoch,
        "yref": "paper",
        "y0": 0,
        "y1": 1,
        "line": {"color": "@printed", "width": 1, "dash": "dot"},
    }
