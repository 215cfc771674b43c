"""Finished runs as a comparison reads them: facts, configuration, folds, and what they predicted."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from reports.summary import baseline, facts_of, metric_of, part, summary_of
from search.metrics import METRICS, Metric, loss
from search.records import Run, Trial

Array = NDArray[Any]
Subject = Literal["ensemble", "winner"]
SUBJECTS: tuple[Subject, ...] = ("ensemble", "winner")
_OF_THE_DATA = (
    "data", "target", "demo", "name", "out", "task", "seed", "groups", "time_column", "weights", "drop",
    "keep", "audit", "near_duplicates", "strict", "holdout", "metric", "splits", "repeats", "stratify",
    "draws", "nested", "fresh_seeds",
)  # fmt: skip
"""Keys of a configuration that say what is predicted and how it is scored, not how it is searched."""


class CompareError(ValueError):
    """Runs that cannot be compared."""


@dataclass(frozen=True)
class Entrant:
    """One run in a comparison.

    Attributes
    ----------
    name : str
        Unique among the runs compared.
    facts, summary, config : dict
        `run.json`, `summary.json` and `config.toml`.
    metric : Metric
        Bound to the task.
    """

    run: Run
    name: str
    facts: dict[str, Any]
    summary: dict[str, Any]
    config: dict[str, Any]
    metric: Metric

    @property
    def data_name(self) -> str:
        """What the data set is called."""
        return str(part(self.facts, "dataset").get("name") or "table")

    @property
    def source(self) -> str:
        """Fingerprint of all rows with a target, sealed ones too."""
        told = part(self.facts, "dataset")
        return str(told.get("source") or told.get("fingerprint") or "")

    @property
    def folds(self) -> str:
        """Fingerprint of the splits."""
        return str(part(self.facts, "folds").get("fingerprint") or "")

    @property
    def place(self) -> tuple[Any, ...]:
        """Where the table came from and what is predicted from it."""
        task = part(self.facts, "task")
        return (self.config.get("demo"), self.config.get("data"), str(task.get("target_names")))

    @property
    def task(self) -> dict[str, Any]:
        """Kind, targets and classes."""
        return part(self.facts, "task")

    def score(self, subject: Subject) -> float | None:
        """The honest score, in the metric's own direction."""
        record = part(self.summary, "ensemble" if subject == "ensemble" else "best_single")
        found = record.get("score" if subject == "ensemble" else "crossfit_score")
        return None if found is None else float(found)

    def loss(self, subject: Subject = "ensemble") -> float:
        """The honest score as a loss; NaN where there is none."""
        found = self.score(subject)
        return np.nan if found is None else -found if self.metric.is_higher_better else found

    @property
    def dummy_loss(self) -> float:
        """Loss of the class frequencies or the mean; NaN where it is not known."""
        found = baseline(self.summary, "dummy").get("score")
        return np.nan if found is None else -float(found) if self.metric.is_higher_better else float(found)

    @cached_property
    def trials(self) -> list[Trial]:
        """All trials."""
        return self.run.trials()

    @cached_property
    def targets(self) -> dict[str, Array] | None:
        """`y` and, where rows count differently, `row_weights`; None where the run stored none."""
        if not self.run.has("targets.npz"):
            return None
        return self.run.load_arrays("targets.npz")

    @cached_property
    def splits(self) -> dict[str, Array]:
        """`fold_of_row (n_repeats, n_rows)`, `kind`, `n_splits` and maybe `units`."""
        return self.run.load_arrays("splits.npz") if self.run.has("splits.npz") else {}

    @cached_property
    def positions(self) -> Array | None:
        """Positions of the study's rows in the source `(n_rows,)`; None where the run stored none."""
        return self.run.load_arrays("rows.npz")["development"] if self.run.has("rows.npz") else None

    @cached_property
    def cross_fitted(self) -> dict[str, Array]:
        """Predictions of ensemble and winner for rows that had no say, by subject.

        Each `(n_rounds, n_repeats, n_rows, n_outputs)`, NaN where a row is not scored; empty where the run
        stored none.
        """
        if not self.run.has("honest.npz"):
            return {}
        stored = self.run.load_arrays("honest.npz")
        return {s: stored[f"{s}_predictions"].astype(np.float64) for s in SUBJECTS}

    def fold_losses(self, subject: Subject) -> Array | None:
        """Loss in every fold of every repeat `(n_repeats * n_splits,)`, averaged over rounds; None without.

        Without stored targets, the best trial's own scores by fold stand for the winner.
        """
        if self.targets is None or subject not in self.cross_fitted:
            return self._recorded(subject)
        y, weights = self.targets["y"], self.targets.get("row_weights")
        tables, found = self.cross_fitted[subject], []
        for repeat, folds in enumerate(self.splits["fold_of_row"]):
            for fold in range(int(self.splits["n_splits"])):
                rows = np.flatnonzero((folds == fold) & ~np.isnan(tables[0, repeat, :, 0]))
                if rows.size:
                    own = None if weights is None else weights[rows]
                    by_round = [loss(self.metric, y[rows], one[repeat, rows], own) for one in tables]
                    found.append(float(np.mean(by_round)))
        return np.array(found)

    def _recorded(self, subject: Subject) -> Array | None:
        number = part(self.summary, "best_single").get("trial")
        best = next((trial for trial in self.trials if trial.number == number), None)
        if subject == "ensemble" or best is None or not best.fold_scores:
            return None
        return np.asarray(best.fold_scores) * (-1.0 if self.metric.is_higher_better else 1.0)

    def test_to_train(self) -> float:
        """Rows held out over rows trained on, averaged over members."""
        folds, is_in_time = self.splits["fold_of_row"], str(self.splits["kind"]) == "time"
        found = []
        for one in folds:
            for fold in range(int(self.splits["n_splits"])):
                held = int((one == fold).sum())
                train = int((one < fold).sum() if is_in_time else len(one) - held)
                found.append(held / max(train, 1))
        return float(np.mean(found))


def entrants(runs: Sequence[Run | str | Path]) -> tuple[Entrant, ...]:
    """Open runs for a comparison.

    Raises
    ------
    CompareError
        With fewer than two runs, one given twice, or one that has no honest score yet.
    """
    opened = [one if isinstance(one, Run) else Run.open(one) for one in runs]
    if len(opened) < 2:
        raise CompareError(f"a comparison needs at least 2 runs, got {len(opened)}")
    places = [one.path.resolve() for one in opened]
    twice = next((place for place in places if places.count(place) > 1), None)
    if twice is not None:
        raise CompareError(f"a run is compared with others, and {str(twice)!r} was given twice")
    return tuple(_entrant(run, name) for run, name in zip(opened, _names(places), strict=True))


def _names(places: Sequence[Path]) -> list[str]:
    """Folder names, with the folder above where two are alike."""
    names = [place.name for place in places]
    if len(set(names)) < len(names):
        names = [f"{place.parent.name}/{place.name}" for place in places]
    return names if len(set(names)) == len(names) else [str(place) for place in places]


def _entrant(run: Run, name: str) -> Entrant:
    summary, facts = summary_of(run), facts_of(run)
    if part(summary, "ensemble").get("score") is None:
        raise CompareError(
            f"a comparison needs finished runs, and {str(run.path)!r} has no honest score: did its study end?"
        )
    name_of_metric = metric_of(run)
    if name_of_metric not in METRICS:
        raise CompareError(f"runs are compared by a metric that is known, not {name_of_metric!r}, in {name}")
    metric = replace(METRICS[name_of_metric], kind=part(facts, "task").get("kind"))
    return Entrant(run, name, facts, summary, _config(run), metric)


def _config(run: Run) -> dict[str, Any]:
    if not run.has("config.toml"):
        return {}
    return tomllib.loads((run.path / "config.toml").read_text(encoding="utf-8"))


def methods(found: Sequence[Entrant], keys: Sequence[str] = ()) -> tuple[str, ...]:
    """The label of each run: how it searched, as far as that differs between the runs.

    Parameters
    ----------
    keys : sequence of str
        Keys of the configuration, `name` (of the run's folder, less that of the data) or `folder` (that it
        lies in). By default the fewest keys of the configuration that tell the ways of searching apart, and
        `name` where there are none.

    Raises
    ------
    CompareError
        If no run has such a key.
    """
    for key in keys:
        if key not in ("name", "folder") and not any(key in one.config for one in found):
            known = sorted({name for one in found for name in one.config if name not in _OF_THE_DATA})
            raise CompareError(
                f"a label is name, folder or a key of the configuration ({', '.join(known)}), got {key!r}"
            )
    chosen = tuple(keys) or _telling(found) or ("name",)
    return tuple(", ".join(_told(one, key, len(chosen) > 1) for key in chosen) for one in found)


def _telling(found: Sequence[Entrant]) -> tuple[str, ...]:
    names = list(dict.fromkeys(n for one in found for n in one.config if n not in _OF_THE_DATA))
    first = [n for n in ("preset", "sampler", "tuner", "oracle", "families", "model") if n in names]
    chosen: list[str] = []
    for key in (*first, *(name for name in names if name not in first)):
        kinds = {tuple(repr(one.config.get(k)) for k in chosen) for one in found}
        if len({tuple(repr(one.config.get(k)) for k in (*chosen, key)) for one in found}) > len(kinds):
            chosen.append(key)
    return tuple(chosen)


def _told(one: Entrant, key: str, needs_key: bool) -> str:
    if key == "folder":
        return one.run.path.resolve().parent.name
    if key == "name":
        words = one.run.path.resolve().name.replace(one.data_name, "").strip("-_ .")
        return words or one.run.path.resolve().name
    value = one.config.get(key)
    text = _text(value)
    is_plain = key in ("preset", "sampler", "families", "model", "oracle")
    return text if is_plain and value is not None else f"{key} {text}" if needs_key or value else f"no {key}"


def _text(value: Any) -> str:
    if isinstance(value, list):
        return "+".join(dict.fromkeys(map(str, value)))
    if isinstance(value, Mapping):
        return " ".join(f"{name}={_text(item)}" for name, item in value.items()) or "as it is"
    return "as it is" if value is None else f"{value:g}" if isinstance(value, float) else str(value)
