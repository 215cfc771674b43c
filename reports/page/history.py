"""How the study went: every trial's score, the best so far, and the honest scores as trials came."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from reports.page.figure import Figure, Section, line, rounded
from reports.page.markup import number, paragraph
from reports.summary import is_higher_better
from search.records import Run

MOST_SHOWN = 12  # lines of the table beside the picture
MOST_POINTS = 2_000  # of trials of one status, which a browser can draw


def gather(run: Run) -> dict[str, Any]:
    """Score and status of every trial, the best so far, and `growth` (None where it was not stored)."""
    trials, is_higher = sorted(run.trials(), key=lambda trial: trial.number), is_higher_better(run)
    best, so_far = None, []
    for trial in trials:
        if trial.status == "completed" and trial.score is not None:
            is_new = best is None or (trial.score > best if is_higher else trial.score < best)
            best = trial.score if is_new else best
        so_far.append(best)
    return {
        "trial": [trial.number for trial in trials],
        "score": rounded([trial.score for trial in trials]),
        "status": [trial.status for trial in trials],
        "best": rounded(so_far),
        "growth": run.load_json("growth.json") if run.has("growth.json") else None,
    }


def section(facts: Mapping[str, Any]) -> Section:
    """The picture of the search over its trials."""
    found = facts["history"]
    if not any(score is not None for score in found["score"]):
        return Section("history", "Optimisation history", paragraph("No trial has a score."))
    figure = _figure(found, facts)
    words = (
        ""
        if found["growth"]
        else "How the honest scores grew was not stored in this run; their final values are drawn."
    )
    return Section("history", "Optimisation history", figure.html + paragraph(words, "note"), [figure])


def _figure(found: Mapping[str, Any], facts: Mapping[str, Any]) -> Figure:
    metric, growth = facts["metric"]["name"], found["growth"] or []
    ends = _final(found, facts) if growth else []
    traces = [*_points(found), _best(found), *_honest(growth), *ends, *_levels(found, facts, not growth)]
    layout = {
        "xaxis": {"title": {"text": "trial"}, "rangemode": "tozero"},
        "yaxis": {"title": {"text": metric}, "range": _range(found, facts)},
        "legend": {"orientation": "h", "y": -0.22},
    }
    rows = [
        [
            p["last_trial"],
            p["winner_printed"],
            p["winner_honest"],
            p["ensemble_printed"],
            p["ensemble_honest"],
        ]
        for p in growth
    ]
    header = ["after trial", "best printed", "best honest", "ensemble printed", "ensemble honest"]
    if not rows:
        shown = [i for i, status in enumerate(found["status"]) if status == "completed"][:MOST_SHOWN]
        header, rows = (
            ["trial", "score", "best so far"],
            [[found["trial"][i], found["score"][i], found["best"][i]] for i in shown],
        )
    return Figure(
        "history", "Scores by trial.", traces, layout, _says(found, facts), header, rows, height=430
    )


def _says(found: Mapping[str, Any], facts: Mapping[str, Any]) -> str:
    last = next((best for best in reversed(found["best"]) if best is not None), None)
    words = f"The best printed score ended at {number(last)}"
    honest = {score["what"]: score["honest"] for score in facts["honesty"]["scores"]}
    if "best single trial" in honest:
        words += f"; honest, the best single trial scores {number(honest['best single trial'])}"
    if "ensemble" in honest:
        words += f" and the ensemble {number(honest['ensemble'])}"
    growth = found["growth"] or []
    more = (
        " Honest lines replay the study as if it had ended there, with its method of weighing taken as "
        "given; diamonds are the final honest scores, which pay for that choice too, with 95 % intervals."
        if growth
        else ""
    )
    n_most = max(found["status"].count(status) for status in ("completed", "pruned", "failed"))
    if _step(n_most) > 1:
        more += f" Of {n_most:,} trials, one in {_step(n_most)} is a point; trials.csv has all."
    return f"{words}.{more}"


def _step(n: int) -> int:
    """Every how many trials are drawn."""
    return max(1, -(-n // MOST_POINTS))


def _points(found: Mapping[str, Any]) -> list[dict[str, Any]]:
    kinds = {"completed": ("@muted/0.75", "circle"), "pruned": ("@printed/0.8", "x-thin-open")}
    traces = []
    for status, (colour, symbol) in kinds.items():
        own = [i for i, one in enumerate(found["status"]) if one == status and found["score"][i] is not None]
        own = own[:: _step(len(own))]
        if own:
            marker = {"color": colour, "symbol": symbol, "size": 7, "line": {"color": colour, "width": 1.5}}
            x, y = [found["trial"][i] for i in own], [found["score"][i] for i in own]
            traces.append(
                {"type": "scatter", "mode": "markers", "x": x, "y": y, "name": status, "marker": marker}
            )
    failed = [found["trial"][i] for i, one in enumerate(found["status"]) if one == "failed"]
    failed = failed[:: _step(len(failed))]
    if failed:
        marker = {"color": "@bad", "symbol": "triangle-up", "size": 8}
        traces.append(
            {"type": "scatter", "mode": "markers", "x": failed, "y": [0.0] * len(failed), "yaxis": "y2",
             "name": "failed", "marker": marker, "hovertemplate": "trial %{x} failed<extra></extra>"}
        )  # fmt: skip
    return traces


def _best(found: Mapping[str, Any]) -> dict[str, Any]:
    known = [i for i, best in enumerate(found["best"]) if best is not None]
    if len(known) > MOST_POINTS:  # the steps of the line are all that is seen of it
        ends = {known[0], known[-1]}
        known = [i for i in known if i in ends or found["best"][i] != found["best"][i - 1]]
    trace = line(
        [found["trial"][i] for i in known],
        [found["best"][i] for i in known],
        "best so far (printed)",
        "@printed",
    )
    return {**trace, "line": {**trace["line"], "shape": "hv"}}


def _honest(growth: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    x = [point["last_trial"] for point in growth]
    pairs = {
        "winner_honest": ("best single (honest)", "@single"),
        "ensemble_honest": ("ensemble (honest)", "@ensemble"),
    }
    return [
        {**line(x, [point[key] for point in growth], name, colour), "mode": "lines+markers"}
        for key, (name, colour) in pairs.items()
        if growth
    ]


def _final(found: Mapping[str, Any], facts: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The final honest scores with their intervals, behind the last trial."""
    kinds = {
        "best single trial": ("best single (final)", "@single", 0.25),
        "ensemble": ("ensemble (final)", "@ensemble", 0.6),
    }
    traces = []
    for score in facts["honesty"]["scores"]:
        name, colour, shift = kinds[score["what"]]
        marker = {"color": colour, "symbol": "diamond", "size": 9}
        trace = {
            "type": "scatter",
            "mode": "markers",
            "x": [max(found["trial"]) + shift],
            "y": [score["honest"]],
        }
        error: dict[str, Any] = {}
        if score["low"] is not None and score["high"] is not None:
            ends = {
                "array": [score["high"] - score["honest"]],
                "arrayminus": [score["honest"] - score["low"]],
            }
            error = {
                "error_y": {"type": "data", "symmetric": False, "color": colour, "thickness": 1.5, **ends}
            }
        traces.append({**trace, "name": name, "marker": marker, **error})
    return traces


def _levels(found: Mapping[str, Any], facts: Mapping[str, Any], needs_honest: bool) -> list[dict[str, Any]]:
    """Level lines: the baselines, and the final honest scores where nothing else shows them."""
    ends = [min(found["trial"]), max(found["trial"])]
    levels = [
        (one["name"], one.get("score"), "@baseline", "dot" if one["name"] == "dummy" else "dash")
        for one in facts["baselines"]
    ]
    if needs_honest:
        colours = {"ensemble": "@ensemble", "best single trial": "@single"}
        levels += [
            (f"{s['what']} (honest)", s["honest"], colours[s["what"]], "solid")
            for s in facts["honesty"]["scores"]
        ]
    return [line(ends, [y, y], name, colour, dash=dash) for name, y, colour, dash in levels if y is not None]


def _range(found: Mapping[str, Any], facts: Mapping[str, Any]) -> list[float] | None:
    """A range in which a few hopeless trials do not press all others into a line; None: plotly's own."""
    scores = sorted(
        s
        for s, status in zip(found["score"], found["status"], strict=True)
        if s is not None and status == "completed"
    )
    if len(scores) < 4:
        return None
    quarter = len(scores) // 4
    low, high = scores[quarter], scores[-1 - quarter]
    margin = 3.0 * (high - low)
    kept = [s for s in scores if low - margin <= s <= high + margin]
    kept += [s[key] for s in facts["honesty"]["scores"] for key in ("honest", "low", "high")]
    kept += [
        one["score"] for one in facts["baselines"] if one["name"] == "linear" and one.get("score") is not None
    ]
    kept += [point[key] for point in found["growth"] or [] for key in ("winner_honest", "ensemble_honest")]
    kept = [value for value in kept if value is not None]
    bottom, top = min(kept), max(kept)
    room = 0.08 * (top - bottom) or abs(top) * 0.05 or 1.0
    return [bottom - room, top + room]
