"""Tables as CSV that a spreadsheet opens as text, whatever a column or a cell of the data is called."""

from __future__ import annotations

from typing import Any

import pandas as pd

_DANGEROUS = ("=", "+", "-", "@", "\t", "\r")


def safe_csv(table: pd.DataFrame) -> str:
    """The table as CSV; text that a spreadsheet would take for a formula gets an apostrophe before it.

    Numbers stay as they are, negative ones too. A carriage return becomes a line feed: a CSV cell with one is
    not quoted, and would end its row.
    """
    shown = table.copy()
    for place in range(table.shape[1]):
        if any(isinstance(value, str) for value in table.iloc[:, place]):
            shown.isetitem(place, [_shown(value) for value in table.iloc[:, place]])
    shown.columns = pd.Index([_shown(name) for name in table.columns])
    return str(shown.to_csv(index=False))


def _shown(value: Any) -> Any:
    safe = neutral(value)
    return safe.replace("\r\n", "\n").replace("\r", "\n") if isinstance(safe, str) else safe


def neutral(value: Any) -> Any:
    """Text that begins like a formula with an apostrophe before it; anything else as it is.

    Examples
    --------
    >>> neutral("=cmd()"), neutral("price"), neutral(-1.5)
    ("'=cmd()", 'price', -1.5)
    """
    return f"'{value}" if isinstance(value, str) and value.startswith(_DANGEROUS) else value
