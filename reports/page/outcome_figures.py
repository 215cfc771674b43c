"""The task's pictures: confusion, ROC, precision and recall, calibration; or residuals and their interval."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from reports.page.figure import Figure, Section, grid, label, labels, line
from reports.page.markup import details, number, paragraph, short, table

NUMBERED = 12  # classes of a confusion table whose cells have numbers


def section(facts: Mapping[str, Any]) -> Section:
    """How the ensemble's honest predictions compare with what happened."""
    found = facts["outcomes"]
    if found.get("reason"):
        return Section("task", "Predictions against truth", paragraph(found["reason"], "note"))
    figures = _of_values(found) if found["kind"] == "regression" else _of_classes(found)
    scores = [[name, value] for name, value in found["scores"].items() if value is not None]
    words = (
        f"Honest predictions of {found['n_rows']:,} rows: each made by models that did not learn from "
        "the row, combined "
        f"as decided without it, and averaged over {found['n_averaged']} replays. So scores here can be "
        "a little better "
        "than the honest one, which is of a single replay."
    )
    labelled = (
        details("Correct and false by label", _by_label(found["labels"])) if found.get("labels") else ""
    )
    more = details(
        "Further metrics of these predictions", table(["metric", "score"], scores, "Further metrics")
    )
    return Section(
        "task", "Predictions against truth", paragraph(words) + grid(figures) + labelled + more, figures
    )


def _by_label(counted: Sequence[Mapping[str, Any]]) -> str:
    names = ("hits", "misses", "false_alarms", "rejections")
    rows = [[short(one["name"]), *(one[name] for name in names)] for one in counted]
    return table(
        ["label", "found", "missed", "false alarms", "rightly rejected"], rows, "Correct and false by label"
    )


def _of_classes(found: Mapping[str, Any]) -> list[Figure]:
    figures = [_confusion(found)] if found["confusion"] else []
    if found["curves"]:
        figures += [_roc(found["curves"]), _precision(found["curves"])]
    return [*figures, _calibration(found)]


def _confusion(found: Mapping[str, Any]) -> Figure:
    kept, counts = found["confusion"]["classes"], found["confusion"]["counts"]
    names, n = [found["names"][i] for i in kept], len(kept)
    shares = [[c / max(1, sum(row)) for c in row] for row in counts]
    places = list(range(n))
    trace = {
        "type": "heatmap",
        "z": shares,
        "x": places,
        "y": places,
        "zmin": 0,
        "zmax": 1,
        "colorscale": "@scale",
        "customdata": counts,
        "hovertemplate": "%{customdata} rows, %{z:.1%} of the true class<extra></extra>",
        "colorbar": {"thickness": 10, "tickformat": ".0%"},
        "xgap": 1,
        "ygap": 1,
        **({"text": counts, "texttemplate": "%{text}"} if n <= NUMBERED else {}),
    }
    axis = {
        "tickvals": places,
        "ticktext": labels(names, 16),
        "showgrid": False,
        "zeroline": False,
        "automargin": True,
    }
    layout = {
        "xaxis": {**axis, "title": {"text": "predicted"}},
        "yaxis": {**axis, "title": {"text": "true"}, "autorange": "reversed"},
    }
    right, total = sum(counts[i][i] for i in range(n)), sum(map(sum, counts))
    says = f"{right:,} of {total:,} rows are decided rightly. Colours are shares of the true class."
    rows = [[short(name, 30), *row] for name, row in zip(names, counts, strict=True)]
    return Figure(
        "confusion",
        "Confusion.",
        [trace],
        layout,
        says,
        ["true \\ predicted", *(short(m, 20) for m in names)],
        rows,
        360,
    )


_LEGEND = {"orientation": "h", "y": -0.25}
_UNIT = {"range": [-0.02, 1.02], "constrain": "domain", "zeroline": False}


def _roc(curves: Sequence[Mapping[str, Any]]) -> Figure:
    chance = line([0, 1], [0, 1], "chance", "@muted", dash="dot", hoverinfo="skip")
    traces = [chance, *(_drawn(c, "false_positive_rate", "recall", "auc", len(curves)) for c in curves)]
    layout = {
        "xaxis": {**_UNIT, "title": {"text": "false alarms among negatives"}},
        "yaxis": {**_UNIT, "title": {"text": "found among positives"}},
        "legend": _LEGEND,
    }
    best = curves[0]
    says = f"The area under the curve of {short(best['name'], 30)} is {number(best['auc'])}; chance is 0.5."
    rows = [[short(curve["name"]), curve["auc"], curve["share"]] for curve in curves]
    return Figure(
        "roc",
        "Receiver operating characteristic.",
        traces,
        layout,
        says,
        ["class", "AUC", "share of rows"],
        rows,
        380,
    )


def _precision(curves: Sequence[Mapping[str, Any]]) -> Figure:
    traces = [_drawn(c, "recall", "precision", "average_precision", len(curves)) for c in curves]
    layout = {
        "xaxis": {**_UNIT, "title": {"text": "recall"}},
        "yaxis": {**_UNIT, "title": {"text": "precision"}},
        "legend": _LEGEND,
    }
    best = curves[0]
    says = (
        f"The average precision of {short(best['name'], 30)} is {number(best['average_precision'])}; "
        "chance is its "
        f"share of rows, {best['share']:.0%}."
    )
    rows = [[short(curve["name"]), curve["average_precision"], curve["share"]] for curve in curves]
    header = ["class", "average precision", "share of rows"]
    return Figure("precision", "Precision against recall.", traces, layout, says, header, rows, 380)


def _drawn(curve: Mapping[str, Any], x: str, y: str, score: str, n_curves: int) -> dict[str, Any]:
    name = f"{label(curve['name'], 18)} ({number(curve[score], 3)})"
    found = line(curve[x], curve[y], name, "@ensemble", hovertemplate="%{x:.3f}, %{y:.3f}<extra></extra>")
    if n_curves > 1:
        del found["line"]["color"]  # each its own
    return found


def _calibration(found: Mapping[str, Any]) -> Figure:
    bins = found["calibration"]
    x, y = [one["predicted"] for one in bins], [one["observed"] for one in bins]
    error = {
        "type": "data",
        "symmetric": False,
        "array": [one["high"] - one["observed"] for one in bins],
        "arrayminus": [one["observed"] - one["low"] for one in bins],
        "color": "@muted",
        "thickness": 1,
        "width": 3,
    }
    points = {**line(x, y, "observed", "@ensemble"), "mode": "lines+markers", "error_y": error}
    perfect = line([0, 1], [0, 1], "perfect", "@muted", dash="dot", hoverinfo="skip")
    layout = {
        "xaxis": {**_UNIT, "title": {"text": "predicted probability"}},
        "yaxis": {**_UNIT, "title": {"text": "observed share"}},
        "showlegend": False,
    }
    n_off = sum(not one["low"] <= one["predicted"] <= one["high"] for one in bins)
    says = (
        f"Of {short(found['calibrates'], 30)}: {n_off} of {len(bins)} bins of about {bins[0]['n']:,} "
        "predictions lie off "
        "the diagonal by more than their 95 % interval."
    )
    rows = [[one[key] for key in ("predicted", "observed", "low", "high", "n")] for one in bins]
    header = ["predicted", "observed", "low", "high", "rows"]
    return Figure("calibration", "Calibration.", [perfect, points], layout, says, header, rows, 380)


def _of_values(found: Mapping[str, Any]) -> list[Figure]:
    figures = []
    for i, target in enumerate(found["targets"]):
        figures += [_against(target, i), _residuals(target, i)]
    return figures


def _points(x: Sequence[float], y: Sequence[float], rows: Sequence[int]) -> dict[str, Any]:
    marker = {"color": "@ensemble/0.55", "size": 6}
    hover = {"customdata": rows, "hovertemplate": "row %{customdata}: %{x:.4g}, %{y:.4g}<extra></extra>"}
    return {"type": "scatter", "mode": "markers", "x": x, "y": y, "marker": marker, "name": "rows", **hover}


def _band(xs: list[float], upper: list[float], lower: list[float]) -> dict[str, Any]:
    return {
        "type": "scatter",
        "mode": "lines",
        "x": [*xs, *reversed(xs)],
        "y": [*upper, *reversed(lower)],
        "fill": "toself",
        "fillcolor": "@single/0.13",
        "line": {"width": 0, "color": "@single/0"},
        "hoverinfo": "skip",
        "name": "90 % interval",
    }


def _against(target: Mapping[str, Any], index: int) -> Figure:
    p, y, half = target["predicted"], target["true"], target["half_width"]
    ends = [min(p), max(p)]
    traces = [
        _band(ends, [e + half for e in ends], [e - half for e in ends]),
        _points(p, y, target["row"]),
        line(ends, ends, "equal", "@muted", dash="dot", hoverinfo="skip"),
    ]
    layout = {
        "xaxis": {"title": {"text": "predicted"}},
        "yaxis": {"title": {"text": "true"}},
        "legend": _LEGEND,
    }
    says = (
        f"{short(target['name'], 40)}: {target['inside']:.0%} of the rows lie within ±{number(half)} of "
        "their prediction. "
        "For new rows like these that is a 90 % interval."
    )
    quarters = [
        [one[k] for k in ("from", "to", "mean_residual", "spread", "inside")] for one in target["by_quarter"]
    ]
    header = ["predicted from", "to", "mean residual", "spread", "share within"]
    return Figure(f"true-{index}", "Predicted against true.", traces, layout, says, header, quarters, 400)


def _residuals(target: Mapping[str, Any], index: int) -> Figure:
    p, half = target["predicted"], target["half_width"]
    residuals = [true - predicted for true, predicted in zip(target["true"], p, strict=True)]
    ends = [min(p), max(p)]
    traces = [
        _band(ends, [half, half], [-half, -half]),
        _points(p, residuals, target["row"]),
        line(ends, [0, 0], "no error", "@muted", dash="dot", hoverinfo="skip"),
    ]
    layout = {
        "xaxis": {"title": {"text": "predicted"}},
        "yaxis": {"title": {"text": "true less predicted"}},
        "legend": _LEGEND,
    }
    low, high = target["by_quarter"][0], target["by_quarter"][-1]
    says = (
        f"The residuals of {short(target['name'], 40)} spread by {number(low['spread'], 3)} in the "
        "lowest quarter of "
        f"predictions and by {number(high['spread'], 3)} in the highest; {low['inside']:.0%} and "
        f"{high['inside']:.0%} "
        "lie within the interval there."
    )
    return Figure(f"residuals-{index}", "Residuals.", traces, layout, says, height=400)
