"""Files of trials go to a folder or a bucket and come back whole, or not at all."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from search.records import Run, Trial
from search.remote.artifacts import ArtifactError, Artifacts


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """An S3 of moto's in this process."""
    boto3, moto = pytest.importorskip("boto3"), pytest.importorskip("moto")
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    with moto.mock_aws():
        client = boto3.client("s3")
        client.create_bucket(Bucket="studies")
        yield client


def stored(folder: Path, number: int = 7) -> tuple[Run, Trial]:
    run = Run.create(folder)
    name, checksum = run.save_out_of_fold(number, np.arange(6.0).reshape(1, 1, 3, 2))
    weights, other = run.save_weights(number, {"weight_000": np.ones(3)})
    trial = Trial(number, "linear", {}, "completed", checksums={name: checksum, weights: other})
    return run, trial


def test_files_come_back_whole(tmp_path: Path) -> None:
    there_and_back(tmp_path, str(tmp_path / "store"))


def test_files_come_back_whole_from_a_bucket(tmp_path: Path, bucket: Any) -> None:
    there_and_back(tmp_path, "s3://studies/price/one")
    keys = [one["Key"] for one in bucket.list_objects_v2(Bucket="studies")["Contents"]]
    assert len(keys) == 2 and all(key.startswith("price/one/") for key in keys)


def there_and_back(folder: Path, place: str) -> None:
    run, trial = stored(folder / "worker")
    store = Artifacts(place)
    files = store.put(run, trial)
    other = Run.create(folder / "run")
    assert store.fetch(other, trial, files) and other.is_whole(trial)
    assert np.array_equal(other.out_of_fold(7), run.out_of_fold(7))
    assert store.fetch(other, trial, {name: "gone" for name in files})  # they are there already


def test_what_is_altered_or_gone_is_not_taken(tmp_path: Path) -> None:
    run, trial = stored(tmp_path / "worker")
    store = Artifacts(str(tmp_path / "store"))
    files, other = store.put(run, trial), Run.create(tmp_path / "run")
    path = tmp_path / "store" / files["oof/00007.npy"]
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    assert not store.fetch(other, trial, files) and not other.has("oof/00007.npy")
    path.unlink()
    assert not store.fetch(other, trial, files)
    assert not store.fetch(other, trial, {})


@pytest.mark.parametrize("name", ["../../x.npy", "/etc/passwd", "oof/00008.npy", "lock", "weights/00007.npy"])
def test_a_stranger_s_file_name_leads_nowhere(tmp_path: Path, name: str) -> None:
    _, trial = stored(tmp_path / "worker")
    hostile = Trial(7, "linear", {}, "completed", checksums={name: next(iter(trial.checksums.values()))})
    with pytest.raises(ArtifactError, match="files of trial 7 are oof and weights"):
        Artifacts(str(tmp_path / "store")).fetch(Run.create(tmp_path / "run"), hostile, {name: "x"})


@pytest.mark.parametrize("place", ["http://ann:secret@host/x", "s3://", "gs://bucket/x"])
def test_another_kind_of_place_is_refused(place: str) -> None:
    with pytest.raises(ArtifactError, match="artifacts go to a folder or to s3://BUCKET/PREFIX") as raised:
        Artifacts(place)
    assert "secret" not in str(raised.value)


def test_a_place_that_stores_nothing_is_refused_at_once(tmp_path: Path, bucket: Any) -> None:
    (tmp_path / "file").write_text("")
    for place in (str(tmp_path / "file" / "x"), "s3://another-bucket/x"):
        with pytest.raises(ArtifactError, match=f"nothing can be stored in {place}"):
            Artifacts(place)


def test_a_place_that_is_not_the_study_s_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match="is not on this machine: mount it, and tell where it is by"):
        Artifacts(str(tmp_path / "absent"), is_made=False)
    assert not (tmp_path / "absent").exists()
    Artifacts(str(tmp_path / "store")).sign("a1")
    Artifacts(str(tmp_path / "store"), is_made=False).check_signed("a1")
    (tmp_path / "other").mkdir()
    for place, run in (("store", "b2"), ("other", "a1")):
        with pytest.raises(
            ArtifactError, match=f"{place}, and what is there on this machine is another place"
        ):
            Artifacts(str(tmp_path / place), is_made=False).check_signed(run)


def test_a_bucket_is_signed_too(bucket: Any) -> None:
    Artifacts("s3://studies/ours").sign("a1")
    Artifacts("s3://studies/ours", is_made=False).check_signed("a1")
    with pytest.raises(ArtifactError, match="another place"):
        Artifacts("s3://studies/theirs", is_made=False).check_signed("a1")


def test_waiting_for_a_full_store_is_said_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    store, n_left = Artifacts(str(tmp_path / "store")), [4]
    write = store._store.write

    def full(*arguments: Any) -> None:
        n_left[0] -= 1
        if n_left[0]:
            raise OSError(28, "No space left on device")
        write(*arguments)

    monkeypatch.setattr(store._store, "write", full)
    monkeypatch.setattr("search.remote.artifacts.time.sleep", lambda _: None)
    monkeypatch.setattr("search.remote.artifacts.SILENCE", -1.0)
    store.sign("a1")
    said = f"files cannot be kept in {store.place}: OSError: [Errno 28] No space left on device"
    assert [record.getMessage() for record in caplog.records] == [f"{said}; waiting, 900 s at most"]
    store.check_signed("a1")
