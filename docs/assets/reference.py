"""What of the site is made when it is built, as hooks of MkDocs (`.mkdocs.yml`).

Two reference pages come from the program, verbs with their options and keys of a configuration; the list of
decisions comes from their folder.
"""

from __future__ import annotations

import ast
import inspect
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import typer

from search import config as configuration
from search.config import PRESETS, StudyConfig
from search.run import app

COMMANDS: dict[str, Any] = typer.main.get_command(app).commands  # type: ignore[attr-defined]
DECISIONS = "Decisions"
PLACES = ("<!-- verbs -->", "<!-- keys -->")


def on_config(config: Any) -> Any:
    """The configuration of the site with every decision in its list of pages."""
    for section in config["nav"]:
        if DECISIONS in section:
            section[DECISIONS] = [{title: page} for title, page in decisions(Path(config["docs_dir"]))]
    return config


def decisions(docs: Path) -> list[tuple[str, str]]:
    """Title and page of each decision, in their order."""
    pages = sorted((docs / "decisions").glob("*.md"))
    titles = (page.read_text(encoding="utf-8").split("\n", 1)[0].lstrip("# ") for page in pages)
    return [(title, f"decisions/{page.name}") for title, page in zip(titles, pages, strict=True)]


def on_page_markdown(markdown: str, **_: Any) -> str:
    """The page with its marks replaced."""
    for place, made in zip(PLACES, (verbs, keys), strict=True):
        if place in markdown:
            markdown = markdown.replace(place, made())
    return markdown


def verbs() -> str:
    """Each verb: what it does, examples, arguments and options."""
    return "\n".join(_verb(name, command) for name, command in COMMANDS.items())


def _verb(name: str, command: Any) -> str:
    examples, *words = command.help.replace("\b\n", "").strip().split("\n\n")
    lines = [f"## {name}\n", *(f"{' '.join(text.split())}\n" for text in words)]
    lines += ["```sh", *(" ".join(line.split()) for line in examples.splitlines()), "```\n"]
    lines += ["| argument or option | what it is |", "| --- | --- |"]
    return "\n".join([*lines, *(_row(_spelled(one), _words(one)) for one in command.params), ""])


def _spelled(parameter: Any) -> str:
    """How a parameter is typed."""
    if parameter.param_type_name == "argument":
        return f"`{parameter.metavar or parameter.name.upper()}`"
    names = ", ".join(f"`{text}`" for text in (*parameter.opts, *parameter.secondary_opts))
    return names if parameter.is_flag else f"{names} {parameter.metavar or 'VALUE'}"


def _words(parameter: Any) -> str:
    return parameter.help or "Switch this on or off, whatever the configuration says."


def keys() -> str:
    """Each key of a configuration: what it means, its kind, its default."""
    header = "| key | what it is | value | default |\n| --- | --- | --- | --- |"
    return "\n".join([header, *(_key(name) for name in StudyConfig.model_fields)]) + "\n"


def _key(name: str) -> str:
    schema = StudyConfig.model_json_schema()["properties"][name]
    return _row(f"`{name}`", explained(name), _kind(schema), _default(name))


def explained(name: str) -> str:
    """What a key means: the text below it in the source, else the help of its flag."""
    return _texts().get(name) or next(
        (one.help for one in COMMANDS["study"].params if one.name == name and one.help), ""
    )


def _texts() -> dict[str, str]:
    """The texts that stand below the keys of StudyConfig."""
    body = next(
        node.body
        for node in ast.parse(inspect.getsource(configuration)).body
        if isinstance(node, ast.ClassDef) and node.name == StudyConfig.__name__
    )
    return dict(_documented(body))


def _documented(body: list[ast.stmt]) -> Iterator[tuple[str, str]]:
    for field, text in pairwise(body):
        if isinstance(field, ast.AnnAssign) and isinstance(text, ast.Expr):
            yield ast.unparse(field.target), " ".join(str(ast.literal_eval(text.value)).split())


def _kind(schema: dict[str, Any]) -> str:
    """What may stand behind a key."""
    options = [one for one in schema.get("anyOf", [schema]) if one.get("type") != "null"]
    one = options[0]
    if "enum" in one or "const" in one:
        return ", ".join(f"`{value}`" for value in one.get("enum", [one.get("const")]))
    words = {"string": "text", "integer": "whole number", "number": "number", "boolean": "true or false"}
    kind = words.get(one["type"], {"array": "text or list of texts", "object": "table"}.get(one["type"], ""))
    low = one.get("minimum", one.get("exclusiveMinimum"))
    high = one.get("maximum", one.get("exclusiveMaximum"))
    ends = [f"{word} {end:g}" for word, end in (("at least", low), ("below", high)) if end is not None]
    return ", ".join([kind, *ends])


def _default(name: str) -> str:
    if any(name in preset for preset in PRESETS.values()):
        return "by preset"
    value = StudyConfig.model_fields[name].get_default(call_default_factory=True)
    if value is None or value in ((), {}):
        return ""
    return f"`{str(value).lower() if isinstance(value, bool) else value}`"


def _row(*cells: str) -> str:
    """A line of a Markdown table; what HTML or the table would misread is escaped."""
    safe = (cell.replace("|", r"\|").replace("<", "&lt;") for cell in cells)
    return f"| {' | '.join(safe)} |"
