"""One configuration of a network trained on all members; compiled programs are kept and reused."""

from __future__ import annotations

import ctypes
import gc
import resource
import time
from collections import OrderedDict
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from search.preprocess import learn_limits
from search.training.attended import AttendedTrainer
from search.training.callbacks import Callbacks
from search.training.course import Course, Weights
from search.training.craft import Craft, class_weights
from search.training.initial import fresh_weights
from search.training.plan import Plan
from search.training.program import Program
from search.training.recipe import Recipe, new_optimizer, recipe_for
from search.training.trained import Request, State, Trained
from search.training.trainers import FitTrainer, LoopedTrainer, NetworkTrainer, StackedTrainer
from search.training.ways import Way, choose_way
from spaces.families import family_of

Array = NDArray[Any]
MOST_TRAINING_ROWS_SCORED = 2000

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
    deadline : float or None
        Seconds by `time.monotonic` after which training ends at the next checkpoint.
    stop, state : int or None, mapping or None
        As in `Request`: where training stops for now, and from where it goes on.
    callbacks : Callbacks or None
        As in `Request`: who attends it.
    """

    structure: Hashable
    build: Callable[[], keras.Model]
    kind: str
    recipe: Recipe
    dials: Mapping[str, float] = field(default_factory=dict)
    seed: int = 0
    ceilings: Mapping[int, float] = field(default_factory=dict)
    deadline: float | None = None
    stop: int | None = None
    state: State | None = None
    callbacks: Callbacks | None = None


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
        weights = plan.row_weights
        self._row_weights = None if weights is None else tf.constant(weights, tf.float32)
        self._constants = {**_limits(plan), **plan.constants}
        self._programs: OrderedDict[Hashable, tuple[keras.Model, NetworkTrainer, Way]] = OrderedDict()
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
        model, trainer, way, recipe = self._started(job)
        course = Course(self._plan, self._loss, trainer, recipe, job.ceilings, job.deadline, job.stop)
        if job.state is not None:
            trainer.go_on(job.state)
            course.go_on(job.state)
        try:
            course.run()
        finally:
            if isinstance(trainer, AttendedTrainer):
                trainer.end()
        is_to_go_on = job.stop is not None and job.stop < recipe.n_epochs
        state = {**trainer.state, **course.state} if is_to_go_on else None
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
            architecture=_architecture(job, model, way.name),
            train_loss=train_loss,
            n_parameters=int(sum(np.prod(v.shape) for v in model.trainable_variables)),
            way=way.name,
            way_reason=way.reason,
            is_traced=self.n_traced > n_before,
            is_pruned=course.is_pruned,
            fit_seconds=fit_seconds,
            predict_seconds_per_1000=seconds,
            peak_memory_mb=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
            state=state,
        )

    def train_request(self, request: Request) -> Trained:
        """Train a configuration of a registered family; see `train`."""
        return self.train(_job_of(request))

    def training_losses(self, request: Request, most: float = np.inf) -> Array:
        """Mean training losses ``(n_done, n_members)`` of epoch after epoch; no held-out row is looked at.

        The last epoch is that of the recipe, or the first whose losses are not finite or, in the mean, above
        ``most`` times those of the first.
        """
        _, trainer, _, recipe = self._started(_job_of(request))
        losses: list[Array] = []
        while len(losses) < recipe.n_epochs:
            losses.extend(trainer.advance(1))
            if not np.isfinite(losses[-1]).all() or losses[-1].mean() > most * losses[0].mean():
                break
        return np.stack(losses)

    def _started(self, job: Job) -> tuple[keras.Model, NetworkTrainer, Way, Recipe]:
        """Members at their initial weights, and the recipe as their task allows it."""
        model, trainer, way = self._prepared(job)
        recipe = replace(job.recipe, label_smoothing=0.0) if job.kind == "regression" else job.recipe
        weights = self._initial_weights(job, model)
        if isinstance(trainer, AttendedTrainer) and job.callbacks is not None:
            trainer.attend(job.callbacks)
        trainer.start(weights, recipe, job.seed, class_weights(self._plan, recipe, job.kind))
        return model, trainer, way, recipe

    def _prepared(self, job: Job) -> tuple[keras.Model, NetworkTrainer, Way]:
        key = (job.structure, job.recipe.optimizer, job.kind, Craft.of(job.recipe), job.callbacks is None)
        if key not in self._programs:
            self._programs[key] = self._new(job)
            self.n_traced += 1
            while len(self._programs) > self._n_programs:
                self._programs.popitem(last=False)
                _return_memory()
        self._programs.move_to_end(key)
        return self._programs[key]

    def _new(self, job: Job) -> tuple[keras.Model, NetworkTrainer, Way]:
        model, plan = job.build(), self._plan
        loss, optimizer = LOSSES[job.kind](reduction=None), new_optimizer(job.recipe.optimizer)
        uniform = 1.0 / plan.y.shape[1] if job.kind == "multiclass" else 0.5
        if job.callbacks is not None:
            return (
                model,
                AttendedTrainer(model, optimizer, loss, plan, uniform),
                Way("fit", "callbacks attend it"),
            )
        way = choose_way(model, plan)
        if way.name == "fit":
            return model, FitTrainer(model, optimizer, LOSSES[job.kind](), plan, uniform), way
        n_stacked = plan.n_members if way.name == "stacked" else 1
        program = Program(
            model, optimizer, loss, n_stacked, self._inputs, self._y, self._row_weights, uniform,
            Craft.of(job.recipe),
        )  # fmt: skip
        trainer = StackedTrainer(program, plan) if way.name == "stacked" else LoopedTrainer(program, plan)
        return model, trainer, way

    def _initial_weights(self, job: Job, model: keras.Model) -> Weights:
        """Fresh weights, with the members' constants and the dials in their places."""
        seeds = np.random.SeedSequence([job.seed, 1]).generate_state(self._plan.n_members)
        weights = fresh_weights(model, job.build, [int(s) for s in seeds])
        for index, variable in enumerate(model.variables):
            constant = next((v for path, v in self._constants.items() if variable.path.endswith(path)), None)
            if constant is not None:
                weights[index] = constant
            elif variable.name in job.dials:
                weights[index] = np.full_like(weights[index], job.dials[variable.name])
        return weights

    def _train_loss(self, trainer: NetworkTrainer) -> tuple[float, float]:
        """The study's loss on training rows, and the seconds to predict 1,000 rows with all members."""
        plan = self._plan
        rows = [r[:: 1 + len(r) // MOST_TRAINING_ROWS_SCORED] for r in plan.train]
        started = time.perf_counter()
        predictions = trainer.predict(rows)
        seconds = (time.perf_counter() - started) * 1000 / max(len(r) for r in rows)
        losses = [
            self._loss(plan.y[r], plan.in_units(m, p), *plan.weights_of(r))
            for m, (r, p) in enumerate(zip(rows, predictions, strict=True))
        ]
        return float(np.mean(losses)), seconds


def _job_of(request: Request) -> Job:
    family = family_of(request.family)
    return Job(
        structure=(request.family, family.structure(request.config)),
        build=lambda: family.build(request.config, request.signature),
        kind=request.signature.task.kind,
        recipe=recipe_for(family.training(request.config, request.signature), request.recipe),
        dials=family.dials(request.config),
        seed=request.seed,
        ceilings=request.ceilings,
        deadline=request.deadline,
        stop=request.stop,
        state=request.state,
        callbacks=request.callbacks,
    )


def _architecture(job: Job, model: keras.Model, way: str) -> str:
    """The architecture to save; a model that callbacks attended was compiled, which has no place in it."""
    if job.callbacks is not None:
        return str(job.build().to_json())
    return model.to_json() if way != "fit" else ""


def _limits(plan: Plan) -> dict[str, Array]:
    """Range of each member's training targets, for the layer that holds predictions within it."""
    units = zip(plan.train, plan.target_center, plan.target_scale, strict=True)
    limits = [learn_limits(plan.y, center, scale, rows) for rows, center, scale in units]
    return {
        "limit/low": np.stack([low for low, _ in limits]),
        "limit/high": np.stack([high for _, high in limits]),
    }


def _return_memory() -> None:
    """Free what a dropped program held, and give it back to the system where the C library can."""
    gc.collect()
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)
