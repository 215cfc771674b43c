"""The leaderboard leads with what a score must be compared with, and orders trials by their score."""

import io
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from rich.console import Console

from reports.leaderboard import COLUMNS, arranged, cells, leaderboard, plain_table, rich_table
from search.metrics import METRICS
from search.records import Run, RunError
from tests.reports.conftest import SUMMARY
from tests.reports.runs import finished


def test_the_first_rows_are_what_to_compare_with(run: Run) -> None:
    board = leaderboard(run)
    assert tuple(board.columns) == COLUMNS
    assert board["entry"].tolist() == ["dummy", "linear", "best single", "ensemble"] + ["trial"] * 5
    assert board["score"].tolist()[:4] == [0.66, 0.09, 0.083, 0.071]
    assert board["scored"].tolist()[:4] == ["out-of-fold", "out-of-fold", "cross-fitted", "cross-fitted"]


def test_trials_are_ranked_by_score(run: Run) -> None:
    board = leaderboard(run).iloc[4:]
    assert board["trial"].tolist() == [2, 0, 3, 1, 4]
    assert board["rank"].tolist()[:2] == [1, 2] and board["rank"].isna().tolist()[2:] == [True] * 3
    assert board["status"].tolist() == ["completed", "completed", "pruned", "failed", "duplicate"]
    assert board["ensemble_weight"].tolist() == [0.75, 0.25, 0.0, 0.0, 0.0]
    assert board["train_validation_gap"].tolist()[:2] == pytest.approx([0.03, 0.03])


def test_direction_turns_rank_and_gap(run: Run) -> None:
    run.save_json("summary.json", {**SUMMARY, "is_higher_better": True})
    board = leaderboard(run)
    assert board["trial"].tolist()[4:] == [0, 2, 3, 1, 4]
    assert board["train_validation_gap"].tolist()[4] == pytest.approx(-0.03)
    assert board["trial"][2] == 0


def test_the_ensemble_costs_what_its_members_cost(run: Run) -> None:
    row = leaderboard(run).iloc[3]
    assert row["parameters"] == 300
    assert row["fit_seconds"] == pytest.approx(3.0)
    assert row["predict_seconds_per_1000"] == pytest.approx(0.3)
    assert row["ensemble_weight"] == pytest.approx(1.0)


def test_an_in_sample_score_is_never_shown(run: Run) -> None:
    assert 0.066 not in leaderboard(run)["score"].tolist()


def test_without_a_cross_fitted_winner_the_row_says_so(run: Run) -> None:
    best = {"trial": 2, "score": 0.08, "crossfit_score": None}
    run.save_json("summary.json", {**SUMMARY, "best_single": best})
    row = leaderboard(run).iloc[2]
    assert (row["score"], row["scored"], row["score_se"]) == (0.08, "out-of-fold", 0.01)


def test_an_interrupted_run_keeps_its_shape(interrupted: Run) -> None:
    board = leaderboard(interrupted)
    assert board["entry"].tolist()[:4] == ["dummy", "linear", "best single", "ensemble"]
    assert board["status"].tolist()[:4] == ["not run", "not run", "completed", "none"]
    assert [math.isnan(score) for score in board["score"][:4]] == [True, True, False, True]
    assert board["trial"].tolist()[4] == 2


def test_types_do_not_depend_on_what_is_missing(run: Run, interrupted: Run) -> None:
    pd.testing.assert_series_equal(leaderboard(run).dtypes, leaderboard(interrupted).dtypes)


def test_text_has_nothing_for_nothing(run: Run) -> None:
    header, *rows = cells(leaderboard(run))
    assert header[:3] == ["entry", "rank", "trial"] and "train validation gap" in header
    assert rows[0][header.index("rank")] == "" and rows[4][header.index("score")] == "0.08"


def test_plain_table_is_aligned(run: Run) -> None:
    lines = plain_table(leaderboard(run)).splitlines()
    assert len(lines) == 10
    end = lines[0].index("score") + len("score")
    assert all(
        line[end] == " " and line[end - 1] != " "
        for line in lines
        if "failed" not in line and "dupl" not in line
    )


def test_rich_table_has_all_rows(run: Run) -> None:
    table = rich_table(leaderboard(run), 200)
    assert table.row_count == 9 and len(table.columns) == len(COLUMNS)
    assert [row.end_section for row in table.rows].index(True) == 3


@pytest.mark.parametrize("width", [80, 150])
def test_rich_table_cuts_nothing_off(run: Run, width: int) -> None:
    out = io.StringIO()
    Console(file=out, width=width).print(rich_table(leaderboard(run), width))
    assert (
        "best single" in out.getvalue() and "cross-fitted" in out.getvalue() and "duplicate" in out.getvalue()
    )
    assert "…" not in out.getvalue()


def test_extra_metrics_agree_with_the_score_where_they_are_the_same(tmp_path: Path) -> None:
    run = finished(tmp_path / "r")
    predictions = run.load_arrays("honest.npz")["ensemble_predictions"]
    run.save_out_of_fold(0, predictions[:1])
    run.save_arrays("baselines.npz", {"dummy": np.full((2, 120, 1), 0.4)})
    trials = [replace(trial, chosen_index=0, kept_epochs=(1,)) for trial in run.trials()]
    (run.path / "trials.jsonl").unlink()
    for trial in trials:
        run.append_trial(trial)
    board = leaderboard(run, ["log_loss", "auc"]).set_index("entry")
    assert list(board.columns[-2:]) == ["log_loss", "auc"]
    assert board.loc["ensemble", "log_loss"] == pytest.approx(board.loc["ensemble", "score"])
    y = run.load_arrays("targets.npz")["y"]
    own = METRICS["log_loss"].score(y, np.full((120, 1), 0.4))
    assert board.loc["dummy", "log_loss"] == pytest.approx(own) and board.loc["dummy", "auc"] == 0.5
    by_hand = np.mean([METRICS["auc"].score(y, one) for one in predictions[0].astype(np.float32)])
    by_trial = board.loc["trial"].set_index("trial")["auc"]
    assert by_trial[0] == pytest.approx(by_hand) and by_trial[[1, 2]].isna().all()  # nothing stored for these
    assert pd.isna(board.loc["linear", "auc"])


@pytest.mark.parametrize(
    ("name", "said"), [("rmse", r"no metric of a binary task is called 'rmse'"), ("aucc", "'auc'")]
)
def test_other_metrics_are_refused(tmp_path: Path, name: str, said: str) -> None:
    with pytest.raises(RunError, match=said):
        leaderboard(finished(tmp_path / "r"), [name])


def test_extra_metrics_need_targets(tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"stored none \(targets.npz\)"):
        leaderboard(finished(tmp_path / "r", has_targets=False), ["auc"])


def test_trials_are_sorted_and_cut_and_the_head_stays(run: Run) -> None:
    board = leaderboard(run)
    rising = arranged(run, board, sort="fit_seconds", top=2)
    assert rising["entry"].tolist()[:4] == ["dummy", "linear", "best single", "ensemble"]
    assert rising["trial"].tolist()[4:] == [4, 3] and len(rising) == 6
    assert arranged(run, board, sort="-fit_seconds")["trial"].tolist()[4:] == [2, 0, 1, 3, 4]
    assert arranged(run, board, sort="score")["trial"].tolist()[4:7] == [2, 0, 3]
    assert arranged(run, board, sort="ensemble_weight")["trial"].tolist()[4:6] == [2, 0]
    assert len(arranged(run, board, top=0)) == 4
    assert arranged(run, board).dtypes.tolist() == board.dtypes.tolist()


def test_a_higher_score_comes_first_where_higher_is_better(run: Run) -> None:
    run.save_json("summary.json", {"metric": "auc", "is_higher_better": True})
    assert arranged(run, leaderboard(run), sort="score")["trial"].tolist()[4:6] == [3, 0]


def test_an_unknown_column_or_number_is_refused(run: Run) -> None:
    with pytest.raises(RunError, match="'scor' is none: 'score'"):
        arranged(run, leaderboard(run), sort="-scor")
    with pytest.raises(RunError, match="counted from 0, got -1"):
        arranged(run, leaderboard(run), top=-1)
