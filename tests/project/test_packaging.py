"""What is installed is what is in the four folders, and nothing else."""

import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


def test_every_package_is_listed_and_tests_are_not() -> None:
    tops = ("spaces", "search", "ensemble", "reports")
    folders = {path.parent for top in tops for path in (ROOT / top).rglob("*.py")}
    names = {".".join(folder.relative_to(ROOT).parts) for folder in folders}
    assert set(PROJECT["tool"]["setuptools"]["packages"]) == names
    assert all((folder / "__init__.py").is_file() for folder in folders)


def test_every_dependency_has_its_reason_in_the_readme() -> None:
    table = (ROOT / "README.md").read_text(encoding="utf-8").split("## Dependencies")[1]
    names = [re.split(r"[\[>]", text)[0] for text in PROJECT["project"]["dependencies"]]
    names += [re.split(r"[\[>]", text)[0] for text in PROJECT["project"]["optional-dependencies"]["dev"]]
    assert [name for name in names if name.removesuffix("-cpu") not in table] == []
