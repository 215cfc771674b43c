"""The leak accounts: where optimism came from, as a waterfall from the printed to the honest score."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from reports.honesty import budget_sentence, ladder_sentence
from reports.page.figure import Figure, Section, grid, rounded
from reports.page.markup import details, heading, number, paragraph, signed, table
from reports.summary import is_higher_better
from search.records import Run

_SUBJECTS = {"ensemble": "share_ensemble", "best single trial": "share_winner"}
_SHOWN = ("stage", "looks", "alternatives", "effective", "nats", "share_winner", "share_ensemble", "bound")


def gather(run: Run) -> list[dict[str, Any]]:
    """For ensemble and best single trial: `printed`, `honest`, `steps` from one to the other, by stage.

    A step is a change of the score. Stages are replayed one at a time, so their shares need not add up;
    what is left is the step `together`.
    """
    if not run.has("leakage.json"):
        return []
    stored, sign = run.load_json("leakage.json"), -1.0 if is_higher_better(run) else 1.0
    falls = []
    for score in stored.get("scores", []):
        if score["honest"] is None or score["printed"] is None:
            continue
        shares = {s["stage"]: s[_SUBJECTS[score["what"]]] for s in stored["stages"] if s["stage"] != "total"}
        steps = [
            {"stage": stage, "change": sign * share} for stage, share in shares.items() if share is not None
        ]
        rest = score["honest"] - score["printed"] - sum(step["change"] for step in steps)
        if abs(rest) > 1e-6 * max(abs(score["printed"]), abs(score["honest"])):
            steps.append({"stage": "together", "change": rest})
        falls.append(
            {"what": score["what"], "printed": score["printed"], "honest": score["honest"], "steps": steps}
        )
    found: list[dict[str, Any]] = rounded(sorted(falls, key=lambda fall: str(fall["what"]), reverse=True))
    return found


def section(facts: Mapping[str, Any]) -> Section:
    """Waterfalls, and what the ledger counted."""
    honesty = facts["honesty"]
    if honesty["accounts"] is None:
        return Section(
            "accounts", "Leak accounts", paragraph("There are none: the study did not come that far.")
        )
    figures = [_fall(fall, facts["metric"]) for fall in facts["waterfalls"]]
    lines = [[line["question"], line["answer"]] for line in honesty["accounts"]]
    body = [
        paragraph(
            "Every decision that looked at held-out rows lets something of them into the model. The "
            "study is replayed "
            "on part of the rows and scored on the rest: what its decisions gained by luck is lost on "
            "the way."
        ),
        grid(figures),
        heading("In short"),
        table(["question", "answer"], lines, "Leak accounts in short"),
        paragraph(
            " ".join(w for w in (budget_sentence(honesty), ladder_sentence(honesty["ladder"])) if w), "note"
        ),
        details("Accounts by stage", _stages(honesty)),
    ]
    return Section("accounts", "Leak accounts", "".join(body), figures)


def _stages(honesty: Mapping[str, Any]) -> str:
    rows = [[_cell(stage.get(name, "")) for name in _SHOWN] for stage in honesty["stages"] or []]
    words = (
        "Nats bound what decisions can have learned; they rank the stages and are never subtracted "
        "from a score."
    )
    return table([name.replace("_", " ") for name in _SHOWN], rows, "Accounts by stage") + paragraph(
        words, "note"
    )


def _cell(value: str) -> Any:
    """A number from a CSV file as a number; other text as it is."""
    try:
        return float(value)
    except ValueError:
        return value or None


def _fall(fall: Mapping[str, Any], metric: Mapping[str, Any]) -> Figure:
    steps = fall["steps"]
    names = ["printed", *(step["stage"] for step in steps), "honest"]
    changes = [step["change"] for step in steps]
    worse = -1.0 if metric["is_higher_better"] else 1.0
    grows, falls = ("@bad", "@ensemble") if worse > 0 else ("@ensemble", "@bad")
    trace = {
        "type": "waterfall", "x": names, "y": [fall["printed"], *changes, fall["honest"]],
        "measure": ["absolute", *["relative"] * len(steps), "total"],
        "text": [number(fall["printed"]), *(signed(change) for change in changes), number(fall["honest"])],
        "textposition": "outside", "constraintext": "none", "cliponaxis": False,
        "connector": {"line": {"color": "@line", "width": 1}},
        "increasing": {"marker": {"color": grows}}, "decreasing": {"marker": {"color": falls}},
        "totals": {"marker": {"color": "@single"}}, "hovertemplate": "%{x}: %{text}<extra></extra>",
    }  # fmt: skip
    levels = [fall["printed"]]
    for change in changes:
        levels.append(levels[-1] + change)
    room = 0.6 * (max(levels) - min(levels)) or 0.01 * abs(levels[0]) or 1.0
    layout = {
        "yaxis": {"title": {"text": metric["name"]}, "range": [min(levels) - room, max(levels) + room]},
        "xaxis": {"type": "category"}, "showlegend": False,
    }  # fmt: skip
    way = "too good" if (fall["honest"] - fall["printed"]) * worse >= 0 else "too bad"
    says = (
        f"Printed {number(fall['printed'])}, honest {number(fall['honest'])}: "
        f"{abs(fall['honest'] - fall['printed']):.2g} {way}. The axis does not begin at zero; together "
        "is what no "
        "stage explains alone."
    )
    rows = [
        [name, value] for name, value in zip(names, [fall["printed"], *changes, fall["honest"]], strict=True)
    ]
    title = f"{str(fall['what']).capitalize()}, from printed to honest."
    return Figure(
        f"fall-{str(fall['what']).replace(' ', '-')}",
        title,
        [trace],
        layout,
        says,
        ["step", metric["name"]],
        rows,
    )
