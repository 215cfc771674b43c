"""Probabilities made to mean what they say: temperature or isotonic, and only where it helps."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import isotonic_regression
from scipy.special import expit, log_softmax, logit

from ensemble.crossfit import codes_of, parts_of
from ensemble.losses import CLIP, row_losses
from ensemble.preference import ONE_ERROR, prefer
from ensemble.table import Floats, check_table, is_one_of_many, is_zero_one, shares

CalibrationMethod = Literal["none", "temperature", "isotonic"]
Step = tuple[tuple[float, ...], tuple[float, ...]]
"""Probabilities, and what they become; between them linear, outside constant."""

SHARPEST, FLATTEST = 1 / 20, 20.0  # bounds of the temperature
MAX_STEPS = 60


@dataclass(frozen=True)
class Calibration:
    """How predicted probabilities are changed.

    Attributes
    ----------
    method : {"none", "temperature", "isotonic"}
    temperature : float
        Logits are divided by it: above 1 the predictions were too sure of themselves.
    is_over_classes : bool
        The outputs are classes of one label, so each row sums to 1.
    steps : tuple of (probabilities, calibrated)
        One for each output, for "isotonic".
    losses : dict
        Cross-fitted log loss of each method that was compared.
    """

    method: CalibrationMethod = "none"
    temperature: float = 1.0
    is_over_classes: bool = False
    steps: tuple[Step, ...] = ()
    losses: dict[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.method not in get_args(CalibrationMethod):
            raise ValueError(
                f"method must be one of {', '.join(get_args(CalibrationMethod))}, got {self.method!r}"
            )
        if not SHARPEST <= self.temperature <= FLATTEST:
            raise ValueError(
                f"temperature must lie between {SHARPEST} and {FLATTEST}, got {self.temperature}"
            )
        for given, become in self.steps:
            if not _is_step(given, become):
                raise ValueError("steps must be rising probabilities, as many as they become, got others")
        if (self.method == "isotonic") != bool(self.steps):
            raise ValueError(f"steps belong to 'isotonic', got {len(self.steps)} for {self.method!r}")

    def apply(self, predictions: Floats) -> NDArray[np.float64]:
        """Return calibrated predictions `(n_rows, n_outputs)`; NaN stays NaN."""
        values = np.asarray(predictions, dtype=np.float64)
        if self.method == "temperature":
            return _tempered(values, 1.0 / self.temperature, self.is_over_classes)
        if self.method == "isotonic":
            if values.ndim != 2 or values.shape[1] != len(self.steps):
                raise ValueError(f"predictions must have {len(self.steps)} columns, got {values.shape}")
            columns = [np.interp(values[:, k], *step) for k, step in enumerate(self.steps)]
            return np.stack(columns, axis=1)
        return values

    def to_json(self) -> dict[str, Any]:
        """Return a dictionary that JSON can hold."""
        return {
            "method": self.method,
            "temperature": self.temperature,
            "is_over_classes": self.is_over_classes,
            "steps": [[list(given), list(become)] for given, become in self.steps],
            "losses": dict(self.losses),
        }

    @classmethod
    def from_json(cls, record: Mapping[str, Any]) -> Calibration:
        """Read what `to_json` wrote; ValueError when it is something else."""
        return cls(
            method=record["method"],
            temperature=float(record["temperature"]),
            is_over_classes=bool(record["is_over_classes"]),
            steps=tuple(
                (tuple(map(float, given)), tuple(map(float, become))) for given, become in record["steps"]
            ),
            losses={str(name): float(loss) for name, loss in record["losses"].items()},
        )


def _is_step(given: tuple[float, ...], become: tuple[float, ...]) -> bool:
    x, y = np.array(given), np.array(become)
    if len(x) != len(y) or not len(x):
        return False
    is_inside = bool((x >= 0).all() and (x <= 1).all() and (y >= 0).all() and (y <= 1).all())
    return is_inside and bool((np.diff(x) > 0).all() and (np.diff(y) >= 0).all())


def calibrate(
    predictions: Floats,
    y: Floats,
    row_weights: Floats | None = None,
    units: NDArray[Any] | None = None,
    *,
    time: NDArray[Any] | None = None,
    n_parts: int = 5,
    seed: int = 0,
    n_errors: float = ONE_ERROR,
) -> Calibration:
    """Calibrate held-out probabilities where that lowers the log loss on rows that did not calibrate.

    None, temperature and (not over classes) isotonic are compared by cross-fitted log loss. The first of
    them within a paired standard error of the lowest is taken, so nothing is changed for less than that.

    Parameters
    ----------
    predictions : (n_rows, n_outputs)
        Probabilities of rows that did not train them; of anything else nothing is changed.
    y : (n_rows, n_outputs)
        Zeros and ones; for other targets (regression) nothing is changed.
    row_weights : (n_rows,), optional
        An integer weight counts as that many copies of the row.
    units : (n_rows,), optional
        Rows of one unit are never on both sides: the original row, where repeats are laid out as rows.
    time : (n_rows,), optional
        Sort key: each part is then calibrated by the rows before it.
    n_parts : int
        At least 2.
    seed : int
        Of the parts.
    n_errors : float
        Standard errors by which a method must beat those before it.

    Raises
    ------
    ValueError
        When a shape breaks a rule above.
    """
    counts = check_table(np.asarray(predictions)[None], y, row_weights) > 0.0
    if not is_zero_one(y) or np.min(predictions) < 0.0 or np.max(predictions) > 1.0:
        return Calibration()
    p, y = np.asarray(predictions, dtype=np.float64)[counts], y[counts]
    mass = np.ones(len(y)) if row_weights is None else np.asarray(row_weights, dtype=np.float64)[counts]
    labels = codes_of(None if units is None else np.asarray(units)[counts], len(y), "units")
    times = None if time is None else np.asarray(time)[counts]
    if len(np.unique(labels if times is None else times)) < 2:
        return Calibration()
    is_over_classes = is_one_of_many(p[None], y)
    names: tuple[CalibrationMethod, ...] = ("none", "temperature")
    names += () if is_over_classes else ("isotonic",)
    rng = np.random.default_rng(seed)
    parts = parts_of(y, rng=rng, groups=labels, row_weights=mass, n_parts=n_parts, n_rounds=1, time=times)[0]
    losses = np.full((len(names), len(y)), np.nan)
    for part in range(0 if times is None else 1, int(parts.max()) + 1):
        out = parts == part
        rows = ~out if times is None else (parts < part) & ~np.isin(labels, labels[out])
        for k, name in enumerate(names):
            one = fitted(name, p[rows], y[rows], mass[rows], labels[rows], is_over_classes=is_over_classes)
            losses[k, out] = row_losses(y[out], one.apply(p[out]), "log_loss")
    scored = ~np.isnan(losses[0])
    weights = mass[scored] / mass[scored].sum()
    name = names[prefer(losses[:, scored], weights, labels[scored], n_errors=n_errors)]
    found = dict(zip(names, (losses[:, scored] @ weights).tolist(), strict=True))
    return fitted(name, p, y, mass, labels, is_over_classes=is_over_classes, losses=found)


def fitted(
    method: CalibrationMethod,
    predictions: Floats,
    y: Floats,
    row_weights: Floats | None = None,
    units: NDArray[Any] | None = None,
    *,
    is_over_classes: bool,
    losses: Mapping[str, float] | None = None,
) -> Calibration:
    """Fit one method on all rows given.

    Isotonic probabilities stay within `1 / (n + 2)` of 0 and 1, n the number of units: n events in n rows
    make the next one no surer than (n + 1) / (n + 2) (Laplace), and a single miss of an exact 0 would cost an
    infinite log loss.
    """
    known = dict(losses or {})
    weights = shares(row_weights, len(y))
    if method == "temperature":
        found = _temperature(np.asarray(predictions, dtype=np.float64), y, weights, is_over_classes)
        return Calibration("temperature", found, is_over_classes, losses=known)
    if method == "isotonic":
        if is_over_classes:
            raise ValueError("isotonic needs one output or labels, got classes of one label")
        n_units = len(np.unique(codes_of(units, len(y), "units")[weights > 0.0]))
        steps = tuple(
            _isotonic(np.asarray(predictions[:, k], dtype=np.float64), y[:, k], weights, 1.0 / (n_units + 2))
            for k in range(y.shape[1])
        )
        return Calibration("isotonic", steps=steps, losses=known)
    return Calibration("none", is_over_classes=is_over_classes, losses=known)


def _logits(values: NDArray[np.float64], is_over_classes: bool) -> NDArray[np.float64]:
    if is_over_classes:
        return np.asarray(np.log(np.clip(values, CLIP, 1.0)), dtype=np.float64)
    return np.asarray(logit(np.clip(values, CLIP, 1.0 - CLIP)), dtype=np.float64)


def _tempered(values: NDArray[np.float64], sharpness: float, is_over_classes: bool) -> NDArray[np.float64]:
    logits = sharpness * _logits(values, is_over_classes)
    if is_over_classes:
        return np.asarray(np.exp(log_softmax(logits, axis=1)), dtype=np.float64)
    return np.asarray(expit(logits), dtype=np.float64)


def _temperature(values: NDArray[np.float64], y: Floats, weights: Floats, is_over_classes: bool) -> float:
    """Return the temperature of lowest log loss (Guo, Pleiss, Sun, Weinberger 2017, section 4.2).

    The loss is convex in the inverse: Newton steps, kept inside what brackets the zero of the slope.
    """
    logits = _logits(values, is_over_classes)
    low, high, sharpness = 1.0 / FLATTEST, 1.0 / SHARPEST, 1.0
    for _ in range(MAX_STEPS):
        slope, bend = _slope(logits, y, weights, sharpness, is_over_classes)
        if slope == 0.0:
            break
        low, high = (low, sharpness) if slope > 0.0 else (sharpness, high)
        step = sharpness - slope / bend if bend > 0.0 else low
        following = step if low < step < high else np.sqrt(low * high)
        if abs(following - sharpness) <= 1e-10 * sharpness:
            break
        sharpness = float(following)
    return float(np.clip(1.0 / sharpness, SHARPEST, FLATTEST))


def _slope(
    logits: NDArray[np.float64], y: Floats, weights: Floats, sharpness: float, is_over_classes: bool
) -> tuple[float, float]:
    """Return first and second derivative of the log loss by the sharpness."""
    if is_over_classes:
        p = np.exp(log_softmax(sharpness * logits, axis=1))
        mean = (p * logits).sum(axis=1)
        spread = (p * logits**2).sum(axis=1) - mean**2
        return float(weights @ (mean - (y * logits).sum(axis=1))), float(weights @ spread)
    p = expit(sharpness * logits)
    first, second = logits * (p - y), logits**2 * p * (1.0 - p)
    return float(weights @ first.mean(axis=1)), float(weights @ second.mean(axis=1))


def _isotonic(values: NDArray[np.float64], y: Floats, weights: Floats, margin: float) -> Step:
    """Return the ends of the blocks of the weighted isotonic regression; equal predictions are one point."""
    counted = weights > 0.0
    points, place = np.unique(values[counted], return_inverse=True)
    mass = np.bincount(place, weights=weights[counted])
    means = np.bincount(place, weights=weights[counted] * y[counted]) / mass
    levels = np.clip(isotonic_regression(np.clip(means, 0.0, 1.0), weights=mass).x, margin, 1.0 - margin)
    is_new = np.concatenate([[True], np.abs(np.diff(levels)) > 1e-12, [True]])
    is_end = is_new[:-1] | is_new[1:]
    return tuple(points[is_end].tolist()), tuple(np.maximum.accumulate(levels[is_end]).tolist())
