"""The learning-rate range test: one training whose rate rises exponentially until the loss blows up.

Smith (2017), "Cyclical learning rates for training neural networks", section 3.3. All folds are trained
stacked, so that the curve is a mean over members. Only training losses are read: no held-out row is looked
at, and nothing is entered in the ledger.
"""

from __future__ import annotations

import signal
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from multiprocessing.connection import Connection
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reports.line_plot import line_plot
from search.config import StudyConfig
from search.objective import make_plan
from search.preparation import Prepared
from search.training.context import context, started
from search.training.plan import Plan
from search.training.process import n_threads_for
from search.training.recipe import Recipe, learning_rates, n_steps, recipe_for
from search.training.trained import Request, TrainingFailed, validation_loss
from spaces.families import FAMILIES
from spaces.joint import first_configs, space_of
from spaces.task import Task

Array = NDArray[Any]

HIGHEST_RATE = 10.0
N_STEPS, FEWEST_EPOCHS, MOST_EPOCHS = 400, 48, 120
MOST_BATCHES = 40  # an epoch of a large table is a random part of it: the test needs steps, not rows
SMOOTHING_DECADES = 0.15
CLIMB = 0.25
BLOWN = 4.0  # times the first loss, where the test ends
LEAST_FALL = 0.02


class RangeError(ValueError):
    """A range test that cannot be made or tells nothing."""


@dataclass(frozen=True)
class LrRange:
    """What a range test found.

    Attributes
    ----------
    rates : tuple of float
        Learning rate in the middle of each epoch, rising.
    losses, smoothed : tuple of float
        Mean training loss over members at each rate, and its running mean in the logarithm of the rate.
    steepest : float
        Rate at which the smoothed loss falls fastest, in proportion to itself.
    blow_up : float or None
        First rate behind the lowest loss where a quarter of the fall is lost again; None: not reached.
    low, high : float
        The suggested interval: from the steepest descent to a tenth of the blow-up, a factor of 3 at least.
    """

    family: str
    config: Mapping[str, Any]
    rates: tuple[float, ...]
    losses: tuple[float, ...]
    smoothed: tuple[float, ...]
    steepest: float
    blow_up: float | None
    low: float
    high: float

    def to_json(self) -> dict[str, Any]:
        """The result as a JSON object."""
        return {**asdict(self), "toml": self.toml}

    @property
    def toml(self) -> str:
        """The lines of a configuration file that search this interval."""
        interval = f"{{low = {self.low!r}, high = {self.high!r}}}"
        return f"[space.{self.family}]\nlearning_rate = {interval}\n"

    @property
    def sentence(self) -> str:
        """The result in words."""
        end = "did not blow up" if self.blow_up is None else f"blew up at {self.blow_up:.2g}"
        fall = f"the training loss fell fastest at a learning rate of {self.steepest:.2g} and {end}"
        return f"{fall}: search between {self.low:g} and {self.high:g}"

    def svg(self) -> str:
        """The plot, with the interval shaded."""
        lines = {
            "mean training loss": list(zip(self.rates, self.losses, strict=True)),
            "smoothed": list(zip(self.rates, self.smoothed, strict=True)),
        }
        # What lies far above the start would press all else flat.
        ceiling = self.smoothed[0] + 1.5 * (self.smoothed[0] - min(self.smoothed))
        seen = {name: [(x, min(y, ceiling)) for x, y in points] for name, points in lines.items()}
        return line_plot(
            seen, title=f"Learning-rate range test: {self.family}", x_label="learning rate",
            y_label="training loss", is_log_x=True, band=(self.low, self.high),
        )  # fmt: skip


def lr_range(config: StudyConfig, prepared: Prepared, family: str = "mlp") -> LrRange:
    """Make a range test of a family's first configuration, with the overrides of the study's space.

    Raises
    ------
    RangeError
        If the family is no network, or the loss never fell.
    TrainingFailed
        If the model could not be trained.
    """
    asked = _request(config, prepared, family)
    plan = make_plan(prepared.dataset, prepared.folds.members())
    plan = _in_part(plan, asked.recipe.batch_size, np.random.default_rng(asked.seed))
    steps = n_steps(min(len(rows) for rows in plan.train), asked.recipe.batch_size)
    n_epochs = int(np.clip(np.ceil(N_STEPS / steps), FEWEST_EPOCHS, MOST_EPOCHS))
    asked = replace(asked, recipe=replace(asked.recipe, n_epochs=n_epochs))
    task = prepared.dataset.task
    losses = _losses_in_child(plan, prepared.metric.name, task, asked).mean(axis=1)
    rates = learning_rates(asked.recipe, steps).reshape(n_epochs, steps)[:, steps // 2].astype(np.float64)
    return suggest(rates[: len(losses)], losses, family=family, config=asked.config)


def check_family(family: str) -> None:
    """Raise RangeError where a family is no network."""
    if family not in FAMILIES or not FAMILIES[family].is_network:
        networks = ", ".join(name for name, known in FAMILIES.items() if known.is_network)
        raise RangeError(f"a range test needs a family of networks ({networks}), got {family!r}")


def _request(config: StudyConfig, prepared: Prepared, family: str) -> Request:
    check_family(family)
    space = space_of((family,), prepared.signature, config.space)
    first = first_configs((family,), space, prepared.signature)[0]
    recipe = recipe_for(first, Recipe(patience=0.0, epoch_choice="fixed"))
    recipe = replace(recipe, learning_rate=HIGHEST_RATE, schedule="ramp", dropout_schedule="constant")
    seed = prepared.seeds.number("training")
    return Request(family, dict(first), prepared.signature, recipe, seed)


def _in_part(plan: Plan, batch_size: int, rng: np.random.Generator) -> Plan:
    """The plan with at most `MOST_BATCHES` batches of training rows of each member."""
    n_most = MOST_BATCHES * batch_size
    return replace(
        plan, train=tuple(r if len(r) <= n_most else rng.permutation(r)[:n_most] for r in plan.train)
    )


def suggest(rates: Array, losses: Array, *, family: str, config: Mapping[str, Any]) -> LrRange:
    """Read an interval off training losses at rising rates, both ``(n_epochs,)``.

    Losses are above 0; the last one may be not finite, which is a blow-up.

    Raises
    ------
    RangeError
        If the smoothed loss never falls by a fiftieth of its start.
    """
    known = np.isfinite(losses)
    if known.sum() < 3:
        raise RangeError(f"the training loss must fall at some learning rate, got {losses[:3].tolist()}")
    smoothed = smooth(np.log10(rates[known]), losses[known])
    bottom, start = int(np.argmin(smoothed)), float(smoothed[0])
    fall = start - float(smoothed[bottom])
    if bottom < 2 or fall < LEAST_FALL * abs(start):
        raise RangeError(f"the training loss must fall at some learning rate, and it fell by {fall:.3g}")
    slopes = np.gradient(np.log(smoothed), np.log10(rates[known]))
    steepest = float(rates[int(np.argmin(slopes[: bottom + 1]))])
    has_blown = not losses[-1] <= BLOWN * losses[0]
    blow_up = _blow_up(rates, smoothed, bottom, fall, has_blown=has_blown)
    high = (rates[-1] if blow_up is None else blow_up) / 10
    return LrRange(
        family=family,
        config=dict(config),
        rates=tuple(rates[known].tolist()),
        losses=tuple(losses[known].tolist()),
        smoothed=tuple(smoothed.tolist()),
        steepest=steepest,
        blow_up=blow_up,
        low=_rounded(min(steepest, high / 3)),
        high=_rounded(high),
    )


def _blow_up(rates: Array, smoothed: Array, bottom: int, fall: float, *, has_blown: bool) -> float | None:
    climbed = np.flatnonzero(smoothed[bottom:] > smoothed[bottom] + CLIMB * fall)
    if climbed.size:
        return float(rates[bottom + climbed[0]])
    return float(rates[-1]) if has_blown else None


def smooth(places: Array, values: Array) -> Array:
    """A running mean with Gaussian weights of width `SMOOTHING_DECADES`; places, values ``(n,)``.

    Values are held at twice the first one, so that a blow-up does not reach back.
    """
    held = np.minimum(values, values[0] + abs(values[0]))
    weights = np.exp(-0.5 * ((places[:, None] - places[None]) / SMOOTHING_DECADES) ** 2)
    means: Array = weights @ held / weights.sum(axis=1)
    return means


def _rounded(rate: float) -> float:
    """Two digits, which is more than a range test knows."""
    return float(f"{rate:.1e}")


def _losses_in_child(plan: Plan, metric: str, task: Task, request: Request) -> Array:
    """Training losses ``(n_done, n_members)`` from a process of their own, as TensorFlow wants one."""
    ours, theirs = context().Pipe(duplex=False)
    child = started(_send_losses, theirs, plan, metric, task, request, n_threads_for(plan.n_rows))
    theirs.close()
    try:
        answer = ours.recv()
    except EOFError:
        raise TrainingFailed("the training process died: out of memory?") from None
    finally:
        ours.close()
        child.terminate()
        child.join(5)
    if isinstance(answer, str):
        raise TrainingFailed(answer)
    return np.asarray(answer)


def _send_losses(
    pipe: Connection, plan: Plan, metric: str, task: Task, request: Request, n_threads: int
) -> None:
    """The child: train once, send the losses or the cause of the failure."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    import tensorflow as tf

    tf.config.threading.set_intra_op_parallelism_threads(n_threads)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    from search.training.engine import Engine

    try:
        pipe.send(Engine(plan, validation_loss(metric, task)).training_losses(request, BLOWN))
    except Exception as error:
        pipe.send(f"{type(error).__name__}: {' '.join(str(error).split())[:500]}")
