"""What the columns of a table hold, in figures that fit a report: never a row, and few values."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spaces.schema import Column, Schema, Table

N_NAMED = 5  # most frequent categories that are named
QUANTILES = (0.0, 0.25, 0.5, 0.75, 1.0)


def summaries(schema: Schema, table: Table) -> list[dict[str, Any]]:
    """One record for each column: name, kind, share that is missing, and its values.

    A number column has `n_distinct` and the `quantiles` 0, 25, 50, 75 and 100 % (dates as ISO text); a
    category column has `n_distinct` and the `most_frequent` values with their shares.
    """
    found = {c.name: _number(c, table.numbers[:, i]) for i, c in enumerate(schema.numbers)}
    found |= {c.name: _category(c, table.codes[:, i]) for i, c in enumerate(schema.categories)}
    return [found[column.name] for column in schema.columns]


def _number(column: Column, values: NDArray[Any]) -> dict[str, Any]:
    present = values[~np.isnan(values)].astype(np.float64) + column.anchor
    kind = "date" if column.is_datetime else "number"
    quantiles = [float(q) for q in np.quantile(present, QUANTILES)] if present.size else []
    return {
        "column": column.name,
        "kind": kind,
        "missing": 1.0 - present.size / max(1, values.size),
        "n_distinct": int(np.unique(present).size),
        "quantiles": [_moment(q) for q in quantiles] if column.is_datetime else quantiles,
    }


def _moment(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="minutes").removesuffix("+00:00")


def _category(column: Column, codes: NDArray[Any]) -> dict[str, Any]:
    counts = np.bincount(codes, minlength=len(column.categories) + 1)[1 : len(column.categories) + 1]
    order = np.argsort(-counts, kind="stable")[:N_NAMED]
    return {
        "column": column.name,
        "kind": "category",
        "missing": float(np.mean(codes == 0)) if codes.size else 0.0,
        "n_distinct": int(np.count_nonzero(counts)),
        "most_frequent": [
            {"value": column.categories[i], "share": float(counts[i] / codes.size)}
            for i in order
            if counts[i]
        ],
    }
