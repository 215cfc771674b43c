"""Ensembles from strangers: each forgery is refused in one line and soon, and nothing in it is executed."""

from __future__ import annotations

import io
import json
import os
import struct
import time
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ensemble.model import Ensemble
from spaces.packed import PackedError, pack_arrays, read_npz
from tests.safety.ensembles import FAMILY_NAMES, fitted_ensemble
from tests.safety.forgeries import MANIFEST, replace, rewrite
from tests.safety.strangers import MOST_SECONDS, ROWS, Bomb, content, first_array_file, npz, refused

# -- the folder ----------------------------------------------------------


def test_what_was_saved_is_loaded(saved: Path) -> None:
    expected = fitted_ensemble().predict_raw(ROWS)
    assert np.array_equal(Ensemble.load(saved).predict_raw(ROWS), expected)


@pytest.mark.parametrize(
    "name", ["../member_00000.npz", "/etc/passwd", "a/member_00000.npz", "member_00000.npz\n", "..", ""]
)
def test_names_that_lead_elsewhere(saved: Path, name: str) -> None:
    def sneak(record: dict[str, Any]) -> None:
        record["files"][name], record["sizes"][name] = "0" * 64, 10

    rewrite(saved, sneak)
    refused(saved, "array files are named like")


@pytest.mark.parametrize("name", [MANIFEST, "member_00000.npz"])
def test_links_are_not_followed(saved: Path, tmp_path: Path, name: str) -> None:
    (saved / name).rename(tmp_path / "outside")
    (saved / name).symlink_to(tmp_path / "outside")
    refused(saved, "got a link")


@pytest.mark.parametrize("name", [MANIFEST, "member_00000.npz"])
def test_a_pipe_is_not_waited_for(saved: Path, name: str) -> None:
    (saved / name).unlink()
    os.mkfifo(saved / name)
    refused(saved, "must be a plain file")
    (saved / name).unlink()
    (saved / name).mkdir()
    refused(saved, "plain file|must hold")


def test_missing_and_altered_files(saved: Path) -> None:
    path = saved / first_array_file(saved)
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(bytes(data))
    refused(saved, "differs from its hash")
    path.write_bytes(bytes(data[:-1]))
    refused(saved, "must have")
    path.unlink()
    refused(saved, "must hold member_00000")


def test_files_larger_than_they_say(saved: Path) -> None:
    path = saved / first_array_file(saved)
    with path.open("r+b") as file:
        file.truncate(1 << 40)  # of holes: it takes no room on the disk
    refused(saved, "must have at most")
    rewrite(saved, lambda record: record["sizes"].update({path.name: 1 << 40}))
    refused(saved, "an ensemble must have at most")
    with (saved / MANIFEST).open("r+b") as file:
        file.truncate(1 << 40)
    refused(saved, "must have at most")


@pytest.mark.parametrize("sizes", [None, [], {"member_00000.npz": -1}, {"member_00000.npz": 10**400}])
def test_sizes_that_are_none(saved: Path, sizes: Any) -> None:
    def sneak(record: dict[str, Any]) -> None:
        record["sizes"] = {**record["sizes"], **sizes} if isinstance(sizes, dict) else sizes

    rewrite(saved, sneak)
    refused(saved, "size|bytes")


# -- the manifest --------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        "[" * 10_000 + "]" * 10_000,
        '{"a":' * 10_000 + "1" + "}" * 10_000,
        '{"format": "foldstack-ensemble", "format_version": 3, "n": 1' + "0" * 10_000 + "}",
        '{"format": "foldstack-ensemble", "format_version": 3, "n": 1e999}',
        '{"format": "foldstack-ensemble", "format_version": 3, "n": NaN}',
        "",
        "\x00",
        "\ud800",
    ],
    ids=["lists", "objects", "digits", "infinite", "nan", "empty", "nul", "half a letter"],
)
def test_json_that_is_hard_to_read(saved: Path, text: str) -> None:
    (saved / MANIFEST).write_bytes(text.encode("utf-8", "surrogatepass"))
    refused(saved, "must be JSON|nested")


@pytest.mark.parametrize("n_levels", range(100, 1000, 150))
def test_json_nested_as_deeply_as_can_be_read(saved: Path, n_levels: int) -> None:
    deep = '{"a":' * n_levels + "1" + "}" * n_levels
    text = (saved / MANIFEST).read_text().replace('"metadata": {}', f'"metadata": {deep}')
    assert deep in text
    (saved / MANIFEST).write_text(text)
    refused(saved, "differs from its own hash|nested")


VALUES: list[Any] = [None, -1, 10**400, 1e308, "", "../x", [], [[]], {}, {"a": {}}, True]


@pytest.mark.parametrize("value", VALUES, ids=range(len(VALUES)))
@pytest.mark.parametrize(
    "place",
    ["schema", "task", "candidates", "calibration", "trial", "family", "weight", "file", "architecture"],
)
def test_values_of_another_kind(saved: Path, place: str, value: Any) -> None:
    is_sound = (place, value) in (("calibration", None), ("family", ""), ("family", "../x"))

    def sneak(record: dict[str, Any]) -> None:
        (record if place in record else record["candidates"][0])[place] = value

    rewrite(saved, sneak)
    if is_sound:
        assert Ensemble.load(saved).predict(ROWS).shape == (2,)
    elif place == "trial" and value == 10**400:
        Ensemble.load(saved)  # a large number of a trial harms nobody
    else:
        refused(saved, "cannot be used")


def test_a_schema_of_gigantic_columns(saved: Path) -> None:
    def layout(record: dict[str, Any]) -> None:
        for one in record["candidates"]:
            facts = json.loads(one["architecture"])
            facts["layout"]["n_numbers"] = 10**12
            facts["layout"]["n_slots"] = [10**12]
            one["architecture"] = json.dumps(facts)

    rewrite(saved, layout)
    refused(saved, "cannot be used")


def test_a_column_of_gigantic_slots(saved: Path) -> None:
    def slots(record: dict[str, Any]) -> None:
        for column in record["schema"]["columns"]:
            if column["kind"] == "category":
                column["n_slots"] = 10**12

    rewrite(saved, slots)
    refused(saved, "cannot be used")


# -- the arrays ----------------------------------------------------------


def test_a_zip_bomb(saved: Path) -> None:
    arrays = {**content(saved), "weight_0002": np.zeros((2, 1 << 26), np.uint8)}
    data = npz(arrays, is_compressed=True)
    assert len(data) < 1_000_000
    replace(saved, first_array_file(saved), data)
    refused(saved, "must be stored uncompressed")


def test_a_member_that_declares_more_than_it_has(saved: Path) -> None:
    data = bytearray(npz(content(saved)))
    at = data.rindex(b"PK\x01\x02")
    data[at + 20 : at + 28] = struct.pack("<II", 0xFFFFFF00, 0xFFFFFF00)
    replace(saved, first_array_file(saved), bytes(data))
    refused(saved, "must hold plain arrays")


@pytest.mark.parametrize(
    "header",
    [
        "{'descr': '<f8', 'fortran_order': False, 'shape': (1000000000000,), }",
        "{'descr': '<f8', 'fortran_order': False, 'shape': (0, 10**9), }",
        "{'descr': '|O', 'fortran_order': False, 'shape': (1,), }",
        "{'descr': '<U9', 'fortran_order': False, 'shape': (1,), }",
        "{'descr': [('a', '<f8')], 'fortran_order': False, 'shape': (1,), }",
        "{'descr': '<f8', 'fortran_order': False, 'shape': (-1,), }",
        "(" * 9_000,
        "__import__('os').system('true')",
    ],
)
def test_headers_of_arrays(saved: Path, header: str) -> None:
    text = header.encode() + b"\n"
    member = b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text + b"\0" * 8
    data = io.BytesIO(npz(content(saved)))
    with zipfile.ZipFile(data, "a") as archive:
        archive.writestr("weight_0009.npy", member)
    replace(saved, first_array_file(saved), data.getvalue())
    refused(saved, "plain arrays|size of its shape")


def test_pickled_objects_are_not_opened(saved: Path, canary: Path) -> None:
    arrays = {**content(saved), "weight_0002": np.array([Bomb(canary)], object)}
    replace(saved, first_array_file(saved), npz(arrays))
    refused(saved, "must be plain arrays")


@pytest.mark.parametrize("data", [b"", b"PK", b"PK\x05\x06" + b"\0" * 18, b"\x80\x04."])
def test_what_is_no_archive(saved: Path, data: bytes) -> None:
    replace(saved, first_array_file(saved), data)
    refused(saved, "must hold plain arrays|cannot be used")


@pytest.mark.parametrize("name", ["../../evil.npy", "/evil.npy", "evil.txt"])
def test_members_with_foreign_names_are_only_names(saved: Path, name: str) -> None:
    data = io.BytesIO(npz(content(saved)))
    with zipfile.ZipFile(data, "a") as archive:
        archive.writestr(name, b"nothing")
    replace(saved, first_array_file(saved), data.getvalue())
    refused(saved, "plain arrays")
    assert not (saved.parent.parent / "evil.npy").exists()


def _shapes(array: np.ndarray) -> list[np.ndarray]:
    return [
        array[:1], array[..., None], array[None], array.astype(np.float16), array.astype(np.uint8),
        np.zeros((0, *array.shape[1:]), array.dtype), np.zeros((), array.dtype), ~np.zeros_like(array, bool),
    ]  # fmt: skip


def test_arrays_of_other_shapes_and_kinds(saved: Path) -> None:
    arrays, name = content(saved), first_array_file(saved)
    n_refused = 0
    for key, array in arrays.items():
        for other in _shapes(array):
            if other.shape == array.shape and np.array_equal(other, array):
                continue  # the same numbers in another precision
            replace(saved, name, npz({**arrays, key: other}))
            try:
                found = Ensemble.load(saved).predict_raw(ROWS)
            except ValueError as error:
                assert "\n" not in str(error)
                n_refused += 1
            else:  # numbers that only say something else
                assert found.shape == (2, 1) and key in (
                    "target_center",
                    "target_scale",
                    *LEARNED,
                    "weight_0000",
                )
    assert n_refused >= 5 * len(arrays)


LEARNED = [f"weight_{k:04d}" for k in range(3, 7)]


@pytest.mark.parametrize("n", [10**6, -1])
def test_slots_and_sizes_out_of_range(saved: Path, n: int) -> None:
    arrays, name = content(saved), first_array_file(saved)
    for key in ("weight_0001", "weight_0006"):
        replace(saved, name, npz({**arrays, key: np.full_like(arrays[key], n)}))
        refused(saved, "cannot be used")


# -- models that are no networks -----------------------------------------


def _model(arrays: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    return read_npz(arrays["weight_0002"][0][: arrays["weight_0001"][0]].tobytes())


@pytest.mark.parametrize("family", FAMILY_NAMES)
def test_forged_models_end_in_an_error_or_a_number(family: str, tmp_path: Path, canary: Path) -> None:
    """Each array of a model in turn is filled with numbers that lead astray; nothing else may happen."""
    if family in ("lightgbm", "xgboost", "catboost"):
        pytest.importorskip(family, reason=f"{family} is an optional extra")
    fitted_ensemble((family,)).save(tmp_path / "saved")
    saved, rng, n_refused = tmp_path / "saved", np.random.default_rng(0), 0
    outer, name = content(saved), first_array_file(saved)
    model = _model(outer)
    header = json.loads(model.pop("header").tobytes())
    header.pop("family")
    for key, array in model.items():
        for value in (-1, 1, 2**31 - 1, np.nan, np.inf, -np.inf, "shuffled", "cut"):
            if isinstance(value, float) and array.dtype.kind != "f":
                continue
            forged = rng.permuted(array) if value == "shuffled" else array[:-1] if value == "cut" else None
            if forged is None:
                forged = np.full(array.shape, value).astype(array.dtype)
            data = pack_arrays(family, header, {**model, key: forged})
            parts = {
                "weight_0001": np.full(2, len(data)),
                "weight_0002": np.stack([np.frombuffer(data, np.uint8)] * 2),
            }
            replace(saved, name, npz({**outer, **parts}))
            started = time.monotonic()
            try:
                found = Ensemble.load(saved).predict_raw(ROWS)
            except ValueError as error:
                n_refused += 1
                assert "\n" not in str(error)
            else:
                assert found.shape == (2, 1)
            assert time.monotonic() - started < MOST_SECONDS
    assert n_refused >= len(model)


def test_the_libraries_own_formats_are_not_read(saved: Path) -> None:
    lightgbm = pytest.importorskip("lightgbm", reason="an optional extra")
    booster = lightgbm.train(
        {"verbosity": -1, "objective": "binary"}, lightgbm.Dataset(np.eye(60), np.arange(60) % 2), 2
    )
    from spaces import boosting_lightgbm

    header = {"heads": [{"kind": "binary", "columns": [0], "value": 0.0}], "is_category": [False] * 4}
    blob = np.frombuffer(booster.model_to_string().encode(), np.uint8)
    with pytest.raises(PackedError, match="packed trees must"):
        boosting_lightgbm.unpack(pack_arrays("lightgbm", header, {"booster_0": blob}))
