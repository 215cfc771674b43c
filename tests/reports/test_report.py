"""The report says the cross-fitted score, what it beats, and what it cost."""

import json

import pytest

from reports.report import failures, ledger_by_stage, optimism, report, verdict, write_report
from search.records import Run, Trial
from tests.reports.conftest import FACTS, SUMMARY, TOTAL_NATS


def test_both_files_are_written(run: Run) -> None:
    md, js = write_report(run)
    facts = json.loads(js.read_text(encoding="utf-8"))
    text = md.read_text(encoding="utf-8")
    assert facts["verdict"] in text
    for title in ("Data", "Splits", "Leaderboard", "Ensemble", "Ledger", "Failures", "How to reproduce"):
        assert f"\n## {title}\n" in text
    assert FACTS["command"] in text and SUMMARY["splits_reason"] in text and SUMMARY["stop_reason"] in text
    assert (run.path / "leaderboard.csv").read_text(encoding="utf-8").count("\n") == 10


def test_the_verdict_states_the_cross_fitted_score() -> None:
    text = verdict(SUMMARY, "log_loss", False)
    assert "log_loss 0.071 (cross-fitted; lower is better)" in text
    assert "better than the dummy (0.66), the linear model (0.09) and the best single trial (0.083)" in text
    assert "0.066" not in text and "not better" not in text


@pytest.mark.parametrize(
    ("is_higher", "said"),
    [(False, "not better than the linear model"), (True, "better than the linear model")],
)
def test_the_verdict_admits_defeat(is_higher: bool, said: str) -> None:
    baselines = [{"name": "linear", "score": 0.05}]
    text = verdict({**SUMMARY, "baselines": baselines, "best_single": {}}, "log_loss", is_higher)
    assert said in text and ("not better" in text) is (not is_higher)


def test_optimism_is_positive_when_the_in_sample_score_is_too_good() -> None:
    assert optimism(SUMMARY, False) == pytest.approx(0.005)
    assert optimism(SUMMARY, True) == pytest.approx(-0.005)
    assert optimism({}, True) is None


def test_the_ledger_is_summed_by_stage(run: Run) -> None:
    stages = ledger_by_stage(run)
    assert [(s["stage"], s["looks"], s["alternatives"]) for s in stages] == [
        ("epoch", 2, 40), ("winner", 1, 2), ("members", 1, 2), ("total", 4, 44)
    ]  # fmt: skip
    assert stages[-1]["nats"] == pytest.approx(TOTAL_NATS)
    assert stages[-1]["nats"] == pytest.approx(sum(s["nats"] for s in stages[:-1]))


def test_failures_are_grouped_by_cause() -> None:
    def failed(n: int, cause: str | None) -> Trial:
        return Trial(n, "mlp", {}, "failed", cause=cause)

    trials = [
        failed(0, "a"),
        failed(1, "b"),
        Trial(2, "mlp", {}, "completed"),
        failed(3, "b"),
        failed(4, None),
    ]
    assert failures(trials) == [
        {"cause": "b", "trials": [1, 3]},
        {"cause": "a", "trials": [0]},
        {"cause": "unknown", "trials": [4]},
    ]


def test_a_cause_stays_in_its_cell(run: Run) -> None:
    text = write_report(run)[0].read_text(encoding="utf-8")
    assert "| loss was NaN \\| at epoch 3 of fold 1 | 1 |" in text


def test_counts(run: Run) -> None:
    counts = report(run)["trials"]
    assert {k: v for k, v in counts.items() if k.startswith("n_")} == {
        "n_total": 5, "n_completed": 2, "n_pruned": 1, "n_failed": 1, "n_duplicate": 1
    }  # fmt: skip


def test_an_interrupted_run_has_a_report(interrupted: Run) -> None:
    text = write_report(interrupted)[0].read_text(encoding="utf-8")
    assert "No ensemble" in text and "5 trials: 2 completed" in text


def test_members_that_err_alike_are_shown_first(run: Run) -> None:
    assert "There is no ensemble" in write_report(run)[0].read_text()
    pairs = {"first": [2, 2], "second": [0, 5], "residual_correlation": [0.2, 0.91]}
    gain = {"ensemble_error": 0.05, "member_error": 0.07, "ambiguity": 0.02}
    run.save_json("diversity.json", {"pairs": pairs, "decomposition": gain})
    text = write_report(run)[0].read_text().split("## Diversity")[1]
    assert "differences are worth 0.02" in text and text.index("0.91") < text.index("0.2 |")
