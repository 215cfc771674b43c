"""A user's compiled Keras model on all folds: by the engine where it can, by Keras' own ``fit`` where not."""

from __future__ import annotations

import json
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass, field
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from search.objective import INNER_FRACTION
from search.splits import Folds, make_folds
from search.training.engine import Engine, Job
from search.training.plan import Plan
from search.training.recipe import Recipe
from spaces.compiled import Compiled, NotHonoured, read_compiled
from spaces.mlp import ACTIVATION_OF_TASK
from spaces.task import Task

Array = NDArray[Any]
Build = Callable[[], keras.Model]
SMALLEST = 1e-7  # a probability that is turned back into a logit is at least this


class FoldError(ValueError):
    """Rows or options do not go with folds; the message is one line."""


@dataclass(frozen=True)
class Rows:
    """What is learned from: inputs, targets as the user's loss wants them, weights.

    Attributes
    ----------
    x : ndarray, shape (n_rows, ...)
    y : ndarray, shape (n_rows,) or (n_rows, n_outputs)
    sample_weight : ndarray, shape (n_rows,), or None
    """

    x: Array
    y: Array
    sample_weight: Array | None = None

    def __post_init__(self) -> None:
        if len(self.x) != len(self.y) or not len(self.x):
            raise FoldError(f"x and y must have the same rows, got {len(self.x)} and {len(self.y)}")
        if self.sample_weight is not None and len(self.sample_weight) != len(self.x):
            raise FoldError(f"sample_weight must have a number for each of {len(self.x)} rows")

    @property
    def codes(self) -> Array | None:
        """The class of each row as a number; None where the targets are no classes."""
        y = self.y
        if y.ndim == 2 and y.shape[1] > 1:
            is_one_hot = np.isin(y, (0, 1)).all() and (y.sum(axis=1) == 1).all()
            return np.asarray(y.argmax(axis=1)) if is_one_hot else None
        flat = y.reshape(len(y), -1)[:, 0]
        return flat.astype(np.int64) if np.array_equal(flat, np.round(flat)) else None


@dataclass(frozen=True)
class _SplitRows:
    """What `make_folds` asks of rows."""

    y: Array
    task: Task
    duplicates: Array
    groups: None = None
    time: None = None


def folds_of(rows: Rows, n_splits: int, n_repeats: int, seed: int, *, is_classified: bool) -> Folds:
    """Folds at random, equal inputs never on both sides; a class is missing from no member's training rows.

    Raises
    ------
    SplitError
        If there are too few rows, or rows of a class.
    """
    flat = rows.x.reshape(len(rows.x), -1)
    duplicates = np.unique(flat, axis=0, return_inverse=True)[1].reshape(-1)
    y, task = np.zeros((len(flat), 1)), Task("regression", ("y",))
    if is_classified and rows.codes is not None and np.ptp(rows.codes):
        classes, codes = np.unique(rows.codes, return_inverse=True)
        kind = "binary" if len(classes) == 2 else "multiclass"
        task = Task(kind, ("y",), tuple(classes.tolist()))  # type: ignore[arg-type]
        y = codes[:, None].astype(float) if kind == "binary" else np.eye(len(classes))[codes]
    split = _SplitRows(y, task, duplicates)
    rng = np.random.default_rng([seed, 1])
    return make_folds(split, n_splits=n_splits, n_repeats=n_repeats, is_stratified=False, rng=rng)


@dataclass(frozen=True)
class Options:
    """How a trial is trained beyond what its model was compiled with.

    Attributes
    ----------
    callbacks : list
        Copied for each fold; with any, Keras' own ``fit`` trains.
    others : mapping
        Further arguments of ``fit``, which the engine does not know.
    """

    epochs: int = 1
    batch_size: int = 32
    is_shuffled: bool = True
    callbacks: tuple[Any, ...] = ()
    others: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Folded:
    """One configuration on all folds.

    Attributes
    ----------
    outputs : (n_repeats, n_rows, n_outputs) float32
        What the member that held a row out says of it, as the model gives it out.
    weights : list of ndarray
        In the order of ``model.weights``, each ``(n_members, ...)``.
    epoch : int
        The common epoch of all members; 0 where ``fit`` trained and the last weights are kept.
    way : str
        ``stacked`` or ``looped`` (engine), or ``fit``.
    """

    outputs: NDArray[np.float32]
    weights: list[Array]
    epoch: int
    way: str


class Judge:
    """What a compiled model's own loss and metrics say of outputs.

    Parameters
    ----------
    model : keras.Model
        Built and compiled; its weights are of no consequence, penalties are left out.
    """

    def __init__(self, model: keras.Model) -> None:
        self._model = model

    def values(self, y: Array, outputs: Array, sample_weight: Array | None = None) -> dict[str, float]:
        """``val_loss`` and ``val_<metric>`` of rows."""
        model = self._model
        model.reset_metrics()
        given = {"x": None, "y": y, "y_pred": keras.ops.convert_to_tensor(outputs)}
        loss = model.compute_loss(**given, sample_weight=sample_weight)
        loss = float(loss) - sum(float(penalty) for penalty in model.losses)
        found = model.compute_metrics(**given, sample_weight=sample_weight)
        return {**{f"val_{name}": float(value) for name, value in found.items()}, "val_loss": loss}


class FoldTraining:
    """Trains compiled models on the folds of some rows; the engine's programs are kept.

    Parameters
    ----------
    rows : Rows
    folds : Folds
    objective : str
        ``val_loss`` or ``val_<metric>``: by it the common epoch is chosen.
    is_higher_better : bool
    """

    def __init__(self, rows: Rows, folds: Folds, objective: str, *, is_higher_better: bool) -> None:
        self._rows, self._folds, self.members = rows, folds, folds.members()
        self._objective, self._sign = objective, -1.0 if is_higher_better else 1.0
        self._engines: dict[tuple[str, int], Engine] = {}
        self._checked: set[Hashable] = set()
        self._judge: Judge | None = None
        self._compiled: Compiled | None = None

    def train(self, build: Build, options: Options, seed: int, values: Mapping[str, Any]) -> Folded:
        """Train all members by the engine.

        Raises
        ------
        NotHonoured
            If the engine cannot train this model as it is compiled, or with these options.
        Diverged
            When a loss is not finite.
        """
        for name in ("callbacks", "others"):
            if getattr(options, name):
                raise NotHonoured(f"the engine knows no {', '.join(options.others) or name}")
        model = self.built(build())
        compiled = read_compiled(model)
        kind, structure = self._kind(model, compiled), _structure(model, values)
        if structure not in self._checked and _has_preset_weights(model, self.built(build())):
            raise NotHonoured("the engine draws fresh weights, and this model brings its own")
        self._checked.add(structure)
        self._judge, self._compiled = Judge(model), compiled
        recipe = Recipe(
            **compiled.training,
            batch_size=options.batch_size,
            n_epochs=options.epochs,
            patience=0.0,
            is_shuffled=options.is_shuffled,
        )
        n_outputs = int(model.output_shape[-1])
        job = Job(
            structure=(structure, compiled.is_logits),
            build=lambda: _with_probabilities(self.built(build()), compiled, kind, self.shape),
            kind=kind,
            recipe=recipe,
            seed=seed,
        )
        trained = self._engine(kind, n_outputs, compiled).train(job)
        outputs = _as_outputs(trained.out_of_fold[trained.chosen_index], compiled)
        return Folded(outputs, trained.weights, trained.chosen_epoch, trained.way)

    def fit(
        self, build: Build, fit: Callable[..., Any], options: Options, seed: int, *, needs_validation: bool
    ) -> Folded:
        """Train member after member by ``fit(model, number, **arguments)``; the last weights are kept.

        Where callbacks or a ``fit`` of the user may look at validation rows, these are a part of the member's
        training rows: held-out rows are predicted once, at the end.
        """
        outputs, weights = None, []
        for number, member in enumerate(self.members):
            keras.utils.set_random_seed((seed + number) % 2**32)
            model = self.built(build())
            self._judge = Judge(model)
            arguments = self._fit_arguments(member.train, options)
            if needs_validation:
                arguments |= self._validation(member.train, seed + number)
            fit(model, number, **arguments)
            held = np.asarray(model.predict(self._rows.x[member.held], batch_size=1024, verbose=0))
            if outputs is None:
                shape = (self._folds.n_repeats, len(self._rows.x), *held.shape[1:])
                outputs = np.full(shape, np.nan, np.float32)
            outputs[member.repeat, member.held] = held
            weights.append([np.asarray(variable) for variable in model.weights])
        assert outputs is not None
        return Folded(outputs, [np.stack(w) for w in zip(*weights, strict=True)], 0, "fit")

    def _fit_arguments(self, train: Array, options: Options) -> dict[str, Any]:
        return {
            **self._part(train),
            "epochs": options.epochs,
            "batch_size": options.batch_size,
            "shuffle": options.is_shuffled,
            "callbacks": list(options.callbacks),
            "verbose": 0,
            **options.others,
        }

    def _validation(self, train: Array, seed: int) -> dict[str, Any]:
        """Training rows with a part set apart to be looked at."""
        order = np.random.default_rng(seed).permutation(train)
        n_apart = max(1, int(INNER_FRACTION * len(train)))
        apart, kept = order[:n_apart], np.sort(order[n_apart:])
        return {**self._part(kept), "validation_data": tuple(self._part(apart).values())}

    def _part(self, rows: Array) -> dict[str, Any]:
        given = self._rows
        weights = {} if given.sample_weight is None else {"sample_weight": given.sample_weight[rows]}
        return {"x": given.x[rows], "y": given.y[rows], **weights}

    def built(self, model: keras.Model) -> keras.Model:
        """The model with its weights made for these rows."""
        if not model.built:
            model.build((None, *self._rows.x.shape[1:]))
        return model

    def judged(self, outputs: Array) -> tuple[dict[str, float], list[float]]:
        """Loss and metrics of the model last trained, mean over repeats; the objective of each member."""
        assert self._judge is not None
        judge, rows = self._judge, self._rows
        weights = rows.sample_weight
        found = [judge.values(rows.y, values, weights) for values in outputs]
        mean = {name: float(np.mean([values[name] for values in found])) for name in found[0]}
        folds = []
        for member in self.members:
            held = member.held
            of_rows = None if weights is None else weights[held]
            folds.append(judge.values(rows.y[held], outputs[member.repeat, held], of_rows)[self._objective])
        return mean, folds

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of one row of the inputs."""
        return tuple(self._rows.x.shape[1:])

    def targets(self, n_outputs: int, compiled: Compiled) -> NDArray[np.float64]:
        """Targets ``(n_rows, n_outputs)``, classes as one-hot rows."""
        return _targets(self._rows.y, n_outputs, is_sparse=compiled.is_sparse)

    def _kind(self, model: keras.Model, compiled: Compiled) -> str:
        shape = model.output_shape
        if not isinstance(shape, tuple) or len(shape) != 2 or not isinstance(model.inputs, list):
            raise NotHonoured("the engine takes models of one output (n_rows, n_outputs)")
        if len(model.inputs) != 1:
            raise NotHonoured("the folds are those of one array")
        return compiled.kind(int(shape[1]))

    def _engine(self, kind: str, n_outputs: int, compiled: Compiled) -> Engine:
        if (kind, n_outputs) not in self._engines:
            plan = self._plan(self.targets(n_outputs, compiled))
            self._engines[kind, n_outputs] = Engine(plan, self._loss)
        return self._engines[kind, n_outputs]

    def _plan(self, y: Array) -> Plan:
        members, weights = self.members, self._rows.sample_weight
        units = (len(members), y.shape[1])
        return Plan(
            inputs=(self._rows.x,),
            y=y,
            train=tuple(member.train for member in members),
            held=tuple(member.held for member in members),
            repeat_of_member=tuple(member.repeat for member in members),
            target_center=np.zeros(units),
            target_scale=np.ones(units),
            row_weights=None if weights is None else weights / weights.mean(),
        )

    def _loss(self, y: Array, predictions: Array, weights: Array | None = None) -> float:
        """The objective of the model in training, turned so that lower is better."""
        assert self._judge is not None and self._compiled is not None
        as_given = y.argmax(axis=1) if self._compiled.is_sparse else y
        outputs = _as_outputs(predictions.astype(np.float32), self._compiled)
        return self._sign * self._judge.values(as_given, outputs, weights)[self._objective]


def probabilities(outputs: Array, compiled: Compiled | None) -> NDArray[np.float32]:
    """Outputs as predictions: with the sigmoid or softmax that a loss of logits applies."""
    if compiled is None or not compiled.is_logits:
        return np.asarray(outputs, np.float32)
    squash = keras.ops.sigmoid if compiled.loss.startswith("Binary") else keras.ops.softmax
    return np.asarray(squash(outputs), np.float32)


def _as_outputs(predictions: Array, compiled: Compiled) -> NDArray[np.float32]:
    """The inverse of `probabilities`; logits of a softmax up to a constant, which no loss sees."""
    if not compiled.is_logits:
        return np.asarray(predictions, np.float32)
    p = np.clip(predictions.astype(np.float64), SMALLEST, 1.0 - SMALLEST)
    logits = np.log(p) - np.log1p(-p) if compiled.loss.startswith("Binary") else np.log(p)
    return np.asarray(logits, np.float32)


def _targets(y: Array, n_outputs: int, *, is_sparse: bool) -> NDArray[np.float64]:
    """Targets as the engine takes them, ``(n_rows, n_outputs)``."""
    if not is_sparse:
        table = y.reshape(len(y), -1).astype(np.float64)
        if table.shape[1] != n_outputs:
            raise FoldError(f"y must have {n_outputs} columns for this model, got {table.shape[1]}")
        return table
    codes = y.reshape(-1).astype(np.int64)
    if codes.min() < 0 or codes.max() >= n_outputs:
        raise FoldError(f"classes must lie in 0..{n_outputs - 1}, got {codes.min()}..{codes.max()}")
    return np.eye(n_outputs)[codes]


def _with_probabilities(
    model: keras.Model, compiled: Compiled, kind: str, shape: tuple[int, ...]
) -> keras.Model:
    """The model with the activation that its loss of logits applies."""
    if not compiled.is_logits:
        return model
    inputs = keras.Input(shape)
    return keras.Model(inputs, keras.layers.Activation(ACTIVATION_OF_TASK[kind])(model(inputs)))


def _structure(model: keras.Model, values: Mapping[str, Any]) -> Hashable:
    """A key that models share when they differ in numbers of their training alone.

    A model of layers or functions that are not Keras' own may hide more than its description tells: its key
    holds all hyperparameters too.
    """
    try:
        told = json.loads(model.to_json())
    except (NotImplementedError, TypeError, ValueError) as error:
        raise NotHonoured(f"the engine takes models that Keras can describe: {error}") from error
    told.pop("compile_config", None)
    text = json.dumps({**told, "name": ""}, sort_keys=True)
    layers = list(model._flatten_layers())
    for number, layer in enumerate(layers):
        text = text.replace(json.dumps(layer.name), f'"#{number}"')
    is_plain = all(type(layer).__module__.startswith("keras.") for layer in layers)
    if is_plain and '"function"' not in text and '"__lambda__"' not in text:
        return text
    return (text, *sorted((name, repr(value)) for name, value in values.items()))


def _has_preset_weights(model: keras.Model, other: keras.Model) -> bool:
    """Whether two models fresh from one function share weights that are not all one number."""
    pairs = zip(model.trainable_variables, other.trainable_variables, strict=True)
    return any(
        np.ptp(a) > 0 and np.array_equal(a, b) for a, b in ((np.asarray(v), np.asarray(w)) for v, w in pairs)
    )
