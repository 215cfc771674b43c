"""The model card of a saved ensemble, for people."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ensemble.model import Candidate
    from spaces.schema import Schema
    from spaces.task import Task


def model_card(
    schema: Schema, task: Task, candidates: Sequence[Candidate], metadata: Mapping[str, Any]
) -> str:
    """Return the card as Markdown: what it predicts, from which columns, with which members."""
    n_models = sum(one.n_members for one in candidates)
    targets = ", ".join(_cell(name) for name in task.target_names)
    lines = [
        "# Model card",
        "",
        f"A weighted average of {n_models} models (the fold models of {len(candidates)} trials), "
        f"made with Foldstack. Task: {task.kind}; target: {targets}.",
    ]
    if task.classes:
        lines += ["", "Classes: " + ", ".join(_cell(c) for c in task.classes) + "."]
    lines += ["", "## Members", "", "| trial | family | weight | models |", "| --- | --- | --- | --- |"]
    lines += [f"| {c.trial} | {_cell(c.family)} | {c.weight:.4f} | {c.n_members} |" for c in candidates]
    lines += ["", f"## Input columns ({schema.n_columns})", "", "| column | kind | may be missing |"]
    lines += ["| --- | --- | --- |"]
    lines += [
        f"| {_cell(c.name)} | {c.kind} | {'yes' if c.may_be_missing else 'no'} |" for c in schema.columns
    ]
    if metadata:
        lines += ["", "## Metadata", ""]
        lines += [f"- {_cell(key)}: {_cell(value)}" for key, value in metadata.items()]
    lines += ["", "## Use", "", "```python", "from ensemble import Ensemble", ""]
    lines += ['ensemble = Ensemble.load("this/folder")', "ensemble.predict(frame)  # a pandas DataFrame"]
    lines += [
        "```",
        "",
        "Columns may come in any order, further columns are ignored, categories never seen in",
    ]
    lines += ["training count as `other`. Every file is plain JSON, Markdown or arrays; nothing is pickled."]
    return "\n".join(lines) + "\n"


def _cell(value: object) -> str:
    """Return a value as one line that does not end a table cell, and is neither HTML nor a link."""
    text = " ".join(str(value).split())
    for letter, shown in (("&", "&amp;"), ("<", "&lt;"), (">", "&gt;"), ("|", "\\|"), ("[", "\\[")):
        text = text.replace(letter, shown)
    return text
