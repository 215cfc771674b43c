"""Fitted models as bytes: named arrays and a JSON header in an npz file, never a pickle.

Bytes may come from a stranger. Reading them executes nothing and needs no more memory than they have: only
members that are stored as they are and whose header fits their size are let in.
"""

from __future__ import annotations

import io
import json
import math
import re
import struct
import zipfile
import zlib
from collections.abc import Mapping
from typing import Any, NoReturn

import numpy as np

HEADER = "header"
MOST_MEMBERS = 100_000

_NPY = re.compile(
    rb"\x93NUMPY\x01\x00..\{'descr': '([<|][fiub][1248])', 'fortran_order': (True|False), "
    rb"'shape': \(((?:\d{1,19}, ?)*(?:\d{1,19})?)\), \} *\n",
    re.DOTALL,
)


class PackedError(ValueError):
    """Bytes are no packed model of the family; the message is one line."""


def pack_arrays(family: str, header: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> bytes:
    """Write a header and arrays; the same content gives the same bytes.

    Parameters
    ----------
    family
        Name that `unpack_arrays` must ask for.
    header
        Plain JSON data.
    arrays
        By name, of numbers or booleans; no name is ``"header"``.
    """
    assert HEADER not in arrays
    text = json.dumps({"family": family, **header}, sort_keys=True).encode()
    data = io.BytesIO()
    np.savez(data, allow_pickle=False, **{HEADER: np.frombuffer(text, np.uint8), **arrays})
    return data.getvalue()


def unpack_arrays(family: str, data: bytes) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Read what `pack_arrays` wrote; nothing in the bytes is ever executed.

    Raises
    ------
    PackedError
        If the bytes are no npz file of plain arrays with a header of this family.
    """
    try:
        arrays = read_npz(data)
        header = read_json(bytes(arrays.pop(HEADER).astype(np.uint8, casting="equiv")))
    except (ValueError, KeyError, TypeError) as error:
        raise PackedError(f"a packed {family} must be an npz file with a header: {_line(error)}") from None
    if not isinstance(header, dict) or header.get("family") != family:
        name = header.get("family") if isinstance(header, dict) else header
        raise PackedError(f"a packed {family} was expected, got one of {_line(repr(name))}")
    return header, arrays


def read_npz(data: bytes) -> dict[str, np.ndarray]:
    """The arrays of an npz file that `numpy.savez` wrote, by name; each may be written to.

    Raises
    ------
    PackedError
        If the bytes are anything else: a compressed or encrypted member, one that is no array of numbers or
        booleans, or whose size is not that of its shape.
    """
    found: dict[str, np.ndarray] = {}
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            infos = archive.infolist()
            _check_members(infos, len(data))
            for info in infos:
                found[info.filename.removesuffix(".npy")] = _array(info.filename, _content(data, info))
    except (OSError, EOFError, RuntimeError, NotImplementedError, zipfile.BadZipFile) as error:
        raise PackedError(f"an npz file must be a whole ZIP archive: {_line(error)}") from None
    except (ValueError, IndexError, OverflowError, struct.error) as error:
        raise PackedError(_line(error)) from None
    return found


def read_json(text: bytes) -> Any:
    """JSON of unknown origin, with finite numbers only.

    Raises
    ------
    PackedError
        If the text is no JSON, is nested too deeply, or holds a number that is not finite.
    """
    try:
        return json.loads(text, parse_constant=_not_finite, parse_float=_finite)
    except RecursionError:
        raise PackedError("JSON must not be nested as deeply as this") from None
    except ValueError as error:
        raise PackedError(_line(error)) from None


def as_array(data: bytes) -> np.ndarray:
    """Bytes as an array ``(n_bytes,)`` uint8, to stand among arrays."""
    return np.frombuffer(data, np.uint8)


def _check_members(infos: list[zipfile.ZipInfo], n_bytes: int) -> None:
    """Refuse members that are more than the bytes that stand there, before any is read."""
    names = [info.filename for info in infos]
    if len(names) > MOST_MEMBERS or len(set(names)) < len(names):
        raise PackedError(f"an npz file must hold at most {MOST_MEMBERS} arrays of different names")
    for info in infos:
        is_stored = info.compress_type == zipfile.ZIP_STORED and info.compress_size == info.file_size
        if not is_stored or info.flag_bits & 0x1:
            raise PackedError(f"arrays must be stored uncompressed, got {_line(repr(info.filename))}")
    total = sum(info.file_size for info in infos)
    if total > n_bytes:
        raise PackedError(f"arrays of {n_bytes} bytes cannot hold {total} bytes")


def _content(data: bytes, info: zipfile.ZipInfo) -> memoryview:
    """The bytes of a stored member, checked by their checksum."""
    start = info.header_offset + 30  # of the fixed part of a local header, which ends in two lengths
    name_size, extra_size = struct.unpack("<HH", data[start - 4 : start])
    first = start + name_size + extra_size
    content = memoryview(data)[first : first + info.file_size]
    if len(content) != info.file_size or zlib.crc32(content) != info.CRC:
        raise PackedError(f"an array must agree with its checksum, got {_line(repr(info.filename))}")
    return content


def _array(name: str, content: memoryview) -> np.ndarray:
    """One array from the bytes of a ``.npy`` file; its header is matched, never evaluated."""
    match = _NPY.match(content)
    if match is None or not name.endswith(".npy"):
        raise PackedError(f"members must be plain arrays of numbers or booleans, got {_line(repr(name))}")
    dtype, shape = np.dtype(match[1].decode()), tuple(int(n) for n in match[3].split(b",") if n.strip())
    if math.prod(shape) * dtype.itemsize != len(content) - match.end() or len(shape) > 32:
        raise PackedError(f"an array must have the size of its shape, got {_line(repr(name))}")
    if dtype.kind == "b" and bytes(content[match.end() :]).strip(b"\x00\x01"):
        raise PackedError(f"booleans must be 0 or 1, got {_line(repr(name))}")
    values = np.frombuffer(content, dtype, offset=match.end()).copy()
    return values.reshape(shape, order="F" if match[2] == b"True" else "C")


def _not_finite(text: str) -> NoReturn:
    raise PackedError(f"numbers in JSON must be finite, got {text}")


def _finite(text: str) -> float:
    value = float(text)
    return value if math.isfinite(value) else _not_finite(text[:20])


def _line(error: object) -> str:
    return " ".join(str(error).split())[:100] or type(error).__name__
