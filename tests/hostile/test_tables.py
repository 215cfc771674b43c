"""Malformed tables are refused in one line before anything is trained or written, or said to be usable."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from search.config import StudyConfig, check
from search.preparation import prepare
from search.run import main
from spaces.families import FAMILIES
from tests.hostile.corpus import MOST_SECONDS, Case, answered, check_line, check_refused, everything
from tests.hostile.corpus_splits import SPLITS
from tests.hostile.corpus_tables import COLUMNARS, FILES, wide
from tests.hostile.corpus_tables import TABLES as UNSPLIT

TABLES = (*UNSPLIT, *SPLITS)
ROOT = Path(__file__).parents[2]
REFUSED = [case for case in TABLES if case.rule]
USABLE = [case for case in TABLES if not case.rule]
AT_FILES = [case for case in (*FILES, *COLUMNARS) if case.rule and "fewer than" not in case.rule]
OTHERS = ("audit", "lr-range", "workflow")
LINEAR = ("--families", "linear")


def names(cases: list[Case]) -> list[str]:
    return [case.name for case in cases]


def test_the_corpus_is_large_and_names_its_cases_apart() -> None:
    assert len(TABLES) >= 200
    assert len(set(names(list(TABLES)))) == len(TABLES)


@pytest.mark.parametrize("case", REFUSED, ids=names(REFUSED))
def test_a_study_is_refused(case: Case) -> None:
    case.build()
    check_refused(["study", *case.words, *LINEAR], case.rule)


@pytest.mark.parametrize("case", AT_FILES, ids=names(AT_FILES))
def test_other_verbs_are_refused(case: Case) -> None:
    case.build()
    verb = OTHERS[AT_FILES.index(case) % len(OTHERS)]
    plot = ["--out", "plot.svg"] if verb == "lr-range" else ["--out", "flow"] if verb == "workflow" else []
    check_refused([verb, *case.words, *plot], case.rule)


def asked(case: Case) -> StudyConfig:
    """The configuration that a usable case asks for."""
    kept: dict[str, StudyConfig] = {}

    def study(config: StudyConfig, **_: object) -> None:
        kept["config"] = config
        raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("search.flow.study", study)
        assert main(["study", *case.words, *LINEAR]) == 130
    return kept["config"]


@pytest.mark.parametrize("case", USABLE, ids=names(USABLE))
def test_a_usable_table_passes_the_door(case: Case) -> None:
    case.build()
    config, start = asked(case), time.process_time()
    prepared = prepare(config)
    assert time.process_time() - start < MOST_SECONDS
    dataset = prepared.dataset
    assert dataset.n_rows > 0 and np.isfinite(dataset.y).all()
    assert not np.isinf(dataset.table.numbers).any()


TRAINED = ("hostile names", "infinite values", "mixed types", "whole numbers beyond all floats")


@pytest.mark.parametrize("name", TRAINED)
def test_a_usable_table_is_trained_on(name: str) -> None:
    case = next(case for case in USABLE if case.name == name)
    case.build()
    words = [
        "--trials",
        "1",
        "--epochs",
        "1",
        "--splits",
        "2",
        "--repeats",
        "1",
        "--draws",
        "0",
        "--out",
        "run",
    ]
    answer = answered(["study", *case.words, *LINEAR, *words])
    assert answer.code == 0, answer.err
    assert "\x1b" not in answer.out and "\u202e" not in answer.out + answer.err
    assert answered(["predict", "run", "t.csv", "-o", "p.csv"]).code == 0


def made(kind: str, n_rows: int, n_columns: int) -> np.ndarray:
    rng = np.random.default_rng(0)
    if kind == "date":
        return np.datetime_as_string(np.datetime64("2020-01-01") + rng.integers(0, 900, (n_rows, n_columns)))
    if kind == "text":
        return rng.choice(["u", "v", "w"], (n_rows, n_columns))
    return rng.normal(size=(n_rows, n_columns)).round(3) if kind == "fraction" else rng.integers(
        0, 30 if kind == "whole" else 2, (n_rows, n_columns)
    )  # fmt: skip


@pytest.mark.parametrize("kind", ["fraction", "flag", "whole"])
def test_ten_thousand_columns_pass_the_door_with_the_audit(kind: str) -> None:
    wide(made(kind, 100, 10_000))()
    config = check({"data": "t.csv", "target": ("y",), "families": ("linear",)})
    start = time.process_time()
    prepared = prepare(config)
    assert time.process_time() - start < MOST_SECONDS
    assert prepared.dataset.schema.n_columns > 9_000


@pytest.mark.parametrize("kind", ["text", "date"])
@pytest.mark.parametrize(("target", "rule"), [("gone", "no column 'gone'"), ("c7", "one class only")])
def test_ten_thousand_columns_of_text_are_refused_as_quickly(kind: str, target: str, rule: str) -> None:
    values = made(kind, 100, 10_000)
    values[:, 7] = values[0, 7]
    wide(values)()
    check_refused(["study", "t.csv", "--target", target, *LINEAR], rule)


def test_a_proxy_is_found_among_thousands_of_columns() -> None:
    values = made("fraction", 400, 2_000)
    values[:, 1_777] = np.arange(400) % 2 + values[:, 1_777] / 100
    wide(values)()
    check_refused(["study", "t.csv", "--target", "y", *LINEAR], "target proxy: 'c1777'")


def test_families_are_what_the_corpus_says() -> None:
    assert "linear" in FAMILIES and not FAMILIES["linear"].is_network


THROUGH_A_PROCESS = ("empty file", "duplicate columns", "an endless device", "a name that steers", "npz bomb")


@pytest.mark.parametrize("name", THROUGH_A_PROCESS)
def test_a_process_of_its_own(name: str) -> None:
    case = next(case for case in TABLES if case.name == name)
    case.build()
    before = everything()
    words = [sys.executable, "-m", "search.run", "study", *case.words, *LINEAR]
    done = subprocess.run(words, env={"PYTHONPATH": str(ROOT)}, capture_output=True, text=True, timeout=60)
    assert done.returncode == 2 and done.stdout == ""
    check_line(done.stderr)
    assert case.rule in done.stderr
    assert everything() == before
