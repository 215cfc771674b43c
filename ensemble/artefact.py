"""The folder of a saved ensemble: JSON, arrays and a model card; no pickle, every file with its hash."""

from __future__ import annotations

import hashlib
import io
import json
import os
import re
import shutil
import tempfile
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

FORMAT = "foldstack-ensemble"
FORMAT_VERSION = 2
READABLE = (1, 2)  # the first knew neither calibration nor families beside networks
MANIFEST = "ensemble.json"
CARD = "model_card.md"

Arrays = dict[str, NDArray[Any]]

_ARRAY_FILE = re.compile(r"member_\d{5,}\.npz")


class ArtefactError(ValueError):
    """A folder is not an ensemble that this version can read, or was changed after it was written."""


def write(path: Path, manifest: Mapping[str, Any], arrays: Mapping[str, Arrays], card: str) -> None:
    """Write an ensemble folder aside and rename it into place; an earlier ensemble there is replaced.

    Parameters
    ----------
    path : Path
        Absent, an empty folder, or an ensemble folder.
    manifest : mapping
        What JSON can hold; format, hashes and digest are added.
    arrays : mapping of file name to named arrays
        Names of files like ``member_00007.npz``.
    card : str
        The model card, Markdown. People may edit it later: its hash is kept, but not checked.

    Raises
    ------
    FileExistsError
        When something else stands at the path.
    """
    _check_free(path)
    content = {name: _packed(named) for name, named in arrays.items()} | {CARD: card.encode()}
    record = {"format": FORMAT, "format_version": FORMAT_VERSION, **manifest}
    record["files"] = {name: hashlib.sha256(data).hexdigest() for name, data in content.items()}
    record["sha256"] = _digest(record)
    text = json.dumps(record, indent=1, ensure_ascii=False, allow_nan=False) + "\n"
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = Path(tempfile.mkdtemp(prefix=f".{path.name}.", dir=path.parent))
    try:
        for name, data in {**content, MANIFEST: text.encode()}.items():
            (aside / name).write_bytes(data)
        _swap(aside, path)
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def read(path: Path) -> tuple[dict[str, Any], dict[str, Arrays]]:
    """Read an ensemble folder: its manifest, and its arrays by file name.

    Raises
    ------
    ArtefactError
        When the folder is no ensemble, has another format version, or a file differs from its hash.
    """
    try:
        record = json.loads((path / MANIFEST).read_bytes())
    except OSError:
        raise ArtefactError(f"an ensemble folder must hold {MANIFEST}, got {str(path)!r}") from None
    except ValueError as error:
        raise ArtefactError(f"{MANIFEST} must be JSON, got an error in it: {error}") from None
    if not isinstance(record, dict) or record.get("format") != FORMAT:
        raise ArtefactError(f"{MANIFEST} must have the format {FORMAT!r}, got {str(path)!r} without it")
    version = record.get("format_version")
    if version not in READABLE:
        raise ArtefactError(f"the format version must be one of {READABLE}, got {version!r}")
    if record.pop("sha256", None) != _digest(record):
        raise ArtefactError(f"{MANIFEST} differs from its own hash: it was changed after it was written")
    names = [name for name in record.get("files", {}) if name != CARD]
    return record, {name: _unpacked(path, name, record["files"][name]) for name in names}


def _check_free(path: Path) -> None:
    if not path.exists() or (path / MANIFEST).is_file():
        return
    if not path.is_dir() or any(path.iterdir()):
        raise FileExistsError(f"an ensemble is saved to a new or empty folder, got {str(path)!r}")


def _swap(aside: Path, path: Path) -> None:
    """Rename the finished folder into place; what stood there goes only once the new one stands."""
    if not path.exists():
        os.rename(aside, path)
        return
    old = Path(tempfile.mkdtemp(prefix=f".{path.name}.", dir=path.parent)) / "old"
    os.rename(path, old)
    try:
        os.rename(aside, path)
    except OSError:
        os.rename(old, path)
        raise
    finally:
        shutil.rmtree(old.parent, ignore_errors=True)


def _digest(record: Mapping[str, Any]) -> str:
    text = json.dumps(record, sort_keys=True, ensure_ascii=True, allow_nan=False, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def _packed(arrays: Arrays) -> bytes:
    buffer = io.BytesIO()
    np.savez(buffer, allow_pickle=False, **arrays)
    return buffer.getvalue()


def _unpacked(path: Path, name: str, expected: object) -> Arrays:
    """Read the arrays of one file from the very bytes that were hashed."""
    if not _ARRAY_FILE.fullmatch(name):
        raise ArtefactError(f"array files are named like member_00007.npz, got {name!r}")
    try:
        data = (path / name).read_bytes()
    except OSError:
        raise ArtefactError(f"the ensemble folder must hold {name}, got {str(path)!r} without it") from None
    if hashlib.sha256(data).hexdigest() != expected:
        raise ArtefactError(f"{name} differs from its hash: it was changed after it was written")
    try:
        with np.load(io.BytesIO(data), allow_pickle=False) as found:
            return {key: found[key] for key in found.files}
    except (ValueError, OSError, zipfile.BadZipFile) as error:
        raise ArtefactError(f"{name} must hold plain arrays, got: {error}") from None
