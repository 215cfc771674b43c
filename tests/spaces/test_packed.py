"""Packed arrays: the same content, the same bytes, and nothing else is let in."""

from __future__ import annotations

import io

import numpy as np
import pytest

from spaces.packed import PackedError, as_array, pack_arrays, unpack_arrays


def test_header_and_arrays_come_back() -> None:
    arrays = {"a": np.arange(6.0).reshape(2, 3), "b": np.array([True, False]), "blob": as_array(b"\x00text")}
    data = pack_arrays("linear", {"n": 3, "names": ["é"]}, arrays)
    header, found = unpack_arrays("linear", data)
    assert header == {"family": "linear", "n": 3, "names": ["é"]}
    assert found.keys() == arrays.keys() and found["blob"].tobytes() == b"\x00text"
    assert all(
        np.array_equal(found[name], array) and found[name].dtype == array.dtype
        for name, array in arrays.items()
    )
    assert pack_arrays("linear", {"names": ["é"], "n": 3}, arrays) == data


def _npz(**arrays: np.ndarray) -> bytes:
    data = io.BytesIO()
    np.savez(data, **arrays)
    return data.getvalue()


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"PK\x03\x04 cut",
        pack_arrays("linear", {}, {"a": np.arange(99)})[:200],
        _npz(a=np.arange(3)),
        _npz(header=np.frombuffer(b"{", np.uint8)),
        _npz(header=np.frombuffer(b"[1]", np.uint8)),
        _npz(header=np.frombuffer(b"\xff\xfe", np.uint8)),
        _npz(header=np.arange(3.0)),
        _npz(header=np.array(["text"])),
    ],
)
def test_other_bytes_are_refused_in_one_line(data: bytes) -> None:
    with pytest.raises(PackedError) as caught:
        unpack_arrays("linear", data)
    assert "linear" in str(caught.value) and "\n" not in str(caught.value)


def test_another_family_is_named() -> None:
    with pytest.raises(PackedError, match="packed linear was expected, got one of 'forest'"):
        unpack_arrays("linear", pack_arrays("forest", {}, {}))


def test_objects_are_not_written() -> None:
    with pytest.raises(ValueError, match="Object arrays cannot be saved"):
        pack_arrays("linear", {}, {"a": np.array([{}], object)})
