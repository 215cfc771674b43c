"""Files of strangers: what is no plain file is not opened, and what inflates beyond measure not inflated."""

from __future__ import annotations

import gzip
import io
import math
import os
import stat
import zipfile
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import IO, TYPE_CHECKING

import numpy as np
from numpy.lib import format as npy

from spaces.shown import shown

if TYPE_CHECKING:
    import pyarrow as pa

MOST_BYTES = 2**28  # a file may always inflate to a quarter of a gigabyte
MOST_TEXT = 2**30  # bytes of a file of a run that is no array
MOST_TIMES, MOST_TIMES_COLUMNS = (
    100,
    1000,
)  # beyond, to so many times its size; repeats take no room in columns
_KINDS = (
    (stat.S_ISDIR, "a folder"),
    (stat.S_ISFIFO, "a pipe"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
)


class ArchiveError(ValueError):
    """A file that is not opened or not unpacked; the message is one line."""


def content_of(path: Path) -> bytes:
    """Return the bytes of a plain file; a link to one is one.

    Raises
    ------
    ArchiveError
        If the path holds a NUL byte, or leads to something that has no end or no content.
    OSError
        If it cannot be read.
    """
    if "\0" in str(path):
        raise ArchiveError("a path must hold no NUL byte")
    mode = path.stat().st_mode
    for is_kind, name in _KINDS:
        if is_kind(mode):
            raise ArchiveError(f"a table must be a plain file, and this is {name}")
    return path.read_bytes()


def check_size(n_bytes: int, n_packed: int, n_times: int = MOST_TIMES) -> None:
    """Refuse an unpacked size beyond a quarter of a gigabyte and `n_times` the packed one."""
    most = max(MOST_BYTES, n_times * n_packed)
    if n_bytes > most:
        raise ArchiveError(
            f"a file of {n_packed:,} bytes must not inflate to more than {most:,}, and this one does: "
            f"unpack it first if you trust it"
        )


def unzipped(content: bytes) -> bytes:
    """Return the content of a gzip file.

    Raises
    ------
    ArchiveError
        If it inflates beyond measure (`check_size`); no more than that is inflated.
    OSError, EOFError, zlib.error
        If it is no gzip file or a damaged one.
    """
    most = max(MOST_BYTES, MOST_TIMES * len(content))
    with gzip.GzipFile(fileobj=io.BytesIO(content)) as file:
        found = file.read(most + 1)
    check_size(len(found), len(content))
    return found


def arrays_of(content: bytes) -> dict[str, np.ndarray]:
    """Return the arrays of an ``.npz`` file by name; nothing is unpickled.

    Raises
    ------
    ArchiveError
        If a member is no array of plain values, has a name twice, is encrypted, or is not as large as it
        says; or if all inflate beyond measure.
    ValueError, OSError, EOFError, zipfile.BadZipFile, zlib.error
        If the archive is damaged.
    """
    found: dict[str, np.ndarray] = {}
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        members = archive.infolist()
        check_size(sum(member.file_size for member in members), len(content))
        for member in members:
            name = member.filename.removesuffix(".npy")
            if name in found:
                raise ArchiveError(f"names of arrays must be unique; {shown(name)} occurs twice")
            found[name] = _array(archive, member, name)
    return found


def check_links(folder: Path) -> None:
    """Refuse a folder in which something is a link: what is written there would land elsewhere.

    Raises
    ------
    ArchiveError
        Naming the first link.
    """
    for place, folders, files in os.walk(folder):
        for name in sorted((*folders, *files)):
            path = Path(place, name)
            if path.is_symlink():
                raise ArchiveError(
                    f"a run that is written to must hold no links, and {shown(str(path))} is one: "
                    "put the file itself there"
                )


def check_text(path: Path) -> None:
    """Refuse a file of JSON, lines or TOML that is no plain one, or larger than any that a study writes."""
    found = path.stat()
    for is_kind, name in _KINDS:
        if is_kind(found.st_mode):
            raise ArchiveError(f"it must be a plain file, and is {name}")
    if found.st_size > MOST_TEXT:
        raise ArchiveError(f"it must have at most {MOST_TEXT:,} bytes, and has {found.st_size:,}")


def check_array(path: Path) -> None:
    """Refuse an ``.npy`` file whose header tells another size than the file has; nothing else is read.

    Raises
    ------
    ArchiveError, ValueError
        If it is no array of plain values, or not as large as it says.
    """
    with path.open("rb") as file:
        _check_header(file, path.stat().st_size, path.name)


def check_arrays(path: Path) -> None:
    """Refuse an ``.npz`` file as `arrays_of` does, from the headers of its members alone.

    Raises
    ------
    ArchiveError
        If its arrays are none, or take room beyond measure.
    ValueError, OSError, EOFError, zipfile.BadZipFile, zlib.error
        If the archive is damaged.
    """
    with zipfile.ZipFile(path) as archive:
        members = archive.infolist()
        check_size(sum(member.file_size for member in members), path.stat().st_size)
        for member in members:
            if member.flag_bits & 1:
                raise ArchiveError(f"arrays must not be encrypted, and {shown(member.filename)} is")
            try:
                with archive.open(member) as file:
                    _check_header(file, member.file_size, member.filename)
            except NotImplementedError as error:
                raise ArchiveError(f"{shown(member.filename)} is packed in an unknown way: {error}") from None


def check_names(names: Iterable[str]) -> None:
    """Refuse columns of which two have one name."""
    for name, n_times in Counter(names).items():
        if n_times > 1:
            raise ArchiveError(f"column names must be unique; {shown(name)} occurs {n_times} times")


def _array(archive: zipfile.ZipFile, member: zipfile.ZipInfo, name: str) -> np.ndarray:
    """Read one member, whose header must tell its size."""
    if member.flag_bits & 1:
        raise ArchiveError(f"arrays must not be encrypted, and {shown(name)} is")
    try:
        data = archive.read(member)
    except NotImplementedError as error:
        raise ArchiveError(f"{shown(name)} is packed in an unknown way: {error}") from None
    buffer = io.BytesIO(data)
    _check_header(buffer, len(data), name)
    buffer.seek(0)
    array: np.ndarray = npy.read_array(buffer, allow_pickle=False)
    return array


def _check_header(file: IO[bytes], n_bytes: int, name: str) -> None:
    """Read the header of an array of so many bytes, header included, and hold its claims against them."""
    start = file.read(npy.MAGIC_LEN)
    if len(start) < npy.MAGIC_LEN or not start.startswith(npy.MAGIC_PREFIX):
        raise ArchiveError(f"members must be arrays in the npy format, and {shown(name)} is none")
    version = (start[-2], start[-1])
    readers = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}
    if version not in readers:
        raise ArchiveError(f"arrays must be of npy version 1.0 or 2.0, and {shown(name)} is of {version}")
    shape, _, dtype = readers[version](file)
    if dtype.hasobject:
        raise ArchiveError(f"arrays must hold plain values, no pickled objects, and {shown(name)} does")
    n_left = n_bytes - file.tell()
    if min(shape, default=0) < 0 or math.prod(shape) * dtype.itemsize != n_left:
        raise ArchiveError(
            f"arrays must be as large as they say; {shown(name)} says {dtype} {shown(shape)}, "
            f"and has {n_left:,} bytes"
        )


def columns_of(content: bytes) -> pa.Table:
    """Return the table of a Parquet file.

    Raises
    ------
    ArchiveError
        If it is no Parquet file, has a column name twice, or its cells take room beyond measure.
    """
    import pyarrow as pa
    from pyarrow import parquet

    try:
        file = parquet.ParquetFile(io.BytesIO(content))
        names = file.schema_arrow.names
        check_size(file.metadata.num_rows * len(names) * 8, len(content), MOST_TIMES_COLUMNS)
        check_names(names)
        return file.read()
    except (pa.ArrowException, OSError) as error:
        raise ArchiveError(f"a Parquet file must be whole: {error}") from None
