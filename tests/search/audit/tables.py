"""Clean tables, on which the audit must be quiet, and leaks to plant on them."""

from typing import Any, Literal

import numpy as np
import pandas as pd

from search.audit import Finding, audit
from search.data import Dataset, from_frame


def clean(
    seed: int = 0, kind: Literal["regression", "binary", "multiclass"] = "regression", n: int = 400
) -> pd.DataFrame:
    """Independent rows with every sort of column: real, counted, whole, text of 3 and 15 values, missing."""
    rng = np.random.default_rng(seed)
    frame = pd.DataFrame({f"x{i}": rng.normal(size=n) for i in range(3)})
    frame["visits"], frame["age"] = rng.poisson(6, n), rng.integers(20, 80, n)
    frame["price"] = np.round(np.exp(rng.normal(9, 1, n)))
    frame["brand"] = np.array([f"b{i:02d}" for i in range(15)], object)[rng.integers(0, 15, n)]
    frame["colour"] = np.array(["red", "green", "blue"], object)[rng.integers(0, 3, n)]
    effects = pd.Series(rng.normal(size=15), [f"b{i:02d}" for i in range(15)])
    frame.loc[rng.random(n) < 0.1, "x1"] = np.nan
    signal = frame.x0 + np.sin(2 * frame.x2) + 0.03 * (frame.age - 50) + 0.6 * frame.brand.map(effects)
    y = (signal + frame.x1.fillna(0) * 0.5 + 0.8 * rng.normal(size=n)).to_numpy()
    if kind == "regression":
        return frame.assign(y=y)
    cuts = [0.0] if kind == "binary" else [-1.0, 1.0]
    return frame.assign(y=np.array(["low", "mid", "top"], object)[np.digitize(y, cuts)])


def look(frame: pd.DataFrame, seed: int = 0, **options: Any) -> tuple[Finding, ...]:
    """Audit a frame with the target `y`."""
    return audit(from_frame(frame, "y"), frame=frame, rng=np.random.default_rng(seed), **options)


def alarms(findings: tuple[Finding, ...]) -> list[tuple[str, tuple[str, ...]]]:
    """Leak and columns of warnings and errors."""
    return [(f.leak, f.columns) for f in findings if f.severity != "note"]


def parts(frame: pd.DataFrame, is_held: "np.ndarray[Any, Any]", **options: Any) -> tuple[Dataset, Dataset]:
    """Development and holdout rows of a frame with the target `y`."""
    dataset = from_frame(frame, "y", **options)
    return dataset.take(np.flatnonzero(~is_held)), dataset.take(np.flatnonzero(is_held))
