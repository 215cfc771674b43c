"""The Optuna driver: what it records, and what Optuna would get wrong by itself."""

from __future__ import annotations

import importlib.util
import math
from collections.abc import Callable
from pathlib import Path
from typing import get_args

import numpy as np
import pytest

from search.proposers import (
    Proposer,
    ProposerError,
    Sampler,
    optuna_proposer,
)
from search.proposers.plans import GridPlan
from search.proposers.seam import key_of
from spaces.parameters import Float
from spaces.space import Config, Space
from tests.search.proposers.drivers import NETS, loss_of, run


def quadratic(sampler: Sampler, seed: int, n: int) -> float:
    """The best loss that a sampler finds on a bowl over three numbers."""
    space = Space({name: Float(-1, 1) for name in "xyz"})
    proposer, best = optuna_proposer(space, sampler=sampler, seed=seed), math.inf
    for _ in range(n):
        proposal = proposer.ask()
        assert proposal is not None
        x, y, z = (float(value or 0) for value in proposal.config.values())
        loss = (x - 0.3) ** 2 + (y + 0.4) ** 2 + (z - 0.1) ** 2
        proposer.tell(proposal, loss, "completed")
        best = min(best, loss)
    return best


def test_tpe_learns_from_what_it_is_told() -> None:
    tpe, chance = (np.median([quadratic(name, seed, 40) for seed in range(9)]) for name in ("tpe", "random"))
    assert tpe < 0.6 * chance


def test_qmc_fills_the_space_evenly() -> None:
    space = Space({name: Float(0, 1) for name in "xy"})
    proposals = run(optuna_proposer(space, sampler="qmc", seed=3), 16, ("completed",))
    table = np.array([[p.config["x"], p.config["y"]] for p in proposals], dtype=float)
    for column in table.T:
        assert np.bincount((column * 16).astype(int), minlength=16).tolist() == [1] * 16
    cells = (table * 4).astype(int)
    assert len({(int(i), int(j)) for i, j in cells}) == 16


def test_enqueued_configurations_come_first_and_once(place: Path) -> None:
    first: Config = {**NETS.sample(np.random.default_rng(1))}
    path = place / "journal.log"
    for sampler in get_args(Sampler)[:4]:
        proposer = optuna_proposer(
            NETS, sampler=sampler, seed=0, storage_path=path, study_name=sampler, enqueue=[first]
        )
        proposals = run(proposer, 3)
        again = optuna_proposer(
            NETS, sampler=sampler, seed=0, storage_path=path, study_name=sampler, enqueue=[first]
        )
        proposals += run(again, 3)
        assert proposals[0].config == first
        assert all(proposal.config != first for proposal in proposals[1:])


def test_enqueued_configurations_must_be_contained() -> None:
    with pytest.raises(ProposerError, match="must be in the space: 'epochs' is fixed to 10, got None"):
        optuna_proposer(NETS, seed=0, enqueue=[{"depth": 1}])


def test_optuna_records_states_losses_and_thin_curves(place: Path) -> None:
    import optuna

    run(optuna_proposer(NETS, seed=0, storage_path=place / "journal.log", study_name="s"), 4)
    storage = optuna.storages.JournalStorage(
        optuna.storages.journal.JournalFileBackend(str(place / "journal.log"))  # type: ignore[attr-defined]
    )
    study = optuna.load_study(study_name="s", storage=storage)
    assert study.direction.name == "MINIMIZE"
    assert [trial.state.name for trial in study.trials] == ["COMPLETE", "PRUNED", "FAIL", "COMPLETE"]
    steps = sorted(study.trials[1].intermediate_values)
    assert len(steps) == 8 and (steps[0], steps[-1]) == (1, 19)
    assert study.trials[1].value == pytest.approx(1 / 19)
    assert not study.trials[2].intermediate_values
    assert study.trials[0].value == pytest.approx(loss_of({**NETS.fixed, **study.trials[0].params}))


def test_a_torn_journal_is_read_on(place: Path) -> None:
    path = place / "journal.log"
    before = run(optuna_proposer(NETS, seed=0, storage_path=path), 3)
    with path.open("ab") as file:
        file.write(b'{"op_code":4,"worker')
    after = run(optuna_proposer(NETS, seed=0, storage_path=path), 3)
    last = run(optuna_proposer(NETS, seed=0, storage_path=path), 1)
    assert [proposal.number for proposal in before + after + last] == list(range(7))


def test_wide_grids_are_lazy_and_do_not_repeat() -> None:
    plan = GridPlan(Space({f"x{k}": Float(0, 1) for k in range(40)}), seed=0)
    configs = [plan.propose(k, set()) for k in range(20)]
    assert len({key_of(config or {}) for config in configs}) == 20


@pytest.mark.parametrize(
    ("make_one", "rule"),
    [
        (
            lambda: optuna_proposer(NETS, sampler="tpee", seed=0),
            "one of tpe, random, grid, qmc, cmaes, got 'tpee'",
        ),  # type: ignore[arg-type]
        (lambda: optuna_proposer(NETS, seed=-1), "a seed must be at least 0, got -1"),
    ],
)
def test_errors_of_the_optuna_door(make_one: Callable[[], Proposer], rule: str) -> None:
    with pytest.raises(ProposerError, match=rule):
        make_one().ask()


def test_a_missing_cmaes_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ProposerError, match="needs the package cmaes: pip install cmaes"):
        optuna_proposer(NETS, sampler="cmaes", seed=0)
