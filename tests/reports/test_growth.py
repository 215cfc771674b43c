"""Growth replays a study as if it had ended earlier; its last point is of all trials."""

from copy import deepcopy

import numpy as np
import pytest

from reports.estimates import estimate
from reports.growth import first, growth, sizes
from tests.reports.histories import rule_for, small


def test_the_last_point_is_of_all_trials_and_earlier_ones_are_those_of_shorter_studies() -> None:
    history, rule, rng = small(n_trials=8), rule_for("log_loss"), np.random.default_rng(4)
    honest = estimate(history, rule, rng=deepcopy(rng), n_draws=0, n_share_rounds=0)
    found = growth(history, rule, rng=rng, n_points=3)
    assert [point["n_trials"] for point in found] == sizes(history, 3) == [3, 5, 8]
    assert found[-1]["ensemble_honest"] == pytest.approx(honest.ensemble.honest)
    assert found[-1]["last_trial"] == 7
    alone = estimate(first(history, 5), rule, rng=deepcopy(rng), n_draws=0, n_share_rounds=0)
    assert found[1]["winner_honest"] == pytest.approx(alone.winner.honest)
    assert found[1]["ensemble_printed"] == pytest.approx(alone.ensemble.printed)


def test_the_best_printed_score_never_gets_worse() -> None:
    history, rule = small(seed=2, n_trials=10), rule_for("log_loss", ceilings=None)
    printed = [p["winner_printed"] for p in growth(history, rule, rng=np.random.default_rng(1))]
    assert np.all(np.diff(printed) <= 1e-12)


def test_it_begins_where_a_trial_was_completed() -> None:
    is_completed = np.array([False] * 5 + [True] * 3)
    assert sizes(small(is_completed=is_completed), 4)[0] == 6
    assert sizes(small(n_trials=2), 4) == [2]
