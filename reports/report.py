"""The report of a run: `report.html` and `report.md` for people, `report.json` for machines, of the "
"same facts."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from reports.honesty import honesty, sections
from reports.leaderboard import cells, leaderboard
from reports.markdown import section, table
from reports.page import as_markdown
from reports.page.contents import contents
from reports.page.document import document
from reports.summary import baseline, facts_of, is_higher_better, metric_of, part, summary_of
from search.records import Run, Trial

N_SHOWN = 14
N_PAIRS = 10
_SHOWN_COLUMNS = [
    "entry",
    "rank",
    "trial",
    "family",
    "score",
    "score_se",
    "scored",
    "ensemble_weight",
    "epochs",
    "status",
]


def write_report(run: Run) -> tuple[Path, Path]:
    """Write `leaderboard.csv`, `report.html`, `report.json` and `report.md`; return the last two paths."""
    board = leaderboard(run)
    facts = report(run)
    run.save_csv("leaderboard.csv", board)
    run.save_json("report.json", facts)
    run.save_text("report.md", markdown(facts, cells(board[_SHOWN_COLUMNS].head(N_SHOWN))))
    run.save_text("report.html", document(run, facts))
    return run.path / "report.md", run.path / "report.json"


def report(run: Run) -> dict[str, Any]:
    """Everything that the report says, as one JSON object."""
    summary, told, trials = summary_of(run), facts_of(run), run.trials()
    facts = {
        "format": 2,
        "name": run.path.name,
        "verdict": verdict(summary, metric_of(run), is_higher_better(run)),
        "metric": {"name": metric_of(run), "is_higher_better": is_higher_better(run)},
        "data": {**part(told, "dataset"), "task": told.get("task")},
        "splits": {**part(told, "folds"), **_reason(summary)},
        "trials": {"n_total": len(trials), **_counts(trials), "stop_reason": summary.get("stop_reason")},
        "leaderboard": json.loads(leaderboard(run).to_json(orient="records")),
        "ensemble": part(summary, "ensemble"),
        "diversity": run.load_json("diversity.json") if run.has("diversity.json") else None,
        "best_single": part(summary, "best_single"),
        "baselines": summary.get("baselines") or [],
        "optimism": optimism(summary, is_higher_better(run)),
        "honesty": honesty(run),
        "ledger": ledger_by_stage(run),
        "failures": failures(trials),
        "reproduce": {name: told.get(name) for name in ("command", "seed", "seeds", "versions")},
    }
    return contents(run, facts)


def _reason(summary: Mapping[str, Any]) -> dict[str, Any]:
    return {"reason": summary["splits_reason"]} if summary.get("splits_reason") else {}


def _counts(trials: list[Trial]) -> dict[str, int]:
    statuses = [trial.status for trial in trials]
    return {
        f"n_{status}": statuses.count(status) for status in ("completed", "pruned", "failed", "duplicate")
    }


def verdict(summary: Mapping[str, Any], metric: str, is_higher: bool) -> str:
    """One or two sentences: what the ensemble scores, cross-fitted, and what it beats."""
    score = part(summary, "ensemble").get("score")
    if score is None:
        return "No ensemble: the study did not come that far."
    direction = "higher" if is_higher else "lower"
    text = f"The ensemble scores {metric} {score:.4g} (cross-fitted{_ends(summary)}; {direction} is better)."
    rivals = {
        "the dummy": baseline(summary, "dummy").get("score"),
        "the linear model": baseline(summary, "linear").get("score"),
        "the best single trial": _best_single(summary),
    }
    beaten = [
        f"{name} ({rival:.4g})" for name, rival in rivals.items() if _is_better(score, rival, is_higher)
    ]
    others = [
        f"{name} ({rival:.4g})"
        for name, rival in rivals.items()
        if rival is not None and not _is_better(score, rival, is_higher)
    ]
    text += f" That is better than {_and(beaten)}." if beaten else ""
    return text + (f" It is not better than {_and(others)}." if others else "")


def _ends(summary: Mapping[str, Any]) -> str:
    low, high = (part(summary, "ensemble").get(end) for end in ("low", "high"))
    return "" if low is None or high is None else f", 95 % interval {low:.4g} to {high:.4g}"


def _best_single(summary: Mapping[str, Any]) -> float | None:
    best = part(summary, "best_single")
    crossfitted: float | None = best.get("crossfit_score")
    return best.get("score") if crossfitted is None else crossfitted


def _is_better(score: float, rival: float | None, is_higher: bool) -> bool:
    return rival is not None and (score > rival if is_higher else score < rival)


def _and(names: list[str]) -> str:
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)


def optimism(summary: Mapping[str, Any], is_higher: bool) -> float | None:
    """How much better the ensemble's in-sample score is than its cross-fitted one, in the metric's unit."""
    ensemble = part(summary, "ensemble")
    inside, honest = ensemble.get("in_sample_score"), ensemble.get("score")
    if inside is None or honest is None:
        return None
    return float(inside - honest if is_higher else honest - inside)


def ledger_by_stage(run: Run) -> list[dict[str, Any]]:
    """Looks, alternatives and nats of each stage in the order of first use, their total last."""
    events = run.events()
    stages = [*dict.fromkeys(event["stage"] for event in events)]
    rows = [_added(stage, [event for event in events if event["stage"] == stage]) for stage in stages]
    return [*rows, _added("total", events)]


def _added(stage: str, events: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "stage": stage,
        "looks": len(events),
        "alternatives": sum(event["alternatives"] for event in events),
        "nats": float(sum(event["nats"] for event in events)),
    }


def failures(trials: list[Trial]) -> list[dict[str, Any]]:
    """The causes of failed trials with the trials that had them, most frequent first."""
    by_cause: dict[str, list[int]] = {}
    for trial in trials:
        if trial.status == "failed":
            by_cause.setdefault(trial.cause or "unknown", []).append(trial.number)
    ordered = sorted(by_cause.items(), key=lambda item: (-len(item[1]), item[1]))
    return [{"cause": cause, "trials": numbers} for cause, numbers in ordered]


def markdown(facts: Mapping[str, Any], board: list[list[str]]) -> str:
    """The report as Markdown; `board` is the top of the leaderboard as text, header first."""
    parts = [
        f"# {facts['name']}",
        facts["verdict"],
        as_markdown.warnings(facts),
        section("Data", _listed(facts["data"])),
        section("Splits", _listed(facts["splits"])),
        section("Leaderboard", table(board), _trials_sentence(facts["trials"])),
        section("Ensemble", *_ensemble_paragraphs(facts)),
        section("Diversity", *_diversity_paragraphs(facts["diversity"])),
        *sections(facts["honesty"], facts["metric"]["name"]),
        section("Ledger", _LEDGER_WORDS, table(_ledger_cells(facts["ledger"]))),
        section("Failures", _failure_table(facts["failures"])),
        *as_markdown.parts(facts),
        section("How to reproduce", *_reproduce(facts["reproduce"]), *as_markdown.reproduce(facts)),
    ]
    return "\n\n".join(parts) + "\n"


_LEDGER_WORDS = (
    "Each decision that used validation scores, with how many alternatives it compared. Nats bound what all "
    "these decisions can have learned about the validation rows; they rank the stages and are not subtracted "
    "from a score."
)


def _listed(record: Mapping[str, Any]) -> str:
    return "\n".join(
        f"- {name.replace('_', ' ')}: {_word(value)}" for name, value in record.items() if _has(value)
    )


def _has(value: Any) -> bool:
    return value is not None and value != [] and value != {}


def _word(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {_word(item)}" for name, item in value.items() if _has(item))
    if isinstance(value, list):
        return ", ".join(_word(item) for item in value)
    return " ".join(str(value).split())


def _trials_sentence(trials: Mapping[str, Any]) -> str:
    counted = ", ".join(
        f"{trials[f'n_{name}']} {name}" for name in ("completed", "pruned", "failed", "duplicate")
    )
    reason = f" The study ended because: {trials['stop_reason']}." if trials["stop_reason"] else ""
    return f"{trials['n_total']} trials: {counted}.{reason}"


def _ensemble_paragraphs(facts: Mapping[str, Any]) -> list[str]:
    ensemble = facts["ensemble"]
    if not ensemble:
        return ["There is none."]
    members = [
        [str(m["trial"]), str(m.get("family", "")), f"{m['weight']:.4f}"]
        for m in ensemble.get("members") or []
    ]
    final = _FINAL.get(str(ensemble.get("final")), "unknown")
    words = f"Chosen by the method {ensemble.get('method')}; the predictor is {final}."
    kind = (ensemble.get("calibration") or {}).get("method", "none")
    if kind != "none":
        words += f" Its probabilities are corrected ({kind})."
    return [
        words,
        _methods_sentence(ensemble),
        _optimism_sentence(facts),
        table([["trial", "family", "weight"], *members]),
    ]


def _diversity_paragraphs(found: Mapping[str, Any] | None) -> list[str]:
    """How the members differ, and what it gains."""
    if not found:
        return ["There is no ensemble."]
    columns = found["pairs"]
    if not columns["first"]:
        return ["The ensemble has one member."]
    gain = found["decomposition"]
    sentence = (
        f"Mean squared error of the members {gain['member_error']:.4g}, of their average "
        f"{gain['ensemble_error']:.4g}: their differences are worth {gain['ambiguity']:.4g}, on the rows "
        "that chose them."
    )
    order = sorted(range(len(columns["first"])), key=lambda i: -columns["residual_correlation"][i])
    rows = [[_figure(column[i]) for column in columns.values()] for i in order[:N_PAIRS]]
    more = [f"The {N_PAIRS} most alike of {len(order)} pairs."] if len(order) > N_PAIRS else []
    return [sentence, table([[name.replace("_", " ") for name in columns], *rows]), *more]


def _figure(value: Any) -> str:
    return f"{value:.3g}" if isinstance(value, float) else "" if value is None else str(value)


def _methods_sentence(ensemble: Mapping[str, Any]) -> str:
    said = []
    for name, words in _COMPARED.items():
        losses = ensemble.get(name) or {}
        listed = ", ".join(f"{method} {loss:.4g}" for method, loss in losses.items())
        said += [f"{words}: {listed}."] if losses else []
    return " ".join(said)


_COMPARED = {
    "method_losses": "Cross-fitted losses of the methods that were compared",
    "baseline_losses": "For comparison, the plain average of the ten best and the best alone",
}


def _optimism_sentence(facts: Mapping[str, Any]) -> str:
    if facts["optimism"] is None:
        return ""
    way = "good" if facts["optimism"] >= 0 else "bad"
    inside = f"{facts['ensemble']['in_sample_score']:.4g}"
    return (
        f"On the rows that chose its members and weights it scores {inside}, "
        f"which is {abs(facts['optimism']):.2g} too {way}: that score is not used."
    )


_FINAL = {
    "bag": "the weighted average of the members' fold models",
    "refit": "its members trained again on all rows",
}


def _ledger_cells(stages: list[dict[str, Any]]) -> list[list[str]]:
    rows = [[s["stage"], str(s["looks"]), str(s["alternatives"]), f"{s['nats']:.1f}"] for s in stages]
    return [["stage", "looks", "alternatives", "nats"], *rows]


def _failure_table(found: list[dict[str, Any]]) -> str:
    if not found:
        return "No trial failed."
    return table([["cause", "trials"], *([f["cause"], ", ".join(map(str, f["trials"]))] for f in found)])


def _reproduce(record: Mapping[str, Any]) -> list[str]:
    command = f"    {' '.join(str(record['command']).split())}" if record.get("command") else ""
    words = "The effective configuration is `config.toml`, the folds are `splits.npz`."
    return [command, words, _listed({name: record.get(name) for name in ("seed", "seeds", "versions")})]
