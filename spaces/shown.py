"""Values as error messages show them: escaped, on one line, and short."""

from __future__ import annotations

MOST_SHOWN = 120


def shown(value: object) -> str:
    """Return the `repr` of a value, which steers no terminal, with its middle left out where it is long.

    >>> shown("a\\n\\x1b[31m")
    "'a\\\\n\\\\x1b[31m'"
    """
    try:
        text = repr(value)
    except ValueError:  # a whole number of more digits than Python writes
        text = f"<{type(value).__name__} of too many digits>"
    if len(text) <= MOST_SHOWN:
        return text
    return f"{text[: MOST_SHOWN - 40]}...{text[-20:]} ({len(text):,} characters)"
