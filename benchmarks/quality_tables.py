"""The rows of a comparison: which tables and splits, and what a prediction of the test rows is worth.

A folder of tables holds ``NAME/meta.json`` (``file``, ``target``, ``task``, ``categorical``, ``groups``,
``time``, ``split``, ``drop``), the table, and for some ``NAME/splits.npz`` with published splits.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import pandas as pd

Part = Literal["rank", "boston", "uci"]
Array = NDArray[Any]

PARTS: tuple[Part, ...] = ("rank", "boston", "uci")
UCI = {"boston": 2.90, "concrete": 4.82, "energy": 0.54, "kin8nm": 0.08, "yacht": 0.67, "wine_red": 0.62}
"""Published RMSE of dropout networks, mean over 20 splits (Gal and Ghahramani 2016, from their code)."""
BOSTON_MAE = 2.2  # thousand dollars, on the split that Keras ships
MOST_ROWS = 4000
TEST_SHARE = 0.3
N_FOLDS = 5


@dataclass(frozen=True)
class Case:
    """One split of one table.

    Attributes
    ----------
    number : int
        Seed of a random split, number of a published one; for Boston's single split, seed of the systems.
    """

    part: Part
    table: str
    number: int


@dataclass(frozen=True)
class Sample:
    """What a system is given, and the targets by which it is judged.

    Attributes
    ----------
    kind : str
        ``binary``, ``multiclass`` or ``regression``.
    metric : str
        ``log_loss``, ``rmse`` or ``mae``: lower is better.
    classes : tuple of str
        Sorted; none for regression.
    train, test : DataFrame
        Inputs; categories have pandas' category type.
    y_train, y_test : ndarray, shape (n_rows,)
        Places in ``classes``, or raw values.
    groups : ndarray of int or None
        Of the training rows.
    """

    name: str
    kind: str
    metric: str
    classes: tuple[str, ...]
    train: pd.DataFrame
    test: pd.DataFrame
    y_train: Array
    y_test: Array
    groups: Array | None

    @property
    def n_outputs(self) -> int:
        """Columns of a prediction: one for two classes and for values."""
        return len(self.classes) if self.kind == "multiclass" else 1

    def columns(self, y: Array) -> Array:
        """Targets ``(n_rows,)`` as columns ``(n_rows, n_outputs)``."""
        if self.kind == "multiclass":
            return np.eye(len(self.classes))[y]
        return np.asarray(y, np.float64)[:, None]

    def loss(self, y: Array, predictions: Array) -> float:
        """The metric of predictions ``(n_rows, n_outputs)`` for targets ``(n_rows,)``."""
        return float(self._metric.score(self.columns(y), predictions))

    def judged(self, predictions: Array) -> dict[str, float]:
        """Test loss, its standard error over the test rows, and for values RMSE and MAE.

        The error of a root of a mean follows from the first derivative: ``se(mean) / (2 root)``.
        """
        y = self.columns(self.y_test)
        if predictions.shape != y.shape or not np.isfinite(predictions).all():
            raise ValueError(f"predictions must be finite and {y.shape}, got shape {predictions.shape}")
        rows, loss = self._metric.row_losses(y, predictions), self.loss(self.y_test, predictions)
        error = float(rows.std(ddof=1) / np.sqrt(len(rows)))
        if self.metric == "rmse":
            error /= 2 * max(loss, 1e-12)
        found = {"loss": loss, "loss_se": error}
        if self.kind == "regression":
            gaps = y - predictions
            found |= {"rmse": float(np.sqrt(np.mean(gaps**2))), "mae": float(np.abs(gaps).mean())}
        return found

    @property
    def _metric(self) -> Any:
        from search import metrics
        from spaces.task import Task

        classes = self.classes if self.kind != "regression" else ()
        return metrics.metric_for(self.metric, Task(self.kind, ("target",), classes))  # type: ignore[arg-type]

    def folds(self, seed: int) -> list[tuple[Array, Array]]:
        """Five folds as a careful user draws them: whole groups, class shares kept; (train, held) rows."""
        from sklearn.model_selection import GroupKFold, KFold, StratifiedGroupKFold, StratifiedKFold

        is_grouped, is_classes = self.groups is not None, self.kind != "regression"
        splitter = {
            (False, False): KFold, (False, True): StratifiedKFold,
            (True, False): GroupKFold, (True, True): StratifiedGroupKFold,
        }[is_grouped, is_classes](N_FOLDS, shuffle=True, random_state=seed)  # fmt: skip
        return list(splitter.split(self.train, self.y_train, self.groups))


def tables(data: Path) -> list[str]:
    """Names of the tables whose rows may be split at random."""
    metas = {path.parent.name: json.loads(path.read_text()) for path in sorted(data.glob("*/meta.json"))}
    return [name for name, meta in metas.items() if not meta["time"]]


def cases(data: Path, parts: list[str], wanted: list[str], n_seeds: int, n_splits: int) -> list[Case]:
    """The splits that are asked for, first of every table the first, then of every table the second.

    Raises
    ------
    SystemExit
        If a part or a table does not exist.
    """
    known = tables(data)
    for given, allowed, what in ((parts, PARTS, "parts"), (wanted, known, "tables")):
        unknown = [name for name in given if name not in allowed]
        if unknown:
            raise SystemExit(f"{what} must be among {', '.join(allowed)}, got {unknown[0]!r}")
    chosen = wanted or known
    found: list[Case] = []
    if "rank" in parts:
        found += [Case("rank", table, seed) for seed in range(n_seeds) for table in chosen]
    if "boston" in parts and "boston" in chosen:
        found += [Case("boston", "boston", seed) for seed in range(n_seeds)]
    if "uci" in parts:
        found += [Case("uci", table, split) for split in range(n_splits) for table in UCI if table in chosen]
    return found


def sample(data: Path, case: Case) -> Sample:
    """Read the table of a case and split it.

    For the ranking, of a table with more than 4,000 rows so many are drawn, and 30 % of the rows (whole
    groups, class shares kept) are the test; each by the case's number. Published splits are taken as they
    are.
    """
    import pandas as pd

    meta = json.loads((data / case.table / "meta.json").read_text())
    frame = pd.read_csv(data / meta["file"])
    y, classes = _targets(frame[meta["target"]], meta["task"])
    apart = {meta["target"], meta["split"], meta["groups"], meta["time"], *meta["drop"]}
    inputs = frame[[column for column in frame if column not in apart]]
    inputs = inputs.astype({column: "category" for column in meta["categorical"]})
    groups = pd.factorize(frame[meta["groups"]])[0] if meta["groups"] else None
    is_known = frame[meta["target"]].notna().to_numpy()
    train, test = split(data, case, y, groups, is_known, bool(classes))
    metric = "log_loss" if classes else ("mae" if case.part == "boston" else "rmse")
    return Sample(
        name=case.table, kind=meta["task"], metric=metric, classes=classes,
        train=inputs.iloc[train].reset_index(drop=True), test=inputs.iloc[test].reset_index(drop=True),
        y_train=y[train], y_test=y[test], groups=None if groups is None else groups[train],
    )  # fmt: skip


def split(
    data: Path, case: Case, y: Array, groups: Array | None, is_known: Array, is_classes: bool
) -> tuple[Array, Array]:
    """Rows to learn from and rows to test on, both sorted."""
    if case.part != "rank":
        stored = np.load(data / case.table / "splits.npz")
        if case.part == "boston":
            return stored["keras_train"].astype(int), stored["keras_test"].astype(int)
        test = np.sort(stored[f"test_{case.number}"].astype(int))
        return np.setdiff1d(np.arange(len(y)), test), test
    from sklearn.model_selection import GroupShuffleSplit, ShuffleSplit, StratifiedShuffleSplit

    rows = np.flatnonzero(is_known)
    if len(rows) > MOST_ROWS:
        rows = np.sort(np.random.default_rng([case.number, MOST_ROWS]).permutation(rows)[:MOST_ROWS])
    way = GroupShuffleSplit if groups is not None else StratifiedShuffleSplit if is_classes else ShuffleSplit
    splitter = way(1, test_size=TEST_SHARE, random_state=case.number)
    train, test = next(splitter.split(rows, y[rows], None if groups is None else groups[rows]))
    return rows[np.sort(train)], rows[np.sort(test)]


def _targets(series: pd.Series, kind: str) -> tuple[Array, tuple[str, ...]]:
    """Targets as numbers, and the classes in sorted order; a missing one is -1 or NaN."""
    if kind == "regression":
        return series.to_numpy(np.float64), ()
    texts = series.astype("string")
    classes = tuple(sorted(texts.dropna().unique()))
    place = {name: number for number, name in enumerate(classes)}
    return texts.map(place).fillna(-1).to_numpy(np.int64), classes
