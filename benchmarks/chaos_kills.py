"""The study itself is ended in the middle: kill -9, Ctrl-C, SIGTERM, a closed terminal."""

from __future__ import annotations

import fcntl
import os
import pty
import random
import signal
import subprocess
import sys
import termios
import time
from contextlib import suppress
from pathlib import Path

from benchmarks.chaos_studies import (
    LINEAR,
    MIXED,
    ROOT,
    Ground,
    Result,
    begin,
    draw,
    ended,
    finish,
    kill,
    listening,
    n_finished,
    spread,
    wait_until,
)

MOST_OF_ONE = 6  # kills of one study, so that every study also comes to its end
SIGNALS = {"Ctrl-C": signal.SIGINT, "SIGTERM": signal.SIGTERM}
MOMENTS = (0, 2, 5, 6)
"""Trials that are finished when a study is asked to end; behind the last it chooses its ensemble."""


def killed(ground: Ground, seed: int = 0) -> list[Result]:
    """kill -9 of the study and all its processes at random moments, then gone on with."""
    rng, struck, n_studies, n_same, said = draw(seed), list[int](), 0, 0, ""
    while len(struck) < ground.n_kills:
        out, options = ground.new(), MIXED if (n_studies + seed) % 4 == 3 else LINEAR
        n_studies += 1
        n_most = min(ground.n_kills, len(struck) + MOST_OF_ONE)
        while not (out / "DONE").exists():
            is_begun = (out / "run.json").exists()
            process = begin(["resume", str(out)] if is_begun else ground.words(out, options))
            if len(struck) < n_most and _strikes(rng, process, out, ground.seconds(options)):
                struck.append(n_finished(out))
                continue
            code, line = ended(process)
            if code:
                said = f"; {line}"
                break
        n_same += ground.is_same(out, options)
    found = (
        f"killed with {spread(struck)} of 6 trials finished ({_shares(struck)}); "
        f"{n_same} of {n_studies} studies ended with the same trials, ledger and ensemble{said}"
    )
    return [Result("kill -9 of the study and all its processes", len(struck), found, n_same == n_studies)]


def _strikes(rng: random.Random, process: subprocess.Popen[str], out: Path, seconds: float) -> bool:
    """Kill a study: every other time anywhere in its whole time, else among its trials, which are short."""
    if rng.random() < 0.5:
        return wait_until(process, rng.uniform(0.2, seconds)) and kill(process)
    n_trials = min(6, n_finished(out) + rng.randrange(3))
    while process.poll() is None and not ((out / "run.json").exists() and n_finished(out) >= n_trials):
        time.sleep(0.01)
    return wait_until(process, rng.uniform(0.0, 0.5)) and kill(process)


def _shares(struck: list[int]) -> str:
    """How many were struck before, among and behind the trials."""
    n_before, n_behind = sum(n == 0 for n in struck), sum(n == 6 for n in struck)
    n_between = len(struck) - n_before - n_behind
    return f"{n_before} before the first ended, {n_between} between, {n_behind} behind the last"


def asked_to_end(ground: Ground) -> list[Result]:
    """Signals that ask a study and its processes to end, among its trials and behind them."""
    return [*(_signalled(ground, name, number) for name, number in SIGNALS.items()), _hung_up(ground)]


def _signalled(ground: Ground, name: str, number: signal.Signals) -> Result:
    rng, struck, codes, said, n_same = draw(number), list[int](), set[int](), list[str](), 0
    for n_trials in MOMENTS:
        out = ground.new()
        process = begin(ground.words(out, LINEAR))
        _await(out, n_trials, rng.uniform(0, 1))
        os.killpg(process.pid, number)
        struck.append(n_finished(out))
        code, line = ended(process)
        codes.add(code)
        said.append(line.replace(str(out), "RUN"))
        finish(["resume", str(out)])
        n_same += ground.is_as_good(out, LINEAR)
    is_good = codes == {130} and all("resume RUN" in line for line in said) and n_same == len(MOMENTS)
    found = (
        f"with {spread(struck)} of 6 trials finished; exit code {_listed(codes)}: "
        f"{' / '.join(sorted(set(said)))}; "
        f"gone on with, {n_same} times the same trials and ensemble"
    )
    return Result(f"{name}, to the study and all its processes", len(MOMENTS), found, is_good)


def _hung_up(ground: Ground) -> Result:
    """A study in a terminal that is closed: what it says then goes nowhere."""
    rng, struck, codes, n_same = draw(9), list[int](), set[int](), 0
    for n_trials in MOMENTS:
        out = ground.new()
        ours, theirs = pty.openpty()
        command = [sys.executable, "-m", "search.run", *ground.words(out, LINEAR)]
        process = subprocess.Popen(
            command, cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)}, stdin=theirs, stdout=theirs,
            stderr=theirs, start_new_session=True, preexec_fn=_at_terminal,
        )  # fmt: skip
        os.close(theirs)
        os.set_blocking(ours, False)
        _await(out, n_trials, rng.uniform(0, 1), ours)
        os.close(ours)
        struck.append(n_finished(out))
        codes.add(process.wait(300))
        finish(["resume", str(out)])
        n_same += ground.is_as_good(out, LINEAR)
    found = (
        f"with {spread(struck)} of 6 trials finished; exit code {_listed(codes)}; "
        f"gone on with, {n_same} times the same trials and ensemble"
    )
    is_good = codes <= {1, 130} and n_same == len(MOMENTS)  # 1: it was writing to the terminal just then
    return Result("the terminal is closed", len(MOMENTS), found, is_good)


def _at_terminal() -> None:
    listening()
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)


def _listed(codes: set[int]) -> str:
    return ", ".join(map(str, sorted(codes)))


def _await(out: Path, n_trials: int, seconds: float, terminal: int | None = None) -> None:
    """Wait until a run is begun and has so many trials, and for a while; read what a terminal shows."""
    since, reached = time.monotonic(), None
    while (now := time.monotonic()) - since < 300 and (reached is None or now - reached < seconds):
        if reached is None and n_finished(out) >= n_trials and (out / "run.json").exists():
            reached = now
        if terminal is not None:
            with suppress(BlockingIOError):
                os.read(terminal, 65536)
        time.sleep(0.02)
