"""Files in every accepted form, the demos, and one-line errors."""

import gzip

import numpy as np
import pandas as pd
import pytest

from search.data import from_frame
from search.sources import DEMOS, demo, read_table
from search.targets import DataError

FRAME = pd.DataFrame({"ä b": [1, 2, 3], "text": ["x, y", "None", "z"], "gap": [0.5, np.nan, 2.5]})


@pytest.mark.parametrize("name", ["t.csv", "t.tsv", "t.txt", "t.parquet", "t.csv.gz", "t.tsv.gz", "T.CSV"])
def test_forms(name: str, tmp_path) -> None:
    if "parquet" in name:
        FRAME.to_parquet(tmp_path / name)
    else:
        FRAME.to_csv(tmp_path / name, index=False, sep="\t" if ".tsv" in name else ",")
    pd.testing.assert_frame_equal(read_table(tmp_path / name), FRAME, check_dtype=False)


def test_zipped_parquet(tmp_path) -> None:
    FRAME.to_parquet(tmp_path / "t.parquet")
    (tmp_path / "u.parquet.gz").write_bytes(gzip.compress((tmp_path / "t.parquet").read_bytes(), mtime=0))
    pd.testing.assert_frame_equal(read_table(str(tmp_path / "u.parquet.gz")), FRAME, check_dtype=False)


@pytest.mark.parametrize("separator", [";", "\t", "|", ","])
def test_separator_and_mark_are_found(separator: str, tmp_path) -> None:
    (tmp_path / "t.csv").write_text(f"a{separator}b\n1{separator}2\n", encoding="utf-8-sig")
    assert read_table(tmp_path / "t.csv").to_dict("list") == {"a": [1], "b": [2]}


def test_none_is_text_unless_the_rest_is_numbers(tmp_path) -> None:
    (tmp_path / "t.csv").write_text("a,b,c\n1,None,None\nNone,wood,None\n,NA,None\n")
    table = read_table(tmp_path / "t.csv")
    np.testing.assert_array_equal(table["a"], [1.0, np.nan, np.nan])
    assert table["b"].isna().tolist() == [False, False, True]
    assert table["c"].tolist() == ["None"] * 3


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("t.xlsx", b"", "ends in .csv"),
        ("t.csv", b"", "the file is empty"),
        ("t.csv", b"a,b\n", "no rows or no columns"),
        ("t.csv", b"a,b\n1,2\n1,2,3\n", "cannot read .*Expected 2 fields"),
        ("t.csv", b"\xff\xfe\xfa,b\n1,2\n", "cannot read .*UTF-8"),
        ("t.parquet", b"nonsense", "cannot read"),
        ("t.csv.gz", b"nonsense", "cannot read"),
        ("t.csv.gz", gzip.compress(b"a,b\n1,2\n", mtime=0)[:-6], "cannot read"),
    ],
)
def test_errors_are_one_line(name: str, content: bytes, message: str, tmp_path) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError, match=message) as caught:
        read_table(tmp_path / name)
    assert "\n" not in str(caught.value)


def test_absent_file(tmp_path) -> None:
    with pytest.raises(DataError, match="there is no file"):
        read_table(tmp_path / "none.csv")
    with pytest.raises(DataError, match="cannot read"):
        (tmp_path / "folder.csv").mkdir()
        read_table(tmp_path / "folder.csv")


@pytest.mark.parametrize(
    ("name", "kind", "n_outputs"),
    [
        ("breast_cancer", "binary", 1),
        ("wine", "multiclass", 3),
        ("digits", "multiclass", 10),
        ("diabetes", "regression", 1),
        ("iris", "multiclass", 3),
    ],
)
def test_demos(name: str, kind: str, n_outputs: int) -> None:
    frame, target = demo(name)
    dataset = from_frame(frame, target, name=name)
    assert (dataset.task.kind, dataset.n_outputs) == (kind, n_outputs)
    assert all(isinstance(c, str) for c in dataset.task.classes)
    assert name in DEMOS


def test_unknown_demo() -> None:
    with pytest.raises(DataError, match=r"a demo is one of .*, not 'titanic'"):
        demo("titanic")


def test_a_header_tells_the_fields_of_all_rows(tmp_path) -> None:
    path = tmp_path / "t.csv"
    path.write_text("a,b\n1,2,3\n4,5,6\n")
    with pytest.raises(DataError, match="no longer than the header of 2 fields"):
        read_table(path)
    path.write_text("a,b,a\n1,2,3\n")
    with pytest.raises(DataError, match="unique; 'a' occurs 2 times"):
        read_table(path)
    path.write_text('\n"a,\n1",b\r1,2\r', newline="")
    assert list(read_table(path)) == ["a,\n1", "b"]
