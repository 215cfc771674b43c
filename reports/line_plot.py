"""A line plot as SVG text: small, self-contained, drawn without a plotting package."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from html import escape

WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 640, 360, 64, 16, 40, 56
COLORS = ("#1f6feb", "#d1242f", "#1a7f37", "#9a6700", "#8250df", "#57606a")
N_TICKS = 5

Points = Sequence[tuple[float, float]]
Scale = Callable[[float], float]


def line_plot(
    lines: Mapping[str, Points],
    *,
    title: str,
    x_label: str,
    y_label: str,
    is_log_x: bool = False,
    band: tuple[float, float] | None = None,
) -> str:
    """Lines by name as one SVG document.

    Parameters
    ----------
    lines : mapping of str to sequence of (x, y)
        Points that are not finite are left out.
    is_log_x : bool
        Whether x, which is above 0 then, is drawn by its logarithm.
    band : (low, high) or None
        A range of x to shade.

    Raises
    ------
    ValueError
        If there is no finite point.
    """
    finite = {name: [p for p in points if all(map(math.isfinite, p))] for name, points in lines.items()}
    points = [point for line in finite.values() for point in line]
    if not points:
        raise ValueError(f"a plot needs at least one finite point, got none in {len(lines)} lines")
    xs, ys = [_place(x, is_log_x) for x, _ in points], [y for _, y in points]
    to_x = _scale(min(xs), max(xs), LEFT, WIDTH - RIGHT)
    to_y = _scale(min(ys), max(ys), HEIGHT - BOTTOM, TOP)
    parts = [_text(WIDTH / 2, 18, title, 14)]
    if band is not None:
        parts.append(_band(*(to_x(min(max(_place(x, is_log_x), min(xs)), max(xs))) for x in band)))
    parts += [_x_tick(x, to_x, is_log_x) for x in _ticks(min(xs), max(xs))]
    parts += [_y_tick(y, to_y) for y in _ticks(min(ys), max(ys))]
    parts += [_text(WIDTH / 2, HEIGHT - 8, x_label), _text(14, HEIGHT / 2, y_label, is_upright=True)]
    for index, (name, line) in enumerate(finite.items()):
        placed = [(to_x(_place(x, is_log_x)), to_y(y)) for x, y in line]
        parts += _line(placed, name, COLORS[index % len(COLORS)], index)
    size = f'width="{WIDTH}" height="{HEIGHT}" viewBox="0 0 {WIDTH} {HEIGHT}"'
    style = 'font-family="sans-serif" role="img"'
    body = "\n".join(['<rect width="100%" height="100%" fill="white"/>', *parts])
    return f'<svg xmlns="http://www.w3.org/2000/svg" {size} {style}>\n{body}\n</svg>\n'


def _place(x: float, is_log: bool) -> float:
    return math.log10(x) if is_log else x


def _scale(low: float, high: float, start: float, end: float) -> Scale:
    """From values to places; a single value lies in the middle."""
    if high == low:
        return lambda _: (start + end) / 2
    return lambda value: start + (value - low) / (high - low) * (end - start)


def _ticks(low: float, high: float) -> list[float]:
    if high == low:
        return [low]
    return [low + (high - low) * k / (N_TICKS - 1) for k in range(N_TICKS)]


def _x_tick(value: float, to_x: Scale, is_log: bool) -> str:
    x, y = to_x(value), HEIGHT - BOTTOM
    mark = f'<path d="M{x:.1f} {y}v5" stroke="#57606a"/>'
    return mark + _text(x, y + 18, f"{10**value:.1e}" if is_log else f"{value:.3g}")


def _y_tick(value: float, to_y: Scale) -> str:
    y = to_y(value)
    grid = f'<path d="M{LEFT} {y:.1f}H{WIDTH - RIGHT}" stroke="#d0d7de"/>'
    return grid + _text(LEFT - 22, y + 4, f"{value:.3g}")


def _band(low: float, high: float) -> str:
    height = HEIGHT - BOTTOM - TOP
    return f'<rect x="{low:.1f}" y="{TOP}" width="{high - low:.1f}" height="{height}" fill="#ddf4ff"/>'


def _line(placed: Points, name: str, color: str, index: int) -> list[str]:
    at = " ".join(f"{x:.1f},{y:.1f}" for x, y in placed)
    legend = f'<text x="{LEFT + 8 + 140 * (index % 4)}" y="{34 + 14 * (index // 4)}"'
    return [
        f'<polyline points="{at}" fill="none" stroke="{color}" stroke-width="2"/>',
        f'{legend} font-size="11" fill="{color}">{escape(name)}</text>',
    ]


def _text(x: float, y: float, words: str, size: int = 11, *, is_upright: bool = False) -> str:
    turn = f' transform="rotate(-90 {x:.0f} {y:.0f})"' if is_upright else ""
    place = f'x="{x:.1f}" y="{y:.1f}" font-size="{size}" text-anchor="middle"'
    return f"<text {place}{turn}>{escape(words)}</text>"
