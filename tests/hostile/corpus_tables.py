"""Malformed tables."""

# ruff: noqa: E501 - a case is a line
from __future__ import annotations

import gzip
import io
import os
import struct
import zipfile
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pandas as pd

from tests.hostile.corpus import Case, file, good_frame, good_text

Y = ("--target", "y")
GOOD = good_text()
LINES = GOOD.splitlines()


def text(name: str, content: str | bytes, rule: str, *words: str) -> Case:
    """A case of separated text that is predicted from its column y."""
    return Case(name, file("t.csv", content), ("t.csv", *(words or Y)), rule)


def column(name: str, values: object, rule: str, *words: str, of: str = "a") -> Case:
    """A case of the good table with one column replaced or added."""
    return text(name, good_text(**{of: values}), rule, *Y, *words)


def flags(name: str, rule: str, *words: str) -> Case:
    """A case of the good table and words that do not fit it."""
    return text(name, GOOD, rule, *words)


def dropped(names: str) -> tuple[str, ...]:
    """What is typed to leave out columns of one letter."""
    return tuple(word for name in names for word in ("--drop", name))


def other(name: str, path: str, build: Callable[[], object], rule: str, *words: str) -> Case:
    """A case of another file than `t.csv`."""
    return Case(name, build, (path, *(words or Y)), rule)


def bomb_gz(n_bytes: int = 600_000_000) -> Callable[[], object]:
    """A gzip file of zeros, a thousandth of their size."""

    def build() -> None:
        packer, block = zlib.compressobj(9, zlib.DEFLATED, 31), b"0,0,0,0\n" * 125_000
        parts = [
            packer.compress(b"a,b,c,y\n"),
            *(packer.compress(block) for _ in range(n_bytes // 1_000_000)),
        ]
        Path("t.csv.gz").write_bytes(b"".join([*parts, packer.flush()]))

    return build


def npz(**arrays: object) -> Callable[[], object]:
    """A builder of an ``.npz``; ragged lists are pickled."""
    return lambda: np.savez(Path("t.npz"), **arrays)


def npz_of(members: Mapping[str, bytes], *, compression: int = zipfile.ZIP_DEFLATED) -> Callable[[], object]:
    """A builder of a zip archive with these members, named ``t.npz``."""

    def build() -> None:
        with zipfile.ZipFile("t.npz", "w", compression) as archive:
            for name, content in members.items():
                archive.writestr(name, content)

    return build


def npy(header: str, content: bytes = b"") -> bytes:
    """An ``.npy`` file with a header of one's own."""
    padded = header + " " * (63 - (10 + len(header)) % 64) + "\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(padded)) + padded.encode("latin-1") + content


def npy_of(array: object) -> bytes:
    """An array as an ``.npy`` file."""
    buffer = io.BytesIO()
    np.save(buffer, np.asarray(array), allow_pickle=True)
    return buffer.getvalue()


def parquet(**columns: object) -> Callable[[], object]:
    """A builder of a Parquet file of 60 rows with a target, and these Arrow or other columns."""

    def build() -> None:
        import pyarrow as pa
        from pyarrow import parquet as pq

        pq.write_table(
            pa.table({"k": good_frame()["a"], **columns, "y": good_frame()["y"].to_numpy(object)}),
            "t.parquet",
        )

    return build


def double_parquet() -> None:
    import pyarrow as pa
    from pyarrow import parquet as pq

    table = pa.table([pa.array([1, 2]), pa.array([3, 4]), pa.array(["u", "v"])], names=["a", "a", "y"])
    pq.write_table(table, "t.parquet")


def bomb_parquet() -> None:
    """A constant column that takes nearly no room in a file, for as many rows as a person could want."""
    import pyarrow as pa
    from pyarrow import parquet as pq

    block = pa.table({"a": pa.DictionaryArray.from_arrays(np.zeros(20_000_000, np.int8), pa.array(["x"]))})
    with pq.ParquetWriter("t.parquet", block.schema, compression="zstd") as writer:
        for _ in range(15):
            writer.write_table(block)


def truncated(build: Callable[[], object], name: str, share: float = 0.6) -> Callable[[], object]:
    """A builder that cuts off what another one wrote."""

    def cut() -> None:
        build()
        content = Path(name).read_bytes()
        Path(name).write_bytes(content[: int(len(content) * share)])

    return cut


def encrypted() -> None:
    """An archive whose member says that it is encrypted."""
    npz_of({"a.npy": npy_of([1.0, 2.0]), "y.npy": npy_of([0, 1])}, compression=zipfile.ZIP_STORED)()
    content = bytearray(Path("t.npz").read_bytes())
    for mark, place in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        at = content.find(mark)
        content[at + place] |= 1
    Path("t.npz").write_bytes(bytes(content))


def liar() -> None:
    """A member of ten million zeros that says it is small."""
    npz_of({"a.npy": npy("{'descr': '<f8', 'fortran_order': False, 'shape': (1250000,), }", bytes(10**7))})()
    content = bytearray(Path("t.npz").read_bytes())
    at = content.find(b"PK\x01\x02")
    content[at + 24 : at + 28] = struct.pack("<I", 500)
    Path("t.npz").write_bytes(bytes(content))


def unreadable() -> None:
    file("t.csv", GOOD)()
    Path("t.csv").chmod(0)


FILES = (
    text("empty file", "", "the file is empty"),
    text("blank lines only", " \n\n \t\n", "the file is empty"),
    text("byte order mark only", b"\xef\xbb\xbf", "the file is empty"),
    text("header only", "a,b,y\n", "no rows"),
    text("header without end", "a,b,y", "no rows"),
    text("header and blank lines", "a,b,y\n\n\n", "no rows"),
    text("one row", "a,b,y\n1,2,0\n", "one class only"),
    text("one row of text", "a,b,y\n1,2,u\n", "one class only, 'u'"),
    text("two rows", "a,b,y\n1,2,u\n3,4,v\n", "fewer than"),
    text("one column", "y\nu\nv\n", "no input column"),
    text("UTF-16", GOOD.encode("utf-16"), "UTF-8"),
    text("UTF-16 without a mark", GOOD.encode("utf-16-le"), "NUL"),
    text("UTF-32", GOOD.encode("utf-32"), "UTF-8"),
    text("Latin-1", GOOD.replace("x", "é").encode("latin-1"), "UTF-8"),
    text("Shift JIS", GOOD.replace("x", "東京").encode("shift-jis"), "UTF-8"),
    text("torn UTF-8 at the end", GOOD.encode() + "é".encode()[:1], "UTF-8"),
    text("byte order mark", b"\xef\xbb\xbf" + GOOD.encode(), ""),
    text("two byte order marks", b"\xef\xbb\xbf" * 2 + GOOD.encode(), ""),
    text("Windows line ends", GOOD.replace("\n", "\r\n"), ""),
    text("old Macintosh line ends", GOOD.replace("\n", "\r"), ""),
    text("no line end at the end", GOOD.rstrip(), ""),
    text("random bytes", bytes(np.random.default_rng(0).integers(128, 256, 500, np.uint8)), "UTF-8"),
    text("a picture", b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR", "UTF-8"),
    text("NUL bytes only", bytes(1000), "NUL"),
    text("NUL in a value", GOOD.replace("x", "x\0"), "NUL"),
    text("NUL in a name", "a\0b,y\n1,0\n2,1\n", "NUL"),
    text("one long row", "\n".join([*LINES, LINES[-1] + ",7"]), "Expected 6 fields"),
    text("all rows longer than the header", "\n".join([LINES[0], *(f"{r},9" for r in LINES[1:])]), "header"),
    text("separators at all ends", "\n".join([LINES[0], *(f"{r}," for r in LINES[1:])]), ""),
    text("one short row", "\n".join([*LINES, "1.0,x"]), ""),
    text("a quote that never ends", GOOD + '1,"x,3,1,1.0,yes\n', "string"),
    text("duplicate columns", "a,a,y\n1,2,0\n3,4,1\n", "unique; 'a' occurs 2 times"),
    text("duplicate target", "a,y,y\n1,0,0\n3,1,1\n", "unique; 'y' occurs 2 times"),
    text("duplicate quoted names", '"a b","a b",y\n1,2,0\n3,4,1\n', "unique; 'a b' occurs 2 times"),
    text("mangled by hand", good_text(**{"a.1": range(60)}), ""),
    text("HTML", "<!DOCTYPE html>\n<html><body>no table, sorry</body></html>\n", "no longer than the header"),
    text("JSON", '{"a": [1, 2], "y": [0, 1]}\n', "no rows"),
    text("another separator", GOOD.replace(",", ";"), ""),
    text("a separator that nobody knows", GOOD.replace(",", "^"), "no column 'y'"),
    other("another ending", "t.xlsx", file("t.xlsx", GOOD), "ends in .csv"),
    other("no ending", "table", file("table", GOOD), "ends in .csv"),
    other("a zip archive", "t.csv.zip", file("t.csv.zip", GOOD), "ends in .csv"),
    other("a zipped archive", "t.npz.gz", file("t.npz.gz", gzip.compress(b"")), "ends in .csv"),
    other("an ending that steers", "t.\x1b[31m\n", lambda: None, r"'t.\x1b[31m\n'"),
    other("no file", "none.csv", lambda: None, "no file 'none.csv'"),
    other("no folder", "none/t.csv", lambda: None, "no file"),
    other("a file as folder", "f/t.csv", file("f", ""), "cannot read"),
    other("a folder", "t.csv", lambda: Path("t.csv").mkdir(), "a folder"),
    other("a pipe", "t.csv", lambda: os.mkfifo("t.csv"), "a pipe"),
    other("an endless device", "t.csv", lambda: Path("t.csv").symlink_to("/dev/zero"), "a device"),
    other("a null device", "t.csv", lambda: Path("t.csv").symlink_to("/dev/null"), "a device"),
    other("a dangling link", "t.csv", lambda: Path("t.csv").symlink_to("gone.csv"), "no file 't.csv'"),
    other("a link to itself", "t.csv", lambda: Path("t.csv").symlink_to("t.csv"), "cannot read 't.csv'"),
    other("no right to read", "t.csv", unreadable, "Permission denied" if os.geteuid() else ""),
    other("NUL in the path", "t\0.csv", lambda: None, "NUL"),
    other("a path too long", "t" * 5000 + ".csv", lambda: None, "too long"),
    other("no gzip", "t.csv.gz", file("t.csv.gz", GOOD), "gzip"),
    other("empty gzip", "t.csv.gz", file("t.csv.gz", b""), "the file is empty"),
    other("gzip of nothing", "t.csv.gz", file("t.csv.gz", gzip.compress(b"")), "the file is empty"),
    other("torn gzip", "t.csv.gz", file("t.csv.gz", gzip.compress(GOOD.encode())[:-30]), "ended before"),
    other("gzip twice", "t.csv.gz", file("t.csv.gz", gzip.compress(gzip.compress(GOOD.encode()))), "UTF-8"),
    other("gzip and more", "t.csv.gz", file("t.csv.gz", gzip.compress(GOOD.encode()) + b"more"), "gzip"),
    other("gzip with a flipped bit", "t.csv.gz", file("t.csv.gz", gzip.compress(GOOD.encode())[:-8]
          + bytes(8)), "CRC"),
    other("gzip bomb", "t.csv.gz", bomb_gz(), "must not inflate to more than"),
    other("two gzip members", "t.csv.gz", file("t.csv.gz", b"".join(gzip.compress(part.encode()) for part in
          (GOOD[:200], GOOD[200:]))), ""),
)  # fmt: skip

COLUMNARS = (
    other("empty Parquet", "t.parquet", file("t.parquet", b""), "the file is empty"),
    other("no Parquet", "t.parquet", file("t.parquet", GOOD), "Parquet"),
    other("Parquet marks only", "t.parquet", file("t.parquet", b"PAR1PAR1"), "Parquet"),
    other("torn Parquet", "t.parquet", truncated(parquet(a=range(60)), "t.parquet"), "Parquet"),
    other("Parquet with a wild footer", "t.parquet", file("t.parquet", b"PAR1" + b"\xff" * 64 + b"PAR1"), ""
          "cannot read"),
    other("Parquet without rows", "t.parquet", lambda: good_frame(0).to_parquet("t.parquet"), "no rows"),
    other("Parquet with a name twice", "t.parquet", double_parquet, "unique; 'a' occurs 2 times"),
    other("Parquet bomb", "t.parquet", bomb_parquet, "must not inflate to more than"),
    other("lists in Parquet", "t.parquet", parquet(a=[[1, 2]] * 60), "'a' must hold numbers, text or dates"),
    other("structs in Parquet", "t.parquet", parquet(a=[{"u": 1}] * 60), "'a' must hold"),
    other("bytes in Parquet", "t.parquet", parquet(a=[b"\xff\x00", b"u"] * 30), ""),
    other("nothing in Parquet", "t.parquet", parquet(k=[None] * 60), "no input column holds a value"),
    other("an index in Parquet", "t.parquet",
          lambda: good_frame().set_index("g").to_parquet("t.parquet"), ""),
    other("no zip archive", "t.npz", file("t.npz", GOOD), "zip"),
    other("empty archive", "t.npz", npz_of({}), "arrays must be some"),
    other("empty npz", "t.npz", file("t.npz", b""), "the file is empty"),
    other("torn archive", "t.npz", truncated(npz(a=np.zeros(500), y=np.zeros(500)), "t.npz"), "zip"),
    other("a single array", "t.npz", file("t.npz", npy_of(np.zeros(5))), "zip"),
    other("pickled objects", "t.npz", npz(a=np.array([{"u": 1}, None, [2]], object), y=[0, 1, 0]), "pickle"),
    other("a pickle", "t.npz", npz_of({"a.npy": b"cos\nsystem\n(S'touch owned'\ntR."}), "npy"),
    other("no array in it", "t.npz", npz_of({"readme.txt": b"hello"}), "npy"),
    other("records", "t.npz", npz(a=np.zeros(4, [("u", "f4"), ("v", "i4")]), y=[0, 1, 0, 1]), "'a'"),
    other("raw bytes", "t.npz", npz(a=np.zeros(4, "V7"), y=[0, 1, 0, 1]), "'a'"),
    other("complex numbers", "t.npz", npz(a=np.zeros(4, complex), y=[0, 1, 0, 1]), "complex"),
    other("complex target", "t.npz", npz(a=np.arange(4), y=np.zeros(4, complex)), "complex"),
    other("dates as target", "t.npz", npz(a=np.arange(4), y=np.arange(4).astype("M8[D]")), "datetime"),
    other("one number", "t.npz", npz(a=np.float64(3), y=[0, 1]), "equally many rows"),
    other("other lengths", "t.npz", npz(a=np.zeros(3), y=[0, 1]), "equally many rows"),
    other("no rows in arrays", "t.npz", npz(a=np.zeros((0, 3)), y=np.zeros(0)), "no rows"),
    other("no columns in arrays", "t.npz", npz(a=np.zeros((4, 0)), y=[0, 1, 0, 1]), "no input column"),
    other("an encrypted array", "t.npz", encrypted, "encrypted"),
    other("npz bomb", "t.npz", npz_of({"a.npy": npy("{'descr': '|i1', 'fortran_order': False, 'shape': "
          "(400000000,), }") + bytes(400_000_000)}), "must not inflate to more than"),
    other("an array that says it is huge", "t.npz",
          npz_of({"a.npy": npy("{'descr': '<f8', 'fortran_order': False, 'shape': (1000000000000,), }")}),
          "1000000000000"),
    other("a shape that overflows", "t.npz",
          npz_of({"a.npy": npy(f"{{'descr': '<f8', 'fortran_order': False, 'shape': ({2**62}, 8), }}")}),
          str(2**62)),
    other("a shape below 0", "t.npz",
          npz_of({"a.npy": npy("{'descr': '<f8', 'fortran_order': False, 'shape': (-4,), }")}), "-4"),
    other("a member that says it is small", "t.npz", liar, "cannot read"),
    other("an array without a header", "t.npz", npz_of({"a.npy": b"\x93NUMPY\x01\x00\xff\xff{"}), "cannot read"),
    other("a header that is code", "t.npz", npz_of({"a.npy": npy("__import__('os').getcwd()")}), "malformed"),
    other("a header of another version", "t.npz", npz_of({"a.npy": b"\x93NUMPY\x09\x00" + bytes(60)}), "version"),
    other("an array twice", "t.npz", npz_of({"a.npy": npy_of([1.0, 2.0]), "a": npy_of([1.0, 2.0]),
          "y.npy": npy_of([0, 1])}), "unique; 'a'"),
    other("arrays of moments", "t.npz", npz(a=np.arange(60).astype("M8[D]"), y=np.arange(60) % 2), ""),
    other("arrays of bytes", "t.npz", npz(k=good_frame()["a"], a=np.array([b"u", b"v"] * 30), y=np.arange(60) ** 2 % 11 % 2), ""),
    other("arrays of half numbers", "t.npz", npz(a=np.arange(60, dtype=np.float16), y=np.arange(60) % 2), ""),
    other("arrays of long numbers", "t.npz",
          npz(a=np.arange(60, dtype=np.longdouble), y=np.arange(60) % 2), ""),
    other("a path as a name", "t.npz", npz_of({"../../etc/a.npy": npy_of(np.arange(60.0)),
          "y.npy": npy_of(np.arange(60) % 2)}), ""),
)  # fmt: skip

VALUES = (
    column("one class", "yes", "one class only, 'yes'", of="y"),
    column("one number as target", 7, "one class only, 7", of="y"),
    column("one fraction as target", 1.5, "one value only, 1.5", of="y"),
    column("no target", np.nan, "no row has a value of the target 'y'", of="y"),
    column("empty text as target", "", "no row has a value of the target 'y'", of="y"),
    column("infinite target", "inf", "no row has a value of the target 'y'", of="y"),
    column("infinite target of regression", "-inf", "no row has a value", "--task", "regression", of="y"),
    column("some infinite targets", ["inf", "1.5", "2.5"] * 20, "", of="y"),
    column("some missing targets", ["", "u", "v"] * 20, "", of="y"),
    column("all targets but one missing", ["u", *[""] * 59], "one class only, 'u'", of="y"),
    column("mixed types as target", ["1", "u", "True"] * 20, "", of="y"),
    column("a class of one row", ["u", *["v"] * 59], "class 'u' has 1 row", of="y"),
    column("a class per row", [f"u{i}" for i in range(60)], "has 1 row", of="y"),
    column("text for regression", "u", "must be numeric", "--task", "regression", of="y"),
    column("text of three for binary", ["u", "v", "w"] * 20, "cannot have 3 classes", "--task", "binary",
           of="y"),
    column("two numbers for multiclass", [0, 1] * 30, "cannot have 2", "--task", "multiclass", of="y"),
    column("a number above 1 for multilabel", [0, 2] * 30, "0 or 1", "--task", "multilabel", of="y"),
    column("huge whole targets", [2**70 + i for i in range(60)], "must differ as 64-bit floats", of="y"),
    column("large whole targets", [2**60 + i for i in range(60)], "must differ as 64-bit floats", of="y"),
    column("targets beyond all floats", [10**400 + i for i in range(60)], "must differ as 64-bit", of="y"),
    column("large and small target", [1e300, -1e300, 1.5] * 20, "must lie within 1e+37", of="y"),
    column("tiny targets", [1e-300, 2e-300, 1.5e-310] * 20, "spread by more than 1e-37", of="y"),
    column("largest targets", [1.7e308, -1.7e308, 1.5] * 20, "must lie within 1e+37", of="y"),
    column("no features", np.nan, "no input column holds a value", *dropped("bgwt")),
    column("a feature without values", np.nan, ""),
    column("a constant feature", 1, ""),
    column("infinite values", ["inf", "-inf", "1"] * 20, ""),
    column("infinite values only", "inf", ""),
    column("mixed types", ["1", "u", "2024-01-01", "True", ""] * 12, ""),
    column("huge whole numbers", [2**63 + i for i in range(60)], ""),
    column("whole numbers beyond 64 bits", [2**70 + i for i in range(60)], ""),
    column("whole numbers of both signs beyond 64 bits", [2**64 - 1, -1] * 30, ""),
    column("whole numbers beyond all floats", [10**400 + i for i in range(60)], ""),
    column("long digits", ["9" * 5000, "8" * 5000] * 30, ""),
    column("numbers beyond floats", ["1e999", "-1e999", "2"] * 20, ""),
    column("tiny numbers", ["1e-320", "5e-324", "0"] * 20, ""),
    column("largest numbers", [1.7e308, -1.7e308, 0] * 20, ""),
    column("booleans and gaps", ["True", "False", ""] * 20, ""),
    column("dates out of range", ["9999-12-31", "0001-01-01"] * 30, ""),
    column("text per row", [f"u{i}" for i in range(60)], ""),
    column("long text", ["u" * 100_000, "v"] * 30, ""),
    column("hostile text", ["\x1b[31m", "=cmd()|'/c calc'!A1", "<script>", "\u202e", " ", "a\nb"] * 10, ""),
    column("surrogate escapes in text", ["\\udcff", "u"] * 30, ""),
)  # fmt: skip

ROLES = (
    flags("no target told", "--target", "--task", "binary"),
    flags("empty target", "at least 1 character", "--target", ""),
    flags("unknown target", "no column 'z'; the nearest is", "--target", "z"),
    flags("blank target", "no column ' '", "--target", " "),
    flags("target twice", "one role", "--target", "y", "--target", "y"),
    flags("target in another case", "the nearest is 'y'", "--target", "Y"),
    flags("target that is dropped", "one role", *Y, "--drop", "y"),
    flags("target as groups", "one role", *Y, "--groups", "y"),
    flags("target as times", "one role", *Y, "--time-column", "y"),
    flags("target as weights", "one role", "--target", "w", "--weights", "w"),
    flags("weights as groups", "one role", *Y, "--weights", "w", "--groups", "w"),
    flags("several targets of text", "must all be numbers; 'b'", "--target", "a", "--target", "b"),
    flags("several targets for binary", "one target, not 2", "--target", "a", "--target", "t", "--task", "binary"),
    flags("unknown groups", "no column 'u'", *Y, "--groups", "u"),
    flags("unknown weights", "no column 'u'", *Y, "--weights", "u"),
    flags("unknown times", "no column 'u'", *Y, "--time-column", "u"),
    flags("unknown dropped column", "no column 'u'", *Y, "--drop", "u"),
    flags("unknown kept column", "no column 'u'", *Y, "--keep", "u"),
    flags("everything dropped", "no input column", *Y, *dropped("abgwt")),
    flags("a name that steers", r"no column '\x1b[31mred\x07'", "--target", "\x1b[31mred\a"),
    flags("a name of two lines", r"no column 'u\nv'", "--target", "u\nv"),
    flags("a name from right to left", r"no column '\u202eabc'", "--target", "\u202eabc"),
    flags("a long name", "no column", "--target", "u" * 100_000),
    flags("emoji", "no column '🦊'", "--target", "🦊"),
    text("a steering name is the nearest", "\x1b]0;owned\a,b\n1,0\n2,1\n", r"\x1b]0;owned\x07", "--target", "owned"),
    text("a name of two lines is the nearest", '"u\nv",b\n1,0\n2,1\n', r"'u\nv'", "--target", "u v"),
    text("a long name is the nearest", "u" * 100_000 + ",b\n1,0\n2,1\n", "no column", "--target", "u" * 99_000),
    text("a script as the only class", "a,y\n1,<script>\n2,<script>\n", "'<script>'", *Y),
    text("a class that steers", "a,y\n1,\x1b[2J\n2,\x1b[2J\n", r"'\x1b[2J'", *Y),
    text("a steering class is rare", "a,y\n1,\x1b[2J\n" + "".join(f"{i},u\n" for i in range(9)), r"'\x1b[2J'", *Y),
    text("hostile names", "\x1b[31m,=cmd()|'/c calc'!A1,<script>alert(1)</script>,\u202eu,🦊, ,y\n"
         + "\n".join(f"{i},{i % 3},{i % 5},{i % 7},{i % 4},{i % 4},{i * i % 11 % 2}" for i in range(60)), "", *Y),
    text("empty names", ",,y\n" + "\n".join(f"{i % 7},{i % 3},{i % 2}" for i in range(60)), "", *Y),
    text("a name of 100,000 letters", "u" * 100_000 + ",y\n" + "\n".join(f"{i % 7},{i % 2}" for i in range(60)),
         "", *Y),
    text("names like places", 'u[0],u[1],u[99999999],"v[0,0]",y\n'
         + "\n".join(f"{i % 7},{i % 3},1,2,{i % 2}" for i in range(60)), "", *Y),
    text("brackets that nest", "[" * 2000 + "0" + "]" * 2000 + ",y\n"
         + "\n".join(f"{i % 7},{i % 2}" for i in range(60)), "", *Y),
    text("a place of many numbers", '"u[' + ",".join("0" * 500) + ']",y\n'
         + "\n".join(f"{i % 7},{i % 2}" for i in range(60)), "", *Y),
)  # fmt: skip

TABLES: tuple[Case, ...] = (*FILES, *COLUMNARS, *VALUES, *ROLES)


def wide(values: np.ndarray) -> Callable[[], object]:
    """A builder of a table ``t.csv`` with a column ``c0, c1, ...`` for each of these, and a target."""

    def build() -> None:
        frame = pd.DataFrame(values, columns=[f"c{i}" for i in range(values.shape[1])])
        frame.assign(y=np.arange(len(values)) % 2).to_csv("t.csv", index=False)

    return build
