"""Malformed input that nobody thought of: random bytes, text, tables, archives and configurations."""

# ruff: noqa: E501 - a case is a line
from __future__ import annotations

import gzip
import io
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from search import flow
from search.config import StudyConfig
from search.toml import dumps
from tests.hostile.corpus import answered, check_line, everything, good_text

FEW = settings(max_examples=60, suppress_health_check=list(HealthCheck))
LETTERS = st.text(st.characters(codec="utf-8"), max_size=12)
CELLS = st.one_of(
    LETTERS, st.integers().map(str), st.floats().map(str), st.sampled_from(["", "NaN", "1e999", "None", '"', "2024"])
)  # fmt: skip
SCALARS = st.one_of(st.integers(), st.floats(), st.booleans(), LETTERS)
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(LETTERS, inner, max_size=3), max_leaves=6
)  # fmt: skip


@pytest.fixture(autouse=True)
def stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    """A study that passes the door goes no further."""

    def carry_out(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(flow, "carry_out", carry_out)


def check_answer(words: list[str]) -> None:
    """Either it passes the door, or it is refused in one line."""
    before = everything()
    answer = answered(words)
    assert answer.code in (2, 130), answer
    if answer.code == 2:
        check_line(answer.err)
        assert everything() == before


def study(name: str) -> list[str]:
    return ["study", name, "--target", "y", "--families", "linear", "--out", "run"]


def held(name: str, content: bytes, words: list[str]) -> None:
    """Hold the answer to one file, in a folder that is empty again afterwards."""
    Path(name).write_bytes(content)
    check_answer(words)
    folder = Path("run")
    for path in sorted(folder.rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() else path.unlink()
    if folder.is_dir():
        folder.rmdir()


@FEW
@given(st.binary(max_size=300), st.sampled_from(["t.csv", "t.tsv", "t.parquet", "t.npz", "t.csv.gz"]))
def test_random_bytes(content: bytes, name: str) -> None:
    held(name, content, study(name))


@FEW
@given(st.lists(st.lists(CELLS, min_size=1, max_size=4), min_size=1, max_size=8), st.sampled_from(",;\t|"))
def test_random_cells(rows: list[list[str]], separator: str) -> None:
    text = "\n".join(separator.join(row) for row in [["a", "b", "y"], *rows])
    held("t.csv", text.encode("utf-8", "replace"), study("t.csv"))


@FEW
@given(st.lists(CELLS, min_size=40, max_size=40), st.sampled_from(["a", "y", "g", "w", "t"]))
def test_a_random_column(cells: list[str], name: str) -> None:
    words = [*study("t.csv"), "--groups", "g", "--weights", "w", "--splits", "2", "--repeats", "1"]
    held("t.csv", good_text(40, **{name: cells}).encode("utf-8", "replace"), words)


@FEW
@given(st.lists(CELLS, min_size=40, max_size=40))
def test_random_times(cells: list[str]) -> None:
    words = [*study("t.csv"), "--time-column", "t", "--splits", "2"]
    held("t.csv", good_text(40, t=cells).encode("utf-8", "replace"), words)


@FEW
@given(st.lists(LETTERS, min_size=5, max_size=5))
def test_random_names(names: list[str]) -> None:
    frame = good_text(40).split("\n", 1)[1]
    header = ",".join('"' + name.replace('"', '""') + '"' for name in names)
    held("t.csv", f"{header},y\n{frame}".encode("utf-8", "replace"), study("t.csv"))


@FEW
@given(st.data())
def test_a_good_file_that_was_cut_or_changed(data: st.DataObject) -> None:
    arrays = io.BytesIO()
    np.savez(arrays, a=np.arange(40.0), y=np.arange(40) % 2)
    files = {"t.npz": arrays.getvalue(), "t.csv.gz": gzip.compress(good_text(40).encode(), mtime=0)}
    name = data.draw(st.sampled_from(sorted(files)))
    content = bytearray(files[name])
    for _ in range(data.draw(st.integers(0, 3))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    held(name, bytes(content[: data.draw(st.integers(1, len(content)))]), study(name))


@FEW
@given(st.dictionaries(LETTERS, st.binary(max_size=100), max_size=3))
def test_random_archives(members: dict[str, bytes]) -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, content in members.items():
            archive.writestr(
                f"m{name.encode('utf-8', 'replace').decode()}.npy", b"\x93NUMPY\x01\x00" + content
            )
    held("t.npz", buffer.getvalue(), study("t.npz"))


@FEW
@given(
    st.sampled_from([k for k in StudyConfig.model_fields if k not in ("model", "callbacks", "out")]), VALUES
)
def test_a_random_value(key: str, value: Any) -> None:
    Path("t.csv").write_text(good_text(40))
    good = {"data": "t.csv", "target": "y", "families": ["linear"], "out": "run"}
    held("c.toml", dumps({**good, key: value}).encode(), ["study", "--config", "c.toml"])


@FEW
@given(st.dictionaries(LETTERS, VALUES, max_size=3), st.sampled_from(["", "linear"]))
def test_a_random_space(space: dict[str, Any], family: str) -> None:
    Path("t.csv").write_text(good_text(40))
    good = {"data": "t.csv", "target": "y", "families": ["linear"], "out": "run"}
    told = {**good, "space": {family: space} if family else space}
    held("c.toml", dumps(told).encode(), ["study", "--config", "c.toml"])


@FEW
@given(st.text(st.characters(codec="utf-8"), max_size=200))
def test_random_configurations(text: str) -> None:
    held("c.toml", text.encode(), ["study", "--config", "c.toml", "--out", "run"])
