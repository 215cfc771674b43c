"""The ensemble as an object: it predicts, and it is saved and loaded without pickle."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, final

import numpy as np
from numpy.typing import NDArray

from ensemble import artefact
from ensemble.architecture import check_architecture, check_fits, is_fitted
from ensemble.calibration import Calibration
from ensemble.card import model_card
from ensemble.evaluation import Program, program_of
from ensemble.fitted import FittedProgram
from spaces.encoding import Layout
from spaces.schema import Schema, Table
from spaces.task import Task

if TYPE_CHECKING:
    import pandas as pd


_UNUSABLE = (  # what a forged manifest may lead to
    ArithmeticError, AttributeError, LookupError, MemoryError, RecursionError, TypeError, ValueError,
)  # fmt: skip


@dataclass(frozen=True, eq=False)
class Candidate:
    """One trial in the ensemble: its fold models, stacked.

    Of a family that is no network, the arrays are those of `ensemble.fitted`.

    Attributes
    ----------
    trial : int
        Number of the trial, not negative.
    family : str
    weight : float
        Share of the trial in the ensemble, not negative.
    architecture : str
        `keras.Model.to_json()` of one member, with inputs "numbers" and "codes"; or a fitted trial's JSON.
    weights : tuple of (n_members, ...)
        In the order of `model.weights`.
    target_center, target_scale : (n_members, n_outputs)
        `raw = output * scale + center` for each member; zeros and ones for classification.
    """

    trial: int
    family: str
    weight: float
    architecture: str
    weights: tuple[NDArray[Any], ...]
    target_center: NDArray[Any]
    target_scale: NDArray[Any]

    def __post_init__(self) -> None:
        if type(self.trial) is not int or not isinstance(self.family, str):
            raise ValueError(f"a trial must have a whole number and a family, got {self.trial!r:.60}")
        if self.trial < 0:
            raise ValueError(f"the number of a trial must not be negative, got {self.trial}")
        if not (math.isfinite(self.weight) and self.weight >= 0):
            raise ValueError(f"the weight of a candidate must be finite and not negative, got {self.weight}")
        check_architecture(self.architecture)
        if not self.weights:
            raise ValueError(f"a candidate must have weights, got none for trial {self.trial}")
        for array in (*self.weights, self.target_center, self.target_scale):
            if array.dtype.kind not in "fiub":
                raise ValueError(f"weights must be plain numbers, got dtype {array.dtype}")
        sizes = {np.shape(a)[:1] for a in (*self.weights, self.target_center, self.target_scale)}
        if len(sizes) != 1 or sizes & {(), (0,)}:
            raise ValueError(f"all arrays of a candidate must have n_members rows, got {sorted(sizes)}")

    @property
    def n_members(self) -> int:
        """Number of fold models."""
        return int(self.weights[0].shape[0])


@final
class Ensemble:
    """A weighted average of trials, each the plain average of its fold models.

    Parameters
    ----------
    schema : Schema
        Format of the input columns.
    task : Task
    candidates : sequence of Candidate
        Different trials; weights sum to 1.
    metadata : mapping, optional
        What JSON can hold (numpy scalars are converted, numbers that are not finite become None).
    calibration : Calibration, optional
        Corrects the weighted average of probabilities.

    Raises
    ------
    ValueError
        When the candidates do not fit the task or each other.
    """

    def __init__(
        self,
        schema: Schema,
        task: Task,
        candidates: Sequence[Candidate],
        metadata: Mapping[str, Any] | None = None,
        *,
        calibration: Calibration | None = None,
    ) -> None:
        self.schema = schema
        self.task = task
        self.candidates = tuple(candidates)
        self.metadata: dict[str, Any] = _plain(dict(metadata or {}))
        self.calibration = calibration
        self._programs: dict[str, Program | FittedProgram] = {}
        _check_candidates(self.candidates, task)

    def predict_raw(self, frame: pd.DataFrame | NDArray[Any]) -> NDArray[np.float64]:
        """Return probabilities (binary: of the second class) or values in raw units.

        Parameters
        ----------
        frame : DataFrame, or array (n_rows, n_columns) with the columns in the order of the schema

        Returns
        -------
        (n_rows, n_outputs) float64

        Raises
        ------
        SchemaError
            When columns are missing or hold what their kind does not allow.
        """
        return self.predict_table(self.schema.read(_framed(frame, self.schema)))

    def predict_table(self, table: Table) -> NDArray[np.float64]:
        """Return what `predict_raw` does, for rows that are read by the schema already."""
        inputs: dict[str, NDArray[Any]] = {"numbers": table.numbers, "codes": table.codes}
        total = np.zeros((table.n_rows, self.task.n_outputs))
        if table.n_rows:
            for candidate in self.candidates:
                total += candidate.weight * self._mean_of_members(candidate, inputs)
            if self.calibration is not None:
                total = np.asarray(self.calibration.apply(total), np.float64)
        return total

    def predict_samples(
        self, frame: pd.DataFrame | NDArray[Any], n_samples: int = 50, *, seed: int = 0
    ) -> NDArray[np.float64]:
        """Return predictions with the networks' dropout left on, as `predict_raw` otherwise.

        Their spread shows how far the networks are unsure of a row (Gal and Ghahramani 2016, "Dropout as a
        Bayesian approximation"). Members that have no dropout are the same in every sample.

        Parameters
        ----------
        frame : as in `predict_raw`
        n_samples : int
            At least 1. Every network runs as often, one at a time: slow.
        seed : int

        Returns
        -------
        (n_samples, n_rows, n_outputs) float64
        """
        if n_samples < 1:
            raise ValueError(f"n_samples must be at least 1, got {n_samples}")
        table = self.schema.read(_framed(frame, self.schema))
        inputs: dict[str, NDArray[Any]] = {"numbers": table.numbers, "codes": table.codes}
        total = np.zeros((n_samples, table.n_rows, self.task.n_outputs))
        for candidate in self.candidates:
            center, scale = (
                np.asarray(a)[:, None] for a in (candidate.target_center, candidate.target_scale)
            )
            outputs = self._program(candidate).samples(candidate.weights, inputs, n_samples, seed)
            total += candidate.weight * (outputs * scale + center).mean(axis=1)
        if self.calibration is not None:
            total = np.stack([self.calibration.apply(one) for one in total])
        return total

    def predict(self, frame: pd.DataFrame | NDArray[Any]) -> NDArray[Any]:
        """Return class labels, a 0/1 matrix for several labels, or raw values; 1-d for one target."""
        return np.asarray(self.task.labels(self.predict_raw(frame)))

    def predict_proba(self, frame: pd.DataFrame | NDArray[Any]) -> NDArray[np.float64]:
        """Return probabilities of the classes `(n_rows, n_classes)`, or of the labels `(n_rows, n_labels)`.

        Raises
        ------
        ValueError
            For regression.
        """
        if not self.task.is_classification:
            raise ValueError("predict_proba needs a classification task, got regression: use predict")
        raw = self.predict_raw(frame)
        return np.hstack([1.0 - raw, raw]) if self.task.kind == "binary" else raw

    def save(self, path: str | Path) -> None:
        """Write the ensemble as a folder; an ensemble that stands there is replaced.

        Raises
        ------
        FileExistsError
            When the path is a file or a folder that holds something else.
        """
        names = [_file_name(candidate) for candidate in self.candidates]
        manifest = {
            "schema": self.schema.to_json(),
            "task": _plain(self.task.to_json()),
            "candidates": [
                {
                    "trial": one.trial,
                    "family": one.family,
                    "weight": float(one.weight),
                    "n_members": one.n_members,
                    "file": name,
                    "architecture": one.architecture,
                }
                for one, name in zip(self.candidates, names, strict=True)
            ],
            "calibration": None if self.calibration is None else _plain(self.calibration.to_json()),
            "metadata": self.metadata,
        }
        arrays = {name: _arrays(one) for name, one in zip(names, self.candidates, strict=True)}
        card = model_card(self.schema, self.task, self.candidates, self.metadata)
        artefact.write(Path(path), manifest, arrays, card)

    @classmethod
    def load(cls, path: str | Path) -> Ensemble:
        """Read an ensemble that `save` wrote.

        Raises
        ------
        ArtefactError
            When the folder is no ensemble, has another format version, was changed, or holds unsafe layers.
        """
        record, arrays = artefact.read(Path(path))
        try:
            candidates = [_candidate(one, arrays[one["file"]]) for one in record["candidates"]]
            schema, task = Schema.from_json(record["schema"]), Task.from_json(record["task"])
            known = record.get("calibration")
            calibration = None if known is None else Calibration.from_json(known)
            found = cls(schema, task, candidates, record["metadata"], calibration=calibration)
            found._try_out()
        except _UNUSABLE as error:
            cause = " ".join(str(error).split())[:300] or type(error).__name__
            raise artefact.ArtefactError(f"the ensemble in {str(path)!r} cannot be used: {cause}") from None
        return found

    def _try_out(self) -> None:
        """Raise ValueError where a member that is no network cannot be evaluated on the schema's columns."""
        layout = Layout.of(self.schema)
        for candidate in self.candidates:
            if is_fitted(candidate.architecture):
                program = self._program(candidate)
                assert isinstance(program, FittedProgram)
                if program.layout != layout:
                    raise ValueError(f"trial {candidate.trial} must read the columns of the schema")
                program.try_out(candidate.weights, self.task.n_outputs)

    def _program(self, candidate: Candidate) -> Program | FittedProgram:
        """Return what evaluates a candidate, made once for each architecture."""
        try:
            if candidate.architecture not in self._programs:
                if not is_fitted(candidate.architecture):
                    check_fits(candidate.architecture, [array.shape[1:] for array in candidate.weights])
                self._programs[candidate.architecture] = program_of(candidate.architecture)
            program = self._programs[candidate.architecture]
            program.check(candidate.weights)
        except ValueError as error:
            raise ValueError(f"trial {candidate.trial}: {error}") from None
        return program

    def _mean_of_members(
        self, candidate: Candidate, inputs: Mapping[str, NDArray[Any]]
    ) -> NDArray[np.float64]:
        """Return the mean of a candidate's members in raw units, `(n_rows, n_outputs)`."""
        program = self._program(candidate)
        outputs = program(candidate.weights, inputs)
        center = np.asarray(candidate.target_center, dtype=np.float64)[:, None]
        scale = np.asarray(candidate.target_scale, dtype=np.float64)[:, None]
        if outputs.shape[2:] != scale.shape[2:]:
            raise ValueError(f"members must have {scale.shape[2]} outputs, got {outputs.shape[2:]}")
        return np.asarray((outputs * scale + center).mean(axis=0))


def _check_candidates(candidates: tuple[Candidate, ...], task: Task) -> None:
    if not candidates:
        raise ValueError("an ensemble must have a candidate, got none")
    trials = [one.trial for one in candidates]
    if len(set(trials)) < len(trials):
        raise ValueError(f"candidates must be different trials, got {trials}")
    total = math.fsum(one.weight for one in candidates)
    if abs(total - 1.0) > 1e-6:
        raise ValueError(f"the weights of the candidates must sum to 1, got {total}")
    for one in candidates:
        for array in (one.target_center, one.target_scale):
            if array.shape != (one.n_members, task.n_outputs):
                expected = (one.n_members, task.n_outputs)
                raise ValueError(f"target_center and target_scale must be {expected}, got {array.shape}")


def _framed(frame: pd.DataFrame | NDArray[Any], schema: Schema) -> pd.DataFrame:
    import pandas as pd

    if isinstance(frame, pd.DataFrame):
        return frame
    values = np.asarray(frame)
    if values.ndim != 2 or values.shape[1] != schema.n_columns:
        raise ValueError(f"an array must be (n_rows, {schema.n_columns}), got shape {values.shape}")
    return pd.DataFrame(values, columns=[column.name for column in schema.columns]).infer_objects()


def _file_name(candidate: Candidate) -> str:
    return f"member_{candidate.trial:05d}.npz"


def _arrays(candidate: Candidate) -> artefact.Arrays:
    named = {f"weight_{i:04d}": array for i, array in enumerate(candidate.weights)}
    return {**named, "target_center": candidate.target_center, "target_scale": candidate.target_scale}


def _candidate(record: Mapping[str, Any], arrays: artefact.Arrays) -> Candidate:
    weights = tuple(arrays[name] for name in sorted(arrays) if name.startswith("weight_"))
    return Candidate(
        trial=record["trial"],
        family=record["family"],
        weight=record["weight"],
        architecture=record["architecture"],
        weights=weights,
        target_center=arrays["target_center"],
        target_scale=arrays["target_scale"],
    )


def _plain(value: Any) -> Any:
    """Return a value as JSON holds it; numbers that are not finite become None."""
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, np.ndarray):
        return _plain(value.tolist())
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if isinstance(value, np.generic):
        return _plain(value.item())
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if value is None or isinstance(value, (str, int, float, bool)):
        return value
    raise ValueError(f"metadata must be what JSON can hold, got a {type(value).__name__}")
