"""What a report says of honesty: honest scores, leak accounts, audit, leak budget and Ladder."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Mapping, Sequence
from typing import Any

from reports.markdown import section, table
from reports.summary import part, summary_of
from search.records import Run

_WHAT = {"best_single": ("best single trial", "score", "crossfit_score"),
         "ensemble": ("ensemble", "in_sample_score", "score")}  # fmt: skip
_CHECKS = {"nested": "Nested", "fresh_seeds": "Fresh seeds", "selftest": "Self-test"}
_STAGE_COLUMNS = (
    "stage", "looks", "alternatives", "effective", "nats", "share_winner", "share_ensemble", "bound",
)  # fmt: skip


def honesty(run: Run) -> dict[str, Any]:
    """What is known of a run's honesty as one JSON object; what was not found out is None."""
    summary = summary_of(run)
    return {
        "scores": honest_scores(summary),
        "difference": part(summary, "ensemble").get("difference"),
        "accounts": run.load_json("leakage.json")["summary"] if run.has("leakage.json") else None,
        "stages": _records(run, "leakage.csv"),
        "audit": _records(run, "audit.csv"),
        "leak_budget": _budget_facts(summary),
        "ladder": summary.get("ladder"),
        "looks": run.looks(),
        "checks": {name: run.load_json(f"{name}.json") for name in _CHECKS if run.has(f"{name}.json")},
    }


def honest_scores(summary: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Printed and honest score with its interval, of the best single trial and of the ensemble."""
    found = []
    for name, (what, printed, honest) in _WHAT.items():
        record = part(summary, name)
        if record.get(honest) is not None:
            ends = {end: record.get(end) for end in ("low", "high")}
            found.append({"what": what, "printed": record.get(printed), "honest": record[honest], **ends})
    return found


def _records(run: Run, name: str) -> list[dict[str, str]] | None:
    if not run.has(name):
        return None
    text = (run.path / name).read_text(encoding="utf-8")
    return [dict(record) for record in csv.DictReader(io.StringIO(text, newline=""))]


def _budget_facts(summary: Mapping[str, Any]) -> dict[str, Any] | None:
    """What the leak budget did, without its trajectories."""
    did = summary.get("leak_budget")
    return None if did is None else {k: v for k, v in did.items() if k not in ("honest", "in_sample")}


def sections(facts: Mapping[str, Any], metric: str) -> list[str]:
    """The sections of a report on honesty, as Markdown; `facts` come from `honesty`."""
    return [
        section("Honest scores", *_score_paragraphs(facts, metric)),
        section("Leak accounts", *_account_paragraphs(facts)),
        section("Audit", _audit_paragraph(facts["audit"])),
        section("Looks at other rows", *_look_paragraphs(facts["looks"])),
        *(section(_CHECKS[name], _sentence(found)) for name, found in facts["checks"].items()),
    ]


def _look_paragraphs(looks: Sequence[Mapping[str, Any]]) -> list[str]:
    if not looks:
        return ["None: neither a sealed holdout nor another labelled table was scored."]
    return ["\n".join(f"- {_word(look['sentence'])}" for look in looks)]


def _sentence(record: Mapping[str, Any]) -> str:
    """The sentence of a stored result, with a capital and a full stop."""
    text = _word(record["sentence"])
    return f"{text[:1].upper()}{text[1:]}."


def _word(text: str) -> str:
    return " ".join(str(text).split())


def _score_paragraphs(facts: Mapping[str, Any], metric: str) -> list[str]:
    if not facts["scores"]:
        return ["There are none."]
    rows = [
        [score["what"], _number(score["printed"]), _number(score["honest"]), _interval(score)]
        for score in facts["scores"]
    ]
    words = (
        f"Printed: {metric} on the rows that decided. Honest: on rows that had no say, with every decision "
        "made again without them."
    )
    return [
        words,
        table([["", "printed", "honest", "95 % interval"], *rows]),
        difference(facts["difference"]),
        not_replayed(facts["stages"]),
    ]


def not_replayed(stages: Sequence[Mapping[str, str]] | None) -> str:
    """What the honest scores have not paid for: proposals that saw earlier scores; empty where none did."""
    if not any(stage.get("stage") == "propose" for stage in stages or []):
        return ""
    return (
        "Not paid for: the sampler saw earlier scores when it proposed, which no replay can undo. Where that "
        "was measured (26 studies of 12 trials on 300 rows, docs/validity.md), it made the honest log loss "
        "of the best single trial too good by 0.005 (standard error 0.002), that of the ensemble by 0.001 "
        "(0.001). A random sampler, a sealed holdout and nested cross-validation are free of it."
    )


def difference(record: Mapping[str, Any] | None) -> str:
    """A sentence on the ensemble against the best single trial; empty where they were not compared."""
    if not record or record.get("mean") is None:
        return ""
    low, high = record.get("low"), record.get("high")
    text = f"The loss of the ensemble less that of the best single trial is {record['mean']:+.3g}"
    if low is None or high is None:
        return f"{text}, without an interval."
    word = "the ensemble is better" if high < 0 else "it is worse" if low > 0 else "no clear difference"
    return f"{text} (95 % interval {low:+.3g} to {high:+.3g}): {word}."


def _account_paragraphs(facts: Mapping[str, Any]) -> list[str]:
    sentences = " ".join(text for text in (budget_sentence(facts), ladder_sentence(facts["ladder"])) if text)
    if facts["accounts"] is None:
        return ["There are none: the study did not come that far.", sentences]
    lines = [[line["question"], line["answer"]] for line in facts["accounts"]]
    return [table([["question", "answer"], *lines]), _stage_table(facts["stages"] or []), sentences]


def _stage_table(stages: Sequence[Mapping[str, str]]) -> str:
    rows = [[_cell(stage.get(name, "")) for name in _STAGE_COLUMNS] for stage in stages]
    return table([[name.replace("_", " ") for name in _STAGE_COLUMNS], *rows]) if rows else ""


def budget_sentence(facts: Mapping[str, Any]) -> str:
    """What the leak budget did, in a sentence."""
    did = facts["leak_budget"]
    if did is None:
        return "The leak budget was off."
    if did["expected_gain"] is None:
        fewest = f"its {did['n_trials']} trials were fewer than {did['fewest_trials']}"
        return f"The leak budget was on and judged nothing, as {fewest}."
    way = "ended the study" if did["has_stopped"] else "was on and did not end the study"
    return (
        f"The leak budget {way}: after {did['n_trials']} trials the next one was expected to gain "
        f"{did['expected_gain']:.2g} of loss and to add {did['optimism_growth']:.2g} of optimism."
    )


def ladder_sentence(did: Mapping[str, Any] | None) -> str:
    """What the Ladder did, in a sentence; empty where there was none."""
    if did is None:
        return ""
    noun = "trial" if did["n_announced"] == 1 else "trials"
    return (
        f"The Ladder announced {did['n_announced']} new best {noun} and withheld {did['n_withheld']} that "
        "were better by less than the noise of the difference."
    )


def _audit_paragraph(findings: Sequence[Mapping[str, str]] | None) -> str:
    if findings is None:
        return "The table was not audited."
    if not findings:
        return "No leak found."
    columns = ("severity", "leak", "columns", "evidence", "remedy")
    return table([list(columns), *([finding[name] for name in columns] for finding in findings)])


def _interval(score: Mapping[str, Any]) -> str:
    if score["low"] is None or score["high"] is None:
        return ""
    return f"{score['low']:.4g} to {score['high']:.4g}"


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.4g}"


def _cell(text: str) -> str:
    """A number from a CSV file at four significant digits; other text as it is."""
    try:
        value = float(text)
    except ValueError:
        return text
    return "" if math.isnan(value) else text if text.isdigit() else f"{value:.4g}"
