"""The leak accounts: closed forms, sums of the ledger, and a table for people."""

import math
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reports.estimates import Honest, estimate
from reports.history import History
from reports.leakage import SCORE_COLUMNS, STAGE_COLUMNS, accounts, bound, paired_sigma, used_nats, write
from search.records import Run
from tests.reports.histories import first_only, history, rule_for, small

EVENTS: list[dict[str, Any]] = [
    {"event_id": i, "stage": stage, "rows": 60, "alternatives": n, "nats": math.log(n)}
    for i, (stage, n) in enumerate(
        [("epoch", 5)] * 8 + [("propose", 3), ("prune", 2), ("winner", 8), ("members", 64)]
    )
]
FOLDS = np.tile(np.arange(60) % 5, (2, 1))


@pytest.fixture(scope="module")
def made() -> tuple[History, Honest]:
    one = small(0)
    return one, estimate(one, rule_for("log_loss"), rng=np.random.default_rng(0), n_rounds=2, n_draws=40)


def drawn_up(made: tuple[History, Honest], events: Any = EVENTS) -> Any:
    return accounts(made[0], rule_for("log_loss").metric, made[1], events, FOLDS, np.random.default_rng(0))


def test_bounds_by_hand() -> None:
    assert bound(8.0, n_rows=100, sigma=0.5) == pytest.approx(0.5 * math.sqrt(0.16))
    assert used_nats(0.1, n_rows=100, sigma=0.5) == pytest.approx(2.0)
    assert used_nats(-0.1, n_rows=100, sigma=0.5) == 0.0
    assert math.isnan(used_nats(0.1, n_rows=100, sigma=math.nan))


@given(st.floats(0.01, 100), st.integers(1, 10**6), st.floats(0.01, 10))
def test_the_bound_of_what_was_used_is_what_was_found(nats: float, n_rows: int, sigma: float) -> None:
    most = bound(nats, n_rows=n_rows, sigma=sigma)
    assert used_nats(most, n_rows=n_rows, sigma=sigma) == pytest.approx(nats)


def test_stages_add_up_the_ledger(made: tuple[History, Honest]) -> None:
    table = drawn_up(made).stages
    assert tuple(table.columns) == STAGE_COLUMNS
    assert table["stage"].tolist() == ["epoch", "propose", "prune", "winner", "members", "total"]
    body, total = table.iloc[:-1], table.iloc[-1]
    for name in ("looks", "alternatives", "nats"):
        assert body[name].sum() == pytest.approx(total[name])
    assert table.loc[0, "nats"] == pytest.approx(8 * math.log(5))
    assert total["share_winner"] == made[1].winner.optimism
    assert table.loc[4, "share_ensemble"] == made[1].ensemble.shares["members"]
    assert np.isnan(table.loc[4, "share_winner"])
    effective = table.set_index("stage")["effective"]
    assert 1.0 <= effective["winner"] <= 8.0
    assert 8.0 <= effective["epoch"] <= 40.0
    assert np.isnan(effective["propose"])


def test_printed_and_honest_stand_side_by_side(made: tuple[History, Honest]) -> None:
    table = drawn_up(made).scores
    assert tuple(table.columns) == SCORE_COLUMNS
    assert table["what"].tolist() == ["best single trial", "ensemble"]
    assert table.loc[1, "honest"] == made[1].ensemble.honest
    assert (table["low"] < table["honest"]).all()


def test_the_full_ledger_adds_nats_event_by_event(made: tuple[History, Honest]) -> None:
    found = drawn_up(made)
    assert len(found.ledger) == len(EVENTS)
    assert found.ledger["nats_so_far"].is_monotonic_increasing
    assert found.ledger["bound_so_far"].iloc[-1] == pytest.approx(found.stages["bound"].iloc[-1])


def test_sigma_is_the_spread_of_paired_losses_by_row() -> None:
    """Trials that differ by a known noise: the bootstrap's sigma is the one computed by row."""
    rng = np.random.default_rng(0)
    y = (rng.random(400) < 0.5).astype(float)
    one = history(rng.uniform(0.2, 0.8, (6, 1, 400)), y)
    rule = rule_for("log_loss", choose_members=first_only, ceilings=None)
    honest = estimate(one, rule, rng=rng, n_rounds=1, n_draws=600, n_share_rounds=0)
    losses = np.array([rule.metric.row_losses(one.y, table[0, 0]) for table in one.predictions])
    expected = math.sqrt((losses - losses.mean(axis=0)).var(axis=1).mean())
    assert paired_sigma(honest, one) == pytest.approx(expected, rel=0.1)


def test_people_get_about_ten_lines(made: tuple[History, Honest]) -> None:
    table = drawn_up(made).summary()
    answers = table.set_index("question")["answer"]
    assert 8 <= len(table) <= 12
    assert answers["rows that the study decided on"] == "60"
    assert answers["decisions made from them"] == "12 in 5 stages"
    assert "too" in answers["ensemble, honest log_loss"]
    assert not table["answer"].str.contains("nan").any()


def test_without_ledger_or_bootstrap_nothing_breaks() -> None:
    one = small(1)
    honest = estimate(one, rule_for("auc"), rng=np.random.default_rng(0), n_rounds=1, n_draws=0)
    found = accounts(one, rule_for("auc").metric, honest, [], FOLDS, np.random.default_rng(0))
    assert found.stages["stage"].tolist() == ["total"]
    assert found.ledger.empty
    assert not found.summary()["answer"].str.contains("nan").any()


def test_the_accounts_are_written_into_the_run(made: tuple[History, Honest], tmp_path: Path) -> None:
    run, found = Run.create(tmp_path / "run"), drawn_up(made)
    write(run, found, made[1])
    pd.testing.assert_frame_equal(pd.read_parquet(run.path / "leakage.parquet"), found.stages)
    assert len(pd.read_csv(run.path / "leakage_ledger.csv")) == len(EVENTS)
    stored = run.load_json("leakage.json")
    assert stored["scores"][1]["honest"] == pytest.approx(made[1].ensemble.honest)
    assert stored["stages"][1]["effective"] is None
    assert len(stored["summary"]) == len(found.summary())
    arrays = run.load_arrays("honest.npz")
    np.testing.assert_allclose(arrays["ensemble_predictions"], made[1].fitted.ensemble, rtol=1e-6)
    assert len(arrays["winner_out_of_bag"]) == 40
