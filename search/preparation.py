"""Everything that stands before the first trial: rows, sealed rows, splits, metric and space."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from search import metrics
from search.audit import Finding, audit, columns_to_drop, near_duplicates, strict
from search.config import PRESETS, ConfigError, StudyConfig
from search.data import Dataset, demo, from_frame, read_table
from search.splits import Folds, make_folds, seal
from spaces.families import FAMILIES, family_of
from spaces.joint import space_of
from spaces.schema import Schema
from spaces.signature import Signature
from spaces.space import Space
from spaces.task import Task

if TYPE_CHECKING:
    import pandas as pd

PURPOSES = (
    "splits",
    "holdout",
    "proposer",
    "training",
    "crossfit",
    "inner",
    "selftest",
    "audit",
    "budget",
    "nested",
    "near",
    "methods",
)


SHORT_TIME = 300.0  # seconds: below, more configurations are worth more than repeats of each


class LeakError(ValueError):
    """The audit found a leak that makes a study of the table meaningless."""


@dataclass(frozen=True)
class Seeds:
    """One root seed, and a child for each purpose."""

    root: int

    def rng(self, purpose: str) -> np.random.Generator:
        """The generator of a purpose."""
        return np.random.default_rng(np.random.SeedSequence(self.root, spawn_key=(PURPOSES.index(purpose),)))

    def number(self, purpose: str) -> int:
        """A whole number for those who want one."""
        return int(self.rng(purpose).integers(2**31))


@dataclass(frozen=True)
class Prepared:
    """Everything that stands before the first trial.

    Attributes
    ----------
    dataset : Dataset
        The development rows; nothing else about the table is known to what follows.
    development, sealed : ndarray of int
        Positions in the source of the development rows and of the sealed ones.
    families : tuple of str
        Names of the kinds of model that are searched.
    findings : tuple of Finding
        What the audit found in the development rows.
    source : str
        Fingerprint of all rows that have a target, sealed ones too.
    """

    dataset: Dataset
    development: np.ndarray
    sealed: np.ndarray
    folds: Folds
    metric: metrics.Metric
    families: tuple[str, ...]
    space: Space
    signature: Signature
    seeds: Seeds
    findings: tuple[Finding, ...] = ()
    source: str = ""


def prepare(config: StudyConfig) -> Prepared:
    """Read the data, seal the holdout, audit what is left, split, and lay out the space.

    Raises
    ------
    LeakError
        If the audit finds an error, or a warning where the configuration is strict.
    """
    seeds, (frame, target) = Seeds(config.seed), read_frame(config)
    whole = _interpreted(frame, target, config)
    rows, sealed = whole.row_ids, np.zeros(0, np.int64)
    if config.holdout:
        is_stratified = stratifies(config, metric_of(config, whole.task))
        kept, apart = seal(whole, config.holdout, seeds.rng("holdout"), is_stratified=is_stratified)
        rows, sealed = whole.row_ids[kept], whole.row_ids[apart]
    known = config.model_copy(update={"task": whole.task.kind})
    own = frame.iloc[rows]
    dataset = whole if len(own) == len(frame) else _interpreted(own, target, known)
    dataset, findings = _audited(known, dataset, own, target, seeds)
    development = rows[dataset.row_ids]
    dataset = replace(dataset, n_dropped=whole.n_dropped, notes=whole.notes)
    return replace(
        lay_out(config, dataset),
        development=development,
        sealed=sealed,
        findings=findings,
        source=whole.fingerprint,
    )


def _audited(
    config: StudyConfig, dataset: Dataset, frame: pd.DataFrame, target: str | list[str], seeds: Seeds
) -> tuple[Dataset, tuple[Finding, ...]]:
    """The dataset without the columns that the audit takes out, and what it found."""
    if not config.audit:
        return dataset, ()
    findings = audit(dataset, frame=frame, keep=config.keep, rng=seeds.rng("audit"))
    findings = strict(findings) if config.strict else findings
    errors = [f for f in findings if f.severity == "error"]
    if errors:
        raise LeakError(f"{errors[0].leak}: {errors[0].evidence} {errors[0].remedy}")
    dropped = columns_to_drop(findings)
    if dropped:
        smaller = config.model_copy(update={"drop": (*config.drop, *dropped)})
        dataset = _interpreted(frame, target, smaller)
    if config.near_duplicates:
        names = tuple(column.name for column in dataset.schema.columns)
        dataset = replace(dataset, duplicates=near_duplicates(dataset, names, seeds.rng("near")))
    return dataset, findings


def findings_of(
    config: StudyConfig, *, against: Path | None = None, needs_near_duplicates: bool = False
) -> tuple[Finding, ...]:
    """Audit a table without a study, also against a further table that the models would be used on."""
    frame, target = read_frame(config)
    dataset = _interpreted(frame, target, config)
    return audit(
        dataset,
        frame=frame,
        holdout=None if against is None else _unlabelled(dataset, read_table(against)),
        keep=config.keep,
        needs_near_duplicates=needs_near_duplicates,
        rng=Seeds(config.seed).rng("audit"),
    )


def _unlabelled(dataset: Dataset, frame: pd.DataFrame) -> Dataset:
    """Further rows under the schema of a dataset, with targets that nobody reads."""
    table = dataset.schema.read(frame)
    n_rows = table.n_rows
    return replace(
        dataset,
        name="further table",
        table=table,
        y=np.zeros((n_rows, dataset.n_outputs)),
        row_ids=np.arange(n_rows),
        groups=None,
        time=None,
        duplicates=np.arange(n_rows),
    )


def lay_out(config: StudyConfig, dataset: Dataset) -> Prepared:
    """Splits, metric and space for a dataset that is read."""
    seeds = Seeds(config.seed)
    metric = metric_of(config, dataset.task)
    if config.class_weight and not dataset.task.is_classification:
        raise ConfigError(f"class_weight needs classes, and the task is {dataset.task.kind}")
    folds = make_folds(
        dataset,
        n_splits=config.splits,
        n_repeats=config.repeats,
        is_hurried=config.time is not None and config.time < SHORT_TIME,
        is_stratified=stratifies(config, metric),
        rng=seeds.rng("splits"),
    )
    signature = Signature(dataset.schema, dataset.task, dataset.n_rows)
    families = families_of(config, dataset.schema)
    space = space_of(families, signature, config.space)
    nothing = np.zeros(0, np.int64)
    return Prepared(dataset, dataset.row_ids, nothing, folds, metric, families, space, signature, seeds)


def metric_of(config: StudyConfig, task: Task) -> metrics.Metric:
    """The metric that is asked for, or the usual one of the task."""
    return metrics.metric_for(config.metric or metrics.default_metric(task), task)


def stratifies(config: StudyConfig, metric: metrics.Metric) -> bool:
    """Whether splits keep class shares: as asked for, else where the metric is no mean of rows."""
    return not metric.is_mean_of_rows if config.stratify is None else config.stratify


def families_of(config: StudyConfig, schema: Schema | None = None) -> tuple[str, ...]:
    """The families that are searched: the user's own model alone, or those that are named.

    ``all`` stands for every one that is installed and can use the columns of the schema. Where none is named,
    families for the schema's images or sequences join those of the preset.

    Raises
    ------
    ConfigError
        If a name is unknown, what its family needs is not installed, or the schema has no columns for it.
    """
    names = config.families
    if config.model is not None:
        if ":" not in config.model:
            raise ConfigError(f"a model must be named package.module:function, got {config.model!r}")
        return (config.model,)
    if names == ("all",):
        names = tuple(family.name for family in FAMILIES.values() if family.is_installed)
        return tuple(name for name in names if schema is None or FAMILIES[name].suits(schema))
    if schema is not None and names == PRESETS[config.preset]["families"]:
        joining = (family.name for family in FAMILIES.values() if family.blocks)
        return tuple(name for name in (*joining, *names) if FAMILIES[name].suits(schema))
    for name in names:
        _check_family(name, schema)
    return tuple(dict.fromkeys(names))


def _check_family(name: str, schema: Schema | None) -> None:
    if name not in FAMILIES:
        raise ConfigError(f"families must be all, or some of {', '.join(FAMILIES)}, got {name!r}")
    family = FAMILIES[name]
    if not family.is_installed:
        raise ConfigError(
            f"the family {name!r} needs the package {family.package}: pip install {family.package}"
        )
    if schema is not None and not family.suits(schema):
        kinds = " or ".join(family.blocks) or "columns that are no tokens"
        raise ConfigError(f"the family {name!r} needs inputs of the kind {kinds}, and the data has none")


def has_networks(config: StudyConfig) -> bool:
    """Whether a family that is searched needs TensorFlow."""
    return any(family_of(name).is_network for name in families_of(config))


def read_dataset(config: StudyConfig) -> Dataset:
    """All rows that have a target, sealed ones too: for what comes before sealing or after opening."""
    frame, target = read_frame(config)
    return _interpreted(frame, target, config)


def read_frame(config: StudyConfig) -> tuple[pd.DataFrame, str | list[str]]:
    """The table as it is in the file, and the name of its target."""
    if config.demo is not None:
        return demo(config.demo)
    assert config.data is not None
    return read_table(config.data), list(config.target) if len(config.target) > 1 else config.target[0]


def _interpreted(frame: pd.DataFrame, target: str | list[str], config: StudyConfig) -> Dataset:
    return from_frame(
        frame,
        target,
        name=name_of(config),
        task=config.task,
        groups=config.groups,
        time=config.time_column,
        weights=config.weights,
        drop=config.drop,
        inputs=config.inputs,
    )


def name_of(config: StudyConfig) -> str:
    """The name of a run where none is given: that of the table or the demo."""
    if config.name or config.demo:
        return str(config.name or config.demo)
    stem = Path(str(config.data)).name.split(".")[0]
    return re.sub(r"[^\w-]+", "_", stem) or "table"
