"""Runs are read for a comparison: names, labels, losses by fold."""

from pathlib import Path

import numpy as np
import pytest

from reports.entrants import CompareError, entrants, methods
from reports.scoring import pooled
from search.metrics import METRICS
from search.records import Run
from tests.reports.runs import N_REPEATS, N_ROUNDS, N_SPLITS, finished, targets


def test_fewer_than_two_runs_are_refused(tmp_path: Path) -> None:
    run = finished(tmp_path / "a")
    with pytest.raises(CompareError, match="at least 2 runs, got 1"):
        entrants([run])
    with pytest.raises(CompareError, match="given twice"):
        entrants([run, tmp_path / "a"])


def test_an_unfinished_run_is_refused(tmp_path: Path) -> None:
    run = Run.create(tmp_path / "b")
    run.save_json("run.json", {"metric": "log_loss"})
    with pytest.raises(CompareError, match="no honest score"):
        entrants([finished(tmp_path / "a"), run])


def test_names_are_unique(tmp_path: Path) -> None:
    runs = [finished(tmp_path / one / "same") for one in ("x", "y")]
    assert [one.name for one in entrants(runs)] == ["x/same", "y/same"]


def test_fold_losses_are_those_of_the_folds(tmp_path: Path) -> None:
    one, _ = entrants([finished(tmp_path / "a"), finished(tmp_path / "b", seed=1)])
    found = one.fold_losses("ensemble")
    assert found is not None and found.shape == (N_SPLITS * N_REPEATS,)
    y, tables = targets("table"), one.cross_fitted["ensemble"]
    rows = np.flatnonzero(one.splits["fold_of_row"][1] == 2)
    by_hand = [METRICS["log_loss"].score(y[rows], tables[r, 1, rows]) for r in range(N_ROUNDS)]
    assert found[N_SPLITS + 2] == pytest.approx(np.mean(by_hand))
    assert one.loss() == pytest.approx(pooled(METRICS["log_loss"], y, tables, np.ones((1, len(y))))[0])
    assert one.test_to_train() == pytest.approx(1 / (N_SPLITS - 1))


def test_without_targets_the_winner_has_its_own_scores(tmp_path: Path) -> None:
    one, _ = entrants([finished(tmp_path / "a", has_targets=False), finished(tmp_path / "b")])
    assert one.fold_losses("ensemble") is None
    np.testing.assert_allclose(one.fold_losses("winner"), one.trials[0].fold_scores)


def test_a_higher_score_is_a_lower_loss(tmp_path: Path) -> None:
    runs = [finished(tmp_path / str(i), metric="accuracy", has_targets=False, seed=i) for i in range(2)]
    one = entrants(runs)[0]
    assert one.loss() == pytest.approx(-one.summary["ensemble"]["score"]) and one.dummy_loss == -0.7
    np.testing.assert_allclose(one.fold_losses("winner"), -np.array(one.trials[0].fold_scores))


def test_labels_are_what_differs(tmp_path: Path) -> None:
    def labels(*configs: dict, keys: tuple[str, ...] = ()) -> tuple[str, ...]:
        place = tmp_path / str(len(list(tmp_path.iterdir())))
        place.mkdir()
        return methods(
            entrants([finished(place / f"table-{i}", config=c) for i, c in enumerate(configs)]), keys
        )

    assert labels({"sampler": "tpe"}, {"sampler": "random"}) == ("tpe", "random")
    assert labels({"families": ["mlp"]}, {"families": ["mlp", "linear"]}) == ("mlp", "mlp+linear")
    assert labels({"preset": "fast", "trials": 12}, {"preset": "good", "trials": 30}) == ("fast", "good")
    assert labels({"sampler": "tpe", "trials": 5}, {"sampler": "random", "trials": 5}, {"trials": 9}) == (
        "tpe, trials 5", "random, trials 5", "tpe, trials 9",
    )  # fmt: skip
    assert labels({}, {}) == ("0", "1")  # only their names differ
    assert labels({}, {}, keys=("sampler",)) == ("tpe", "tpe")
    assert labels({"leak_budget": True}, {"leak_budget": False}) == ("leak_budget True", "no leak_budget")


def test_an_unknown_label_is_refused(tmp_path: Path) -> None:
    found = entrants([finished(tmp_path / "a"), finished(tmp_path / "b")])
    with pytest.raises(CompareError, match=r"a label is name, folder or a key .*sampler.*, got 'colour'"):
        methods(found, ("colour",))
    assert methods(found, ("folder",)) == (tmp_path.name,) * 2
