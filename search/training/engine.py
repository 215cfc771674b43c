"""One configuration trained on all members: looks, common epoch, patience, out-of-fold predictions."""

from __future__ import annotations

import ctypes
import gc
import resource
import time
from collections import OrderedDict
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass, field
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from search.training.initial import fresh_weights
from search.training.plan import Plan
from search.training.program import Program
from search.training.recipe import PATIENCE_FROM_EPOCH, Recipe, new_optimizer
from search.training.trained import Diverged, Request, Trained, pooled_loss
from search.training.trainers import FitTrainer, LoopedTrainer, StackedTrainer, Trainer, Weights, way_of
from spaces.families import FAMILIES

Array = NDArray[Any]
MOST_TRAINING_ROWS_SCORED = 2000
MOST_KEPT_BYTES = 64 * 2**20

LOSSES = {
    "binary": keras.losses.BinaryCrossentropy,
    "multilabel": keras.losses.BinaryCrossentropy,
    "multiclass": keras.losses.CategoricalCrossentropy,
    "regression": keras.losses.MeanSquaredError,
}


@dataclass(frozen=True)
class Job:
    """One configuration to train.

    Attributes
    ----------
    structure : hashable
        Key of the compiled program: equal keys mean models that differ in numbers alone.
    build : callable
        A new, untrained model of that structure.
    kind : str
        The task's kind, which names the loss.
    recipe : Recipe
        How to train.
    dials : mapping
        Values of the model's dials, by weight name.
    seed : int
        Of initial weights, orders and noise.
    ceilings : mapping of int to float
        Pruning: training stops at a checkpoint epoch where the best loss so far is above this.
    """

    structure: Hashable
    build: Callable[[], keras.Model]
    kind: str
    recipe: Recipe
    dials: Mapping[str, float] = field(default_factory=dict)
    seed: int = 0
    ceilings: Mapping[int, float] = field(default_factory=dict)


class Engine:
    """Trains configurations on one plan; programs are kept and reused by structure.

    Parameters
    ----------
    plan : Plan
        Rows and members.
    validation_loss : callable
        ``validation_loss(y, predictions) -> float`` on pooled rows ``(n, n_outputs)``; lower is better.
    n_programs : int
        Compiled programs kept at a time; the one used longest ago goes first.
    """

    def __init__(
        self, plan: Plan, validation_loss: Callable[[Array, Array], float], n_programs: int = 8
    ) -> None:
        self._plan, self._loss, self._n_programs = plan, validation_loss, n_programs
        self._inputs = [tf.constant(values) for values in plan.inputs]
        self._y = tf.constant(plan.y, tf.float64)
        self._programs: OrderedDict[Hashable, tuple[keras.Model, Trainer, str]] = OrderedDict()
        self.n_traced = 0

    def train(self, job: Job) -> Trained:
        """Train all members of one configuration.

        Raises
        ------
        Diverged
            When a training or validation loss is not finite.
        """
        started = time.perf_counter()
        n_before = self.n_traced
        model, trainer, way = self._prepared(job)
        weights = self._initial_weights(job, model)
        trainer.start(weights, job.recipe, job.seed)
        course = _Course(self._plan, self._loss, trainer, job)
        course.run()
        fit_seconds = time.perf_counter() - started
        trainer.weights = course.best_weights
        train_loss, seconds = self._train_loss(trainer)
        is_saved = [any(v is w for w in model.weights) for v in model.variables]
        return Trained(
            checkpoints=tuple(course.epochs),
            curve=tuple(course.curve),
            train_curve=tuple(course.train_curve),
            chosen_epoch=course.best_epoch,
            member_epochs=tuple(course.member_epochs.tolist()),
            **course.kept(),
            weights=[w for w, keep in zip(course.best_weights, is_saved, strict=True) if keep],
            architecture=model.to_json() if way != "fit" else "",
            train_loss=train_loss,
            n_parameters=int(sum(np.prod(v.shape) for v in model.trainable_variables)),
            way=way,  # type: ignore[arg-type]
            is_traced=self.n_traced > n_before,
            is_pruned=course.is_pruned,
            fit_seconds=fit_seconds,
            predict_seconds_per_1000=seconds,
            peak_memory_mb=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        )

    def train_request(self, request: Request) -> Trained:
        """Train a configuration of a registered family; see `train`."""
        family = FAMILIES[request.family]
        return self.train(
            Job(
                structure=(request.family, family.structure(request.config)),
                build=lambda: family.build(request.config, request.signature),
                kind=request.signature.task.kind,
                recipe=request.recipe,
                dials=family.dials(request.config),
                seed=request.seed,
                ceilings=request.ceilings,
            )
        )

    def _prepared(self, job: Job) -> tuple[keras.Model, Trainer, str]:
        key = (job.structure, job.recipe.optimizer, job.kind)
        if key not in self._programs:
            self._programs[key] = self._new(job)
            self.n_traced += 1
            while len(self._programs) > self._n_programs:
                self._programs.popitem(last=False)
                _return_memory()
        self._programs.move_to_end(key)
        return self._programs[key]

    def _new(self, job: Job) -> tuple[keras.Model, Trainer, str]:
        model, plan = job.build(), self._plan
        loss, optimizer = LOSSES[job.kind](reduction=None), new_optimizer(job.recipe.optimizer)
        way = way_of(model, plan)
        if way == "fit":
            return model, FitTrainer(model, optimizer, LOSSES[job.kind](), plan), way
        n_stacked = plan.n_members if way == "stacked" else 1
        program = Program(model, optimizer, loss, n_stacked, self._inputs, self._y)
        trainer = StackedTrainer(program, plan) if way == "stacked" else LoopedTrainer(program, plan)
        return model, trainer, way

    def _initial_weights(self, job: Job, model: keras.Model) -> Weights:
        """Fresh weights, with the members' constants and the dials in their places."""
        seeds = np.random.SeedSequence([job.seed, 1]).generate_state(self._plan.n_members)
        weights = fresh_weights(model, job.build, [int(s) for s in seeds])
        for index, variable in enumerate(model.variables):
            constant = next(
                (v for path, v in self._plan.constants.items() if variable.path.endswith(path)), None
            )
            if constant is not None:
                weights[index] = constant
            elif variable.name in job.dials:
                weights[index] = np.full_like(weights[index], job.dials[variable.name])
        return weights

    def _train_loss(self, trainer: Trainer) -> tuple[float, float]:
        """The study's loss on training rows, and the seconds to predict 1,000 rows with all members."""
        plan = self._plan
        rows = [r[:: 1 + len(r) // MOST_TRAINING_ROWS_SCORED] for r in plan.train]
        started = time.perf_counter()
        predictions = trainer.predict(rows)
        seconds = (time.perf_counter() - started) * 1000 / max(len(r) for r in rows)
        losses = [
            self._loss(plan.y[r], plan.in_units(m, p))
            for m, (r, p) in enumerate(zip(rows, predictions, strict=True))
        ]
        return float(np.mean(losses)), seconds


class _Course:
    """The course of one training: from look to look until the epochs, the patience or the pruner end it."""

    def __init__(self, plan: Plan, loss: Callable[[Array, Array], float], trainer: Trainer, job: Job) -> None:
        self._plan, self._loss, self._trainer, self._job = plan, loss, trainer, job
        self._choice = job.recipe.epoch_choice
        self.epochs: list[int] = []
        self.curve: list[float] = []
        self.train_curve: list[float] = []
        self._tables: list[Array] = []
        self._member_loss = np.full(plan.n_members, np.inf)
        self.member_epochs = np.zeros(plan.n_members, int)
        self.best_loss = np.inf
        self.best_weights: Weights = []
        self.is_pruned = False

    @property
    def best_epoch(self) -> int:
        """The common epoch, or the median of the members' own."""
        return int(np.median(self.member_epochs))

    def run(self) -> None:
        """Train from checkpoint to checkpoint."""
        done = 0
        for epoch in self._job.recipe.looks:
            train_loss = float(np.mean(self._trainer.advance(epoch - done)[-1]))
            done = epoch
            self._look(epoch, train_loss)
            if self._is_over(epoch):
                break

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
            loss = pooled_loss(self._loss, plan.y, self._tables[-1])
            return loss, np.full(plan.n_members, loss)
        given = enumerate(zip(rows, predictions, strict=True))
        losses = np.array([self._loss(plan.y[r], plan.in_units(m, p)) for m, (r, p) in given])
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
        recipe = self._job.recipe
        self.is_pruned = self.best_loss > self._job.ceilings.get(epoch, np.inf)
        latest = int(self.member_epochs.max())
        is_stale = bool(recipe.patience) and epoch >= max(PATIENCE_FROM_EPOCH, recipe.patience * latest)
        return self.is_pruned or is_stale

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


def _return_memory() -> None:
    """Free what a dropped program held, and give it back to the system where the C library can."""
    gc.collect()
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)
