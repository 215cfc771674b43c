"""The run directory: the one format between stages.

run.json         versions, command, data, task, seeds, folds, metric     config.toml  effective configuration
splits.npz       who is held out where                                   journal.log  Optuna's journal
trials.jsonl, ledger.jsonl   appended as it happens                      baselines.npz
oof/00007.npy, weights/00007.npz   one file per trial                    ensemble/    the predicting artefact
resume/00007.npz                   where a trial stopped, while a study may go on from it
targets.npz, columns.json, members.json, growth.json, importance.json, hardware.json   for the reports
summary.json, leaderboard.csv, report.html, report.md, report.json, trials.* and ledger.* as Parquet and CSV
lock, while a process writes             DONE, last
"""

import hashlib
import json
import os
import zipfile
import zlib
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import asdict, dataclass, field, fields
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Literal, Self

from search import lines

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

Status = Literal["completed", "pruned", "failed", "duplicate"]
Way = Literal["stacked", "looped", "fit", "fitted"]
WITNESS = "ledger_bytes"  # in the line of each trial: no entry may be lost behind it


class RunError(ValueError):
    """A run folder that cannot be made, opened or read."""


def utc_now() -> str:
    """The time now as ISO 8601 text in UTC, to the millisecond."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")


@dataclass(frozen=True)
class Trial:
    """What is kept of one configuration that was tried.

    `score` has the metric's own direction; `curve` and `train_curve` are mean losses per checkpoint (lower is
    better); `checkpoints` are the epochs of the curve, `kept_epochs` those with stored held-out predictions;
    `chosen_index` is the place of the trial's own predictions among the stored ones. Where a proposer shares
    epochs out, `stop_epoch` is the epoch that it allowed and `resumed_from` the trial that this one goes on
    from, whose curve and predictions it takes over. `checksums` are the SHA-256 of its files, by path within
    the run.
    """

    number: int
    family: str
    config: dict[str, Any]
    status: Status
    cause: str | None = None
    score: float | None = None
    score_se: float | None = None
    fold_scores: tuple[float, ...] = ()
    train_score: float | None = None
    chosen_epoch: int | None = None
    checkpoints: tuple[int, ...] = ()
    curve: tuple[float, ...] = ()
    train_curve: tuple[float, ...] = ()
    kept_epochs: tuple[int, ...] = ()
    chosen_index: int | None = None
    member_epochs: tuple[int, ...] = ()
    n_parameters: int | None = None
    fit_seconds: float = 0.0
    predict_seconds_per_1000: float | None = None
    way: Way | None = None
    way_reason: str = ""
    is_traced: bool = False
    peak_memory_mb: float | None = None
    duplicate_of: int | None = None
    stop_epoch: int | None = None
    resumed_from: int | None = None
    checksums: dict[str, str] = field(default_factory=dict)
    started: str = ""
    finished: str = ""

    def to_json(self) -> dict[str, Any]:
        """The trial as a JSON object."""
        record: dict[str, Any] = lines.plain(asdict(self))
        return record

    @classmethod
    def from_json(cls, record: Mapping[str, Any]) -> Self:
        """The trial of a JSON object; a null within a list of numbers comes back as NaN."""
        absent = [name for name in ("number", "family", "config", "status") if name not in record]
        if absent:
            raise RunError(f"a trial must have the field {absent[0]!r}, and one has not")
        unknown = sorted(set(record) - {field.name for field in fields(cls)})
        if unknown:
            raise RunError(f"a trial has no field {unknown[0]!r}: was this run written by a newer version?")
        values: dict[str, Any] = dict(record)
        values.update((name, _numbers(value)) for name, value in record.items() if isinstance(value, list))
        return cls(**values)


def _numbers(values: list[Any]) -> tuple[Any, ...]:
    return tuple(float("nan") if value is None else value for value in values)


def write_aside(path: Path, write: Callable[[BinaryIO], None], *, mode: int = 0o600) -> str:
    """Write a file beside its place, then rename: readers see the old one or the new one, never half.

    The file is its owner's only, or as `mode` says; the result is its SHA-256 in hexadecimal digits.
    """
    aside = path.with_name(f".{path.name}.{os.getpid()}")
    aside.unlink(missing_ok=True)
    try:
        with open(aside, "xb", opener=lambda name, flags: os.open(name, flags | os.O_NOFOLLOW, mode)) as file:
            write(file)
            file.flush()
            os.fsync(file.fileno())
        checksum = _checksum(aside)
        os.replace(aside, path)
        return checksum
    finally:
        aside.unlink(missing_ok=True)


def _checksum(path: Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@dataclass(frozen=True)
class Run:
    """One run folder. Files are appended to or replaced whole; nothing is pickled."""

    path: Path

    @classmethod
    def create(cls, path: str | Path) -> Self:
        """Make the folder, readable by its owner only.

        Raises
        ------
        RunError
            If there is something at `path` already that is not an empty folder.
        """
        path = Path(path)
        if path.exists() and not path.is_dir():
            raise RunError(f"a run needs a folder, and {str(path)!r} is a file: choose another --out")
        if path.is_dir() and not _is_free(path):
            raise RunError(
                f"a run needs an empty folder, and {str(path)!r} {_content(path)}: choose another --out"
            )
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        path.chmod(0o700)
        for folder in ("oof", "weights"):
            (path / folder).mkdir(mode=0o700, exist_ok=True)
        return cls(path)

    @classmethod
    def open(cls, path: str | Path) -> Self:
        """Open a folder that a study has written.

        Raises
        ------
        RunError
            If there is no `run.json` in it.
        """
        path = Path(path)
        if not path.is_dir():
            raise RunError(f"a run is a folder, and there is none at {str(path)!r}")
        if not (path / "run.json").is_file():
            raise RunError(f"a run folder has a run.json, and {str(path)!r} has none")
        return cls(path)

    @property
    def is_finished(self) -> bool:
        """Whether the study wrote everything that it wanted to write."""
        return (self.path / "DONE").is_file()

    def append_trial(self, trial: Trial) -> None:
        """Append one trial to `trials.jsonl`; it is on the disk when this returns."""
        lines.append(self.path / "trials.jsonl", self._line(trial))

    def trials(self) -> list[Trial]:
        """All trials written so far, oldest first."""
        records = lines.read(self.path / "trials.jsonl")
        return [Trial.from_json({k: v for k, v in record.items() if k != WITNESS}) for record in records]

    def _line(self, trial: Trial) -> dict[str, Any]:
        """The record of a trial, with the size that the ledger has by then."""
        ledger = self.path / "ledger.jsonl"
        return trial.to_json() | {WITNESS: ledger.stat().st_size if ledger.exists() else 0}

    def check_ledger(self) -> None:
        """Refuse a ledger from which entries are gone.

        Raises
        ------
        RunError
            If it is shorter than it was when a trial was recorded.
        """
        ledger = self.path / "ledger.jsonl"
        n_now = ledger.stat().st_size if ledger.exists() else 0
        n_then = max((r.get(WITNESS, 0) for r in lines.read(self.path / "trials.jsonl")), default=0)
        if n_now < n_then:
            raise RunError(
                f"{ledger} must hold every entry that was made, and had {n_then} bytes, now {n_now}: "
                "restore it, or use a new run folder"
            )

    def events(self) -> list[dict[str, Any]]:
        """All ledger entries written so far, oldest first."""
        return lines.read(self.path / "ledger.jsonl")

    def looks(self) -> list[dict[str, Any]]:
        """All looks at rows that no decision has used (`search.looks`), oldest first."""
        return lines.read(self.path / "looks.jsonl")

    def save_json(self, name: str, value: Any) -> None:
        """Write `name` as JSON (strict: NaN and infinities become null)."""
        text = json.dumps(lines.plain(value), ensure_ascii=False, allow_nan=False, indent=2)
        self.save_text(name, text + "\n")

    def load_json(self, name: str) -> Any:
        """Read the JSON file `name`; RunError when it is missing or damaged."""
        from search.archives import check_text

        path = self._existing(name)
        try:
            check_text(path)
            found = json.loads(path.read_text(encoding="utf-8"))
        except (ValueError, RecursionError) as error:
            raise RunError(f"{path} is not JSON: {error}: restore it, or use a new run folder") from error
        if name in ("run.json", "summary.json") and not isinstance(found, dict):
            raise RunError(f"{path} must hold a JSON object, and holds a {type(found).__name__}")
        return found

    def has(self, name: str) -> bool:
        """Whether there is a file or folder `name`."""
        return (self.path / name).exists()

    def save_text(self, name: str, text: str) -> None:
        """Write `name` as UTF-8 text."""
        write_aside(self.path / name, lambda file: _write(file, text.encode()))

    def save_csv(self, name: str, frame: "pd.DataFrame") -> None:
        """Write a table as CSV in which no spreadsheet finds a formula."""
        from search import tables

        self.save_text(name, tables.csv_text(frame))

    def save_arrays(self, name: str, arrays: Mapping[str, "np.ndarray[Any, Any]"]) -> str:
        """Write arrays under their names as one `.npz`; the result is its checksum."""
        import numpy as np

        return write_aside(self.path / name, lambda file: np.savez(file, allow_pickle=False, **arrays))

    def load_arrays(self, name: str) -> dict[str, "np.ndarray[Any, Any]"]:
        """Read all arrays of an `.npz`."""
        import numpy as np

        from search.archives import check_arrays

        path = self._existing(name)
        try:
            check_arrays(path)
            with open(path, "rb") as file, np.load(file, allow_pickle=False) as arrays:
                return {key: arrays[key] for key in arrays.files}
        except (ValueError, EOFError, zlib.error, zipfile.BadZipFile) as error:
            raise RunError(f"{path} must hold whole arrays: {error}") from None

    def save_out_of_fold(self, number: int, predictions: "np.ndarray[Any, Any]") -> tuple[str, str]:
        """Store held-out predictions `(n_kept, n_repeats, n_rows, n_outputs)`, as float32 (float16 stays).

        The result is the file's name and checksum.
        """
        import numpy as np

        if predictions.ndim != 4:
            shape = predictions.shape
            raise RunError(f"out-of-fold predictions are (n_kept, n_repeats, n_rows, n_outputs), not {shape}")
        stored = (
            predictions if predictions.dtype == np.float16 else predictions.astype(np.float32, copy=False)
        )
        name = f"oof/{number:05d}.npy"
        return name, write_aside(self.path / name, lambda file: np.save(file, stored, allow_pickle=False))

    def out_of_fold(self, number: int) -> "np.ndarray[Any, Any]":
        """The stored held-out predictions `(n_kept, n_repeats, n_rows, n_outputs)` of trial `number`.

        They are memory-mapped and read-only: a slice reads from the disk what it needs, and no more.
        """
        import numpy as np

        from search.archives import check_array

        path = self._existing(f"oof/{number:05d}.npy")
        try:
            check_array(path)
            stored: np.ndarray[Any, Any] = np.load(path, mmap_mode="r", allow_pickle=False)
        except ValueError as error:
            raise RunError(f"{path} must hold a whole array: {error}") from None
        return stored

    def save_weights(self, number: int, weights: Mapping[str, "np.ndarray[Any, Any]"]) -> tuple[str, str]:
        """Store the named weight arrays of trial `number`; the result is the file's name and checksum."""
        name = f"weights/{number:05d}.npz"
        return name, self.save_arrays(name, weights)

    def is_whole(self, trial: Trial) -> bool:
        """Whether every stored file of a trial is as it was written."""
        files = ((self.path / name, checksum) for name, checksum in trial.checksums.items())
        return all(path.is_file() and _checksum(path) == checksum for path, checksum in files)

    def rewrite_trials(self, trials: Iterable[Trial]) -> None:
        """Replace the records of all trials, in this order."""
        self.save_text("trials.jsonl", "".join(lines.text_of(self._line(trial)) for trial in trials))

    def weights(self, number: int) -> dict[str, "np.ndarray[Any, Any]"]:
        """The stored weight arrays of trial `number`."""
        return self.load_arrays(f"weights/{number:05d}.npz")

    def save_resume(self, number: int, state: Mapping[str, "np.ndarray[Any, Any]"]) -> None:
        """Store where the training of trial `number` stopped."""
        (self.path / "resume").mkdir(mode=0o700, exist_ok=True)
        self.save_arrays(f"resume/{number:05d}.npz", state)

    def resume(self, number: int) -> dict[str, "np.ndarray[Any, Any]"] | None:
        """Where the training of trial `number` stopped; None where that is not known (any more)."""
        name = f"resume/{number:05d}.npz"
        return self.load_arrays(name) if self.has(name) else None

    def forget_resume(self, awaited: Collection[int] = ()) -> None:
        """Remove what `save_resume` stored for all trials but the awaited ones."""
        folder, kept = self.path / "resume", {f"{number:05d}.npz" for number in awaited}
        for path in folder.glob("*.npz"):
            if path.name not in kept:
                path.unlink()
        if folder.is_dir() and not any(folder.iterdir()):
            folder.rmdir()

    def export(self) -> None:
        """Write trials and ledger as Parquet and CSV, replacing earlier ones."""
        from search import tables

        self._export("trials", tables.of_trials(self.trials()))
        self._export("ledger", tables.of_events(self.events()))

    def _export(self, name: str, frame: "pd.DataFrame") -> None:
        from search import tables

        content = tables.parquet_bytes(frame)
        write_aside(self.path / f"{name}.parquet", lambda file: _write(file, content))
        self.save_csv(f"{name}.csv", frame)

    def finish(self) -> None:
        """Write DONE: everything else is there."""
        self.save_text("DONE", utc_now() + "\n")

    def _existing(self, name: str) -> Path:
        if not (self.path / name).is_file():
            raise RunError(f"the run {str(self.path)!r} has no {name}")
        return self.path / name


def _write(file: BinaryIO, content: bytes) -> None:
    file.write(content)


def _is_free(path: Path) -> bool:
    """Whether a folder is empty, or holds what a study leaves that is killed before its run.json."""
    names = {entry.name for entry in path.iterdir()}
    own = {"oof", "weights"} | ({"lock", "config.toml"} if "lock" in names else set())
    is_own = all(name in own or name.startswith((".config.toml.", ".run.json.")) for name in names)
    return is_own and not any(any((path / name).iterdir()) for name in names & {"oof", "weights"})


def _content(path: Path) -> str:
    if (path / "DONE").exists():
        return "holds a finished run"
    return "holds an unfinished run" if (path / "run.json").exists() else "holds other files"
