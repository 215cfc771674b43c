"""What the study found and how far it can be believed, in a few sentences."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from reports.honesty import difference, not_replayed
from reports.page.figure import Section
from reports.page.markup import number, short, text

Level = Literal["good", "note", "warning", "error"]
_WORDS: dict[str, str] = {"good": "Good", "note": "Note", "warning": "Warning", "error": "Error"}
MOST_FINDINGS = 6


def warnings_of(facts: Mapping[str, Any]) -> list[dict[str, str]]:
    """What a reader should know before believing the verdict: records of `level` and `text`.

    `facts` is the report without this part.
    """
    said: list[tuple[Level, str]] = [
        *_against_baselines(facts),
        *_of_leaks(facts),
        *_of_single(facts),
        *_of_audit(facts),
        *_of_trials(facts),
        *(("note", str(look["sentence"])) for look in facts["honesty"]["looks"]),
    ]
    return [{"level": level, "text": short(words, 600)} for level, words in said if words]


def _against_baselines(facts: Mapping[str, Any]) -> list[tuple[Level, str]]:
    ensemble, is_higher = facts["ensemble"], facts["metric"]["is_higher_better"]
    scored = [one for one in facts["baselines"] if one.get("score") is not None]
    low, high = ensemble.get("low"), ensemble.get("high")
    if not scored or low is None or high is None:
        return []
    best = (max if is_higher else min)(scored, key=lambda one: one["score"])
    ends = f"The ensemble's 95 % interval ({number(low)} to {number(high)})"
    rival = f"the {best['name']} model ({number(best['score'])}), the better of the baselines"
    worst, finest = (low, high) if is_higher else (high, low)
    if worst > best["score"] if is_higher else worst < best["score"]:
        return [("good", f"{ends} lies wholly on the better side of {rival}: the gain is more than noise.")]
    if finest < best["score"] if is_higher else finest > best["score"]:
        return [("error", f"{ends} lies wholly on the worse side of {rival}: use the baseline.")]
    return [("warning", f"{ends} includes {rival}: the gain over it may be noise.")]


def _of_leaks(facts: Mapping[str, Any]) -> list[tuple[Level, str]]:
    lines = {line["question"]: line["answer"] for line in facts["honesty"]["accounts"] or []}
    if facts["optimism"] is None or not lines:
        return []
    leak = lines.get("largest leak", "none was found")
    way = "good" if facts["optimism"] >= 0 else "bad"
    words = (
        f"Decisions made from held-out rows: {lines.get('decisions made from them', 'some')}. They made the "
        f"ensemble's printed score {abs(facts['optimism']):.2g} too {way}, which is taken out of the honest "
        f"one. Largest leak: {leak}."
    )
    return [("note", words), ("note", not_replayed(facts["honesty"]["stages"]))]


def _of_single(facts: Mapping[str, Any]) -> list[tuple[Level, str]]:
    record = facts["honesty"]["difference"] or {}
    is_better = record.get("high") is not None and record["high"] < 0
    return [("good" if is_better else "note", difference(record))]


def _of_audit(facts: Mapping[str, Any]) -> list[tuple[Level, str]]:
    findings = facts["honesty"]["audit"]
    if findings is None:
        return [("warning", "The table was not audited for leaks.")]
    if not findings:
        return [("good", "The audit of the table found no leak.")]
    known: dict[str, Level] = {"error": "error", "warning": "warning"}
    said: list[tuple[Level, str]] = [
        (known.get(one["severity"], "note"), f"Audit, {one['leak']}: {one['evidence']} {one['remedy']}")
        for one in findings[:MOST_FINDINGS]
    ]
    n_more = len(findings) - MOST_FINDINGS
    if n_more > 0:
        said.append(("note", f"The audit found {n_more} more; see the data section."))
    return said


def _of_trials(facts: Mapping[str, Any]) -> list[tuple[Level, str]]:
    trials = facts["trials"]
    n_failed, n_total = trials["n_failed"], trials["n_total"]
    if not n_failed:
        return []
    level: Level = "warning" if n_failed > n_total / 4 else "note"
    cause = facts["failures"][0]["cause"] if facts["failures"] else "unknown"
    return [(level, f"{n_failed} of {n_total} trials failed, most often: {short(cause, 200)}.")]


def section(facts: Mapping[str, Any]) -> Section:
    """The first part of the page."""
    cards = "".join(_card(*card) for card in _cards(facts))
    said = "".join(
        f'<li class="level-{text(one["level"])}"><span class="mark">{_WORDS[one["level"]]}</span>'
        f"<span>{text(one['text'])}</span></li>"
        for one in facts["warnings"]
    )
    body = (
        f'<p class="lead">{text(facts["verdict"])}</p><div class="cards">{cards}</div>'
        f'<ul class="findings">{said}</ul>'
    )
    return Section("verdict", "Verdict", body)


def _cards(facts: Mapping[str, Any]) -> list[tuple[str, Any, str, str]]:
    scores = {score["what"]: score for score in facts["honesty"]["scores"]}
    cards = []
    for what, kind in (("ensemble", "ensemble"), ("best single trial", "single")):
        score = scores.get(what)
        if score:
            ends = "" if score["low"] is None else f"95 %: {number(score['low'])} to {number(score['high'])}"
            cards.append((f"{what}, honest", score["honest"], ends, kind))
    for one in facts["baselines"]:
        cards.append(
            (
                f"{one['name']} model" if one["name"] != "dummy" else "dummy",
                one.get("score"),
                "baseline",
                "baseline",
            )
        )
    return cards


def _card(name: str, score: Any, words: str, kind: str) -> str:
    return (
        f'<div class="card {kind}"><span class="name">{text(name)}</span>'
        f'<span class="score">{text(number(score))}</span><span class="note">{text(words)}</span></div>'
    )
