"""How one configuration is trained: optimizer, schedule, batches, epochs, and where it is looked at."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import keras

OPTIMIZERS = ("adam", "adamw", "rmsprop", "sgd", "plain_sgd")  # sgd has a momentum of 0.9
EPOCH_CHOICES = ("common", "inner", "fold", "fixed")
SCHEDULES = (
    "constant", "cosine", "flat_cosine", "exponential", "piecewise", "power", "one_cycle", "performance",
    "ramp",
)  # fmt: skip
DROPOUT_SCHEDULES = ("constant", "flat_cosine")
MOMENTUM = 0.9
PATIENCE_FROM_EPOCH = 25
RAMP_START = 1e-6


@dataclass(frozen=True)
class Recipe:
    """How one configuration is trained.

    Attributes
    ----------
    optimizer : str
        One of `OPTIMIZERS`; it shapes the compiled program, all else here is its input.
    learning_rate, weight_decay : float
        Peak learning rate; decoupled decay of AdamW.
    beta2 : float
        Share of the squared gradients' mean that Adam and AdamW keep from step to step, in [0, 1).
    schedule : str
        One of `SCHEDULES`.
    plateau_factor, plateau_patience : float, int
        With the schedule ``performance``: what a member's learning rate is multiplied by, in (0, 1), after
        how many epochs without a better training loss of that member.
    dropout_schedule : str
        One of `DROPOUT_SCHEDULES`: how every dropout rate moves from its value to 0. Models that are trained
        by their own ``train_step`` keep it constant.
    label_smoothing : float
        Share of each class target that goes to all classes equally, in [0, 1); regression has none.
    clip_value, clip_norm : float
        Bound of every value of the gradient; bound of the norm of each member's whole gradient. 0: none.
    max_norm : float
        Bound of the norm of the weights into each hidden unit, after every step. 0: none.
    class_weight : str, tuple of float or None
        How much the rows of each class count in the training loss, not in scores: "balanced", or a number for
        each class in the order of the task's classes. None: all the same.
    batch_size, n_epochs : int
        Rows a step; epochs at most.
    patience : float
        Training stops at this multiple of the best epoch so far, but not before epoch 25; 0 never stops
        early.
    checkpoints : tuple of int or None
        Epochs at which the held-out rows are looked at; None: `checkpoint_epochs` of ``n_epochs``.
    epoch_choice : str
        One of `EPOCH_CHOICES`. common: one epoch for all members, the lowest of the mean validation curve;
        fold: each member's own lowest; inner: each member's lowest on the plan's ``stop`` rows, which are
        taken from its training rows, so that held-out rows are not looked at; fixed: the last epoch, nothing
        is chosen.
    is_shuffled : bool
        Whether each epoch draws a new order of the training rows.
    """

    optimizer: str = "adam"
    learning_rate: float = 1e-3
    weight_decay: float = 0.0
    beta2: float = 0.999
    schedule: str = "constant"
    plateau_factor: float = 0.5
    plateau_patience: int = 5
    dropout_schedule: str = "constant"
    label_smoothing: float = 0.0
    clip_value: float = 0.0
    clip_norm: float = 0.0
    max_norm: float = 0.0
    class_weight: str | tuple[float, ...] | None = None
    batch_size: int = 32
    n_epochs: int = 100
    patience: float = 2.0
    checkpoints: tuple[int, ...] | None = None
    epoch_choice: str = "common"
    is_shuffled: bool = True

    def __post_init__(self) -> None:
        if self.optimizer not in OPTIMIZERS:
            raise ValueError(f"an optimizer is one of {', '.join(OPTIMIZERS)}, not {self.optimizer!r}")
        if self.schedule not in SCHEDULES:
            raise ValueError(f"a schedule is one of {', '.join(SCHEDULES)}, not {self.schedule!r}")
        if self.dropout_schedule not in DROPOUT_SCHEDULES:
            raise ValueError(
                f"a dropout schedule is one of {', '.join(DROPOUT_SCHEDULES)}, not {self.dropout_schedule!r}"
            )
        for name in ("beta2", "label_smoothing"):
            if not 0.0 <= getattr(self, name) < 1.0:
                raise ValueError(f"{name} lies in [0, 1), not {getattr(self, name)!r}")
        for name in ("clip_value", "clip_norm", "max_norm"):
            if not 0.0 <= getattr(self, name) < float("inf"):
                raise ValueError(f"{name} is finite and at least 0, not {getattr(self, name)!r}")
        if not 0.0 < self.plateau_factor < 1.0:
            raise ValueError(f"plateau_factor lies in (0, 1), not {self.plateau_factor!r}")
        _check_class_weight(self.class_weight)
        if self.epoch_choice not in EPOCH_CHOICES:
            raise ValueError(
                f"an epoch choice is one of {', '.join(EPOCH_CHOICES)}, not {self.epoch_choice!r}"
            )
        for name in ("batch_size", "n_epochs", "plateau_patience"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is at least 1, not {getattr(self, name)!r}")

    @property
    def looks(self) -> tuple[int, ...]:
        """Epochs at which the held-out rows are looked at."""
        if self.epoch_choice == "fixed":
            return (self.checkpoints or (self.n_epochs,))[-1:]
        return self.checkpoints or checkpoint_epochs(self.n_epochs)


def _check_class_weight(asked: Any) -> None:
    is_told = isinstance(asked, tuple) and len(asked) > 1 and all(0.0 < w < float("inf") for w in asked)
    if not (asked is None or asked == "balanced" or is_told):
        raise ValueError(f'class_weight is "balanced" or a number above 0 for each class, not {asked!r}')


def recipe_for(config: Mapping[str, Any], defaults: Recipe) -> Recipe:
    """The recipe of a configuration; what it does not name comes from the defaults."""
    names = (
        "optimizer", "learning_rate", "weight_decay", "beta2", "schedule", "dropout_schedule",
        "label_smoothing", "batch_size", "clip_value", "clip_norm", "max_norm", "plateau_factor",
        "plateau_patience",
    )  # fmt: skip
    told = {name: config[name] for name in names if name in config}
    if "class_weight" in config:
        told["class_weight"] = None if config["class_weight"] == "none" else config["class_weight"]
    return replace(defaults, **told)


def checkpoint_epochs(n_epochs: int, ratio: float = 1.16) -> tuple[int, ...]:
    """Epochs of the checkpoints: every one at first, then growing by a ratio, the last one always among them.

    A score is looked at only here, so that every choice of an epoch can be replayed from stored predictions.

    >>> checkpoint_epochs(20)
    (1, 2, 3, 4, 5, 6, 7, 9, 11, 13, 16, 19, 20)
    """
    epochs, epoch = [], 1
    while epoch < n_epochs:
        epochs.append(epoch)
        epoch = max(epoch + 1, int(np.ceil(epoch * ratio)))
    return (*epochs, n_epochs)


def n_steps(n_rows: int, batch_size: int) -> int:
    """Steps of an epoch: the last batch may be smaller, unless it would be a single row."""
    whole, rest = divmod(n_rows, min(batch_size, n_rows))
    return whole + (rest > 1)


def learning_rates(recipe: Recipe, n_steps_per_epoch: int) -> NDArray[np.float32]:
    """Learning rate of every step ``(n_epochs * n_steps_per_epoch,)``.

    With t in [0, 1) the share of all steps done, as shares of the peak: constant: 1; cosine: ``(1 + cos(pi
    t)) / 2``; flat_cosine: flat for half of the time, then a cosine; exponential: falls to a hundredth;
    piecewise: 1, a tenth from the half on, a hundredth from three quarters on; power: ``1 / (1 + 10 t)``;
    one_cycle: in straight lines from a tenth to the peak at 0.45, back to a tenth at 0.9, down to a
    thousandth (Smith & Topin 2018; the momentum stays); performance: 1, and each member's rate falls on its
    own (`search.training.plateau`); ramp: rises exponentially from `RAMP_START`, for a range test (Smith
    2017).
    """
    return (recipe.learning_rate * _factors(recipe.schedule, recipe.n_epochs * n_steps_per_epoch)).astype(
        np.float32
    )


def dropout_factors(recipe: Recipe, n_steps_per_epoch: int) -> NDArray[np.float32]:
    """What dropout rates are multiplied by at every step ``(n_epochs * n_steps_per_epoch,)``."""
    return _factors(recipe.dropout_schedule, recipe.n_epochs * n_steps_per_epoch).astype(np.float32)


def _factors(schedule: str, n_steps_in_all: int) -> NDArray[np.float64]:
    t = np.arange(n_steps_in_all) / n_steps_in_all
    factors: NDArray[np.float64] = {
        "constant": np.ones_like(t),
        "cosine": (1 + np.cos(np.pi * t)) / 2,
        "flat_cosine": (1 + np.cos(np.pi * np.maximum(0.0, 2 * t - 1))) / 2,
        "exponential": 0.01**t,
        "piecewise": np.select([t < 0.5, t < 0.75], [1.0, 0.1], 0.01),
        "power": 1 / (1 + 10 * t),
        "one_cycle": np.interp(t, (0.0, 0.45, 0.9, 1.0), (0.1, 1.0, 0.1, 0.001)),
        "performance": np.ones_like(t),
        "ramp": RAMP_START ** (1 - t),
    }[schedule]
    return factors


def optimizer_numbers(recipe: Recipe) -> dict[str, float]:
    """Numbers that stay the same through a training, by the optimizer's variable that holds them, if any."""
    return {"decay": recipe.weight_decay, "forgetting": recipe.beta2}


def new_optimizer(name: str) -> keras.optimizers.Optimizer:
    """A Keras optimizer whose update is elementwise, so that it serves stacked variables as it is.

    The learning rate is set at every step; AdamW's decay and the second beta of Adam and AdamW are set by
    assigning to the variables ``decay`` and ``forgetting``.
    """
    import keras

    from search.training.adam import Adam

    if name in ("adam", "adamw"):
        return Adam(is_decoupled=name == "adamw")
    if name == "rmsprop":
        return keras.optimizers.RMSprop(1e-3)
    return keras.optimizers.SGD(1e-2, momentum=0.0 if name == "plain_sgd" else MOMENTUM)
