"""Findings: their order, their table, what is kept by name and what is left out."""

import pytest

from search.audit.finding import (
    AuditError,
    Finding,
    columns_to_drop,
    findings_table,
    kept,
    kept_by_name,
    percent,
    sorted_findings,
    strict,
    typed,
)

IDENTIFIER = Finding("identifier", "warning", ("id",), "It names rows.", "--drop id")
ROWS = Finding("duplicate rows", "note", (), "Two rows.", "Nothing.")
PROXY = Finding("target proxy", "error", ("a", "b"), "Too good.", "--drop a")


def test_the_gravest_comes_first() -> None:
    assert sorted_findings([ROWS, IDENTIFIER, PROXY]) == (PROXY, IDENTIFIER, ROWS)


def test_table() -> None:
    table = findings_table([PROXY, ROWS])
    assert list(table.columns) == ["severity", "leak", "columns", "evidence", "remedy"]
    assert table["columns"].tolist() == ["a, b", ""]
    assert findings_table([]).shape == (0, 5)


def test_kept_by_name_needs_all_columns() -> None:
    kept_one, kept_all = (kept_by_name([IDENTIFIER, PROXY, ROWS], k) for k in (["a"], ["a", "b", "id"]))
    assert kept_one == (IDENTIFIER, PROXY, ROWS)
    assert [f.severity for f in kept_all] == ["note", "note", "note"]
    assert kept_all[2] == ROWS


def test_identifiers_are_left_out_unless_kept() -> None:
    assert columns_to_drop([PROXY, IDENTIFIER, ROWS]) == ("id",)
    assert columns_to_drop(kept_by_name([IDENTIFIER], ["id"])) == ()
    assert columns_to_drop(strict([IDENTIFIER])) == ("id",)


def test_strict() -> None:
    assert [f.severity for f in strict([PROXY, IDENTIFIER, ROWS])] == ["error", "error", "note"]


def test_names_as_typed() -> None:
    assert [typed(n) for n in ("Density", "Speaker Number", "-x", "Größe")] == [
        "Density",
        '"Speaker Number"',
        '"-x"',
        "Größe",
    ]
    assert kept("a b") == 'keep = ["a b"]'
    assert [percent(v) for v in (0.034, 0.0996, 0.5)] == ["3.4%", "10%", "50%"]


@pytest.mark.parametrize("change", [{"leak": "rain"}, {"severity": "fatal"}])
def test_only_known_words(change: dict[str, str]) -> None:
    given = {"leak": "drift", "severity": "note", **change}
    with pytest.raises(AuditError, match="is one of"):
        Finding(given["leak"], given["severity"], (), "", "")  # type: ignore[arg-type]
