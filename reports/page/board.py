"""The leaderboard as a table that can be sorted by mouse and keyboard."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from reports.page.figure import Section
from reports.page.markup import is_number, number, paragraph, short, text

MOST_ROWS = 400
_COLUMNS = {
    "entry": "entry", "trial": "trial", "score": "score", "score_se": "± se", "low": "95 % low",
    "high": "95 % high", "family": "family", "rank": "rank", "scored": "scored on",
    "ensemble_weight": "weight", "train_validation_gap": "overfit gap", "epochs": "epoch",
    "parameters": "parameters", "fit_seconds": "fit s", "predict_seconds_per_1000": "predict s / 1000",
    "status": "status",
}  # fmt: skip
_WIDE = ("scored", "train_validation_gap", "parameters", "fit_seconds", "predict_seconds_per_1000")
_TEXTS = ("entry", "family", "scored", "status")


def section(facts: Mapping[str, Any]) -> Section:
    """Baselines, best single trial and ensemble, then the trials."""
    rows = facts["leaderboard"]
    names = [name for name in _COLUMNS if name in _TEXTS or any(row.get(name) is not None for row in rows)]
    head = "".join(_head(name) for name in names)
    body = "".join(f"<tr{_kind(row)}>{_cells(row, names)}</tr>" for row in rows[:MOST_ROWS])
    label = "Leaderboard; every column can be sorted by the button in its header"
    more = ""
    if len(rows) > MOST_ROWS:
        more = f"The first {MOST_ROWS} of {len(rows):,} rows; all are in leaderboard.csv. "
    table = (
        f'<div class="scroll tall" role="region" tabindex="0" aria-label="{label}"><table class="sortable" '
        f'id="leaderboard-table"><caption class="hidden">{label}</caption><thead><tr>{head}</tr></thead>'
        f'<tbody>{body}</tbody></table></div><p class="hidden" role="status" id="sort-status"></p>'
    )
    return Section("leaderboard", "Leaderboard", paragraph(_words(facts)) + table + paragraph(more, "note"))


def _words(facts: Mapping[str, Any]) -> str:
    trials, metric = facts["trials"], facts["metric"]
    counts = ", ".join(f"{trials[f'n_{s}']} {s}" for s in ("completed", "pruned", "failed", "duplicate"))
    reason = f" The study ended because: {trials['stop_reason']}." if trials["stop_reason"] else ""
    way = "higher" if metric["is_higher_better"] else "lower"
    return (
        f"{trials['n_total']} trials: {counts}.{reason} Scores are {metric['name']}; {way} is better. "
        "Out-of-fold scores of trials also chose the best of them, and are too good for it; "
        "cross-fitted ones "
        "are not."
    )


def _head(name: str) -> str:
    kind = _class(name)
    return (
        f'<th scope="col"{kind}><button type="button">{text(_COLUMNS[name])}'
        '<span class="arrow" aria-hidden="true"></span></button></th>'
    )


def _class(name: str) -> str:
    names = [*(["number"] if name not in _TEXTS else []), *(["wide"] if name in _WIDE else [])]
    return f' class="{" ".join(names)}"' if names else ""


def _kind(row: Mapping[str, Any]) -> str:
    names = {"ensemble": "ensemble", "best single": "single", "dummy": "baseline", "linear": "baseline"}
    kind = names.get(str(row["entry"]), "")
    return f' class="{kind}"' if kind else ""


def _cells(row: Mapping[str, Any], names: list[str]) -> str:
    cells = []
    for name in names:
        value = row.get(name)
        shown = text(number(value)) if is_number(value) else text(short("" if value is None else value))
        if name == "entry":
            cells.append(f'<th scope="row">{shown}</th>')
        elif name in _TEXTS:
            cells.append(f"<td{_class(name)}>{shown}</td>")
        else:
            key = f' data-value="{value!r}"' if is_number(value) else ""
            cells.append(f"<td{_class(name)}{key}>{shown}</td>")
    return "".join(cells)
