"""Tests over many data sets: mean ranks, Friedman, signed ranks, Holm (Demsar 2006; Benavoli et al. 2016)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]


class RankError(ValueError):
    """Losses that no ranks can be made of."""


@dataclass(frozen=True)
class Friedman:
    """Friedman's test that all methods have the same mean rank.

    Attributes
    ----------
    chi_square, p : float
        With `n_methods - 1` degrees of freedom; corrected for ties.
    f, p_f : float
        Iman and Davenport's less conservative form (Demsar 2006, section 3.2.2).
    n_sets, n_methods : int
    """

    chi_square: float
    p: float
    f: float
    p_f: float
    n_sets: int
    n_methods: int

    def to_json(self) -> dict[str, Any]:
        """The test as a JSON object; null for an F beyond all numbers (every data set ranks alike)."""
        return {name: value if np.isfinite(value) else None for name, value in asdict(self).items()}


@dataclass(frozen=True)
class SignedRank:
    """Wilcoxon's signed-rank test of two methods, by their places in the table.

    Attributes
    ----------
    median : float
        Of the loss differences, first less second: negative says that the first is better.
    n_better, n_worse, n_equal : int
        Data sets on which the first is better, worse, as good.
    p, p_holm : float
        Two-sided, alone and corrected over all pairs.
    """

    first: int
    second: int
    median: float
    n_better: int
    n_worse: int
    n_equal: int
    p: float
    p_holm: float


def holm(p_values: Sequence[float]) -> NDArray[np.float64]:
    """Holm's step-down correction (1979): with p(1) <= ... <= p(m), the largest `(m - k + 1) p(k)` so far.

    NaN stays NaN and is not counted.

    Examples
    --------
    >>> holm([0.01, 0.04, 0.03]).round(6).tolist()
    [0.03, 0.06, 0.06]
    """
    p = np.asarray(p_values, np.float64)
    known = np.flatnonzero(~np.isnan(p))
    order = known[np.argsort(p[known], kind="stable")]
    found = np.full(len(p), np.nan)
    found[order] = np.minimum(1.0, np.maximum.accumulate(p[order] * np.arange(len(order), 0, -1)))
    return found


def ranks(losses: Array) -> NDArray[np.float64]:
    """Ranks within each data set `(n_sets, n_methods)`: 1 for the lowest loss, ties share their mean rank.

    Raises
    ------
    RankError
        Unless losses are finite with at least one data set and two methods.
    """
    from scipy.stats import rankdata

    table = np.asarray(losses, np.float64)
    if table.ndim != 2 or table.shape[0] < 1 or table.shape[1] < 2 or not np.isfinite(table).all():
        raise RankError(
            "ranks need finite losses (n_sets, n_methods) of at least 1 data set and 2 methods, "
            f"got shape {table.shape}"
        )
    return np.asarray(rankdata(table, axis=1), np.float64)


def friedman(losses: Array) -> Friedman | None:
    """Friedman's test with Iman and Davenport's F; None for fewer than three methods or two data sets.

    Parameters
    ----------
    losses : (n_sets, n_methods)
    """
    from scipy import stats

    by_rank = ranks(losses)
    n, k = by_rank.shape
    if k < 3 or n < 2:
        return None
    mean = by_rank.mean(axis=0)
    # Conover's form, which corrects for ties:
    # (k - 1) n sum (R_j - (k + 1) / 2)^2 / (sum r_ij^2 / n - k (k + 1)^2 / 4)
    spread = float((by_rank**2).sum() / n - k * (k + 1) ** 2 / 4)
    chi = (k - 1) * n * float(((mean - (k + 1) / 2) ** 2).sum()) / spread if spread > 0 else 0.0
    rest = n * (k - 1) - chi
    f = (n - 1) * chi / rest if rest > 1e-12 * n * (k - 1) else np.inf
    p_f = float(stats.f.sf(f, k - 1, (k - 1) * (n - 1)))
    return Friedman(chi, float(stats.chi2.sf(chi, k - 1)), float(f), p_f, n, k)


def signed_ranks(losses: Array) -> tuple[SignedRank, ...]:
    """Wilcoxon's test of every pair of methods, Holm's correction over the pairs.

    Equal losses are ranked and their ranks left out (Pratt), exact where there are no ties.

    Parameters
    ----------
    losses : (n_sets, n_methods)
        Comparable between data sets.
    """
    table = np.asarray(losses, np.float64)
    ranks(table)
    pairs = list(combinations(range(table.shape[1]), 2))
    p_values = [_wilcoxon(table[:, i] - table[:, j]) for i, j in pairs]
    found = []
    for (i, j), p, corrected in zip(pairs, p_values, holm(p_values), strict=True):
        d = table[:, i] - table[:, j]
        counts = (int((d < 0).sum()), int((d > 0).sum()), int((d == 0).sum()))
        found.append(SignedRank(i, j, float(np.median(d)), *counts, p, float(corrected)))
    return tuple(found)


def _wilcoxon(differences: Array) -> float:
    from scipy import stats

    if not differences.any():
        return 1.0
    has_ties = len(np.unique(np.abs(differences))) < len(differences) or not differences.all()
    method: Any = "approx" if has_ties else "exact" if len(differences) <= 50 else "approx"
    return float(stats.wilcoxon(differences, zero_method="pratt", method=method).pvalue)


def nemenyi_difference(n_methods: int, n_sets: int, *, level: float = 0.05) -> float:
    """Nemenyi's critical difference of mean ranks, `q sqrt(k (k + 1) / (6 n))` (Demsar 2006, section 3.2.2).

    q is the studentised range of k groups with infinite degrees of freedom, over the square root of 2.
    """
    from scipy import stats

    q = float(stats.studentized_range.ppf(1.0 - level, n_methods, np.inf)) / np.sqrt(2.0)
    return float(q * np.sqrt(n_methods * (n_methods + 1) / (6.0 * n_sets)))


def cliques(mean_ranks: Array, tests: Sequence[SignedRank], *, level: float = 0.05) -> list[tuple[int, ...]]:
    """Longest runs of methods, by mean rank, no two of which differ (`p_holm` not below `level`).

    Returns
    -------
    list of tuples of int
        Places of two methods or more, best first; a run within another is left out.
    """
    order = [int(i) for i in np.argsort(mean_ranks, kind="stable")]
    differs = {frozenset((t.first, t.second)) for t in tests if t.p_holm < level}
    found: list[tuple[int, ...]] = []
    last_end = 0
    for start in range(len(order)):
        end = start + 1
        while end < len(order) and not any(
            frozenset((order[end], other)) in differs for other in order[start:end]
        ):
            end += 1
        if end - start > 1 and end > last_end:
            found.append(tuple(order[start:end]))
        last_end = max(last_end, end)
    return found
