"""How members are weighed and probabilities corrected: decided by a study, replayed for its honest score."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from math import log
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ensemble import collapse
from ensemble.calibration import Calibration, calibrate, fitted
from ensemble.methods import COMPARED, METHODS, Pool, available, choose_method
from reports.replay import Lines, Rule
from reports.scoring import losses
from search import metrics
from search.ledger import of_best_of, of_greedy, of_top_k
from search.pruning import Ceilings
from search.training.recipe import PATIENCE_FROM_EPOCH, Recipe

Array = NDArray[Any]

N_ROUNDS = 25
MOST_CANDIDATES = 50
NAMED_LOSSES = {"log_loss": "log_loss", "rmse": "squared_error"}  # the losses that are computed fast
AUTO = "auto"
BASELINES = ("uniform", "best")  # shown beside the methods that are compared


class CombinationError(ValueError):
    """A way to combine was asked for that the task or the metric does not allow."""


@dataclass(frozen=True)
class MetricLoss:
    """A metric turned into a loss that can also be asked for many tables at once."""

    metric: metrics.Metric

    def __call__(self, y: Array, predictions: Array, row_weights: Array | None) -> float:
        """The loss of one table ``(n_rows, n_outputs)``."""
        return metrics.loss(self.metric, y, predictions, row_weights)

    def of_many(self, y: Array, tables: Array, row_weights: Array | None) -> Array:
        """The loss of each of ``(n_tables, n_rows, n_outputs)``."""
        weights = np.ones(len(y)) if row_weights is None else np.asarray(row_weights)
        return losses(self.metric, y, tables, weights[None])[:, 0]


@dataclass(frozen=True)
class Combiner:
    """The rule by which a study makes its ensemble.

    Attributes
    ----------
    metric : Metric
        Bound to the task.
    method : str
        A name in `ensemble.methods.METHODS`, or auto: the one that is best, cross-fitted.
    calibration : str
        none, temperature, isotonic, or auto: whichever helps, cross-fitted.
    seed : int
        Of the parts that these choices are cross-fitted on.
    """

    metric: metrics.Metric
    method: str = AUTO
    calibration: str = AUTO
    seed: int = 0

    def __post_init__(self) -> None:
        if self.calibration == "isotonic" and self.metric.kind == "multiclass":
            raise CombinationError(
                "isotonic calibration is for one label each, not for multiclass: use temperature"
            )
        if self.method == "convex" and self.metric.name not in NAMED_LOSSES:
            raise CombinationError(
                f"the method convex needs the metric {' or '.join(NAMED_LOSSES)}, not {self.metric.name!r}"
            )

    @property
    def loss(self) -> Any:
        """What the methods minimise."""
        return NAMED_LOSSES.get(self.metric.name) or MetricLoss(self.metric)

    @property
    def can_calibrate(self) -> bool:
        """Whether the size of a probability matters to the metric, row by row."""
        is_probability = self.metric.kind in ("binary", "multiclass", "multilabel")
        is_asked = self.calibration != "none"
        return is_asked and is_probability and self.metric.needs_probabilities and self.metric.is_mean_of_rows

    @property
    def methods(self) -> tuple[str, ...]:
        """The methods that are compared."""
        known = available(self.loss)
        return tuple(name for name in COMPARED if name in known) if self.method == AUTO else (self.method,)

    def rule(self, recipe: Recipe) -> Rule:
        """The whole decision rule of a study, for a replay.

        With epochs from an inner slice, pruning and patience looked at no held-out rows.
        """
        looks_at_held = recipe.epoch_choice != "inner"
        is_open = len(self.methods) > 1
        return Rule(
            metric=self.metric,
            choose_members=self.weigh if is_open else partial(self.weigh, method=self.methods[0]),
            choose_method=self.choose_method if is_open else None,
            calibrate=self.calibrate if self.can_calibrate else None,
            ceilings=Ceilings if looks_at_held else None,
            looks=recipe.looks,
            patience=recipe.patience if looks_at_held else 0.0,
            patience_from=PATIENCE_FROM_EPOCH,
            most_candidates=MOST_CANDIDATES,
        )

    def choose_method(self, lines: Lines) -> str:
        """The method that weighs the candidates best, cross-fitted on the lines."""
        return self.compared(lines)[0]

    def compared(self, lines: Lines, methods: Sequence[str] | None = None) -> tuple[str, dict[str, float]]:
        """The method chosen, and the cross-fitted loss of each."""
        keep = self._distinct(lines.candidates, lines.architectures, lines.y, lines.row_weights)
        pool = self._pool(lines.candidates, lines.architectures, lines.y, lines.row_weights, keep)
        choice = choose_method(
            pool, groups=lines.units, time=lines.time, methods=methods or self.methods, seed=self.seed
        )
        return choice.method, choice.losses

    def weigh(
        self, candidates: Array, architectures: Sequence[Any], y: Array, row_weights: Array, method: str
    ) -> Array:
        """Weights of all candidates ``(n_candidates,)`` by a method; near-identical ones count as one."""
        keep = self._distinct(candidates, architectures, y, row_weights)
        weights = np.zeros(len(candidates))
        weights[keep] = METHODS[method](self._pool(candidates, architectures, y, row_weights, keep))
        return weights

    def n_distinct(self, lines: Lines) -> int:
        """Candidates left when near-identical ones count as one."""
        return int(self._distinct(lines.candidates, lines.architectures, lines.y, lines.row_weights).sum())

    def calibrate(self, lines: Lines, predictions: Array, method: str | None) -> Calibration:
        """The calibration by a method, or by the one that helps most, cross-fitted.

        It is fitted on the average over repeats: the predictor averages models too, which makes it less sure
        of itself than each of them. With a single repeat that cannot be seen, and auto changes nothing.
        """
        first, line, n = np.unique(lines.rows, return_index=True, return_inverse=True, return_counts=True)[1:]
        mean = np.stack([np.bincount(line, column) / n for column in predictions.T], axis=1)
        given: Any = (mean, lines.y[first], np.bincount(line, lines.row_weights), lines.units[first])
        wanted: Any = method or (None if self.calibration == AUTO else self.calibration)
        if wanted is None and n.max() < 2:
            return Calibration()
        if wanted is None:
            time = None if lines.time is None else lines.time[first]
            return calibrate(*given, time=time, seed=self.seed)
        return fitted(wanted, *given, is_over_classes=self.metric.kind == "multiclass")

    def _distinct(
        self, candidates: Array, architectures: Sequence[Any], y: Array, row_weights: Array
    ) -> NDArray[np.bool_]:
        return collapse(candidates, architectures, y=y, row_weights=row_weights, loss=self.loss).keep

    def _pool(
        self, candidates: Array, architectures: Sequence[Any], y: Array, row_weights: Array, keep: Array
    ) -> Pool:
        kept = [name for name, is_kept in zip(architectures, keep, strict=True) if is_kept]
        families = [json.loads(name)[0] for name in kept]
        return Pool(candidates[keep], y, self.loss, row_weights, families, kept)


def calibration_nats(calibration: Calibration, n_rows: int) -> float:
    """Bound on what a calibration learned, in nats: the methods, and half a log n for each number fitted."""
    n_numbers = {"temperature": 1, "isotonic": sum(len(x) for x, _ in calibration.steps)}
    methods = of_best_of(max(1, len(calibration.losses)))
    return methods + n_numbers.get(calibration.method, 0) * log(n_rows) / 2


def nats_of(method: str, n_candidates: int, n_members: int, n_rows: int) -> float:
    """Bound on what a choice of members and weights learned, in nats.

    Picks with replacement: their multisets. Exact weights: the set of members, and half a log n for each free
    weight (Rissanen 1978). The best ten alike: their set.
    """
    if method == "best":
        return of_best_of(n_candidates)
    if method in ("convex", "uniform"):
        free = (n_members - 1) * log(n_rows) / 2 if method == "convex" else 0.0
        return of_top_k(n_candidates, n_members) + free
    return of_greedy(n_candidates, N_ROUNDS)
