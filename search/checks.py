"""What is done with a finished run: holdout, evaluation, fresh seeds, outer folds, permuted targets."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ensemble import Ensemble
from ensemble.calibration import Calibration
from search import looks, metrics
from search.config import StudyConfig, alone, load
from search.data import Dataset, group_codes, read_table, row_weights
from search.flow import carry_out, plan_of, recipe_of
from search.objective import Objective
from search.preparation import Prepared, has_networks, lay_out, prepare, read_dataset, read_frame, stratifies
from search.progress import Progress
from search.records import Run, RunError, Trial
from search.splits import make_folds
from search.targets import coded
from search.training.callbacks import attending
from search.training.context import start_server
from search.training.trained import Stretch, pooled_loss
from search.training.workshop import Workshop

Array = NDArray[Any]
SELFTEST_TRIALS, SELFTEST_EPOCHS = 8, 30


def open_holdout(path: Path) -> looks.Look:
    """Score the ensemble on the sealed rows; the opening is recorded.

    Raises
    ------
    RunError
        If the run has no sealed rows, no ensemble, or the table is not the one that it was run on.
    """
    run, config = Run.open(path), _config(path)
    rows = run.load_arrays("rows.npz")["sealed"]
    if not len(rows):
        raise RunError(f"the run {str(path)!r} has no sealed holdout: give study --holdout 0.2")
    _check_same_data(run, prepare(config))
    frame, _ = read_frame(config)
    whole = read_dataset(config)
    is_sealed = np.isin(whole.row_ids, rows)
    units = whole.duplicates if whole.groups is None else whole.groups
    digest = looks.digest_of([whole.fingerprint.encode(), rows.tobytes()])
    weights = None if whole.row_weights is None else whole.row_weights[is_sealed]
    return _look(run, "holdout", digest, frame.iloc[whole.row_ids[is_sealed]], units[is_sealed], weights)


def evaluate(path: Path, table: Path) -> looks.Look:
    """Score the ensemble on a labelled table; the look is counted by the file's content."""
    run, frame, config = Run.open(path), read_table(table), _config(path)
    units, weights = np.arange(len(frame)), None
    if config.groups in frame:
        units = group_codes(frame[config.groups])
    if config.weights in frame:
        weights = row_weights(frame[config.weights])
    return _look(run, table.name, looks.digest_of_file(table), frame, units, weights)


def _look(
    run: Run, place: str, digest: str, frame: pd.DataFrame, units: Array, weights: Array | None
) -> looks.Look:
    if not run.has("ensemble"):
        raise RunError(f"the run {str(run.path)!r} has no ensemble: did its study end with a valid model?")
    loaded = Ensemble.load(run.path / "ensemble")
    y, rows = coded(frame, loaded.task)
    predictions = loaded.predict_raw(frame.iloc[rows])
    metric = _metric(run, loaded.task)
    known = run.load_arrays("rows.npz")["hashes"]
    n_known = int(np.isin(looks.row_hashes(loaded.schema.read(frame.iloc[rows])), known).sum())
    counted = None if weights is None else weights[rows]
    return looks.record(run, place, digest, metric, y, predictions, units[rows], n_known, counted)


def _metric(run: Run, task: Any) -> metrics.Metric:
    name = run.load_json("run.json").get("metric")
    if not isinstance(name, str):
        raise RunError(f"the run.json of {str(run.path)!r} must name a metric, got {name!r}")
    return metrics.metric_for(name, task)


def _config(path: Path) -> StudyConfig:
    return load(path / "config.toml")


def _check_same_data(run: Run, prepared: Prepared) -> None:
    known = run.load_json("run.json")
    if not all(isinstance(known.get(name), dict) for name in ("dataset", "folds")):
        raise RunError(f"the run.json of {str(run.path)!r} must tell dataset and folds, got {list(known)}")
    found = {"fingerprint": prepared.dataset.fingerprint, "source": prepared.source}
    if any(known["dataset"].get(name) != value for name, value in found.items()):
        raise RunError(f"the table is not the one that {str(run.path)!r} was run on: its content has changed")
    if known["folds"].get("fingerprint") != prepared.folds.fingerprint:
        raise RunError(f"the splits are not those of {str(run.path)!r}: was it written by another version?")


@dataclass(frozen=True)
class FreshSeeds:
    """Winner and ensemble trained again with other seeds on the same folds.

    Attributes
    ----------
    winner, ensemble : float
        Scores as the study had them: of the winner out of fold, of the ensemble on the rows that chose it.
    fresh_winner, fresh_ensemble : tuple of float
        The same with each fresh seed.
    median_trial : float
        Score of the median completed trial.
    share_of_luck : float or None
        Share of the winner's lead over the median trial that fresh seeds do not repeat.
    """

    metric: str
    winner: float
    fresh_winner: tuple[float, ...]
    ensemble: float
    fresh_ensemble: tuple[float, ...]
    median_trial: float

    @property
    def share_of_luck(self) -> float | None:
        """1 or more: all of the lead was luck; 0 or less: none; None without a lead."""
        lead = self.winner - self.median_trial
        return (self.winner - float(np.mean(self.fresh_winner))) / lead if lead else None

    @property
    def sentence(self) -> str:
        """The result in words."""
        said = (
            f"winner: {self.metric} {self.winner:.4g}, with fresh seeds {np.mean(self.fresh_winner):.4g}; "
            f"ensemble: {self.ensemble:.4g}, with fresh seeds {np.mean(self.fresh_ensemble):.4g}"
        )
        if self.share_of_luck is None:
            return said
        share = 100 * min(max(0.0, self.share_of_luck), 1.0)
        return said + f"; {share:.0f} % of the winner's lead over the median trial was luck"


def fresh_seeds(path: Path, n_seeds: int, progress: Progress | None = None) -> FreshSeeds:
    """Train winner and members again with fresh seeds on the same folds, to the epochs that were chosen."""
    run, config = Run.open(path), _config(path)
    start_server(needs_networks=has_networks(config))
    prepared = prepare(config)
    _check_same_data(run, prepared)
    summary, trials = run.load_json("summary.json"), {t.number: t for t in run.trials()}
    weights = {m["trial"]: m["weight"] for m in summary["ensemble"]["members"]}
    winner = summary["best_single"]["trial"]
    plan = plan_of(config, prepared)
    found: list[tuple[float, float]] = []
    with Workshop(plan, prepared.metric.name, prepared.dataset.task) as workshop:
        base = Objective(
            workshop, plan, prepared.folds, prepared.signature, prepared.metric, recipe_of(config), 0,
            callbacks=attending(config.callbacks, run.path, "fresh_seeds"),
        )  # fmt: skip
        for number in range(n_seeds):
            objective = replace(base, seed=prepared.seeds.number("training") + 1 + number)
            tables = {n: _again(objective, trials[n]) for n in {winner, *weights}}
            mixed = np.sum([weight * tables[n] for n, weight in weights.items()], axis=0)
            mixed = _calibrated(summary["ensemble"]["calibration"], mixed)
            found.append((_score(prepared, tables[winner]), _score(prepared, mixed)))
            if progress is not None:
                progress.say(
                    f"seed {number + 1} of {n_seeds}: winner {found[-1][0]:.4g}, ensemble {found[-1][1]:.4g}"
                )
    result = FreshSeeds(
        metric=prepared.metric.name,
        winner=float(trials[winner].score or 0.0),
        fresh_winner=tuple(one for one, _ in found),
        ensemble=float(summary["ensemble"]["in_sample_score"]),
        fresh_ensemble=tuple(two for _, two in found),
        median_trial=float(np.median([t.score for t in trials.values() if t.status == "completed"])),
    )
    run.save_json(
        "fresh_seeds.json",
        {**asdict(result), "share_of_luck": result.share_of_luck, "sentence": result.sentence},
    )
    return result


def _again(objective: Objective, trial: Trial) -> Array:
    """Held-out predictions of a trial trained with the objective's seed to the epoch that it had chosen.

    Epochs that each fold chose are chosen again, as part of the training.
    """
    defaults = objective.defaults
    if defaults.epoch_choice == "common":
        defaults = replace(defaults, checkpoints=(trial.chosen_epoch or 1,), epoch_choice="fixed")
    again = replace(objective, defaults=defaults)
    stretch = None if trial.stop_epoch is None else Stretch(trial.stop_epoch)
    trained = objective.workshop.train(again.request(trial.number, trial.family, trial.config, {}, stretch))
    table: Array = trained.out_of_fold[trained.chosen_index].astype(np.float64)
    return table


def _calibrated(known: dict[str, Any] | None, table: Array) -> Array:
    """Held-out predictions ``(n_repeats, n_rows, n_outputs)``, corrected as the study's ensemble is."""
    if known is None:
        return table
    return Calibration.from_json(known).apply(table.reshape(-1, table.shape[-1])).reshape(table.shape)


def _score(prepared: Prepared, table: Array) -> float:
    return pooled_loss(prepared.metric.score, prepared.dataset.y, table, prepared.dataset.row_weights)


@dataclass(frozen=True)
class Nested:
    """Whole studies on the outer training rows, scored on the outer held-out rows (Varma & Simon 2006).

    Attributes
    ----------
    scores : tuple of float
        Of each outer fold's ensemble, which predicts with all its fold models.
    reported : tuple of float
        What each outer fold's study reported for its ensemble.
    winners : tuple of dict
        Configuration of each outer fold's best single trial.
    """

    metric: str
    scores: tuple[float, ...]
    reported: tuple[float, ...]
    winners: tuple[dict[str, Any], ...]

    @property
    def agreement(self) -> float:
        """Share of parameters, on average over pairs of outer folds, on which the winners agree."""
        pairs = [(a, b) for i, a in enumerate(self.winners) for b in self.winners[:i]]
        shares = [np.mean([a.get(k) == b.get(k) for k in {*a, *b}]) for a, b in pairs]
        return float(np.mean(shares)) if shares else 1.0

    @property
    def sentence(self) -> str:
        """The result in words."""
        n = len(self.scores)
        error = f"standard error {np.std(self.scores, ddof=1) / np.sqrt(n):.2g}, " if n > 1 else ""
        return (
            f"nested: {self.metric} {np.mean(self.scores):.4g} ({error}"
            f"{n} outer fold{'s' * (n > 1)}); their studies reported {np.mean(self.reported):.4g}; "
            f"winners agree on {100 * self.agreement:.0f} % of the parameters"
        )


def nested(path: Path, n_splits: int) -> Nested:
    """Repeat the whole study within each of ``n_splits`` outer folds, in ``RUN/nested``; K times the cost."""
    run, config = Run.open(path), _config(path)
    start_server(needs_networks=has_networks(config))
    prepared = prepare(config)
    _check_same_data(run, prepared)
    dataset, metric = prepared.dataset, prepared.metric
    outer = make_folds(
        dataset,
        n_splits=n_splits,
        n_repeats=1,
        is_stratified=stratifies(config, metric),
        rng=prepared.seeds.rng("nested"),
    )
    found = []
    with Progress(config.trials, metric.name) as progress:
        for member in outer.members():
            progress.say(f"outer fold {member.fold + 1} of {outer.n_splits}")
            inner = lay_out(config, dataset.take(member.train))
            place = Run.create(_free(run.path / "nested" / f"{member.fold}"))
            carry_out(place, alone(config), inner, command="nested", progress=progress)
            found.append(_outer_score(place, dataset, member.held, metric))
    scores, reported, winners = zip(*found, strict=True)
    result = Nested(metric.name, scores, reported, winners)
    run.save_json(
        "nested.json", {**asdict(result), "agreement": result.agreement, "sentence": result.sentence}
    )
    return result


def _outer_score(
    inner: Run, dataset: Dataset, held: Array, metric: metrics.Metric
) -> tuple[float, float, dict[str, Any]]:
    """Score of an inner study's ensemble on rows that it never saw, what it reported, and its winner."""
    if not inner.has("ensemble"):
        raise RunError(f"no trial of an outer fold was completed: see {inner.path}/trials.csv")
    summary = inner.load_json("summary.json")
    predictions = Ensemble.load(inner.path / "ensemble").predict_table(dataset.table.take(held))
    winner = next(t for t in inner.trials() if t.number == summary["best_single"]["trial"])
    weights = None if dataset.row_weights is None else dataset.row_weights[held]
    score = metric.score(dataset.y[held], predictions, weights)
    return score, summary["ensemble"]["score"], {"family": winner.family, **winner.config}


@dataclass(frozen=True)
class SelfTest:
    """A small study on permuted targets, where nothing can be learned.

    Attributes
    ----------
    score : float
        What the study reports for its ensemble.
    printed : float
        The score on the rows that chose it, which other tools print.
    chance : float
        Score of the dummy on the same rows and folds.
    standard_error : float
        Of the difference between ensemble and dummy, over folds.
    """

    metric: str
    score: float
    printed: float
    chance: float
    standard_error: float
    is_higher_better: bool

    @property
    def is_chance(self) -> bool:
        """Whether the reported score is no better than chance by more than two standard errors."""
        lead = (self.score - self.chance) * (1 if self.is_higher_better else -1)
        return lead <= 2 * self.standard_error

    @property
    def sentence(self) -> str:
        """The result in words."""
        verdict = "shows chance, as it must" if self.is_chance else "claims to have learned from noise"
        return (
            f"on permuted targets the study reports {self.metric} {self.score:.4g} "
            f"(chance {self.chance:.4g}, "
            f"printed elsewhere {self.printed:.4g}): it {verdict}"
        )


def selftest(path: Path, progress: Progress) -> SelfTest:
    """Repeat a study in small on permuted targets of its own data, in ``RUN/selftest``."""
    run, config = Run.open(path), _config(path)
    start_server(needs_networks=has_networks(config))
    prepared = prepare(config)
    _check_same_data(run, prepared)
    small = alone(config).model_copy(
        update={
            "trials": min(config.trials, SELFTEST_TRIALS), "epochs": min(config.epochs, SELFTEST_EPOCHS),
            "holdout": 0.0,
        }
    )  # fmt: skip
    progress.update(n_total=small.trials)
    noise = lay_out(small, permuted(prepared.dataset, prepared.seeds.rng("selftest")))
    inner = Run.create(_free(run.path / "selftest"))
    outcome = carry_out(inner, small, noise, command="selftest", progress=progress)
    if not outcome.n_completed:
        raise RunError(f"no trial of the self-test was completed: see {inner.path}/trials.csv")
    summary = inner.load_json("summary.json")
    dummy = next(b for b in summary["baselines"] if b["name"] == "dummy")
    best = next(t for t in inner.trials() if t.number == summary["best_single"]["trial"])
    result = SelfTest(
        metric=noise.metric.name,
        score=summary["ensemble"]["score"],
        printed=summary["ensemble"]["in_sample_score"],
        chance=dummy["score"],
        standard_error=float(best.score_se or 0.0) + float(dummy["score_se"] or 0.0),
        is_higher_better=noise.metric.is_higher_better,
    )
    run.save_json(
        "selftest.json", {**asdict(result), "is_chance": result.is_chance, "sentence": result.sentence}
    )
    return result


def permuted(dataset: Dataset, rng: np.random.Generator) -> Dataset:
    """The dataset with its targets in another order, so that features tell nothing about them."""
    return replace(dataset, y=dataset.y[rng.permutation(dataset.n_rows)])


def _free(path: Path) -> Path:
    number = 2
    place = path
    while place.exists():
        place, number = path.with_name(f"{path.name}-{number}"), number + 1
    return place


__all__: Sequence[str] = (
    "FreshSeeds",
    "Nested",
    "SelfTest",
    "evaluate",
    "fresh_seeds",
    "nested",
    "open_holdout",
    "selftest",
)
