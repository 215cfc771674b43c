"""What goes into the training process and what comes back; free of TensorFlow."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from search.training.recipe import Recipe
from spaces.signature import Signature

Array = NDArray[Any]


class Diverged(RuntimeError):  # noqa: N818
    """Training left the finite numbers."""


@dataclass(frozen=True)
class Request:
    """One configuration of a registered family to train; it can be sent to another process.

    Attributes
    ----------
    family : str
        Name in `spaces.families.FAMILIES`.
    ceilings : mapping of int to float
        Pruning: training stops at a checkpoint epoch where the best loss so far is above this.
    """

    family: str
    config: Mapping[str, Any]
    signature: Signature
    recipe: Recipe
    seed: int
    ceilings: Mapping[int, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Trained:
    """What training a configuration gave.

    Attributes
    ----------
    checkpoints : tuple of int
        Epochs that were looked at; curve, train_curve: the mean validation loss (in the study's metric) and
        the mean training loss there.
    chosen_epoch : int
        The one epoch of all members (the lowest of the curve, the earliest of equals), or the median of their
        own.
    member_epochs : tuple of int
        Epoch of each member.
    kept_epochs : tuple of int
        Checkpoints whose predictions are in ``out_of_fold (n_kept, n_repeats, n_rows, n_outputs)``.
    chosen_index : int
        Place in ``out_of_fold`` of the predictions at the members' chosen epochs; behind the last checkpoint
        where each member has its own.
    weights : list of ndarray
        Stacked weights at the chosen epoch in the order of ``model.weights``, each ``(n_members, ...)``.
    train_loss : float
        The study's loss on (at most 2,000 a member) training rows at the chosen epoch.
    """

    checkpoints: tuple[int, ...]
    curve: tuple[float, ...]
    train_curve: tuple[float, ...]
    chosen_epoch: int
    member_epochs: tuple[int, ...]
    chosen_index: int
    kept_epochs: tuple[int, ...]
    out_of_fold: NDArray[np.float32]
    weights: list[Array]
    architecture: str
    train_loss: float
    n_parameters: int
    way: Literal["stacked", "looped", "fit"]
    is_traced: bool
    is_pruned: bool
    fit_seconds: float
    predict_seconds_per_1000: float
    peak_memory_mb: float


def pooled_loss(
    loss: Callable[[Array, Array], float], y: Array, out_of_fold: Sequence[Array] | Array
) -> float:
    """The loss on the held rows of each repeat together, averaged over the repeats."""
    values = []
    for predictions in out_of_fold:
        is_held = ~np.isnan(predictions[:, 0])
        values.append(loss(y[is_held], predictions[is_held]))
    return float(np.mean(values))
