"""A run that was killed anywhere goes on to the same leaderboard, ledger and ensemble; another is refused."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ensemble import Ensemble
from search import conclusion, flow, lines
from search.archives import ArchiveError
from search.config import StudyConfig, to_toml
from search.ledger import Ledger
from search.proposers.optuna_driver import OptunaProposer
from search.records import Run, RunError, Trial
from search.resume import ResumeError, alone, seconds_used
from search.run import main
from tests.search.studies import ROOT, config_of, done, frame_of, new_rows

CHEAP: dict[str, Any] = {"families": ("linear",), "space": {}, "trials": 5, "draws": 5, "sampler": "tpe"}
TIMES = {"fit_seconds", "predict_seconds_per_1000", "started", "finished", "peak_memory_mb", "is_traced"}


class Killed(BaseException):
    """What nothing catches, as nothing catches kill -9."""


def told(run: Run) -> dict[str, Any]:
    """Everything of a run that does not tell the time."""
    trials = [{k: v for k, v in t.to_json().items() if k not in TIMES} for t in run.trials()]
    events = [{k: v for k, v in e.items() if k != "time"} for e in run.events()]
    members = run.load_json("summary.json")["ensemble"]
    predicted = Ensemble.load(run.path / "ensemble").predict_raw(new_rows())
    held_out = {
        t.number: run.out_of_fold(t.number).tobytes() for t in run.trials() if t.status == "completed"
    }
    return {"trials": trials, "events": events, "members": members, "oof": held_out, "p": predicted.tobytes()}


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    return told(done(config_of(tmp_path_factory.mktemp("whole"), "ill", **CHEAP)))


def dying(original: Callable[..., Any], at: int, *, is_after: bool) -> Callable[..., Any]:
    """The function, but the process dies at its so-manieth call, before or after what it does."""
    calls = []

    def call(*arguments: Any, **options: Any) -> Any:
        calls.append(1)
        if len(calls) == at and not is_after:
            raise Killed
        result = original(*arguments, **options)
        if len(calls) == at:
            raise Killed
        return result

    return call


@pytest.mark.parametrize(
    ("owner", "name", "at", "is_after"),
    [
        (OptunaProposer, "ask", 3, True),
        (OptunaProposer, "tell", 2, False),
        (OptunaProposer, "tell", 2, True),
        (Run, "save_out_of_fold", 3, True),
        (Run, "save_weights", 1, False),
        (Run, "append_trial", 4, False),
        (Ledger, "enter", 4, True),
        (conclusion, "_enter_choice", 1, True),
        (conclusion.assembly, "save_ensemble", 1, False),
        (flow, "write_report", 1, True),
    ],
)
def test_a_killed_run_goes_on_as_if_nothing_had_been(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    whole: dict[str, Any],
    owner: Any,
    name: str,
    at: int,
    is_after: bool,
) -> None:
    config = config_of(tmp_path, "ill", **CHEAP)
    with monkeypatch.context() as patch:
        patch.setattr(owner, name, dying(getattr(owner, name), at, is_after=is_after))
        with pytest.raises(Killed):
            flow.study(config, command="test")
    outcome = flow.resume(config.out, {}, command="resume")
    assert Run.open(outcome.run_path).is_finished
    assert told(Run.open(outcome.run_path)) == whole


def test_networks_go_on_too_also_after_several_kills(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    networks = {"families": ("mlp", "linear"), "trials": 4, "epochs": 4}
    reference = told(done(config_of(tmp_path, "ill", **networks, out=str(tmp_path / "a"))))
    config = config_of(tmp_path, "ill", **networks, out=str(tmp_path / "b"))
    for at in (1, 2):
        with monkeypatch.context() as patch:
            patch.setattr(Run, "append_trial", dying(Run.append_trial, at, is_after=False))
            with pytest.raises(Killed):
                flow.study(config, command="test")  # the same --out goes on
    assert told(done(config)) == reference


def test_more_trials_are_those_of_a_longer_study(tmp_path: Path) -> None:
    short = {**CHEAP, "sampler": "random"}
    run = done(config_of(tmp_path, "ill", **{**short, "trials": 3}, out=str(tmp_path / "a")))
    with pytest.raises(
        ResumeError, match="a finished run goes on with more trials or time, such as --trials 6"
    ):
        flow.resume(run.path, {}, command="resume")
    flow.resume(run.path, {"trials": 6}, command="resume --trials 6")
    longer = done(config_of(tmp_path, "ill", **{**short, "trials": 6}, out=str(tmp_path / "b")))
    assert told(run)["trials"] == told(longer)["trials"]
    assert told(run)["p"] == told(longer)["p"]
    human = [event for event in run.events() if event["stage"] == "human"]
    assert [event["chosen"] for event in human] == ["went on after the result was shown: trials 3 to 6"]
    assert run.load_json("run.json")["continued"] == ["resume --trials 6"]


def test_another_sampler_goes_on_from_what_was_tried(tmp_path: Path) -> None:
    run = done(config_of(tmp_path, "ill", **CHEAP))
    before = run.trials()
    flow.resume(run.path, {"trials": 7, "sampler": "random"}, command="resume")
    assert run.trials()[:5] == before and len(run.trials()) == 7


@pytest.fixture(scope="module")
def begun(tmp_path_factory: pytest.TempPathFactory) -> StudyConfig:
    """The configuration of a run that was killed after its second trial."""
    return _killed(config_of(tmp_path_factory.mktemp("begun"), "ill", **CHEAP))


@pytest.fixture(scope="module")
def entered(tmp_path_factory: pytest.TempPathFactory) -> StudyConfig:
    """The same of a study whose trials make entries in the ledger."""
    told = {**CHEAP, "families": ("boosting",), "epochs": 10}
    return _killed(config_of(tmp_path_factory.mktemp("entered"), "ill", **told))


def _killed(config: StudyConfig) -> StudyConfig:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(OptunaProposer, "tell", dying(OptunaProposer.tell, 2, is_after=True))
        with pytest.raises(Killed):
            flow.study(config, command="test")
    return config


@pytest.mark.parametrize(
    ("changes", "what"),
    [
        ({"splits": 4}, "the splits it began with: it has 3, got 4"),
        ({"metric": "accuracy"}, "the metric it began with: it has None, got 'accuracy'"),
        ({"seed": 2}, "the seed it began with: it has 1, got 2"),
        ({"families": ("boosting",)}, "the families it began with"),
        ({"space": {"penalty": 1.0}}, "the space it began with"),
    ],
)
def test_another_study_is_refused(begun: StudyConfig, changes: dict[str, Any], what: str) -> None:
    before = Run.open(str(begun.out)).trials()
    with pytest.raises(ResumeError, match=what):
        flow.study(begun.model_copy(update=changes), command="test")
    assert len(before) == 2 and Run.open(str(begun.out)).trials() == before


def test_changed_data_are_refused(tmp_path: Path) -> None:
    config = config_of(tmp_path, "ill", **CHEAP)
    run = done(config)
    changed = frame_of()
    changed.loc[0, "x"] += 1.0
    config_of(tmp_path, "ill", frame=changed, **CHEAP)
    with pytest.raises(ResumeError, match="the data it began with: it has fingerprint"):
        flow.resume(run.path, {"trials": 9}, command="resume")
    config_of(tmp_path, "ill", frame=frame_of(90), **CHEAP)
    with pytest.raises(ResumeError, match="the number of rows it began with: it has 96, got 90"):
        flow.resume(run.path, {"trials": 9}, command="resume")
    assert run.is_finished


def test_a_damaged_file_makes_its_trial_be_done_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, whole: dict[str, Any]
) -> None:
    config = config_of(tmp_path, "ill", **CHEAP)
    with monkeypatch.context() as patch:
        patch.setattr(Run, "append_trial", dying(Run.append_trial, 4, is_after=True))
        with pytest.raises(Killed):
            flow.study(config, command="test")
    run = Run.open(config.out)
    stored = run.path / "oof/00002.npy"
    content = bytearray(stored.read_bytes())
    content[-3] ^= 1
    stored.write_bytes(content)
    (run.path / "weights/00001.npz").unlink()
    flow.resume(run.path, {}, command="resume")
    assert told(run) == whole


def _altered(begun: StudyConfig, tmp_path: Path, name: str, change: Callable[[bytes], bytes]) -> Run:
    """A copy of the run that was begun, with one file changed."""
    shutil.copytree(str(begun.out), tmp_path / "copy")
    place = tmp_path / "copy" / name
    place.write_bytes(change(place.read_bytes()))
    return Run.open(tmp_path / "copy")


@pytest.mark.parametrize(
    ("name", "change", "said"),
    [
        ("ledger.jsonl", lambda _: b"", "must hold every entry that was made"),
        ("ledger.jsonl", lambda text: b"".join(text.splitlines(True)[:-1]), "must hold every entry"),
        ("trials.jsonl", lambda _: b"", "must hold every trial .* 2 cannot be found, first trial 0"),
        ("trials.jsonl", lambda text: text.splitlines(True)[0], "1 cannot be found, first trial 1"),
        ("config.toml", lambda text: text.replace(b"trials = 5", b"trials = 6"), "must be as it was written"),
        ("config.toml", lambda text: b"".join(text.splitlines(True)[:-2]), "must be as it was written"),
        ("run.json", lambda text: text[:-40], "is not JSON.*restore it"),
    ],
)
def test_what_is_gone_or_altered_is_not_passed_over(
    entered: StudyConfig, tmp_path: Path, name: str, change: Callable[[bytes], bytes], said: str
) -> None:
    run = _altered(entered, tmp_path, name, change)
    with pytest.raises(ValueError, match=said):
        flow.resume(run.path, {}, command="resume")


@pytest.mark.parametrize("name", ["ledger.jsonl", "journal.log", "oof/00000.npy"])
def test_a_link_that_leads_out_of_a_run_is_not_written_through(
    entered: StudyConfig, tmp_path: Path, name: str
) -> None:
    run = _altered(entered, tmp_path, name, lambda content: content)
    target = tmp_path / "precious"
    (run.path / name).rename(target)
    (run.path / name).symlink_to(target)
    before = target.read_bytes()
    with pytest.raises(ArchiveError, match="must hold no links"):
        flow.resume(run.path, {}, command="resume")
    assert target.read_bytes() == before


def test_a_folder_left_before_anything_was_known_is_used(tmp_path: Path) -> None:
    place = tmp_path / "run"
    for name in ("oof", "weights"):
        (place / name).mkdir(parents=True)
    for name in ("lock", "config.toml", ".run.json.4711"):
        (place / name).write_text("")
    assert Run.create(place).path == place
    (place / "notes.txt").write_text("mine")
    with pytest.raises(RunError, match="holds other files"):
        Run.create(place)


def test_a_study_ended_outside_its_trials_says_how_it_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], whole: dict[str, Any]
) -> None:
    config = config_of(tmp_path, "ill", **CHEAP)
    toml = tmp_path / "study.toml"
    toml.write_text(to_toml(config))
    with monkeypatch.context() as patch:
        patch.setattr(flow, "conclude", lambda *_, **__: os.kill(os.getpid(), signal.SIGTERM))
        assert main(["study", "--config", str(toml)]) == 130
    said = capsys.readouterr().err.splitlines()[-1]
    assert said == f"interrupted: what is finished is kept; python -m search.run resume {config.out} goes on"
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
    flow.resume(config.out, {}, command="resume")
    assert told(Run.open(config.out)) == whole


def test_two_processes_do_not_write_into_one_run(tmp_path: Path) -> None:
    run = done(config_of(tmp_path, "ill", **CHEAP))
    with alone(run), pytest.raises(RunError, match="another is at work in"):
        code = "import sys; from search import flow; flow.resume(sys.argv[1], {'trials': 9}, command='')"
        raised = subprocess.run(
            [sys.executable, "-c", code, str(run.path)],
            cwd=ROOT,
            capture_output=True,
            text=True,
            env=os.environ,
        ).stderr
        raise RunError(raised.strip().splitlines()[-1])


def test_seconds_of_trials_at_the_same_time_count_once() -> None:
    spans = [(0, 10), (5, 12), (6, 8), (20, 25), (30, 28)]
    trials = [
        Trial(n, "linear", {}, "completed", started=f"2026-01-01T00:00:{a:02}+00:00",
              finished=f"2026-01-01T00:00:{b:02}+00:00")
        for n, (a, b) in enumerate(spans)
    ]  # fmt: skip
    assert seconds_used(trials) == 12 + 5
    assert seconds_used([*trials, Trial(9, "linear", {}, "failed")]) == 17


def test_leftovers_of_a_killed_writer_are_swept(tmp_path: Path) -> None:
    run = done(config_of(tmp_path, "ill", **CHEAP))
    (run.path / "oof/.00009.npy.4711").write_bytes(b"half")
    with open(run.path / "trials.jsonl", "ab") as file:
        file.write(b'{"number": 5, "fam')
    flow.resume(run.path, {"trials": 6}, command="resume")
    assert not (run.path / "oof/.00009.npy.4711").exists()
    assert [t["number"] for t in lines.read(run.path / "trials.jsonl")] == list(range(6))
    assert np.isfinite(run.load_json("summary.json")["ensemble"]["score"])
