"""XGBoost (Chen and Guestrin 2016), where it is installed."""

from __future__ import annotations

import json
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
from spaces.parameters import Float, Int
from spaces.rounds import n_rounds, rate_sum, readings
from spaces.signature import Signature
from spaces.space import Space
from spaces.trees import Nodes, breadth_first, members_of, stacked

Config = Mapping[str, Any]

COLUMNS: Literal["encoded", "ordinal"] = "ordinal"
PACKAGE = "xgboost"
OBJECTIVES = {"binary": "binary:logistic", "multiclass": "multi:softprob", "regression": "reg:squarederror"}


def default_space(signature: Signature) -> Space:
    """What is tried by default; trees are deeper on larger tables."""
    return Space(
        {
            "learning_rate": Float(0.03, 0.3, log=True),
            "max_depth": Int(2, 7 if signature.n_rows < 2_000 else 10),
            "min_child_weight": Float(1e-2, 30.0, log=True),
            "subsample": Float(0.5, 1.0),
            "colsample_bynode": Float(0.3, 1.0),
            "reg_lambda": Float(1e-2, 30.0, log=True),
        },
        fixed={"rate_sum": rate_sum(signature.task)},
    )


def first_configs(signature: Signature) -> tuple[dict[str, Any], ...]:
    """Configurations worth trying first."""
    depth = (4 if signature.task.is_classification else 5) if signature.n_rows < 2_000 else 6
    return (
        {"rate_sum": rate_sum(signature.task), "learning_rate": 0.06,
         "max_depth": depth, "min_child_weight": 1.0, "subsample": 0.7,
         "colsample_bynode": 0.6, "reg_lambda": 2.0},
    )  # fmt: skip


def structure(config: Config) -> tuple[Any, ...]:
    """The choices that make it another kind of model: none."""
    return ("xgboost",)


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
    import xgboost

    flags = is_categorical(Layout.of(signature.schema)).tolist()

    def train(head: Head, x: np.ndarray, target: np.ndarray) -> Any:
        data = _matrix(x, flags, n_threads, label=target, weight=row_weights)
        parameters = _parameters(head, config, seed, n_threads)
        booster = xgboost.train(parameters, data, num_boost_round=rounds(config)[-1], verbose_eval=False)
        return booster, flags

    return fit_heads(train, signature, x, y, row_weights)


def predict(model: Boosted, x: np.ndarray, n_rounds: int) -> np.ndarray:
    """Probabilities or standardised values ``(n_rows, n_outputs)`` after some rounds."""
    return predict_rounds(model, x, (n_rounds,))[0]


def predict_rounds(model: Boosted, x: np.ndarray, rounds: Sequence[int]) -> list[np.ndarray]:
    """Predictions after each of some rising rounds, in one pass over the trees."""
    return read_rounds(_margins, model, x, rounds)


def pack(model: Boosted) -> bytes:
    """The trees of each head as an npz file."""
    return pack_boosted("xgboost", model, plain)


def unpack(data: bytes) -> Boosted:
    """Read what `pack` wrote; `PackedError` if the bytes are anything else."""
    return unpack_boosted("xgboost", data, checked_additive)


def plain(part: tuple[Any, list[bool]]) -> Additive:
    """A fitted booster as arrays: the same decisions for every float32 value."""
    learner = json.loads(part[0].save_raw("json"))["learner"]
    trees = learner["gradient_booster"]["model"]["trees"]
    lists = [levels for tree in trees for levels in _category_lists(tree)]
    is_right = members_of(lists)
    n_before = np.cumsum([0, *(len(tree["categories_nodes"]) for tree in trees)])
    nodes = [_nodes(tree, int(first)) for tree, first in zip(trees, n_before, strict=False)]
    found = stacked(nodes, ~is_right, np.ones_like(is_right), np.float32)  # XGBoost adds in float32
    return Additive(found, _baseline(learner))


def _parameters(head: Head, config: Config, seed: int, n_threads: int) -> dict[str, Any]:
    searched = {name: config[name] for name in (
        "learning_rate", "max_depth", "min_child_weight", "subsample", "colsample_bynode", "reg_lambda",
    )}  # fmt: skip
    found = {
        **searched,
        "objective": OBJECTIVES[head.kind],
        "tree_method": "hist",
        "max_cat_to_onehot": 4,
        "seed": seed, "nthread": n_threads, "verbosity": 0,
    }  # fmt: skip
    return {**found, "num_class": head.n_scores} if head.kind == "multiclass" else found


def _matrix(x: np.ndarray, flags: Sequence[bool], n_threads: int, **labels: Any) -> Any:
    import xgboost

    kinds = ["c" if flag else "q" for flag in flags]
    return xgboost.DMatrix(
        x, feature_types=kinds, enable_categorical=True, missing=np.nan, nthread=n_threads, **labels
    )


def _margins(part: tuple[Any, list[bool]], x: np.ndarray, rounds: Sequence[int]) -> np.ndarray:
    """Raw scores ``(n_readings, n_rows, n_scores)``: each slice of rounds starts from the sum before it."""
    booster, flags = part
    booster.set_param({"nthread": 1})
    found, done, n_fitted, data = [], 0, booster.num_boosted_rounds(), _matrix(x, flags, 1)
    for end in (min(int(n), n_fitted) for n in rounds):
        if end > done:
            margin = booster.predict(data, output_margin=True, iteration_range=(done, end))
            data.set_base_margin(margin)
            done = end
        found.append(np.asarray(margin, np.float64).reshape(len(x), -1))
    return np.stack(found)


def _nodes(tree: Mapping[str, Any], n_sets_before: int) -> Nodes:
    """One tree of XGBoost's JSON, where a row goes left when its value is below the condition."""
    left, right = (np.asarray(tree[name], np.int64) for name in ("left_children", "right_children"))
    order = breadth_first(left, right)
    place = np.zeros(left.size, np.int64)
    place[order] = np.arange(order.size)
    is_leaf, condition = left < 0, np.asarray(tree["split_conditions"], np.float32)
    category_set = np.full(left.size, -1)
    category_set[tree["categories_nodes"]] = n_sets_before + np.arange(len(tree["categories_nodes"]))
    is_category = category_set >= 0
    below = np.nextafter(condition, np.float32(-np.inf))
    return Nodes(
        feature=np.where(is_leaf, -1, tree["split_indices"])[order],
        threshold=np.where(is_leaf | is_category, 0, below)[order],
        left=place[left[order]],
        right=place[right[order]],
        # of the slots of a category none is missing, and those that the set does not know go left
        is_missing_left=(np.asarray(tree["default_left"], bool) | is_category)[order],
        value=np.where(is_leaf, condition, 0).astype(np.float64)[order, None],
        category_set=category_set[order],
    )


def _category_lists(tree: Mapping[str, Any]) -> list[np.ndarray]:
    """The levels that go right, per categorical split of a tree."""
    levels = np.asarray(tree["categories"], np.int64)
    segments = zip(tree["categories_segments"], tree["categories_sizes"], strict=True)
    return [levels[first : first + size] for first, size in segments]


def _baseline(learner: Mapping[str, Any]) -> np.ndarray:
    """Raw scores before the first round ``(n_scores,)``; XGBoost keeps a probability for two classes."""
    base = np.atleast_1d(json.loads(learner["learner_model_param"]["base_score"])).astype(np.float32)
    if learner["objective"]["name"] == OBJECTIVES["binary"]:
        base = -np.log(1 / base - 1)
    n_scores = max(1, int(learner["learner_model_param"]["num_class"]))
    return np.broadcast_to(base, n_scores).astype(np.float64)
