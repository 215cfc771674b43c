"""Scikit-learn estimators: a study inside `fit`, its ensemble behind `predict`."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, final

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin
from sklearn.utils import check_random_state
from sklearn.utils.multiclass import check_classification_targets, type_of_target
from sklearn.utils.validation import check_consistent_length, check_is_fitted, column_or_1d

from ensemble import Ensemble
from reports.leaderboard import leaderboard
from search.config import StudyConfig, check
from search.data import Dataset, from_arrays
from search.estimator_inputs import framed, target_names, values_of, weighed
from search.estimator_state import ensemble_of, files_of
from search.estimator_study import audited, complete, laid_out, run_folder, studied
from search.flow import Outcome
from search.preparation import has_networks
from search.records import Run
from search.training.context import start_server
from spaces.task import Task

if TYPE_CHECKING:
    import pandas as pd

Array = NDArray[Any]
TOLD = (  # parameters that a StudyConfig has under the same name
    *("preset", "families", "trials", "time", "metric", "splits", "repeats", "epochs"),
    *("epoch_choice", "sampler", "space", "inputs", "model", "class_weight", "ensemble", "calibration"),
    *("final", "draws", "workers"),
)


class NoModelError(ValueError):
    """No trial of the study ended with a valid model."""


class _Estimator(BaseEstimator):  # type: ignore[misc]
    """What classifier and regressor share: parameters, the study inside `fit`, predictions."""

    def __init__(
        self,
        *,
        preset: str | None = None,
        families: str | Sequence[str] | None = None,
        trials: int | None = None,
        time: float | str | None = None,
        metric: str | None = None,
        splits: int | None = None,
        repeats: int | None = None,
        epochs: int | None = None,
        epoch_choice: str | None = None,
        sampler: str | None = None,
        space: Mapping[str, Any] | None = None,
        inputs: Mapping[str, str] | None = None,
        model: str | None = None,
        class_weight: str | None = None,
        ensemble: str | None = None,
        calibration: str | None = None,
        final: str | None = None,
        draws: int | None = None,
        workers: int | None = None,
        audit: bool = True,
        random_state: Any = None,
        verbose: bool | int = False,
        run_path: str | Path | None = None,
    ) -> None:
        self.preset = preset
        self.families = families
        self.trials = trials
        self.time = time
        self.metric = metric
        self.splits = splits
        self.repeats = repeats
        self.epochs = epochs
        self.epoch_choice = epoch_choice
        self.sampler = sampler
        self.space = space
        self.inputs = inputs
        self.model = model
        self.class_weight = class_weight
        self.ensemble = ensemble
        self.calibration = calibration
        self.final = final
        self.draws = draws
        self.workers = workers
        self.audit = audit
        self.random_state = random_state
        self.verbose = verbose
        self.run_path = run_path

    def fit(self, X: Any, y: Any, sample_weight: Any = None, groups: Any = None) -> Self:
        """Run a study on the rows and keep its ensemble.

        Parameters
        ----------
        X : array or DataFrame (n_rows, n_features)
            Numbers; also text, categories, booleans and dates in a DataFrame or an array of objects. Values
            may be missing, but not infinite. Or images, sequences ``(n_rows, ...)``, or arrays by name.
        y : (n_rows,) or (n_rows, n_outputs)
            Classes; 0/1 for each of several labels; or numbers.
        sample_weight : (n_rows,), optional
            How much each row counts in training and in scores, at least 0; a row of weight 0 is absent.
        groups : (n_rows,), optional
            Rows of one group are never on both sides of a split.

        Raises
        ------
        ConfigError, DataError, SchemaError, SplitError, LeakError, NoModelError
            In one line; all are ValueErrors, as scikit-learn's own are.
        """
        frame = framed(self, X, y=y, ensure_min_samples=2)
        config = self._config()
        frame, dataset = self._read(frame, y, sample_weight, groups)
        if self.audit:
            self.findings_ = audited(dataset, frame, config)
        config, prepared = laid_out(config, dataset)
        start_server(needs_networks=has_networks(config))
        with run_folder(self.run_path) as run:
            outcome = studied(
                run, config, prepared, f"{type(self).__name__}.fit",
                is_quiet=not self.verbose, is_kept=self.run_path is not None,
            )  # fmt: skip
            self._keep(run, outcome)
            if self.run_path is not None:
                complete(run, outcome)
        self.run_path_ = None if self.run_path is None else run.path
        return self

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        return tags

    def __getstate__(self) -> dict[str, Any]:
        state: dict[str, Any] = dict(super().__getstate__())
        if "ensemble_" in state:
            state["ensemble_"] = files_of(state["ensemble_"])
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        if "ensemble_" in state:
            state = {**state, "ensemble_": ensemble_of(state["ensemble_"])}
        super().__setstate__(state)

    def _config(self) -> StudyConfig:
        """The parameters as a configuration, which checks them; what is None is left to it."""
        told = {name: _plain(getattr(self, name)) for name in TOLD}
        given = {name: value for name, value in told.items() if value is not None}
        return check({**given, "seed": _seed_of(self.random_state)})

    def _read(
        self, frame: pd.DataFrame, y: Any, sample_weight: Any, groups: Any
    ) -> tuple[pd.DataFrame, Dataset]:
        """The rows whose weight is above zero, as they came and as a dataset."""
        values = values_of(self, y)
        groups = None if groups is None else column_or_1d(groups)
        check_consistent_length(frame, values, groups)
        rows, weights = weighed(frame, sample_weight)
        targets, task = self._targets(values[rows], target_names(y, values))
        kept = frame.iloc[rows]
        dataset = from_arrays(
            kept,
            targets,
            task=task.kind,
            groups=None if groups is None else groups[rows],
            weights=weights,
            inputs=self.inputs,
        )
        return kept, replace(dataset, task=task)

    def _targets(self, y: Array, names: tuple[str, ...]) -> tuple[Array, Task]:
        """Targets as numbers ``(n_rows,)`` or ``(n_rows, n_targets)``, classes coded from 0, and the task."""
        raise NotImplementedError

    def _keep(self, run: Run, outcome: Outcome) -> None:
        """Take from a run what a fitted estimator has."""
        if not outcome.n_completed:
            if outcome.is_interrupted:
                raise KeyboardInterrupt
            causes = [trial.cause for trial in run.trials() if trial.cause]
            raise NoModelError(f"no trial ended with a valid model: {causes[0] if causes else 'none ran'}")
        if outcome.is_interrupted:
            warnings.warn(f"interrupted: {outcome.n_completed} completed trials are kept", stacklevel=3)
        summary = run.load_json("summary.json")
        told = summary["ensemble"]
        self.ensemble_ = Ensemble.load(run.path / "ensemble")
        self.leaderboard_ = leaderboard(run)
        self.metric_ = str(summary["metric"])
        self.honest_score_ = _number(told["score"])
        self.honest_interval_ = (_number(told["low"]), _number(told["high"]))
        self.n_trials_ = len(run.trials())

    def _predict_raw(self, X: Any) -> NDArray[np.float64]:
        """Probabilities or raw values ``(n_rows, n_outputs)``; columns are matched by position."""
        check_is_fitted(self)
        frame = framed(self, X, reset=False)
        schema = self.ensemble_.schema
        names = frame.columns if schema.blocks else [column.name for column in schema.columns]
        return self.ensemble_.predict_raw(frame.set_axis(names, axis=1))


@final
class FoldstackClassifier(ClassifierMixin, _Estimator):  # type: ignore[misc]
    """Search models, combine the best different ones, and predict classes with their weighted average.

    Parameters
    ----------
    preset : {"fast", "good", "best"}, optional
        How much is tried; the parameters that are given win over it.
    families : str or sequence of str, optional
        Kinds of model, such as "mlp" or ("mlp", "boosting"); "all": every one that is installed.
    trials : int, optional
        Configurations to try.
    time : float or str, optional
        Seconds, or text such as "10m", after which no further configuration is tried.
    metric : str, optional
        What is optimised, by default "log_loss"; `score` is the accuracy all the same.
    splits, repeats : int, optional
        Folds and reshufflings; by default five folds, or as many as a small table allows.
    epochs : int, optional
        Epochs at most.
    epoch_choice : {"common", "inner", "fold", "fixed"}, optional
    sampler : {"tpe", "random", "grid", "qmc", "cmaes"}, optional
        Who proposes configurations.
    space : dict, optional
        Overrides of the search space by parameter: a value, a dict of low and high, or a list of choices.
    inputs : dict of str to str, optional
        What an array or a group of columns is, where it is not seen: "image", "sequence", "tokens", "counts",
        "vector"; or that a text column is "text".
    model : str, optional
        A model of one's own, "package.module:function", in place of the families.
    class_weight : {"balanced"}, optional
        Whether networks learn from rows of rare classes more.
    ensemble, calibration : str, optional
        How members are chosen, and how probabilities are corrected; by default what is best on rows that did
        not choose.
    final : {"bag", "refit"}, optional
        Predict with the fold models, or with members trained again on all rows.
    draws : int, optional
        Bootstrap draws of the interval of the honest score; 0: no interval.
    workers : int, optional
        Trials that are trained at the same time, each in one process of one thread.
    audit : bool, default True
        Whether leaks are looked for first; one that makes the study meaningless is an error.
    random_state : int, RandomState or None
        The same whole number gives the same study, also on the command line.
    verbose : bool, default False
        Whether progress is written to stderr.
    run_path : str or Path, optional
        Where the run folder is kept, with a number behind it where that exists; by default it is removed.

    Attributes
    ----------
    classes_ : (n_classes,)
        As in `y`; with several labels, their places.
    n_features_in_ : int
    feature_names_in_ : (n_features_in_,)
        Names of the columns, where the inputs had names that are text.
    ensemble_ : ensemble.Ensemble
    leaderboard_ : DataFrame
        Dummy, linear model, best single trial, ensemble, then every trial.
    metric_ : str
        Metric of the scores that follow.
    honest_score_ : float
        What the ensemble's models score on new rows, in the metric's own direction.
    honest_interval_ : (float, float)
        Its 95 % interval; NaN without draws.
    n_trials_ : int
    findings_ : DataFrame
        What the audit found, where there was one.
    run_path_ : Path or None
        The run folder, where it is kept.
    """

    def predict(self, X: Any) -> Array:
        """The likeliest class ``(n_rows,)``; with several labels, 0 or 1 for each ``(n_rows, n_labels)``."""
        p = self._predict_raw(X)
        kind = self.ensemble_.task.kind
        if kind == "multilabel":
            return (p > 0.5).astype(np.int64)
        codes = p[:, 0] > 0.5 if kind == "binary" else p.argmax(axis=1)
        return np.asarray(self.classes_[codes.astype(np.intp)])

    def predict_proba(self, X: Any) -> NDArray[np.float64]:
        """Probabilities ``(n_rows, n_classes)`` in the order of `classes_`, or of each label being 1."""
        p = self._predict_raw(X)
        return np.hstack([1.0 - p, p]) if self.ensemble_.task.kind == "binary" else p

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_label = True
        return tags

    def _targets(self, y: Array, names: tuple[str, ...]) -> tuple[Array, Task]:
        check_classification_targets(y)
        if type_of_target(y).startswith("multilabel"):
            self.classes_ = np.arange(y.shape[1])
            return y.astype(np.float64), Task("multilabel", names)
        self.classes_, codes = np.unique(y, return_inverse=True)
        if len(self.classes_) < 2:
            raise ValueError(f"a classifier needs at least 2 classes, got only {self.classes_.tolist()}")
        kind: Any = "binary" if len(self.classes_) == 2 else "multiclass"
        return codes, Task(kind, names, tuple(self.classes_.tolist()))


@final
class FoldstackRegressor(RegressorMixin, _Estimator):  # type: ignore[misc]
    """Search models, combine the best different ones, and predict numbers with their weighted average.

    Parameters
    ----------
    preset, families, trials, time, splits, repeats, epochs, epoch_choice, sampler, space, inputs, model,
    ensemble, final, draws, workers, audit
        As of `FoldstackClassifier`.
    metric : str, optional
        What is optimised, by default "rmse"; `score` is R squared all the same.
    random_state, verbose, run_path
        As of `FoldstackClassifier`.

    Attributes
    ----------
    n_features_in_, feature_names_in_, ensemble_, leaderboard_, metric_, honest_score_, honest_interval_,
    n_trials_, findings_, run_path_
        As of `FoldstackClassifier`.
    """

    def predict(self, X: Any) -> NDArray[np.float64]:
        """Values in the units of `y`, ``(n_rows,)`` or ``(n_rows, n_outputs)``."""
        values = self._predict_raw(X)
        return values[:, 0] if values.shape[1] == 1 else values

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        return tags

    def _targets(self, y: Array, names: tuple[str, ...]) -> tuple[Array, Task]:
        return y.astype(np.float64), Task("regression", names)


def _plain(value: Any) -> Any:
    """A value as a configuration holds it; grids of parameters are often numpy's."""
    if isinstance(value, np.generic | np.ndarray):
        return value.tolist()
    return dict(value) if isinstance(value, Mapping) else value


def _seed_of(random_state: Any) -> int:
    """A whole number as it is, else one that is drawn."""
    if isinstance(random_state, int | np.integer):
        return int(random_state)
    return int(check_random_state(random_state).randint(2**31 - 1))


def _number(value: float | None) -> float:
    return float("nan") if value is None else float(value)
