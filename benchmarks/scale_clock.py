"""Time and memory of the stages of one process, stage within stage, and of the processes that it starts."""

from __future__ import annotations

import ctypes
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import wraps
from pathlib import Path
from typing import Any

from benchmarks.scale_record import Measured

MB = 2**20
SECONDS_BETWEEN = 0.05
PAGE, TICK = os.sysconf("SC_PAGE_SIZE"), os.sysconf("SC_CLK_TCK")


@dataclass
class _Open:
    """A stage that is under way."""

    seconds: float
    cpu: float
    resident: float
    peak: float = 0.0
    others: float = 0.0


@dataclass
class Descendants:
    """Processor time and added memory of all processes that descend from this one, looked at now and then.

    Attributes
    ----------
    cpu : dict of int to float
        Seconds of each process, also of those that have ended.
    first, last, most : dict of int to float
        MB of its own memory at the last reset or when it was first seen, now, and at most since then.
    """

    cpu: dict[int, float] = field(default_factory=dict)
    first: dict[int, float] = field(default_factory=dict)
    last: dict[int, float] = field(default_factory=dict)
    most: dict[int, float] = field(default_factory=dict)

    @property
    def seconds(self) -> float:
        """Processor time of all of them."""
        self.look()
        return sum(self.cpu.values())

    @property
    def added(self) -> float:
        """MB that they took at most since the last reset; added up, so rather too much."""
        return sum(max(0.0, self.most[pid] - self.first[pid]) for pid in self.most)

    def reset(self) -> None:
        """Count memory from now on."""
        self.first = dict(self.last)
        self.most.clear()

    def look(self) -> None:
        """Read what the kernel says of them."""
        parents = {pid: found for pid in _pids() if (found := _status(pid)) is not None}
        for pid, (_, cpu, resident) in parents.items():
            depth = _depth(pid, parents)
            if depth:
                self.cpu[pid] = max(cpu, self.cpu.get(pid, 0.0))
            if depth > 1:  # the fork server, between us and the rest, only imports
                self.first.setdefault(pid, resident)
                self.last[pid] = resident
                self.most[pid] = max(resident, self.most.get(pid, 0.0))


class Clock:
    """Measures named stages of this process; a stage within another counts for both.

    Peaks are the kernel's high-water marks of resident memory, which a stage sets back as it begins.
    """

    def __init__(self, size: int) -> None:
        self._size, self._open = size, list[_Open]()
        self._others, self._lock, self._is_over = Descendants(), threading.Lock(), threading.Event()
        self.found: list[Measured] = []
        threading.Thread(target=self._watch, daemon=True).start()

    def stop(self) -> None:
        """End the looks at other processes."""
        self._is_over.set()

    @contextmanager
    def stage(self, name: str, written: Callable[[], float] | None = None) -> Iterator[None]:
        """Measure what is done within; `written` says at the end how many MB are on the disk for it."""
        self._settle()
        with self._lock:
            before = self._others.seconds
            for outer in self._open:
                outer.others = max(outer.others, self._others.added)
            self._others.reset()
        one = _Open(time.perf_counter(), time.process_time() + before, resident())
        self._open.append(one)
        try:
            yield
        finally:
            self._settle()
            self._open.pop()
            with self._lock:
                cpu = time.process_time() + self._others.seconds
                one.others = max(one.others, self._others.added)
            peak = max(0.0, one.peak - one.resident) + one.others
            on_disk = float("nan") if written is None else written()
            seconds = time.perf_counter() - one.seconds
            self.found.append(Measured(name, self._size, seconds, cpu - one.cpu, peak, on_disk))
            print(self.found[-1], file=sys.stderr, flush=True)

    def wrap(self, owner: Any, attribute: str, name: str | Callable[..., str]) -> None:
        """Measure each call of a function or method of the project, named as told or by what it is given."""
        plain = getattr(owner, attribute)

        @wraps(plain)
        def measured(*given: Any, **named: Any) -> Any:
            with self.stage(name if isinstance(name, str) else name(*given, **named)):
                return plain(*given, **named)

        setattr(owner, attribute, measured)

    def _settle(self) -> None:
        """Credit the stages that are open with the memory used since the last mark, and set the mark back."""
        high = high_water()
        for one in self._open:
            one.peak = max(one.peak, high)
        ctypes.CDLL("libc.so.6").malloc_trim(0)
        Path("/proc/self/clear_refs").write_text("5")

    def _watch(self) -> None:
        while not self._is_over.wait(SECONDS_BETWEEN):
            with self._lock:
                self._others.look()


def resident() -> float:
    """MB of resident memory of this process."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * PAGE / MB


def high_water() -> float:
    """Most MB of resident memory of this process since the mark was set back."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("VmHWM")).split()[1]) / 1024


def _pids() -> list[int]:
    return [int(name) for name in os.listdir("/proc") if name.isdigit()]


def _status(pid: int) -> tuple[int, float, float] | None:
    """Parent, processor seconds and MB of own memory of a process; None where it has ended."""
    try:
        after_name = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        pages = Path(f"/proc/{pid}/statm").read_text().split()
    except OSError:
        return None
    own = int(pages[1]) - int(pages[2])
    return int(after_name[1]), (int(after_name[11]) + int(after_name[12])) / TICK, own * PAGE / MB


def _depth(pid: int, parents: dict[int, tuple[int, float, float]]) -> int:
    """How many generations a process lies below this one; 0: not at all."""
    depth = 0
    while pid in parents:
        pid, depth = parents[pid][0], depth + 1
        if pid == os.getpid():
            return depth
    return 0
