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


def claimed(n_rows: int) -> bytes:
    """An array of so many rows as its header says, with ten in it."""
    buffer = io.BytesIO()
    header = {"descr": "<f8", "fortran_order": False, "shape": (n_rows,)}
    np.lib.format.write_array_header_1_0(buffer, header)
    return buffer.getvalue() + bytes(80)


def zipped(content: bytes, name: str = "a.npy") -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(name, content)
    return buffer.getvalue()


@pytest.mark.parametrize("n_rows", [2**50, 11, 9, 0])
def test_arrays_on_the_disk_are_as_large_as_they_say(n_rows: int, tmp_path: Path) -> None:
    path = tmp_path / "a.npy"
    path.write_bytes(claimed(10))
    archives.check_array(path)
    path.write_bytes(claimed(n_rows))
    with pytest.raises(ArchiveError, match=r"must be as large as they say; 'a\.npy' says float64"):
        archives.check_array(path)
    path.write_bytes(zipped(claimed(n_rows)))
    with pytest.raises(ArchiveError, match="must be as large as they say"):
        archives.check_arrays(path)
    path.write_bytes(zipped(claimed(10)))
    archives.check_arrays(path)


def test_archives_on_the_disk_inflate_to_a_limit(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    path = tmp_path / "a.npz"
    path.write_bytes(packed(a=np.zeros(100_000)))
    archives.check_arrays(path)
    monkeypatch.setattr(archives, "MOST_BYTES", 1000)
    with pytest.raises(ArchiveError, match="must not inflate to more than"):
        archives.check_arrays(path)


def test_other_things_on_the_disk_are_no_arrays(tmp_path: Path) -> None:
    path = tmp_path / "a.npz"
    for content, rule in (
        (packed(a=np.array([{}, None], object)), "no pickled objects"),
        (zipped(b"garbage"), "in the npy format"),
        (zipped(b"\x93NUMPY\x09\x00" + bytes(80)), "version 1.0 or 2.0"),
    ):
        path.write_bytes(content)
        with pytest.raises(ArchiveError, match=rule):
            archives.check_arrays(path)
    path.write_bytes(b"garbage")
    with pytest.raises(zipfile.BadZipFile):
        archives.check_arrays(path)
    with pytest.raises(ArchiveError, match="in the npy format"):
        archives.check_array(path)


def test_text_is_a_plain_file_of_a_limited_size(tmp_path: Path) -> None:
    path = tmp_path / "trials.jsonl"
    path.write_text("{}\n")
    archives.check_text(path)
    with path.open("r+b") as file:
        file.truncate(archives.MOST_TEXT + 1)  # of holes: it takes no room on the disk
    with pytest.raises(ArchiveError, match="must have at most"):
        archives.check_text(path)
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(ArchiveError, match="must be a plain file, and is a pipe"):
        archives.check_text(tmp_path / "pipe")


@pytest.mark.parametrize("name", ["lock", "trials.jsonl", "oof", "weights/00001.npz"])
def test_a_folder_to_write_to_holds_no_link(name: str, tmp_path: Path) -> None:
    (tmp_path / "run" / "weights").mkdir(parents=True)
    archives.check_links(tmp_path / "run")
    (tmp_path / "run" / name).symlink_to(tmp_path)
    with pytest.raises(ArchiveError, match="must hold no links"):
        archives.check_links(tmp_path / "run")
