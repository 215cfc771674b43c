"""A KerasTuner tuner that scores every trial on folds: swap it in for ``RandomSearch`` and the like."""

from __future__ import annotations

import hashlib
import json
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import keras_tuner
import numpy as np
from keras_tuner import errors
from numpy.typing import NDArray

from ensemble import crossfit, select
from ensemble.losses import LossName
from search.kfold_inputs import FoldError, Layout, inputs_of
from search.kfold_options import (
    IGNORED,
    OF_ORACLE,
    FoldedTrial,
    Noted,
    check_arguments,
    check_objective,
    options_of,
    oracle_of,
)
from search.kfold_outputs import probabilities
from search.kfold_rows import Rows, folds_of
from search.kfold_store import Store
from search.kfold_training import Folded, FoldTraining
from search.kfold_trial_style import hypermodel_of
from search.training.trained import Diverged, Stretch
from spaces.compiled import Compiled, NotHonoured, read_compiled

Array = NDArray[Any]


@dataclass(frozen=True)
class KFoldEnsemble:
    """A weighted mean of trials, each the mean of its fold models.

    Attributes
    ----------
    trial_ids : tuple of str
        Trials of weight above 0.
    weights : ndarray of float64
        Theirs; sum 1.
    loss : float
        Log loss or squared error of the cross-fitted replay: rows are scored by weights that others chose.
    """

    trial_ids: tuple[str, ...]
    weights: NDArray[np.float64]
    loss: float
    _models: tuple[tuple[tuple[Any, ...], Compiled | None], ...]

    def predict(self, x: Any) -> NDArray[np.float64]:
        """Probabilities or values ``(n_rows, n_outputs)``, for inputs as they were searched with."""
        given = inputs_of(x).given
        means = [
            np.mean([probabilities(m.predict(given, verbose=0), compiled) for m in models], axis=0)
            for models, compiled in self._models
        ]
        return np.asarray(np.tensordot(self.weights, np.stack(means).astype(np.float64), axes=1))


class KFoldTuner(keras_tuner.Tuner):  # type: ignore[misc]
    """Tune a KerasTuner model with (iterated) k-fold; all folds of a trial are trained in one program.

    Parameters
    ----------
    hypermodel : callable or keras_tuner.HyperModel
        ``build(hp) -> compiled model``, or Optuna-style ``build(trial) -> compiled model``.
    objective : str or keras_tuner.Objective
        ``val_loss`` or ``val_<metric of the model>``, on held-out rows.
    max_trials : int
    oracle : {"random", "bayesian", "grid", "hyperband"}
        ``hyperband`` takes ``max_epochs`` and ``factor`` as KerasTuner's; each fold of a trial goes on from
        its own weights at their last epoch. Where Keras' own ``fit`` trains, it begins again instead.
    n_splits : int
        At least 2.
    n_repeats : int, optional
        By default ``executions_per_trial``.
    seed : int, optional
        At least 0; also of folds and weights. By default drawn, and kept with the project.
    directory, project_name, overwrite, **options
        As for KerasTuner's. Failures end a search only where ``max_consecutive_failed_trials`` says so.

    Raises
    ------
    FoldError
        If an argument breaks a rule above, or the folder holds a project with other ones.
    """

    def __init__(
        self,
        hypermodel: Any = None,
        objective: Any = "val_loss",
        max_trials: int = 10,
        *,
        oracle: str = "random",
        n_splits: int = 5,
        n_repeats: int | None = None,
        seed: int | None = None,
        directory: str | Path | None = None,
        project_name: str | None = None,
        overwrite: bool = False,
        executions_per_trial: int = 1,
        **options: Any,
    ) -> None:
        check_arguments(oracle, n_splits, n_repeats, max_trials, seed)
        self.n_splits, self.n_repeats = n_splits, n_repeats or executions_per_trial
        place = Path(directory or ".") / (project_name or "untitled_project")
        self._store = Store(place, is_new=overwrite)
        drawn = int(np.random.default_rng().integers(2**31))
        self.seed: int = seed if seed is not None else self._store.project.get("seed", drawn)
        given = {name: options.pop(name) for name in OF_ORACLE if name in options}
        made = oracle_of(oracle, objective=objective, max_trials=max_trials, seed=self.seed, given=given)
        check_objective(made.objective)
        self._oracle_name = oracle
        self._training: FoldTraining | None = None
        super().__init__(
            made,
            hypermodel_of(hypermodel),
            directory=str(place.parent),
            project_name=place.name,
            overwrite=overwrite,
            **options,
        )
        self._keep_project()

    def search(self, x: Any, y: Any, **fit_options: Any) -> None:
        """Run the trials.

        Parameters
        ----------
        x : array (n_rows, ...), or a dict or list of such
            As the model takes it.
        y : array (n_rows,) or (n_rows, n_outputs)
            As the model's loss wants it.
        **fit_options
            Those of ``model.fit``: ``epochs``, ``batch_size``, ``shuffle`` and ``sample_weight`` go to the
            engine; with ``callbacks`` or any other, Keras' own ``fit`` trains fold after fold. Validation
            rows are not used, with a warning: the folds hold rows out. Hyperband sets ``epochs`` itself.

        Raises
        ------
        FoldError
            If the rows are not those of the project, or no trial could be trained.
        """
        ignored = [name for name in IGNORED if fit_options.pop(name, None) is not None]
        if ignored:
            warnings.warn(f"the folds hold rows out: {', '.join(ignored)} is not used", stacklevel=2)
        self._prepare(x, y, fit_options.pop("sample_weight", None))
        super().search(**fit_options)
        self._store.forget_states()
        trials = list(self.oracle.trials.values())
        if trials and not self._best_trials(1):
            cause = (trials[0].message or "no reason").strip().splitlines()[-1]
            raise FoldError(f"no trial could be trained: {cause}")

    def run_trial(self, trial: Any, **fit_options: Any) -> dict[str, float]:
        """Train a trial on all folds and keep what they predict; KerasTuner's own hook."""
        training = self._training
        if training is None:
            raise errors.FatalRuntimeError("rows must be given by search(x, y) before a trial is run")
        stretch = self._stretch(trial)
        first = trial.trial_id if stretch is None or stretch.first is None else stretch.first
        seed = int(np.random.SeedSequence([self.seed, int(first)]).generate_state(1)[0])
        if stretch is not None:
            fit_options["epochs"] = stretch.stop
        try:
            folded, reason = self._trained(training, trial, fit_options, seed, stretch)
        except Diverged as error:
            raise errors.FailedTrialError(f"diverged: {error}") from error
        metrics, scores = training.judged(folded.outputs)
        name = self.oracle.objective.name
        if name not in metrics:
            raise errors.FatalValueError(f"the objective must be one of {', '.join(metrics)}, got {name!r}")
        if not np.isfinite([metrics[name], *scores]).all():
            raise errors.FailedTrialError(f"{name} must be finite, got {metrics[name]}")
        self._keep(trial, folded, FoldedTrial(tuple(scores), folded.epoch, folded.way, reason))
        if stretch is not None:
            self._store.forget_states(self.oracle.awaited)
            self._store.keep_state(trial.trial_id, folded.state)
        return {key: value for key, value in metrics.items() if np.isfinite(value)}

    def folds(self, trial_id: str) -> FoldedTrial:
        """Fold scores of a trial, and how it was trained."""
        told = json.loads(str(self._store.load(trial_id)["told"]))
        return FoldedTrial(**{**told, "scores": tuple(told["scores"])})

    def out_of_fold(self, trial_id: str) -> NDArray[np.float32]:
        """Predictions ``(n_repeats, n_rows, n_outputs)`` for rows by the members that held them out."""
        trial = self.oracle.get_trial(trial_id)
        return probabilities(self._store.load(trial_id)["outputs"], self._compiled(trial))

    def fold_models(self, trial_id: str) -> list[keras.Model]:
        """The trained model of each fold of a trial, repeat by repeat."""
        trial, stored = self.oracle.get_trial(trial_id), self._store.load(trial_id)
        layout = Layout.from_json(str(stored["layout"]))
        models = []
        for member in range(self.n_splits * self.n_repeats):
            model = layout.built(self._build_hypermodel(trial.hyperparameters))
            for place, variable in enumerate(model.weights):
                variable.assign(stored[f"w{place}"][member])
            models.append(model)
        return models

    def load_model(self, trial: Any) -> keras.Model:
        """One model that gives the mean of the outputs of a trial's fold models, compiled as they are."""
        models = self.fold_models(trial.trial_id)
        layout = Layout.from_json(str(self._store.load(trial.trial_id)["layout"]))
        inputs = layout.put(layout.symbolic())
        model = keras.Model(inputs, keras.layers.Average()([member(inputs) for member in models]))
        model.compile_from_config(models[0].get_compile_config())
        return model

    def get_best_models(self, num_models: int = 1) -> list[keras.Model]:
        """The mean model of each of the best trials, see `load_model`; failed trials are never among them."""
        return [self.load_model(trial) for trial in self._best_trials(num_models)]

    def get_best_hyperparameters(self, num_trials: int = 1) -> list[Any]:
        """Hyperparameters of the best trials; failed trials are never among them."""
        return [trial.hyperparameters for trial in self._best_trials(num_trials)]

    def results_summary(self, num_trials: int = 10) -> None:
        """Print the best trials with their fold scores."""
        print(f"Results summary\nResults in {self.project_dir}\nShowing {num_trials} best trials")
        print(self.oracle.objective)
        for trial in self._best_trials(num_trials):
            print()
            trial.summary()
            folds = self.folds(trial.trial_id)
            print(f"Folds: {', '.join(f'{score:.4g}' for score in folds.scores)} ({folds.way})")

    def ensemble(self, max_members: int | None = None) -> KFoldEnsemble:
        """Weigh the trials on their out-of-fold predictions (greedy selection with replacement).

        Raises
        ------
        FoldError
            If nothing was searched in this process, or the model's loss is neither a cross-entropy nor the
            squared error.
        """
        trials = self._best_trials(len(self.oracle.trials))
        if self._training is None or not trials:
            raise FoldError("an ensemble needs a search(x, y) with trained trials before it")
        compiled = [self._compiled(trial) for trial in trials]
        found = next((one for one in compiled if one is not None), None)
        if found is None:
            raise FoldError("an ensemble needs a model with a cross-entropy or the squared error as its loss")
        table = np.stack([self.out_of_fold(trial.trial_id).mean(axis=0) for trial in trials]).astype(float)
        y = self._training.targets(table.shape[-1], found)
        loss: LossName = "squared_error" if found.serves("regression") else "log_loss"
        options: dict[str, Any] = {"loss": loss, "max_members": max_members}

        def decide(candidates: Array, of_rows: Array, row_weights: Array | None) -> Array:
            return select(candidates, of_rows, row_weights=row_weights, **options).weights

        replay = crossfit(table, y, decide=decide, rng=np.random.default_rng([self.seed, 2]))
        weights = decide(table, y, None)
        chosen = np.flatnonzero(weights)
        ids = tuple(trials[k].trial_id for k in chosen)
        models = tuple((tuple(self.fold_models(trials[k].trial_id)), compiled[k]) for k in chosen)
        return KFoldEnsemble(ids, weights[chosen], replay.score(y, loss), models)

    # -- a trial ------------------------------------------------------------

    def _trained(
        self, training: FoldTraining, trial: Any, given: Mapping[str, Any], seed: int, stretch: Stretch | None
    ) -> tuple[Folded, str]:
        hp = trial.hyperparameters
        values = {name: value for name, value in hp.values.items() if not name.startswith("tuner/")}
        is_own = type(self.hypermodel).fit is not keras_tuner.HyperModel.fit

        def build() -> keras.Model:
            return self._build_hypermodel(hp)

        try:
            options = options_of(self._tuned(hp, given) if is_own else given)
            if stretch is not None and options.epochs != stretch.stop:
                raise NotHonoured("the HyperModel's fit sets the epochs that hyperband shares out")
            return training.train(build, options, seed, values, stretch), ""
        except NotHonoured as error:
            reason = " ".join(str(error).split())

        def fit(model: keras.Model, number: int, x: Array, y: Array, **arguments: Any) -> None:
            arguments["callbacks"] = self._copied(arguments["callbacks"], trial, number)
            self.hypermodel.fit(hp, model, x, y, **arguments)

        needs_validation = is_own or bool(given.get("callbacks"))
        return training.fit(build, fit, options_of(given), seed, needs_validation=needs_validation), reason

    def _tuned(self, hp: Any, given: Mapping[str, Any]) -> dict[str, Any]:
        """The arguments with which a HyperModel's own ``fit`` calls that of the model, if it does no more."""
        x, y, noted = object(), object(), Noted()
        try:
            self.hypermodel.fit(hp, noted, x, y, **given)
        except Exception as error:
            raise NotHonoured(f"the HyperModel's fit does more than call model.fit: {error}") from error
        if len(noted.calls) != 1:
            raise NotHonoured("the HyperModel's fit does more than call model.fit once")
        positional, named = noted.calls[0]
        told = {**dict(zip(("x", "y", "batch_size", "epochs"), positional, strict=False)), **named}
        if told.pop("x", None) is not x or told.pop("y", None) is not y:
            raise NotHonoured("the HyperModel's fit changes the rows")
        return told

    def _copied(self, callbacks: Sequence[Any], trial: Any, number: int) -> list[Any]:
        copies: list[Any] = self._deepcopy_callbacks(list(callbacks))
        if any(type(one).__name__ == "TensorBoard" for one in copies):
            self._configure_tensorboard_dir(copies, trial, number)
        return copies

    def _stretch(self, trial: Any) -> Stretch | None:
        """How far hyperband trains a trial, and from where."""
        told = trial.hyperparameters.values
        if self._oracle_name != "hyperband":
            return None
        stop, past = int(told["tuner/epochs"]), told.get("tuner/trial_id")
        if past is None:
            return Stretch(stop, self.oracle.stops)
        first = past
        while (
            before := self.oracle.get_trial(first).hyperparameters.values.get("tuner/trial_id")
        ) is not None:
            first = before
        return Stretch(stop, self.oracle.stops, int(first), self._store.state(past))

    def _compiled(self, trial: Any) -> Compiled | None:
        try:
            return read_compiled(self._build_hypermodel(trial.hyperparameters))
        except NotHonoured:
            return None

    def _best_trials(self, n_most: int) -> list[Any]:
        """The best trials, best first; KerasTuner fills up with failed ones."""
        best = self.oracle.get_best_trials(max(n_most, 1))
        return [trial for trial in best if trial.status == "COMPLETED"][:n_most]

    # -- the project's folder ------------------------------------------------------------

    def _prepare(self, x: Any, y: Any, sample_weight: Any) -> None:
        weights = None if sample_weight is None else np.asarray(sample_weight, np.float64)
        rows = Rows(inputs_of(x), np.asarray(y), weights)
        self._keep_project(data=rows.digest)
        model = self._build_hypermodel(self.oracle.get_space())
        loss = getattr(model.loss, "name", None) or getattr(model.loss, "__name__", model.loss)
        folds = folds_of(
            rows, self.n_splits, self.n_repeats, self.seed, is_classified="crossentropy" in str(loss)
        )
        objective = self.oracle.objective
        is_higher_better = objective.direction == "max"
        self._training = FoldTraining(rows, folds, objective.name, is_higher_better=is_higher_better)

    def _keep_project(self, data: str | None = None) -> None:
        """Hold the folder to one search: a reload with another space, other folds or rows is refused."""
        table = keras_tuner.HyperParameters()
        self.hypermodel.build(table)
        self._store.hold(
            {
                "oracle": self._oracle_name,
                "objective": self.oracle.objective.name,
                "max_epochs": getattr(self.oracle, "max_epochs", None),
                "n_splits": self.n_splits,
                "n_repeats": self.n_repeats,
                "seed": self.seed,
                "space": hashlib.sha256(json.dumps(table.get_config()).encode()).hexdigest(),
                "data": data,
            }
        )

    def _keep(self, trial: Any, folded: Folded, told: FoldedTrial) -> None:
        assert self._training is not None
        arrays: dict[str, Any] = {f"w{place}": values for place, values in enumerate(folded.weights)}
        arrays |= {"outputs": folded.outputs, "layout": self._training.layout, "told": json.dumps(vars(told))}
        self._store.keep(trial.trial_id, arrays)
