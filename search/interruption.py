"""SIGTERM, by which batch systems end a process, and a closed terminal are heard as Ctrl-C is."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress


class Interrupted(Exception):  # noqa: N818
    """A person, or the system, ended a study outside its trials; the message says how it goes on."""


@contextmanager
def heard_as_ctrl_c() -> Iterator[None]:
    """Within, in the main thread; what is ignored already, as behind nohup, stays ignored."""
    is_main = threading.current_thread() is threading.main_thread()
    ours = [n for n in (signal.SIGTERM, signal.SIGHUP) if is_main and signal.getsignal(n) is signal.SIG_DFL]
    for number in ours:
        signal.signal(number, _interrupt)
    try:
        yield
    finally:
        for number in ours:
            signal.signal(number, signal.SIG_DFL)


def _interrupt(number: int, frame: object) -> None:
    for out in (1, 2):
        try:
            os.write(out, b"")
        except OSError:  # the terminal is gone: what is said from now on goes nowhere
            with suppress(OSError):
                os.dup2(os.open(os.devnull, os.O_WRONLY), out)
    raise KeyboardInterrupt
