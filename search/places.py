"""Where the run of an estimator stands: at a place of its own, or for the time being."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path

from search.records import Run


@contextmanager
def run_folder(place: str | Path | None) -> Iterator[Run]:
    """A new run, removed at the end; or kept at a place, with a number behind it where that exists."""
    if place is None:
        with tempfile.TemporaryDirectory(prefix="foldstack-") as folder:
            yield Run.create(Path(folder) / "run")
    else:
        yield Run.create(_new_folder(Path(place)))


def _new_folder(place: Path) -> Path:
    """Make the folder, so that no other process takes it."""
    for number in count(1):
        folder = place if number == 1 else place.with_name(f"{place.name}-{number}")
        try:
            folder.mkdir(mode=0o700, parents=True)
        except FileExistsError:
            continue
        return folder
    raise AssertionError
