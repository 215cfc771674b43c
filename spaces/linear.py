"""Linear models: logistic regression and ridge, on plain numbers, hinges or products of columns."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from spaces.encoding import Layout
from spaces.heads import Head, heads, heads_from_json, heads_to_json, joined
from spaces.packed import PackedError, pack_arrays, unpack_arrays
from spaces.parameters import Choice, Float
from spaces.signature import Signature
from spaces.space import Space
from spaces.threads import limited

Config = Mapping[str, Any]

COLUMNS: Literal["encoded", "ordinal"] = "encoded"
LARGEST_FOR_PRODUCTS = 30
KNOTS = (1 / 6, 2 / 6, 3 / 6, 4 / 6, 5 / 6)


@dataclass(frozen=True)
class Linear:
    """A fitted linear model.

    Attributes
    ----------
    heads : tuple of Head
    features : str
        ``"plain"``, ``"hinges"`` or ``"products"``.
    limits : ndarray of shape (2, n_columns)
        Smallest and largest value of each column in training; values are cut to them unless plain.
    knots : ndarray of shape (n_knots, n_numbers)
        Where the hinges of each number stand; ``(0, n_numbers)`` without hinges.
    center, scale : ndarray of shape (n_features,)
        What is taken off the features and what they are divided by.
    coefficients, intercepts : tuple of ndarray
        ``(n_features, n_scores)`` and ``(n_scores,)`` per head.
    """

    heads: tuple[Head, ...]
    features: str
    limits: np.ndarray
    knots: np.ndarray
    center: np.ndarray
    scale: np.ndarray
    coefficients: tuple[np.ndarray, ...]
    intercepts: tuple[np.ndarray, ...]


def default_space(signature: Signature) -> Space:
    """What is tried by default: strength of the penalty, and features of few columns."""
    layout = Layout.of(signature.schema)
    features = ["plain"]
    if layout.n_numbers:
        features.append("hinges")
    if 2 <= layout.n_features <= LARGEST_FOR_PRODUCTS:
        features.append("products")
    penalty = Float(1e-3, 1e3, log=True) if signature.task.is_classification else Float(1e-3, 1e4, log=True)
    return Space({"features": Choice(tuple(features)), "penalty": penalty})


def first_configs(signature: Signature) -> tuple[dict[str, Any], ...]:
    """A weakly penalised model on plain columns, then one on hinges or products."""
    options = default_space(signature).parameters["features"].options  # type: ignore[union-attr]
    rest = [{"features": name, "penalty": 10.0} for name in options[1:]]
    return ({"features": "plain", "penalty": 1.0}, *rest)


def structure(config: Config) -> tuple[Any, ...]:
    """The choices that make it another kind of model."""
    return ("linear", config.get("features", "plain"))


def rounds(config: Config) -> tuple[int, ...]:
    """A linear model is read once."""
    return (1,)


def fit(
    config: Config,
    signature: Signature,
    x: np.ndarray,
    y: np.ndarray,
    *,
    seed: int,
    row_weights: np.ndarray | None = None,
    n_threads: int = 1,
) -> Linear:
    """Fit a logistic regression or a ridge per head (Hastie et al. 2009, sections 4.4 and 3.4.1).

    Parameters
    ----------
    config
        A configuration of `default_space`; ``penalty`` times half the squared coefficients is added to the
        sum of the rows' losses.
    x
        ``(n_rows, n_columns)``, encoded.
    y
        ``(n_rows, n_outputs)``: 0/1, or standardised values.
    seed
        Not used: nothing is random.
    row_weights
        ``(n_rows,)``; a row of weight 2 counts as that row twice.
    """
    features, n_numbers = config.get("features", "plain"), len(signature.schema.numbers)
    weights = np.ones(len(x)) if row_weights is None else np.asarray(row_weights, np.float64)
    seen = x if weights.all() else x[weights > 0]
    n_knots = KNOTS if features == "hinges" else ()
    limits = np.stack([seen.min(axis=0), seen.max(axis=0)]).astype(np.float64)
    knots = _knots(x[:, :n_numbers], weights, n_knots)
    z = _expanded(features, np.asarray(x, np.float64), limits, knots)
    center, scale = _moments(features, z, weights)
    z = _standardised(features, z, center, scale)
    found = heads(signature.task, y, row_weights)
    with limited(n_threads):
        fitted = [_fit_head(head, z, y, weights, float(config["penalty"])) for head in found]
    coefficients, intercepts = zip(*fitted, strict=True)
    return Linear(found, features, limits, knots, center, scale, coefficients, intercepts)


def predict(model: Linear, x: np.ndarray, n_rounds: int = 1) -> np.ndarray:
    """Probabilities or standardised values ``(n_rows, n_outputs)`` of encoded rows."""
    if x.shape[1] != model.limits.shape[1]:
        raise PackedError(f"a matrix must have {model.limits.shape[1]} columns, got {x.shape[1]}")
    z = _expanded(model.features, np.asarray(x, np.float64), model.limits, model.knots)
    z = _standardised(model.features, z, model.center, model.scale)
    parts = zip(model.heads, model.coefficients, model.intercepts, strict=True)
    return joined([(head, z @ w + b) for head, w, b in parts], len(x))


def pack(model: Linear) -> bytes:
    """The fitted model as an npz file."""
    header = {"heads": heads_to_json(model.heads), "features": model.features}
    arrays = {name: getattr(model, name) for name in ("limits", "knots", "center", "scale")}
    arrays |= {f"coefficients_{k}": part for k, part in enumerate(model.coefficients)}
    return pack_arrays(
        "linear", header, arrays | {f"intercepts_{k}": b for k, b in enumerate(model.intercepts)}
    )


def unpack(data: bytes) -> Linear:
    """Read what `pack` wrote.

    Raises
    ------
    PackedError
        If the bytes are anything else.
    """
    header, arrays = unpack_arrays("linear", data)
    found = heads_from_json(header)
    try:
        model = Linear(
            heads=found,
            features=str(header["features"]),
            limits=_floats(arrays["limits"], 2),
            knots=_floats(arrays["knots"], 2),
            center=_floats(arrays["center"], 1),
            scale=_floats(arrays["scale"], 1),
            coefficients=tuple(_floats(arrays[f"coefficients_{k}"], 2) for k in range(len(found))),
            intercepts=tuple(_floats(arrays[f"intercepts_{k}"], 1) for k in range(len(found))),
        )
    except KeyError as error:
        raise PackedError(f"a packed linear must have {error}") from None
    _check_shapes(model)
    return model


def _check_shapes(model: Linear) -> None:
    if not (model.scale > 0).all():
        raise PackedError("features of a packed linear must be divided by numbers above 0")
    n_columns, n_numbers = model.limits.shape[-1], model.knots.shape[-1]
    sizes = {
        "plain": n_columns,
        "hinges": n_columns + model.knots.size,
        "products": n_columns * (n_columns + 3) // 2,
    }
    n_features = sizes.get(model.features, -1)
    has_shapes = (
        model.limits.shape[0] == 2
        and n_numbers <= n_columns
        and model.center.shape == model.scale.shape == (n_features,)
        and all(
            w.shape == (n_features, head.n_scores) and b.shape == (head.n_scores,)
            for head, w, b in zip(model.heads, model.coefficients, model.intercepts, strict=True)
        )
    )
    if not has_shapes:
        raise PackedError(
            f"arrays of a packed linear must fit {n_columns} columns and features {model.features!r}"
        )


def _floats(array: np.ndarray, n_axes: int) -> np.ndarray:
    if array.dtype != np.float64 or array.ndim != n_axes:
        raise PackedError(
            f"a packed linear must hold float64 of {n_axes} axes, got {array.dtype} of {array.ndim}"
        )
    if not np.isfinite(array).all():
        raise PackedError("the numbers of a packed linear must be finite")
    return array


def _knots(numbers: np.ndarray, weights: np.ndarray, shares: tuple[float, ...]) -> np.ndarray:
    """Weighted quantiles of each number, ``(n_shares, n_numbers)``."""
    if not shares:
        return np.zeros((0, numbers.shape[1]))
    columns = np.asarray(numbers, np.float64)
    spread = np.broadcast_to(weights[:, None], columns.shape)
    return np.asarray(np.quantile(columns, shares, axis=0, weights=spread, method="inverted_cdf"))


def _expanded(features: str, x: np.ndarray, limits: np.ndarray, knots: np.ndarray) -> np.ndarray:
    """Features of rows: the columns, then ``max(0, x - knot)`` or all products of two columns."""
    if features == "plain":
        return x
    x = np.clip(x, limits[0], limits[1])
    if features == "hinges":
        numbers = x[:, : knots.shape[1]]
        return np.concatenate([x, *(np.maximum(numbers - row, 0.0) for row in knots)], axis=1)
    first, second = np.triu_indices(x.shape[1])
    return np.concatenate([x, x[:, first] * x[:, second]], axis=1)


def _moments(features: str, z: np.ndarray, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Weighted mean and standard deviation of expanded features; plain ones are standardised already."""
    if features == "plain":
        return np.zeros(z.shape[1]), np.ones(z.shape[1])
    center = np.average(z, axis=0, weights=weights)
    scale = np.sqrt(np.average((z - center) ** 2, axis=0, weights=weights))
    return center, np.where(scale > 1e-9, scale, 1.0)


def _standardised(features: str, z: np.ndarray, center: np.ndarray, scale: np.ndarray) -> np.ndarray:
    """Expanded features in their units, in place; plain ones are standardised already."""
    if features == "plain":
        return z
    z -= center
    z /= scale
    return z


def _fit_head(
    head: Head, z: np.ndarray, y: np.ndarray, weights: np.ndarray, penalty: float
) -> tuple[np.ndarray, np.ndarray]:
    """Coefficients ``(n_features, n_scores)`` and intercepts ``(n_scores,)`` of one head."""
    from sklearn.linear_model import LogisticRegression, Ridge

    if head.kind == "constant":
        return np.zeros((z.shape[1], 1)), np.zeros(1)
    if head.kind == "regression":
        model: Any = Ridge(alpha=penalty).fit(z, head.target(y), sample_weight=weights)
    else:
        solver = "newton-cholesky" if z.shape[1] * head.n_scores <= 300 else "lbfgs"
        model = LogisticRegression(C=1.0 / penalty, solver=solver, tol=1e-5, max_iter=400)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # not converged on separable rows: the cap bounds the time
            model.fit(z, head.target(y), sample_weight=weights)
    coefficients = np.asarray(model.coef_, np.float64).reshape(head.n_scores, -1).T
    return np.ascontiguousarray(coefficients), np.asarray(model.intercept_, np.float64).reshape(-1)
