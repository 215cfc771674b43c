"""A study in an SQLite file is the study that one process does, also after its coordinator was killed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from search import flow
from search.config import StudyConfig
from search.records import Run
from search.remote import conduct, coordinator
from search.remote.shared import Shared
from search.remote.terms import TermsError
from tests.search.remote.processes import CHEAP
from tests.search.studies import config_of, done
from tests.search.test_resume import Killed, dying, told


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The study in one process, without any storage."""
    return told(done(config_of(tmp_path_factory.mktemp("alone"), "ill", **CHEAP)))


def shared_config(folder: Path, **changes: Any) -> StudyConfig:
    return config_of(folder, "ill", **{**CHEAP, "storage": f"sqlite:///{folder}/study.db", **changes})


@pytest.mark.parametrize(
    ("owner", "name", "at", "is_after"),
    [
        (conduct.Artifacts, "fetch", 3, False),
        (coordinator._Gathering, "_take", 2, True),
        (Shared, "keep", 2, True),
        (flow, "write_report", 1, True),
    ],
)
def test_a_coordinator_that_was_killed_goes_on(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    alone: dict[str, Any],
    owner: Any,
    name: str,
    at: int,
    is_after: bool,
) -> None:
    config = shared_config(tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr(owner, name, dying(getattr(owner, name), at, is_after=is_after))
        with pytest.raises(Killed):
            flow.study(config, command="test")
    assert told(Run.open(flow.resume(str(config.out), {}, command="resume").run_path)) == alone


def test_more_trials_are_those_of_a_longer_study(tmp_path: Path, alone: dict[str, Any]) -> None:
    run = done(shared_config(tmp_path, trials=4))
    flow.resume(run.path, {"trials": 6}, command="resume")
    assert told(run)["trials"] == alone["trials"]
    with pytest.raises(TermsError, match="has no study 'table'"):
        flow.resume(run.path, {"trials": 9, "storage": f"sqlite:///{tmp_path}/other.db"}, command="resume")


@pytest.mark.parametrize(
    "sampler", ["tpe", *(pytest.param(name, marks=pytest.mark.slow) for name in ("grid", "qmc", "cmaes"))]
)
def test_every_sampler_proposes_what_it_would_in_one_process(tmp_path: Path, sampler: str) -> None:
    own = {"sampler": sampler, "trials": 13, "splits": 2}
    alone = done(config_of(tmp_path, "ill", **{**CHEAP, **own}, out=str(tmp_path / "alone")))
    run = done(shared_config(tmp_path, **own))
    assert [t.config for t in run.trials()] == [t.config for t in alone.trials()]
    assert told(run)["events"] == told(alone)["events"]


def test_a_small_space_is_exhausted(tmp_path: Path) -> None:
    small = {"sampler": "grid", "trials": 30, "space": {"penalty": [0.1, 1.0], "features": "plain"}}
    run = done(shared_config(tmp_path, **small))
    alone = done(config_of(tmp_path, "ill", **{**CHEAP, **small}, out=str(tmp_path / "alone")))
    assert [t.config for t in run.trials()] == [t.config for t in alone.trials()]
    reasons = [one.load_json("summary.json")["stop_reason"] for one in (run, alone)]
    assert reasons[0] == reasons[1] and "exhausted" in reasons[0]


def test_a_run_that_was_begun_without_a_storage_goes_on_without(tmp_path: Path) -> None:
    run = done(config_of(tmp_path, "ill", **{**CHEAP, "trials": 2}))
    with pytest.raises(TermsError, match="this one in its own folder, without a storage"):
        flow.resume(run.path, {"trials": 3, "storage": f"sqlite:///{tmp_path}/a.db"}, command="resume")
    assert len(run.trials()) == 2


def test_a_file_that_was_damaged_on_its_way_is_trained_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, alone: dict[str, Any]
) -> None:
    fetch = conduct.Artifacts.fetch

    def damaged(self: Any, run: Run, trial: Any, files: Any) -> bool:
        if trial.number == 3:
            next(Path(self.place).glob("oof-00003-*")).write_bytes(b"half")
        return fetch(self, run, trial, files)

    monkeypatch.setattr(conduct.Artifacts, "fetch", damaged)
    assert told(done(shared_config(tmp_path))) == alone
