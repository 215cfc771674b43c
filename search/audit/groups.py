"""Groups: columns whose values stand for a person, a batch, a place, so that random folds know the answer."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np

from search.audit import quick
from search.audit.columns import is_whole
from search.audit.finding import ALPHA, Finding, kept, percent, typed
from search.audit.quick import N_FOLDS, SOME_COLUMNS
from search.data import Dataset

FEWEST_GROUPS = 2 * N_FOLDS
IN_RUNS = 0.5  # of the runs that the values would have in random order
RELEVANT = 0.10  # of what the model explains, lost when groups are held out whole
_MOST, _MOST_GROUPS, _MOST_CANDIDATES = 4, 100, 100
_FEW_TREES, _MANY_TREES, _N_REPEATS = 4, 10, 2


@dataclass(frozen=True)
class Compared:
    """Loss on random folds and on folds that hold groups out whole.

    Parameters
    ----------
    random, whole
        Mean losses of the quick model.
    excess, p
        Their difference beyond that of a model that says the mean, and its one-sided p-value.
    """

    random: float
    whole: float
    excess: float
    p: float

    def is_relevant(self, share: float) -> bool:
        """Tell whether holding groups out costs that share of what is explained (or of a tenth)."""
        return self.excess >= share * max(1.0 - self.random, RELEVANT)


def find_groups(
    dataset: Dataset,
    numbers: Mapping[str, np.ndarray],
    candidates: Iterable[str],
    names: tuple[str, ...],
    units: np.ndarray,
    rng: np.random.Generator,
) -> tuple[Finding, ...]:
    """Report columns by which rows should be grouped.

    Text or whole numbers with at least 10 values, most rows sharing theirs with another; of these, the four
    whose rows are most alike. A quick model is scored on random folds and on folds that hold whole values
    out: groups are reported when the latter is worse, beyond what the mean of the training rows loses too,
    surely so over groups (corrected for the number of candidates), and by a tenth of what the model explains.
    Where its values stand in runs, the model may start from the shrunken mean of each value's training rows,
    or read the column as a feature, whichever does better; elsewhere the column may be an ordinary feature,
    and only other columns that tell its values apart count.

    Parameters
    ----------
    dataset, numbers
        Rows, and the exact values of their number columns.
    candidates, names
        Columns to judge, and columns that quick models see.
    units
        ``(n_rows,)`` rows that belong together, never on both sides.
    rng
        Source of samples and seeds.
    """
    if dataset.groups is not None:
        return ()
    place = {c.name: i for i, c in enumerate(dataset.schema.categories)}
    codes = {name: _group_codes(dataset, numbers, name, place) for name in candidates}
    grouping = {name: g for name, g in codes.items() if g is not None}
    n_grouping, grouping = len(grouping), _likeliest(grouping, dataset.y)
    samples = _samples(dataset, grouping, names, units, rng)
    ranked = sorted(grouping, key=lambda n: -_likeness(samples[n], grouping[n]))[:_MOST]
    found = []
    for name in ranked:
        s, runs = samples[name], _run_share(grouping[name])
        groups = quick.compact(grouping[name][s.rows])
        if not _compare(s, name, groups, runs <= IN_RUNS, 1, _FEW_TREES, rng).is_relevant(RELEVANT / 2):
            continue
        compared = _compare(s, name, groups, runs <= IN_RUNS, _N_REPEATS, _MANY_TREES, rng)
        if compared.is_relevant(RELEVANT) and compared.p < ALPHA / n_grouping:
            found.append(_finding(name, int(grouping[name].max()) + 1, runs, compared, s.n_rows))
    return tuple(found)


def _likeliest(grouping: dict[str, np.ndarray], y: np.ndarray) -> dict[str, np.ndarray]:
    """Return at most 100 of the candidates: those whose rows have the most similar targets."""
    if len(grouping) <= _MOST_CANDIDATES:
        return grouping
    likeness = {name: _intraclass(y, groups) for name, groups in grouping.items()}
    ranked = sorted(grouping, key=lambda name: -likeness[name])[:_MOST_CANDIDATES]
    return {name: grouping[name] for name in grouping if name in set(ranked)}


def _samples(
    dataset: Dataset,
    grouping: Mapping[str, np.ndarray],
    names: tuple[str, ...],
    units: np.ndarray,
    rng: np.random.Generator,
) -> dict[str, quick.Sample]:
    """Return the rows for quick models of each candidate; where they are all rows, one sample serves all."""
    if dataset.n_rows > quick.n_quick(len(names)):
        return {name: _sample(dataset, groups, names, units, rng) for name, groups in grouping.items()}
    return dict.fromkeys(grouping, quick.sample(dataset, names, units, np.arange(dataset.n_rows)))


def _group_codes(
    dataset: Dataset, numbers: Mapping[str, np.ndarray], name: str, place: Mapping[str, int]
) -> np.ndarray | None:
    """Return the groups of the rows ``(n_rows,)``, each missing value alone; ``None`` if it has none."""
    if name in place:
        code = dataset.table.codes[:, place[name]].astype(np.float64)
        values = np.where(code == 0, np.nan, code)
    else:
        values = numbers[name]
        if not is_whole(values):
            return None
    is_missing = np.isnan(values)
    n_distinct, codes = 0, np.zeros(values.size, np.int64)
    if not is_missing.all():
        distinct, codes[~is_missing] = np.unique(values[~is_missing], return_inverse=True)
        n_distinct = distinct.size
    codes[is_missing] = n_distinct + np.arange(is_missing.sum())
    sizes = np.bincount(codes)
    is_shared = sizes[codes] > 1
    return codes if n_distinct >= FEWEST_GROUPS and is_shared.mean() > 0.5 else None


def _run_share(groups: np.ndarray) -> float:
    """Return the number of runs of equal values down the table over that expected in random order."""
    sizes = np.bincount(groups).astype(np.float64)
    expected = 1.0 + groups.size - (sizes**2).sum() / groups.size
    return float((1 + np.count_nonzero(np.diff(groups))) / expected)


def _sample(
    dataset: Dataset, groups: np.ndarray, names: tuple[str, ...], units: np.ndarray, rng: np.random.Generator
) -> quick.Sample:
    """Return rows for quick models: groups in random order until there are enough, large ones thinned."""
    n_wanted = quick.n_quick(len(names))
    n_each = max(2, n_wanted // min(int(groups.max()) + 1, _MOST_GROUPS))
    rows = rng.permutation(dataset.n_rows)
    rank_of_group = rng.permutation(int(groups.max()) + 1)
    rows = rows[np.argsort(rank_of_group[groups[rows]], kind="stable")]
    ordered = groups[rows]
    starts = np.flatnonzero(np.diff(ordered, prepend=-1))
    place = np.arange(rows.size) - np.repeat(starts, np.diff(np.append(starts, rows.size)))
    return quick.sample(dataset, names, units, np.sort(rows[place < n_each][:n_wanted]))


def _likeness(s: quick.Sample, groups: np.ndarray) -> float:
    """Return how alike rows of a group are: the mean intraclass correlation of columns and targets."""
    return _intraclass(np.column_stack([s.X, s.y]), quick.compact(groups[s.rows]))


def _intraclass(values: np.ndarray, g: np.ndarray) -> float:
    """Return the mean intraclass correlation of columns ``(n_rows, n_columns)`` under groups 0, 1, ..."""
    values = values.astype(np.float64)
    values = np.nan_to_num(values - quick.column_means(values))
    scale = values.std(axis=0)
    values = (values / np.where(scale > 0, scale, 1.0))[:, scale > 0]
    sums = np.column_stack([np.bincount(g, v) for v in values.T])
    between, within = _variances(sums, np.bincount(g)[:, None].astype(np.float64), (values**2).sum(axis=0))
    return float((between / np.maximum(between + within, 1e-12)).mean()) if between.size else 0.0


def _compare(
    s: quick.Sample,
    name: str,
    groups: np.ndarray,
    is_seen: bool,
    n_repeats: int,
    n_trees: int,
    rng: np.random.Generator,
) -> Compared:
    """Score one quick model on random folds and on folds that hold groups out whole.

    Training rows without a group have another mean target, whatever the model; that much is not a leak.
    """
    random_mean, random = _losses(s, name, groups, s.units, is_seen, n_repeats, n_trees, rng)
    whole_mean, whole = _losses(s, name, groups, groups, is_seen, n_repeats, n_trees, rng)
    excess = (whole - random) - (whole_mean - random_mean)
    p = quick.tail_of_units(excess, groups)
    return Compared(float(random.mean()), float(whole.mean()), float(excess.mean()), p)


def _losses(
    s: quick.Sample,
    name: str,
    groups: np.ndarray,
    units: np.ndarray,
    is_seen: bool,
    n_repeats: int,
    n_trees: int,
    rng: np.random.Generator,
) -> tuple[np.ndarray, np.ndarray]:
    """Return the losses ``(n_rows,)`` of the mean, and of the better quick model, on folds of whole units."""
    X = s.X[:, [n != name for n in s.names]]
    fit = quick.forest(quick.seed(rng), SOME_COLUMNS, n_trees)
    mean, blind, reading = np.zeros(s.n_rows), np.zeros(s.n_rows), np.zeros(s.n_rows)
    for _ in range(n_repeats):
        fold_of_row = quick.folds(s.strata, units, rng)
        start = _group_means(s.y, groups, fold_of_row) if is_seen else None
        mean += quick.losses(s.y, quick.out_of_fold(s.X, s.y, fold_of_row, quick.mean)) / n_repeats
        blind += quick.losses(s.y, quick.out_of_fold(X, s.y, fold_of_row, fit, start)) / n_repeats
        if is_seen:
            reading += quick.losses(s.y, quick.out_of_fold(s.X, s.y, fold_of_row, fit)) / n_repeats
    return mean, reading if is_seen and reading.mean() < blind.mean() else blind


def _group_means(y: np.ndarray, groups: np.ndarray, fold_of_row: np.ndarray) -> np.ndarray:
    """Return what groups add to the mean, per fold left out ``(n_folds, n_rows, n_outputs)``.

    Best linear predictor of a random effect: the mean of the group's n training rows times
    ``n / (n + within / between)``, variances by analysis of variance; 0 for a group without training rows.
    """
    found = np.zeros((int(fold_of_row.max()) + 1, *y.shape))
    for fold in range(len(found)):
        train = fold_of_row != fold
        sizes = np.bincount(groups[train], minlength=int(groups.max()) + 1).astype(np.float64)
        centred = y[train] - y[train].mean(axis=0)
        sums = np.column_stack([np.bincount(groups[train], v, minlength=sizes.size) for v in centred.T])
        between, within = _variances(sums, sizes[:, None], (centred**2).sum(axis=0))
        weights = between * sizes[:, None] + within
        found[fold] = (between * np.divide(sums, weights, out=np.zeros_like(sums), where=weights > 0))[groups]
    return found


def _variances(sums: np.ndarray, sizes: np.ndarray, total: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the variances between (at least 0) and within groups ``(n_columns,)`` of centred columns.

    Analysis of variance from sums ``(n_groups, n_columns)``, sizes ``(n_groups, 1)``, total squares.
    """
    n, n_groups = float(sizes.sum()), int((sizes > 0).sum())
    if n_groups < 2 or n <= n_groups:
        return np.zeros_like(total), np.ones_like(total)
    explained = (sums**2 / np.maximum(sizes, 1.0)).sum(axis=0)
    within = np.maximum(total - explained, 0.0) / (n - n_groups)
    typical = (n - float((sizes**2).sum()) / n) / (n_groups - 1)
    return np.maximum(explained / (n_groups - 1) - within, 0.0) / typical, within


def _finding(name: str, n_groups: int, runs: float, compared: Compared, n_rows: int) -> Finding:
    """Return the finding of one column."""
    where = ", in runs down the table" if runs <= IN_RUNS else ""
    evidence = (
        f"{name!r} has {n_groups:,} values{where}, and a quick model leaves {percent(compared.random)} of "
        f"the target's variance on random folds, but {percent(compared.whole)} when they are held out whole "
        f"({n_rows:,} rows)."
    )
    remedy = (
        f"If new rows come from new values of it, use --groups {typed(name)}; "
        f"if from the same ones, say so with {kept(name)}."
    )
    return Finding("groups", "warning", (name,), evidence, remedy)
