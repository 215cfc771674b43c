"""What the README shows works: its commands parse, its TOML loads, its Python runs."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import typer

from search.config import StudyConfig, load
from search.run import app
from tests.ensemble.models import ensemble, frame

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "README.md").read_text(encoding="utf-8")
COMMANDS = typer.main.get_command(app).commands  # type: ignore[attr-defined]
STANDS_FOR = {"DATA": "table.csv", "COL": "price", "RUN": "runs/price", "NEW": "new.csv", "TEST": "test.csv"}


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", TEXT, flags=re.DOTALL | re.MULTILINE)


def first_cells(header: str) -> list[str]:
    """The commands or options in the first column of the table whose header begins so."""
    rows = TEXT.split(f"| {header} |")[1].split("\n\n")[0].splitlines()[2:]
    return [text for row in rows for text in re.findall(r"`([^`]+)`", row.split("|")[1])]


def parse(words: list[str]) -> dict[str, object]:
    """The parameters of a verb as its own parser reads them; an unknown verb or option is an error."""
    params: dict[str, object] = COMMANDS[words[0]].make_context(words[0], words[1:]).params
    return params


LINES = re.findall(r"-m search\.run ([^`\n#]+)", TEXT)
VERBS = first_cells("verb")
OPTIONS = first_cells("option of `study`")


@pytest.mark.parametrize("line", LINES)
def test_commands_parse(line: str) -> None:
    assert parse(shlex.split(line))


@pytest.mark.parametrize("line", VERBS)
def test_verbs_parse(line: str) -> None:
    assert parse([STANDS_FOR.get(word, word) for word in line.split()])


def test_every_verb_is_in_the_table() -> None:
    assert sorted(line.split()[0] for line in VERBS) == sorted(COMMANDS)


@pytest.mark.parametrize("option", OPTIONS)
def test_options_of_the_study_are_accepted_by_its_configuration(option: str) -> None:
    given = {
        name: value for name, value in parse(["study", *option.split()]).items() if value not in (None, ())
    }
    assert [given.pop(name) for name in ("debug", "verbose", "as_json")] == [False] * 3 and len(given) == 1
    load(None, {name: list(value) if isinstance(value, tuple) else value for name, value in given.items()})


def test_an_unknown_option_does_not_parse() -> None:
    with pytest.raises(typer.TyperException, match="--nope"):
        parse(["study", "--nope"])


def test_defaults_in_the_table_of_options_are_true() -> None:
    assert f"--draws {StudyConfig().draws}" in OPTIONS
    assert f"--epoch-choice {StudyConfig().epoch_choice}" in OPTIONS


@pytest.mark.parametrize("block", blocks("toml"))
def test_the_configuration_loads(block: str, tmp_path: Path) -> None:
    path = tmp_path / "study.toml"
    path.write_text(block, encoding="utf-8")
    config = load(path)
    assert config.data == "table.csv" and config.space


@pytest.mark.parametrize("target", re.findall(r"make (\w+)", "\n".join(blocks("sh"))))
def test_make_knows_its_targets(target: str) -> None:
    assert re.search(rf"^{target}:", (ROOT / "Makefile").read_text(encoding="utf-8"), flags=re.MULTILINE)


@pytest.mark.parametrize("path", re.findall(r"\]\(([^)#:]+)\)", TEXT))
def test_links_lead_somewhere(path: str) -> None:
    assert (ROOT / path).exists()


@pytest.mark.parametrize("block", blocks("python"))
def test_python_runs(block: str, tmp_path: Path) -> None:
    """In a new process, with an ensemble and rows where the README has them."""
    ensemble().save(tmp_path / "runs" / "price" / "ensemble")
    frame(5).to_csv(tmp_path / "new.csv", index=False)
    done = subprocess.run(
        [sys.executable, "-c", block], cwd=tmp_path, env=_environment(), capture_output=True, text=True,
        timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout
    if "Ensemble.load" in block:
        assert len(re.findall("yes|no", done.stdout)) == 5


def _environment() -> dict[str, str]:
    import os

    return {**os.environ, "PYTHONPATH": str(ROOT), "TF_CPP_MIN_LOG_LEVEL": "3"}


def test_there_is_something_of_each_kind() -> None:
    assert len(LINES) >= 6 and len(OPTIONS) >= 8 and len(blocks("toml")) == 1 <= len(blocks("python"))
