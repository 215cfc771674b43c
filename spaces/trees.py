"""Decision trees as plain arrays, walked with numpy: no estimator is needed to predict."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np

from spaces.packed import PackedError

PAIRS_AT_ONCE = 1 << 16  # rows times trees that are walked together, so that they stay in the cache
MOST_LEVELS = 4_096  # nodes that a row may pass; grown trees have some tens


@dataclass(frozen=True)
class Trees:
    """Binary trees, their nodes one tree after another.

    Attributes
    ----------
    roots : ndarray of int32, shape (n_trees,)
        First node of each tree.
    feature : ndarray of int32, shape (n_nodes,)
        Column that a node looks at; -1 at a leaf.
    threshold : ndarray of float32, shape (n_nodes,)
        A row goes left when its value is at most this.
    left, right : ndarray of int32, shape (n_nodes,)
        The children, later nodes of the same tree; at a leaf, the row of `value` and 0.
    is_missing_left : ndarray of bool, shape (n_nodes,)
        Whether a row without a value goes left.
    category_set : ndarray of int32, shape (n_nodes,) or (0,)
        Row of the two tables below where a node looks at a category, -1 elsewhere; empty: no node does.
    is_left, is_known : ndarray of bool, shape (n_sets, n_levels)
        Whether a level goes left; whether it was seen in training (one that was not goes as a missing one).
    value : ndarray of float64 or float32, shape (n_leaves, n_values)
        What a leaf adds; sums are taken in its precision.
    """

    roots: np.ndarray
    feature: np.ndarray
    threshold: np.ndarray
    left: np.ndarray
    right: np.ndarray
    is_missing_left: np.ndarray
    category_set: np.ndarray
    is_left: np.ndarray
    is_known: np.ndarray
    value: np.ndarray

    @property
    def n_trees(self) -> int:
        """How many trees there are."""
        return int(self.roots.size)

    def arrays(self) -> dict[str, np.ndarray]:
        """The attributes by name."""
        return {item.name: getattr(self, item.name) for item in fields(self)}


@dataclass(frozen=True)
class Nodes:
    """The nodes of one tree, named as in `Trees`; children count from its root, every node has a value."""

    feature: np.ndarray
    threshold: np.ndarray
    left: np.ndarray
    right: np.ndarray
    is_missing_left: np.ndarray
    value: np.ndarray
    category_set: np.ndarray | None = None


def stacked(
    trees: Sequence[Nodes],
    is_left: np.ndarray | None = None,
    is_known: np.ndarray | None = None,
    dtype: type[np.floating[Any]] = np.float64,
) -> Trees:
    """Put trees one after another, with values at leaves alone and thresholds exact for float32 values."""
    roots = np.cumsum([0, *(tree.feature.size for tree in trees)])[:-1]
    feature = np.concatenate([tree.feature for tree in trees]).astype(np.int32)
    is_leaf = feature < 0
    left = np.concatenate([tree.left + root for tree, root in zip(trees, roots, strict=True)])
    right = np.concatenate([tree.right + root for tree, root in zip(trees, roots, strict=True)])
    left[is_leaf], right[is_leaf] = np.arange(int(is_leaf.sum())), 0
    sets = [tree.category_set for tree in trees if tree.category_set is not None]
    has_sets = any((one >= 0).any() for one in sets)
    none = np.zeros((0, 0), bool)
    return Trees(
        roots=roots.astype(np.int32),
        feature=feature,
        threshold=_rounded_down(np.concatenate([tree.threshold for tree in trees])),
        left=left.astype(np.int32),
        right=right.astype(np.int32),
        is_missing_left=np.concatenate([tree.is_missing_left for tree in trees]).astype(bool),
        category_set=np.concatenate(sets).astype(np.int32) if has_sets else np.zeros(0, np.int32),
        is_left=none if is_left is None else is_left,
        is_known=none if is_known is None else is_known,
        value=np.concatenate([tree.value for tree in trees])[is_leaf].astype(dtype),
    )


def breadth_first(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """The nodes below the first one, parents before children; a leaf has a negative child."""
    level, found = np.zeros(1, np.int64), []
    while level.size:
        found.append(level)
        level = level[left[level] >= 0]
        level = np.stack([left[level], right[level]], axis=1).ravel()
    return np.concatenate(found)


def members_of(lists: Sequence[np.ndarray]) -> np.ndarray:
    """Lists of levels as sets, ``(n_lists, n_levels)`` bool."""
    found = np.zeros((len(lists), 1 + max((int(one.max()) for one in lists if one.size), default=-1)), bool)
    for row, levels in zip(found, lists, strict=True):
        row[levels] = True
    return found


def leaves(trees: Trees, x: np.ndarray) -> np.ndarray:
    """The leaf that each row reaches in each tree, as row of ``trees.value``.

    Parameters
    ----------
    x
        ``(n_rows, n_columns)`` float32, NaN where missing.

    Returns
    -------
    np.ndarray
        ``(n_rows, n_trees)`` int32.
    """
    flat, (n_rows, n_columns) = np.ascontiguousarray(x, np.float32).ravel(), x.shape
    found = np.empty((trees.n_trees, n_rows), np.int32)
    has_missing = bool(np.isnan(flat).any())
    step = max(1, PAIRS_AT_ONCE // max(n_rows, 1))
    for first in range(0, trees.n_trees, step):
        roots = trees.roots[first : first + step]
        starts = np.tile(np.arange(n_rows) * n_columns, roots.size)
        ends = _walk(trees, flat, starts, np.repeat(roots, n_rows), has_missing)
        found[first : first + step] = trees.left[ends].reshape(roots.size, n_rows)
    return found.T


def sums(trees: Trees, x: np.ndarray, ends: Sequence[int], start: float = 0.0) -> np.ndarray:
    """Sums of the leaves' values over the first ``ends[i]`` trees, for rising ends, in one pass.

    Parameters
    ----------
    start
        What the sums begin with.

    Returns
    -------
    np.ndarray
        ``(len(ends), n_rows, n_values)`` float64.
    """
    assert list(ends) == sorted(ends) and ends[0] >= 0 and ends[-1] <= trees.n_trees
    found = np.empty((len(ends), len(x), trees.value.shape[1]))
    block = max(1, (1 << 22) // max(1, trees.n_trees))
    for first in range(0, len(x), block):
        rows = slice(first, first + block)
        reached = leaves(trees, x[rows])
        total = np.full((len(reached), trees.value.shape[1]), start, trees.value.dtype)
        for k, (begin, end) in enumerate(zip((0, *ends), ends, strict=False)):
            for tree in range(begin, end):
                total += trees.value[reached[:, tree]]
            found[k, rows] = total
    return found


def scores_by_round(trees: Trees, baseline: np.ndarray, x: np.ndarray, rounds: Sequence[int]) -> np.ndarray:
    """Raw scores after some rising rounds of one tree per score, ``(n_readings, n_rows, n_scores)``.

    Parameters
    ----------
    baseline
        ``(n_scores,)``, the scores before the first round.
    """
    n_scores, n_fitted = baseline.size, trees.n_trees // baseline.size
    ends = [min(int(n), n_fitted) for n in rounds]
    parts = [
        sums(trees if n_scores == 1 else _every(trees, k, n_scores), x, ends, baseline[k])[..., 0]
        for k in range(n_scores)
    ]
    return np.stack(parts, axis=-1)


def checked(arrays: Mapping[str, np.ndarray], n_columns: int) -> Trees:
    """Trees from arrays of unknown origin.

    Raises
    ------
    PackedError
        If an array is absent or of another kind, a number is not finite where it must be, or a walk could
        leave the arrays, never end or take more than `MOST_LEVELS` steps.
    """
    try:
        trees = Trees(**{item.name: np.asarray(arrays[item.name]) for item in fields(Trees)})
    except KeyError as error:
        raise PackedError(f"packed trees must have {error}") from None
    _check_kinds(trees)
    is_leaf, nodes = trees.feature < 0, np.arange(trees.feature.size)
    owner = np.searchsorted(trees.roots, nodes, side="right")
    ends = np.append(trees.roots, nodes.size)[owner]
    inner = ~is_leaf
    children = np.stack([trees.left[inner], trees.right[inner]])
    is_sound = (
        trees.roots.size > 0
        and trees.roots[0] == 0
        and bool((np.diff(np.append(trees.roots, nodes.size)) > 0).all())
        and bool((trees.feature < n_columns).all())
        and bool(((children > nodes[inner]) & (children < ends[inner])).all())
        and bool(((trees.left[is_leaf] >= 0) & (trees.left[is_leaf] < len(trees.value))).all())
        and _has_sound_sets(trees)
    )
    if not is_sound:
        raise PackedError("nodes of packed trees must point to later nodes of their tree, columns and leaves")
    if np.isnan(trees.threshold[inner]).any() or not np.isfinite(trees.value).all():
        raise PackedError("thresholds and values of packed trees must be numbers, got NaN or infinite ones")
    _check_levels(trees, children)
    return trees


def _check_kinds(trees: Trees) -> None:
    """Refuse arrays whose type or number of axes is not that of `Trees`."""
    kinds = {
        "i1": ("roots", "feature", "left", "right", "category_set"),
        "f1": ("threshold",),
        "b1": ("is_missing_left",),
        "b2": ("is_left", "is_known"),
        "f2": ("value",),
    }
    for kind, names in kinds.items():
        for name in names:
            array: Any = getattr(trees, name)
            if f"{array.dtype.kind}{array.ndim}" != kind:
                raise PackedError(
                    f"{name} of packed trees must be of kind {kind}, got {array.dtype} {array.ndim}"
                )
    for name in ("threshold", "left", "right", "is_missing_left"):
        if getattr(trees, name).shape != trees.feature.shape:
            raise PackedError(f"{name} of packed trees must have {trees.feature.size} nodes")


def _check_levels(trees: Trees, children: np.ndarray) -> None:
    """Refuse nodes with two parents, and trees of too many levels."""
    if children.size and np.bincount(children.ravel()).max() > 1:
        raise PackedError("nodes of packed trees must have one parent each")
    level, n_levels = trees.roots, 0
    while level.size:
        n_levels += 1
        if n_levels > MOST_LEVELS:
            raise PackedError(f"packed trees must have at most {MOST_LEVELS} levels, got more")
        level = level[trees.feature[level] >= 0]
        level = np.concatenate([trees.left[level], trees.right[level]])


def _every(trees: Trees, first: int, step: int) -> Trees:
    """The trees of one score; the nodes are shared."""
    return Trees(**{**trees.arrays(), "roots": trees.roots[first::step]})


def _has_sound_sets(trees: Trees) -> bool:
    if not trees.category_set.size:
        return True
    return (
        trees.category_set.shape == trees.feature.shape
        and bool((trees.category_set >= -1).all() and (trees.category_set < len(trees.is_left)).all())
        and trees.is_left.shape == trees.is_known.shape
        and bool(trees.is_left.shape[1] > 0 or (trees.category_set < 0).all())
    )


def _walk(
    trees: Trees, flat: np.ndarray, starts: np.ndarray, nodes: np.ndarray, has_missing: bool
) -> np.ndarray:
    """Walk pairs of a row (where it starts in `flat`) and a node down to their leaves."""
    ends = nodes.copy()
    active = np.flatnonzero(trees.feature[nodes] >= 0)
    at, starts = nodes[active], starts[active]
    while active.size:
        value = flat[starts + trees.feature[at]]
        goes_left = value <= trees.threshold[at]
        if has_missing:
            is_missing = np.isnan(value)
            goes_left = np.where(is_missing, trees.is_missing_left[at], goes_left)
        if trees.category_set.size:
            goes_left = _by_category(trees, at, value, goes_left)
        at = np.where(goes_left, trees.left[at], trees.right[at])
        is_inner = trees.feature[at] >= 0
        ends[active[~is_inner]] = at[~is_inner]
        active, at, starts = active[is_inner], at[is_inner], starts[is_inner]
    return ends


def _by_category(trees: Trees, at: np.ndarray, value: np.ndarray, goes_left: np.ndarray) -> np.ndarray:
    """Decide anew for the pairs whose node looks at a category."""
    found = goes_left.copy()
    which = np.flatnonzero((trees.category_set[at] >= 0) & ~np.isnan(value))
    sets, level = trees.category_set[at[which]], value[which]
    n_levels = trees.is_left.shape[1]
    code = np.clip(level, 0, max(n_levels - 1, 0)).astype(np.int64)
    is_known = trees.is_known[sets, code] & (level >= 0) & (level < n_levels)
    found[which] = np.where(is_known, trees.is_left[sets, code], trees.is_missing_left[at[which]])
    return found


def _rounded_down(thresholds: np.ndarray) -> np.ndarray:
    """The largest float32 at most each threshold: the same decisions for every float32 value."""
    wide = np.asarray(thresholds, np.float64)
    limit = np.finfo(np.float32).max
    with np.errstate(over="ignore", under="ignore"):
        narrow = np.clip(wide, -limit, limit).astype(np.float32)
        above = narrow.astype(np.float64) > wide
        narrow[above] = np.nextafter(narrow[above], np.float32(-np.inf))
    narrow[wide == np.inf] = np.inf
    return narrow
