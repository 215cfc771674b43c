"""What a comparison found, as pandas tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from reports.across import Across
from reports.entrants import Entrant
from reports.pairs import Pair
from reports.ranks import ranks

RUN_COLUMNS = (
    "run", "label", "data", "metric", "score", "low", "high", "best_single", "n_trials", "fit_seconds",
    "seed",
)  # fmt: skip
PAIR_COLUMNS = (
    "data", "of", "first", "second", "difference", "low", "high", "p_folds", "p_rows", "p", "p_holm",
    "survives", "tests",
)  # fmt: skip
TEST_COLUMNS = ("first", "second", "median_difference", "better", "worse", "equal", "p", "p_holm", "survives")


def of_runs(
    groups: Sequence[Sequence[Entrant]], names: Sequence[str], labels: Mapping[str, str]
) -> pd.DataFrame:
    """One line for each run."""
    rows = []
    for name, group in zip(names, groups, strict=True):
        for one in group:
            ensemble = one.summary["ensemble"]
            rows.append(
                (
                    one.name, labels[one.name], name, one.metric.name, one.score("ensemble"),
                    ensemble.get("low"), ensemble.get("high"), one.score("winner"),
                    sum(t.status == "completed" for t in one.trials),
                    float(sum(t.fit_seconds for t in one.trials)), one.facts.get("seed"),
                )
            )  # fmt: skip
    table = pd.DataFrame(rows, columns=list(RUN_COLUMNS))
    numbers = dict.fromkeys(("score", "low", "high", "best_single", "fit_seconds"), "float64")
    return table.astype({**numbers, "seed": "Int64"})


def of_pairs(tested: Sequence[tuple[str, Sequence[Pair]]]) -> pd.DataFrame:
    """One line for each pair of runs on a data set."""
    rows = []
    for name, some in tested:
        for pair in some:
            by_row, by_fold = pair.by_row, pair.by_fold
            shown = by_row or by_fold
            rows.append(
                (
                    name, pair.subject, pair.first.name, pair.second.name, pair.difference,
                    None if shown is None else shown.low, None if shown is None else shown.high,
                    None if by_fold is None else by_fold.p, None if by_row is None else by_row.p,
                    pair.p, pair.p_holm, pair.survives, pair.tests or "none",
                )
            )  # fmt: skip
    table = pd.DataFrame(rows, columns=list(PAIR_COLUMNS))
    numbers = ("difference", "low", "high", "p_folds", "p_rows", "p", "p_holm")
    return table.astype(dict.fromkeys(numbers, "float64"))


def of_scores(found: Across) -> pd.DataFrame:
    """Honest losses by data set and label."""
    table = pd.DataFrame(found.losses, columns=list(found.labels))
    table.insert(0, "data", list(found.data))
    return table


def of_ranks(found: Across) -> pd.DataFrame:
    """Labels by mean rank."""
    order = np.argsort(found.mean_ranks, kind="stable")
    return pd.DataFrame(
        {
            "label": [found.labels[i] for i in order],
            "mean_rank": found.mean_ranks[order],
            "n_best": [int((ranks(found.losses)[:, i] == 1).sum()) for i in order],
            "mean_share": found.shares.mean(axis=0)[order],
            "n_data_sets": len(found.data),
        }
    )


def of_tests(found: Across) -> pd.DataFrame:
    """Signed-rank tests of each pair of labels."""
    rows = [
        (
            found.labels[t.first], found.labels[t.second], t.median, t.n_better, t.n_worse, t.n_equal, t.p,
            t.p_holm, t.p_holm < 0.05,
        )
        for t in found.tests
    ]  # fmt: skip
    return pd.DataFrame(rows, columns=list(TEST_COLUMNS))
