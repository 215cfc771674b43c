"""A picture: a plotly figure as plain data, with a sentence and a table that say the same."""

from __future__ import annotations

import html
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from reports.page.markup import details, short, table, text

DIGITS = 6  # significant ones that a picture's numbers keep


@dataclass(frozen=True)
class Figure:
    """One picture.

    Colours are names that the page's script looks up for its light and dark theme: `@ensemble`, `@single`,
    `@printed`, `@baseline`, `@bad`, `@ink`, `@muted`, `@line`, each also as `@name/0.2` for a share of it,
    and the colour scales `@scale` and `@diverging`.

    Attributes
    ----------
    name : str
        Its place in the page, of letters and hyphens.
    data, layout
        As plotly has them. Texts in them that come from data must have passed `label`.
    says : str
        What the picture shows, in a sentence.
    header, rows
        The same as a table.
    height : int
        Pixels.
    narrowest : int
        Pixels below which it scrolls sideways; 0: it fits everywhere.
    """

    name: str
    title: str
    data: Sequence[Mapping[str, Any]]
    layout: Mapping[str, Any]
    says: str
    header: Sequence[str] = ()
    rows: Sequence[Sequence[Any]] = ()
    height: int = 340
    narrowest: int = 0

    @property
    def html(self) -> str:
        """Its place in the page, which the script fills."""
        wide = f";min-width:{self.narrowest}px" if self.narrowest else ""
        numbers = details("Numbers", table(self.header, self.rows, self.title)) if self.rows else ""
        return (
            f'<figure class="plot"><figcaption><strong>{text(self.title)}</strong> {text(self.says)}'
            f'</figcaption><div class="frame"><div class="canvas" data-figure="{text(self.name)}" role="img" '
            f'aria-label="{text(f"{self.title}. {self.says}")}" style="height:{self.height}px{wide}"></div>'
            f"</div>{numbers}</figure>"
        )


@dataclass(frozen=True)
class Section:
    """A part of the page: its HTML, and the pictures that stand in it."""

    name: str
    title: str
    html: str
    figures: Sequence[Figure] = field(default=())


def label(value: Any, most: int = 32) -> str:
    """A text from data for a plotly figure, which would read tags, entities and templates in it."""
    return html.escape(short(value, most), quote=False).replace("%{", "&#37;{").replace("$", "&#36;")


def labels(values: Iterable[Any], most: int = 32) -> list[str]:
    """`label` of each."""
    return [label(value, most) for value in values]


def grid(figures: Sequence[Figure]) -> str:
    """Pictures side by side where there is room."""
    return f'<div class="grid">{"".join(one.html for one in figures)}</div>' if figures else ""


def as_json(figures: Iterable[Figure]) -> str:
    """All pictures as JSON that may stand within a script element."""
    drawn = {one.name: {"data": one.data, "layout": one.layout} for one in figures}
    found = json.dumps(rounded(drawn), ensure_ascii=True, allow_nan=False, separators=(",", ":"))
    return found.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def rounded(value: Any) -> Any:
    """Plain data with numbers of six significant digits; what is not finite becomes None."""
    if isinstance(value, float):
        return float(f"{value:.{DIGITS}g}") if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(key): rounded(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [rounded(item) for item in value]
    if value is None or isinstance(value, (bool, int, str)):
        return value
    return rounded(value.tolist()) if hasattr(value, "tolist") else str(value)


def line(
    x: Sequence[Any], y: Sequence[Any], name: str, colour: str, *, dash: str = "solid", **more: Any
) -> dict[str, Any]:
    """A line through points; `name` must have passed `label` where it comes from data."""
    drawn = {"color": colour, "width": 2, "dash": dash}
    return {"type": "scatter", "mode": "lines", "x": x, "y": y, "name": name, "line": drawn, **more}


def bars(
    names: Sequence[str],
    values: Sequence[float],
    colour: str,
    error: tuple[list[float], list[float]] | None = None,
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Bars that lie, the first on top, and the axis that names them; equal names stay apart."""
    places = list(range(len(names)))
    trace: dict[str, Any] = {
        "type": "bar", "orientation": "h", "x": list(values), "y": places, "marker": {"color": colour},
        "customdata": labels(names), "hovertemplate": "%{customdata}: %{x:.4g}<extra></extra>",
    }  # fmt: skip
    if error is not None:
        trace["error_x"] = {
            "type": "data", "symmetric": False, "array": error[1], "arrayminus": error[0], "color": "@muted",
            "thickness": 1, "width": 3,
        }  # fmt: skip
    axis = {
        "tickvals": places, "ticktext": labels(names, 22), "autorange": "reversed", "zeroline": False,
        "automargin": True, "showgrid": False,
    }  # fmt: skip
    return trace, axis
