"""A comparison as one self-contained HTML page: light and dark, printable, without scripts or network."""

from __future__ import annotations

import math
from collections.abc import Mapping
from html import escape
from typing import Any

import pandas as pd

from reports.compare import Comparison

_TITLES = {
    "pairs": ("Pairs", "Differences are losses, first less second: negative says that the first is better."),
    "ranks": ("Mean ranks", "1 is the best; mean share: 0 for the best of a data set, 1 for the dummy."),
    "tests": ("Labels over data sets", "Wilcoxon's signed ranks with Holm's correction, on the shares."),
    "scores": ("Losses by data set", "Honest losses of the ensembles; lower is better."),
    "runs": ("Runs", "Honest scores, in the metric's own direction, with 95 % intervals."),
}
_POLICY = "default-src 'none'; style-src 'unsafe-inline'"
_STYLE = """
:root { color-scheme: light dark; --line: #d0d7de; --soft: #57606a; --back: #ffffff; --text: #1f2328;
  --good: #1a7f37; }
@media (prefers-color-scheme: dark) {
  :root { --line: #3d444d; --soft: #9198a1; --back: #0d1117; --text: #f0f6fc; --good: #3fb950; }
}
body { background: var(--back); color: var(--text); font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto;
  max-width: 72rem; padding: 0 1rem; }
h1 { font-size: 1.5rem; } h2 { font-size: 1.15rem; margin-top: 2rem; }
p.soft { color: var(--soft); margin: .2rem 0 .6rem; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { border-bottom: 1px solid var(--line); padding: .3rem .7rem; text-align: left; white-space: nowrap; }
td.number, th.number { text-align: right; }
tr.yes td { color: var(--good); font-weight: 600; }
svg { height: auto; max-width: 100%; }
@media print { body { margin: 0; max-width: none; } .scroll { overflow: visible; } }
@media print { h2 { break-after: avoid; } }
""".strip()


def compare_page(found: Comparison, *, title: str = "Comparison of runs") -> str:
    """The page as text; everything that comes from data is escaped."""
    parts = [f"<h1>{escape(title)}</h1>", _list(found.sentences)]
    if found.diagram is not None:
        parts.append(f'<h2>Critical differences</h2><div class="scroll">{found.diagram}</div>')
        parts.append('<p class="soft">Bars join labels that the signed-rank tests do not tell apart.</p>')
    for name, (heading, words) in _TITLES.items():
        if name in found.tables:
            parts.append(f'<h2>{heading}</h2><p class="soft">{escape(words)}</p>{_table(found.tables[name])}')
    if found.notes:
        parts.append(f"<h2>What could not be asked</h2>{_list(found.notes)}")
    head = (
        '<meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">'
        f"<title>{escape(title)}</title><style>{_STYLE}</style>"
    )
    body = "\n".join(parts)
    return (
        f'<!doctype html>\n<html lang="en"><head>{head}</head>\n<body><main>\n{body}\n</main></body></html>\n'
    )


def _list(texts: tuple[str, ...]) -> str:
    return "<ul>" + "".join(f"<li>{escape(text)}</li>" for text in texts) + "</ul>"


def _table(table: pd.DataFrame) -> str:
    is_number = [pd.api.types.is_numeric_dtype(t) and not pd.api.types.is_bool_dtype(t) for t in table.dtypes]
    kinds = [' class="number"' if one else "" for one in is_number]
    head = "".join(
        f'<th scope="col"{kind}>{escape(str(name).replace("_", " "))}</th>'
        for name, kind in zip(table.columns, kinds, strict=True)
    )
    rows = [
        _row(dict(zip(table.columns, row, strict=True)), kinds)
        for row in table.itertuples(index=False, name=None)
    ]
    body = f"<thead><tr>{head}</tr></thead><tbody>{''.join(rows)}</tbody>"
    return f'<div class="scroll" tabindex="0" role="region" aria-label="table"><table>{body}</table></div>'


def _row(values: Mapping[Any, Any], kinds: list[str]) -> str:
    cells = "".join(
        f"<td{kind}>{escape(cell(value))}</td>" for value, kind in zip(values.values(), kinds, strict=True)
    )
    return f'<tr class="yes">{cells}</tr>' if values.get("survives") is True else f"<tr>{cells}</tr>"


def cell(value: Any) -> str:
    """A value as text for people: four digits, yes and no, nothing where there is nothing."""
    if value is None or value is pd.NA or (isinstance(value, float) and math.isnan(value)):
        return ""
    if value is True or value is False:
        return "yes" if value else "no"
    return f"{value:.4g}" if isinstance(value, float) else str(value)
