"""Where training processes come from: a fork server, which has loaded what they need."""

from __future__ import annotations

import multiprocessing
import signal
import sys
import threading
from collections.abc import Callable
from multiprocessing import resource_tracker
from multiprocessing.context import ForkServerContext
from multiprocessing.forkserver import ensure_running
from multiprocessing.process import BaseProcess
from types import ModuleType
from typing import Any

NETWORKS, OTHERS = "search.training.preload", "search.training.preload_fitted"
_STARTING = threading.Lock()


def context() -> ForkServerContext:
    """The context whose processes are forked from the server."""
    return multiprocessing.get_context("forkserver")


def start_server(*, needs_networks: bool) -> None:
    """Start the server, which loads TensorFlow, or scikit-learn alone, while this process goes on.

    A server that runs already stays as it is.
    """
    context().set_forkserver_preload([NETWORKS if needs_networks else OTHERS])
    resource_tracker.ensure_running()  # which would lift the mask
    before = signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGINT, signal.SIGHUP))
    try:  # the server keeps the mask: Ctrl-C is for the study's own process, also while the server loads
        ensure_running()
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def started(target: Callable[..., None], *arguments: Any) -> BaseProcess:
    """Start a child that does not run the main module again, so that a script needs no guard.

    While it starts, objects of ``__main__`` cannot be pickled by other threads.
    """
    child = context().Process(target=target, args=arguments, daemon=True)
    with _STARTING:
        main = sys.modules["__main__"]
        sys.modules["__main__"] = ModuleType("__main__")  # without a spec or a file nothing is run again
        try:
            child.start()
        finally:
            sys.modules["__main__"] = main
    return child
