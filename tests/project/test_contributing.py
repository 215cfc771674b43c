"""The recipes name files and functions that exist, and end with the check."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
RECIPES = TEXT.split("## Recipes\n")[1].strip().split("\n\n")


@pytest.mark.parametrize("recipe", RECIPES)
def test_a_recipe_ends_with_the_check(recipe: str) -> None:
    assert recipe.endswith("`make check`.")


@pytest.mark.parametrize("path", sorted(set(re.findall(r"`([a-z]+/[\w/.]+)`", TEXT))))
def test_paths_exist(path: str) -> None:
    assert "NAME" in path or (ROOT / path).exists()


@pytest.mark.parametrize(("name", "path"), re.findall(r"`(\w+)`\s(?:of|in)\s`([\w/]+\.py)`", TEXT))
def test_names_stand_where_it_says(name: str, path: str) -> None:
    assert re.search(rf"^(def {name}\b|{name}\b.*=)", (ROOT / path).read_text("utf-8"), re.MULTILINE)


def test_every_function_of_a_family_is_named() -> None:
    text = (ROOT / "spaces/families.py").read_text("utf-8")
    used = {
        *re.findall(r"self\._module\.(\w+)", text),
        *re.findall(r"^    def (\w+)\(", text[: text.index("class Family")], re.M),
    }
    assert used and all(f"`{name}`" in RECIPES[0] for name in used)
