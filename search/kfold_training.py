"""A user's compiled Keras model on all folds: by the engine where it can, by Keras' own ``fit`` where not."""

from __future__ import annotations

import json
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass, field
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from search.kfold_inputs import FoldError as FoldError
from search.kfold_outputs import as_outputs, head_of, targets
from search.kfold_rows import Rows
from search.objective import INNER_FRACTION
from search.splits import Folds
from search.training.engine import Engine, Job
from search.training.plan import Plan
from search.training.recipe import Recipe, checkpoint_epochs
from search.training.trained import State, Stretch
from spaces.compiled import Compiled, NotHonoured, read_compiled

Array = NDArray[Any]
Build = Callable[[], keras.Model]


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
    state : mapping of str to ndarray, or None
        Where the members stopped, if they may go on.
    """

    outputs: NDArray[np.float32]
    weights: list[Array]
    epoch: int
    way: str
    state: State | None = None


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

    def train(
        self,
        build: Build,
        options: Options,
        seed: int,
        values: Mapping[str, Any],
        stretch: Stretch | None = None,
    ) -> Folded:
        """Train all members by the engine; of a stretch, each goes on from its own last epoch.

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
        n_epochs = options.epochs if stretch is None else stretch.looks[-1]
        looks = None if stretch is None else tuple(sorted({*checkpoint_epochs(n_epochs), *stretch.looks}))
        recipe = Recipe(
            **compiled.training,
            batch_size=options.batch_size,
            n_epochs=n_epochs,
            patience=0.0,
            checkpoints=looks,
            is_shuffled=options.is_shuffled,
        )
        n_outputs = int(model.output_shape[-1])
        job = Job(
            structure=(structure, compiled.is_logits),
            build=lambda: self._as_the_engine_takes_it(build(), compiled, kind),
            kind=kind,
            recipe=recipe,
            seed=seed,
            stop=None if stretch is None else stretch.stop,
            state=None if stretch is None else stretch.state,
        )
        trained = self._engine(kind, n_outputs, compiled).train(job)
        outputs = as_outputs(trained.out_of_fold[trained.chosen_index], compiled)
        return Folded(outputs, trained.weights, trained.chosen_epoch, trained.way, trained.state)

    def _as_the_engine_takes_it(self, model: keras.Model, compiled: Compiled, kind: str) -> keras.Model:
        """A model of one array or of a list of them, with the activation that a loss of logits applies."""
        head, layout = head_of(compiled, kind), self._rows.x.layout
        built = layout.built(model)
        if head is None and layout.kind == "one":
            return built
        return layout.wrapped(built, head or (lambda outputs: outputs))

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
            held = np.asarray(model.predict(self._rows.x.take(member.held), batch_size=1024, verbose=0))
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
        return {"x": given.x.take(rows), "y": given.y[rows], **weights}

    def built(self, model: keras.Model) -> keras.Model:
        """The model with its weights made for these rows."""
        return self._rows.x.layout.built(model)

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
    def layout(self) -> str:
        """How the inputs are put together, as text."""
        return self._rows.x.layout.to_json()

    def targets(self, n_outputs: int, compiled: Compiled) -> NDArray[np.float64]:
        """Targets ``(n_rows, n_outputs)``, classes as one-hot rows."""
        return targets(self._rows.y, n_outputs, is_sparse=compiled.is_sparse)

    def _kind(self, model: keras.Model, compiled: Compiled) -> str:
        shape = getattr(model, "output_shape", None)  # unknown of a subclassed model
        if not isinstance(shape, tuple) or len(shape) != 2 or not isinstance(model.inputs, list):
            raise NotHonoured("the engine takes models of one output (n_rows, n_outputs)")
        n_inputs = len(self._rows.x.parts)
        if len(model.inputs) != n_inputs:
            raise NotHonoured(f"the engine gives each input an array: {len(model.inputs)} for {n_inputs}")
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
            inputs=self._rows.x.parts,
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
        outputs = as_outputs(predictions.astype(np.float32), self._compiled)
        return self._sign * self._judge.values(as_given, outputs, weights)[self._objective]


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
