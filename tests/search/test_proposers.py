"""Proposers: laws that hold for every driver."""

from __future__ import annotations

import json
import math
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from search.proposers import (
    ProposerError,
    Status,
)
from search.proposers.seam import MOST_ASKED, key_of
from spaces.grid import Grid
from spaces.parameters import Choice
from spaces.space import Space
from tests.search.proposers.drivers import DRIVERS, NETS, SMALL, STATUSES, make, run
from tests.spaces.strategies import spaces


@pytest.fixture
def place() -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as folder:
        yield Path(folder)


@pytest.mark.parametrize("driver", DRIVERS)
def test_proposals_are_contained_and_numbered(driver: str, place: Path) -> None:
    n = 14 if driver == "kt-bayesian" else 25
    proposals = run(make(driver, NETS, place), n)
    assert [proposal.number for proposal in proposals] == list(range(n))
    for proposal in proposals:
        assert NETS.explain(proposal.config) is None
        assert json.loads(json.dumps(proposal.config)) == proposal.config
    if driver != "kt-grid":  # walks its grid from the last name, so its first rows are alike
        assert {"momentum" in p.config for p in proposals} == {True, False}
        assert {"l2" in p.config for p in proposals} == {True, False}


@pytest.mark.parametrize("driver", DRIVERS)
@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(space=spaces(), seed=st.integers(0, 2**31))
def test_proposals_of_any_space_are_contained(driver: str, space: Space, seed: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        proposals = run(make(driver, space, Path(folder) if driver.startswith("kt-") else None, seed), 8)
    assert proposals
    for proposal in proposals:
        assert space.explain(proposal.config) is None


@pytest.mark.parametrize("driver", DRIVERS)
def test_same_seed_same_proposals(driver: str) -> None:
    n = 12 if driver == "kt-bayesian" else 20
    with tempfile.TemporaryDirectory() as one, tempfile.TemporaryDirectory() as two:
        first, second = (run(make(driver, NETS, Path(folder), seed=0), n) for folder in (one, two))
    assert first == second


@pytest.mark.parametrize("driver", [driver for driver in DRIVERS if driver != "kt-grid"])
def test_other_seed_other_proposals(driver: str) -> None:
    keys = []
    for seed in (0, 1, 2):
        with tempfile.TemporaryDirectory() as folder:
            proposals = run(make(driver, NETS, Path(folder), seed=seed), 8)
            keys.append({key_of(proposal.config) for proposal in proposals})
    assert not keys[0] & keys[1] and not keys[1] & keys[2]


@pytest.mark.parametrize("driver", DRIVERS)
def test_resumed_goes_on_as_if_it_had_never_stopped(driver: str) -> None:
    n = 12 if driver == "kt-bayesian" else 20
    with tempfile.TemporaryDirectory() as one, tempfile.TemporaryDirectory() as two:
        whole = run(make(driver, NETS, Path(one)), n)
        parts = [*run(make(driver, NETS, Path(two)), 7), *run(make(driver, NETS, Path(two)), n - 7)]
    assert [proposal.number for proposal in parts] == list(range(n))
    assert parts == whole
    keys = [key_of(proposal.config) for proposal in parts]
    assert len(set(keys)) == n


@pytest.mark.parametrize("driver", DRIVERS)
def test_what_was_asked_and_not_told_is_asked_again_but_not_for_ever(driver: str, place: Path) -> None:
    proposer = make(driver, NETS, place)
    run(proposer, 3)
    lost = proposer.ask()
    for _ in range(MOST_ASKED - 1):
        assert make(driver, NETS, place).ask() == lost
    again = make(driver, NETS, place).ask()  # it has killed so many processes now
    assert again is not None and again.number == 4
    assert lost is not None and again.config != lost.config
    assert [proposal.number for proposal in run(make(driver, NETS, place), 3)] == [4, 5, 6]


@pytest.mark.parametrize("driver", DRIVERS)
def test_taken_up_proposals_can_be_told(driver: str, place: Path) -> None:
    make(driver, NETS, place).ask()
    proposer = make(driver, NETS, place)
    taken_up = proposer.ask()
    assert taken_up is not None and taken_up.number == 0
    proposer.tell(taken_up, 1.0, "completed", [(1, 2.0), (2, 1.0)])
    assert [proposal.number for proposal in run(make(driver, NETS, place), 2)] == [1, 2]


@pytest.mark.parametrize("driver", DRIVERS)
@pytest.mark.parametrize("status", STATUSES)
def test_every_status_is_accepted_over_and_over(driver: str, status: Status, place: Path) -> None:
    assert len(run(make(driver, NETS, place), 6, (status,))) == 6


@pytest.mark.parametrize("driver", DRIVERS)
@pytest.mark.parametrize("loss", [None, math.nan, math.inf, -math.inf, np.float32(0.5), 10**6])
def test_odd_losses_are_accepted(driver: str, loss: Any, place: Path) -> None:
    proposer = make(driver, NETS, place)
    for status in STATUSES:
        for curve in ((), [(1, math.nan), (2, math.inf), (2, 0.5), (2, 0.4)]):
            proposal = proposer.ask()
            assert proposal is not None
            proposer.tell(proposal, loss, status, curve)
    assert run(make(driver, NETS, place), 2)


@pytest.mark.parametrize("driver", ["grid", "kt-grid"])
def test_grid_visits_each_configuration_once_and_ends(driver: str, place: Path) -> None:
    proposals = run(make(driver, SMALL, place), 100)
    grid = Grid(SMALL)
    assert grid.n_configs == 8
    expected = sorted(key_of(grid.config(k)) for k in range(8))
    assert sorted(key_of(proposal.config) for proposal in proposals) == expected
    assert make(driver, SMALL, place).ask() is None


@pytest.mark.parametrize("driver", ["grid", "kt-grid"])
def test_resumed_grid_visits_the_rest(driver: str, place: Path) -> None:
    keys = []
    for _ in range(5):
        keys += [key_of(proposal.config) for proposal in run(make(driver, SMALL, place), 2)]
    assert len(keys) == len(set(keys)) == 8


@pytest.mark.parametrize("driver", ["tpe", "random", "kt-random", "kt-bayesian", "kt-hyperband"])
def test_a_finite_space_ends_too(driver: str, place: Path) -> None:
    space = Space({"a": Choice(["x", "y"])}, {}, {"b": 1})
    proposals = run(make(driver, space, place), 60, ("completed",))
    assert {str(proposal.config["a"]) for proposal in proposals} == {"x", "y"}
    assert len(proposals) < 60


@pytest.mark.parametrize("driver", DRIVERS)
def test_a_space_without_parameters_is_proposed_once(driver: str, place: Path) -> None:
    space = Space({}, {}, {"depth": 3})
    proposals = run(make(driver, space, place), 9, ("completed",))
    assert [p.config for p in proposals if p.rung is None or p.rung.resumes is None] == [{"depth": 3}]
    stops = [proposal.rung.stop for proposal in proposals if proposal.rung is not None]
    assert stops == ([1, 3, 9, 27] if driver == "kt-hyperband" else []), "it goes on to the last epoch"


@pytest.mark.parametrize("driver", DRIVERS)
def test_overridden_spaces_work(driver: str, place: Path) -> None:
    for k, table in enumerate(
        ({"l2": 1e-4, "depth": 9}, {"l2": "off"}, {"optimizer": "adam"}, {"momentum": 0.5})
    ):
        space = NETS.override(table)
        for proposal in run(make(driver, space, place / str(k)), 5):
            assert space.explain(proposal.config) is None


@pytest.mark.parametrize("driver", DRIVERS)
def test_the_storage_of_another_space_is_refused(driver: str, place: Path) -> None:
    run(make(driver, NETS, place), 2)
    with pytest.raises(ProposerError, match="searches another space") as caught:
        make(driver, NETS.override({"depth": {"high": 9}}), place)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("driver", DRIVERS)
def test_a_proposal_is_told_once(driver: str, place: Path) -> None:
    proposer = make(driver, NETS, place)
    (proposal,) = run(proposer, 1)
    with pytest.raises(ProposerError, match="must be open to be told, got number 0"):
        proposer.tell(proposal, 1.0, "completed")
    another = proposer.ask()
    assert another is not None
    with pytest.raises(ProposerError, match="a status must be one of"):
        proposer.tell(another, 1.0, "done")  # type: ignore[arg-type]


@pytest.mark.parametrize("driver", DRIVERS)
def test_nothing_is_printed(driver: str, place: Path, capfd: pytest.CaptureFixture[str]) -> None:
    run(make(driver, NETS, place), 8)
    assert capfd.readouterr() == ("", "")
