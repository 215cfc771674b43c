"""How many threads native code may use while a model is fitted."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def limited(n_threads: int) -> Iterator[None]:
    """Let OpenMP and BLAS use at most `n_threads` threads inside the block."""
    from threadpoolctl import threadpool_limits

    with threadpool_limits(limits=n_threads):
        yield
