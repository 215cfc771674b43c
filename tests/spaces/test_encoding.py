"""Encoding: the same matrix inside and outside the compiled program, and nothing lost on the way."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from search.preprocess import learn
from spaces.encoding import N_BINS, Layout, Statistics, encode, piecewise, smooth_clip
from spaces.schema import Schema, Table

FRAME = pd.DataFrame(
    {
        "x": [1.0, 2.0, 3.0, 4.0, 5.0, 6.0],
        "gap": [1.0, np.nan, 3.0, np.nan, 5.0, 7.0],
        "color": ["red", "red", "blue", "blue", "blue", "green"],
        "maybe": ["a", None, "a", None, "b", "b"],
    }
)


def _encoded(schema: Schema, table: Table, statistics: Statistics) -> np.ndarray:
    return np.asarray(
        encode(np, Layout.of(schema), table.numbers, table.codes, **statistics.arrays()), np.float32
    )


def test_layout_of_a_schema() -> None:
    layout = Layout.of(Schema.infer(FRAME))
    assert (layout.n_numbers, layout.indicators, layout.n_columns) == (2, (1,), 4)
    assert layout.n_codes == (5, 4)  # missing and unknown beside the known
    assert layout.n_slots == (4, 4)
    assert layout.n_features == 2 + 1 + 4 + 4
    assert layout.offsets.tolist() == [0, 5]
    assert layout.owners.tolist() == [0] * 4 + [1] * 4
    assert layout.positions.tolist() == [0, 1, 2, 3] * 2


def test_matrix_written_out_by_hand() -> None:
    schema = Schema.infer(FRAME)
    statistics = Statistics(
        fill=np.array([0.0, 10.0], np.float32),
        center=np.array([1.0, 4.0], np.float32),
        scale=np.array([2.0, 3.0], np.float32),
        # color: missing blue green red unknown; maybe: missing a b unknown
        slot_of_code=np.array([0, 1, 0, 2, 0, 3, 1, 2, 0], np.int32),
    )
    matrix = _encoded(schema, schema.read(FRAME), statistics)
    assert np.allclose(matrix[0], [0.0, -1.0, 0, *(0, 0, 1, 0), *(0, 1, 0, 0)])
    assert np.allclose(matrix[1], [0.5, 2.0, 1, *(0, 0, 1, 0), *(0, 0, 0, 1)])
    assert np.allclose(matrix[5], [2.5, 1.0, 0, *(1, 0, 0, 0), *(0, 0, 1, 0)])


def test_rare_unseen_and_unknown_share_the_other_slot() -> None:
    frame = pd.DataFrame({"c": ["a"] * 5 + ["b"] * 4 + ["rare"] + ["held"] * 3})
    schema = Schema.infer(frame)
    statistics = learn(schema.read(frame), schema, np.arange(10))
    new = pd.DataFrame({"c": ["a", "b", "rare", "held", "never seen", None]})
    matrix = _encoded(schema, schema.read(new), statistics)
    assert (matrix.sum(axis=1) == 1).all()
    assert matrix.argmax(axis=1).tolist() == [1, 2, 0, 0, 0, 0]


def test_missing_category_has_a_slot_of_its_own_once_it_is_frequent() -> None:
    frame = pd.DataFrame({"c": ["a"] * 5 + [None] * 4 + ["b"] * 3})
    schema = Schema.infer(frame)
    matrix = _encoded(schema, schema.read(frame), learn(schema.read(frame), schema, np.arange(12)))
    assert len({tuple(matrix[row]) for row in (0, 5, 9)}) == 3
    assert matrix[5].argmax() != 0


def test_missing_numbers_are_filled_and_told() -> None:
    schema = Schema.infer(FRAME[["x", "gap"]])
    table = schema.read(FRAME)
    statistics = learn(table, schema, np.arange(6))
    matrix = _encoded(schema, table, statistics)
    assert np.isfinite(matrix).all()
    assert matrix[:, 2].tolist() == [0, 1, 0, 1, 0, 0]
    median = (4.0 - statistics.center[1]) / statistics.scale[1]
    assert np.allclose(matrix[[1, 3], 1], median)
    unexpected = _encoded(schema, schema.read(pd.DataFrame({"x": [np.nan], "gap": [np.nan]})), statistics)
    assert np.isfinite(unexpected).all() and unexpected.shape == (1, 3)


@st.composite
def _tables(draw: st.DrawFn) -> tuple[Layout, np.ndarray, np.ndarray, Statistics]:
    rng = np.random.default_rng(draw(st.integers(0, 2**31)))
    n_rows, n_numbers = draw(st.integers(1, 6)), draw(st.integers(0, 4))
    n_slots = tuple(draw(st.lists(st.sampled_from([2, 4, 8]), min_size=0 if n_numbers else 1, max_size=3)))
    n_codes = tuple(int(rng.integers(2, 9)) for _ in n_slots)
    layout = Layout(n_numbers, tuple(i for i in range(n_numbers) if rng.random() < 0.5), n_codes, n_slots)
    numbers = rng.normal(size=(n_rows, n_numbers)).astype("float32")
    numbers[rng.random(numbers.shape) < 0.3] = np.nan
    codes = np.stack([rng.integers(0, n, n_rows) for n in n_codes], 1) if n_codes else np.zeros((n_rows, 0))
    slots = [rng.integers(0, n_slot, n) for n, n_slot in zip(n_codes, n_slots, strict=True)]
    statistics = Statistics(
        rng.normal(size=n_numbers).astype("float32"),
        rng.normal(size=n_numbers).astype("float32"),
        rng.uniform(0.1, 3.0, n_numbers).astype("float32"),
        np.concatenate([*slots, np.zeros(0)]).astype("int32"),
        rng.uniform(0.1, 3.0, n_numbers).astype("float32"),
        np.sort(rng.integers(-8, 8, (n_numbers, N_BINS + 1)), axis=1).astype("float32"),  # some without width
    )
    return layout, numbers, codes.astype("int32"), statistics


@settings(deadline=None)
@given(_tables(), st.sampled_from(["standard", "robust"]), st.booleans())
def test_numpy_and_keras_give_the_same_matrix(
    drawn: tuple[Layout, np.ndarray, np.ndarray, Statistics], scaling: str, has_bins: bool
) -> None:
    layout, numbers, codes, statistics = drawn
    way: dict[str, Any] = {"scaling": scaling, "has_bins": has_bins}
    ours = encode(np, layout, numbers, codes, **statistics.arrays(), **way)
    tensors = {name: keras.ops.convert_to_tensor(value) for name, value in statistics.arrays().items()}
    theirs = keras.ops.convert_to_numpy(
        encode(
            keras.ops,
            layout,
            keras.ops.convert_to_tensor(numbers),
            keras.ops.convert_to_tensor(codes),
            **tensors,
            **way,
        )
    )
    assert ours.dtype == theirs.dtype == np.float32
    n_bins = layout.n_numbers * N_BINS * has_bins
    assert ours.shape == theirs.shape == (len(numbers), layout.n_features + n_bins)
    assert np.isfinite(ours).all()
    assert np.array_equal(ours, theirs) if scaling == "standard" else np.allclose(ours, theirs, atol=1e-6)


@given(_tables())
def test_each_category_is_one_slot(drawn: tuple[Layout, np.ndarray, np.ndarray, Statistics]) -> None:
    layout, numbers, codes, statistics = drawn
    matrix = encode(np, layout, numbers, codes, **statistics.arrays())
    first = layout.n_numbers + len(layout.indicators)
    for column, n_slots in enumerate(layout.n_slots):
        block = matrix[:, first : first + n_slots]
        flat = statistics.slot_of_code[sum(layout.n_codes[:column]) + codes[:, column]]
        assert np.array_equal(block, np.eye(n_slots)[flat])
        first += n_slots
    assert first == matrix.shape[1]


@pytest.mark.parametrize("name", ["fill", "center", "scale", "slot_of_code", "robust_scale", "edges"])
def test_each_statistic_matters(name: str) -> None:
    schema = Schema.infer(FRAME)
    table = schema.read(FRAME)
    arrays = learn(table, schema, np.arange(6)).arrays()
    changed = {**arrays, name: arrays[name] * 1.3 + 1 if name != "slot_of_code" else arrays[name][::-1]}
    way: dict[str, Any] = {"scaling": "robust" if name == "robust_scale" else "standard"}
    before, after = (
        encode(np, Layout.of(schema), table.numbers, table.codes, **values, **way, has_bins=True)
        for values in (arrays, changed)
    )
    assert not np.array_equal(before, after)


def test_smooth_clip_is_the_identity_near_zero_and_saturates_at_three() -> None:
    x = np.float32([0.0, 0.01, 3.0, -4.0, 1e8, -1e30, 3e38])
    expected = [0.0, 0.01, 3.0 / 2**0.5, -4.0 / (1 + 16 / 9) ** 0.5, 3.0, -3.0, 3.0]
    assert np.allclose(smooth_clip(np, x), expected, rtol=1e-5)


def test_robust_scaling_written_out_by_hand() -> None:
    schema = Schema.infer(FRAME[["x"]])
    statistics = Statistics(
        *np.float32([[2.0], [9.0], [9.0]]), np.zeros(0, np.int32), np.float32([1.5]), np.zeros((1, 17), "f4")
    )
    table = schema.read(pd.DataFrame({"x": [2.0, 5.0, np.nan]}))
    matrix = encode(np, Layout.of(schema), table.numbers, None, **statistics.arrays(), scaling="robust")
    assert np.allclose(matrix[:, 0], [0.0, 2.0 / (1 + 4 / 9) ** 0.5, 0.0])


def test_piecewise_encoding_fills_bin_after_bin() -> None:
    edges = np.float32([[0.0, 1.0, 3.0, 3.0], [10.0, 20.0, 30.0, 40.0]])  # the first number has two bins
    matrix = piecewise(np, np.float32([[0.5, 10.0], [2.0, 25.0], [-1.0, 99.0]]), edges)
    expected = [[0.5, 0, 0, 0, 0, 0], [1, 0.5, 0, 1, 0.5, 0], [0, 0, 0, 1, 1, 1]]
    assert np.allclose(matrix, expected)
