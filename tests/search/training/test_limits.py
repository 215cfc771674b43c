"""A trial that hangs or grows too large is ended, and says by which limit."""

from __future__ import annotations

import signal
import time
from typing import Any

import pytest

from search.training.context import context, started
from search.training.limits import Limits, end, ready
from search.training.trained import TrainingFailed


def _answer(pipe: Any, seconds: float, megabytes: int, is_deaf: bool) -> None:
    if is_deaf:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    held = bytearray(b"x" * (megabytes * 2**20))
    pipe.send("begun")
    time.sleep(seconds)
    pipe.send(len(held))


def _child(seconds: float = 0.0, megabytes: int = 0, is_deaf: bool = False) -> tuple[Any, Any]:
    ours, theirs = context().Pipe()
    child = started(_answer, theirs, seconds, megabytes, is_deaf)
    theirs.close()
    assert ours.recv() == "begun"
    return child, ours


def test_an_answer_in_time_is_ready() -> None:
    child, pipe = _child()
    assert ready({pipe: child}, Limits(seconds=60.0, megabytes=10_000.0), time.monotonic()) == [pipe]
    assert pipe.recv() == 0
    end(child)


def test_a_child_that_died_is_ready_too() -> None:
    child, pipe = _child(60.0)
    child.kill()
    assert ready({pipe: child}, Limits(seconds=60.0), time.monotonic()) == [pipe]
    with pytest.raises(EOFError):
        pipe.recv()


@pytest.mark.parametrize(
    ("limits", "said"),
    [
        (Limits(seconds=0.3), r"longer than the 0\.3 s that a trial may take"),
        (Limits(megabytes=100.0), r"used \d+ MB, more than the 100 MB a trial may use"),
    ],
)
def test_a_broken_limit_is_a_failure(limits: Limits, said: str) -> None:
    child, pipe = _child(60.0, megabytes=200)
    try:
        with pytest.raises(TrainingFailed, match=said):
            ready({pipe: child}, limits, time.monotonic())
    finally:
        end(child)
    assert not child.is_alive()


def test_a_child_that_does_not_listen_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    child, _ = _child(60.0, is_deaf=True)
    monkeypatch.setattr(child, "join", lambda _, join=child.join: join(0.5))
    end(child)
    assert not child.is_alive() and child.exitcode == -signal.SIGKILL
