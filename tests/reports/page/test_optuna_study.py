"""Trials become Optuna trials: numbers, states, values and distributions, with labels for names."""

from itertools import pairwise
from typing import Any

import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import TrialState

from reports.page.figure import label
from reports.page.history import MOST_POINTS
from reports.page.history import section as history_section
from reports.page.optuna_study import MOST_BEST, MOST_TRIALS, SearchedSpace, distinct, drawn, study_of
from reports.page.search_plots import section
from search.records import Run, Trial
from tests.reports.page.runs import HOSTILE, SPACE, trials


def test_a_family_s_study_keeps_numbers_and_leaves_other_families_out() -> None:
    study = study_of(trials(), SearchedSpace(SPACE), family="mlp", is_higher_better=False)
    assert [trial.number for trial in study.trials] == list(range(11))
    states = [trial.state for trial in study.trials]
    assert states == [TrialState.COMPLETE] * 8 + [TrialState.FAIL] * 2 + [TrialState.WAITING]
    first = study.trials[0]
    assert first.value == trials()[0].score and first.params["depth"] == 1
    assert first.distributions["rate"] == FloatDistribution(1e-4, 1.0, log=True)
    assert first.distributions["depth"] == IntDistribution(1, 4)
    assert str(first.datetime_start) == "2026-01-02 03:04:00"


def test_names_and_options_are_labels_that_stay_apart() -> None:
    study = study_of(trials(), SearchedSpace(SPACE), family="mlp", is_higher_better=False)
    distribution = study.trials[0].distributions[label(HOSTILE)]
    assert isinstance(distribution, CategoricalDistribution) and len(set(distribution.choices)) == 4
    assert not any("<" in str(choice) for choice in distribution.choices)
    assert distinct(["x" * 90, "x" * 91, "y"])[1].endswith("(2)")


def test_the_study_of_all_families_has_every_state() -> None:
    study = study_of(trials(), SearchedSpace(SPACE), family=None, is_higher_better=True)
    assert [t.state for t in study.trials][8:] == [TrialState.PRUNED, TrialState.FAIL, TrialState.WAITING]
    assert study.best_trial.params == {"family": "mlp"} and study.direction.name == "MAXIMIZE"


@pytest.mark.parametrize("value", [9, "8", None, 1.5])
def test_values_outside_the_space_are_left_out(value: Any) -> None:
    space = SearchedSpace(
        {"parameters": [{"name": "n", "kind": "int", "low": 1, "high": 4, "log": True, "step": 1}]}
    )
    odd = Trial(0, "own", {"n": value, "other": 3}, "completed", score=1.0)
    params = study_of([odd], space, family="own", is_higher_better=False).trials[0].params
    assert params in ({}, {"n": 1})


FACTS = {"search": {"families": [{"family": "mlp", "n_completed": 4, "importances": {}}]}}


@pytest.mark.parametrize(
    "scores", [[0.5], [0.5, 0.5], [0.5] * 4, [0.1, 0.2, 0.3, 0.4]], ids=["one", "two", "equal", "four"]
)
def test_few_or_equal_trials_leave_plots_out_and_say_so(tmp_path: Any, scores: list[float]) -> None:
    run = Run.create(tmp_path / "run")
    run.save_json("run.json", {"metric": "rmse", "space": SPACE})
    for number, score in enumerate(scores):
        run.append_trial(Trial(number, "mlp", {"rate": 0.1, "depth": 2}, "completed", score=score))
    got = section(FACTS, run)
    assert [figure.name for figure in got.figures] == ["timeline"]
    assert "Plots are left out" in got.html


def many(n: int) -> list[Trial]:
    """Trials of which the last are the best."""
    return [Trial(k, "mlp", {"depth": 1 + k % 4}, "completed", score=1.0 - k / n) for k in range(n)]


def test_of_many_trials_the_best_and_an_even_sample_are_drawn() -> None:
    found = many(3 * MOST_TRIALS)
    shown = drawn(found[::-1], is_higher_better=False)
    numbers = [trial.number for trial in shown]
    assert len(numbers) == MOST_TRIALS and numbers == sorted(set(numbers))
    assert set(numbers) >= {trial.number for trial in found[-MOST_BEST:]}
    others = numbers[: MOST_TRIALS - MOST_BEST]
    assert max(b - a for a, b in pairwise(others)) <= 4
    assert drawn(found, is_higher_better=True)[0].number == 0
    assert drawn(found[:MOST_TRIALS], is_higher_better=True) == found[:MOST_TRIALS]


def test_trials_that_are_drawn_keep_their_numbers() -> None:
    shown = drawn(many(2 * MOST_TRIALS), is_higher_better=False)[-5:]
    study = study_of(shown, SearchedSpace(SPACE), family="mlp", is_higher_better=False)
    assert [trial.number for trial in study.trials] == [trial.number for trial in shown]
    assert study.best_trial.number == 2 * MOST_TRIALS - 1


def test_a_picture_of_many_trials_is_bounded_and_says_so() -> None:
    n = 5 * MOST_POINTS // 2
    scores = [1.0 - k / n for k in range(n)]
    facts = {
        "metric": {"name": "rmse", "is_higher_better": False},
        "baselines": [],
        "honesty": {"scores": []},
        "history": {
            "trial": list(range(n)), "score": scores, "status": ["completed"] * n,
            "best": [0.5] * (n - 1) + [0.1], "growth": None,
        },
    }  # fmt: skip
    figure = history_section(facts).figures[0]
    points, best = figure.data[0], figure.data[1]
    assert len(points["x"]) <= MOST_POINTS and "one in 3 is a point" in figure.says
    assert best["x"] == [0, n - 1] and best["y"] == [0.5, 0.1]
