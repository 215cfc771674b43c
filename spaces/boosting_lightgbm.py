"""LightGBM (Ke et al. 2017), where it is installed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np

from spaces.boosted import (
    Additive,
    Boosted,
    checked_additive,
    fit_heads,
    pack_boosted,
    read_rounds,
    unpack_boosted,
)
from spaces.encoding import Layout
from spaces.heads import Head
from spaces.matrix import is_categorical
from spaces.parameters import Choice, Float, Int
from spaces.rounds import n_rounds, rate_sum, readings
from spaces.signature import Signature
from spaces.space import Space
from spaces.trees import Nodes, members_of, stacked

Config = Mapping[str, Any]

COLUMNS: Literal["encoded", "ordinal"] = "ordinal"
PACKAGE = "lightgbm"
QUIET = {"verbosity": -1}
MISSING_IS_ZERO, MISSING_IS_NAN = 1, 2  # in the third and fourth bit of a decision type
OBJECTIVES = {"binary": "binary", "multiclass": "multiclass", "regression": "regression"}


def default_space(signature: Signature) -> Space:
    """What is tried by default; leaves grow with the table."""
    n = signature.n_rows
    return Space(
        {
            "learning_rate": Float(0.03, 0.3, log=True),
            "num_leaves": Int(4, 31 if n < 2_000 else 127, log=True),
            "min_data_in_leaf": Int(2, 40 if n < 10_000 else 100, log=True),
            "feature_fraction": Float(0.3, 1.0),
            "bagging_fraction": Float(0.5, 1.0),
            "lambda_l2": Float(1e-3, 30.0, log=True),
            "extra_trees": Choice((False, True)),
        },
        fixed={"rate_sum": rate_sum(signature.task)},
    )


def first_configs(signature: Signature) -> tuple[dict[str, Any], ...]:
    """A plain and an extremely randomised configuration worth trying first."""
    leaves = (8 if signature.task.is_classification else 16) if signature.n_rows < 2_000 else 31
    common = {"rate_sum": rate_sum(signature.task), "learning_rate": 0.06,
         "num_leaves": leaves, "min_data_in_leaf": 5, "bagging_fraction": 0.75,
              "lambda_l2": 1.0}  # fmt: skip
    return (
        {**common, "feature_fraction": 0.6, "extra_trees": False},
        {**common, "feature_fraction": 1.0, "extra_trees": True},
    )


def structure(config: Config) -> tuple[Any, ...]:
    """The choices that make it another kind of model."""
    return ("lightgbm", bool(config.get("extra_trees")))


def rounds(config: Config) -> tuple[int, ...]:
    """Rounds at which the model can be read."""
    return readings(n_rounds(config))


def fit(
    config: Config,
    signature: Signature,
    x: np.ndarray,
    y: np.ndarray,
    *,
    seed: int,
    row_weights: np.ndarray | None = None,
    n_threads: int = 1,
) -> Boosted:
    """Fit as many rounds as ``rounds(config)[-1]``.

    Parameters
    ----------
    x
        ``(n_rows, n_columns)`` float32, ordinal.
    y
        ``(n_rows, n_outputs)``: 0/1, or standardised values.
    """
    import lightgbm

    categories = np.flatnonzero(is_categorical(Layout.of(signature.schema))).tolist()

    def train(head: Head, x: np.ndarray, target: np.ndarray) -> Any:
        data = lightgbm.Dataset(
            x, target, weight=row_weights, categorical_feature=categories, params=dict(QUIET)
        )
        parameters = _parameters(head, config, seed, n_threads)
        return lightgbm.train(parameters, data, num_boost_round=rounds(config)[-1])

    return fit_heads(train, signature, x, y, row_weights)


def predict(model: Boosted, x: np.ndarray, n_rounds: int) -> np.ndarray:
    """Probabilities or standardised values ``(n_rows, n_outputs)`` after some rounds."""
    return predict_rounds(model, x, (n_rounds,))[0]


def predict_rounds(model: Boosted, x: np.ndarray, rounds: Sequence[int]) -> list[np.ndarray]:
    """Predictions after each of some rising rounds, in one pass over the trees."""
    return read_rounds(_margins, model, x, rounds)


def pack(model: Boosted) -> bytes:
    """The trees of each head as an npz file."""
    return pack_boosted("lightgbm", model, plain)


def unpack(data: bytes) -> Boosted:
    """Read what `pack` wrote; `PackedError` if the bytes are anything else."""
    return unpack_boosted("lightgbm", data, checked_additive)


def plain(booster: Any) -> Additive:
    """A fitted booster as arrays: the same decisions for every float32 value."""
    text = booster.model_to_string(num_iteration=-1, importance_type="split")
    parts = text.split("end of trees")[0].split("\nTree=")[1:]
    trees = [dict(line.split("=", 1) for line in part.splitlines() if "=" in line) for part in parts]
    lists = [levels for tree in trees for levels in _category_lists(tree)]
    is_left = members_of(lists)
    n_before = np.cumsum([0, *(int(tree["num_cat"]) for tree in trees)])
    nodes = [_nodes(tree, int(first)) for tree, first in zip(trees, n_before, strict=False)]
    return Additive(
        stacked(nodes, is_left, np.ones_like(is_left)), np.zeros(booster.num_model_per_iteration())
    )


def _parameters(head: Head, config: Config, seed: int, n_threads: int) -> dict[str, Any]:
    searched = {name: config[name] for name in (
        "learning_rate", "num_leaves", "min_data_in_leaf", "feature_fraction", "bagging_fraction",
        "lambda_l2", "extra_trees",
    )}  # fmt: skip
    return {
        **QUIET, **searched,
        "objective": OBJECTIVES[head.kind],
        "num_class": head.n_scores,
        "bagging_freq": 1,
        "min_sum_hessian_in_leaf": 1e-3,
        "max_cat_to_onehot": 4, "cat_smooth": 10.0, "min_data_per_group": 10,
        "seed": seed, "num_threads": n_threads, "deterministic": True, "force_row_wise": True,
    }  # fmt: skip


def _margins(booster: Any, x: np.ndarray, rounds: Sequence[int]) -> np.ndarray:
    """Raw scores ``(n_readings, n_rows, n_scores)``: sums over slices of the rounds."""
    found, done, n_fitted = [], 0, booster.current_iteration()
    total = np.zeros((len(x), booster.num_model_per_iteration()))
    for end in (min(int(n), n_fitted) for n in rounds):
        if end > done:
            part = booster.predict(
                x, raw_score=True, start_iteration=done, num_iteration=end - done, num_threads=1
            )
            total, done = total + part.reshape(total.shape), end
        found.append(total)
    return np.stack(found)


def _nodes(tree: Mapping[str, str], n_sets_before: int) -> Nodes:
    """One tree of LightGBM's text: its inner nodes in the order of their making, then its leaves."""
    value = _numbers(tree, "leaf_value", np.float64)
    inner = np.zeros(0, np.int64) if value.size == 1 else _numbers(tree, "split_feature", np.int64)
    n_inner, none = inner.size, np.zeros(value.size, np.int64)
    if not n_inner:
        return Nodes(none - 1, none, none, none, none, value[:, None], none - 1)
    bits, threshold = _numbers(tree, "decision_type", np.int64), _numbers(tree, "threshold", np.float64)
    is_category, missing = (bits & 1).astype(bool), (bits >> 2) & 3
    assert not (missing == MISSING_IS_ZERO).any(), "zero_as_missing is never asked for"
    goes_left = np.where(missing == MISSING_IS_NAN, (bits & 2) > 0, threshold >= 0)  # else NaN counts as 0
    left, right = (_numbers(tree, name, np.int64) for name in ("left_child", "right_child"))
    return Nodes(
        feature=np.append(inner, none - 1),
        threshold=np.append(np.where(is_category, 0.0, threshold), none),
        left=np.append(np.where(left < 0, n_inner + ~left, left), none),
        right=np.append(np.where(right < 0, n_inner + ~right, right), none),
        is_missing_left=np.append(goes_left & ~is_category, none),
        value=np.append(np.zeros(n_inner), value)[:, None],
        category_set=np.append(np.where(is_category, n_sets_before + threshold, -1), none - 1),
    )


def _category_lists(tree: Mapping[str, str]) -> list[np.ndarray]:
    """The levels that go left, per categorical split of a tree."""
    if not int(tree["num_cat"]):
        return []
    words = _numbers(tree, "cat_threshold", np.uint32)
    parts = np.split(words, _numbers(tree, "cat_boundaries", np.int64)[1:-1])
    return [np.flatnonzero((part[:, None] >> np.arange(32, dtype=np.uint32)) & 1) for part in parts]


def _numbers(tree: Mapping[str, str], name: str, dtype: Any) -> np.ndarray:
    return np.asarray(tree[name].split(), dtype)
