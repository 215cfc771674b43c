"""The closing paragraph of a study: what was found, how sure it is, whether more budget is likely to help.

It is made of the run's records alone. Growth is judged by the honest scores that the study would have
reported had it ended earlier (`growth.json`): luck with validation rows does not count as progress.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from reports.summary import baseline, is_higher_better, metric_of, part, summary_of
from search.records import Run, Trial

LAST = 1 / 3
FEWEST_TRIALS = 9
FLAT_SHARE = 0.1  # of the half width of the interval: what is less than that, nobody can see


def closing(run: Run) -> str:
    """The paragraph; one sentence that says so where a study did not come to an ensemble."""
    summary, trials = summary_of(run), run.trials()
    if part(summary, "ensemble").get("score") is None:
        failed = sum(trial.status == "failed" for trial in trials)
        return (
            f"Nothing was found: {len(trials)} trials ended without a valid model, {failed} of them failed."
        )
    sentences = [*found(run, summary), *certainty(run, summary), *outlook(run, summary, trials)]
    return " ".join(sentences)


def found(run: Run, summary: Mapping[str, Any]) -> list[str]:
    """What the ensemble is, what it scores, and what that is worth."""
    ensemble, metric = part(summary, "ensemble"), metric_of(run)
    members = list(ensemble.get("members") or [])
    families = _families(members)
    what = (
        f"an ensemble of {len(members)} trials ({families})"
        if len(members) > 1
        else f"one trial ({families})"
    )
    text = f"Found: {what} that scores {metric} {ensemble['score']:.4g} on rows that chose nothing"
    share = _share_of_the_way(run, summary)
    return [f"{text}{share}."]


def _families(members: Sequence[Mapping[str, Any]]) -> str:
    total: dict[str, float] = {}
    for one in members:
        name = str(one.get("family", "unknown"))
        total[name] = total.get(name, 0.0) + float(one["weight"])
    ordered = sorted(total.items(), key=lambda item: -item[1])
    return ", ".join(f"{name} {f'{weight:.0%}' if weight >= 0.005 else '<1%'}" for name, weight in ordered)


def _share_of_the_way(run: Run, summary: Mapping[str, Any]) -> str:
    """How it stands to the references."""
    score, words = float(part(summary, "ensemble")["score"]), []
    for name, called in (("dummy", "guessing"), ("linear", "the linear model")):
        other = baseline(summary, name).get("score")
        if other is not None:
            gain = (score - other) * (1 if is_higher_better(run) else -1)
            word = "better" if gain > 0 else "worse" if gain < 0 else "different"
            words.append(f"{abs(gain):.2g} {word} than {called} ({other:.4g})")
    return f", {' and '.join(words)}" if words else ""


def certainty(run: Run, summary: Mapping[str, Any]) -> list[str]:
    """How sure the score is, what the usual one would have said, and whether it beats the winner."""
    ensemble, sentences = part(summary, "ensemble"), []
    low, high = ensemble.get("low"), ensemble.get("high")
    if low is None or high is None:
        sentences.append("How sure: no interval was asked for.")
    else:
        others = [
            called
            for name, called in (("dummy", "guessing"), ("linear", "the linear model"))
            if _is_within(baseline(summary, name).get("score"), low, high)
        ]
        reach = f", which includes the score of {' and of '.join(others)}" if others else ""
        sentences.append(f"How sure: 95 % between {low:.4g} and {high:.4g}{reach}.")
    inside = ensemble.get("in_sample_score")
    if inside is not None:
        excess = (inside - ensemble["score"]) * (1 if is_higher_better(run) else -1)
        if excess > 0:
            sentences.append(
                f"On the rows that chose it, it scores {inside:.4g}, {excess:.2g} too good to be believed."
            )
    sentences += _against_single(summary)
    return sentences


def _is_within(score: float | None, low: float, high: float) -> bool:
    return score is not None and low <= score <= high


def _against_single(summary: Mapping[str, Any]) -> list[str]:
    record = part(part(summary, "ensemble"), "difference")
    low, high = record.get("low"), record.get("high")
    if low is None or high is None or low == high == 0:
        return []
    if high < 0:
        return ["It is better than the best single trial by more than noise."]
    if low > 0:
        return ["It is worse than the best single trial by more than noise: use that one."]
    return ["It does not differ from the best single trial by more than noise."]


def outlook(run: Run, summary: Mapping[str, Any], trials: Sequence[Trial]) -> list[str]:
    """Whether more trials are likely to help, and what else the records hint at."""
    completed = [trial for trial in trials if trial.status == "completed"]
    sentences = [_growth_sentence(run, summary, completed)]
    n_failed = sum(trial.status == "failed" for trial in trials)
    if n_failed * 4 >= len(trials):
        sentences.append(
            f"{n_failed} of {len(trials)} trials failed: mend that first (trials.csv has the causes)."
        )
    n_last = _n_at_last_epoch(completed)
    if n_last * 2 > len(completed) > 0:
        sentences.append(
            f"{n_last} of {len(completed)} trials were best at their last epoch: allow more epochs."
        )
    return sentences


def _growth_sentence(run: Run, summary: Mapping[str, Any], completed: Sequence[Trial]) -> str:
    points = run.load_json("growth.json") if run.has("growth.json") else []
    points = [one for one in points if one.get("ensemble_honest") is not None]
    n = int(points[-1]["n_trials"]) if points else len(completed)
    if n < FEWEST_TRIALS or len(points) < 2:
        return f"More budget: {n} trials are too few to tell; more are likely to help."
    sign = -1.0 if is_higher_better(run) else 1.0
    x = np.log([one["n_trials"] for one in points])
    losses = sign * np.array([one["ensemble_honest"] for one in points], np.float64)
    before = float(np.interp(np.log(n * (1 - LAST)), x, losses))
    gain, width = before - float(losses[-1]), _half_width(summary)
    late = x >= np.log(n / 3)
    slope = float(np.polyfit(x[late], losses[late], 1)[0]) if late.sum() > 1 else 0.0
    doubled = max(0.0, -slope * np.log(2.0))
    said = (
        f"the honest score of the ensemble {_moved(gain, metric_of(run))} over the last third of {n} trials, "
        f"and its trend would bring {doubled:.2g} for twice as many"
    )
    return f"More budget: {said}; {_verdict(gain, doubled, width)}."


def _moved(gain: float, metric: str) -> str:
    return f"got {'better' if gain > 0 else 'worse'} by {abs(gain):.2g} {metric}" if gain else "stood still"


def _verdict(gain: float, doubled: float, width: float | None) -> str:
    """In words: a gain counts when it would be seen beside the interval of the score."""
    least = 0.0 if width is None else FLAT_SHARE * width
    if gain <= 0 and doubled <= least:
        return "more trials are unlikely to help"
    if doubled <= least:
        return "more trials are unlikely to help by more than can be seen"
    if gain <= 0:
        return "whether more trials help is open"
    return "more trials are likely to help"


def _half_width(summary: Mapping[str, Any]) -> float | None:
    low, high = (part(summary, "ensemble").get(end) for end in ("low", "high"))
    return None if low is None or high is None else (float(high) - float(low)) / 2


def _n_at_last_epoch(completed: Sequence[Trial]) -> int:
    """Trials of several epochs whose best was their last."""
    return sum(
        trial.chosen_epoch is not None
        and len(trial.checkpoints) > 1
        and trial.chosen_epoch == trial.checkpoints[-1]
        for trial in completed
    )
