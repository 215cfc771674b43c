"""Whoever trains: a process that died is replaced, one that always dies is a failure."""

from __future__ import annotations

from typing import Any

import pytest

from search.training.fitting import FittingProcesses
from search.training.trained import ProcessDied, Request, Trained
from search.training.workshop import MOST_LOST, Workshop
from tests.search.training import plans
from tests.search.training.test_process import _request


@pytest.fixture
def workshop(monkeypatch: pytest.MonkeyPatch) -> Workshop:
    return Workshop(plans.plan(), "log_loss", plans.dataset().task)


def _dies(monkeypatch: pytest.MonkeyPatch, n_times: int) -> list[Request]:
    """Let the first so many trainings die, as they do under kill -9; the result has what was asked."""
    asked: list[Request] = []

    def train(self: Any, request: Request) -> Trained:
        asked.append(request)
        if len(asked) <= n_times:
            raise ProcessDied("the training process died with exit code -9: out of memory?")
        return "trained"  # type: ignore[return-value]

    monkeypatch.setattr("search.training.workshop.TrainingProcess.train", train)
    return asked


@pytest.mark.parametrize("n_times", range(MOST_LOST))
def test_a_process_that_died_is_replaced(
    workshop: Workshop, monkeypatch: pytest.MonkeyPatch, n_times: int
) -> None:
    asked, request = _dies(monkeypatch, n_times), _request()
    assert workshop.train(request) == "trained"  # type: ignore[comparison-overlap]
    assert asked == [request] * (n_times + 1)


def test_a_trial_that_takes_every_process_down_is_a_failure(
    workshop: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = _dies(monkeypatch, MOST_LOST)
    with pytest.raises(ProcessDied, match="exit code -9"):
        workshop.train(_request())
    assert len(asked) == MOST_LOST
    assert workshop._free.qsize() == 1  # its bench is free again


def test_what_fails_by_itself_is_not_tried_again(workshop: Workshop, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Request] = []

    def train(self: Any, request: Request) -> Trained:
        asked.append(request)
        raise ValueError("a mistake")

    monkeypatch.setattr(FittingProcesses, "train", train)
    monkeypatch.setattr("search.training.workshop.TrainingProcess.train", train)
    with pytest.raises(ValueError, match="a mistake"):
        workshop.train(_request())
    assert len(asked) == 1
