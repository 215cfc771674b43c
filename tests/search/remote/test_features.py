"""What a study can be told, it can be told when many share it: each gives what one process alone gives."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from search import flow
from search.config import StudyConfig, to_toml
from search.records import Run
from search.remote import conduct
from search.remote.terms import TermsError
from search.run import main
from tests.search.remote.postgres import Server
from tests.search.remote.processes import CHEAP, Worker, begun, finished, until
from tests.search.studies import ROOT, config_of, done, frame_of
from tests.search.test_resume import TIMES

FUNCTIONS = "tests.search.remote.user_functions"
TABLES: dict[str, Any] = {
    "families": ("linear", "boosting", "mlp"), "trials": 4, "groups": "site", "weights": "x2", "holdout": 0.2,
    "epoch_choice": "fold", "ensemble": "auto", "calibration": "auto", "class_weight": "balanced",
    "final": "refit", "epochs": 3, "splits": 2, "draws": 5,
}  # fmt: skip
PRUNED: dict[str, Any] = {"trials": 8, "epochs": 24, "patience": 0.0, "splits": 2, "draws": 0}
IMAGES: dict[str, Any] = {
    "families": ("convolutional",), "space": {"convolutional": {"filters": 8}}, "trials": 2, "splits": 2,
    "epochs": 3, "draws": 0,
}  # fmt: skip
OWN: dict[str, Any] = {
    "model": f"{FUNCTIONS}:build", "callbacks": f"{FUNCTIONS}:note", "space": {}, "trials": 3, "splits": 2,
    "epochs": 3, "draws": 0,
}  # fmt: skip


def told(run: Run) -> dict[str, Any]:
    """Everything of a run that does not tell the time; files of the ensemble by their content."""
    summary = run.load_json("summary.json")
    return {
        "trials": [{k: v for k, v in t.to_json().items() if k not in TIMES} for t in run.trials()],
        "events": [{k: v for k, v in e.items() if k != "time"} for e in run.events()],
        "ensemble": {**summary["ensemble"]},
        "out of fold": {t.number: run.out_of_fold(t.number).tobytes() for t in run.trials() if t.checksums},
        "weights": {t.number: run.weights(t.number) for t in run.trials() if t.status == "completed"},
    }


def same(run: Run, alone: Run, *but: str) -> None:
    found, wanted = told(run), {what: value for what, value in told(alone).items() if what not in but}
    weights, known = found.pop("weights"), wanted.pop("weights")
    for what in wanted:
        assert found[what] == wanted[what], what
    assert weights.keys() == known.keys()
    for number, arrays in known.items():
        for name, values in arrays.items():
            np.testing.assert_array_equal(weights[number][name], values, err_msg=f"{number} {name}")


def config(folder: Path, **changes: Any) -> StudyConfig:
    frame = frame_of()
    frame["x2"] = 0.5 + np.arange(len(frame)) % 3
    frame = frame if changes.get("weights") else frame.drop(columns="x2")
    return config_of(folder, "ill", frame=frame, **{"sampler": "random", **changes})


def on_images(folder: Path) -> StudyConfig:
    rng, y = np.random.default_rng(0), np.arange(60) % 2
    pictures = rng.normal(size=(60, 6, 6, 1)).astype(np.float32)
    pictures[y == 1, 2:4, 2:4] += 1.5
    np.savez(folder / "pictures.npz", picture=pictures, age=rng.normal(size=60), y=y)
    return config(folder, **IMAGES).model_copy(
        update={"data": str(folder / "pictures.npz"), "target": ("y",)}
    )


def shared(asked: StudyConfig, url: str, name: str, *more: str, **changes: Any) -> Run:
    """A study by a coordinator that only gathers, and the verb `worker` in this process."""
    study = begun(asked.model_copy(update={"storage": url, "workers": 0, "name": name, **changes}))
    assert worked(url, name, *more) == 0
    return finished(study)


def worked(url: str, name: str, *more: str) -> int:
    return main(["worker", "--storage", url, "--study", name, "--wait", "60s", *more])


def elsewhere(asked: StudyConfig, folder: Path) -> StudyConfig:
    return asked.model_copy(update={"out": str(folder / "shared")})


@pytest.mark.parametrize("feature", ["tables", "pruned", "images"])
def test_a_worker_trains_what_one_process_trains(
    tmp_path: Path, server: Server, feature: str, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = (
        on_images(tmp_path)
        if feature == "images"
        else config(tmp_path, **{"tables": TABLES, "pruned": PRUNED}[feature])
    )
    alone = done(asked)
    run = shared(elsewhere(asked, tmp_path), server.url(), feature)
    same(run, alone)
    kinds = {trial.family for trial in run.trials()} | {trial.status for trial in run.trials()}
    assert {"tables": {"mlp", "linear"}, "pruned": {"pruned"}, "images": {"convolutional"}}[feature] <= kinds
    said = capsys.readouterr().out
    assert f"this worker ran {asked.trials} trials" in said and "trial 0 " in said


def test_a_users_functions_run_alike_here_and_elsewhere_on_one_thread_each(
    tmp_path: Path, server: Server
) -> None:
    """`--workers 2` alone: two processes beside the parent, of one thread each."""
    asked = config(tmp_path, **OWN)
    (tmp_path / "study.toml").write_text(to_toml(asked))
    script = (
        "import os, sys; from search.run import main; code = main(sys.argv[1:])\n"
        "print(code, os.getpid(), file=sys.stderr)"
    )
    command = [
        sys.executable,
        "-c",
        script,
        "study",
        "--config",
        str(tmp_path / "study.toml"),
        "--workers",
        "2",
    ]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=200, check=True)
    code, parent = ended.stderr.split()[-2:]
    assert code == "0", ended.stderr
    alone = Run.open(str(asked.out))
    notes = [json.loads(path.read_text()) for path in (alone.path / "callbacks").rglob("process.json")]
    assert len(notes) == 6 and {note["n_threads"] for note in notes} == {1}
    assert len({note["pid"] for note in notes} - {int(parent)}) == 2
    run = shared(elsewhere(asked, tmp_path), server.url(), "own")
    by_number = {trial.number: trial for trial in alone.trials()}
    for trial in run.trials():
        assert (trial.config, trial.score) == (by_number[trial.number].config, by_number[trial.number].score)
        assert run.out_of_fold(trial.number).tobytes() == alone.out_of_fold(trial.number).tobytes()


def test_a_run_goes_on_with_another_sampler_and_more_time_and_its_workers_know(
    tmp_path: Path, server: Server
) -> None:
    """Its repeats stay, though their default is another where there is more time."""
    asked = config(tmp_path, **{**CHEAP, "trials": 2, "repeats": None, "time": 200.0})
    more = {"trials": 5, "sampler": "qmc", "time": 900.0}
    alone = done(asked)
    flow.resume(alone.path, more, command="resume")
    run = shared(elsewhere(asked, tmp_path), server.url(), "again")
    with ThreadPoolExecutor(1) as pool:
        study = pool.submit(flow.resume, run.path, {**more, "storage": server.url()}, command="resume")
        assert worked(server.url(), "again") == 0
    same(finished(study), alone)
    assert len(run.trials()) == 5 and run.load_json("run.json")["folds"]["n_repeats"] == 1


def test_time_ends_it_for_all(tmp_path: Path, server: Server, capsys: pytest.CaptureFixture[str]) -> None:
    asked = config(tmp_path, **{**CHEAP, "trials": 10_000, "time": 4.0})
    run = shared(asked, server.url(), "hurried")
    n = len(run.trials())
    assert 0 < n < 10_000 and [trial.number for trial in run.trials()] == list(range(n))
    assert "the time of 4 s was used up" in run.load_json("summary.json")["stop_reason"]
    assert f"this worker ran {n} trials" in capsys.readouterr().out


def test_a_worker_that_does_not_fit_is_told_why(
    tmp_path: Path, server: Server, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = config(tmp_path, **{**CHEAP, "trials": 1, "name": "picky", "storage": server.url(), "workers": 0})
    study = begun(asked)
    assert worked(server.url(), "picky", "--data", str(tmp_path / "gone.csv")) == 2
    assert "gone.csv' is not on this machine: tell where it is by --data PATH" in capsys.readouterr().err
    assert worked(server.url(), "picky", "--artifacts", str(tmp_path / "nowhere")) == 2
    assert "which is not on this machine: mount it" in capsys.readouterr().err
    (tmp_path / "other").mkdir()
    assert worked(server.url(), "picky", "--artifacts", str(tmp_path / "other")) == 2
    assert "what is there on this machine is another place" in capsys.readouterr().err
    with monkeypatch.context() as patch:
        patch.setattr(conduct, "_version", lambda name: "0.1")
        assert worked(server.url(), "picky") == 2
    assert "a worker needs the study's version of numpy: it has" in capsys.readouterr().err
    other = asked.model_copy(update={"out": str(tmp_path / "other-run")})
    for name in ("picky", "picky"):  # also when it is told again, nothing of the first attempt is in the way
        with pytest.raises(TermsError, match="has a study 'picky' of another run: tell another --name"):
            flow.study(other.model_copy(update={"name": name}), command="test")
    renamed = begun(other.model_copy(update={"name": "free"}))
    assert [worked(server.url(), name) for name in ("free", "picky")] == [0, 0]
    assert len(finished(renamed).trials()) == len(finished(study).trials()) == 1
    assert worked(server.url(), "picky", "--wait", "1s") == 0
    assert "the study picky has ended, so there is nothing to do: all 1 trials" in capsys.readouterr().out


@pytest.mark.parametrize("is_group", [False, True])
def test_a_coordinator_that_is_asked_to_end_keeps_what_is_finished(
    tmp_path: Path, server: Server, is_group: bool
) -> None:
    """By a batch system: SIGTERM to the process, or to it and its children."""
    asked = config(tmp_path, **CHEAP)
    alone = done(asked)
    mine = elsewhere(asked, tmp_path)
    (tmp_path / "study.toml").write_text(to_toml(mine))
    name = f"asked-{is_group}"
    command = [sys.executable, "-c", SLOWLY, "study", "--config", str(tmp_path / "study.toml")]
    with subprocess.Popen(
        [*command, "--storage", server.url(), "--name", name], cwd=ROOT, text=True, stdout=-1,
        stderr=subprocess.STDOUT, start_new_session=True,
    ) as study:  # fmt: skip
        until(lambda: len(lines(tmp_path / "shared/trials.jsonl")) >= 2 or study.poll() is not None, 200)
        (os.killpg if is_group else os.kill)(study.pid, signal.SIGTERM)
        said = study.communicate(timeout=240)[0]
    assert study.returncode == 130, said
    kept = Run.open(tmp_path / "shared")
    assert 2 <= len(kept.trials()) < 6 and {trial.status for trial in kept.trials()} == {"completed"}
    assert "python -m search.run resume" in said
    flow.resume(kept.path, {"storage": server.url()}, command="resume")
    same(kept, alone, "events")  # the ensemble that was made in between was a look


SLOWLY = """
import sys, time
from search import objective, run
evaluate = objective.Objective.evaluate
def slowly(self, *arguments):
    time.sleep(1)
    return evaluate(self, *arguments)
objective.Objective.evaluate = slowly
sys.exit(run.main(sys.argv[1:]))
"""


def lines(path: Path) -> list[str]:
    return path.read_text().splitlines() if path.exists() else []


def test_a_bucket_that_is_away_is_waited_for(
    tmp_path: Path, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    from moto.server import ThreadedMotoServer

    for key in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(key, "testing")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    alone = done(config(tmp_path, **{**CHEAP, "trials": 4}))
    store = ThreadedMotoServer("127.0.0.1", 0)
    store.start()
    port = store.get_host_and_port()[1]
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{port}")
    import boto3

    boto3.client("s3").create_bucket(Bucket="studies")
    asked = elsewhere(config(tmp_path, **{**CHEAP, "trials": 4}), tmp_path)
    told_too = {"storage": server.url(), "workers": 0, "name": "bucket", "artifacts": "s3://studies/price"}
    study = begun(asked.model_copy(update=told_too))
    worker = Worker(server.url(), "bucket", "--wait", "60s", PAUSE="0.5")
    until(lambda: "trial 1 " in worker.said)
    store.stop()
    time.sleep(3)
    assert not study.done()
    store = ThreadedMotoServer("127.0.0.1", port)  # what it held is still there
    store.start()
    same(finished(study), alone)
    assert worker.code() == 0, worker.said
    store.stop()
