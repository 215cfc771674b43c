"""Histories with known truth: simulated predictions of noisy models, without training."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from ensemble import collapse, select
from reports.history import History
from reports.replay import ChooseMembers, Rule
from search import metrics
from search.metrics import Metric
from search.pruning import Ceilings
from spaces.task import Task

BINARY = Task("binary", ("y",), (0, 1))
LOOKS = (4, 8, 16, 32, 64)


def sigmoid(z: Any) -> Any:
    return 1.0 / (1.0 + np.exp(-z))


def choose_for(metric: Metric) -> ChooseMembers:
    """What the composition root passes: near-identical candidates collapsed, then greedy selection."""
    loss: Any = {"log_loss": "log_loss", "rmse": "squared_error"}.get(metric.name) or (
        lambda y, p, w: metrics.loss(metric, y, p, w)
    )

    def choose(candidates: Any, architectures: Sequence[Any], y: Any, row_weights: Any) -> Any:
        keep = collapse(candidates, architectures, y=y, row_weights=row_weights, loss=loss).keep
        weights = np.zeros(len(candidates))
        weights[keep] = select(candidates[keep], y, loss=loss, row_weights=row_weights, n_rounds=8).weights
        return weights

    return choose


def first_only(candidates: Any, architectures: Sequence[Any], y: Any, row_weights: Any) -> Any:
    """An ensemble of the best candidate alone."""
    return np.eye(len(candidates))[0]


def rule_for(name: str, task: Task = BINARY, **changes: Any) -> Rule:
    metric = metrics.metric_for(name, task)
    facts: dict[str, Any] = {"choose_members": choose_for(metric), "ceilings": Ceilings, "looks": LOOKS}
    return Rule(metric, **(facts | changes))


class World:
    """Noisy models of one truth: `draw` gives predictions `(n_trials, n_epochs, n_rows)` and targets."""

    def __init__(self, seed: int, *, n_trials: int, n_epochs: int, signal: float) -> None:
        self.rng = np.random.default_rng(seed)
        self.signal, self.shape = signal, (n_trials, n_epochs)
        by_trial = np.exp(self.rng.normal(0.0, 0.4, (n_trials, 1, 1)))
        self.noise = 1.2 * by_trial * np.exp(self.rng.normal(0.0, 0.15, (1, n_epochs, 1)))

    def draw(self, n_rows: int) -> tuple[np.ndarray, np.ndarray]:
        n_trials, n_epochs = self.shape
        truth, rng = self.rng.normal(0.0, self.signal, n_rows), self.rng
        common, by_trial = rng.normal(size=n_rows), rng.normal(size=(n_trials, 1, n_rows))
        own = rng.normal(size=(n_trials, n_epochs, n_rows))
        z = 0.55 * common + 0.72 * by_trial + 0.42 * own
        y = (rng.random(n_rows) < sigmoid(truth)).astype(np.float64)
        return sigmoid(0.8 * (truth + self.noise * z)), y


def history(predictions: np.ndarray, y: np.ndarray, **changes: Any) -> History:
    """A history of predictions `(n_trials, n_epochs, n_rows)`, or with repeats and outputs."""
    tables = predictions[:, :, None, :, None] if predictions.ndim == 3 else predictions
    n_trials, n_epochs = tables.shape[:2]
    facts: dict[str, Any] = {
        "y": y.reshape(tables.shape[3], -1),
        "numbers": tuple(range(n_trials)),
        "is_completed": np.ones(n_trials, bool),
        "architectures": tuple(range(n_trials)),
        "epochs": ((LOOKS if n_epochs == len(LOOKS) else tuple(range(1, n_epochs + 1))),) * n_trials,
        "predictions": tuple(tables),
        "units": np.arange(tables.shape[3]),
    }
    return History(**(facts | changes))


def small(
    seed: int = 0, *, n_trials: int = 8, n_rows: int = 60, n_repeats: int = 2, **changes: Any
) -> History:
    """A history with repeats, at the epochs `LOOKS`."""
    world = World(seed, n_trials=n_trials, n_epochs=len(LOOKS), signal=1.5)
    predictions, y = world.draw(n_rows)
    jitter = world.rng.normal(0.0, 0.05, (n_trials, len(LOOKS), n_repeats, n_rows))
    tables = np.clip(predictions[:, :, None] + jitter, 0.01, 0.99)[..., None]
    return history(tables.astype(np.float32), y, **changes)


def fold_histories(
    tables: np.ndarray, y: np.ndarray, *, n_folds: int, n_repeats: int = 1, **changes: Any
) -> History:
    """The same predictions, with rows dealt to folds in turn, so that each fold chooses its own epoch."""
    rows = np.arange(len(y))
    shifted = np.stack([rows // n_folds**repeat % n_folds for repeat in range(n_repeats)])
    return history(tables, y, **({"fold_of_row": shifted} | changes))
