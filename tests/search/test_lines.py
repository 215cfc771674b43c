"""Append-only lines survive a crash in the middle of a line."""

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from search import lines

JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=8,
)


@given(records=st.lists(st.dictionaries(st.text(), JSON), max_size=4))
def test_read_returns_what_was_appended(
    tmp_path_factory: pytest.TempPathFactory, records: list[dict]
) -> None:
    path = tmp_path_factory.mktemp("lines") / "x.jsonl"
    for record in records:
        lines.append(path, record)
    assert lines.read(path) == records


@pytest.mark.parametrize("n_bytes", range(1, 16))
def test_a_torn_last_line_is_ignored_and_then_replaced(tmp_path: Path, n_bytes: int) -> None:
    path = tmp_path / "x.jsonl"
    lines.append(path, {"n": 0})
    with open(path, "ab") as file:
        file.write(json.dumps({"torn": "line"}).encode()[:n_bytes])
    assert lines.read(path) == [{"n": 0}]
    lines.append(path, {"n": 1})
    assert lines.read(path) == [{"n": 0}, {"n": 1}]


def test_a_file_that_is_one_torn_line_is_empty(tmp_path: Path) -> None:
    path = tmp_path / "x.jsonl"
    path.write_bytes(b'{"torn"')
    assert lines.read(path) == []
    lines.append(path, {"n": 0})
    assert lines.read(path) == [{"n": 0}]


def test_damage_elsewhere_is_named(tmp_path: Path) -> None:
    path = tmp_path / "x.jsonl"
    path.write_bytes(b'{"n": 0}\nrubbish\n{"n": 1}\n')
    with pytest.raises(lines.LinesError, match="line 2"):
        lines.read(path)


def test_plain_unpacks_numpy_and_drops_what_json_lacks() -> None:
    value = {"a": np.float32(0.5), "b": np.array([1, 2]), "c": (np.nan, np.inf, 1.0), 3: np.bool_(True)}
    assert lines.plain(value) == {"a": 0.5, "b": [1, 2], "c": [None, None, 1.0], "3": True}


@given(record=st.dictionaries(st.text(), JSON, min_size=1), data=st.data())
def test_an_altered_line_is_refused_or_unchanged(
    tmp_path_factory: pytest.TempPathFactory, record: dict, data: st.DataObject
) -> None:
    path = tmp_path_factory.mktemp("lines") / "x.jsonl"
    lines.append(path, record)
    content = bytearray(path.read_bytes())
    place = data.draw(st.integers(0, content.rindex(b'"crc32"') - 1))
    content[place] ^= data.draw(st.integers(1, 127))
    path.write_bytes(content)
    if bytes(content).count(b"\n") == 1:
        with pytest.raises(lines.LinesError, match="line 1"):
            lines.read(path)
