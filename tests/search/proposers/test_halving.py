"""Hyperband's brackets: sizes, rounds and epochs; failures, repeated values and reloading hang nothing."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import keras_tuner
import pytest

from search.proposers import Proposal, Proposer, ProposerError, keras_tuner_proposer
from search.proposers.seam import MOST_ASKED, key_of
from spaces.space import Space
from tests.search.proposers.drivers import NETS, SMALL, loss_of


def _made(place: Path, *, space: Space = NETS, n: int = 100, epochs: int = 100, seed: int = 0) -> Proposer:
    return keras_tuner_proposer(
        space, oracle="hyperband", seed=seed, directory=place, max_trials=n, max_epochs=epochs
    )


def _never(number: int) -> bool:
    return False


def _run(proposer: Proposer, n_most: int = 500, is_failing: Callable[[int], bool] = _never) -> list[Proposal]:
    """Ask and tell until the end; what was proposed."""
    proposals: list[Proposal] = []
    while len(proposals) < n_most and (proposal := proposer.ask()) is not None:
        proposals.append(proposal)
        if is_failing(proposal.number):
            proposer.tell(proposal, None, "failed")
        else:
            proposer.tell(proposal, loss_of(proposal.config), "completed")
    assert len(proposals) < 500, "it ends"
    return proposals


def _rounds(proposals: list[Proposal]) -> list[tuple[int, int]]:
    """Epochs and number of trials, round by round."""
    found: list[tuple[int, int]] = []
    for proposal in proposals:
        assert proposal.rung is not None
        stop = proposal.rung.stop
        if found and found[-1][0] == stop:
            found[-1] = (stop, found[-1][1] + 1)
        else:
            found.append((stop, 1))
    return found


def test_sizes_and_epochs_are_those_of_the_paper_and_of_keras_tuner(place: Path) -> None:
    """R = 81, eta = 3, s = 3 in table 1 of Li et al. 2018: 34, 11, 3 and 1 trials for 3, 9, 27 and 81 epochs.

    KerasTuner rounds the sizes up where the paper rounds them down.
    """
    proposals = _run(_made(place, epochs=81, n=52))
    assert _rounds(proposals) == [(3, 34), (9, 12), (27, 4), (81, 2)]
    plain = keras_tuner.oracles.HyperbandOracle(
        keras_tuner.Objective("loss", "min"), max_epochs=81, hyperparameters=keras_tuner.HyperParameters()
    )
    assert [plain._get_size(3, k) for k in range(4)] == [34, 12, 4, 2]
    assert [plain._get_epochs(3, k) for k in range(4)] == [3, 9, 27, 81]


@pytest.mark.parametrize(
    ("n", "rounds"),
    [
        (100, [(4, 41), (12, 14), (34, 5), (100, 2), (12, 18), (34, 6), (100, 2), (34, 9), (100, 3)]),
        (30, [(12, 18), (34, 6), (100, 2), (34, 4)]),
        (11, [(34, 9), (100, 2)]),
        (9, [(100, 9)]),
        (1, [(100, 1)]),
    ],
)
def test_the_first_bracket_is_the_largest_that_the_trials_finish(
    n: int, rounds: list[tuple[int, int]], place: Path
) -> None:
    assert _rounds(_run(_made(place, n=n))) == rounds


def test_the_best_go_on_and_say_from_where(place: Path) -> None:
    proposals = _run(_made(place, n=30))
    by_number = {proposal.number: proposal for proposal in proposals}
    for proposal in proposals:
        rung = proposal.rung
        assert rung is not None and rung.stops == (12, 34, 100) and rung.stop in rung.stops
        if rung.resumes is None:
            assert (rung.compared, rung.n_before) == ((), 0)
            continue
        before = by_number[rung.resumes]
        assert before.rung is not None
        assert before.config == proposal.config
        assert rung.stops.index(rung.stop) == rung.stops.index(before.rung.stop) + 1
        losses = [loss_of(by_number[number].config) for number in rung.compared]
        assert loss_of(before.config) == min(losses)
        assert rung.resumes in rung.awaited
    promoted = [p.rung.resumes for p in proposals if p.rung is not None and p.rung.resumes is not None]
    assert len(set(promoted)) == len(promoted) == 8, "each goes on once"
    firsts = [p for p in proposals if p.rung is not None and p.rung.resumes is None]
    assert len({key_of(p.config) for p in firsts}) == len(firsts)


def test_what_may_go_on_is_awaited_until_it_does(place: Path) -> None:
    proposals = _run(_made(place, n=26))
    for proposal in proposals:
        later = [p.rung for p in proposals if p.number >= proposal.number and p.rung is not None]
        needed = {r.resumes for r in later if r.resumes is not None and r.resumes < proposal.number}
        assert proposal.rung is not None and needed <= {*proposal.rung.awaited}
        assert len(proposal.rung.awaited) <= 6 + 1, "not all that stopped"


@pytest.mark.parametrize("every", [2, 3])
def test_failures_cost_no_promotion(every: int, place: Path) -> None:
    proposals = _run(_made(place, n=26), is_failing=lambda number: number % every == 0 and number < 18)
    assert _rounds(proposals) == [(12, 18), (34, 6), (100, 2)]
    resumed = [p.rung.resumes for p in proposals if p.rung is not None and p.rung.resumes is not None]
    assert not any(number % every == 0 for number in resumed if number < 18)


@pytest.mark.filterwarnings("ignore:currentThread|getName:DeprecationWarning")
def test_keras_tuner_alone_loses_promotions_to_failures(place: Path) -> None:
    """Why its rule is not used: of three trials of which two failed it promotes none."""
    table = keras_tuner.HyperParameters()
    table.Float("x", 0.0, 1.0)
    plain = keras_tuner.oracles.HyperbandOracle(
        keras_tuner.Objective("loss", "min"), max_epochs=3, hyperparameters=table, seed=1
    )
    plain.verbose = 0
    plain._set_project_dir(str(place), "plain")
    for number in range(3):
        trial = plain.create_trial(f"ask {number}")
        plain.update_trial(trial.trial_id, {"loss": 1.0})
        trial.status = "FAILED" if number < 2 else "COMPLETED"
        plain.end_trial(trial)
    assert plain.create_trial("ask 3").hyperparameters.values["tuner/round"] == 0
    proposals = _run(_made(place / "ours", n=4, epochs=3), is_failing=lambda number: number < 2)
    assert _rounds(proposals) == [(1, 3), (3, 1)] and proposals[3].rung is not None
    assert proposals[3].rung.resumes == 2


def test_a_bracket_whose_trials_all_failed_is_left(place: Path) -> None:
    proposals = _run(_made(place, n=30), is_failing=lambda number: number < 18)
    assert _rounds(proposals) == [(12, 18), (34, 9), (100, 3)]
    assert len(_run(_made(place / "all", n=30), is_failing=lambda number: True)) == 30


def test_losses_that_are_not_finite_are_failures(place: Path) -> None:
    proposer = _made(place, n=12)
    for loss in (math.inf, -math.inf, math.nan, 1e300, 3.0, 4.0, 5.0, 6.0, 7.0):
        proposal = proposer.ask()
        assert proposal is not None
        proposer.tell(proposal, loss, "completed")
    resumed = [p.rung.resumes for p in _run(proposer) if p.rung is not None]
    assert resumed == [4, 5, 6], "an infinite loss is never the best"


def test_a_small_space_goes_on_with_what_it_has(place: Path) -> None:
    proposals = _run(_made(place, space=SMALL, n=100))
    firsts = [p for p in proposals if p.rung is not None and p.rung.resumes is None]
    assert len(firsts) == len({key_of(p.config) for p in firsts}) == 8, "the whole space"
    assert _rounds(proposals) == [(4, 8), (12, 3), (34, 1), (100, 1)]


@pytest.mark.parametrize("at", [5, 18, 20, 24, 25])
def test_reloaded_it_goes_on_as_if_it_had_never_stopped(at: int, place: Path) -> None:
    whole = _run(_made(place / "whole", n=30))
    first = _run(_made(place / "parts", n=30), n_most=at)
    assert [*first, *_run(_made(place / "parts", n=30))] == whole
    json.loads((place / "parts" / "oracle.json").read_text())


def test_a_promotion_that_was_never_told_is_proposed_again(place: Path) -> None:
    proposer = _made(place, n=30)
    _run(proposer, n_most=18)
    lost = proposer.ask()
    assert lost is not None and lost.rung is not None and lost.rung.resumes is not None
    for _ in range(MOST_ASKED - 1):
        assert _made(place, n=30).ask() == lost
    again = _made(place, n=30).ask()  # it has killed so many processes now, and counts as failed
    assert again is not None and again.rung is not None and again.rung.resumes != lost.rung.resumes


def test_another_seed_tries_others_and_seed_0_is_a_seed(place: Path) -> None:
    found = [
        [key_of(p.config) for p in _run(_made(place / name, n=12, seed=seed))]
        for name, seed in (("a", 0), ("b", 0), ("c", 1))
    ]
    assert found[0] == found[1] and not {*found[0]} & {*found[2]}


def test_a_folder_with_other_epochs_is_refused(place: Path) -> None:
    _run(_made(place, n=30), n_most=2)
    with pytest.raises(ProposerError, match="shares out 100 epochs, not 50: use a new run folder"):
        _made(place, n=30, epochs=50)


def test_the_next_round_waits_for_the_last_of_this_one(place: Path) -> None:
    proposer = _made(place, n=12)
    _run(proposer, n_most=8)
    assert proposer.ask() is not None
    with pytest.raises(ProposerError, match="proposes only after an open proposal is told"):
        proposer.ask()


def test_rounds_of_one_epoch(place: Path) -> None:
    assert Counter(p.rung.stop for p in _run(_made(place, n=5, epochs=1)) if p.rung) == {1: 5}
