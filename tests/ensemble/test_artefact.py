import hashlib
import io
import json
import os
import pickletools
import stat
import zipfile

import numpy as np
import pytest

from ensemble import artefact
from ensemble.artefact import ArtefactError
from ensemble.model import Ensemble
from tests.ensemble.models import ensemble, frame
from tests.safety.forgeries import replace, rewrite


@pytest.fixture(scope="module")
def made():
    return ensemble("binary")


@pytest.fixture
def saved(made, tmp_path):
    made.save(tmp_path / "saved")
    return tmp_path / "saved"


def test_what_is_in_the_folder(saved):
    names = sorted(path.name for path in saved.iterdir())
    assert names == ["ensemble.json", "member_00007.npz", "member_00012.npz", "model_card.md"]
    record = json.loads((saved / "ensemble.json").read_text(encoding="utf-8"))
    assert record["format_version"] == 3
    for name, expected in record["files"].items():
        assert hashlib.sha256((saved / name).read_bytes()).hexdigest() == expected
    assert set(record["files"]) == set(names) - {"ensemble.json"}
    card = (saved / "model_card.md").read_text(encoding="utf-8")
    assert "| 7 | plain | 0.7500 | 3 |" in card
    assert "| Größe | number | no |" in card
    assert "metric: log_loss" in card
    assert stat.S_IMODE(saved.stat().st_mode) == 0o700
    assert [path.name for path in saved.parent.iterdir()] == ["saved"]  # nothing aside is left


def test_there_is_no_pickle(saved):
    for path in saved.glob("*.npz"):
        with np.load(path, allow_pickle=False) as arrays:
            assert all(arrays[name].dtype.kind in "fiub" for name in arrays.files)
        with zipfile.ZipFile(path) as archive:
            for name in archive.namelist():
                assert archive.read(name).startswith(b"\x93NUMPY")
                with pytest.raises(ValueError):
                    list(pickletools.genops(archive.read(name)))


def test_saving_twice_writes_the_same_bytes(made, saved):
    before = {path.name: path.read_bytes() for path in saved.iterdir()}
    made.save(saved)
    assert {path.name: path.read_bytes() for path in saved.iterdir()} == before


def test_other_things_are_not_replaced(made, tmp_path):
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(FileExistsError, match="new or empty folder"):
        made.save(tmp_path)
    with pytest.raises(FileExistsError, match="new or empty folder"):
        made.save(tmp_path / "mine.txt")
    (tmp_path / "empty").mkdir()
    made.save(tmp_path / "empty")
    made.save(tmp_path / "new" / "deeper")
    assert Ensemble.load(tmp_path / "new" / "deeper").task == made.task


def test_a_failed_save_leaves_the_old_one(made, saved, monkeypatch):
    before = (saved / "ensemble.json").read_bytes()
    monkeypatch.setattr(artefact, "_swap", lambda *_: (_ for _ in ()).throw(OSError("disk full")))
    with pytest.raises(OSError, match="disk full"):
        made.save(saved)
    assert (saved / "ensemble.json").read_bytes() == before
    assert [path.name for path in saved.parent.iterdir()] == ["saved"]


def test_a_changed_array_file_is_refused(saved):
    path = saved / "member_00012.npz"
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(bytes(data))
    with pytest.raises(ArtefactError, match=r"member_00012\.npz differs from its hash"):
        Ensemble.load(saved)


def test_a_missing_array_file_is_named(saved):
    (saved / "member_00012.npz").unlink()
    with pytest.raises(ArtefactError, match=r"must hold member_00012\.npz"):
        Ensemble.load(saved)


def test_a_changed_manifest_is_refused(saved):
    text = (saved / "ensemble.json").read_text(encoding="utf-8")
    assert '"weight": 0.75' in text
    (saved / "ensemble.json").write_text(text.replace('"weight": 0.75', '"weight": 0.74'), encoding="utf-8")
    with pytest.raises(ArtefactError, match="differs from its own hash"):
        Ensemble.load(saved)


def test_an_edited_card_is_the_business_of_people(saved):
    (saved / "model_card.md").write_text("Ask Ada about this one.")
    assert Ensemble.load(saved).predict(frame(5)).shape == (5,)


@pytest.mark.parametrize("version", [0, 2, "1", None, True, 3.0])
def test_an_unknown_format_version_is_refused(saved, version):
    rewrite(saved, lambda record: record.update(format_version=version))
    with pytest.raises(ArtefactError, match=rf"must be one of \(3,\), got {version!r}"):
        Ensemble.load(saved)


def test_folders_that_are_no_ensemble(tmp_path):
    with pytest.raises(ArtefactError, match=r"must hold ensemble\.json"):
        Ensemble.load(tmp_path / "nowhere")
    (tmp_path / "ensemble.json").write_text("{")
    with pytest.raises(ArtefactError, match="must be JSON"):
        Ensemble.load(tmp_path)
    (tmp_path / "ensemble.json").write_text("{}")
    with pytest.raises(ArtefactError, match="must have the format"):
        Ensemble.load(tmp_path)


def test_files_outside_the_folder_are_not_read(saved):
    (saved.parent / "member_00001.npz").write_bytes((saved / "member_00007.npz").read_bytes())

    def sneak(record):
        record["files"]["../member_00001.npz"] = "0"
        record["sizes"]["../member_00001.npz"] = 9

    rewrite(saved, sneak)
    with pytest.raises(ArtefactError, match="named like"):
        Ensemble.load(saved)


def test_pickled_arrays_are_not_read(saved):
    data = io.BytesIO()
    np.savez(data, weight_0000=np.array([print], dtype=object))
    replace(saved, "member_00007.npz", data.getvalue())
    with pytest.raises(ArtefactError, match="must hold plain arrays"):
        Ensemble.load(saved)


def test_files_are_their_owners_alone(made, tmp_path):
    before = os.umask(0o000)
    try:
        made.save(tmp_path / "saved")
    finally:
        os.umask(before)
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "saved").iterdir()}
    assert set(modes.values()) == {0o600} and len(modes) == 4
    assert stat.S_IMODE((tmp_path / "saved").stat().st_mode) == 0o700


def test_a_manifest_that_lacks_something(saved):
    rewrite(saved, lambda record: record["candidates"][0].pop("family"))
    with pytest.raises(ArtefactError, match="family"):
        Ensemble.load(saved)


def test_a_lambda_layer_is_refused(saved):
    def sneak(record):
        architecture = json.loads(record["candidates"][0]["architecture"])
        dense = next(x for x in architecture["config"]["layers"] if x["class_name"] == "Dense")
        dense["class_name"] = "Lambda"
        record["candidates"][0]["architecture"] = json.dumps(architecture)

    rewrite(saved, sneak)
    with pytest.raises(ArtefactError, match=r"and no code, got 'keras\.layers\.Lambda'"):
        Ensemble.load(saved)
