"""Sections say what their figures say: verdict, waterfall, history, importance, small pieces of HTML."""

from pathlib import Path
from typing import Any

import pytest

from reports.page import accounts, history, verdict
from reports.page.figure import as_json, bars, label, rounded
from reports.page.markup import number, short, table, text
from reports.report import report
from search.records import Run
from tests.reports.page.runs import HOSTILE, made


@pytest.fixture(scope="module")
def facts(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    return report(made(tmp_path_factory.mktemp("parts") / "run"))


def levels(facts: dict[str, Any], start: str) -> list[str]:
    return [one["level"] for one in verdict.warnings_of(facts) if one["text"].startswith(start)]


@pytest.mark.parametrize(
    ("low", "high", "is_higher", "level"),
    [(0.5, 0.6, False, "good"), (0.5, 0.7, False, "warning"), (0.66, 0.7, False, "error"),
     (0.92, 0.95, True, "good"), (0.8, 0.95, True, "warning"), (0.5, 0.6, True, "error")],
)  # fmt: skip
def test_the_interval_is_held_against_the_better_baseline(
    facts: dict[str, Any], low: float, high: float, is_higher: bool, level: str
) -> None:
    """The baselines score 0.9 and 0.65."""
    ensemble = {**facts["ensemble"], "low": low, "high": high}
    metric = {**facts["metric"], "is_higher_better": is_higher}
    assert levels({**facts, "ensemble": ensemble, "metric": metric}, "The ensemble's 95 %") == [level]


def test_leaks_and_findings_are_told(facts: dict[str, Any]) -> None:
    said = {one["text"][:15]: one for one in facts["warnings"]}
    assert said["Audit, proxy: <"]["level"] == "warning"
    assert "0.03 too good" in said["Decisions made "]["text"]
    assert levels({**facts, "honesty": {**facts["honesty"], "audit": None}}, "The table was not audited") == [
        "warning"
    ]


def test_the_waterfall_ends_at_the_honest_score(facts: dict[str, Any]) -> None:
    ensemble, single = facts["waterfalls"][0], facts["waterfalls"][1]
    if ensemble["what"] != "ensemble":
        ensemble, single = single, ensemble
    for fall in (ensemble, single):
        reached = fall["printed"] + sum(step["change"] for step in fall["steps"])
        assert reached == pytest.approx(fall["honest"], abs=1e-5)
    assert [step["stage"] for step in ensemble["steps"]] == ["epoch", "together"]
    assert [step["stage"] for step in single["steps"]] == ["epoch"]  # explains it all


def test_where_higher_is_better_a_waterfall_falls(tmp_path: Path) -> None:
    run = Run.create(tmp_path / "run")
    run.save_json("run.json", {"metric": "auc"})
    scores = [{"what": "ensemble", "printed": 0.9, "honest": 0.8}]
    stages = [{"stage": "members", "share_ensemble": 0.07, "share_winner": None}]
    run.save_json("leakage.json", {"scores": scores, "stages": stages})
    assert [step["change"] for step in accounts.gather(run)[0]["steps"]] == pytest.approx([-0.07, -0.03])


def test_the_best_so_far_is_of_completed_trials(facts: dict[str, Any]) -> None:
    found = facts["history"]
    assert found["best"] == [found["score"][0]] * 11 and found["status"][8:] == [
        "pruned",
        "failed",
        "duplicate",
    ]
    assert history.section(facts).figures[0].rows[-1][0] == 10


def test_labels_are_nothing_that_plotly_reads() -> None:
    assert label("<b>%{x}$a$</b>") == "&lt;b&gt;&#37;{x}&#36;a&#36;&lt;/b&gt;"
    assert len(short("long " * 50)) <= 60 and short("a\x00b\u202ec") == "abc"
    assert text(f"{HOSTILE}'\"") == "&lt;/script&gt;&lt;script&gt;alert(1)&lt;/script&gt;&#x27;&quot;"


def test_bars_with_equal_names_stay_apart() -> None:
    trace, axis = bars(["a" * 50, "a" * 51], [1.0, 2.0], "@ensemble")
    assert trace["y"] == axis["tickvals"] == [0, 1]


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (0.123456, "0.1235"),
        (51161.0, "51,161"),
        (12345.678, "12,346"),
        (3, "3"),
        (None, ""),
        (float("nan"), ""),
    ],
)
def test_numbers_for_people(value: Any, shown: str) -> None:
    assert number(value) == shown


def test_plain_data_has_six_digits_and_nothing_infinite() -> None:
    assert rounded({"a": [1 / 3, float("inf")], "b": (True, None, "x")}) == {
        "a": [0.333333, None],
        "b": [True, None, "x"],
    }
    assert as_json([]) == "{}"


def test_long_tables_are_cut_and_say_so() -> None:
    found = table(["n"], [[i] for i in range(300)], "numbers", most=10)
    assert found.count("<tr>") == 11 and "first 10 of 300" in found
