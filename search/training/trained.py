"""What goes into the training process and what comes back; free of TensorFlow."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from search import metrics
from search.training.callbacks import Callbacks
from search.training.recipe import Recipe
from spaces.signature import Signature
from spaces.task import Task

Array = NDArray[Any]
State = Mapping[str, Array]
"""Where a training stands: weights, optimizer and orders of all members, and what was looked at so far."""


class Diverged(RuntimeError):  # noqa: N818
    """Training left the finite numbers."""


class TrainingFailed(RuntimeError):  # noqa: N818
    """A configuration could not be trained; the message is the cause in one line."""


class ProcessDied(TrainingFailed):
    """The process that trained it died, by its own doing or by somebody else's."""


@dataclass(frozen=True)
class Stretch:
    """The part of a training that one trial does, where a proposer shares epochs out.

    Attributes
    ----------
    stop : int
        Epochs done at its end, those before it included.
    looks : tuple of int
        Epochs that are looked at beside the recipe's; the same for all stretches of a training.
    first : int or None
        Number of the trial that began the training, from which seed all go on; None: this one.
    state : mapping of str to ndarray, or None
        Where the stretch before it stopped; None: it begins, or does again what went before.
    """

    stop: int
    looks: tuple[int, ...] = ()
    first: int | None = None
    state: State | None = None


@dataclass(frozen=True)
class Request:
    """One configuration of a registered family to train; it can be sent to another process.

    Attributes
    ----------
    family : str
        Name in `spaces.families.FAMILIES`.
    ceilings : mapping of int to float
        Pruning: training stops at a checkpoint epoch where the best loss so far is above this.
    deadline : float or None
        Seconds by `time.monotonic` after which a network's training ends at its next checkpoint.
    stop : int or None
        Epoch at which a network's training stops for now; all else is as if it went on to the recipe's last.
    state : mapping of str to ndarray, or None
        Where an earlier request of the same training stopped, to go on from.
    callbacks : Callbacks or None
        Keras callbacks that attend a network's training, which is Keras' own ``fit`` then.
    """

    family: str
    config: Mapping[str, Any]
    signature: Signature
    recipe: Recipe
    seed: int
    ceilings: Mapping[int, float] = field(default_factory=dict)
    deadline: float | None = None
    stop: int | None = None
    state: State | None = None
    callbacks: Callbacks | None = None


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
    way_reason : str
        Why a network was trained in this way.
    train_loss : float
        The study's loss on (at most 2,000 a member) training rows at the chosen epoch.
    state : mapping of str to ndarray, or None
        Where the training stopped, if that was before the recipe's last epoch by the request's ``stop``.
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
    n_parameters: int | None
    way: Literal["stacked", "looped", "fit", "fitted"]
    way_reason: str = field(default="", kw_only=True)
    is_traced: bool
    is_pruned: bool
    fit_seconds: float
    predict_seconds_per_1000: float
    peak_memory_mb: float
    state: State | None = None


def pooled_loss(
    loss: Callable[..., float],
    y: Array,
    out_of_fold: Sequence[Array] | Array,
    row_weights: Array | None = None,
) -> float:
    """The loss on the held rows of each repeat together, averaged over the repeats.

    It is asked ``loss(y, predictions)``, and ``loss(y, predictions, row_weights)`` where there are some.
    """
    values = []
    for predictions in out_of_fold:
        is_held = ~np.isnan(predictions[:, 0])
        weights = () if row_weights is None else (row_weights[is_held],)
        values.append(loss(y[is_held], predictions[is_held], *weights))
    return float(np.mean(values))


def validation_loss(metric: str, task: Task) -> Callable[..., float]:
    """A metric as a function of targets, predictions and row weights whose lower value is better."""
    return partial(metrics.loss, metrics.metric_for(metric, task))
