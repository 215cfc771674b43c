"""What the page shows beyond the older parts of a report, as plain data: the same goes into `report.json`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from reports.page import (
    accounts,
    curves,
    data,
    history,
    importance,
    members,
    outcomes,
    reproduce,
    search_plots,
)
from reports.page.verdict import warnings_of
from search.records import Run


def contents(run: Run, facts: Mapping[str, Any]) -> dict[str, Any]:
    """The report `facts` with the parts that the page adds."""
    found = {
        **facts,
        "history": history.gather(run),
        "members": members.gather(run),
        "waterfalls": accounts.gather(run),
        "outcomes": outcomes.gather(run),
        "curves": curves.gather(run),
        "search": search_plots.gather(run),
        "importance": importance.gather(run),
        "columns": data.gather(run),
        "reproduce": {**facts["reproduce"], **reproduce.gather(run)},
    }
    return {**found, "warnings": warnings_of(found)}
