"""The ensemble: weights, the greedy curve, how alike its members err, and each of them left out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from reports.page.figure import Figure, Section, bars, grid, line, rounded
from reports.page.markup import number, paragraph
from search.records import Run

FEW = 12  # members that a heat map has numbers in its cells for


def gather(run: Run) -> dict[str, Any] | None:
    """Greedy curve and leave-one-out of the members; None where they were not stored."""
    found: dict[str, Any] | None = rounded(run.load_json("members.json")) if run.has("members.json") else None
    return found


def section(facts: Mapping[str, Any]) -> Section:
    """The members and what each is worth."""
    ensemble = facts["ensemble"]
    if not ensemble.get("members"):
        return Section("ensemble", "Ensemble", paragraph("There is none: the study did not come that far."))
    figures = [_weights(ensemble)]
    if facts["members"]:
        figures += [_greedy(facts), *_left_out(facts)]
    if facts["diversity"] and facts["diversity"]["pairs"]["first"]:
        figures.append(_alike(facts["diversity"]["pairs"]))
    absent = (
        "" if facts["members"] else "The greedy curve and leave-one-out scores were not stored in this run."
    )
    body = paragraph(_words(facts)) + grid(figures) + paragraph(absent, "note")
    return Section("ensemble", "Ensemble", body, figures)


def _words(facts: Mapping[str, Any]) -> str:
    ensemble, gain = facts["ensemble"], (facts["diversity"] or {}).get("decomposition")
    losses = {**(ensemble.get("method_losses") or {}), **(ensemble.get("baseline_losses") or {})}
    words = f"{len(ensemble['members'])} members, weighed by the method {ensemble.get('method')}."
    unit = " (mean squared error)" if facts["metric"]["name"] == "rmse" else ""
    if losses:
        words += f" Cross-fitted losses{unit} of the ways to combine: "
        words += ", ".join(f"{name} {number(loss)}" for name, loss in losses.items()) + "."
    if gain and gain.get("ambiguity") is not None:
        words += (
            f" The members' mean squared error is {number(gain['member_error'])}, that of their average "
            f"{number(gain['ensemble_error'])}: their differences are worth {number(gain['ambiguity'])}."
        )
    return words


def _name(member: Mapping[str, Any]) -> str:
    return f"{member['trial']} {member.get('family', '')}".strip()


def _weights(ensemble: Mapping[str, Any]) -> Figure:
    members = sorted(ensemble["members"], key=lambda member: -member["weight"])
    names, weights = [_name(member) for member in members], [member["weight"] for member in members]
    trace, axis = bars(names, weights, "@ensemble")
    layout = {
        "yaxis": axis,
        "xaxis": {"title": {"text": "weight"}, "rangemode": "tozero"},
        "showlegend": False,
    }
    says = f"Trial {names[0]} has the largest weight, {weights[0]:.0%}."
    rows = [[m["trial"], m.get("family", ""), m["weight"]] for m in members]
    return Figure(
        "weights", "Weights.", [trace], layout, says, ["trial", "family", "weight"], rows, _height(names)
    )


def _height(names: list[str]) -> int:
    return max(260, 90 + 26 * len(names))


def _greedy(facts: Mapping[str, Any]) -> Figure:
    greedy, metric = facts["members"]["greedy"], facts["metric"]["name"]
    rounds, scores, kept = list(range(1, len(greedy["scores"]) + 1)), greedy["scores"], greedy["n_kept"]
    hover = {
        "customdata": greedy["path"],
        "hovertemplate": "round %{x}: trial %{customdata}, %{y:.5g}<extra></extra>",
    }
    mark = {
        "type": "scatter",
        "mode": "markers",
        "x": [kept],
        "y": [scores[kept - 1]],
        "name": "kept until here",
        "marker": {"color": "@printed", "size": 11, "symbol": "diamond"},
    }
    layout = {
        "xaxis": {"title": {"text": "round"}},
        "yaxis": {"title": {"text": metric}},
        "legend": {"orientation": "h", "y": -0.3},
    }
    own = facts["members"]["method"]
    says = (
        f"Picked one after another with replacement, {kept} rounds are best, on the rows that choose "
        "(too good)."
        + ("" if own == "greedy" else f" For comparison only: this ensemble was weighed by {own}.")
    )
    rows = [[n, trial, score] for n, trial, score in zip(rounds, greedy["path"], scores, strict=True)]
    curve = {**line(rounds, scores, "greedy", "@ensemble"), "mode": "lines+markers", **hover}
    return Figure(
        "greedy", "Greedy curve.", [curve, mark], layout, says, ["round", "trial picked", "score"], rows
    )


def _left_out(facts: Mapping[str, Any]) -> list[Figure]:
    found = sorted(facts["members"]["left_out"], key=lambda one: -one["loss_increase"])
    if not found:
        return []
    families = {m["trial"]: m.get("family", "") for m in facts["ensemble"]["members"]}
    names = [_name({"trial": one["trial"], "family": families.get(one["trial"], "")}) for one in found]
    values = [one["loss_increase"] for one in found]
    error = (
        [v - (one["low"] or v) for v, one in zip(values, found, strict=True)],
        [(one["high"] or v) - v for v, one in zip(values, found, strict=True)],
    )
    trace, axis = bars(names, values, "@single", error)
    layout = {"yaxis": axis, "xaxis": {"title": {"text": "loss added without it"}}, "showlegend": False}
    n_clear = sum(one["low"] is not None and one["low"] > 0 for one in found)
    says = (
        f"The others' weights grow in proportion. {n_clear} of {len(found)} members are missed by more "
        "than noise "
        "(95 % bootstrap interval), on the rows that chose them."
    )
    rows = [[one["trial"], one["weight"], one["loss_increase"], one["low"], one["high"]] for one in found]
    header = ["trial", "weight", "loss added", "low", "high"]
    return [Figure("left-out", "Each member left out.", [trace], layout, says, header, rows, _height(names))]


def _alike(pairs: Mapping[str, Any]) -> Figure:
    """How the members' residuals correlate, as a heat map."""
    names = [*dict.fromkeys([*pairs["first"], *pairs["second"]])]
    place = {name: i for i, name in enumerate(names)}
    table: list[list[float | None]] = [
        [1.0 if i == j else None for j in range(len(names))] for i in range(len(names))
    ]
    triples = list(zip(pairs["first"], pairs["second"], pairs["residual_correlation"], strict=True))
    for one, other, value in triples:
        table[place[one]][place[other]] = table[place[other]][place[one]] = value
    ticks = [str(name) for name in names]
    lowest = min(triple[2] for triple in triples)
    trace = {
        "type": "heatmap",
        "z": table,
        "x": list(range(len(names))),
        "y": list(range(len(names))),
        "zmin": min(-1.0 if lowest < 0 else lowest, 0.95),
        "zmax": 1,
        "colorscale": "@diverging" if lowest < 0 else "@scale",
        "customdata": [[f"{a} and {b}" for b in ticks] for a in ticks],
        "hovertemplate": "trials %{customdata}: %{z:.3f}<extra></extra>",
        "colorbar": {"thickness": 10},
        **({"texttemplate": "%{z:.2f}"} if len(names) <= FEW else {}),
    }
    axis = {
        "tickvals": list(range(len(names))),
        "ticktext": ticks,
        "showgrid": False,
        "zeroline": False,
        "title": {"text": "trial"},
    }
    highest = max(triples, key=lambda triple: triple[2])
    says = (
        f"Most alike are trials {highest[0]} and {highest[1]} ({highest[2]:.2f}); the lower, the more "
        f"an average gains."
    )
    layout = {"xaxis": axis, "yaxis": {**axis, "autorange": "reversed"}}
    return Figure(
        "alike",
        "Correlation of residuals.",
        [trace],
        layout,
        says,
        ["trial", "other trial", "correlation"],
        triples,
        380,
    )
