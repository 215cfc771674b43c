"""The folder of a saved ensemble: JSON, arrays and a model card; no pickle, every file with its hash.

A folder may come from a stranger. Hashes tell accidents, not forgeries: whoever changes a file can change its
hash too. So nothing that is read is executed, and no file is read that is larger than the manifest says.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import re
import shutil
import stat
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spaces.packed import PackedError, read_json, read_npz

FORMAT = "foldstack-ensemble"
FORMAT_VERSION = 3
READABLE = (3,)  # before it, boosters were kept in their libraries' own formats, which can end the process
MANIFEST = "ensemble.json"
CARD = "model_card.md"
LARGEST_MANIFEST = 1 << 28  # bytes
LARGEST_ENSEMBLE = 1 << 34  # bytes, all files together

Arrays = dict[str, NDArray[Any]]

_NO_LINK, _NO_WAIT = getattr(os, "O_NOFOLLOW", 0), getattr(os, "O_NONBLOCK", 0)
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
    ArtefactError
        When the manifest would be larger than one that is read.
    """
    _check_free(path)
    content = {name: _packed(named) for name, named in arrays.items()} | {CARD: card.encode()}
    record = {"format": FORMAT, "format_version": FORMAT_VERSION, **manifest}
    record["files"] = {name: hashlib.sha256(data).hexdigest() for name, data in content.items()}
    record["sizes"] = {name: len(data) for name, data in content.items()}
    record["sha256"] = _digest(record)
    text = json.dumps(record, indent=1, ensure_ascii=False, allow_nan=False) + "\n"
    if len(text) > LARGEST_MANIFEST // 4:  # of up to four bytes each
        raise ArtefactError(f"{MANIFEST} must have at most {LARGEST_MANIFEST // 4} letters, got {len(text)}")
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = Path(tempfile.mkdtemp(prefix=f".{path.name}.", dir=path.parent))
    try:
        for name, data in {**content, MANIFEST: text.encode()}.items():
            _write(aside / name, data)
        _swap(aside, path)
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def read(path: Path) -> tuple[dict[str, Any], dict[str, Arrays]]:
    """Read an ensemble folder: its manifest, and its arrays by file name.

    Raises
    ------
    ArtefactError
        When the folder is no ensemble, has another format version, or a file is no plain file of the size and
        hash that the manifest says.
    """
    content = _bytes(path, MANIFEST, LARGEST_MANIFEST)
    try:
        record = read_json(content)
    except PackedError as error:
        raise ArtefactError(f"{MANIFEST} must be JSON, got an error in it: {error}") from None
    if not isinstance(record, dict) or record.get("format") != FORMAT:
        raise ArtefactError(f"{MANIFEST} must have the format {FORMAT!r}, got {str(path)!r} without it")
    version = record.get("format_version")
    if version not in READABLE or isinstance(version, (bool, float)):
        raise ArtefactError(f"the format version must be one of {READABLE}, got {version!r:.60}")
    try:
        is_whole = record.pop("sha256", None) == _digest(record)
    except RecursionError:
        raise ArtefactError(f"{MANIFEST} must not be nested as deeply as this") from None
    if not is_whole:
        raise ArtefactError(f"{MANIFEST} differs from its own hash: it was changed after it was written")
    files = _files(record)
    return record, {name: _unpacked(path, name, size, expected) for name, size, expected in files}


def _files(record: Mapping[str, Any]) -> list[tuple[str, int, str]]:
    """The array files of a manifest: name, size in bytes, hash."""
    hashes, sizes = record.get("files"), record.get("sizes")
    if not isinstance(hashes, dict) or not isinstance(sizes, dict) or hashes.keys() != sizes.keys():
        raise ArtefactError(f"{MANIFEST} must say the hash and the size of every file")
    found = []
    for name in hashes:
        size, digest = sizes[name], hashes[name]
        if type(size) is not int or size < 0 or not isinstance(digest, str):
            raise ArtefactError(f"{MANIFEST} must say hashes as text and sizes in bytes, got {name!r:.60}")
        if name != CARD:
            if not _ARRAY_FILE.fullmatch(name):
                raise ArtefactError(f"array files are named like member_00007.npz, got {name!r:.60}")
            found.append((name, size, digest))
    if sum(size for _, size, _ in found) > LARGEST_ENSEMBLE:
        raise ArtefactError(f"an ensemble must have at most {LARGEST_ENSEMBLE} bytes, got more")
    return found


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


def _unpacked(path: Path, name: str, size: int, expected: str) -> Arrays:
    """Read the arrays of one file from the very bytes that were hashed."""
    data = _bytes(path, name, size)
    if len(data) != size:
        raise ArtefactError(f"{name} must have {size} bytes, got {len(data)}")
    if hashlib.sha256(data).hexdigest() != expected:
        raise ArtefactError(f"{name} differs from its hash: it was changed after it was written")
    try:
        return read_npz(data)
    except PackedError as error:
        raise ArtefactError(f"{name} must hold plain arrays, got: {error}") from None


def _bytes(path: Path, name: str, limit: int) -> bytes:
    """The bytes of a plain file in the folder itself: no link, no pipe, no device, at most some bytes."""
    if (path / name).is_symlink():
        raise ArtefactError(f"{name} must be a file of the folder itself, got a link")
    try:
        handle = os.open(path / name, os.O_RDONLY | _NO_LINK | _NO_WAIT)
    except OSError:
        raise ArtefactError(f"an ensemble folder must hold {name}, got {str(path)!r} without it") from None
    found = os.fstat(handle)
    if not stat.S_ISREG(found.st_mode) or found.st_size > limit:
        os.close(handle)
        if not stat.S_ISREG(found.st_mode):
            raise ArtefactError(f"{name} must be a plain file, got something else")
        raise ArtefactError(f"{name} must have at most {limit} bytes, got {found.st_size}")
    with os.fdopen(handle, "rb") as file:
        return file.read(limit + 1)


def _write(path: Path, data: bytes) -> None:
    """Write a new file that its owner alone can read."""
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
