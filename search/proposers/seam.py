"""Seam: what a proposer promises, and what both drivers share."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol, get_args

import numpy as np

from spaces.space import Config

Status = Literal["completed", "pruned", "failed", "duplicate"]

MAX_REPORTS = 8
N_STARTUP_TRIALS = 10
N_GRID_POINTS = 10
MOST_ASKED = 10  # times that a proposal is made whose process died before it was told


class ProposerError(ValueError):
    """A proposer cannot be made, continued or told; the message is one line."""


@dataclass(frozen=True)
class Rung:
    """How far a proposal is trained, where a proposer shares epochs out by successive halving.

    Attributes
    ----------
    stop : int
        Epochs in all, those of the trial that it goes on from included.
    stops : tuple of int
        The epochs at which any proposal may stop; the last is that of a whole training.
    resumes : int or None
        Number of the trial to go on from; None: from the first epoch.
    compared : tuple of int
        Numbers of the trials that were left to choose ``resumes`` from, itself among them.
    n_before : int
        How many of their round had been chosen before it.
    awaited : tuple of int
        Numbers of the trials that a later proposal may go on from; where all others stopped can be forgotten.
    """

    stop: int
    stops: tuple[int, ...]
    resumes: int | None = None
    compared: tuple[int, ...] = ()
    n_before: int = 0
    awaited: tuple[int, ...] = ()


@dataclass(frozen=True)
class Proposal:
    """A configuration to evaluate; ``number`` counts from 0 within one study.

    ``rung``: how far it is trained; None: as far as the study trains.
    """

    number: int
    config: Config
    rung: Rung | None = None


class Proposer(Protocol):
    """What proposes configurations and learns from their losses."""

    @property
    def settled(self) -> frozenset[int]:
        """Numbers of the proposals that were told with a loss, also by an earlier process."""

    def ask(self) -> Proposal | None:
        """The next configuration; None when the space or the number of trials is exhausted."""

    def tell(
        self,
        proposal: Proposal,
        loss: float | None,
        status: Status,
        curve: Sequence[tuple[int, float]] = (),
    ) -> None:
        """Report what became of a proposal.

        Parameters
        ----------
        proposal : Proposal
            One that `ask` gave and that was not told yet.
        loss : float, optional
            Lower is better. None or not finite counts as failed, whatever the status; a pruned proposal
            may leave it out where it has a curve.
        status : {"completed", "pruned", "failed", "duplicate"}
            ``duplicate``: not computed again, ``loss`` is that of its first evaluation.
        curve : sequence of (int, float)
            Mean validation loss by epoch; thinned to 8 points, points that are not finite left out.
        """


@dataclass(frozen=True)
class Outcome:
    """What was told, in a form that neither library can misread."""

    kind: Literal["completed", "pruned", "failed"]
    loss: float | None
    curve: tuple[tuple[int, float], ...]


def read_outcome(loss: float | None, status: Status, curve: Sequence[tuple[int, float]]) -> Outcome:
    """Sort out what was told.

    Raises
    ------
    ProposerError
        If the status is unknown.
    """
    if status not in get_args(Status):
        raise ProposerError(f"a status must be one of {', '.join(get_args(Status))}, got {status!r}")
    points = thin(curve)
    value = None if loss is None or not math.isfinite(loss) else float(loss)
    if status == "pruned" and loss is None and points:
        value = points[-1][1]
    if status == "failed" or value is None:
        return Outcome("failed", None, points)
    return Outcome("pruned" if status == "pruned" else "completed", value, points)


def thin(curve: Iterable[tuple[int, float]], n_points: int = MAX_REPORTS) -> tuple[tuple[int, float], ...]:
    """At most ``n_points`` finite points of a curve, by rising epoch, always with the last one."""
    points = sorted({int(step): float(value) for step, value in curve if math.isfinite(value)}.items())
    if len(points) <= n_points:
        return tuple(points)
    kept = np.unique(np.linspace(0, len(points) - 1, n_points).round().astype(int))
    return tuple(points[k] for k in kept)


def seed_of(seed: int, *purpose: int) -> int:
    """A seed in ``[1, 2**31)`` for a purpose under a root seed; never 0, which KerasTuner takes for none.

    Raises
    ------
    ProposerError
        If the root seed is negative.
    """
    if seed < 0:
        raise ProposerError(f"a seed must be at least 0, got {seed!r}")
    state = np.random.SeedSequence(entropy=seed, spawn_key=purpose).generate_state(1)[0]
    return int(state) % (2**31 - 1) + 1


def key_of(config: Mapping[str, object]) -> str:
    """One text per configuration, whatever the order of its names."""
    return json.dumps(dict(config), sort_keys=True)
