"""The SVG plot: well-formed, points where they belong, nothing that is not finite."""

import math
from xml.etree import ElementTree

import pytest

from reports.line_plot import HEIGHT, LEFT, RIGHT, TOP, WIDTH, line_plot

SVG = "{http://www.w3.org/2000/svg}"


def polylines(svg: str) -> list[list[tuple[float, float]]]:
    found = ElementTree.fromstring(svg).iter(f"{SVG}polyline")
    return [[tuple(map(float, at.split(","))) for at in line.attrib["points"].split()] for line in found]


def plot(lines: dict, **options: object) -> str:
    return line_plot(lines, title="a < b & c", x_label="x", y_label="y", **options)  # type: ignore[arg-type]


def test_points_span_the_plot_and_high_is_up() -> None:
    [line] = polylines(plot({"one": [(0.0, 5.0), (1.0, 7.0), (2.0, 6.0)]}))
    assert [x for x, _ in line] == [LEFT, (LEFT + WIDTH - RIGHT) / 2, WIDTH - RIGHT]
    assert line[1][1] == TOP and line[0][1] > line[2][1] > line[1][1] and line[0][1] < HEIGHT


def test_a_logarithmic_axis_spaces_decades_evenly() -> None:
    [line] = polylines(plot({"one": [(1e-3, 0.0), (1e-2, 0.0), (1e-1, 1.0)]}, is_log_x=True))
    assert line[1][0] - line[0][0] == pytest.approx(line[2][0] - line[1][0])


def test_what_is_not_finite_is_left_out() -> None:
    lines = polylines(plot({"one": [(0.0, 1.0), (1.0, math.nan), (2.0, 2.0)], "two": [(0.0, math.inf)]}))
    assert [len(line) for line in lines] == [2, 0]
    with pytest.raises(ValueError, match="at least one finite point, got none in 1 lines"):
        plot({"one": [(0.0, math.nan)]})


def test_a_band_stays_within_the_plot_and_names_are_escaped() -> None:
    svg = plot({"<one>": [(0.0, 1.0), (1.0, 2.0)]}, band=(-5.0, 0.5))
    rectangles = [r.attrib for r in ElementTree.fromstring(svg).iter(f"{SVG}rect")]
    assert float(rectangles[1]["x"]) == LEFT
    assert float(rectangles[1]["width"]) == pytest.approx((WIDTH - LEFT - RIGHT) / 2, abs=0.1)
    assert "&lt;one&gt;" in svg and "a &lt; b &amp; c" in svg
