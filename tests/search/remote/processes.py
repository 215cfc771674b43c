"""Coordinators and workers as processes of a test, some of which hold a trial up until they are killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path
from threading import Thread
from typing import Any

from search import flow
from search.config import StudyConfig
from search.records import Run
from tests.search.studies import ROOT

CHEAP: dict[str, Any] = {"families": ("linear",), "space": {}, "trials": 6, "draws": 5, "sampler": "random"}
WORKER = """
import os, sys, threading, time
from search import objective, run
from search.training import workshop
held, is_closed = int(sys.argv.pop(1)), threading.Event()
evaluate, leave = objective.Objective.evaluate, workshop.Workshop.__exit__
def slowly(self, number, *arguments):
    time.sleep(float(os.environ.get("PAUSE", "0")))
    if number == held:
        print(f"holding {number}", flush=True)
        is_closed.wait()
    return evaluate(self, number, *arguments)
def left(self, *arguments):
    leave(self, *arguments)
    is_closed.set()
objective.Objective.evaluate, workshop.Workshop.__exit__ = slowly, left
sys.exit(run.main(["worker", *sys.argv[1:]]))
"""


def begun(config: StudyConfig) -> Future[flow.Outcome]:
    """A coordinator in a thread of this process."""
    future: Future[flow.Outcome] = Future()

    def go() -> None:
        try:
            future.set_result(flow.study(config, command="test"))
        except BaseException as error:
            future.set_exception(error)

    Thread(target=go, daemon=True).start()
    until(lambda: future.done() or Path(str(config.out), "storage.json").exists())
    return future


class Worker:
    """A worker that joins a study; it never ends trial `held`."""

    def __init__(self, url: str, study: str, *more: str, held: int = -1, **environment: str) -> None:
        told = ["--storage", url, "--study", study, *more]
        self._process = subprocess.Popen(
            [sys.executable, "-c", WORKER, str(held), *told], cwd=ROOT, text=True, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, env={**os.environ, **environment}, start_new_session=True,
        )  # fmt: skip
        self.said = ""
        self._reader = Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self.said += line

    def kill(self) -> None:
        """End it and its children with kill -9."""
        os.killpg(self._process.pid, signal.SIGKILL)
        self.code()

    def ask_to_end(self) -> None:
        self._process.send_signal(signal.SIGTERM)

    def code(self) -> int:
        code = self._process.wait(240)
        self._reader.join(5)
        assert self._process.stdout is not None
        self._process.stdout.close()
        return code

    def is_holding(self) -> bool:
        assert self._process.poll() is None, self.said
        return "holding" in self.said


def until(is_true: Callable[[], bool], seconds: float = 240) -> None:
    since = time.monotonic()
    while not is_true():
        assert time.monotonic() - since < seconds, "it took too long"
        time.sleep(0.1)


def finished(future: Future[flow.Outcome], seconds: float = 240) -> Run:
    return Run.open(future.result(seconds).run_path)
