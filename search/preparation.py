"""Everything that stands before the first trial: rows, sealed rows, splits, metric and space."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from search import metrics
from search.config import ConfigError, StudyConfig
from search.data import Dataset, demo, from_frame, read_table
from search.splits import Folds, make_folds, seal
from spaces.families import FAMILIES
from spaces.signature import Signature
from spaces.space import Space

if TYPE_CHECKING:
    import pandas as pd

PURPOSES = ("splits", "holdout", "proposer", "training", "crossfit", "inner", "selftest")


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
    """

    dataset: Dataset
    development: np.ndarray
    sealed: np.ndarray
    folds: Folds
    metric: metrics.Metric
    space: Space
    signature: Signature
    seeds: Seeds


def prepare(config: StudyConfig) -> Prepared:
    """Read the data, seal the holdout, split, and lay out the space."""
    whole = read_dataset(config)
    if not config.holdout:
        return lay_out(config, whole)
    seeds, (frame, target) = Seeds(config.seed), read_frame(config)
    kept, sealed = seal(whole, config.holdout, seeds.rng("holdout"))
    rows = whole.row_ids[kept]
    dataset = _interpreted(frame.iloc[rows], target, config)
    return replace(lay_out(config, dataset), development=rows[dataset.row_ids], sealed=whole.row_ids[sealed])


def lay_out(config: StudyConfig, dataset: Dataset) -> Prepared:
    """Splits, metric and space for a dataset that is read."""
    seeds = Seeds(config.seed)
    folds = make_folds(dataset, n_splits=config.splits, n_repeats=config.repeats, rng=seeds.rng("splits"))
    metric = metrics.metric_for(config.metric or metrics.default_metric(dataset.task), dataset.task)
    signature = Signature(dataset.schema, dataset.task, dataset.n_rows)
    space = FAMILIES[family_of(config)].space(signature).override(config.space)
    nothing = np.zeros(0, np.int64)
    return Prepared(dataset, dataset.row_ids, nothing, folds, metric, space, signature, seeds)


def family_of(config: StudyConfig) -> str:
    """The family that is searched."""
    name = config.families[0]
    if len(config.families) != 1 or name not in FAMILIES:
        raise ConfigError(f"families must be one of {', '.join(FAMILIES)}, got {', '.join(config.families)}")
    return name


def read_dataset(config: StudyConfig) -> Dataset:
    """All rows that have a target, sealed ones too: for what comes before the sealing or after the opening."""
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
        drop=config.drop,
    )


def name_of(config: StudyConfig) -> str:
    """The name of a run where none is given: that of the table or the demo."""
    if config.name or config.demo:
        return str(config.name or config.demo)
    stem = Path(str(config.data)).name.split(".")[0]
    return re.sub(r"[^\w-]+", "_", stem) or "table"
