"""What a comparison found, in sentences."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from reports.across import Across
from reports.entrants import Entrant
from reports.pairs import Pair

FEWEST_SETS = 6  # below, the smallest two-sided p of an exact signed-rank test is above 0.05


def over_data_sets(found: Across) -> list[str]:
    """Mean ranks, and which labels differ."""
    order = np.argsort(found.mean_ranks, kind="stable")
    listed = ", ".join(f"{found.labels[i]} {found.mean_ranks[i]:.2f}" for i in order)
    text = [f"Mean ranks over {len(found.data)} data sets (1 is best): {listed}."]
    whole = found.friedman
    if whole is not None:
        word = "differ" if whole.p_f < 0.05 else "do not differ by more than noise"
        text.append(
            f"Friedman's test (Iman and Davenport's F {whole.f:.3g}, p = {_p(whole.p_f)}): ranks {word}."
        )
    for test in found.tests:
        if test.p_holm < 0.05:
            i, j = (test.first, test.second) if test.n_better > test.n_worse else (test.second, test.first)
            text.append(
                f"{found.labels[i]} is better than {found.labels[j]} over data sets "
                f"(signed ranks, p = {_p(test.p_holm)} after Holm's correction)."
            )
    if not any(test.p_holm < 0.05 for test in found.tests):
        text.append("No difference between labels survives the signed-rank test with Holm's correction.")
    if len(found.data) < FEWEST_SETS:
        text.append(
            f"With {len(found.data)} data sets none can: the signed-rank test needs {FEWEST_SETS} or more."
        )
    return text


def on_one_data_set(name: str, found: Sequence[Pair]) -> list[str]:
    """What survives on one data set, for ensembles; best single trials are in the table."""
    some = [pair for pair in found if pair.subject == "ensemble"]
    if all(np.isnan(pair.p) for pair in some):
        some = [pair for pair in found if pair.subject == "winner"]
    of = "ensembles" if some[0].subject == "ensemble" else "best single trials"
    metric = some[0].first.metric.name
    text, kept = [], [pair for pair in some if pair.survives]
    for pair in kept:
        is_first = pair.difference < 0
        best, other = (pair.first, pair.second) if is_first else (pair.second, pair.first)
        ends = "" if pair.by_row is None else f", 95 % {_ends(pair)}"
        text.append(
            f"On {name}, {best.name} beats {other.name} by {abs(pair.difference):.3g} {metric}{ends} "
            f"(p = {_p(pair.p_holm)} by {pair.tests}, Holm's correction): {_survived(pair)}."
        )
    untested = [pair for pair in some if np.isnan(pair.p)]
    rest = len(some) - len(kept) - len(untested)
    if rest:
        words = "the difference" if len(some) == 1 else f"{rest} of {len(some)} differences"
        verb = "does" if len(some) == 1 or rest == 1 else "do"
        text.append(f"On {name}, {words} between {of} {verb} not survive noise.")
    if untested:
        names = ", ".join(f"{pair.first.name} and {pair.second.name}" for pair in untested)
        text.append(f"On {name}, not tested, as their records do not allow it: {names}.")
    return text


def _ends(pair: Pair) -> str:
    assert pair.by_row is not None
    low, high = sorted(abs(end) for end in (pair.by_row.low, pair.by_row.high))
    return f"{low:.2g} to {high:.2g}"


def _survived(pair: Pair) -> str:
    if pair.by_fold is None:
        return "more than the noise of the rows, with the models as they were trained"
    return "more than noise"


def _p(value: float) -> str:
    return f"{value:.2g}"


def notes(found: Sequence[Entrant], groups: Sequence[Sequence[Entrant]]) -> list[str]:
    """What could not be asked, and what to mind."""
    said = []
    without = [one.name for one in found if one.targets is None or not one.cross_fitted]
    if without:
        said.append(
            f"No bootstrap of rows with {', '.join(without)}: no stored targets or cross-fitted predictions."
        )
    for group in groups:
        if len(group) > 1:
            said.append(
                f"Whoever picks the best of {len(group)} runs on {group[0].data_name} by these scores has "
                "looked at the same rows once more: its score is then a little too good, and that of a "
                "sealed holdout is not."
            )
        if len({one.folds for one in group}) > 1:
            said.append(
                f"Runs on {group[0].data_name} have different folds: pairs that do are compared row by row "
                "alone, which takes the trained models as given."
            )
        if len({one.source for one in group}) > 1:
            said.append(
                f"Runs on {group[0].data_name} used other columns or rows of the table: compared on the rows "
                "that they share."
            )
        counts = {sum(t.status == "completed" for t in one.trials) for one in group}
        if len(counts) > 1:
            said.append(
                f"Runs on {group[0].data_name} completed different numbers of trials: {sorted(counts)}."
            )
    return said
