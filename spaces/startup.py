"""Importing TensorFlow without the messages that its native code writes to the terminal while it starts."""

import os
from collections.abc import Iterator
from contextlib import contextmanager


def import_tensorflow() -> None:
    """Import TensorFlow and Keras; takes seconds the first time, nothing afterwards."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    with _silent_terminal():
        import keras  # noqa: F401
        import tensorflow  # noqa: F401


@contextmanager
def _silent_terminal() -> Iterator[None]:
    """Send what is written to file descriptor 2, also by native code, nowhere."""
    terminal, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    try:
        yield
    finally:
        os.dup2(terminal, 2)
        os.close(terminal)
        os.close(nowhere)
