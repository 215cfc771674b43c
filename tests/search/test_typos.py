"""A typo is answered with what was probably meant."""

import pytest
import typer

from search.run import app
from search.typos import told


def said(*words: str) -> str:
    with pytest.raises(typer.TyperException) as caught:
        app(list(words), prog_name="run", standalone_mode=False, obj=list(words))
    return told(caught.value)


@pytest.mark.parametrize(
    ("words", "meant"),
    [
        (("study", "--trails", "3"), "No such option: --trails: did you mean --trials?"),
        (("study", "--family", "mlp"), "did you mean --families?"),
        (("study", "--startify"), "did you mean --stratify?"),
        (("study", "--no-stratfy"), "did you mean --no-stratify?"),
        (("leaderbord",), "No such command 'leaderbord'. Did you mean 'leaderboard'?"),
        (("stdy",), "Did you mean 'study'?"),
    ],
)
def test_the_nearest_is_named(words: tuple[str, ...], meant: str) -> None:
    assert meant in said(*words)


def test_what_is_near_nothing_says_where_to_look() -> None:
    assert said("study", "--xyzzy").endswith("study --help lists all")
    text = said("xyzzy")
    assert "it is one of study" in text and "version" in text


def test_other_mistakes_stay_as_they_are() -> None:
    assert said("study", "--demo") == "Option '--demo' requires an argument."
    assert "'--trials'" in said("study", "--trials", "many")
