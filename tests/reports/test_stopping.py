"""Pruning replayed in trial order: the rule asked anew after every trial says the same."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reports.stopping import padded, pruned
from search.pruning import Ceilings, ceilings

LOOKS = (1, 2, 4, 8, 16, 20, 24, 28, 32)


def one_by_one(
    epochs: list[tuple[int, ...]], curves: list[list[float]], is_completed: list[bool], is_watched: list[bool]
) -> list[bool]:
    """The rule in words: limits from all completed trials before, looked at where a trial was looked at."""
    found, before = [not done for done in is_completed], []
    for t, (own, curve) in enumerate(zip(epochs, curves, strict=True)):
        if not (is_completed[t] and is_watched[t]):
            continue
        limits = ceilings(before, LOOKS)
        for rung, most in limits.items():
            seen = [loss for epoch, loss in zip(own, curve, strict=True) if epoch <= rung]
            found[t] |= rung <= own[-1] and bool(seen) and min(seen) > most
        if not found[t]:
            before.append((own, curve))
    return [not done for done in is_completed] if all(found) else found


@given(st.integers(0, 10_000), st.integers(1, 40))
def test_it_is_the_rule_asked_anew_after_every_trial(seed: int, n_trials: int) -> None:
    rng = np.random.default_rng(seed)
    epochs = [LOOKS[: rng.integers(1, len(LOOKS) + 1)] for _ in range(n_trials)]
    curves = [np.round(rng.random(len(own)), 1).tolist() for own in epochs]
    is_completed, is_watched = rng.random((2, n_trials)) < 0.85
    table = np.full((n_trials, len(LOOKS)), np.inf)
    for row, curve in zip(table, curves, strict=True):
        row[: len(curve)] = curve
    found = pruned(padded(epochs, len(LOOKS)), table, is_completed, is_watched, Ceilings, LOOKS)
    assert found.tolist() == one_by_one(epochs, curves, is_completed.tolist(), is_watched.tolist())


@pytest.mark.parametrize("n_trials", [20, 200])
def test_a_trial_more_costs_the_rule_one_trial_more(n_trials: int) -> None:
    """Curves that are read: one for each trial, not all of them again after each."""
    n_read = 0

    class Counted:
        def __init__(self, looks: tuple[int, ...]) -> None:
            self._rule = Ceilings(looks)

        def add(self, epochs: list[int], losses: list[float]) -> None:
            nonlocal n_read
            n_read += 1
            self._rule.add(epochs, losses)

        @property
        def limits(self) -> dict[int, float]:
            return self._rule.limits

    table = np.ones((n_trials, len(LOOKS)))
    is_all = np.ones(n_trials, bool)
    pruned(padded([LOOKS] * n_trials, len(LOOKS)), table, is_all, is_all, Counted, LOOKS)
    assert n_read == n_trials


def test_without_looks_nothing_is_pruned() -> None:
    is_all = np.ones(9, bool)
    assert not pruned(padded([(1,)] * 9, 1), np.arange(9.0)[:, None], is_all, is_all, Ceilings, ()).any()
