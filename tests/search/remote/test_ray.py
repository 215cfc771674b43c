"""Trials as tasks of a local Ray cluster: several processes, the same study."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from search.records import Run
from tests.search.remote.processes import CHEAP as SIX
from tests.search.studies import ROOT, config_of, done

pytest.importorskip("ray", reason="the extra foldstack[ray] is 80 MB: pip install 'foldstack[ray]'")

CHEAP = {**SIX, "trials": 4}
SCRIPT = """
import json, sys
import ray
from search.remote import ray_executor
from search.run import main
places, left = set(), ray_executor.RayWorkshop.__exit__
def leave(self, *arguments):
    places.update(self.places)
    left(self, *arguments)
ray_executor.RayWorkshop.__exit__ = leave
ray.init(num_cpus=2, include_dashboard=False, logging_level="ERROR", _memory=4 * 2**30)
code = main(["study", *sys.argv[1:]])
print(json.dumps([code, sorted(places)]))
"""


def studied(config: Any, *more: str) -> tuple[int, list[str], str]:
    """Exit code, the processes that trained, and what was said."""
    told = ["--config", str(Path(config.out).with_suffix(".toml")), *more]
    from search.config import to_toml

    Path(told[1]).write_text(to_toml(config))
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, *told], cwd=ROOT, capture_output=True, text=True, timeout=200,
        env={**os.environ, "RAY_USAGE_STATS_ENABLED": "0", "RAY_worker_niceness": "0"},
    )  # fmt: skip
    code, places = json.loads(done.stdout.strip().splitlines()[-1])
    return code, places, done.stderr


def test_tasks_of_two_processes_train_what_one_process_trains(tmp_path: Path) -> None:
    alone = done(config_of(tmp_path, "ill", **CHEAP, out=str(tmp_path / "alone")))
    config = config_of(tmp_path, "ill", **CHEAP, executor="ray", workers=2, trial_memory=1500.0)
    code, places, said = studied(config)
    assert code == 0, said
    assert len(places) == 2
    run = Run.open(str(config.out))
    assert {t.number: (t.config, t.score) for t in run.trials()} == {
        t.number: (t.config, t.score) for t in alone.trials()
    }
    members = [one.load_json("summary.json")["ensemble"]["score"] for one in (run, alone)]
    assert members[0] == members[1]


def test_what_no_node_has_room_for_is_refused(tmp_path: Path) -> None:
    config = config_of(tmp_path, "ill", **CHEAP, executor="ray", trial_memory=1e7)
    code, _, said = studied(config)
    assert code == 2
    assert "error: a node of the Ray cluster must have a core and 10000000 MB for a trial: there" in said


def test_a_cluster_trains_a_user_s_network_with_a_deadline(tmp_path: Path) -> None:
    own = {**CHEAP, "model": "tests.search.remote.user_functions:build", "families": None, "epochs": 3}
    own |= {"splits": 2, "trials": 2, "draws": 0}
    alone = done(config_of(tmp_path, "ill", **own, out=str(tmp_path / "alone")))
    asked = config_of(tmp_path, "ill", **own, executor="ray", workers=2, time=600.0, trial_time=300.0)
    code, places, said = studied(asked)
    assert code == 0, said
    run = Run.open(str(asked.out))
    known = {other.number: other for other in alone.trials()}
    assert {trial.number for trial in run.trials()} == set(known)
    for trial in run.trials():  # in the order in which they ended
        other = known[trial.number]
        assert (trial.status, trial.config, trial.score) == ("completed", other.config, other.score)
        assert run.out_of_fold(trial.number).tobytes() == alone.out_of_fold(other.number).tobytes()
    assert len(places) == 2
