"""Decisions learned on other rows than they are scored on: the cross-fitted replay."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ensemble.losses import Loss, LossName, loss_of
from ensemble.table import Floats, check_table, is_zero_one

Decide = Callable[[Floats, Floats, Floats | None], Floats]
"""`decide(candidates, y, row_weights) -> weights (n_candidates,)`, from the rows it is given alone."""

NEVER = -1  # part of a row that is not scored: the first block in time


@dataclass(frozen=True)
class CrossFit:
    """Predictions of a decision rule for rows that did not decide.

    Attributes
    ----------
    predictions : (n_rounds, n_rows, n_outputs) float64
        NaN where a row is never scored (the first block in time).
    parts : (n_rounds, n_rows) int64
        Which part each row lies in; -1 where it is never scored.
    weights : (n_rounds, n_parts, n_candidates) float64
        What was decided for each part, from the rows outside it (in time: before it); NaN where nothing was.
    """

    predictions: NDArray[np.float64]
    parts: NDArray[np.int64]
    weights: NDArray[np.float64]

    def losses(
        self, y: Floats, loss: Loss | LossName, row_weights: Floats | None = None
    ) -> NDArray[np.float64]:
        """Return the loss of each round on its pooled rows, `(n_rounds,)`."""
        function = loss_of(loss)
        found = []
        for parts, predictions in zip(self.parts, self.predictions, strict=True):
            rows = np.flatnonzero(parts != NEVER)
            found.append(
                function(y[rows], predictions[rows], None if row_weights is None else row_weights[rows])
            )
        return np.array(found, dtype=np.float64)

    def score(self, y: Floats, loss: Loss | LossName, row_weights: Floats | None = None) -> float:
        """Return the loss (or score, in its own direction) of the pooled rows, averaged over rounds."""
        return float(self.losses(y, loss, row_weights).mean())


def crossfit(
    candidates: Floats,
    y: Floats,
    *,
    decide: Decide,
    rng: np.random.Generator,
    groups: NDArray[Any] | None = None,
    row_weights: Floats | None = None,
    n_parts: int = 10,
    n_rounds: int = 5,
    time: NDArray[Any] | None = None,
    strata: NDArray[Any] | None = None,
) -> CrossFit:
    """Replay a decision rule on part of the rows and predict the rest with it.

    Random parts, groups whole, stratified by `strata`; with `time`, one round of expanding blocks, in which
    each block is predicted from the rows before it and the first block is never scored. A row's target
    reaches its own prediction through no decision; only where strata are taken from `y` has it a say in
    which parts are drawn.

    Parameters
    ----------
    candidates : (n_candidates, n_rows, n_outputs)
        Out-of-fold predictions, finite; repeats laid out as further rows.
    y : (n_rows, n_outputs)
    decide : function
        `(candidates, y, row_weights) -> weights (n_candidates,)`.
    rng : numpy.random.Generator
    groups : (n_rows,), optional
        Rows of one group are never on both sides: the original row, or what belongs together.
    row_weights : (n_rows,), optional
    n_parts, n_rounds : int
        At least 2 and 1; no more parts than groups are made.
    time : (n_rows,), optional
        Sort key; rows of equal time stay on one side.
    strata : (n_rows,), optional
        Spread evenly over the parts. When absent, the classes of `y` if all targets are 0 or 1.

    Raises
    ------
    ValueError
        When an argument breaks a rule above, or fewer than two groups (or times) exist.
    """
    check_table(candidates, y, row_weights)
    units = codes_of(groups, len(y), "groups")
    parts = parts_of(
        y,
        rng=rng,
        groups=groups,
        row_weights=row_weights,
        n_parts=n_parts,
        n_rounds=n_rounds,
        time=time,
        strata=strata,
    )
    rounds = [_replay(candidates, y, decide, row_weights, units, one, time is not None) for one in parts]
    shown = np.where(parts == 0, NEVER, parts) if time is not None else parts
    return CrossFit(np.stack([r[0] for r in rounds]), shown, np.stack([r[1] for r in rounds]))


def parts_of(
    y: Floats,
    *,
    rng: np.random.Generator,
    groups: NDArray[Any] | None = None,
    row_weights: Floats | None = None,
    n_parts: int = 10,
    n_rounds: int = 5,
    time: NDArray[Any] | None = None,
    strata: NDArray[Any] | None = None,
) -> NDArray[np.int64]:
    """Return the part of each row as `crossfit` makes them, `(n_rounds, n_rows)`; with `time` one round."""
    units = codes_of(groups, len(y), "groups")
    _check_counts(n_parts, n_rounds)
    if time is not None:
        return _blocks(codes_of(time, len(y), "time"), n_parts)[None]
    if strata is None:
        strata = _classes(y)
    layers = np.zeros(len(y), dtype=np.int64) if strata is None else codes_of(strata, len(y), "strata")
    sizes = np.ones(len(y)) if row_weights is None else np.asarray(row_weights, dtype=np.float64)
    return np.stack([_deal(units, layers, sizes, n_parts, rng) for _ in range(n_rounds)])


def _check_counts(n_parts: int, n_rounds: int) -> None:
    if n_parts < 2:
        raise ValueError(f"n_parts must be at least 2, got {n_parts}")
    if n_rounds < 1:
        raise ValueError(f"n_rounds must be at least 1, got {n_rounds}")


def codes_of(labels: NDArray[Any] | None, n_rows: int, name: str) -> NDArray[np.int64]:
    """Number the labels of rows from 0 on, each row its own where labels are absent, `(n_rows,)` int64."""
    if labels is None:
        return np.arange(n_rows, dtype=np.int64)
    if np.shape(labels) != (n_rows,):
        raise ValueError(f"{name} must have shape ({n_rows},), got {np.shape(labels)}")
    return np.unique(labels, return_inverse=True)[1].astype(np.int64)


def _classes(y: Floats) -> NDArray[np.int64] | None:
    """Return the class (the pattern of labels) of each row, or None where the targets are not 0 and 1."""
    if not is_zero_one(y):
        return None
    return np.unique(y, axis=0, return_inverse=True)[1].reshape(-1).astype(np.int64)


def _deal(
    units: NDArray[np.int64],
    layers: NDArray[np.int64],
    sizes: NDArray[np.float64],
    n_parts: int,
    rng: np.random.Generator,
) -> NDArray[np.int64]:
    """Deal groups to parts like cards: sorted by stratum, then large ones first, else shuffled."""
    n_units = int(units.max()) + 1
    if n_units < 2:
        raise ValueError("cross-fitting needs at least 2 groups, got 1")
    mass = np.zeros((n_units, int(layers.max()) + 1))
    np.add.at(mass, (units, layers), sizes)
    order = np.lexsort((rng.random(n_units), -mass.sum(axis=1), mass.argmax(axis=1)))
    n_used = min(n_parts, n_units)
    part_of_unit = np.empty(n_units, dtype=np.int64)
    part_of_unit[order] = rng.permutation(n_used)[np.arange(n_units) % n_used]
    return part_of_unit[units]


def _blocks(times: NDArray[np.int64], n_parts: int) -> NDArray[np.int64]:
    """Cut rows into blocks of about equal size along time; equal times stay together."""
    n_times = int(times.max()) + 1
    if n_times < 2:
        raise ValueError("cross-fitting in time needs at least 2 different times, got 1")
    counts = np.bincount(times)
    middle = np.cumsum(counts) - counts / 2
    block_of_time = np.floor(middle * min(n_parts, n_times) / len(times)).astype(np.int64)
    if block_of_time[0] == block_of_time[-1]:
        block_of_time[-1] += 1
    return np.unique(block_of_time, return_inverse=True)[1].astype(np.int64)[times]


def _replay(
    candidates: Floats,
    y: Floats,
    decide: Decide,
    row_weights: Floats | None,
    units: NDArray[np.int64],
    parts: NDArray[np.int64],
    is_in_time: bool,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the predictions `(n_rows, n_outputs)` and the weights `(n_parts, n_candidates)` of one round."""
    n_parts = int(parts.max()) + 1
    predictions = np.full(y.shape, np.nan)
    weights = np.full((n_parts, len(candidates)), np.nan)
    for part in range(1 if is_in_time else 0, n_parts):
        scored = parts == part
        deciding = (parts < part) & ~np.isin(units, units[scored]) if is_in_time else ~scored
        if not deciding.any():
            raise ValueError(
                f"cross-fitting needs rows to decide on, got none for part {part}: groups span all times"
            )
        weights[part] = _decided(decide, candidates, y, row_weights, deciding)
        predictions[scored] = np.tensordot(weights[part], candidates[:, scored], axes=1)
    return predictions, weights


def _decided(
    decide: Decide, candidates: Floats, y: Floats, row_weights: Floats | None, rows: NDArray[np.bool_]
) -> Floats:
    weights = np.asarray(
        decide(candidates[:, rows], y[rows], None if row_weights is None else row_weights[rows]),
        dtype=np.float64,
    )
    if weights.shape != (len(candidates),):
        raise ValueError(f"decide must return weights of shape ({len(candidates)},), got {weights.shape}")
    return weights
