"""Runs on one data set, pair by pair: which differences survive noise.

Differences are losses of the first less those of the second: negative says that the first is better.
Two tests, as far as the records allow: Nadeau and Bengio's corrected t over the folds, where both runs have
the same ones (other folds would have trained other models), and a bootstrap of the rows that both held out
(other rows would have been scored). A difference survives when it passes all that could be asked, after
Holm's correction over the pairs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reports.comparisons import Difference, corrected_t
from reports.entrants import SUBJECTS, CompareError, Entrant, Subject
from reports.parts import bootstrap_counts, bootstrap_units
from reports.ranks import holm
from reports.scoring import pooled

Array = NDArray[Any]

N_DRAWS, DRAWS_PER_PAIR, N_AT_ONCE = 2000, 100, 250
LEVEL = 0.05


@dataclass(frozen=True)
class Pair:
    """Two runs on one data set.

    Attributes
    ----------
    first, second : Entrant
    subject : str
        What of them is compared: the ensembles, or the best single trials.
    by_fold : Difference or None
        The corrected t, None where folds differ or no losses by fold are known.
    by_row : Difference or None
        The bootstrap of rows, None where a run stored no targets or no cross-fitted predictions.
    p : float
        The larger p of the tests that were made; NaN without any.
    p_holm : float
        Corrected over the pairs of this data set and subject.
    """

    first: Entrant
    second: Entrant
    subject: Subject
    by_fold: Difference | None
    by_row: Difference | None
    p: float
    p_holm: float

    @property
    def difference(self) -> float:
        """Of the losses on the rows, or else of the folds, or else of the honest scores."""
        found = self.by_row or self.by_fold
        return self.first.loss(self.subject) - self.second.loss(self.subject) if found is None else found.mean

    @property
    def tests(self) -> str:
        """Which tests were made; empty for none."""
        made = ["folds"] * (self.by_fold is not None) + ["rows"] * (self.by_row is not None)
        return " and ".join(made)

    @property
    def survives(self) -> bool:
        """Whether the difference is more than noise."""
        return bool(self.p_holm < LEVEL)


def check_comparable(group: Sequence[Entrant]) -> None:
    """Refuse runs on one data set that were not asked the same.

    Raises
    ------
    CompareError
        If tasks or metrics differ, naming what does.
    """
    first = group[0]
    for one in group[1:]:
        for what, mine, theirs in (
            ("metric", first.metric.name, one.metric.name),
            ("task", first.task.get("kind"), one.task.get("kind")),
            ("targets", first.task.get("target_names"), one.task.get("target_names")),
            ("classes", first.task.get("classes"), one.task.get("classes")),
        ):
            if mine != theirs:
                raise CompareError(
                    f"runs on one data set are compared by one task and metric, and the {what} differs: "
                    f"{mine!r} in {first.name}, {theirs!r} in {one.name}"
                )


def pairs(group: Sequence[Entrant], *, rng: np.random.Generator, n_draws: int | None = None) -> list[Pair]:
    """Compare all runs on one data set pairwise, by their ensembles and by their best single trials.

    Parameters
    ----------
    n_draws : int, optional
        Bootstrap draws; by default 2,000, or 100 for each pair where that is more.
    """
    check_comparable(group)
    places = list(combinations(range(len(group)), 2))
    n_draws = n_draws or max(N_DRAWS, DRAWS_PER_PAIR * len(places))
    found = []
    for subject, one in zip(SUBJECTS, rng.spawn(len(SUBJECTS)), strict=True):
        drawn = _bootstrap(group, subject, n_draws, one)
        tests = [
            (_by_fold(group[i], group[j], subject), None if drawn is None else _by_row(drawn, i, j))
            for i, j in places
        ]
        p_values = [
            max((t.p for t in both if t is not None and t.p is not None), default=np.nan) for both in tests
        ]
        for (i, j), both, p, corrected in zip(places, tests, p_values, holm(p_values), strict=True):
            found.append(Pair(group[i], group[j], subject, *both, float(p), float(corrected)))
    return found


def _by_fold(first: Entrant, second: Entrant, subject: Subject) -> Difference | None:
    """The corrected t over the folds, where they are the same."""
    if not first.folds or first.folds != second.folds or not _has_same_rows(first, second):
        return None
    mine, theirs = first.fold_losses(subject), second.fold_losses(subject)
    if mine is None or theirs is None or len(mine) != len(theirs):
        return None
    d = mine - theirs
    d = d[np.isfinite(d)]
    return corrected_t(d, test_to_train=first.test_to_train()) if len(d) > 1 else None


def _has_same_rows(first: Entrant, second: Entrant) -> bool:
    if first.positions is None or second.positions is None:
        return first.source == second.source
    return np.array_equal(first.positions, second.positions)


@dataclass(frozen=True)
class _Drawn:
    """Losses `(n_runs, 1 + n_draws)` of all runs on the same draws of the rows; the first is on all rows."""

    losses: Array
    n_units: int


def _bootstrap(
    group: Sequence[Entrant], subject: Subject, n_draws: int, rng: np.random.Generator
) -> _Drawn | None:
    """Losses on rows drawn with replacement, from those that all runs score; None where that cannot be."""
    if any(one.targets is None or subject not in one.cross_fitted for one in group):
        return None
    places = common_rows(group)
    targets = [one.targets for one in group if one.targets is not None]
    y = targets[0]["y"][places[0]]
    tables = [one.cross_fitted[subject][:, :, rows] for one, rows in zip(group, places, strict=True)]
    is_scored = np.all([~np.isnan(table[..., 0]).all(axis=(0, 1)) for table in tables], axis=0)
    units = _units(group[0], places[0], is_scored)
    if len(np.unique(units[is_scored])) < 2:
        return None
    tables = [np.where(is_scored[:, None], table, np.nan) for table in tables]
    counting = targets[0].get("row_weights")
    own = np.ones(len(y)) if counting is None else counting[places[0]]
    found = [_losses(group, y, tables, own[None])]
    for start in range(0, n_draws, N_AT_ONCE):
        n = min(N_AT_ONCE, n_draws - start)
        counts = bootstrap_counts(y, units, is_scored, n_draws=n, rng=rng)
        found.append(_losses(group, y, tables, counts * own))
    return _Drawn(np.concatenate(found, axis=1), len(np.unique(units[is_scored])))


def _losses(group: Sequence[Entrant], y: Array, tables: Sequence[Array], weights: Array) -> Array:
    return np.stack([pooled(group[0].metric, y, table, weights) for table in tables])


def _by_row(drawn: _Drawn, first: int, second: int) -> Difference:
    """Percentile interval, and twice the share of draws on the other side of zero."""
    d = drawn.losses[first] - drawn.losses[second]
    mean, draws = float(d[0]), d[1:][np.isfinite(d[1:])]
    if not len(draws):
        return Difference(mean, -np.inf, np.inf, np.inf, 1.0, drawn.n_units)
    low, high = np.quantile(draws, [0.025, 0.975])
    beyond = min(int((draws <= 0).sum()), int((draws >= 0).sum()))
    p = min(1.0, 2.0 * (beyond + 1) / (len(draws) + 1))
    return Difference(mean, float(low), float(high), float(draws.std(ddof=1)), p, drawn.n_units)


def _units(one: Entrant, rows: Array, is_scored: Array) -> Array:
    """What is drawn whole: groups and duplicates, or stretches of rows where folds are ordered in time."""
    known = one.splits.get("units")
    units = np.arange(len(rows)) if known is None else known[rows]
    is_in_time = str(one.splits.get("kind")) == "time"
    time = one.splits["fold_of_row"][0][rows] if is_in_time else None
    return bootstrap_units(units, time, is_scored)


def common_rows(group: Sequence[Entrant]) -> list[Array]:
    """For each run the places of the rows that all runs have, in the same order.

    Raises
    ------
    CompareError
        If there are none, or their targets or weights differ.
    """
    if any(one.positions is None for one in group):
        n_rows = {len(one.targets["y"]) for one in group if one.targets is not None}
        if len(n_rows) != 1 or len({one.source for one in group}) > 1:
            raise CompareError("runs are paired by their rows, and these runs do not say which they have")
        return [np.arange(n_rows.pop())] * len(group)
    shared, *more = [one.positions for one in group if one.positions is not None]
    for positions in more:
        shared = np.intersect1d(shared, positions)
    if not len(shared):
        raise CompareError(f"runs are paired by their rows, and {_and(group)} have none in common")
    places = [_places(one, shared) for one in group]
    for one, rows in zip(group[1:], places[1:], strict=True):
        for name in ("y", "row_weights"):
            mine, theirs = _target(group[0], name, places[0]), _target(one, name, rows)
            if not _is_alike(name, mine, theirs):
                raise CompareError(
                    f"runs are paired by their rows, and the {name.replace('_', ' ')} of {group[0].name} "
                    f"and {one.name} differ on the rows they share"
                )
    return places


def _places(one: Entrant, shared: Array) -> Array:
    assert one.positions is not None
    order = np.argsort(one.positions, kind="stable")
    return np.asarray(order[np.searchsorted(one.positions[order], shared)])


def _target(one: Entrant, name: str, rows: Array) -> Array | None:
    stored = None if one.targets is None else one.targets.get(name)
    return None if stored is None else stored[rows]


def _is_alike(name: str, mine: Array | None, theirs: Array | None) -> bool:
    if mine is None or theirs is None:
        return name == "y" or (mine is None) == (theirs is None)
    if mine.shape != theirs.shape:
        return False
    if name == "row_weights":  # each study scales them to mean 1
        mine, theirs = mine / mine.mean(), theirs / theirs.mean()
        return bool(np.allclose(mine, theirs, rtol=1e-6))
    return bool(np.array_equal(mine, theirs))


def _and(group: Sequence[Entrant]) -> str:
    return ", ".join(one.name for one in group)
