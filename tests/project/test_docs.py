"""What the documentation shows is true: commands parse, TOML loads, Python compiles, links lead somewhere."""

from __future__ import annotations

import importlib
import importlib.util
import re
import shlex
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from search.config import StudyConfig, load

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PAGES = {str(path.relative_to(DOCS)): path.read_text(encoding="utf-8") for path in sorted(DOCS.rglob("*.md"))}


def _reference() -> ModuleType:
    """The hook that makes the reference pages, which is no module of a package."""
    spec = importlib.util.spec_from_file_location("reference_pages", DOCS / "assets" / "reference.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


REFERENCE = _reference()
COMMANDS = REFERENCE.COMMANDS
MADE = {"reference/command-line.md": REFERENCE.verbs, "reference/configuration.md": REFERENCE.keys}
WHOLE = {name: REFERENCE.on_page_markdown(text) for name, text in PAGES.items()}


def _blocks(language: str) -> list[tuple[str, str]]:
    """Each block of a language, with the page that it stands on."""
    pattern = re.compile(rf"^```{language}\n(.*?)^```$", flags=re.DOTALL | re.MULTILINE)
    return [(name, block) for name, text in WHOLE.items() for block in pattern.findall(text)]


def _commands() -> list[tuple[str, str]]:
    """Each command, with the page that it stands on; a backslash goes on, && joins two."""
    blocks = [(name, block.replace("\\\n", " ").splitlines()) for name, block in _blocks("sh")]
    lines = [(name, part) for name, block in blocks for line in block for part in line.split(" && ")]
    return [(name, part.split(" #")[0].strip()) for name, part in lines if part.split(" #")[0].strip()]


def _slug(title: str) -> str:
    """The anchor of a heading, as MkDocs makes it."""
    plain = re.sub(r"[^\w\s-]", "", title.replace("`", "")).strip().lower()
    return re.sub(r"[-\s]+", "-", plain)


@pytest.mark.parametrize(("page", "line"), _commands())
def test_commands_parse(page: str, line: str) -> None:
    words = shlex.split(line.split(" > ")[0])
    if words[0] == "make":
        targets = (ROOT / "Makefile").read_text(encoding="utf-8")
        assert all(re.search(rf"^{word}:", targets, flags=re.MULTILINE) for word in words[1:]), page
        return
    if words[1:3] == ["-m", "search.run"]:
        verb = words[3]
        assert verb in COMMANDS, f"{page} shows a verb that there is not: {verb}"
        params = COMMANDS[verb].make_context(verb, words[4:]).params
        assert params
        if verb == "study" and params["config"] is None:
            _check_values(params)
        return
    assert words[:2] in (["pip", "install"], ["tensorboard", "--logdir"]), f"{page}: {line}"


def _check_values(params: dict[str, Any]) -> None:
    """The options of a study are values that its configuration takes."""
    fields = StudyConfig.model_fields
    given = {name: value for name, value in params.items() if name in fields and value not in (None, ())}
    load(None, {name: list(value) if isinstance(value, tuple) else value for name, value in given.items()})


@pytest.mark.parametrize(("page", "block"), _blocks("toml"))
def test_toml_loads(page: str, block: str, tmp_path: Path) -> None:
    path = tmp_path / "study.toml"
    path.write_text(block, encoding="utf-8")
    assert load(path).target, page


@pytest.mark.parametrize(("page", "block"), _blocks("python"))
def test_python_compiles(page: str, block: str) -> None:
    """And names what there is: imports are those of modules and functions that exist."""
    compile(block, page, "exec")
    for module, names in re.findall(
        r"^from ((?:search|ensemble|reports|spaces)[\w.]*) import (.+)$", block, re.M
    ):
        imported = importlib.import_module(module)
        assert all(hasattr(imported, name.strip()) for name in names.split(",")), (page, module, names)


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_somewhere(page: str) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", PAGES[page]):
        if "://" in target:
            continue
        path, _, anchor = target.partition("#")
        place = (DOCS / page).parent / path if path else DOCS / page
        assert place.exists(), f"{page}: {target}"
        if anchor:
            text = WHOLE[str(place.resolve().relative_to(DOCS))]
            assert anchor in [_slug(title) for title in re.findall(r"^#+ (.+)$", text, re.M)], (
                f"{page}: {target}"
            )


def test_the_site_has_every_page() -> None:
    nav = (ROOT / ".mkdocs.yml").read_text(encoding="utf-8").split("\nnav:\n")[1]
    told = re.findall(r": ([\w/.-]+\.md)$", nav, flags=re.MULTILINE)
    config = {"nav": [{"Tutorial": "tutorial.md"}, {"Decisions": []}], "docs_dir": str(DOCS)}
    listed = [page for one in REFERENCE.on_config(config)["nav"][1]["Decisions"] for page in one.values()]
    assert "  - Decisions: []" in nav and listed
    assert sorted([*told, *listed]) == sorted(PAGES)


def test_every_verb_and_option_is_in_the_reference() -> None:
    text = WHOLE["reference/command-line.md"]
    for name, command in COMMANDS.items():
        part = text.split(f"\n## {name}\n")[1].split("\n## ")[0]
        missing = [one.name for one in command.params if REFERENCE._spelled(one) not in part]
        assert not missing, (name, missing)


def test_every_key_is_in_the_reference_with_its_meaning() -> None:
    text = WHOLE["reference/configuration.md"]
    assert [name for name in StudyConfig.model_fields if f"| `{name}` |" not in text] == []
    assert [name for name in StudyConfig.model_fields if not REFERENCE.explained(name)] == []


def test_the_marks_stand_on_their_pages_and_are_replaced() -> None:
    for (page, made), mark in zip(MADE.items(), REFERENCE.PLACES, strict=True):
        assert PAGES[page].count(mark) == 1
        assert mark not in WHOLE[page] and made() in WHOLE[page]


@pytest.mark.parametrize(
    "proof", sorted(set(re.findall(r"`((?:tests|benchmarks|examples)/[\w/.:]+)`", "\n".join(PAGES.values()))))
)
def test_proofs_are_there(proof: str) -> None:
    path, _, name = proof.partition("::")
    assert (ROOT / path).exists(), proof
    if name:
        source = (ROOT / path).read_text(encoding="utf-8")
        assert re.search(rf"^\s*def {name}\(", source, flags=re.MULTILINE), proof


@pytest.mark.parametrize(
    "path", re.findall(r"^::: ([\w.]+)$", PAGES["reference/python.md"], flags=re.MULTILINE)
)
def test_what_the_python_page_documents_exists(path: str) -> None:
    module, name = path.rsplit(".", 1)
    found = getattr(importlib.import_module(module), name)
    assert (found.__doc__ or "").strip(), f"{path} has no docstring"


def test_files_of_a_run_are_those_that_a_run_has() -> None:
    """Every top-level file that the code writes into a run is in the table."""
    text = PAGES["reference/run-files.md"]
    written = set()
    for folder in ("search", "reports"):
        for path in (ROOT / folder).rglob("*.py"):
            source = path.read_text(encoding="utf-8")
            written |= set(re.findall(r'run\.save_(?:json|text|arrays|csv)\("([\w.]+)"', source))
    assert written
    stems = {name: name.rsplit(".", 1)[0] for name in written}
    assert (
        sorted(name for name in written if f"`{name}`" not in text and f"`{stems[name]}." not in text) == []
    )


def test_there_is_something_of_each_kind() -> None:
    assert len(_commands()) > 60 and len(_blocks("toml")) >= 3 and len(_blocks("python")) >= 12
