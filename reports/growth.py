"""How the scores grew with the trials: best single trial and ensemble, printed and honest."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import replace
from typing import Any

import numpy as np

from reports.estimates import Honest, estimate
from reports.history import History
from reports.replay import Rule

N_POINTS = 6
N_ROUNDS = 5  # as of the study's own replay
MANY_ROWS = 10_000  # held-out rows from which one round is precise enough
FEWEST_TRIALS = 3


def growth(
    history: History, rule: Rule, *, rng: np.random.Generator, n_points: int = N_POINTS
) -> list[dict[str, Any]]:
    """Scores after the first trials of a study, as if it had ended there; one record for each point.

    Each point is a cross-fitted replay, all on the same parts of the rows.

    Parameters
    ----------
    rule
        That of the study. What it settles beforehand, such as the method that weighs, saves time here, and
        then the last point is somewhat better than the study's own honest score.
    rng
        Left as it is.
    n_points : int
        So many numbers of trials, evenly in their logarithm; the last is all of them.

    Returns
    -------
    list of dict
        `n_trials` (those with stored predictions), `last_trial` (its number), and the scores
        `winner_printed`, `winner_honest`, `ensemble_printed`, `ensemble_honest`.
    """
    n_rounds = N_ROUNDS if int(history.is_ever_held.sum()) < MANY_ROWS else 1
    points = []
    for n_trials in sizes(history, n_points):
        part, own = first(history, n_trials), deepcopy(rng)
        found = estimate(part, rule, rng=own, n_rounds=n_rounds, n_draws=0, n_share_rounds=0)
        points.append(_point(part, found))
    return points


def sizes(history: History, n_points: int) -> list[int]:
    """The numbers of trials that are looked at: from the third on, and not before one was completed."""
    first_completed = int(np.flatnonzero(history.is_completed)[0]) + 1
    start = min(history.n_trials, max(FEWEST_TRIALS, first_completed))
    return [int(n) for n in np.unique(np.geomspace(start, history.n_trials, n_points).round())]


def first(history: History, n_trials: int) -> History:
    """The history of the first `n_trials` trials."""
    watched = history.is_watched
    return replace(
        history,
        numbers=history.numbers[:n_trials],
        is_completed=history.is_completed[:n_trials],
        architectures=history.architectures[:n_trials],
        epochs=history.epochs[:n_trials],
        predictions=history.predictions[:n_trials],
        is_watched=None if watched is None else watched[:n_trials],
    )


def _point(history: History, honest: Honest) -> dict[str, Any]:
    return {
        "n_trials": history.n_trials,
        "last_trial": history.numbers[-1],
        "winner_printed": honest.winner.printed,
        "winner_honest": honest.winner.honest,
        "ensemble_printed": honest.ensemble.printed,
        "ensemble_honest": honest.ensemble.honest,
    }
