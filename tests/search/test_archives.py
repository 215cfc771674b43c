"""What strangers pack: plain files only, nothing that inflates beyond measure, nothing unpickled."""

import gzip
import io
import os
import zipfile
from pathlib import Path

import numpy as np
import pytest

from search import archives
from search.archives import ArchiveError, arrays_of, check_names, columns_of, content_of, unzipped


def packed(**arrays: object) -> bytes:
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays)
    return buffer.getvalue()


def test_a_plain_file_or_a_link_to_one(tmp_path: Path) -> None:
    (tmp_path / "t").write_bytes(b"u")
    (tmp_path / "link").symlink_to("t")
    assert content_of(tmp_path / "t") == content_of(tmp_path / "link") == b"u"


@pytest.mark.parametrize(
    ("place", "kind"), [("folder", "a folder"), ("pipe", "a pipe"), ("device", "a device")]
)
def test_nothing_else_is_opened(place: str, kind: str, tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "device").symlink_to("/dev/zero")
    with pytest.raises(ArchiveError, match=f"a plain file, and this is {kind}"):
        content_of(tmp_path / place)


def test_gzip_inflates_to_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    content = gzip.compress(bytes(100_000), mtime=0)
    assert unzipped(content) == bytes(100_000)
    monkeypatch.setattr(archives, "MOST_BYTES", 1000)
    with pytest.raises(ArchiveError, match="must not inflate to more than"):
        unzipped(content)
    assert unzipped(gzip.compress(os.urandom(5000), mtime=0))  # beyond the limit, but not far beyond its size


def test_arrays_come_back_as_numpy_reads_them() -> None:
    arrays = {"a": np.arange(6.0).reshape(2, 3), "b": np.array(["u", "v"]), "c": np.asfortranarray(np.eye(3))}
    found = arrays_of(packed(**arrays))
    assert list(found) == list(arrays)
    for name, array in arrays.items():
        np.testing.assert_array_equal(found[name], array)


def test_arrays_are_not_unpickled_and_limited(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ArchiveError, match="no pickled objects, and 'a' does"):
        arrays_of(packed(a=np.array([{}, None], object)))
    content = packed(a=np.zeros(100_000))
    assert arrays_of(content)["a"].size == 100_000
    monkeypatch.setattr(archives, "MOST_BYTES", 1000)
    with pytest.raises(ArchiveError, match="must not inflate"):
        arrays_of(content)


def test_an_array_is_as_large_as_it_says() -> None:
    buffer = io.BytesIO()
    np.save(buffer, np.arange(4.0))
    for member, said in (
        (buffer.getvalue()[:-8], "'a' says float64 .4,., and has 24 bytes"),
        (b"u", "is none"),
    ):
        archive = io.BytesIO()
        with zipfile.ZipFile(archive, "w") as file:
            file.writestr("a.npy", member)
        with pytest.raises(ArchiveError, match=said):
            arrays_of(archive.getvalue())


def test_names_are_unique() -> None:
    check_names(["a", "b"])
    with pytest.raises(ArchiveError, match=r"'a\\n' occurs 2 times"):
        check_names(["a\n", "b", "a\n"])


def test_damaged_columns() -> None:
    with pytest.raises(ArchiveError, match="a Parquet file must be whole"):
        columns_of(b"PAR1PAR1")
