"""Optuna's own plots as pictures of the page: their data kept, their colours those of the page."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from reports.page.figure import Figure
from reports.page.markup import number
from reports.page.optuna_study import quiet
from search.records import Trial

if TYPE_CHECKING:
    import optuna

SLICES_AT_ONCE = 3
MOST_ROWS = 400  # of a table beside a picture
_STATE_COLOURS = {"COMPLETE": "@single", "FAIL": "@bad", "PRUNED": "@printed", "WAITING": "@muted"}


def completed(study: optuna.Study) -> list[Any]:
    """The completed trials of a study."""
    from optuna.trial import TrialState

    return list(study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,)))


def ordered(study: optuna.Study, importances: Mapping[str, float]) -> list[str]:
    """Parameters with at least two values among completed trials, the most important first."""
    values: dict[str, set[Any]] = {}
    for trial in completed(study):
        for name, value in trial.params.items():
            values.setdefault(name, set()).add(value)
    varying = [name for name, found in values.items() if len(found) > 1]
    return sorted(varying, key=lambda name: -importances.get(name, -1.0))


def _drawn(draw: Callable[[], Any]) -> tuple[list[dict[str, Any]], dict[str, Any]] | None:
    """A plot of Optuna's as plain data, without its title and template; None where it cannot be made."""
    try:
        with quiet():
            made = json.loads(draw().to_json())
    except (ValueError, RuntimeError, KeyError, IndexError, ZeroDivisionError):
        return None
    layout = {key: value for key, value in made["layout"].items() if key not in ("template", "title")}
    return (made["data"], layout) if made["data"] else None


def importance(
    study: optuna.Study, found: Mapping[str, float], slug: str, metric: str, *, is_part: bool = False
) -> Figure | None:
    """The importance of parameters, as it was `found` where the study is a part; None where it was not."""
    import optuna.visualization as plots

    if not found:
        return None
    known = _known(found) if is_part else None
    made = _drawn(lambda: plots.plot_param_importances(study, evaluator=known, target_name=metric))
    if made is None:
        return None
    data, layout = made
    for trace in data:
        trace["marker"] = {"color": "@ensemble"}
    best, value = next(iter(found.items()))
    says = f"“{_plain(best)}” explains most of what sets good trials apart ({value:.0%})."
    rows = [[_plain(name), value] for name, value in found.items()]
    height = 120 + 22 * len(rows)
    return Figure(
        f"importances-{slug}",
        "Importance of parameters.",
        data,
        layout,
        says,
        ["parameter", "importance"],
        rows,
        height,
    )


def _known(found: Mapping[str, float]) -> Any:
    """An evaluator of importance that says what was found."""
    from optuna.importance import BaseImportanceEvaluator

    class Known(BaseImportanceEvaluator):
        def evaluate(self, study: Any, params: Any = None, *, target: Any = None) -> dict[str, float]:
            return dict(found)

    return Known()


def parallel(study: optuna.Study, names: list[str], slug: str, metric: str) -> Figure | None:
    """Parallel coordinates of parameters that all completed trials have."""
    import optuna.visualization as plots

    made = (
        _drawn(lambda: plots.plot_parallel_coordinate(study, params=names, target_name=metric))
        if names
        else None
    )
    if made is None:
        return None
    data, layout = made
    for trace in data:
        if trace.get("type") == "scatter" and trace.get("mode") == "lines":
            trace["line"], trace["opacity"] = {**trace["line"], **_strength(trace["line"].get("color"))}, 1
        if "colorscale" in trace.get("marker", {}):
            trace["marker"]["colorscale"] = "@trials"
    best = study.best_trial
    says = (
        f"A line is a trial, the stronger the better; the best is trial {best.number} with {metric} "
        f"{number(best.value)}."
    )
    header = ["trial", metric, *(_plain(name) for name in names)]
    rows = [
        [t.number, t.value, *(_shown(t.params[name]) for name in names)] for t in completed(study)[:MOST_ROWS]
    ]
    layout = {**_recoloured(layout), "margin": {"t": 24, "l": 70, "r": 70, "b": 60}}
    return Figure(
        f"parallel-{slug}",
        "Parallel coordinates.",
        data,
        layout,
        says,
        header,
        rows,
        400,
        150 + 105 * len(names),
    )


def _recoloured(layout: Mapping[str, Any]) -> dict[str, Any]:
    """A layout without grounds of its own, its texts and lines in the colours of the page."""
    kept = {name: value for name, value in layout.items() if not name.endswith("bgcolor")}
    for note in kept.get("annotations") or []:
        note.pop("bgcolor", None)
        note["font"] = {**note.get("font", {}), "color": "@ink"}
    for shape in kept.get("shapes") or []:
        shape["line"] = {**shape.get("line", {}), "color": "@muted"}
    return kept


def _strength(colour: Any) -> dict[str, Any]:
    """Optuna's blue, the darker the better, as a share of the page's own, which shows on dark ground too."""
    parts = re.findall(r"[\d.]+", colour) if isinstance(colour, str) and colour.startswith("rgb(") else []
    if len(parts) != 3:
        return {}
    share = min(1.0, max(0.0, (247.0 - float(parts[0])) / 239.0))
    return {"color": f"@single/{0.2 + 0.8 * share:.2f}", "width": 1.2 + 1.3 * share}


def slices(study: optuna.Study, names: list[str], slug: str, metric: str) -> list[Figure | None]:
    """Scores against parameters, three of them in a picture."""
    import optuna.visualization as plots

    found: list[Figure | None] = []
    for start in range(0, len(names), SLICES_AT_ONCE):
        some = names[start : start + SLICES_AT_ONCE]
        made = _drawn(lambda some=some: plots.plot_slice(study, params=some, target_name=metric))  # type: ignore[misc]
        if made is None:
            found.append(None)
            continue
        data, layout = made
        for trace in data:
            marker = {**trace.get("marker", {}), "colorscale": "@trials", "size": 8}
            trace["marker"] = {**marker, "line": {"width": 0.5, "color": "@muted"}}
        layout.pop("width", None)
        says = (
            f"{metric} against {', '.join(_plain(name) for name in some)}; the colour is the number of "
            f"the trial."
        )
        name = f"slices-{slug}-{start}"
        found.append(Figure(name, "Slices.", data, layout, says, height=330, narrowest=240 * len(some)))
    return found


def timeline(study: optuna.Study, trials: Sequence[Trial]) -> Figure:
    """When each trial ran, and what became of it."""
    import optuna.visualization as plots

    made = _drawn(lambda: plots.plot_timeline(study))
    assert made is not None
    data, layout = made
    for trace in data:
        trace["marker"] = {"color": _STATE_COLOURS.get(trace["name"], "@muted")}
        if trace["name"] == "WAITING":  # what stands for duplicates, which Optuna has no state for
            trace["name"], trace["hovertemplate"] = "DUPLICATE", "trial %{y}, a duplicate<extra></extra>"
    layout["xaxis"] = {**layout.get("xaxis", {}), "title": {"text": "time (UTC)"}}
    layout["legend"] = {"orientation": "h", "y": -0.25}
    counts = {
        status: sum(trial.status == status for trial in trials)
        for status in ("failed", "pruned", "duplicate")
    }
    says = "When each trial ran: " + ", ".join(f"{n} {status}" for status, n in counts.items()) + "."
    if len(trials) > MOST_ROWS:
        says += f" The table has the first {MOST_ROWS} of {len(trials):,}; all are in trials.csv."
    rows = [
        [t.number, t.family, t.status, t.fit_seconds, " ".join((t.cause or "").split())[:200]]
        for t in sorted(trials, key=lambda t: t.number)[:MOST_ROWS]
    ]
    header = ["trial", "family", "status", "fit seconds", "cause"]
    return Figure(
        "timeline",
        "Trials in time.",
        data,
        layout,
        says,
        header,
        rows,
        max(300, min(640, 140 + 10 * len(rows))),
    )


def _plain(shown: str) -> str:
    """A label as plain text again."""
    return html.unescape(shown)


def _shown(value: Any) -> Any:
    return (
        _plain(value)
        if isinstance(value, str)
        else str(value)
        if isinstance(value, bool) or value is None
        else value
    )
