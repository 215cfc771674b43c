"""The benchmark of faults: what it does to files is a fault, and its table shows what did not end well."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from benchmarks.chaos import FAULTS, table
from benchmarks.chaos_files import WAYS
from benchmarks.chaos_studies import Result, draw, spread

ROOT = Path(__file__).parents[2]
TEXT = json.dumps({"epochs": 4, "seed": 12345678, "name": "table"}).encode()


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("seed", range(20))
def test_a_stored_file_is_altered(way: object, seed: int) -> None:
    assert callable(way)
    assert way(TEXT, draw(seed)) != TEXT


def test_an_altered_digit_stays_readable() -> None:
    digit = next(way for way in WAYS if way.__name__ == "_digit")
    for seed in range(20):
        assert json.loads(digit(TEXT, draw(seed))) != json.loads(TEXT)


def test_the_table_has_a_row_for_each_result_and_shows_a_failure() -> None:
    text = table([Result("a", 3, "well", True), Result("b", 1, "lost", False)])
    assert text.splitlines()[2:] == ["| a | 3 | well | yes |", "| b | 1 | lost | **no** |"]


def test_a_spread_is_from_the_lowest_to_the_highest() -> None:
    assert [spread([]), spread([2]), spread([3, 0, 6])] == ["none", "2", "0 to 6"]


def test_all_rows_of_the_documented_table_ended_as_they_must() -> None:
    text = (ROOT / "docs/reliability.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| (?!fault|---)(.*) \|$", text, re.MULTILINE)
    assert len(rows) > len(FAULTS) and all(row.endswith("| yes") for row in rows)
