"""Cells stay cells."""

from reports.markdown import cell, section, table


def test_cell_neutralises_bars_and_breaks() -> None:
    assert cell("a|b\n c\\") == "a\\|b c\\\\"


def test_table_has_a_rule_under_its_header() -> None:
    assert table([["a", "b"], ["1", "2|3"]]) == "| a | b |\n| --- | --- |\n| 1 | 2\\|3 |"


def test_section_leaves_empty_paragraphs_out() -> None:
    assert section("T", "", "x") == "## T\n\nx"
