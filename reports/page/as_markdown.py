"""The parts that the page adds to a report, as Markdown: the numbers behind its pictures, shortened."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from reports.markdown import section, table
from reports.page.markup import number, short, signed

MOST_ROWS = 12
MOST_CONFUSED = 8


def warnings(facts: Mapping[str, Any]) -> str:
    """What a reader should know before believing the verdict."""
    return section("Before you believe it", _listed(f"{w['level']}: {w['text']}" for w in facts["warnings"]))


def parts(facts: Mapping[str, Any]) -> list[str]:
    """Sections of a report's Markdown, in the order of the page."""
    return [
        section("Optimisation history", *_history(facts)),
        section("What each member is worth", *_members(facts["members"])),
        section("From printed to honest", *_waterfalls(facts["waterfalls"])),
        section("Predictions against truth", *_outcomes(facts["outcomes"])),
        section("Learning curves", _curves(facts["curves"])),
        section("The search", *_search(facts["search"]["families"])),
        section("Permutation importance", *_importance(facts["importance"])),
        section("Columns", _columns(facts["columns"])),
    ]


def reproduce(facts: Mapping[str, Any]) -> list[str]:
    """Configuration, hashes and hardware, to stand beside command and versions."""
    found = facts["reproduce"]
    configuration = "\n".join(f"    {line}" for line in (found.get("configuration") or "").splitlines())
    hashes = {name: value for name, value in found["hashes"].items() if value}
    return [
        _listed(f"{name} (SHA-256): {value}" for name, value in hashes.items()),
        _listed(f"{name.replace('_', ' ')}: {value}" for name, value in (found["hardware"] or {}).items()),
        configuration,
    ]


def _listed(items: Any) -> str:
    return "\n".join(f"- {' '.join(str(item).split())}" for item in items)


def _code(value: Any) -> str:
    """A name from data, which Markdown must not read."""
    return f"`{short(value).replace('`', chr(39))}`"


def _numbers(rows: Sequence[Sequence[Any]]) -> list[list[str]]:
    return [[value if isinstance(value, str) else number(value) for value in row] for row in rows]


def _history(facts: Mapping[str, Any]) -> list[str]:
    growth = facts["history"]["growth"]
    if not growth:
        return ["How the honest scores grew was not stored."]
    keys = ("last_trial", "winner_printed", "winner_honest", "ensemble_printed", "ensemble_honest")
    header = ["after trial", "best printed", "best honest", "ensemble printed", "ensemble honest"]
    return [table([header, *_numbers([[point[key] for key in keys] for point in growth])])]


def _members(found: Mapping[str, Any] | None) -> list[str]:
    if not found:
        return ["It was not stored."]
    greedy, left = found["greedy"], sorted(found["left_out"], key=lambda one: -one["loss_increase"])
    kept = greedy["n_kept"]
    words = (
        f"Greedy picks with replacement, on the rows that choose: {number(greedy['scores'][0])} after "
        "the first, "
        f"{number(greedy['scores'][kept - 1])} after {kept} (the best)."
    )
    rows = [[one["trial"], one["weight"], one["loss_increase"], one["low"], one["high"]] for one in left]
    header = ["trial left out", "weight", "loss added", "low", "high"]
    return [words, table([header, *_numbers(rows[:MOST_ROWS])]) if rows else ""]


def _waterfalls(falls: Sequence[Mapping[str, Any]]) -> list[str]:
    said = []
    for fall in falls:
        steps = ", ".join(f"{step['stage']} {signed(step['change'])}" for step in fall["steps"])
        said.append(
            f"{fall['what']}: printed {number(fall['printed'])}; {steps}; honest {number(fall['honest'])}"
        )
    return [_listed(said) if said else "There is none."]


def _outcomes(found: Mapping[str, Any]) -> list[str]:
    if found.get("reason"):
        return [found["reason"]]
    scores = ", ".join(
        f"{name} {number(value)}" for name, value in found["scores"].items() if value is not None
    )
    words = (
        f"Honest predictions of {found['n_rows']:,} rows, averaged over {found['n_averaged']} replays: "
        f"{scores}."
    )
    if found["kind"] == "regression":
        return [words, *(_target(target) for target in found["targets"])]
    curves = [[_code(c["name"]), c["auc"], c["average_precision"], c["share"]] for c in found["curves"]]
    bins = [[b[key] for key in ("predicted", "observed", "low", "high", "n")] for b in found["calibration"]]
    return [
        words,
        _confusion(found),
        table([["class", "AUC", "average precision", "share of rows"], *_numbers(curves)]) if curves else "",
        table([["predicted", "observed", "low", "high", "rows"], *_numbers(bins)]),
    ]


def _confusion(found: Mapping[str, Any]) -> str:
    if not found["confusion"]:
        return ""
    kept, counts = found["confusion"]["classes"], found["confusion"]["counts"]
    if len(kept) > MOST_CONFUSED:
        return f"Confusion of {len(kept)} classes: see report.json."
    names = [_code(found["names"][i]) for i in kept]
    rows = [[name, *row] for name, row in zip(names, counts, strict=True)]
    return table([["true, then predicted", *names], *_numbers(rows)])


def _target(target: Mapping[str, Any]) -> str:
    keys = ("from", "to", "mean_residual", "spread", "inside")
    header = ["predicted from", "to", "mean residual", "spread", "share within"]
    rows = _numbers([[one[key] for key in keys] for one in target["by_quarter"]])
    words = f"{_code(target['name'])}: 90 % of the rows lie within ±{number(target['half_width'])}."
    return f"{words}\n\n{table([header, *rows])}"


def _curves(curves: Sequence[Mapping[str, Any]]) -> str:
    rows = [
        [
            c["trial"],
            c["family"],
            c["chosen_epoch"],
            c["epochs"][-1],
            min(v for v in c["validation"] if v is not None),
        ]
        for c in curves
        if any(value is not None for value in c["validation"])
    ]
    header = ["trial", "family", "chosen epoch", "epochs", "lowest held-out loss"]
    return table([header, *_numbers(rows)]) if rows else "No member was trained in epochs."


def _search(families: Sequence[Mapping[str, Any]]) -> list[str]:
    rows = []
    for one in families:
        best = [f"{name} {value:.0%}" for name, value in list(one["importances"].items())[:5]]
        rows.append([_code(one["family"]), one["n_trials"], one["n_completed"], ", ".join(best)])
    header = ["family", "trials", "completed", "most important parameters"]
    return [table([header, *_numbers(rows)]) if rows else "There are no trials."]


def _importance(found: Mapping[str, Any]) -> list[str]:
    if not found["columns"]:
        return [f"There is none: {found.get('reason') or 'the table has no columns.'}"]
    rows = [
        [_code(one["column"]), one["loss_increase"], one["low"], one["high"]]
        for one in found["columns"][:MOST_ROWS]
    ]
    words = (
        f"Loss ({found['metric']}) added on {found['n_rows']:,} held-out rows when a column is dealt anew."
    )
    return [words, table([["column", "loss added", "low", "high"], *_numbers(rows)])]


def _columns(found: Mapping[str, Any]) -> str:
    rows = [
        [_code(one["column"]), one["kind"], "" if one.get("missing") is None else f"{one['missing']:.1%}",
         number(one.get("n_distinct"))]
        for one in found["columns"][:MOST_ROWS]
    ]  # fmt: skip
    n_more = found["n_columns"] - len(rows)
    more = f"\n\nand {n_more:,} more." if n_more > 0 else ""
    return (
        table([["column", "kind", "missing", "distinct"], *rows]) + more if rows else "They were not stored."
    )
