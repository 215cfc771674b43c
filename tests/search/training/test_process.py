"""The training process: a failure there is one line here, and the next configuration is trained."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest

from search.training import process as process_module
from search.training.engine import Engine
from search.training.process import TrainingProcess, n_threads_for
from search.training.recipe import Recipe
from search.training.trained import Request, TrainingFailed, validation_loss
from tests.search.training import plans

RECIPE = Recipe(n_epochs=2)


@pytest.fixture(scope="module")
def running() -> Iterator[TrainingProcess]:
    data = plans.dataset()
    with TrainingProcess(plans.plan(), "log_loss", data.task) as process:
        yield process


def _request(**changes: object) -> Request:
    return plans.request(plans.dataset(), RECIPE, **changes)


def _check_it_works(process: TrainingProcess) -> None:
    trained = process.train(_request())
    assert trained.checkpoints == (1, 2) and np.isfinite(trained.curve).all()


def test_the_child_gives_what_the_engine_gives(running: TrainingProcess) -> None:
    there = running.train(_request())
    data = plans.dataset()
    here = Engine(plans.plan(), validation_loss("log_loss", data.task)).train_request(_request())
    assert there.curve == pytest.approx(here.curve, rel=1e-5)
    assert np.allclose(there.out_of_fold, here.out_of_fold, atol=1e-5)
    assert running._child.pid != os.getpid()


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"activation": "no such thing"}, "ValueError: .*no such thing"),
        ({"depth": "deep"}, "TypeError: "),
        ({"learning_rate": 1e38, "batch_size": 8}, "diverged: the loss is not finite at epoch"),
    ],
)  # fmt: skip
def test_a_failure_is_one_line_and_the_child_lives_on(
    running: TrainingProcess, changes: dict[str, object], said: str
) -> None:
    pid = running._child.pid
    with pytest.raises(TrainingFailed, match=said) as error:
        running.train(_request(**changes))
    assert "\n" not in str(error.value) and len(str(error.value)) < 600
    _check_it_works(running)
    assert running._child.pid == pid


def test_a_child_killed_at_work_is_one_failure(running: TrainingProcess) -> None:
    _check_it_works(running)
    pid = running._child.pid
    killer = threading.Timer(0.5, os.kill, (pid, signal.SIGKILL))
    killer.start()
    endless = replace(_request(), recipe=Recipe(n_epochs=100_000, patience=0.0, checkpoints=(100_000,)))
    started = time.monotonic()
    with pytest.raises(TrainingFailed, match="died with exit code -9") as error:
        running.train(endless)
    assert "\n" not in str(error.value) and time.monotonic() - started < 20
    _check_it_works(running)
    assert running._child.pid != pid


def test_a_child_that_died_idle_is_one_failure(running: TrainingProcess) -> None:
    _check_it_works(running)
    os.kill(running._child.pid, signal.SIGKILL)
    running._child.join(5)
    with pytest.raises(TrainingFailed, match="exit code -9"):
        running.train(_request())
    _check_it_works(running)


def test_the_child_is_renewed_after_some_programs(
    running: TrainingProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    running.stop()
    monkeypatch.setattr(process_module, "N_PROGRAMS_PER_PROCESS", 2)
    pids, traced = [], []
    for width in (16, 16, 24, 16):
        traced.append(running.train(_request(width=width)).is_traced)
        pids.append(running._child.pid)
    assert traced == [True, False, True, True]
    assert pids[0] == pids[1] == pids[2] != pids[3]


def test_the_child_starts_with_the_first_request_and_leaving_ends_it() -> None:
    data = plans.dataset()
    with TrainingProcess(plans.plan(), "log_loss", data.task) as process:
        assert process._child is None
        _check_it_works(process)
        child = process._child
        assert child.is_alive()
    assert not child.is_alive()


def test_threads_are_for_large_tables() -> None:
    assert n_threads_for(100) == 1
    assert n_threads_for(50_000) == len(os.sched_getaffinity(0))
