"""What random forests and extra trees share: space, fit to plain arrays, prediction, bytes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from spaces.encoding import Layout
from spaces.heads import bounded
from spaces.packed import PackedError, pack_arrays, unpack_arrays
from spaces.parameters import Choice, Float, Int, Parameter
from spaces.signature import Signature
from spaces.space import Space
from spaces.task import Kind
from spaces.trees import Nodes, Trees, checked, stacked, sums

Config = Mapping[str, Any]
Name = Literal["random_forest", "extra_trees"]

COLUMNS: Literal["encoded", "ordinal"] = "ordinal"


@dataclass(frozen=True)
class Forest:
    """A fitted forest; a leaf's value is what it predicts, ``(n_outputs,)``.

    Attributes
    ----------
    kind : str
        Kind of task.
    n_columns : int
        Columns of the matrix that it reads.
    trees : Trees
    """

    kind: Kind
    n_columns: int
    trees: Trees


def n_trees(signature: Signature) -> int:
    """Trees of a member: 200, and half of that from 3,000 rows on, where they are large."""
    return 200 if signature.n_rows < 3_000 else 100


def space(signature: Signature, *, bootstraps: tuple[bool, ...]) -> Space:
    """What is tried by default."""
    parameters: dict[str, Parameter] = {
        "max_features": Float(0.1, 1.0),
        "min_samples_leaf": Int(1, 16 if signature.n_rows < 10_000 else 64, log=True),
        "bootstrap": Choice(bootstraps),
    }
    if signature.task.is_classification:
        parameters |= {"criterion": Choice(("gini", "entropy")), "smoothing": Float(0.01, 1.0, log=True)}
    return Space(parameters)


def usual_max_features(signature: Signature) -> float:
    """The share of columns that a split looks at in classification: twice the square root of their number."""
    return float(min(1.0, max(0.1, 2.0 * Layout.of(signature.schema).n_columns ** -0.5)))


def structure(name: Name, config: Config) -> tuple[Any, ...]:
    """The choices that make it another kind of model."""
    return (name, bool(config.get("bootstrap")), config.get("criterion", "squared_error"))


def fit(
    name: Name,
    config: Config,
    signature: Signature,
    x: np.ndarray,
    y: np.ndarray,
    *,
    seed: int,
    row_weights: np.ndarray | None,
    n_threads: int,
) -> Forest:
    """Fit a forest with scikit-learn and keep its trees as plain arrays.

    Classification leaves give ``(w p + s q) / (w + s)`` with p the class shares of the leaf's rows, w their
    weight, q the shares at the root and s the ``smoothing`` (m-estimate, Cestnik 1990), so that no leaf is
    sure of itself.

    Parameters
    ----------
    x
        ``(n_rows, n_columns)`` float32, NaN where missing.
    y
        ``(n_rows, n_outputs)``: 0/1, or standardised values.
    """
    kind = signature.task.kind
    estimator = _estimator(name, config, signature, seed, n_threads)
    target: np.ndarray = y.argmax(axis=1) if kind == "multiclass" else y
    estimator.fit(x, target[:, 0] if target.ndim == 2 and target.shape[1] == 1 else target, row_weights)
    smoothing = float(config.get("smoothing", 0.0)) if kind != "regression" else 0.0
    trees = [_nodes(tree.tree_, kind, _ones(estimator, kind), smoothing) for tree in estimator.estimators_]
    return Forest(kind, x.shape[1], stacked(trees))


def predict(model: Forest, x: np.ndarray) -> np.ndarray:
    """Mean of the trees, ``(n_rows, n_outputs)`` float64."""
    if x.shape[1] != model.n_columns:
        raise PackedError(f"a matrix must have {model.n_columns} columns, got {x.shape[1]}")
    mean = sums(model.trees, x, (model.trees.n_trees,))[0] / model.trees.n_trees
    return mean if model.kind == "regression" else bounded(mean, is_simplex=model.kind == "multiclass")


def pack(name: Name, model: Forest) -> bytes:
    """The fitted forest as an npz file."""
    return pack_arrays(name, {"kind": model.kind, "n_columns": model.n_columns}, model.trees.arrays())


def unpack(name: Name, data: bytes) -> Forest:
    """Read what `pack` wrote.

    Raises
    ------
    PackedError
        If the bytes are anything else.
    """
    header, arrays = unpack_arrays(name, data)
    kind, n_columns = header.get("kind"), header.get("n_columns")
    if kind not in ("binary", "multiclass", "multilabel", "regression") or type(n_columns) is not int:
        raise PackedError(
            f"a packed {name} must tell its kind and n_columns, got {kind!r:.60} and {n_columns!r:.60}"
        )
    return Forest(kind, n_columns, checked(arrays, n_columns))


def _estimator(name: Name, config: Config, signature: Signature, seed: int, n_threads: int) -> Any:
    from sklearn import ensemble

    kind = "Classifier" if signature.task.is_classification else "Regressor"
    estimator = getattr(ensemble, {"random_forest": "RandomForest", "extra_trees": "ExtraTrees"}[name] + kind)
    arguments = {"criterion": config["criterion"]} if signature.task.is_classification else {}
    return estimator(
        n_estimators=n_trees(signature),
        max_features=float(config["max_features"]),
        min_samples_leaf=int(config["min_samples_leaf"]),
        bootstrap=bool(config["bootstrap"]),
        random_state=seed,
        n_jobs=n_threads,
        **arguments,
    )


def _ones(estimator: Any, kind: Kind) -> tuple[int | None, ...]:
    """Per 0/1 output, the place of class 1 among the classes that were seen; None: it was not seen."""
    if kind not in ("binary", "multilabel"):
        return ()
    classes = estimator.classes_ if isinstance(estimator.classes_, list) else [estimator.classes_]
    return tuple(int(np.flatnonzero(seen == 1)[0]) if (seen == 1).any() else None for seen in classes)


def _nodes(tree: Any, kind: Kind, ones: tuple[int | None, ...], smoothing: float) -> Nodes:
    """One tree of scikit-learn as plain arrays."""
    value = tree.value
    if kind == "multiclass":
        value = value[:, 0, :]
    elif kind == "regression":
        value = value[:, :, 0]
    else:
        columns = [np.zeros(len(value)) if k is None else value[:, i, k] for i, k in enumerate(ones)]
        value = np.stack(columns, axis=1)
    if smoothing:
        weight = tree.weighted_n_node_samples[:, None]
        value = (weight * value + smoothing * value[0]) / (weight + smoothing)
    return Nodes(
        feature=np.where(tree.children_left < 0, -1, tree.feature),
        threshold=tree.threshold,
        left=tree.children_left,
        right=tree.children_right,
        is_missing_left=tree.missing_go_to_left.astype(bool),
        value=value,
    )
