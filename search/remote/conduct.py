"""A study that several processes share, from a configuration: its terms, its coordinator and its workers."""

from __future__ import annotations

import importlib.util
import shlex
import threading
import tomllib
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import asdict
from importlib import metadata
from pathlib import Path
from tempfile import TemporaryDirectory
from types import TracebackType
from typing import Any
from uuid import uuid4

from search import toml
from search.config import StudyConfig, load
from search.hardware import versions
from search.objective import Objective
from search.preparation import Prepared, families_of, has_networks, name_of
from search.records import Run
from search.remote.address import AddressError, absolute, redacted
from search.remote.artifacts import Artifacts, checksum_of
from search.remote.coordinator import coordinate
from search.remote.proposer import SharedProposer
from search.remote.shared import TERMS, Shared, found
from search.remote.storage import BEAT, GRACE, now_of, open_storage
from search.remote.terms import Budget, Terms, TermsError
from search.remote.worker import OnStart, OnTrial, Work, work
from search.study import Study
from spaces.families import family_of
from spaces.space import Config

NOTE = "storage.json"
OWN_AFFAIRS = (
    "storage", "artifacts", "executor", "out", "workers", "trials", "time", "leak_budget", "ensemble",
    "calibration", "final", "nested", "fresh_seeds", "draws",
)  # fmt: skip
"""What is the coordinator's alone, so that it may change while workers go on."""


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


def surroundings(config: StudyConfig) -> dict[str, Any]:
    """What else the numbers of a trial depend on: versions of packages, and the source of a user's functions.

    A coordinator that goes on may have others than before; its workers have what it has.
    """
    families = [family_of(name) for name in families_of(config)]
    packages = {"numpy", "scikit-learn", "optuna", *(family.package for family in families if family.package)}
    if has_networks(config):
        packages |= {"tensorflow", "keras"}
    found = {f"version of {name}": _version(name) for name in sorted(packages)}
    own = filter(None, (config.model, config.callbacks))
    return found | {f"source of {name.partition(':')[0]}": _source(name.partition(":")[0]) for name in own}


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "none"


def _source(module: str) -> str:
    """SHA-256 of a module's file; empty where it has none or is not there, which is refused elsewhere."""
    try:
        spec = importlib.util.find_spec(module)
    except (ImportError, ValueError):
        return ""
    return checksum_of(Path(spec.origin)) if spec and spec.origin and Path(spec.origin).is_file() else ""


def shared_text(config: StudyConfig, prepared: Prepared) -> str:
    """The configuration as all processes read it: without addresses, and with the whole path of the data."""
    values = config.model_dump() | {"data": config.data and str(Path(config.data).resolve())}
    values["repeats"] = prepared.folds.n_repeats  # their default depends on the time that is left
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
    on_start: OnStart = lambda number, family, config: None,
    on_trial: OnTrial = lambda trial, n_finished: None,
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
        on_start=on_start,
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
        self._shared = _begun(run, self._url, name, terms)
        self.name = self._shared.name
        self._stack = ExitStack()
        self._stack.callback(self._shared.close)
        try:
            self._set_up(terms, first)
        except BaseException:
            self._stack.close()
            raise

    def _set_up(self, terms: Terms, first: Sequence[Config]) -> None:
        config, prepared, shared = self._config, self._prepared, self._shared
        shared.terms.check({**shared.terms.fingerprints, **fingerprints(prepared)}, "the coordinator")
        deadline = None
        if self._seconds is not None:
            deadline = self._seconds + shared.do(lambda: now_of(shared.storage))
        self._artifacts = Artifacts(shared.terms.artifacts)
        self._artifacts.sign(terms.run)
        scratch = Run.create(self._stack.enter_context(TemporaryDirectory(prefix="foldstack-coordinator-")))
        self.proposer = SharedProposer(
            shared, prepared.space, prepared.families, sampler=config.sampler,
            seed=prepared.seeds.number("proposer"), artifacts=self._artifacts, scratch=scratch,
        )  # fmt: skip
        self._renew(terms)
        shared.begin(Budget(config.trials, deadline), prepared.space, first)

    def _renew(self, terms: Terms) -> None:
        """Tell workers what may change when a run goes on: sampler, limits, versions."""
        if asdict(self._shared.terms) != asdict(terms):
            self._shared.tell({TERMS: asdict(terms)})
            self._shared.terms = terms

    @property
    def invitation(self) -> str:
        """What is called elsewhere to help."""
        told = ["--storage", redacted(self._url), "--study", self.name]
        return " ".join(["python -m search.run worker", *map(shlex.quote, told)])

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
        self._stack.close()


def _begun(run: Run, url: str, name: str, terms: Terms) -> Shared:
    """The study of a run in the storage; a name that is another's is not noted, so that a new one may be."""
    has_trials = bool(run.trials())
    try:
        return found(url, name, terms, has_trials=has_trials)
    except TermsError:
        if not has_trials:
            (run.path / NOTE).unlink()
        raise


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
    same = fingerprints(prepared) | surroundings(config)
    terms = Terms(noted["run"], shared_text(config, prepared), same, noted["artifacts"], BEAT, GRACE)
    return noted["study"], terms
