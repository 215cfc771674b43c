"""The direction of a metric comes from the summary, and before there is one from the metric itself."""

import pytest

from reports.summary import is_higher_better, metric_of
from search.records import Run, RunError
from tests.reports.conftest import SUMMARY


def test_the_summary_decides(run: Run) -> None:
    assert metric_of(run) == "log_loss" and is_higher_better(run) is False
    run.save_json("summary.json", {**SUMMARY, "is_higher_better": True})
    assert is_higher_better(run) is True


@pytest.mark.parametrize(("metric", "expected"), [("log_loss", False), ("accuracy", True), ("rmse", False)])
def test_without_a_summary_the_metric_decides(interrupted: Run, metric: str, expected: bool) -> None:
    interrupted.save_json("run.json", {"metric": metric})
    assert is_higher_better(interrupted) is expected


def test_a_run_without_a_metric_is_named(interrupted: Run) -> None:
    interrupted.save_json("run.json", {})
    with pytest.raises(RunError, match="names none"):
        is_higher_better(interrupted)
