"""Workers in processes of their own, a coordinator and a real PostgreSQL: every trial once, whatever dies."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import optuna
import pytest

from search.config import StudyConfig, to_toml
from search.records import Run
from search.remote.storage import open_storage
from tests.search.remote.postgres import PASSWORD, Server
from tests.search.remote.processes import CHEAP, Worker, begun, finished, until
from tests.search.studies import ROOT, config_of, done, frame_of
from tests.search.test_resume import told


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The same study in one process, without any storage."""
    return told(done(config_of(tmp_path_factory.mktemp("alone"), "ill", **CHEAP)))


def shared(folder: Path, server: Server, name: str, **changes: Any) -> StudyConfig:
    own = {**CHEAP, "storage": server.url(), "name": name, "workers": 0, **changes}
    return config_of(folder, "ill", **own)


def test_two_workers_and_a_coordinator_give_what_one_process_gives(
    tmp_path: Path, server: Server, alone: dict[str, Any]
) -> None:
    study = begun(shared(tmp_path, server, "two", workers=1))
    workers = [Worker(server.url(), "two") for _ in range(2)]
    run = finished(study)
    assert [worker.code() for worker in workers] == [0, 0], [worker.said for worker in workers]
    assert told(run) == alone and run.is_finished
    assert [trial.number for trial in run.trials()] == list(range(6))
    assert not list((run.path / "artifacts").iterdir())  # they are in the run


def test_the_trial_of_a_worker_that_was_killed_is_done_again(
    tmp_path: Path, server: Server, alone: dict[str, Any]
) -> None:
    study = begun(shared(tmp_path, server, "lost"))
    first = Worker(server.url(), "lost", held=2)
    until(first.is_holding)
    first.kill()
    second = Worker(server.url(), "lost")
    run = finished(study)
    assert second.code() == 0, second.said
    assert "trial 2 linear: completed" in second.said and "trial 1 " not in second.said
    assert told(run) == alone


def test_a_worker_that_is_asked_to_end_gives_its_trial_back_at_once(
    tmp_path: Path, server: Server, alone: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    from search.remote import conduct

    monkeypatch.setattr(conduct, "GRACE", 3600)  # nobody would sweep it
    study = begun(shared(tmp_path, server, "asked"))
    first = Worker(server.url(), "asked", held=1)
    until(first.is_holding)
    first.ask_to_end()
    assert first.code() == 130, first.said
    second = Worker(server.url(), "asked")
    assert told(finished(study)) == alone and second.code() == 0


def test_nothing_finished_is_lost_when_the_database_is_killed(
    tmp_path: Path, server: Server, alone: dict[str, Any]
) -> None:
    study = begun(shared(tmp_path, server, "away"))
    worker = Worker(server.url(), "away", PAUSE="0.5")
    until(lambda: "trial 1 " in worker.said)
    server.kill()
    time.sleep(2)
    assert not study.done()
    server.start()
    assert told(finished(study)) == alone
    assert worker.code() == 0, worker.said


def test_another_table_is_refused(tmp_path: Path, server: Server) -> None:
    study = begun(shared(tmp_path, server, "table", trials=2))
    other = frame_of()
    other.loc[0, "x"] += 1.0
    other[["x", "gap", "flag", "città", "ill"]].to_csv(tmp_path / "other.csv", index=False)
    worker = Worker(server.url(), "table", "--data", str(tmp_path / "other.csv"))
    assert worker.code() == 2
    assert "error: a worker needs the study's data: it has fingerprint" in worker.said
    assert "Traceback" not in worker.said
    fitting = Worker(server.url(), "table")
    finished(study)
    assert fitting.code() == 0, fitting.said


def test_a_study_that_was_not_begun_is_refused(server: Server) -> None:
    worker = Worker(server.url(), "nowhere")
    assert worker.code() == 2
    assert "error: a worker joins a study that was begun, and 'nowhere' was not" in worker.said


def is_begun(server: Server, name: str) -> bool:
    storage = open_storage(server.url())
    try:
        return name in optuna.get_all_study_names(storage=storage)
    finally:
        storage.engine.dispose()


def test_no_password_is_written_or_said_anywhere(tmp_path: Path, server: Server) -> None:
    config = shared(tmp_path, server, "quiet", trials=2)
    (tmp_path / "study.toml").write_text(to_toml(config.model_copy(update={"storage": None, "workers": 1})))
    told = ["study", "--config", str(tmp_path / "study.toml"), "--storage", server.url(), "--workers", "0"]
    command = [sys.executable, "-m", "search.run", *told]
    with subprocess.Popen(command, cwd=ROOT, text=True, stdout=-1, stderr=subprocess.STDOUT) as study:
        until(lambda: (tmp_path / "run/storage.json").exists())
        until(lambda: is_begun(server, "quiet"))
        workers = [
            Worker(server.url(None), "quiet", "--wait", "60s", PGPASSWORD=PASSWORD),
            Worker(server.url("${OUR_SECRET}"), "quiet", "--wait", "60s", OUR_SECRET=PASSWORD),
        ]
        bad = Worker(server.url(PASSWORD + "x"), "quiet", "--debug")
        said = study.communicate(timeout=240)[0]
    assert [study.returncode, *(worker.code() for worker in workers)] == [0, 0, 0], said
    assert bad.code() == 1 and "password authentication failed" in bad.said
    assert PASSWORD not in "".join([said, bad.said, *(worker.said for worker in workers)])
    run = Run.open(tmp_path / "run")
    for path in run.path.rglob("*"):
        assert not path.is_file() or PASSWORD.encode() not in path.read_bytes(), path
    assert f'storage = "{server.url("***")}"' in (run.path / "config.toml").read_text()
    assert f"--storage {server.url('***')}" in run.load_json("run.json")["command"].replace("'", "")
