"""Files of trials on their way between machines: a folder that all share, or a bucket."""

from __future__ import annotations

import hashlib
import importlib.util
import io
import logging
import re
import shutil
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, BinaryIO, TypeVar
from uuid import uuid4

from optuna.artifacts import Boto3ArtifactStore, FileSystemArtifactStore
from optuna.artifacts.exceptions import ArtifactNotFound

from search.records import Run, Trial, write_aside

T = TypeVar("T")
_log = logging.getLogger("foldstack")
PATIENCE = 900.0  # seconds that a store may be away
SILENCE = 5.0  # seconds of waiting until it is said
_OWN = re.compile(r"(oof/\d{5,}\.npy|weights/\d{5,}\.npz)")
_BUCKET = re.compile(r"s3://([a-z0-9][a-z0-9.-]+)(?:/(.*))?")


class ArtifactError(ValueError):
    """A store of files that cannot be used, or does not hold what it should; the message is one line."""


class Artifacts:
    """An Optuna artifact store, by a folder or ``s3://BUCKET/PREFIX``.

    A bucket's keys and its endpoint come from where boto3 finds them (``AWS_ACCESS_KEY_ID``,
    ``AWS_ENDPOINT_URL`` and so on), never from the address.

    Parameters
    ----------
    place : str
    is_made : bool
        Whether a folder is made that is not there; a worker finds its study's folder, or has none.

    Raises
    ------
    ArtifactError
        If the address is neither, boto3 is not installed, or nothing can be stored there.
    """

    def __init__(self, place: str, *, is_made: bool = True) -> None:
        self.place = place
        if not is_made and "://" not in place and not Path(place).is_dir():
            raise ArtifactError(
                f"the study's files go to the folder {place}, which is not on this machine: mount it, and "
                "tell where it is by --artifacts FOLDER"
            )
        self._prefix = ""
        if "://" not in place:
            self._store: Any = FileSystemArtifactStore(place)
            self._try()
            return
        found = _BUCKET.fullmatch(place)
        if found is None:
            raise ArtifactError("artifacts go to a folder or to s3://BUCKET/PREFIX, got another address")
        if importlib.util.find_spec("boto3") is None:
            raise ArtifactError("a bucket needs the package boto3: pip install 'foldstack[s3]'")
        self._prefix = f"{found.group(2).strip('/')}/" if found.group(2) else ""
        self._store = Boto3ArtifactStore(found.group(1))
        self._try()

    def _try(self) -> None:
        """Store something, read it and remove it, so that what cannot work fails at once."""
        name = f"{self._prefix}trial-{uuid4()}"
        try:
            if "://" not in self.place:
                Path(self.place).mkdir(mode=0o700, parents=True, exist_ok=True)
            self._store.write(name, io.BytesIO(b"Foldstack"))
            with self._store.open_reader(name) as file:
                file.read()
            self._store.remove(name)
        except Exception as error:
            raise ArtifactError(f"nothing can be stored in {self.place}: {_said(error)}") from None

    def sign(self, run: str) -> None:
        """Leave word in the store that the files of a run go there, by the run's random name."""
        self._patiently(lambda: self._store.write(self._sign_of(run), io.BytesIO(b"Foldstack")))

    def check_signed(self, run: str) -> None:
        """Refuse a store where the run's own process left no word.

        Raises
        ------
        ArtifactError
            If there is none, as in a folder of the same name on another machine.
        """

        def look() -> None:
            with self._store.open_reader(self._sign_of(run)) as file:
                file.read()

        try:
            self._patiently(look)
        except ArtifactNotFound:
            raise ArtifactError(
                f"the study's files go to {self.place}, and what is there on this machine is another place: "
                "mount the study's, and tell where it is by --artifacts FOLDER"
            ) from None

    def _sign_of(self, run: str) -> str:
        return f"{self._prefix}study-{run}"

    def put(self, run: Run, trial: Trial) -> dict[str, str]:
        """Store the files of a trial of a run; the result is the name of each in the store, by its path."""
        return {name: self._put(run.path / name) for name in trial.checksums}

    def _put(self, path: Path) -> str:
        name = f"{self._prefix}{path.parent.name}-{path.stem}-{uuid4()}{path.suffix}"

        def write() -> None:
            with open(path, "rb") as file:
                self._store.write(name, file)

        self._patiently(write)
        return name

    def fetch(self, run: Run, trial: Trial, files: Mapping[str, str]) -> bool:
        """Bring the files of a trial into a run, where they are not there; False if one is gone or altered.

        Raises
        ------
        ArtifactError
            If a file's path is none of a trial.
        """
        for name, checksum in trial.checksums.items():
            own = _OWN.fullmatch(name)
            if own is None or Path(name).stem != f"{trial.number:05d}":
                raise ArtifactError(f"files of trial {trial.number} are oof and weights, got {name!r}")
            if name not in files or not self._fetch(run.path / name, files[name], checksum):
                return False
        return True

    def _fetch(self, path: Path, name: str, checksum: str) -> bool:
        if path.is_file() and checksum_of(path) == checksum:
            return True

        def copy(file: BinaryIO) -> None:
            with self._store.open_reader(name) as stored:
                shutil.copyfileobj(stored, file)

        try:
            found = self._patiently(lambda: write_aside(path, copy))
        except ArtifactNotFound:
            return False
        if found != checksum:
            path.unlink()
        return found == checksum

    def clear(self) -> None:
        """Remove all files from a folder, once they are in the run; the folder stays."""
        if "://" not in self.place:
            for path in Path(self.place).iterdir():
                path.unlink(missing_ok=True)

    def _patiently(self, operation: Callable[[], T]) -> T:
        """Do something with the store; while it is away or full, wait and do it again."""
        since, is_said = time.monotonic(), False
        while True:
            try:
                return operation()
            except ArtifactNotFound:
                raise
            except Exception as error:
                if not _is_away(error) or time.monotonic() - since > PATIENCE:
                    raise ArtifactError(f"files cannot be kept in {self.place}: {_said(error)}") from None
                if not is_said and time.monotonic() - since > SILENCE:
                    is_said = True
                    what = f"files cannot be kept in {self.place}: {_said(error)}"
                    _log.warning("%s; waiting, %g s at most", what, PATIENCE)
            time.sleep(1.0)


def _is_away(error: Exception) -> bool:
    """Whether an error may pass: the file system's, or the network's."""
    return isinstance(error, OSError) or type(error).__module__.startswith(("botocore", "boto3", "urllib3"))


def _said(error: Exception) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())}"


def checksum_of(path: Path) -> str:
    """SHA-256 of a file in hexadecimal digits."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
