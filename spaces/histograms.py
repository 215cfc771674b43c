"""From a fitted histogram gradient boosting of scikit-learn to plain arrays.

scikit-learn puts category columns before the numbers and codes them by their rank among the seen ones. It is
handed a matrix of this form, and its nodes are translated back to our columns and slots.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from spaces.trees import Nodes, Trees, stacked

MOST_LEVELS = 255  # categories that a histogram can hold


@dataclass(frozen=True)
class Arrangement:
    """How the columns of an ordinal matrix are arranged for scikit-learn.

    Attributes
    ----------
    order : ndarray of int64, shape (n_columns,)
        Our columns in its order: categories, then numbers (and categories of too many levels).
    levels : tuple of ndarray
        Per category column in its order, the seen slots, rising.
    """

    order: np.ndarray
    levels: tuple[np.ndarray, ...]

    @classmethod
    def of(cls, x: np.ndarray, n_slots: np.ndarray) -> Arrangement:
        """The arrangement of a training matrix; ``n_slots (n_columns,)`` is 0 for a number."""
        is_set = (n_slots > 0) & (n_slots <= MOST_LEVELS)
        order = np.argsort(~is_set, kind="stable")
        return cls(order, tuple(np.unique(x[:, k]).astype(np.int64) for k in order[: int(is_set.sum())]))

    @property
    def is_set(self) -> np.ndarray:
        """Which columns are categories, in scikit-learn's order, ``(n_columns,)`` bool."""
        return np.arange(self.order.size) < len(self.levels)

    @property
    def known(self) -> np.ndarray:
        """Which slots were seen, ``(n_category_columns, n_levels)`` bool."""
        found = np.zeros(
            (len(self.levels), 1 + max((int(seen[-1]) for seen in self.levels), default=-1)), bool
        )
        for column, seen in enumerate(self.levels):
            found[column, seen] = True
        return found

    def arranged(self, x: np.ndarray) -> np.ndarray:
        """A training matrix as scikit-learn keeps it."""
        ranked = np.asarray(x[:, self.order], np.float32)
        for column, seen in enumerate(self.levels):
            ranked[:, column] = np.searchsorted(seen, ranked[:, column])
        return ranked


def trees_of(model: Any, arrangement: Arrangement) -> Trees:
    """The trees of a fitted estimator, round after round."""
    nodes: list[Nodes] = []
    is_left: list[np.ndarray] = []
    is_known: list[np.ndarray] = []
    known, n_sets = arrangement.known, 0
    for predictor in (predictor for one_round in model._predictors for predictor in one_round):
        table = predictor.nodes
        rows = np.flatnonzero((table["is_categorical"] == 1) & (table["is_leaf"] == 0))
        columns = table["feature_idx"][rows].astype(np.int64)
        bits = _bits(predictor.raw_left_cat_bitsets)[table["bitset_idx"][rows]]
        nodes.append(_nodes(table, arrangement, rows, n_sets))
        is_left.append(_by_level(bits, columns, arrangement, known.shape[1]))
        is_known.append(known[columns])
        n_sets += rows.size
    return stacked(nodes, np.concatenate(is_left), np.concatenate(is_known))


def _nodes(table: np.ndarray, arrangement: Arrangement, rows: np.ndarray, n_before: int) -> Nodes:
    """One tree; `rows` are its nodes that look at a category, `n_before` those of the trees before it."""
    category_set = np.full(len(table), -1)
    category_set[rows] = n_before + np.arange(rows.size)
    is_leaf = table["is_leaf"] == 1
    return Nodes(
        feature=np.where(is_leaf, -1, arrangement.order[np.where(is_leaf, 0, table["feature_idx"])]),
        threshold=np.where(is_leaf, 0.0, table["num_threshold"]),
        left=table["left"].astype(np.int64),
        right=table["right"].astype(np.int64),
        is_missing_left=table["missing_go_to_left"].astype(bool),
        value=table["value"][:, None],
        category_set=category_set if arrangement.levels else None,
    )


def _bits(sets: np.ndarray) -> np.ndarray:
    """Sets of up to 256 ranks, ``(n_sets, 8)`` uint32, as ``(n_sets, 256)`` bool."""
    words = np.asarray(sets, np.uint32).reshape(-1, 8)
    return ((words[:, :, None] >> np.arange(32, dtype=np.uint32)) & 1).astype(bool).reshape(-1, 256)


def _by_level(bits: np.ndarray, columns: np.ndarray, arrangement: Arrangement, n_levels: int) -> np.ndarray:
    """Sets over ranks as sets over slots, ``(n_nodes, n_levels)`` bool."""
    found = np.zeros((len(bits), n_levels), bool)
    for k, column in enumerate(columns):
        seen = arrangement.levels[column]
        found[k, seen] = bits[k, : seen.size]
    return found
