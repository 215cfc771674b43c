"""Inputs, targets and weights as users of scikit-learn give them, checked as its own estimators do."""

from __future__ import annotations

import datetime
import numbers
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator
from sklearn.utils import check_array
from sklearn.utils.validation import _check_sample_weight, column_or_1d, validate_data

from search.data import inputs_frame

if TYPE_CHECKING:
    import pandas as pd

Array = NDArray[Any]
VALUES = (str, numbers.Number, np.bool_, np.datetime64, datetime.date, type(None))


def framed(estimator: BaseEstimator, X: Any, **options: Any) -> pd.DataFrame:
    """Check the inputs as scikit-learn does, and make a frame of them.

    Options are those of `sklearn.utils.validation.validate_data`.
    """
    import pandas as pd

    if not isinstance(X, pd.DataFrame) and hasattr(X, "to_pandas"):
        X = X.to_pandas()
    arrays = inputs_frame(X)
    X = X if arrays is None else arrays
    shared = {"dtype": None, "ensure_all_finite": "allow-nan", "input_name": "X", "estimator": estimator}
    least = options.pop("ensure_min_samples", 1)
    if isinstance(X, pd.DataFrame):
        validate_data(estimator, X, skip_check_array=True, **options)
        figures = X.select_dtypes("number", exclude="timedelta")
        check_array(figures, ensure_min_features=0, ensure_min_samples=least, **shared)
        return X
    if options.get("y", "") is None:
        validate_data(estimator, X, skip_check_array=True, **options)  # says that it needs y
    array = check_array(X, ensure_min_samples=least, **shared)
    # once more for names and numbers of features, which a list has none of
    validate_data(estimator, X if hasattr(X, "shape") else array, skip_check_array=True, **options)
    if array.dtype.kind == "O":
        _check_values(array)
    names = [f"x{i}" for i in range(array.shape[1])]
    return pd.DataFrame(array, columns=names).infer_objects()


def _check_values(array: Array) -> None:
    """Refuse objects that are no value of a table, in scikit-learn's words."""
    import pandas as pd

    kinds = {type(value) for value in array.ravel().tolist()} - {type(pd.NA), type(pd.NaT)}
    strange = [kind.__name__ for kind in kinds if not issubclass(kind, VALUES)]
    if strange:
        raise TypeError(f"every value of the argument must be a string or a number, not {strange[0]!r}")


def values_of(estimator: BaseEstimator, y: Any) -> Array:
    """Targets as an array without missing values; a single column is made flat, with a warning."""
    values = check_array(
        y.toarray() if hasattr(y, "toarray") else y,
        ensure_2d=False, dtype=None, input_name="y", estimator=estimator,
    )  # fmt: skip
    is_flat = values.ndim == 1 or values.shape[1] == 1
    return np.asarray(column_or_1d(values, warn=True) if is_flat else values)


def target_names(y: Any, values: Array) -> tuple[str, ...]:
    """Names of the targets: those of a series or frame, or made up."""
    if hasattr(y, "columns"):
        return tuple(str(name) for name in y.columns)
    if values.ndim == 1:
        name = getattr(y, "name", None)
        return ("target" if name is None else str(name),)
    return tuple(f"target_{i}" for i in range(values.shape[1]))


def weighed(frame: pd.DataFrame, sample_weight: Any) -> tuple[Array, Array | None]:
    """The rows whose weight is above zero, and their weights: None where they are equal."""
    if sample_weight is None:
        return np.arange(len(frame)), None
    weights = _check_sample_weight(sample_weight, frame, dtype=np.float64, ensure_non_negative=True)
    rows = np.flatnonzero(weights)
    weights = weights[rows]
    return rows, None if np.ptp(weights) == 0.0 else weights
