"""Proposers: the one ask/tell seam between what proposes configurations and what evaluates them.

Two drivers stand behind it, Optuna's samplers and KerasTuner's oracles; nothing outside this folder can
tell which one proposed. Both libraries are imported when a proposer is made.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from search.proposers.seam import Proposal, Proposer, ProposerError, Rung, Status
from spaces.families import family_of
from spaces.space import Config, Space

Sampler = Literal["tpe", "random", "grid", "qmc", "cmaes"]
Oracle = Literal["random", "bayesian", "grid", "hyperband"]

__all__ = [
    "Oracle",
    "Proposal",
    "Proposer",
    "ProposerError",
    "Rung",
    "Sampler",
    "Status",
    "check_has_epochs",
    "keras_tuner_proposer",
    "optuna_proposer",
]


def optuna_proposer(
    space: Space,
    *,
    sampler: Sampler = "tpe",
    seed: int,
    storage_path: Path | None = None,
    study_name: str = "study",
    enqueue: Sequence[Config] = (),
) -> Proposer:
    """A proposer over an Optuna study, new or continued.

    The n-th proposal depends on the seed, n and what was told before, so that a study continued from its
    storage goes on as if it had never stopped. Proposals that were asked for and never told are proposed
    again first, under their number, once; a second time they count as failed.

    Parameters
    ----------
    space : Space
    sampler : {"tpe", "random", "grid", "qmc", "cmaes"}
        ``tpe`` starts with 10 random trials; ``grid`` goes in random order through all choices and at most
        10 values of each range.
    seed : int
        Root seed, at least 0.
    storage_path : Path, optional
        Optuna journal file (optuna-dashboard opens it); in memory if None.
    study_name : str
    enqueue : sequence of Config
        Configurations to propose first; those already in the storage are not repeated.

    Raises
    ------
    ProposerError
        If the sampler is unknown or not installed, the storage belongs to another space, or a
        configuration of ``enqueue`` is not contained in the space.
    """
    from search.proposers.optuna_driver import OptunaProposer

    proposer: Proposer = OptunaProposer(
        space, sampler=sampler, seed=seed, storage_path=storage_path, study_name=study_name, enqueue=enqueue
    )
    return proposer


def keras_tuner_proposer(
    space: Space,
    *,
    oracle: Oracle = "bayesian",
    seed: int,
    directory: Path,
    max_trials: int,
    max_epochs: int | None = None,
) -> Proposer:
    """A proposer over a KerasTuner oracle, new or continued. Imports TensorFlow.

    Parameters
    ----------
    space : Space
    oracle : {"random", "bayesian", "grid", "hyperband"}
        ``bayesian`` starts with 10 random trials; ``grid`` takes about 10 values of a continuous range;
        ``hyperband`` says in each proposal's ``rung`` how far it is trained, and which trial it goes on from.
    seed : int
        Root seed, at least 0.
    directory : Path
        Where the state is kept, in one file replaced as a whole; made if missing.
    max_trials : int
        After so many proposals `ask` gives None; hyperband begins with the largest bracket that they finish.
    max_epochs : int, optional
        Epochs of a whole training, which hyperband shares out.

    Raises
    ------
    ProposerError
        If the oracle is unknown, or the directory belongs to another space, oracle or number of epochs.
    """
    from search.proposers.keras_tuner_driver import KerasTunerProposer

    return KerasTunerProposer(
        space, oracle=oracle, seed=seed, directory=directory, max_trials=max_trials, max_epochs=max_epochs
    )


def check_has_epochs(families: Sequence[str]) -> None:
    """Refuse families whose trials cannot be stopped at an epoch and taken up, as hyperband does it.

    Raises
    ------
    ProposerError
        If one is no network.
    """
    others = [name for name in families if not family_of(name).is_network]
    if others:
        raise ProposerError(
            f"hyperband shares out the epochs of networks, and {', '.join(others)} have none: "
            "name networks alone, such as --families mlp"
        )
