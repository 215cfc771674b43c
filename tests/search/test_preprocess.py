"""What a member learns comes from its training rows, and is what the definitions say."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.impute import SimpleImputer
from sklearn.preprocessing import RobustScaler, StandardScaler

from search.preprocess import learn, learn_limits, learn_targets, rare_threshold
from spaces.encoding import N_BINS
from spaces.schema import Schema, Table
from spaces.task import Task


def draw(seed: int, n: int = 40) -> pd.DataFrame:
    """Return a frame of numbers and categories with missing values."""
    rng = np.random.default_rng(seed)
    frame = pd.DataFrame(rng.normal(3, 5, (n, 3)), columns=["a", "b", "c"])
    frame.loc[rng.random(n) < 0.3, "a"] = np.nan
    frame["k"] = rng.choice(np.array(["u", "v", "w", "z", None], dtype=object), n)
    frame["l"] = rng.choice(np.array([f"t{i}" for i in range(50)], dtype=object), n)
    return frame


def same(a, b) -> bool:
    """Tell whether two statistics are equal bit for bit."""
    return all(a.arrays()[k].tobytes() == b.arrays()[k].tobytes() for k in a.arrays())


@given(seed=st.integers(0, 10_000), data=st.data())
@settings(max_examples=50, deadline=None)
def test_held_out_rows_change_nothing(seed: int, data: st.DataObject) -> None:
    frame = draw(seed)
    schema = Schema.infer(frame)
    table = schema.read(frame)
    train = np.sort(np.random.default_rng(seed).permutation(len(frame))[:30])
    before = learn(table, schema, train)
    changed = frame.copy(deep=True)
    for row in np.setdiff1d(np.arange(len(frame)), train):
        number = data.draw(st.sampled_from([np.nan, np.inf, -np.inf, 1e300, -1e38, 0.0, 7.5]))
        changed.loc[row, ["a", "b", "c"]] = number
        changed.loc[row, ["k", "l"]] = data.draw(st.sampled_from(["new", "u", "t1", None, ""]))
    other = schema.read(changed)
    assert same(before, learn(other, schema, train))
    y = np.random.default_rng(seed).normal(size=(len(frame), 2))
    task = Task("regression", ("u", "v"))
    center, scale = learn_targets(y, task, train)
    y[np.setdiff1d(np.arange(len(frame)), train)] = np.nan
    again = learn_targets(y, task, train)
    assert (center.tobytes(), scale.tobytes()) == (again[0].tobytes(), again[1].tobytes())


def test_numbers_equal_scikit_learn() -> None:
    frame = draw(1, n=200)
    schema = Schema.infer(frame)
    rows = np.arange(0, 200, 2)
    statistics = learn(schema.read(frame), schema, rows)
    numbers = frame[["a", "b", "c"]].to_numpy()[rows]
    imputer = SimpleImputer(strategy="median").fit(numbers)
    scaler = StandardScaler().fit(imputer.transform(numbers))
    np.testing.assert_allclose(statistics.fill, imputer.statistics_, rtol=1e-6)
    np.testing.assert_allclose(statistics.center, scaler.mean_, rtol=1e-5)
    np.testing.assert_allclose(statistics.scale, scaler.scale_, rtol=1e-5)
    np.testing.assert_allclose(statistics.robust_scale, RobustScaler().fit(numbers).scale_, rtol=1e-5)
    quantiles = np.nanquantile(numbers, np.linspace(0, 1, N_BINS + 1), axis=0).T
    np.testing.assert_allclose(statistics.edges, quantiles, rtol=1e-5)


def test_constant_and_empty_columns() -> None:
    numbers = np.array([[0.1, np.nan, 5.0], [0.1, np.nan, np.nan], [0.1, 1.0, 5.0]], np.float32)
    schema = Schema.infer(pd.DataFrame({"a": [0.1], "b": [np.nan], "c": [5.0]}))
    statistics = learn(Table(numbers, np.zeros((3, 0), np.int32)), schema, np.array([0, 1]))
    assert statistics.fill.tolist() == [np.float32(0.1), 0.0, 5.0]
    assert statistics.center.tolist() == [np.float32(0.1), 0.0, 5.0]
    assert statistics.scale.tolist() == [1.0, 1.0, 1.0]
    assert statistics.robust_scale.tolist() == [1.0, 1.0, 1.0]
    assert not np.diff(statistics.edges, axis=1).any()
    assert statistics.slot_of_code.shape == (0,)


def test_a_column_of_mostly_one_value_is_scaled_by_half_its_range() -> None:
    frame = pd.DataFrame({"a": [0.0] * 18 + [5.0, 6.0]})
    schema = Schema.infer(frame)
    statistics = learn(schema.read(frame), schema, np.arange(20))
    assert statistics.robust_scale.tolist() == [3.0]
    edges = statistics.edges[0]
    assert (np.diff(edges) >= 0).all() and (edges[0], edges[-1]) == (0.0, 6.0)
    assert 0 < (np.diff(edges) > 0).sum() < N_BINS


def test_limits_are_the_range_of_the_training_targets_in_their_units() -> None:
    y = np.array([[1.0, 5.0], [3.0, 5.0], [100.0, -9.0]])
    low, high = learn_limits(y, np.array([2.0, 5.0]), np.array([0.5, 1.0]), np.array([0, 1]))
    assert (low.tolist(), high.tolist()) == ([-2.0, 0.0], [2.0, 0.0])


def test_huge_numbers_stay_finite() -> None:
    frame = pd.DataFrame({"a": [1e300, -1e300, 0.0, 1.0]})
    schema = Schema.infer(frame)
    statistics = learn(schema.read(frame), schema, np.arange(4))
    assert np.isfinite(statistics.center).all()
    assert np.isfinite(statistics.scale).all()
    assert np.isfinite(statistics.robust_scale).all() and np.isfinite(np.diff(statistics.edges)).all()


def test_slots_follow_frequency() -> None:
    frame = pd.DataFrame({"k": ["b"] * 3 + ["a"] * 3 + ["c"] * 4 + ["rare"] + [None] * 2 + ["held"] * 5})
    schema = Schema.infer(frame)
    statistics = learn(schema.read(frame), schema, np.arange(13))
    # codes: missing, a, b, c, held, rare, unknown
    assert statistics.slot_of_code.tolist() == [4, 2, 3, 1, 0, 0, 0]


def test_slots_are_limited_and_the_rest_is_other() -> None:
    frame = pd.DataFrame({"k": [f"t{i:02d}" for i in range(60) for _ in range(60 - i)]})
    schema = Schema.infer(frame, max_slots=8)
    slots = learn(schema.read(frame), schema, np.arange(len(frame))).slot_of_code
    assert slots[1:8].tolist() == [1, 2, 3, 4, 5, 6, 7]
    assert not slots[8:].any()


@pytest.mark.parametrize(("n_train", "threshold"), [(10, 2), (400, 2), (401, 3), (1600, 8), (100_000, 10)])
def test_rare_threshold(n_train: int, threshold: int) -> None:
    assert rare_threshold(n_train) == threshold


def test_targets() -> None:
    y = np.array([[1.0, 5.0], [3.0, 5.0], [100.0, 9.0]])
    center, scale = learn_targets(y, Task("regression", ("u", "v")), np.array([0, 1]))
    assert (center.tolist(), scale.tolist()) == ([2.0, 5.0], [1.0, 1.0])
    center, scale = learn_targets(y, Task("multilabel", ("u", "v")), np.array([0, 1]))
    assert (center.tolist(), scale.tolist()) == ([0.0, 0.0], [1.0, 1.0])
