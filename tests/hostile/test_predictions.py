"""Malformed rows, places and run folders are refused in one line, and the run is as it was."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.hostile.corpus import Case, answered, check_refused, good_text
from tests.hostile.corpus_predictions import PREDICTIONS

REFUSED = [case for case in PREDICTIONS if case.rule]
USABLE = [case for case in PREDICTIONS if not case.rule]
STUDY = (
    "study t.csv --target y --drop g --drop w --drop t --families linear --trials 1 --epochs 1 --splits 2 "
    "--repeats 1 --draws 0 --holdout 0.3 --out run"
)


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the good table and a finished run of it."""
    place = tmp_path_factory.mktemp("finished")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(place)
        Path("t.csv").write_text(good_text())
        assert answered(STUDY.split()).code == 0
    return place


@pytest.fixture(autouse=True)
def copied(finished: Path, place: Path) -> None:
    """The finished run in this test's own folder."""
    shutil.copytree(finished, place, dirs_exist_ok=True)


def names(cases: list[Case]) -> list[str]:
    return [f"{i} {case.name[:60]}" for i, case in enumerate(cases)]


def test_the_corpus_is_large() -> None:
    assert len(PREDICTIONS) >= 100


@pytest.mark.parametrize("case", REFUSED, ids=names(REFUSED))
def test_it_is_refused(case: Case) -> None:
    case.build()
    check_refused([*case.words], case.rule)


@pytest.mark.parametrize("case", USABLE, ids=names(USABLE))
def test_it_is_usable(case: Case) -> None:
    case.build()
    answer = answered([*case.words])
    assert answer.code == 0, answer.err
    assert answer.out and "nan" not in answer.out


def test_a_refused_prediction_leaves_the_file_that_was_there() -> None:
    Path("p.csv").write_text("kept")
    Path("new.csv").write_text("a\n1\n")
    check_refused(["predict", "run", "new.csv", "-o", "p.csv"], "missing: 'b'")
    assert Path("p.csv").read_text() == "kept"
