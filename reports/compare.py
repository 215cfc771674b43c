"""Several runs side by side: on one data set with paired tests, over many with mean ranks.

    from reports.compare import compare

    found = compare(["runs/price-tpe", "runs/price-random"])
    print(*found.sentences, sep="\\n")
    found.pairs  # a pandas table

Scores are the honest ones, cross-fitted; a run without one is refused.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from reports import compare_tables as tables
from reports import compare_words as words
from reports.across import across
from reports.entrants import CompareError, Entrant, entrants, methods
from reports.pairs import Pair, common_rows, pairs
from reports.ranks import Friedman
from search.records import Run


@dataclass(frozen=True)
class Comparison:
    """What a comparison found.

    Attributes
    ----------
    runs : DataFrame
        One line for each run.
    pairs : DataFrame
        One line for each pair of runs on one data set, for ensembles and best single trials. `difference` is
        a loss, first less second: negative says that the first is better.
    scores, ranks, tests : DataFrame or None
        Over many data sets: losses by data set and label, mean ranks, signed-rank tests.
    friedman : Friedman or None
    sentences : tuple of str
        What survives noise, in words.
    notes : tuple of str
        What could not be asked, and why.
    diagram : str or None
        The critical-difference diagram as SVG, over many data sets.
    """

    runs: pd.DataFrame
    pairs: pd.DataFrame
    scores: pd.DataFrame | None
    ranks: pd.DataFrame | None
    tests: pd.DataFrame | None
    friedman: Friedman | None
    sentences: tuple[str, ...]
    notes: tuple[str, ...]
    diagram: str | None

    @property
    def tables(self) -> dict[str, pd.DataFrame]:
        """The tables that there are, by name."""
        known = {
            "runs": self.runs, "pairs": self.pairs, "scores": self.scores, "ranks": self.ranks,
            "tests": self.tests,
        }  # fmt: skip
        return {name: table for name, table in known.items() if table is not None and len(table)}

    def to_json(self) -> dict[str, Any]:
        """Everything but the diagram as a JSON object; what is missing is null."""
        by_name = {
            name: json.loads(table.to_json(orient="records", double_precision=15))
            for name, table in self.tables.items()
        }
        return {
            "sentences": list(self.sentences),
            "notes": list(self.notes),
            **by_name,
            "friedman": None if self.friedman is None else self.friedman.to_json(),
        }


def compare(
    runs: Sequence[Run | str | Path],
    *,
    label: Sequence[str] = (),
    n_draws: int | None = None,
    seed: int = 0,
) -> Comparison:
    """Compare finished runs.

    Parameters
    ----------
    runs : sequence of Run, str or Path
        At least two. Those on one data set are paired; with several data sets, their labels are ranked.
    label : sequence of str
        What labels a run, see `reports.entrants.methods`.
    n_draws : int, optional
        Bootstrap draws of rows, see `reports.pairs.pairs`.

    Raises
    ------
    CompareError
        If runs on one data set differ in task or metric, if nothing can be paired, or a run is unfinished.
    """
    found = entrants(runs)
    groups = data_sets(found)
    labels = dict(zip((one.name for one in found), methods(found, label), strict=True))
    names = _group_names(groups)
    over_all, missing = across(groups, names, labels)
    if over_all is None and all(len(group) < 2 for group in groups):
        raise CompareError(_nothing_in_common(groups, names))
    tested: list[tuple[str, list[Pair]]] = []
    for name, group, rng in zip(names, groups, np.random.default_rng(seed).spawn(len(groups)), strict=True):
        if len(group) > 1:
            tested.append((name, pairs(group, rng=rng, n_draws=n_draws)))
    sentences = [] if over_all is None else words.over_data_sets(over_all)
    for name, some in tested:
        sentences += words.on_one_data_set(name, some)
    return Comparison(
        runs=tables.of_runs(groups, names, labels),
        pairs=tables.of_pairs(tested),
        scores=None if over_all is None else tables.of_scores(over_all),
        ranks=None if over_all is None else tables.of_ranks(over_all),
        tests=None if over_all is None else tables.of_tests(over_all),
        friedman=None if over_all is None else over_all.friedman,
        sentences=tuple(sentences),
        notes=(*missing, *words.notes(found, groups)),
        diagram=None if over_all is None else over_all.diagram,
    )


def data_sets(found: Sequence[Entrant]) -> list[list[Entrant]]:
    """Runs by data set: of one source, or of one table (by other columns or rows) with equal targets."""
    groups: list[list[Entrant]] = []
    for one in found:
        home = next((group for group in groups if _is_of(group[0], one)), None)
        if home is None:
            groups.append([one])
        else:
            home.append(one)
    return groups


def _is_of(first: Entrant, one: Entrant) -> bool:
    if first.source and first.source == one.source:
        return True
    if first.place != one.place or first.targets is None or one.targets is None:
        return False
    try:
        common_rows([first, one])
    except CompareError:
        return False
    return True


def _group_names(groups: Sequence[Sequence[Entrant]]) -> list[str]:
    names = [group[0].data_name for group in groups]
    return [
        name if names.count(name) == 1 else f"{name} ({group[0].source[:8]})"
        for name, group in zip(names, groups, strict=True)
    ]


def _nothing_in_common(groups: Sequence[Sequence[Entrant]], names: Sequence[str]) -> str:
    facts = ", ".join(
        f"{group[0].name} on {name} (source {group[0].source[:8] or 'unknown'})"
        for name, group in zip(names, groups, strict=True)
    )
    return f"runs are paired on one data set, or labels over several; here no two runs share either: {facts}"
