"""Packed arrays: the same content, the same bytes, and nothing else is let in."""

from __future__ import annotations

import io
import math
import zipfile
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from spaces.packed import PackedError, as_array, pack_arrays, read_json, read_npz, unpack_arrays


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


@given(
    st.dictionaries(
        st.from_regex(r"[a-z_0-9]{1,8}", fullmatch=True),
        hnp.arrays(
            st.sampled_from(["?", "i1", "u2", "i4", "u8", "f2", "f4", "f8"]),
            hnp.array_shapes(min_dims=0, max_dims=4, min_side=0),
        ),
        max_size=4,
    ),
    st.booleans(),
)
def test_what_numpy_writes_is_read(arrays: dict[str, Any], is_fortran: bool) -> None:
    given_ = {name: np.asfortranarray(a) if is_fortran and a.ndim else a for name, a in arrays.items()}
    found = read_npz(_npz(**given_))
    assert list(found) == list(arrays)
    for name, array in arrays.items():
        assert found[name].dtype == array.dtype and found[name].shape == array.shape
        assert found[name].tobytes() == array.tobytes() and found[name].flags.writeable


@given(st.integers(0, 10_000), st.integers(0, 255))
def test_one_changed_byte_changes_no_array_in_silence(place: int, value: int) -> None:
    array = np.arange(40.0)
    data = bytearray(_npz(a=array))
    place %= len(data)
    data[place] = value
    try:
        found = read_npz(bytes(data))
    except PackedError:
        return
    assert all(np.array_equal(one, array) for one in found.values())


@given(st.integers(0, 600))
def test_a_file_cut_short_is_refused(size: int) -> None:
    data = _npz(a=np.arange(40.0))
    with pytest.raises(PackedError):
        read_npz(data[: size % len(data)])


def test_members_that_overlap_are_refused() -> None:
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as archive:
        archive.writestr("a.npy", b"0" * 4_000)
        for name in "bcd":
            info = zipfile.ZipInfo(f"{name}.npy")
            first = archive.filelist[0]
            info.header_offset, info.CRC = first.header_offset, first.CRC
            info.file_size = info.compress_size = first.file_size
            archive.filelist.append(info)
            archive.NameToInfo[info.filename] = info
        archive._didModify = True  # type: ignore[attr-defined]
    with pytest.raises(PackedError):
        read_npz(data.getvalue())


def test_json_of_strangers() -> None:
    assert read_json(b'{"a": [1, 2.5, null]}') == {"a": [1, 2.5, None]}
    for text in (b"[" * 99_999, b"NaN", b"[-Infinity]", b"1e400", b"1" * 9_999, b"{", b"\xff", b""):
        with pytest.raises(PackedError) as caught:
            read_json(text)
        assert "\n" not in str(caught.value)
    assert math.isclose(read_json(b"1e308"), 1e308)
