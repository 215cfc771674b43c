"""Changing a saved ensemble as a careful forger would: with sizes, hashes and digest that fit."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ensemble import artefact

MANIFEST = artefact.MANIFEST


def rewrite(folder: Path, change: Callable[[dict[str, Any]], object]) -> None:
    """Change the manifest and give it a fitting digest."""
    record = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    record.pop("sha256")
    change(record)
    record["sha256"] = artefact._digest(record)
    (folder / MANIFEST).write_text(json.dumps(record), encoding="utf-8")


def replace(folder: Path, name: str, data: bytes) -> None:
    """Change a file, and what the manifest says of it."""
    (folder / name).write_bytes(data)

    def fit(record: dict[str, Any]) -> None:
        record["files"][name] = hashlib.sha256(data).hexdigest()
        record["sizes"][name] = len(data)

    rewrite(folder, fit)


def change_architecture(folder: Path, change: Callable[[dict[str, Any]], object], place: int = 0) -> None:
    """Change the configuration of a trial's model."""

    def sneak(record: dict[str, Any]) -> None:
        architecture = json.loads(record["candidates"][place]["architecture"])
        change(architecture)
        record["candidates"][place]["architecture"] = json.dumps(architecture)

    rewrite(folder, sneak)
