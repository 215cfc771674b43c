"""The KerasTuner driver: what KerasTuner would get wrong by itself."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest

from search.proposers import (
    ProposerError,
    keras_tuner_proposer,
)
from spaces.parameters import Float
from spaces.space import Space
from tests.search.proposers.drivers import NETS, make, run


def test_keras_tuner_ends_after_max_trials(place: Path) -> None:
    assert len(run(make("kt-random", NETS, place, max_trials=4), 10)) == 4
    assert make("kt-random", NETS, place, max_trials=4).ask() is None
    assert len(run(make("kt-random", NETS, place, max_trials=12), 20)) == 8


def test_an_infinite_loss_is_never_the_best(place: Path) -> None:
    proposer = make("kt-bayesian", NETS, place)
    oracle = proposer._oracle  # type: ignore[attr-defined]
    for loss in (3.0, math.inf, math.nan, 2.0):
        proposal = proposer.ask()
        assert proposal is not None
        proposer.tell(proposal, loss, "completed")
    assert [trial.status for trial in oracle.trials.values()] == [
        "COMPLETED",
        "FAILED",
        "FAILED",
        "COMPLETED",
    ]
    assert oracle.get_best_trials()[0].score == 2.0


def test_bayesian_learns_from_what_it_is_told(place: Path) -> None:
    proposer = make("kt-bayesian", Space({"x": Float(-1, 1)}), place)
    losses = []
    for _ in range(13):
        proposal = proposer.ask()
        assert proposal is not None
        losses.append((float(proposal.config["x"] or 0) - 0.3) ** 2)
        proposer.tell(proposal, losses[-1], "completed")
    assert min(losses[10:]) < 0.5 * min(losses[:10])


def test_a_folder_of_another_oracle_is_refused(place: Path) -> None:
    run(make("kt-random", NETS, place), 1)
    with pytest.raises(ProposerError, match="belongs to oracle 'random', not 'grid'"):
        make("kt-grid", NETS, place)


def test_keras_tuner_writes_one_whole_file(place: Path) -> None:
    run(make("kt-grid", NETS, place), 3)
    assert [path.name for path in (place / "kt").iterdir()] == ["oracle.json"]
    json.loads((place / "kt" / "oracle.json").read_text())


@pytest.mark.parametrize(
    ("options", "rule"),
    [
        ({"oracle": "hyper"}, "an oracle must be one of random, bayesian, grid, hyperband, got 'hyper'"),
        ({"oracle": "hyperband"}, "max_epochs must be at least 1, got None"),
        ({"oracle": "random", "max_trials": 0}, "max_trials must be at least 1, got 0"),
    ],
)
def test_errors_of_the_keras_tuner_door(options: dict[str, Any], rule: str, place: Path) -> None:
    with pytest.raises(ProposerError, match=rule):
        keras_tuner_proposer(NETS, **{"seed": 0, "directory": place, "max_trials": 3, **options})
