"""Ensembles from strangers: how each is looked at."""

from __future__ import annotations

import io
import resource
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from ensemble.artefact import ArtefactError
from ensemble.model import Ensemble
from spaces.packed import read_npz

MOST_SECONDS = 5.0
ROWS = pd.DataFrame({"x": [0.5, np.nan], "gap": [np.nan, 1.0], "flat": 1.0, "color": ["red", "violet"]})


class Bomb:
    """An object whose unpickling writes a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return Path.write_text, (self.path, "executed")


def refused(folder: Path, rule: str, rows: pd.DataFrame = ROWS, *, at_load: bool = True) -> None:
    """Check that an ensemble is refused in one line, in seconds and in little memory."""
    started, before = time.monotonic(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(ArtefactError if at_load else ValueError, match=rule) as caught:
        loaded = Ensemble.load(folder)
        if not at_load:
            loaded.predict(rows)
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 600
    assert time.monotonic() - started < MOST_SECONDS
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 500_000  # kilobytes


def first_array_file(folder: Path) -> str:
    return sorted(path.name for path in folder.glob("*.npz"))[0]


def content(folder: Path) -> dict[str, np.ndarray]:
    return read_npz((folder / first_array_file(folder)).read_bytes())


def npz(arrays: dict[str, np.ndarray], *, is_compressed: bool = False) -> bytes:
    data = io.BytesIO()
    (np.savez_compressed if is_compressed else np.savez)(data, allow_pickle=True, **arrays)  # type: ignore[arg-type]
    return data.getvalue()
