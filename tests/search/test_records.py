"""The run folder gives back what was put into it, and refuses what is not its own."""

import math
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from search.ledger import Event, Ledger
from search.records import Run, RunError, Trial, write_aside

TRIAL = Trial(
    number=7,
    family="mlp",
    config={"depth": 3, "l2_on": False, "activation": "relu", "rate": 1e-3},
    status="completed",
    score=0.08,
    score_se=0.01,
    fold_scores=(0.07, 0.09),
    chosen_epoch=4,
    checkpoints=(1, 2, 4),
    curve=(0.3, 0.2, 0.1),
    kept_epochs=(4,),
    n_parameters=1000,
    fit_seconds=1.5,
    way="stacked",
    is_traced=True,
)


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return Run.create(tmp_path / "deep" / "run")


def test_a_trial_comes_back_equal(run: Run) -> None:
    failed = Trial(
        number=8, family="mlp", config={"größe": 1}, status="failed", cause="loss was NaN at epoch 3"
    )
    run.append_trial(TRIAL)
    run.append_trial(failed)
    assert run.trials() == [TRIAL, failed]


def test_numbers_that_json_lacks_come_back_as_nan(run: Run) -> None:
    run.append_trial(
        replace(TRIAL, curve=(0.3, math.inf, math.nan), score=math.nan, n_parameters=np.int64(3))
    )
    (trial,) = run.trials()
    assert trial.curve[0] == 0.3 and math.isnan(trial.curve[1]) and math.isnan(trial.curve[2])
    assert trial.score is None and trial.n_parameters == 3


def test_an_unknown_field_is_named() -> None:
    with pytest.raises(RunError, match="'colour'"):
        Trial.from_json({**TRIAL.to_json(), "colour": "red"})


def test_the_folder_is_the_owners_only(run: Run) -> None:
    assert os.stat(run.path).st_mode & 0o777 == 0o700


def test_arrays_come_back(run: Run) -> None:
    rng = np.random.default_rng(0)
    predictions = rng.random((2, 3, 5, 1))
    predictions[0, 0, 0] = np.nan
    run.save_out_of_fold(7, predictions)
    assert run.out_of_fold(7).dtype == np.float32
    np.testing.assert_array_equal(run.out_of_fold(7), predictions.astype(np.float32))
    run.save_out_of_fold(8, predictions.astype(np.float16))
    assert run.out_of_fold(8).dtype == np.float16
    weights = {"dense/kernel": rng.random((2, 3, 4)), "dense/bias": np.zeros((2, 4), np.float32)}
    run.save_weights(7, weights)
    loaded = run.weights(7)
    assert list(loaded) == list(weights)
    assert all(np.array_equal(loaded[name], weights[name]) for name in weights)
    assert (run.path / "oof/00007.npy").is_file() and (run.path / "weights/00007.npz").is_file()


def test_held_out_predictions_are_read_from_the_disk_where_they_are_asked_for(run: Run) -> None:
    given = np.random.default_rng(0).random((3, 2, 50, 1)).astype(np.float32)
    run.save_out_of_fold(4, given)
    stored = run.out_of_fold(4)
    assert isinstance(stored, np.memmap) and isinstance(stored[1], np.memmap)
    assert not stored.flags.writeable and stored.base is not None
    np.testing.assert_array_equal(stored[1], given[1])
    with pytest.raises(ValueError, match="read-only"):
        stored[0] = 0.0


def test_a_slice_of_held_out_predictions_leaves_the_rest_on_the_disk(run: Run) -> None:
    n_rows = 4_000_000  # 16 MB for each of 12 epochs
    run.save_out_of_fold(0, np.zeros((12, 1, n_rows, 1), np.float16))
    before = _resident_bytes()
    assert run.out_of_fold(0)[5].max() == 0.0
    assert _resident_bytes() - before < 6 * n_rows


def _resident_bytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def test_out_of_fold_predictions_have_four_axes(run: Run) -> None:
    with pytest.raises(RunError, match=r"\(n_kept, n_repeats, n_rows, n_outputs\), not \(5, 1\)"):
        run.save_out_of_fold(0, np.zeros((5, 1)))


def test_what_is_pickled_is_not_read(run: Run) -> None:
    np.save(run.path / "oof/00000.npy", np.array([{"a": 1}], dtype=object), allow_pickle=True)
    with pytest.raises(ValueError, match="no pickled objects"):
        run.out_of_fold(0)


def test_json_is_strict(run: Run) -> None:
    run.save_json("facts.json", {"score": np.nan, "n": np.int32(3), "name": "Größe"})
    assert "NaN" not in (run.path / "facts.json").read_text(encoding="utf-8")
    assert run.load_json("facts.json") == {"score": None, "n": 3, "name": "Größe"}
    run.save_text("facts.json", "{")
    with pytest.raises(RunError, match="is not JSON"):
        run.load_json("facts.json")
    with pytest.raises(RunError, match=r"has no other\.json"):
        run.load_json("other.json")


@pytest.mark.parametrize(
    ("name", "said"), [("DONE", "finished"), ("run.json", "unfinished"), ("cat.txt", "other")]
)
def test_a_folder_in_use_is_refused(tmp_path: Path, name: str, said: str) -> None:
    (tmp_path / name).write_text("{}")
    with pytest.raises(RunError, match=said) as caught:
        Run.create(tmp_path)
    assert "\n" not in str(caught.value)
    assert sorted(p.name for p in tmp_path.iterdir()) == [name]


def test_create_takes_an_empty_folder_and_refuses_a_file(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    Run.create(tmp_path / "empty")
    with pytest.raises(RunError, match="is a file"):
        Run.create(tmp_path / "file")


def test_open_wants_a_run(run: Run, tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"run\.json"):
        Run.open(run.path)
    with pytest.raises(RunError, match="none at"):
        Run.open(tmp_path / "nothing")
    run.save_json("run.json", {})
    assert Run.open(str(run.path)) == run
    assert not run.is_finished
    run.finish()
    assert run.is_finished


def test_a_write_that_fails_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.write_text("old")

    def half(file: object) -> None:
        file.write(b"ne")
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        write_aside(path, half)
    assert path.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["x"]


def test_export_writes_the_same_tables_twice(run: Run) -> None:
    run.append_trial(TRIAL)
    run.append_trial(
        Trial(number=8, family="mlp", config={"depth": 2, "activation": 3}, status="failed", cause="x")
    )
    Ledger(run).append(Event("epoch", 7, 3, 5, 100, 3, 1.0, None, "epoch 4"))
    run.export()
    for name, n_rows in (("trials", 2), ("ledger", 1)):
        parquet, csv = pd.read_parquet(run.path / f"{name}.parquet"), pd.read_csv(run.path / f"{name}.csv")
        assert list(parquet.columns) == list(csv.columns)
        assert len(parquet) == len(csv) == n_rows
    trials = pd.read_parquet(run.path / "trials.parquet")
    assert trials["config.depth"].tolist() == [3, 2]
    assert trials["config.activation"].tolist() == ['"relu"', "3"]  # mixed kinds are JSON text
    assert trials["curve"][0].tolist() == [0.3, 0.2, 0.1]
    assert trials["chosen_epoch"].isna().tolist() == [False, True]
    assert trials["config.l2_on"].tolist()[0] is False


def test_export_of_an_empty_run(run: Run) -> None:
    run.export()
    assert len(pd.read_parquet(run.path / "trials.parquet")) == 0
    assert len(pd.read_csv(run.path / "ledger.csv")) == 0
