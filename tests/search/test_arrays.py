"""Images, sequences and texts on their way into a study."""

from pathlib import Path

import numpy as np
import pytest

from search.audit import audit
from search.config import ConfigError, check
from search.data import DataError, from_arrays, from_frame
from search.preparation import families_of
from search.preprocess import learn
from search.sources import demo, read_table
from spaces.blocks import frame_of

RNG = np.random.default_rng(0)
IMAGES = RNG.integers(0, 256, (60, 4, 4, 3)).astype(np.uint8)
Y = np.arange(60) % 2


def test_an_npz_is_a_table_of_its_arrays(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", picture=IMAGES, age=np.arange(60.0), y=np.array(["no", "yes"])[Y])
    dataset = from_frame(read_table(tmp_path / "a.npz"), "y")
    assert dataset.schema.blocks[0].shape == (4, 4, 3)
    np.testing.assert_array_equal(dataset.table.numbers[:, :48].reshape(IMAGES.shape), IMAGES)
    assert [c.name for c in dataset.schema.plain] == ["age"]


def test_a_pickled_or_ragged_npz_is_refused(tmp_path: Path) -> None:
    np.savez(tmp_path / "o.npz", x=np.array([{}, {}], dtype=object), allow_pickle=True)
    np.savez(tmp_path / "r.npz", x=np.zeros(3), y=np.zeros(4))
    (tmp_path / "n.npz").write_bytes(b"PK\x03\x04 no archive")
    for name, message in (("o", "pickle"), ("r", "equally many rows"), ("n", "cannot read")):
        with pytest.raises(DataError, match=message):
            read_table(tmp_path / f"{name}.npz")


def test_arrays_by_name_and_an_array_of_images() -> None:
    several = from_arrays({"left": IMAGES, "steps": IMAGES[..., 0], "z": Y}, Y)
    assert [block.kind for block in several.schema.blocks] == ["image", "sequence"]
    alone = from_arrays(IMAGES, Y)
    assert alone.schema.blocks[0].name == "x"
    with pytest.raises(DataError, match="same number of rows"):
        from_arrays({"x": IMAGES}, Y[:9])


def test_a_channel_is_scaled_as_one_by_training_rows_alone() -> None:
    dataset, rows = from_arrays(IMAGES, Y), np.arange(40)
    found = learn(dataset.table, dataset.schema, rows)
    for channel in range(3):
        values = IMAGES[:40, ..., channel].astype(float)
        np.testing.assert_allclose(found.center[channel::3], values.mean(), rtol=1e-5)
        np.testing.assert_allclose(found.scale[channel::3], values.std(), rtol=1e-5)
    changed = IMAGES.copy()
    changed[40:] = 0
    again = learn(from_arrays(changed, Y).table, dataset.schema, rows)
    np.testing.assert_array_equal(found.scale, again.scale)


def test_the_audit_sees_equal_images_and_other_columns() -> None:
    twice = IMAGES.copy()
    twice[31] = twice[30]
    beside = {"answer": Y * 2.0 + RNG.normal(size=60) * 0.001, "noise": RNG.normal(size=60)}
    (proxy,) = audit(from_arrays({"x": IMAGES, **beside}, Y), rng=np.random.default_rng(0))
    assert (proxy.leak, proxy.columns) == ("target proxy", ("answer",))
    images = audit(from_arrays(twice, Y), rng=np.random.default_rng(0))
    assert [finding.leak for finding in images] == ["duplicate rows"]


def test_families_fit_the_inputs() -> None:
    digits, target = demo("digits")
    images = from_frame(digits, target).schema
    assert families_of(check({}), images)[0] == "convolutional"
    frame = frame_of({"t": RNG.integers(0, 9, (60, 5)), "y": Y})
    tokens = from_frame(frame, "y", inputs={"t": "tokens"}).schema
    assert families_of(check({}), tokens) == ("recurrent",)
    plain = from_arrays(IMAGES[:, 0, 0], Y).schema
    assert "convolutional" not in families_of(check({"families": "all"}), plain)
    with pytest.raises(ConfigError, match="'convolutional' needs inputs of the kind image or sequence"):
        families_of(check({"families": ["convolutional"]}), plain)
    with pytest.raises(ConfigError, match="'linear' needs inputs of the kind columns that are no tokens"):
        families_of(check({"families": ["linear"]}), tokens)


def test_inputs_are_told_as_pairs() -> None:
    assert check({"inputs": ["a=image", "b=c=text"]}).inputs == {"a": "image", "b=c": "text"}
    with pytest.raises(ConfigError, match="an input is told as NAME=KIND, not 'image'"):
        check({"inputs": ["image"]})
