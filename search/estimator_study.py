"""The study inside `fit` of an estimator: audited, laid out, carried out, in a run that may be kept."""

from __future__ import annotations

import io
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console

from reports.report import write_report
from search import assembly
from search.audit import audit as findings_of
from search.audit import findings_table
from search.config import StudyConfig
from search.data import Dataset
from search.flow import Outcome, carry_out
from search.preparation import LeakError, Prepared, Seeds, lay_out
from search.progress import Progress
from search.records import Run
from search.splits import SplitError

if TYPE_CHECKING:
    import pandas as pd

FEWER_SPLITS = (4, 3, 2)  # tried in turn where a table is too small for the usual five


@contextmanager
def run_folder(place: str | Path | None) -> Iterator[Run]:
    """A new run, removed at the end; or kept at a place, with a number behind it where that exists."""
    if place is None:
        with tempfile.TemporaryDirectory(prefix="foldstack-") as folder:
            yield Run.create(Path(folder) / "run")
    else:
        yield Run.create(_new_folder(Path(place)))


def _new_folder(place: Path) -> Path:
    """Make the folder, so that no other process takes it."""
    for number in count(1):
        folder = place if number == 1 else place.with_name(f"{place.name}-{number}")
        try:
            folder.mkdir(mode=0o700, parents=True)
        except FileExistsError:
            continue
        return folder
    raise AssertionError


def audited(dataset: Dataset, frame: pd.DataFrame, config: StudyConfig) -> pd.DataFrame:
    """What the audit finds; an error stops the study as it does on the command line."""
    findings = findings_of(dataset, frame=frame, rng=Seeds(config.seed).rng("audit"))
    for finding in findings:
        if finding.severity == "error":
            raise LeakError(f"{finding.leak}: {finding.evidence} {finding.remedy}")
    return findings_table(findings)


def laid_out(config: StudyConfig, dataset: Dataset) -> tuple[StudyConfig, Prepared]:
    """The study as asked for; where splits are not, with as many of the usual five as the rows allow."""
    choices = (None, *FEWER_SPLITS) if config.splits is None else (config.splits,)
    for n_splits in choices:
        asked = config.model_copy(update={"splits": n_splits})
        try:
            return asked, lay_out(asked, dataset)
        except SplitError:
            if n_splits == choices[-1]:
                raise
    raise AssertionError


def studied(
    run: Run, config: StudyConfig, prepared: Prepared, command: str, *, is_quiet: bool, is_kept: bool
) -> Outcome:
    """The study itself; a run that is kept gets what its report shows besides."""
    if config.model is not None:
        assembly.check_model(config.model, prepared.signature)
    console = Console(file=io.StringIO(), force_terminal=False) if is_quiet else None
    with Progress(
        config.trials, prepared.metric.name, budget_seconds=config.time, console=console
    ) as progress:
        return carry_out(run, config, prepared, command=command, progress=progress, needs_evidence=is_kept)


def complete(run: Run, outcome: Outcome) -> None:
    """Write what a run that is kept has besides."""
    write_report(run)
    if not outcome.is_interrupted:
        run.finish()
