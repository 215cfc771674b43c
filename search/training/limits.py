"""How long a trial may take and how large its processes may grow; one that breaks a limit fails."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any

from search.training.trained import TrainingFailed

SECONDS_BETWEEN_LOOKS = 0.25


@dataclass(frozen=True)
class Limits:
    """Of one trial.

    Attributes
    ----------
    seconds : float or None
        From the request to the answer.
    megabytes : float or None
        Resident memory of each of its processes, read from ``/proc``; without one it is not watched.
    """

    seconds: float | None = None
    megabytes: float | None = None


def ready(busy: Mapping[Connection, Any], limits: Limits, since: float) -> list[Connection]:
    """Wait until a child has answered or died.

    Parameters
    ----------
    busy
        Children (processes) by their pipes.
    since
        When the trial began, by `time.monotonic`.

    Raises
    ------
    TrainingFailed
        If a limit is broken first.
    """
    is_limited = limits.seconds is not None or limits.megabytes is not None
    while not (found := wait(list(busy), SECONDS_BETWEEN_LOOKS if is_limited else None)):
        if limits.seconds is not None and time.monotonic() - since > limits.seconds:
            raise TrainingFailed(f"it took longer than the {limits.seconds:g} s that a trial may take")
        used = max(_megabytes(child.pid) for child in busy.values())
        if limits.megabytes is not None and used > limits.megabytes:
            raise TrainingFailed(
                f"it used {used:.0f} MB, more than the {limits.megabytes:g} MB a trial may use"
            )
    return [pipe for pipe in found if isinstance(pipe, Connection)]


def _megabytes(pid: int) -> float:
    """Resident memory of a process; 0 where it cannot be told."""
    try:
        pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    except (OSError, IndexError, ValueError):
        return 0.0
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def end(child: Any) -> None:
    """End a process, also one that does not listen."""
    child.terminate()
    child.join(5)
    if child.is_alive():
        child.kill()
        child.join(5)
