"""Small pieces of HTML. Everything that comes from data passes through `text` here, and nowhere else."""

from __future__ import annotations

import html
import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

MOST_ROWS = 200
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")


def text(value: Any) -> str:
    """A value as HTML text, also safe within a quoted attribute; control characters are left out.

    >>> text('<script>"1"</script>')
    '&lt;script&gt;&quot;1&quot;&lt;/script&gt;'
    """
    return html.escape(_CONTROL.sub("", str(value)), quote=True)


def short(value: Any, most: int = 60) -> str:
    """A value as plain text of at most `most` characters."""
    words = _CONTROL.sub("", " ".join(str(value).split()))
    return words if len(words) <= most else words[: most - 1] + "…"


def number(value: Any, digits: int = 4) -> str:
    """A number for people: so many significant digits, thousands apart; empty where there is none."""
    if value is None or isinstance(value, str):
        return value or ""
    if isinstance(value, float) and not math.isfinite(value):
        return ""
    if isinstance(value, int) or (float(value).is_integer() and abs(value) < 1e15):
        return f"{int(value):,}"
    return f"{value:,.0f}" if abs(value) >= 10_000 else f"{value:.{digits}g}"


def signed(value: float) -> str:
    """A number with its sign, three significant digits."""
    return f"{value:+.3g}" if value else "0"


def paragraph(words: str, kind: str = "") -> str:
    """A paragraph of plain text; nothing where there is no text."""
    own = f' class="{kind}"' if kind else ""
    return f"<p{own}>{text(words)}</p>" if words else ""


def heading(words: str) -> str:
    """A heading within a section."""
    return f"<h3>{text(words)}</h3>"


def table(
    header: Sequence[str], rows: Sequence[Sequence[Any]], caption: str, *, most: int = MOST_ROWS
) -> str:
    """A table of plain values: numbers stand right, the first column is the row's header.

    Rows beyond `most` are left out, which a line under the table says.
    """
    head = "".join(f'<th scope="col"{_side(rows, i)}>{text(name)}</th>' for i, name in enumerate(header))
    body = "".join(f"<tr>{_cells(row)}</tr>" for row in rows[:most])
    more = paragraph(f"The first {most:,} of {len(rows):,} rows.", "note") if len(rows) > most else ""
    return (
        f'<div class="scroll" role="region" tabindex="0" aria-label="{text(caption)}"><table>'
        f'<caption class="hidden">{text(caption)}</caption><thead><tr>{head}</tr></thead>'
        f"<tbody>{body}</tbody></table></div>{more}"
    )


def _side(rows: Sequence[Sequence[Any]], column: int) -> str:
    values = [row[column] for row in rows if row[column] is not None]
    return ' class="number"' if column and values and all(map(is_number, values)) else ""


def is_number(value: Any) -> bool:
    """Whether a value is written as a number; booleans are not."""
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _cells(row: Sequence[Any]) -> str:
    first, *others = row
    cells = [f'<th scope="row">{_cell(first)}</th>']
    cells += [
        f'<td class="number">{_cell(value)}</td>' if is_number(value) else f"<td>{_cell(value)}</td>"
        for value in others
    ]
    return "".join(cells)


def _cell(value: Any) -> str:
    return text(number(value)) if is_number(value) else text("" if value is None else value)


def pairs(record: Mapping[str, Any]) -> str:
    """Names and values, one under the other; empty values are left out."""
    shown = {name: value for name, value in record.items() if value not in (None, "", [], {})}
    inner = "".join(f"<dt>{text(name)}</dt><dd>{_cell(value)}</dd>" for name, value in shown.items())
    return f"<dl>{inner}</dl>" if inner else ""


def details(summary: str, inner: str) -> str:
    """A part that is folded in; `inner` is HTML."""
    return f"<details><summary>{text(summary)}</summary>{inner}</details>"


def listed(items: Sequence[str]) -> str:
    """A list of plain texts."""
    return f"<ul>{''.join(f'<li>{text(item)}</li>' for item in items)}</ul>" if items else ""
