"""Labels over many data sets: losses, shares, mean ranks and their tests."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reports.critical_difference import critical_difference
from reports.entrants import Entrant
from reports.ranks import Friedman, SignedRank, cliques, friedman, nemenyi_difference, ranks, signed_ranks

Array = NDArray[Any]


@dataclass(frozen=True)
class Across:
    """Labels over many data sets.

    Attributes
    ----------
    labels : tuple of str
    data : tuple of str
        Data sets on which every label has a run.
    losses : (n_sets, n_labels)
        Honest losses of the ensembles, averaged over the runs of a label on a data set.
    shares : (n_sets, n_labels)
        The same as shares of the way from the lowest loss (0) to the dummy's or the highest (1): what the
        signed ranks compare between data sets.
    mean_ranks : (n_labels,)
    friedman : Friedman or None
    tests : tuple of SignedRank
    """

    labels: tuple[str, ...]
    data: tuple[str, ...]
    losses: Array
    shares: Array
    mean_ranks: Array
    friedman: Friedman | None
    tests: tuple[SignedRank, ...]

    @property
    def diagram(self) -> str:
        """The critical-difference diagram as SVG."""
        n = len(self.data)
        return critical_difference(
            self.labels,
            self.mean_ranks.tolist(),
            cliques(self.mean_ranks, self.tests),
            n_sets=n,
            difference=nemenyi_difference(len(self.labels), n),
        )


def across(
    groups: Sequence[Sequence[Entrant]], names: Sequence[str], labels: Mapping[str, str]
) -> tuple[Across | None, list[str]]:
    """Rank labels on the data sets on which all have runs; and notes on what was left out.

    Parameters
    ----------
    groups : sequence of sequences of Entrant
        Runs by data set, and `names` of these.
    labels : mapping of str to str
        By name of a run.
    """
    if len(groups) < 2:
        return None, []
    known = list(dict.fromkeys(labels.values()))
    losses = np.full((len(groups), len(known)), np.nan)
    for i, group in enumerate(groups):
        for j, label in enumerate(known):
            own = [one.loss() for one in group if labels[one.name] == label]
            losses[i, j] = np.mean(own) if own else np.nan
    is_whole = ~np.isnan(losses).any(axis=1)
    left_out = [name for name, has_all in zip(names, is_whole, strict=True) if not has_all]
    notes = [f"Not ranked, as not every label has a run there: {', '.join(left_out)}."] if left_out else []
    if is_whole.sum() < 2 or len(known) < 2:
        return None, [
            *notes,
            "No ranks over data sets: they need 2 labels with runs on the same 2 data sets.",
        ]
    whole = losses[is_whole]
    dummy = np.array([_dummy(group) for group in groups])
    shares = _shares(whole, dummy[is_whole])
    kept = tuple(name for name, has_all in zip(names, is_whole, strict=True) if has_all)
    mean_ranks = ranks(whole).mean(axis=0)
    return Across(tuple(known), kept, whole, shares, mean_ranks, friedman(whole), signed_ranks(shares)), notes


def _dummy(group: Sequence[Entrant]) -> float:
    known = [one.dummy_loss for one in group if np.isfinite(one.dummy_loss)]
    return float(np.mean(known)) if known else np.nan


def _shares(losses: Array, dummy: Array) -> Array:
    """Losses from 0, the lowest of a data set, to 1, the dummy's or the highest, whichever is more."""
    low, high = losses.min(axis=1), np.fmax(losses.max(axis=1), dummy)
    width = np.where(high > low, high - low, 1.0)
    return np.asarray((losses - low[:, None]) / width[:, None])
