"""Malformed configurations are refused in one line before anything is trained or written."""

# ruff: noqa: E501 - a case is a line
from __future__ import annotations

import pytest

from search import flow
from search.config import StudyConfig
from tests.hostile.corpus import Case, answered, check_refused
from tests.hostile.corpus_configurations import CONFIGURATIONS, FILES, KEYS

REFUSED = [case for case in CONFIGURATIONS if case.rule]
USABLE = [case for case in CONFIGURATIONS if not case.rule]
TOML = [case for case in FILES if "TOML" in case.rule or "key" in case.rule]


def names(cases: list[Case]) -> list[str]:
    return [f"{i} {case.name[:60]}" for i, case in enumerate(cases)]


def test_the_corpus_is_large() -> None:
    assert len(CONFIGURATIONS) >= 200
    assert {case.words[0] for case in CONFIGURATIONS} == {"--config"}


def test_most_keys_of_a_study_are_in_it() -> None:
    assert set(KEYS) <= set(StudyConfig.model_fields)
    assert len(KEYS) >= 0.9 * len(StudyConfig.model_fields)


@pytest.mark.parametrize("case", REFUSED, ids=names(REFUSED))
def test_a_study_is_refused(case: Case) -> None:
    case.build()
    check_refused(["study", *case.words], case.rule)


@pytest.mark.parametrize("case", TOML, ids=names(TOML))
def test_other_verbs_are_refused(case: Case) -> None:
    case.build()
    verb, out = (("workflow", "flow"), ("lr-range", "plot.svg"))[TOML.index(case) % 2]
    check_refused([verb, *case.words, "--out", out], case.rule)


@pytest.mark.parametrize("case", USABLE, ids=names(USABLE))
def test_a_usable_one_reaches_the_study(case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    def carry_out(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(flow, "carry_out", carry_out)
    case.build()
    assert answered(["study", *case.words]).code == 130


WORDS = (
    (["--trails", "3"], "--trails"), (["--\x1b[31m"], r"\x1b[31m"), (["--trials"], "--trials"),
    (["--trials", "\x1b[31m"], "--trials"), (["--trials", "9" * 5000], "--trials"), (["--trials", "\u202e3"], "--trials"),
    (["--seed", "-1"], "seed"), (["--holdout", "\n"], "holdout"), (["u", "v"], "v"),
    (["--time", "9" * 400], "time"), (["--task", "u" * 100_000], "task"), (["--preset", ""], "preset"),
)  # fmt: skip


@pytest.mark.parametrize(("words", "rule"), WORDS, ids=[ascii(words)[:40] for words, _ in WORDS])
def test_words_that_are_none_are_refused(words: list[str], rule: str) -> None:
    check_refused(["study", *words], rule)
