"""Nats are logarithms of counts, and the ledger is only ever appended to."""

import itertools
import math
from dataclasses import replace
from pathlib import Path

import pytest

from search import ledger
from search.ledger import Event, Ledger, LedgerError

EVENT = Event("epoch", 7, 3, 5, 569, 20, math.log(20), 0.01, "epoch 4")


@pytest.mark.parametrize("n", [1, 2, 30])
def test_best_of_and_epoch(n: int) -> None:
    assert ledger.of_best_of(n) == ledger.of_common_epoch(n) == math.log(n)
    assert ledger.of_fold_epochs(n, 15) == pytest.approx(15 * math.log(n))


@pytest.mark.parametrize(("n", "k"), [(1, 0), (4, 2), (5, 5), (6, 1)])
def test_sets_are_counted(n: int, k: int) -> None:
    n_sets = sum(1 for _ in itertools.combinations(range(n), k))
    assert ledger.of_prune(n, k) == ledger.of_top_k(n, k) == pytest.approx(math.log(n_sets))


@pytest.mark.parametrize(("n_candidates", "n_rounds"), [(1, 5), (3, 2), (4, 4), (5, 1)])
def test_multisets_are_counted(n_candidates: int, n_rounds: int) -> None:
    n_multisets = sum(1 for _ in itertools.combinations_with_replacement(range(n_candidates), n_rounds))
    assert ledger.of_greedy(n_candidates, n_rounds) == pytest.approx(math.log(n_multisets))


def test_large_counts_do_not_overflow() -> None:
    assert 0 < ledger.of_greedy(5000, 500) < 5000


def test_shown_digits() -> None:
    assert ledger.of_shown_digits(3) == pytest.approx(math.log(1000))


@pytest.mark.parametrize(
    "call",
    [
        lambda: ledger.of_best_of(0),
        lambda: ledger.of_top_k(3, 4),
        lambda: ledger.of_top_k(3, -1),
        lambda: ledger.of_greedy(0, 3),
        lambda: ledger.of_greedy(2, -1),
    ],
)
def test_impossible_counts_are_refused(call: object) -> None:
    with pytest.raises(LedgerError):
        call()


@pytest.mark.parametrize(
    "change", [{"stage": "guess"}, {"alternatives": 0}, {"nats": -1.0}, {"nats": math.inf}]
)
def test_an_event_that_cannot_be_is_refused(change: dict) -> None:
    with pytest.raises(LedgerError):
        replace(EVENT, **change)


def test_entries_are_numbered_across_processes_and_never_change(tmp_path: Path) -> None:
    assert Ledger(tmp_path).append(EVENT) == 0
    before = (tmp_path / "ledger.jsonl").read_bytes()
    again = Ledger(tmp_path)
    assert len(again) == 1
    assert again.append(replace(EVENT, stage="winner", trial=None, apparent_gain=None)) == 1
    assert (tmp_path / "ledger.jsonl").read_bytes().startswith(before)
    table = again.read()
    assert tuple(table.columns) == ledger.COLUMNS
    assert table["event_id"].tolist() == [0, 1]
    assert table["stage"].tolist() == ["epoch", "winner"]
    assert table["trial"].isna().tolist() == [False, True]
    assert table["nats"].sum() == pytest.approx(2 * math.log(20))


def test_an_empty_ledger_has_its_columns(tmp_path: Path) -> None:
    assert tuple(Ledger(tmp_path).read().columns) == ledger.COLUMNS
