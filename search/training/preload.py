"""Imported by the fork server before it forks: the engine, without TensorFlow's native start-up messages."""

import os

_terminal = os.dup(2)
_nowhere = os.open(os.devnull, os.O_WRONLY)
os.dup2(_nowhere, 2)
try:
    import search.training.engine  # noqa: F401
finally:
    os.dup2(_terminal, 2)
    os.close(_terminal)
    os.close(_nowhere)
