"""An ensemble as the contents of its files: compiled programs cannot be pickled, and need not be."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path

from ensemble import Ensemble


def files_of(ensemble: Ensemble) -> dict[str, bytes]:
    """The files of a saved ensemble by name."""
    with tempfile.TemporaryDirectory(prefix="foldstack-") as folder:
        ensemble.save(Path(folder) / "ensemble")
        return {path.name: path.read_bytes() for path in sorted(Path(folder, "ensemble").iterdir())}


def ensemble_of(files: Mapping[str, bytes]) -> Ensemble:
    """The ensemble of such files."""
    with tempfile.TemporaryDirectory(prefix="foldstack-") as folder:
        for name, content in files.items():
            (Path(folder) / name).write_bytes(content)
        return Ensemble.load(folder)
