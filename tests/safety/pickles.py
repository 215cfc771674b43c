"""Finding pickles: in a file, in a member of an archive, in text that spells bytes."""

from __future__ import annotations

import base64
import binascii
import io
import pickletools
import re
import zipfile
from collections.abc import Iterator
from pathlib import Path

FEWEST_OF_A_PART = 10  # instructions; a checksum that begins like a pickle has fewer

_HEX, _BASE64 = re.compile(rb"(?:[0-9a-fA-F]{2}){16,}"), re.compile(rb"[A-Za-z0-9+/]{24,}={0,2}")


def is_pickle(data: bytes) -> bool:
    """Whether bytes begin with a whole stream of pickle, or with many instructions of one."""
    names: list[str] = []
    try:
        for operation, _, _ in pickletools.genops(io.BytesIO(data)):
            names.append(operation.name)
    except Exception:  # whatever pickletools says of bytes that are none, or only the beginning of one
        return len(names) >= FEWEST_OF_A_PART and names[0] == "PROTO"
    return names[0] == "PROTO" or bool({"GLOBAL", "STACK_GLOBAL", "REDUCE", "INST"} & set(names))


def streams(path: Path) -> Iterator[tuple[str, bytes]]:
    """A file, the members of an archive, and what hexadecimal digits or base64 in it spell."""
    data = path.read_bytes()
    yield path.name, data
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            for name in archive.namelist():
                content = archive.read(name)
                yield f"{path.name}:{name}", content
                yield f"{path.name}:{name} after its header", content[content.find(b"\n") + 1 :]
    for blob in _HEX.findall(data):
        yield f"{path.name}, digits", bytes.fromhex(blob.decode())
    for blob in _BASE64.findall(data):
        try:
            yield f"{path.name}, base64", base64.b64decode(blob + b"=" * (-len(blob) % 4))
        except binascii.Error:
            continue


def pickles_below(folder: Path) -> list[str]:
    """Where pickles stand in the files of a folder."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    assert files
    return [where for path in files for where, data in streams(path) if is_pickle(data)]
