"""Small pieces of Markdown."""

from collections.abc import Sequence


def table(rows: Sequence[Sequence[str]]) -> str:
    """A table with the first row as its header; bars and line breaks within cells are neutralised."""
    header, *body = [[cell(text) for text in row] for row in rows]
    rule = ["---"] * len(header)
    return "\n".join("| " + " | ".join(row) + " |" for row in [header, rule, *body])


def cell(text: str) -> str:
    """Text that stays within one cell."""
    return " ".join(text.split()).replace("\\", "\\\\").replace("|", "\\|")


def section(title: str, *paragraphs: str) -> str:
    """A titled section; empty paragraphs are left out."""
    return "\n\n".join([f"## {title}", *(text for text in paragraphs if text)])
