"""Append-only files of JSON lines: what was written stays, and a line torn by a crash is no line."""

import json
import math
import os
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any


class LinesError(ValueError):
    """A file of JSON lines that is damaged elsewhere than at its end."""


def plain(value: Any) -> Any:
    """The same value in types that JSON has: numpy scalars and arrays unpacked, NaN and infinities None."""
    if hasattr(value, "tolist"):
        value = value.tolist()
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def text_of(record: Mapping[str, Any]) -> str:
    """One record as a line that ends with the CRC-32 of what stands before it, as a last key ``crc32``."""
    text = json.dumps(plain(record), ensure_ascii=False, allow_nan=False)
    comma = ", " if len(record) else ""
    return f'{text[:-1]}{comma}"crc32": {zlib.crc32(text.encode())}}}\n'


def append(path: Path, record: Mapping[str, Any]) -> None:
    """Append one record and wait until it is on the disk; a torn last line is cut off before."""
    line = text_of(record)
    with open(path, "ab+", opener=lambda name, flags: os.open(name, flags | os.O_NOFOLLOW, 0o600)) as file:
        _cut_torn_end(file)
        file.write(line.encode())
        file.flush()
        os.fsync(file.fileno())


def _cut_torn_end(file: Any) -> None:
    end = file.seek(0, os.SEEK_END)
    if end == 0:
        return
    file.seek(end - 1)
    if file.read(1) == b"\n":
        return
    file.seek(0)
    file.truncate(file.read().rfind(b"\n") + 1)


def read(path: Path) -> list[dict[str, Any]]:
    """Return all whole records, oldest first; none when the file is missing.

    Raises
    ------
    LinesError
        If a line that was written whole is not a JSON object, or not what was written.
    """
    if not path.exists():
        return []
    from search.archives import check_text

    try:
        check_text(path)
    except ValueError as error:
        raise LinesError(f"{path}: {error}") from None
    whole = path.read_bytes().split(b"\n")[:-1]
    return [_record(path, number, line) for number, line in enumerate(whole, start=1)]


def _record(path: Path, number: int, line: bytes) -> dict[str, Any]:
    try:
        record = json.loads(line)
    except (ValueError, RecursionError):
        record = None
    if not isinstance(record, dict):
        raise LinesError(
            f"{path}, line {number}: must be a JSON object, found {line[:40]!r}: use a new run folder"
        )
    checksum = record.pop("crc32", None)
    if checksum is not None and checksum != zlib.crc32(_before_checksum(line)):
        raise LinesError(
            f"{path}, line {number}: must be as it was written, and was altered: use a new run folder"
        )
    return record


def _before_checksum(line: bytes) -> bytes:
    return line[: line.rfind(b'"crc32": ')].removesuffix(b", ") + b"}"
