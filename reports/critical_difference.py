"""The critical-difference diagram of Demsar (2006) as SVG text, drawn without a plotting package.

Bars join methods that Wilcoxon's test with Holm's correction does not tell apart, as Benavoli et al. (2016)
ask: whether two methods differ then does not hang on which others are in the picture. Nemenyi's critical
difference is shown beside the axis for scale.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from html import escape

import numpy as np

WIDTH, LEFT, RIGHT, TOP = 720, 190, 190, 74
LINE, BAR, N_LONGEST = 22, 11, 20

Place = Callable[[float], float]


def critical_difference(
    names: Sequence[str],
    mean_ranks: Sequence[float],
    bars: Sequence[Sequence[int]],
    *,
    n_sets: int,
    difference: float | None = None,
) -> str:
    """The diagram as one SVG document; colours follow the page's text colour.

    Parameters
    ----------
    names : sequence of str
    mean_ranks : sequence of float
        From 1, the best, to the number of methods.
    bars : sequence of sequences of int
        Places in `names` that are not told apart (`reports.ranks.cliques`).
    n_sets : int
        Data sets behind the ranks.
    difference : float, optional
        Nemenyi's critical difference.

    Raises
    ------
    ValueError
        Unless there are at least two names with a rank each, between 1 and their number.
    """
    k = len(names)
    if k < 2 or len(mean_ranks) != k or not all(1.0 <= rank <= k for rank in mean_ranks):
        raise ValueError(
            f"a diagram needs 2 names or more with ranks from 1 to their number, got {mean_ranks}"
        )

    def x_of(rank: float) -> float:
        return LEFT + (rank - 1) / (k - 1) * (WIDTH - LEFT - RIGHT)

    depth = TOP + 14 + BAR * len(bars)
    parts = [_text(WIDTH / 2, 18, f"Mean rank over {n_sets} data sets, 1 is best", 13)]
    parts += _axis(k, x_of) + _scale(difference, x_of, k)
    for number, bar in enumerate(bars):
        ends = [x_of(mean_ranks[i]) for i in bar]
        y = TOP + 10 + BAR * number
        at = f"M{min(ends) - 4:.1f} {y}H{max(ends) + 4:.1f}"
        parts.append(f'<path d="{at}" stroke="currentColor" stroke-width="4" class="bar"/>')
    order = np.argsort(np.asarray(mean_ranks), kind="stable")
    n_left = (k + 1) // 2
    for place, i in enumerate(order):
        is_left = place < n_left
        y = depth + LINE * (place if is_left else k - 1 - place) + 12
        parts += _method(names[i], float(mean_ranks[i]), x_of(float(mean_ranks[i])), y, is_left=is_left)
    height = depth + LINE * n_left + 16
    size = f'width="{WIDTH}" height="{height}" viewBox="0 0 {WIDTH} {height}"'
    title = f"<title>Critical-difference diagram of {k} methods over {n_sets} data sets</title>"
    style = 'font-family="sans-serif" fill="currentColor" role="img"'
    body = "\n".join([title, *parts])
    return f'<svg xmlns="http://www.w3.org/2000/svg" {size} {style}>\n{body}\n</svg>\n'


def _axis(k: int, x_of: Place) -> list[str]:
    marks = [f'<path d="M{x_of(1):.1f} {TOP}H{x_of(k):.1f}" stroke="currentColor"/>']
    for rank in range(1, k + 1):
        marks.append(f'<path d="M{x_of(rank):.1f} {TOP}v-6" stroke="currentColor"/>')
        marks.append(_text(x_of(rank), TOP - 10, str(rank), 11))
    return marks


def _scale(difference: float | None, x_of: Place, k: int) -> list[str]:
    if difference is None or difference > k - 1:
        words = "too few data sets for Nemenyi's test" if difference is not None else ""
        return [_text(WIDTH / 2, 38, words, 10)] if words else []
    low, high = x_of(1), x_of(1 + difference)
    return [
        f'<path d="M{low:.1f} 44v6M{low:.1f} 47H{high:.1f}M{high:.1f} 44v6" stroke="currentColor"/>',
        _text((low + high) / 2, 40, f"Nemenyi's CD {difference:.2f}", 10),
    ]


def _method(name: str, rank: float, x: float, y: float, *, is_left: bool) -> list[str]:
    end = LEFT - 12 if is_left else WIDTH - RIGHT + 12
    shown = name if len(name) <= N_LONGEST else name[: N_LONGEST - 1] + "…"
    words = f"{shown} {rank:.2f}" if is_left else f"{rank:.2f} {shown}"
    anchor, place = ("end", end - 4) if is_left else ("start", end + 4)
    return [
        f'<path d="M{x:.1f} {TOP}V{y:.1f}H{end}" stroke="currentColor" fill="none"/>',
        f'<text x="{place}" y="{y + 4:.1f}" font-size="12" text-anchor="{anchor}">{escape(words)}'
        f"<title>{escape(name)}</title></text>",
    ]


def _text(x: float, y: float, words: str, size: int) -> str:
    return f'<text x="{x:.1f}" y="{y}" font-size="{size}" text-anchor="middle">{escape(words)}</text>'
