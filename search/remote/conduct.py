"""A study that several processes share, from a configuration: its terms, its coordinator and its workers."""

from __future__ import annotations

import threading
import tomllib
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from types import TracebackType
from typing import Any
from uuid import uuid4

from search import toml
from search.config import StudyConfig, load
from search.objective import Objective
from search.preparation import Prepared, name_of
from search.records import Run, Trial, versions
from search.remote.address import AddressError, absolute, redacted
from search.remote.artifacts import Artifacts
from search.remote.coordinator import coordinate
from search.remote.proposer import SharedProposer
from search.remote.shared import found
from search.remote.storage import BEAT, GRACE, now_of, open_storage
from search.remote.terms import Budget, Terms, TermsError
from search.remote.worker import Work, work
from search.study import Study
from spaces.space import Config

NOTE = "storage.json"
OWN_AFFAIRS = ("storage", "artifacts", "executor", "out", "workers")
"""What a process is told for itself and no other needs to know."""


def fingerprints(prepared: Prepared) -> dict[str, Any]:
    """What must be the same in all processes of a study, by what a person calls it."""
    return {
        "Foldstack": versions()["foldstack"],
        "metric": prepared.metric.name,
        "number of rows": prepared.dataset.n_rows,
        "number of columns": prepared.dataset.schema.n_columns,
        "data": prepared.source,
        "development rows": prepared.dataset.fingerprint,
        "splits": prepared.folds.fingerprint,
        "search space": prepared.space.fingerprint,
    }


def shared_text(config: StudyConfig) -> str:
    """The configuration as all processes read it: without addresses, and with the whole path of the data."""
    values = config.model_dump() | {"data": config.data and str(Path(config.data).resolve())}
    return toml.dumps({k: v for k, v in values.items() if v is not None and k not in OWN_AFFAIRS})


def told(terms: Terms, data: str | None) -> StudyConfig:
    """The configuration that a study's terms hold, with the data at a place of one's own."""
    return load(None, tomllib.loads(terms.config) | ({"data": data} if data else {}))


def work_of(
    config: StudyConfig,
    prepared: Prepared,
    objective: Objective,
    artifacts: Artifacts,
    *,
    n_workers: int,
    seconds: float | None,
    on_trial: Callable[[Trial], None] = lambda _: None,
) -> Work:
    """What a worker does for a study."""
    return Work(
        objective=objective,
        space=prepared.space,
        families=prepared.families,
        sampler=config.sampler,
        seed=prepared.seeds.number("proposer"),
        is_adaptive=is_adaptive(config),
        artifacts=artifacts,
        n_failures_in_a_row=config.max_failures,
        seconds=seconds,
        n_workers=n_workers,
        on_trial=on_trial,
    )


def is_adaptive(config: StudyConfig) -> bool:
    """Whether Optuna's proposals depend on earlier losses."""
    return config.sampler in ("tpe", "cmaes")


def check_places(config: StudyConfig) -> None:
    """Try the storage and the place of the artifacts, before anything is written.

    Raises
    ------
    AddressError, StorageError, ArtifactError
        If one of them cannot be used.
    """
    if config.storage is not None:
        open_storage(absolute(config.storage)).engine.dispose()
    if config.artifacts is not None:
        Artifacts(config.artifacts)


class Conductor(AbstractContextManager["Conductor"]):
    """The study's own process: begins a study in a storage, trains if it may, gathers what is finished.

    Parameters
    ----------
    seconds : float or None
        That the study may take from now on.
    first : sequence of Config
        Configurations to begin with.

    Raises
    ------
    AddressError, StorageError, ArtifactError
        If the storage or the place of the artifacts cannot be used.
    TermsError
        If the storage has a study of this name that is another's, or the run began elsewhere.
    """

    def __init__(
        self,
        run: Run,
        config: StudyConfig,
        prepared: Prepared,
        seconds: float | None,
        first: Sequence[Config] = (),
    ) -> None:
        if config.storage is None:
            raise AddressError("a study that is shared needs a storage")
        self._config, self._prepared, self._seconds = config, prepared, seconds
        self._url = absolute(config.storage)
        name, terms = _name_and_terms(run, config, prepared)
        self._shared = found(self._url, name, terms, has_trials=bool(run.trials()))
        self.name = self._shared.name
        self._shared.terms.check(fingerprints(prepared), "the coordinator")
        deadline = None
        if seconds is not None:
            deadline = seconds + self._shared.do(lambda: now_of(self._shared.storage))
        self._artifacts = Artifacts(self._shared.terms.artifacts)
        self._stack = ExitStack()
        scratch = Run.create(self._stack.enter_context(TemporaryDirectory(prefix="foldstack-coordinator-")))
        self.proposer = SharedProposer(
            self._shared, prepared.space, prepared.families, sampler=config.sampler,
            seed=prepared.seeds.number("proposer"), artifacts=self._artifacts, scratch=scratch,
        )  # fmt: skip
        self._shared.begin(Budget(config.trials, deadline), prepared.space, first)

    @property
    def invitation(self) -> str:
        """What is called elsewhere to help."""
        return f"python -m search.run worker --storage {redacted(self._url)} --study {self.name}"

    def run_all(self, study: Study) -> str:
        """Run the trials that are left, here and elsewhere; the result says what ended the study."""
        own = self._own_work(study.objective) if self._config.workers else None
        reason = coordinate(self._shared, study, self.proposer, self._artifacts, own)
        if Path(self._artifacts.place).parent == study.run.path.resolve():
            self._artifacts.clear()  # all of them are in the run now
        return reason

    def _own_work(self, objective: Objective) -> Callable[[threading.Event], str]:
        asked = work_of(
            self._config, self._prepared, objective, self._artifacts,
            n_workers=self._config.workers, seconds=self._seconds,
        )  # fmt: skip

        def run(stop: threading.Event) -> str:
            shared = found(self._url, self.name, self._shared.terms)
            try:
                return work(shared, asked, stop)
            finally:
                shared.close()

        return run

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._shared.close()
        self._stack.close()


def _name_and_terms(run: Run, config: StudyConfig, prepared: Prepared) -> tuple[str, Terms]:
    """The name of a run's study in the storage and its terms; noted in the run folder before it is begun."""
    if not run.has(NOTE) and run.trials():
        raise TermsError("a run goes on as it was begun: this one in its own folder, without a storage")
    if not run.has(NOTE):
        place = config.artifacts or str((run.path / "artifacts").resolve())
        place = place if "://" in place else str(Path(place).resolve())
        note = {"study": config.name or name_of(config), "run": uuid4().hex, "artifacts": place}
        run.save_json(NOTE, note)
    noted = run.load_json(NOTE)
    terms = Terms(noted["run"], shared_text(config), fingerprints(prepared), noted["artifacts"], BEAT, GRACE)
    return noted["study"], terms
