"""Fitted models as bytes: named arrays and a JSON header in an npz file, never a pickle."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Mapping
from typing import Any

import numpy as np

HEADER = "header"


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
        with np.load(io.BytesIO(data), allow_pickle=False) as found:
            arrays = {name: np.asarray(found[name]) for name in found.files}
        header = json.loads(bytes(arrays.pop(HEADER).astype(np.uint8, casting="equiv")))
    except (ValueError, KeyError, TypeError, AttributeError, OSError, EOFError, zipfile.BadZipFile) as error:
        raise PackedError(f"a packed {family} must be an npz file with a header: {_line(error)}") from None
    if not isinstance(header, dict) or header.get("family") != family:
        name = header.get("family") if isinstance(header, dict) else header
        raise PackedError(f"a packed {family} was expected, got one of {name!r}")
    return header, arrays


def as_array(data: bytes) -> np.ndarray:
    """Bytes as an array ``(n_bytes,)`` uint8, to stand among arrays."""
    return np.frombuffer(data, np.uint8)


def _line(error: Exception) -> str:
    return " ".join(str(error).split())[:100] or type(error).__name__
