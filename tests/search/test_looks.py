"""Looks are numbered by what was looked at, entered in the ledger, and contaminated after the first."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest

from search import looks
from search.looks import Look, bootstrap_interval
from search.metrics import METRICS
from search.records import Run, Trial
from spaces.schema import Table

RMSE = METRICS["rmse"]


@pytest.fixture
def run(tmp_path: Path) -> Run:
    run = Run.create(tmp_path / "run")
    run.append_trial(Trial(0, "mlp", {}, "completed", score=1.0))
    return run


def _rows(n: int = 30) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(3)
    y = rng.normal(size=(n, 1))
    return y, y + rng.normal(size=(n, 1)), np.arange(n)


def test_looks_are_numbered_by_content(run: Run) -> None:
    y, p, units = _rows()
    seen = [looks.record(run, "a.csv", digest, RMSE, y, p, units) for digest in ("x", "y", "x", "x")]
    assert [look.number for look in seen] == [1, 1, 2, 3]
    assert [look.is_contaminated for look in seen] == [False, False, True, True]
    assert [look["number"] for look in run.looks()] == [1, 1, 2, 3]


def test_the_name_does_not_matter(run: Run) -> None:
    looks.record(run, "a.csv", "x", RMSE, *_rows())
    again = looks.record(run, "b.csv", "x", RMSE, *_rows())
    assert (again.number, again.is_contaminated, again.place) == (2, True, "b.csv")


def test_each_look_is_in_the_ledger(run: Run) -> None:
    for _ in range(2):
        looks.record(run, "holdout", "x", RMSE, *_rows())
    first, second = run.events()
    assert [(e["stage"], e["rows"]) for e in (first, second)] == [("holdout", 30)] * 2
    assert first["nats"] == 0.0 and second["nats"] == pytest.approx(4 * np.log(10.0))
    assert "holdout, look 2, rmse" in second["chosen"]


def test_a_look_is_the_score_and_what_was_known(run: Run) -> None:
    y, p, units = _rows()
    look = looks.record(run, "holdout", "x", RMSE, y, p, units)
    assert look.score == pytest.approx(float(np.sqrt(np.mean((y - p) ** 2))))
    assert (look.n_rows, look.n_trials, look.metric) == (30, 1, "rmse")
    assert look.low < look.score < look.high


def test_the_interval_is_about_two_standard_errors() -> None:
    y, p, units = _rows(400)
    squares = (y - p)[:, 0] ** 2
    low, high = bootstrap_interval(METRICS["mae"], y, p, units, np.random.default_rng(0))
    error = np.abs(y - p).std() / np.sqrt(400)
    assert squares.size == 400 and (high - low) / (2 * 1.96 * error) == pytest.approx(1.0, abs=0.1)


def test_units_stay_whole() -> None:
    """Four copies of each row say nothing new: the interval is that of the rows, not half as wide."""
    y, p, units = _rows(50)
    one = bootstrap_interval(RMSE, y, p, units, np.random.default_rng(0))
    copies = bootstrap_interval(
        RMSE, *(np.repeat(a, 4, axis=0) for a in (y, p, units)), np.random.default_rng(0)
    )
    apart = bootstrap_interval(
        RMSE, np.repeat(y, 4, axis=0), np.repeat(p, 4, axis=0), np.arange(200), np.random.default_rng(0)
    )
    assert copies == pytest.approx(one)
    assert (apart[1] - apart[0]) < 0.65 * (one[1] - one[0])


def test_draws_without_a_score_are_left_out() -> None:
    y = np.array([[0.0], [0.0], [1.0], [1.0]])
    p = np.array([[0.1], [0.6], [0.5], [0.9]])
    low, high = bootstrap_interval(METRICS["auc"], y, p, np.arange(4), np.random.default_rng(0))
    assert 0.0 <= low <= 0.75 <= high <= 1.0


def _look(number: int) -> Look:
    return Look("t.csv", "x", number, "auc", 0.87654, 0.8, 0.912345, 60, 3, 0, number > 1, "now")


def test_the_sentence() -> None:
    assert _look(1).sentence == "t.csv: auc 0.8765 (95 % interval 0.8 to 0.9123, 60 rows), look 1"
    assert "look 2; these rows were looked at before; contaminated" in _look(2).sentence


def test_equal_rows_are_known_again() -> None:
    numbers = np.array([[1.0, np.nan], [1.0, 2.0], [2.0, 1.0], [1.0, np.nan]], np.float32)
    codes = np.array([[1], [1], [1], [1]], np.int32)
    hashes = looks.row_hashes(Table(numbers, codes))
    assert hashes[0] == hashes[3]
    assert len(set(hashes.tolist())) == 3  # the order of the columns counts
    assert looks.row_hashes(Table(numbers, codes + 1))[0] != hashes[0]


def test_the_digest_is_of_the_content(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).write_bytes(b"one two")
    assert looks.digest_of_file(tmp_path / "a") == looks.digest_of_file(tmp_path / "b")
    assert looks.digest_of([b"one ", b"two"]) == hashlib.sha256(b"one two").hexdigest()
