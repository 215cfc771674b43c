"""Arrays as columns and back: nothing is lost, moved or guessed."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spaces.blocks import N_BUCKETS, Block, BlockError, find_blocks, frame_of, placed
from spaces.schema import Schema, SchemaError

RNG = np.random.default_rng(0)
IMAGES = RNG.integers(0, 256, (6, 4, 3, 2)).astype(np.uint8)
STEPS = RNG.normal(size=(6, 5, 2)).astype(np.float32)


@given(shape=st.lists(st.integers(1, 4), min_size=2, max_size=3).map(tuple), data=st.data())
@settings(max_examples=30, deadline=None)
def test_an_array_comes_back_whatever_the_order_of_columns(
    shape: tuple[int, ...], data: st.DataObject
) -> None:
    if np.prod(shape) < 2:
        return
    array = np.random.default_rng(1).normal(size=(3, *shape)).astype(np.float32)
    frame = frame_of({"a": array, "beside": np.arange(3)})
    order = data.draw(st.permutations(list(frame.columns)))
    schema = Schema.infer(frame[order])
    table = schema.read(frame[order])
    (block,) = schema.blocks
    assert block.kind == {2: "sequence", 3: "image"}[len(shape)]
    np.testing.assert_array_equal(table.numbers[:, : block.size].reshape(array.shape), array)
    np.testing.assert_array_equal(table.numbers[:, block.size :], [[0], [1], [2]])
    assert Schema.from_json(schema.to_json()) == schema


def test_blocks_stand_before_all_other_columns() -> None:
    frame = frame_of({"z": np.arange(6), "image": IMAGES, "c": np.array(list("aabbcc")), "steps": STEPS})
    schema = Schema.infer(frame)
    assert [(b.name, b.kind, b.shape) for b in schema.blocks] == [
        ("image", "image", (4, 3, 2)),
        ("steps", "sequence", (5, 2)),
    ]
    assert [c.name for c in schema.plain] == ["z", "c"]
    assert schema.n_placed == 34
    assert [c.name for c in schema.numbers[:24]] == list(placed("image", (4, 3, 2)))


def test_what_is_asked_for_wins() -> None:
    grey = frame_of({"x": IMAGES[..., 0]})
    assert find_blocks(grey, {"x": "image"})[0].shape == (4, 3, 1)
    assert find_blocks(grey, {"x": "columns"}) == ()
    assert find_blocks(grey, {"x": "vector"})[0].shape == (12,)
    flat = frame_of({"x": IMAGES[:, 0, :, 0]})
    assert find_blocks(flat, {}) == ()
    assert find_blocks(flat, {"x": "sequence"})[0].shape == (3, 1)


def test_places_that_leave_a_gap_are_plain_columns() -> None:
    assert find_blocks(pd.DataFrame({"x[0,0]": [1], "x[1,1]": [2]}), {}) == ()
    assert find_blocks(pd.DataFrame({"x[0]": [1], "x[0,1]": [2]}), {}) == ()


def test_counts_are_logarithms_and_tokens_are_known_ids() -> None:
    frame = pd.DataFrame({"n[0]": [0.0, 9.0], "n[1]": [np.nan, 1.0], "t[0]": [1, 4], "t[1]": [0, 2]})
    schema = Schema.infer(frame, inputs={"n": "counts", "t": "tokens"})
    assert schema.blocks[1].n_tokens == 5
    np.testing.assert_allclose(schema.read(frame).numbers[:, 0], [0, np.log(10)], rtol=1e-6)
    later = frame.assign(**{"t[0]": [9, 4], "t[1]": [np.nan, 2]})
    np.testing.assert_array_equal(schema.read(later).numbers[:, 2:], [[0, 0], [4, 2]])
    with pytest.raises(SchemaError, match="at least 0, and 't' holds -1"):
        schema.read(frame.assign(**{"t[0]": [-1, 4]}))


def test_words_are_counted_by_their_hash() -> None:
    frame = pd.DataFrame({"say": ["good film good", None, "Film"], "x": [1, 2, 3]})
    schema = Schema.infer(frame, inputs={"say": "text"})
    numbers = schema.read(frame).numbers
    assert schema.blocks == (Block("say", "text", (N_BUCKETS,), ()),)
    assert numbers.shape == (3, N_BUCKETS + 1)
    assert sorted(numbers[0, :-1][numbers[0, :-1] > 0]) == pytest.approx([np.log(2), np.log(3)])
    assert not numbers[1, :-1].any()
    assert numbers[0, np.argmax(numbers[2, :-1])] == pytest.approx(np.log(2))
    with pytest.raises(SchemaError, match="missing: 'say'"):
        schema.read(frame[["x"]])


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"x": "picture"}, "an input is one of image, .*, got 'picture'"),
        ({"y": "image"}, "an input must be one of .x., .*, got 'y'"),
        ({"x": "tokens"}, "'x' cannot be read as tokens: its arrays have the shape"),
    ],
)
def test_wrong_requests_are_refused(asked: dict[str, str], message: str) -> None:
    with pytest.raises(BlockError, match=message):
        find_blocks(frame_of({"x": IMAGES}), asked)


def test_arrays_of_different_lengths_are_refused() -> None:
    with pytest.raises(BlockError, match=r"equally many rows, got \{'a': 2, 'b': 3\}"):
        frame_of({"a": np.zeros(2), "b": np.zeros(3)})
    with pytest.raises(BlockError, match=r"got \{'a': None\}"):
        frame_of({"a": np.float64(2)})
    with pytest.raises(BlockError, match="must hold numbers"):
        Schema.infer(pd.DataFrame({"t[0]": ["a"], "t[1]": ["b"]}), inputs={"t": "tokens"})
