"""The report says what was printed and what is honest, what leaked, and what budget, Ladder and audit did."""

from __future__ import annotations

import json
from typing import Any

import pytest

from reports.honesty import budget_sentence, difference, honest_scores, honesty, ladder_sentence, not_replayed
from reports.leaderboard import leaderboard
from reports.report import verdict, write_report
from search import lines
from search.records import Run
from tests.reports.conftest import SUMMARY

DIFFERENCE = {"mean": -0.012, "low": -0.02, "high": -0.004}
BUDGET = {
    "has_stopped": True, "n_trials": 24, "fewest_trials": 20, "expected_gain": 0.0002,
    "optimism_growth": 0.0011, "is_worth": False, "honest": [0.1], "in_sample": [0.09],
}  # fmt: skip
HONEST: dict[str, Any] = {
    **SUMMARY,
    "ensemble": {**SUMMARY["ensemble"], "low": 0.05, "high": 0.09, "difference": DIFFERENCE},  # type: ignore[dict-item]
    "best_single": {**SUMMARY["best_single"], "low": 0.06, "high": 0.11},  # type: ignore[dict-item]
    "leak_budget": BUDGET,
    "ladder": {"n_announced": 3, "n_withheld": 2},
}
STAGES = "stage,looks,rows,alternatives,effective,nats,share_winner,share_ensemble,bound,used_nats\n"


@pytest.fixture
def honest(run: Run) -> Run:
    """The run with honest figures, leak accounts and an audit."""
    run.save_json("summary.json", HONEST)
    line = {"question": "largest leak", "answer": "winner: +0.003 log_loss"}
    run.save_json("leakage.json", {"summary": [line]})
    run.save_text("leakage.csv", STAGES + "winner,1,569,2,1.53125,0.6931,0.003,,0.0567891,0.1\n")
    finding = 'warning,groups,site,"Runs of ""site"", as long as 9.","Split by it: --groups site"\n'
    run.save_text("audit.csv", "severity,leak,columns,evidence,remedy\n" + finding)
    return run


def _section(text: str, title: str) -> str:
    return text.split(f"\n## {title}\n")[1].split("\n## ")[0]


def test_printed_and_honest_stand_side_by_side(honest: Run) -> None:
    text = _section(write_report(honest)[0].read_text(encoding="utf-8"), "Honest scores")
    assert "| best single trial | 0.08 | 0.083 | 0.06 to 0.11 |" in text
    assert "| ensemble | 0.066 | 0.071 | 0.05 to 0.09 |" in text
    assert "-0.012 (95 % interval -0.02 to -0.004): the ensemble is better." in text


def test_the_accounts_are_the_lines_then_the_stages(honest: Run) -> None:
    text = _section(write_report(honest)[0].read_text(encoding="utf-8"), "Leak accounts")
    assert "| largest leak | winner: +0.003 log_loss |" in text
    assert "| winner | 1 | 2 | 1.531 | 0.6931 | 0.003 |  | 0.05679 |" in text
    assert text.index("largest leak") < text.index("| winner |")
    assert "The leak budget ended the study: after 24 trials" in text
    assert "announced 3 new best trials and withheld 2" in text


def test_findings_are_listed_with_their_remedy(honest: Run) -> None:
    text = _section(write_report(honest)[0].read_text(encoding="utf-8"), "Audit")
    assert '| warning | groups | site | Runs of "site", as long as 9. | Split by it: --groups site |' in text


def test_no_finding_is_said_and_no_audit_too(honest: Run) -> None:
    honest.save_text("audit.csv", "severity,leak,columns,evidence,remedy\n")
    assert "No leak found." in write_report(honest)[0].read_text(encoding="utf-8")
    (honest.path / "audit.csv").unlink()
    assert "The table was not audited." in write_report(honest)[0].read_text(encoding="utf-8")


def test_the_same_facts_are_there_for_machines(honest: Run) -> None:
    facts = json.loads(write_report(honest)[1].read_text(encoding="utf-8"))["honesty"]
    assert facts["scores"] == honest_scores(HONEST) and facts["difference"] == DIFFERENCE
    assert facts["leak_budget"] == {k: v for k, v in BUDGET.items() if k not in ("honest", "in_sample")}
    assert facts["stages"][0]["nats"] == "0.6931" and facts["audit"][0]["columns"] == "site"


def test_the_leaderboard_has_the_intervals(honest: Run) -> None:
    board = leaderboard(honest)
    assert board["low"].tolist()[2:4] == [0.06, 0.05] and board["high"].tolist()[2:4] == [0.11, 0.09]
    assert board["low"].drop([2, 3]).isna().all()


def test_the_verdict_has_the_interval() -> None:
    assert "log_loss 0.071 (cross-fitted, 95 % interval 0.05 to 0.09;" in verdict(HONEST, "log_loss", False)


@pytest.mark.parametrize(
    ("record", "said"),
    [
        ({"mean": 0.1, "low": 0.05, "high": 0.2}, "it is worse"),
        ({"mean": 0.1, "low": -0.05, "high": 0.2}, "no clear difference"),
        ({"mean": 0.1, "low": None, "high": None}, "without an interval"),
        (None, ""),
    ],
)
def test_the_difference_is_put_into_words(record: dict[str, Any] | None, said: str) -> None:
    text = difference(record)
    assert said in text and bool(text) is bool(said)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"has_stopped": False}, "was on and did not end the study: after 24 trials"),
        ({"n_trials": 7, "expected_gain": None}, "judged nothing, as its 7 trials were fewer than 20"),
    ],
)
def test_a_budget_that_never_stopped_says_so(changes: dict[str, Any], said: str) -> None:
    assert said in budget_sentence({"leak_budget": {**BUDGET, **changes}})


def test_what_no_replay_undoes_is_said_where_a_sampler_saw_scores() -> None:
    assert not_replayed(None) == not_replayed([{"stage": "winner"}]) == ""
    assert "sampler" in not_replayed([{"stage": "winner"}, {"stage": "propose"}])


def test_what_was_off_is_said() -> None:
    assert budget_sentence({"leak_budget": None}) == "The leak budget was off."
    assert ladder_sentence(None) == ""


def test_an_interrupted_run_has_all_sections(interrupted: Run) -> None:
    text = write_report(interrupted)[0].read_text(encoding="utf-8")
    assert "There are none." in _section(text, "Honest scores")
    assert "the study did not come that far" in _section(text, "Leak accounts")
    assert honesty(interrupted)["accounts"] is None


def _look(number: int) -> dict[str, Any]:
    return {"place": "new.csv", "sentence": f"new.csv: log_loss 0.1 (40 rows), look {number}"}


def test_looks_are_listed_one_a_line(honest: Run) -> None:
    assert "None" in _section(write_report(honest)[0].read_text(encoding="utf-8"), "Looks at other rows")
    for number in (1, 2):
        lines.append(honest.path / "looks.jsonl", _look(number))
    md, js = write_report(honest)
    text = _section(md.read_text(encoding="utf-8"), "Looks at other rows")
    assert text.strip().splitlines() == [
        "- new.csv: log_loss 0.1 (40 rows), look 1", "- new.csv: log_loss 0.1 (40 rows), look 2"
    ]  # fmt: skip
    assert json.loads(js.read_text(encoding="utf-8"))["honesty"]["looks"] == [_look(1), _look(2)]


@pytest.mark.parametrize(
    ("name", "title"), [("nested", "Nested"), ("fresh_seeds", "Fresh seeds"), ("selftest", "Self-test")]
)
def test_a_check_has_a_section_once_it_was_made(honest: Run, name: str, title: str) -> None:
    assert f"\n## {title}\n" not in write_report(honest)[0].read_text(encoding="utf-8")
    honest.save_json(f"{name}.json", {"sentence": "on this\ntable it is fine", "scores": [0.1]})
    md, js = write_report(honest)
    assert _section(md.read_text(encoding="utf-8"), title).strip() == "On this table it is fine."
    assert json.loads(js.read_text(encoding="utf-8"))["honesty"]["checks"][name]["scores"] == [0.1]
