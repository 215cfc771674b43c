"""The diagram is well-formed, escaped, in order of rank, and joins what is not told apart."""

import re
from xml.etree import ElementTree

import pytest

from reports.critical_difference import critical_difference

NAMES, RANKS = ["<script>alert(1)</script>", "b & c", "third", "fourth"], [3.5, 1.2, 2.3, 3.0]


def test_it_is_well_formed_and_escaped() -> None:
    svg = critical_difference(NAMES, RANKS, [(1, 2), (2, 3, 0)], n_sets=9, difference=1.5)
    root = ElementTree.fromstring(svg)
    assert root.tag.endswith("svg") and "<script" not in svg
    texts = [text for text in root.itertext() if text.strip()]
    assert any("b & c" in text for text in texts) and any("9 data sets" in text for text in texts)
    assert any("1.50" in text for text in texts)


def test_ranks_stand_from_left_to_right_and_bars_span_their_methods() -> None:
    svg = critical_difference(NAMES, RANKS, [(1, 2), (2, 3, 0)], n_sets=9)
    stems = {rank: float(x) for x, rank in _stems(svg)}
    assert sorted(stems, key=lambda rank: stems[rank]) == sorted(RANKS)
    bars = [
        (float(a), float(b)) for a, b in re.findall(r'd="M([\d.]+) [\d.]+H([\d.]+)"[^>]*class="bar"', svg)
    ]
    expected = [(stems[1.2], stems[2.3]), (stems[2.3], stems[3.5])]
    for (low, high), (first, last) in zip(bars, expected, strict=True):
        assert low < first and last < high and high - low == pytest.approx(last - first + 8, abs=0.2)


def _stems(svg: str) -> list[tuple[str, float]]:
    """Where each method's line starts, with its rank."""
    found = re.findall(r'd="M([\d.]+) \d+V[\d.]+H\d+"[^>]*/>\n<text[^>]*>([^<]*)<title>', svg)
    return [(x, next(r for r in RANKS if f"{r:.2f}" in words)) for x, words in found]


def test_a_difference_wider_than_the_axis_is_said_in_words() -> None:
    assert "too few data sets" in critical_difference(["a", "b"], [1.0, 2.0], [], n_sets=2, difference=1.9)


@pytest.mark.parametrize(("names", "given"), [(["a"], [1.0]), (["a", "b"], [1.0]), (["a", "b"], [0.5, 2.0])])
def test_ranks_that_fit_no_names_are_refused(names: list[str], given: list[float]) -> None:
    with pytest.raises(ValueError, match="a diagram needs 2 names"):
        critical_difference(names, given, [], n_sets=3)
