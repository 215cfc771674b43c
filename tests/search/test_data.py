"""Datasets: what is read from frames and arrays, and what is refused."""

import hashlib
import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from search.data import DataError, Dataset, from_arrays, from_frame
from spaces.schema import Table


@pytest.fixture
def frame() -> pd.DataFrame:
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"a": rng.normal(size=40), "ß": rng.choice(np.array(["x", "y"], dtype=object), 40)})
    return frame.assign(
        y=np.where(np.arange(40) % 4 == 0, "yes", "no"), g=np.arange(40) // 4, t=np.arange(40)[::-1]
    )


def test_from_frame(frame: pd.DataFrame) -> None:
    frame.loc[[3, 5], "y"] = None
    frame.index = np.arange(40)[::-1] * 3
    before = frame.copy(deep=True)
    dataset = from_frame(frame, "y", groups="g", time="t", name="made up")
    pd.testing.assert_frame_equal(frame, before)
    assert [c.name for c in dataset.schema.columns] == ["a", "ß"]
    assert (dataset.n_rows, dataset.n_outputs, dataset.n_dropped) == (38, 1, 2)
    assert dataset.task.classes == ("no", "yes")
    assert dataset.row_ids.tolist() == [i for i in range(40) if i not in (3, 5)]
    assert dataset.y[:4, 0].tolist() == [1.0, 0.0, 0.0, 1.0]
    assert dataset.groups is not None
    assert dataset.groups.tolist() == (dataset.row_ids // 4).tolist()
    assert dataset.time is not None
    assert dataset.time.tolist() == (39 - dataset.row_ids).tolist()
    assert "2 rows without a target were left out" in dataset.notes
    np.testing.assert_allclose(dataset.table.numbers[:, 0], frame["a"].to_numpy()[dataset.row_ids], rtol=1e-6)


def test_drop(frame: pd.DataFrame) -> None:
    assert [c.name for c in from_frame(frame, "y", drop=["g", "t"]).schema.columns] == ["a", "ß"]


def test_take(frame: pd.DataFrame) -> None:
    dataset = from_frame(frame, "y", groups="g")
    rows = np.array([7, 2, 9])
    part = dataset.take(rows)
    assert part.schema == dataset.schema
    assert part.row_ids.tolist() == [7, 2, 9]
    np.testing.assert_array_equal(part.y, dataset.y[rows])
    np.testing.assert_array_equal(part.table.codes, dataset.table.codes[rows])
    assert part.fingerprint not in (dataset.fingerprint, dataset.take(rows[::-1]).fingerprint)
    assert dataset.take(np.arange(40)).fingerprint == dataset.fingerprint


def test_fingerprint(frame: pd.DataFrame) -> None:
    def fingerprint(changed: pd.DataFrame, **options: str) -> str:
        return from_frame(changed, "y", **options).fingerprint

    other_value, other_target = frame.copy(), frame.copy()
    other_value.loc[0, "a"] += 1
    other_target.loc[0, "y"] = "no"
    renamed = frame.rename(columns={"a": "b"})
    assert fingerprint(frame) == fingerprint(frame.copy())
    found = [fingerprint(f) for f in (frame, other_value, other_target, renamed)]
    found += [fingerprint(frame, groups="g"), fingerprint(frame, time="t")]
    assert len(set(found)) == 6


def test_a_fingerprint_is_of_the_bytes_in_row_order_however_they_lie_in_memory(frame: pd.DataFrame) -> None:
    dataset = from_frame(frame, "y", groups="g")
    turned = replace(dataset, table=Table(np.asfortranarray(dataset.table.numbers), dataset.table.codes))
    assert turned.take(np.arange(dataset.n_rows)).fingerprint == dataset.fingerprint
    header = {
        "schema": dataset.schema.to_json(),
        "task": dataset.task.to_json(),
        "shape": [dataset.n_rows, 1],
    }
    digest = hashlib.sha256(
        json.dumps(header | {"has_groups": True, "has_time": False}, sort_keys=True).encode()
    )
    for array in (dataset.table.numbers, dataset.table.codes, dataset.y, dataset.groups):
        digest.update(np.asarray(array).tobytes())
    assert digest.hexdigest() == dataset.fingerprint


def test_duplicates() -> None:
    inputs = pd.DataFrame({"a": [0.0, -0.0, np.nan, np.nan, 1.0, 0.0], "k": ["u", "u", None, "", "u", "v"]})
    dataset = from_frame(inputs.assign(y=[1.5, 2.5, 3.5, 4.5, 5.5, 6.5]), "y")
    d = dataset.duplicates
    assert d[0] == d[1]
    assert d[2] == d[3]
    assert len(set(d)) == 4


def test_from_arrays() -> None:
    x, y = np.arange(12.0).reshape(6, 2), np.array([0, 1, 0, 1, 1, 0])
    dataset = from_arrays(x, y, groups=list("aabbcc"), time=np.arange(6) / 2)
    assert [c.name for c in dataset.schema.columns] == ["x0", "x1"]
    assert dataset.task.target_names == ("target",)
    assert dataset.groups is not None
    assert dataset.groups.tolist() == [0, 0, 1, 1, 2, 2]
    labels = from_arrays(x, np.eye(2)[y], feature_names=["u", "target_0"])
    assert (labels.task.kind, labels.task.target_names) == ("multilabel", ("target_0", "target_1"))
    series = from_arrays(
        pd.DataFrame(x, columns=["u", "v"], index=list("abcdef")), pd.Series(y + 0.5, name="z")
    )
    assert (series.task.kind, series.task.target_names) == ("regression", ("z",))
    assert (
        from_arrays(x, y).fingerprint
        == from_frame(pd.DataFrame({"x0": x[:, 0], "x1": x[:, 1], "target": y}), "target").fingerprint
    )


def times(values: object) -> np.ndarray:
    dataset: Dataset = from_arrays(np.arange(3.0)[:, None], [0.5, 1.5, 2.5], time=values)
    assert dataset.time is not None
    return dataset.time


def test_times() -> None:
    assert times([3, 1, 2]).tolist() == [3, 1, 2]
    assert times(["3", "1.5", "2"]).tolist() == [3.0, 1.5, 2.0]
    day = 86_400 * 10**9
    for values in (
        ["2024-01-02", "2024-01-01", "2024-01-04"],
        pd.to_datetime(["2024-01-02", "2024-01-01", "2024-01-04"]),
    ):
        assert (times(values) - times(values)[0]).tolist() == [0, -day, 2 * day]
    assert np.diff(times(["01/13/2024", "01/14/2024", "02/01/2024"])).tolist() == [day, 18 * day]
    assert np.diff(times(pd.period_range("2024-01", periods=3, freq="M"))).tolist() == [31 * day, 29 * day]
    with pytest.raises(DataError, match="1 have none"):
        times(["2024-01-02", None, "2024-01-03"])
    with pytest.raises(DataError, match="not 'soon'"):
        times(["soon", "later", "now"])
    with pytest.raises(DataError, match="finite"):
        times([1.0, np.inf, 2.0])


def test_rows_without_a_group_stand_alone() -> None:
    dataset = from_arrays(np.arange(4.0)[:, None], [0.5, 1.5, 2.5, 3.5], groups=["a", None, "a", None])
    assert dataset.groups is not None
    assert dataset.groups.tolist() == [0, 1, 0, 2]
    assert "2 rows without a group stand alone" in dataset.notes


def test_a_row_of_weight_zero_is_an_absent_row(frame: pd.DataFrame) -> None:
    weights = np.tile([2.0, 0.0, 6.0, 4.0], len(frame) // 4)
    absent = frame.copy()
    absent.loc[weights == 0, ["a", "y"]] = [1e9, frame["y"].iloc[0]]
    without = from_frame(frame.assign(w=weights)[weights > 0], "y", weights="w")
    spoilt = from_frame(absent.assign(w=weights), "y", weights="w")
    assert spoilt.fingerprint == without.fingerprint and spoilt.n_dropped == 0
    assert np.array_equal(spoilt.row_ids, np.flatnonzero(weights))
    assert np.array_equal(spoilt.row_weights, np.tile([0.5, 1.5, 1.0], len(frame) // 4))
    assert f"{len(frame) // 4} rows of weight 0 were left out" in spoilt.notes
    assert without.fingerprint != from_frame(frame[weights > 0], "y").fingerprint
    wrong = ((0.0, 0.0, "only zeros"), (1.0, -1.0, "-1.0"), (1.0, np.nan, "nan"))
    for usual, bad, said in wrong:
        with pytest.raises(DataError, match=f"finite numbers, at least 0 and one above, got {said}"):
            from_frame(frame.assign(w=[bad, *[usual] * (len(frame) - 1)]), "y", weights="w")


def test_errors(frame: pd.DataFrame) -> None:
    for options in ({"groups": "group"}, {"time": "gg"}, {"drop": ["gr"]}):
        with pytest.raises(DataError, match=r"no column '.*'; the nearest is 'g'"):
            from_frame(frame, "y", **options)
    with pytest.raises(DataError, match="no column 'Y'"):
        from_frame(frame, ["Y"])
    with pytest.raises(DataError, match="'y' occurs 2 times"):
        from_frame(pd.concat([frame, frame[["y"]]], axis=1), "y")
    with pytest.raises(DataError, match="no input column"):
        from_frame(frame[["y"]], "y")
    with pytest.raises(DataError, match="not 40 and 3"):
        from_arrays(frame[["a"]], [1, 2, 3])
    with pytest.raises(DataError, match="must name 1 columns, not 2"):
        from_arrays(frame[["a"]], frame["y"], feature_names=["u", "v"])
