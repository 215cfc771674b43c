"""The report as one HTML file: every part inline, no network, nothing from data that a browser would run.

Scripts run by their hash alone (Content-Security-Policy): markup from data would do nothing even if it
were not escaped.
"""

from __future__ import annotations

import base64
import gzip
import hashlib
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

from reports.page import (
    accounts,
    board,
    curves,
    data,
    history,
    importance,
    members,
    outcome_figures,
    reproduce,
    search_plots,
    verdict,
)
from reports.page.figure import Section, as_json
from reports.page.markup import short, text
from reports.page.script import SCRIPT
from reports.page.style import CSS
from search.records import Run, utc_now


def document(run: Run, facts: Mapping[str, Any]) -> str:
    """The page of a run.

    Parameters
    ----------
    facts
        From `reports.report.report`.
    """
    return assembled(facts, sections(run, facts))


def sections(run: Run, facts: Mapping[str, Any]) -> list[Section]:
    """All parts of the page, in their order."""
    return [
        verdict.section(facts),
        board.section(facts),
        history.section(facts),
        members.section(facts),
        accounts.section(facts),
        outcome_figures.section(facts),
        curves.section(facts),
        search_plots.section(facts, run),
        importance.section(facts),
        data.section(facts),
        reproduce.section(facts),
    ]


def assembled(facts: Mapping[str, Any], parts: Sequence[Section]) -> str:
    """The sections as a whole HTML document."""
    packed, plotly_hash = plotly()
    name = text(short(facts["name"], 120))
    links = "".join(f'<li><a href="#{part.name}">{text(part.title)}</a></li>' for part in parts)
    body = "".join(
        f'<section id="{part.name}" aria-labelledby="{part.name}-title"><h2 id="{part.name}-title">'
        f"{text(part.title)}</h2>{part.html}</section>"
        for part in parts
    )
    figures = as_json(figure for part in parts for figure in part.figures)
    policy = (
        f"default-src 'none'; script-src '{digest(SCRIPT)}' '{plotly_hash}'; "
        "style-src 'unsafe-inline'; img-src data: blob:; base-uri 'none'; form-action 'none'"
    )
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{policy}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="referrer" content="no-referrer">
<title>{name} | Foldstack report</title>
<style>{CSS}</style>
</head>
<body>
<a class="skip" href="#main">Skip to the report</a>
<div class="page">
<nav class="side" aria-label="Sections">
<p class="brand">{name}</p><p class="made">Foldstack report, {utc_now()[:16].replace("T", " ")} UTC</p>
<ol>{links}</ol>
<button type="button" class="theme" id="theme" aria-pressed="false" hidden>Dark theme</button>
</nav>
<main id="main">
<h1>{name}</h1>
<p class="under">{text(_under(facts))}</p>
<noscript><p class="without">Without scripts there are no pictures and no sorting; the tables under
“Numbers” say the same.</p></noscript>
<p class="without" id="without" hidden>This browser cannot unpack the pictures; the tables under “Numbers” say
the same.</p>
{body}
</main>
</div>
<script type="application/json" id="figures">{figures}</script>
<script type="application/gzip+base64" id="plotly">{packed}</script>
<script>{SCRIPT}</script>
</body>
</html>
"""


def _under(facts: Mapping[str, Any]) -> str:
    """Data set, task and metric in a line."""
    data_set, metric = facts["data"], facts["metric"]
    kind = (data_set.get("task") or {}).get("kind")
    rows = f"{data_set['n_rows']:,} rows" if data_set.get("n_rows") is not None else None
    columns = f"{data_set['n_columns']} columns" if data_set.get("n_columns") is not None else None
    way = "higher" if metric["is_higher_better"] else "lower"
    known = [kind, rows, columns, f"{metric['name']} ({way} is better)"]
    return " · ".join(one for one in known if one)


@lru_cache(maxsize=1)
def plotly() -> tuple[str, str]:
    """plotly.js, packed (4.8 MB become 2 MB), and the hash of what is unpacked."""
    from plotly.offline import get_plotlyjs

    code = str(get_plotlyjs())
    return base64.b64encode(gzip.compress(code.encode(), 9, mtime=0)).decode(), digest(code)


def digest(code: str) -> str:
    """The hash of a script, as a Content-Security-Policy names it."""
    return f"sha256-{base64.b64encode(hashlib.sha256(code.encode()).digest()).decode()}"
