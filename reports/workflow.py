"""The textbook's way through a table in records: its steps, what they answer, and both as Markdown.

Chollet, "Deep Learning with Python", 2nd edition, sections 5.3 and 6.2: beat a baseline, get statistical
power, overfit, then regularise and tune.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reports.comparisons import Difference, corrected_t
from reports.line_plot import line_plot
from reports.markdown import section, table

Array = NDArray[Any]

LARGE_SPREAD = 0.1  # of what is learned beyond the dummy
LEAST_RISE = 0.05  # likewise
STILL_FALLING = 0.95  # of the training loss at three quarters of the epochs

_APART = "Nothing in it was decided by the steps before; whoever acts on both has looked twice."
_VERDICTS = {True: "yes", False: "no", None: "cannot be told"}


@dataclass(frozen=True)
class Step:
    """One model of the workflow.

    Attributes
    ----------
    score, loss : float
        Cross-validated, in the metric's own direction and lower-is-better; where an epoch or more was chosen,
        that choice is cross-fitted.
    fold_losses : tuple of float
        At the chosen epoch, by member.
    repeat_losses : tuple of float
        The pooled loss of each reshuffle.
    epochs, curve, train_curve : tuple
        Looks; mean held-out loss in the metric, and mean training loss, there. Empty without epochs.
    """

    name: str
    what: str
    score: float
    loss: float
    fold_losses: tuple[float, ...] = ()
    repeat_losses: tuple[float, ...] = ()
    train_score: float | None = None
    epochs: tuple[int, ...] = ()
    curve: tuple[float, ...] = ()
    train_curve: tuple[float, ...] = ()
    chosen_epoch: int | None = None
    n_parameters: int | None = None
    seconds: float = 0.0
    config: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Answer:
    """A question, whether it is so (None: cannot be told), and why in words."""

    question: str
    is_so: bool | None
    why: str


def answers(
    dummy: Step, power: Step, overfit: Step, regularised: Step, test_to_train: float
) -> tuple[Answer, ...]:
    """What the steps say: power, data, capacity, regularisation.

    Parameters
    ----------
    test_to_train : float
        Rows held out over rows trained on, for the corrected t of paired folds.
    """
    return (
        has_power(dummy, power, test_to_train),
        is_data_too_small(dummy, power),
        is_capacity_too_small(dummy, overfit),
        is_regularisation_worth_it(overfit, regularised, test_to_train),
    )


def has_power(dummy: Step, power: Step, test_to_train: float) -> Answer:
    """Whether a small network beats the dummy, by folds in pairs (Nadeau & Bengio 2003)."""
    found = _paired(power, dummy, test_to_train)
    is_so = None if found is None else (True if found.high < 0 else None)
    return Answer("Does a small network have statistical power?", is_so, _of_pairs(found, "the dummy"))


def is_data_too_small(dummy: Step, power: Step) -> Answer:
    """Whether reshuffling the folds moves the small network's loss by much of what it learns.

    Much is a tenth of the gain over the dummy, as the standard deviation over reshuffles.
    """
    question, n = "Is the data too small for a single k-fold?", len(power.repeat_losses)
    if n < 2:
        return Answer(question, None, f"the spread over reshuffles needs two repeats, and there was {n}")
    gain, spread = dummy.loss - power.loss, float(np.std(power.repeat_losses, ddof=1))
    if gain <= 0:
        return Answer(question, None, f"nothing was learned beyond the dummy; the spread is {spread:.3g}")
    share = spread / gain
    why = f"reshuffling moves the loss by {spread:.3g}, {share:.0%} of the gain of {gain:.3g} over the dummy"
    return Answer(question, share > LARGE_SPREAD, why)


def is_capacity_too_small(dummy: Step, overfit: Step) -> Answer:
    """Whether a large network without regularisation does not overfit.

    It overfits where its held-out loss ends above its lowest by a twentieth of what it gains over the dummy,
    while the training loss falls on.
    """
    question = "Is the capacity too small?"
    best = int(np.argmin(overfit.curve))
    gain = max(dummy.loss - overfit.curve[best], 1e-12)
    rise, falls = overfit.curve[-1] - overfit.curve[best], overfit.train_curve[-1] < overfit.train_curve[best]
    if falls and rise > LEAST_RISE * gain:
        return Answer(
            question, False,
            f"it overfits: after epoch {overfit.epochs[best]} the held-out loss rises by {rise:.3g} "
            "while the training loss falls",
        )  # fmt: skip
    late = int(np.searchsorted(overfit.epochs, 0.75 * overfit.epochs[-1]))
    if overfit.train_curve[-1] < STILL_FALLING * overfit.train_curve[late]:
        return Answer(question, None, "it does not overfit yet, and still learns at the end: more epochs")
    return Answer(question, True, "it does not overfit, and its training loss has stopped to fall")


def is_regularisation_worth_it(overfit: Step, regularised: Step, test_to_train: float) -> Answer:
    """Whether the same network is better with dropout and weight decay.

    Each stands at its own best epoch, chosen on the rows of the comparison: one choice each, alike for both.
    """
    found = _paired(regularised, overfit, test_to_train)
    is_so = None
    if found is not None and (found.high < 0 or found.low > 0):
        is_so = found.high < 0
    return Answer("Is regularisation worth it?", is_so, _of_pairs(found, "the same network without"))


def _paired(first: Step, second: Step, test_to_train: float) -> Difference | None:
    differences = np.subtract(first.fold_losses, second.fold_losses)
    if len(differences) < 2 or not np.isfinite(differences).all():
        return None
    return corrected_t(differences, test_to_train=test_to_train)


def _of_pairs(found: Difference | None, other: str) -> str:
    if found is None:
        return f"a comparison with {other} needs two folds with a loss each"
    interval = f"95 % interval {found.low:.3g} to {found.high:.3g} over {found.n} paired folds"
    return f"its loss less that of {other} is {found.mean:.3g} ({interval})"


def to_json(steps: Sequence[Step], found: Sequence[Answer], facts: dict[str, Any]) -> dict[str, Any]:
    """Everything as one JSON object."""
    return {**facts, "steps": [asdict(step) for step in steps], "answers": [asdict(a) for a in found]}


def markdown(
    steps: Sequence[Step], found: Sequence[Answer], facts: dict[str, Any], plots: Sequence[str]
) -> str:
    """The workflow as a page; ``plots`` are the names of image files beside it."""
    head = ("step", facts["metric"], "on training rows", "best epoch", "parameters", "seconds")
    rows = [
        (step.name, f"{step.score:.4g}", _number(step.train_score), _number(step.chosen_epoch),
         _number(step.n_parameters), f"{step.seconds:.1f}")
        for step in steps
    ]  # fmt: skip
    verdicts = "\n".join(f"- **{a.question}** {_VERDICTS[a.is_so].capitalize()}: {a.why}." for a in found)
    what = "\n".join(f"- {step.name}: {step.what}." for step in steps)
    note = (
        "Scores are cross-validated on the same folds; where an epoch, a winner or weights were chosen, that "
        "choice was made again without the rows that are scored."
    )
    parts = [
        section("Answers", verdicts),
        section("Steps", table([head, *rows]), what, f"{note} {facts['folds']}"),
        section("Curves", *(f"![{name}]({name})" for name in plots)),
        section("Next", f"The tuned study is in `{facts['tuned']}`, with a report of its own. {_APART}"),
    ]
    return "\n\n".join([f"# Workflow: {facts['name']}", *parts]) + "\n"


def _number(value: float | int | None) -> str:
    return "" if value is None else f"{value:.4g}" if isinstance(value, float) else str(value)


def curve_plots(steps: Sequence[Step]) -> dict[str, str]:
    """SVG text by file name: held-out losses in the metric, and training losses, of all steps with epochs."""
    trained = [step for step in steps if step.epochs]
    return {
        name: line_plot(
            {step.name: list(zip(step.epochs, getattr(step, of), strict=True)) for step in trained},
            title=title, x_label="epoch", y_label="loss", is_log_x=True,
        )
        for name, of, title in (
            ("held_out_curves.svg", "curve", "Held-out loss in the metric"),
            ("training_curves.svg", "train_curve", "Training loss"),
        )
    }  # fmt: skip
