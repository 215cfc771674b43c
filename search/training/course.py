"""The course of one training: from look to look until the epochs, the patience or the pruner end it."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from search.training.plan import Plan
from search.training.recipe import PATIENCE_FROM_EPOCH, Recipe
from search.training.trained import Diverged, State, pooled_loss

Array = NDArray[Any]
Weights = list[Array]
MOST_KEPT_BYTES = 64 * 2**20


class Trainer(Protocol):
    """Members in training."""

    weights: Weights

    def advance(self, n_epochs: int) -> Array:
        """Train further epochs; the mean training losses ``(n_epochs, n_members)``."""

    def predict(self, rows: Sequence[Array]) -> list[Array]:
        """Each member's predictions ``(n_rows of it, n_outputs)`` on its rows."""


class Course:
    """The course of one training: from look to look until the epochs, the patience or the pruner end it.

    Parameters
    ----------
    stop : int, optional
        Epoch at which it stops for now, and that is looked at; by default the recipe's last.
    """

    def __init__(
        self,
        plan: Plan,
        loss: Callable[..., float],
        trainer: Trainer,
        recipe: Recipe,
        ceilings: Mapping[int, float],
        deadline: float | None = None,
        stop: int | None = None,
    ) -> None:
        self._plan, self._loss, self._trainer, self._stop = plan, loss, trainer, stop
        self._recipe, self._ceilings, self._deadline = recipe, ceilings, deadline
        self._choice = recipe.epoch_choice
        self.epochs: list[int] = []
        self.curve: list[float] = []
        self.train_curve: list[float] = []
        self._tables: list[Array] = []
        self._member_loss = np.full(plan.n_members, np.inf)
        self.member_epochs = np.zeros(plan.n_members, int)
        self.best_loss = np.inf
        self.best_weights: Weights = []
        self.is_pruned = False
        self._n_done = 0

    @property
    def best_epoch(self) -> int:
        """The common epoch, or the median of the members' own."""
        return int(np.median(self.member_epochs))

    def run(self) -> None:
        """Train from checkpoint to checkpoint."""
        ends = self._ends()
        for epoch in ends:
            train_loss = float(np.mean(self._trainer.advance(epoch - self._n_done)[-1]))
            self._n_done = epoch
            if self._choice == "fixed" and epoch < ends[-1]:
                continue
            self._look(epoch, train_loss)
            if self._is_over(epoch):
                break

    def _ends(self) -> list[int]:
        """Epochs up to which it is still to be trained; the same for a training in one go as in stretches."""
        known = self._recipe.checkpoints or self._recipe.looks
        last = known[-1] if self._stop is None else self._stop
        return [epoch for epoch in sorted({*known, last}) if self._n_done < epoch <= last]

    @property
    def state(self) -> dict[str, Array]:
        """Where it stands, but for the trainer: epochs done, curves, tables, best weights so far.

        Of a course that chooses nothing the epochs alone: what was looked at before the last is not kept.
        """
        done = {"course_done": np.array(self._n_done)}
        if self._choice == "fixed":
            return done
        best = {f"best_{place:03d}": values for place, values in enumerate(self.best_weights)}
        return {
            **done,
            **best,
            "course_epochs": np.array(self.epochs),
            "course_curve": np.array(self.curve),
            "course_train_curve": np.array(self.train_curve),
            "course_member_loss": self._member_loss,
            "course_member_epochs": self.member_epochs,
            "course_best_loss": np.array(self.best_loss),
            **({"course_tables": np.stack(self._tables)} if self._tables else {}),
        }

    def go_on(self, state: State) -> None:
        """Go on from where another course of the same training stopped."""
        self._n_done = int(state["course_done"])
        if self._choice == "fixed":
            return
        self.epochs, self.curve = state["course_epochs"].tolist(), state["course_curve"].tolist()
        self.train_curve = state["course_train_curve"].tolist()
        self.best_loss = float(state["course_best_loss"])
        self._member_loss = state["course_member_loss"].copy()
        self.member_epochs = state["course_member_epochs"].copy()
        self._tables = list(state.get("course_tables", ()))
        self.best_weights = [state[name].copy() for name in sorted(state) if name.startswith("best_")]

    def _look(self, epoch: int, train_loss: float) -> None:
        loss, member_losses = self._validate()
        if not (np.isfinite(train_loss) and np.isfinite(loss)):
            raise Diverged(
                f"the loss is not finite at epoch {epoch}: training {train_loss}, validation {loss}"
            )
        self.epochs.append(epoch)
        self.curve.append(loss)
        self.train_curve.append(train_loss)
        is_better = member_losses < self._member_loss
        if is_better.any():
            self._take_weights(is_better)
            self._member_loss[is_better] = member_losses[is_better]
            self.member_epochs[is_better] = epoch
        self.best_loss = min(self.best_loss, loss)

    def _validate(self) -> tuple[float, Array]:
        """The mean loss of this look, and the loss by which each member's epoch is chosen."""
        plan = self._plan
        rows = plan.stop if self._choice == "inner" and plan.stop is not None else plan.held
        predictions = self._trainer.predict(rows)
        if not all(np.isfinite(values).all() for values in predictions):
            return np.nan, np.full(plan.n_members, np.nan)
        if self._choice != "inner":
            self._tables.append(plan.out_of_fold(predictions))
        if self._choice in ("common", "fixed"):
            loss = pooled_loss(self._loss, plan.y, self._tables[-1], plan.row_weights)
            return loss, np.full(plan.n_members, loss)
        given = enumerate(zip(rows, predictions, strict=True))
        losses = np.array(
            [self._loss(plan.y[r], plan.in_units(m, p), *plan.weights_of(r)) for m, (r, p) in given]
        )
        return float(losses.mean()), losses

    def _take_weights(self, is_better: Array) -> None:
        """Copy the weights of the members that are better than before."""
        current = self._trainer.weights
        if is_better.all() or not self.best_weights:
            self.best_weights = current
            return
        for kept, new in zip(self.best_weights, current, strict=True):
            kept[is_better] = new[is_better]

    def _is_over(self, epoch: int) -> bool:
        recipe = self._recipe
        self.is_pruned = self.best_loss > self._ceilings.get(epoch, np.inf)
        latest = int(self.member_epochs.max())
        is_stale = bool(recipe.patience) and epoch >= max(PATIENCE_FROM_EPOCH, recipe.patience * latest)
        is_late = self._deadline is not None and time.monotonic() > self._deadline
        return self.is_pruned or is_stale or is_late

    def kept(self) -> dict[str, Any]:
        """Epochs and predictions to keep: all looks, or as many as the bytes allow, with the chosen ones."""
        plan = self._plan
        if self._choice == "inner":
            chosen = plan.out_of_fold(self._trainer.predict(plan.held))
            return {"kept_epochs": (self.best_epoch,), "chosen_index": 0, "out_of_fold": chosen[None]}
        n_most = max(1, MOST_KEPT_BYTES // self._tables[0].nbytes)
        step = -(-len(self.epochs) // n_most)
        must = set(self.member_epochs.tolist())
        indices = [i for i, e in enumerate(self.epochs) if i % step == 0 or e in must]
        epochs = tuple(self.epochs[i] for i in indices)
        tables = [self._tables[i] for i in indices]
        if self._choice == "fold":
            tables.append(self._composed(epochs, tables))
            return {"kept_epochs": epochs, "chosen_index": len(epochs), "out_of_fold": np.stack(tables)}
        index = epochs.index(self.best_epoch)
        return {"kept_epochs": epochs, "chosen_index": index, "out_of_fold": np.stack(tables)}

    def _composed(self, epochs: tuple[int, ...], tables: list[Array]) -> Array:
        """Each member's held rows as they were predicted at its own epoch."""
        plan, composed = self._plan, np.full_like(tables[0], np.nan)
        for member, rows in enumerate(plan.held):
            repeat = plan.repeat_of_member[member]
            composed[repeat, rows] = tables[epochs.index(int(self.member_epochs[member]))][repeat, rows]
        return composed
