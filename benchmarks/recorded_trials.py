"""Trials as a study records them, without training: curves, predictions and models are made up at once."""

from __future__ import annotations

from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from search.training.limits import Limits
from search.training.plan import Plan
from search.training.trained import Request, Trained
from spaces.task import Task

Array = NDArray[Any]
N_COLUMNS = 6
TRAINING_SECONDS = 0.1  # that a trial says it took


def write_table(path: Path, n_rows: int, seed: int = 0) -> None:
    """A table of numbers with two classes, whose logit is the sum of the columns."""
    rng = np.random.default_rng(seed)
    numbers = rng.normal(size=(n_rows, N_COLUMNS))
    is_ill = rng.random(n_rows) < 1.0 / (1.0 + np.exp(-numbers.sum(axis=1)))
    frame = pd.DataFrame(numbers, columns=[f"x{i}" for i in range(N_COLUMNS)])
    frame.assign(ill=np.where(is_ill, "yes", "no")).to_csv(path, index=False)


class Recorded:
    """Stands where `search.training.workshop.Workshop` stands, for two classes and the log loss.

    The logits of a trial are a share of the true one and noise, of which a part is its own; the share grows
    with the epochs, and so does the noise. What ends a training ends it here too: ceilings and patience.
    """

    def __init__(self, plan: Plan, metric: str, task: Task, n_workers: int, limits: Limits) -> None:
        assert metric == "log_loss" and task.kind == "binary", (metric, task.kind)
        self._plan = plan
        n_repeats, rng = plan.n_repeats, np.random.default_rng(0)
        self._truth = plan.inputs[0].sum(axis=1)
        self._shared = rng.normal(size=(n_repeats, len(plan.y)))
        self._share_of_row = np.zeros((n_repeats, len(plan.y)))
        for repeat, rows in zip(plan.repeat_of_member, plan.held, strict=True):
            self._share_of_row[repeat, rows] = 1.0 / (len(rows) * len(plan.held))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        return None

    def train(self, request: Request) -> Trained:
        """What a training of the request might have given."""
        rng, looks = np.random.default_rng(request.seed), request.recipe.looks
        tables = self._tables(rng, np.asarray(looks))
        curve = self._losses(tables)
        n, is_pruned = _n_looks(curve, request)
        best = int(curve[:n].argmin())
        n_members = len(self._plan.held)
        return Trained(
            checkpoints=looks[:n],
            curve=tuple(curve[:n].tolist()),
            train_curve=tuple((0.7 * curve[:n]).tolist()),
            chosen_epoch=looks[best],
            member_epochs=(looks[best],) * n_members,
            chosen_index=best,
            kept_epochs=looks[:n],
            out_of_fold=tables[:n],
            weights=[rng.normal(size=(n_members, N_COLUMNS, 8)).astype(np.float32)],
            architecture="{}",
            train_loss=float(0.7 * curve[best]),
            n_parameters=N_COLUMNS * 8,
            way="stacked",
            is_traced=False,
            is_pruned=is_pruned,
            fit_seconds=TRAINING_SECONDS,
            predict_seconds_per_1000=0.001,
            peak_memory_mb=500.0,
        )

    def _tables(self, rng: np.random.Generator, looks: Array) -> NDArray[np.float32]:
        """Probabilities `(n_looks, n_repeats, n_rows, 1)`."""
        done = np.log1p(looks) / np.log1p(looks[-1])
        skill, spread, end = rng.beta(4.0, 1.5), rng.lognormal(-0.3, 0.3), rng.uniform(0.3, 1.2)
        own = rng.normal(size=(2, *self._shared.shape))
        noise = 0.6 * self._shared + own[0] + (end * done**3)[:, None, None] * own[1]
        share = skill * (1.0 - np.exp(-4.0 * done))
        logits = share[:, None, None] * self._truth + spread * noise
        p = 1.0 / (1.0 + np.exp(-logits))
        return np.where(self._share_of_row > 0, p, np.nan).astype(np.float32)[..., None]

    def _losses(self, tables: Array) -> Array:
        """The mean of the members' log losses at each look."""
        p = np.clip(np.where(np.isnan(tables), 0.5, tables)[..., 0].astype(np.float64), 1e-7, 1 - 1e-7)
        y = self._plan.y[:, 0]
        by_row = -(y * np.log(p) + (1.0 - y) * np.log1p(-p))
        return np.asarray(np.tensordot(by_row, self._share_of_row, axes=2))


def _n_looks(curve: Array, request: Request) -> tuple[int, bool]:
    """How many looks there are until something ends the training, and whether that is pruning."""
    recipe, best, best_epoch = request.recipe, np.inf, 0
    for n, (epoch, loss) in enumerate(zip(recipe.looks, curve, strict=True), start=1):
        if loss < best:
            best, best_epoch = loss, epoch
        if best > request.ceilings.get(epoch, np.inf):
            return n, True
        if recipe.patience and epoch >= max(25, recipe.patience * best_epoch):
            return n, False
    return len(curve), False
