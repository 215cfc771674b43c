"""What processes agree on, in an SQLite file: numbers, results, lost workers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from optuna.trial import TrialState
from sqlalchemy import text

from search.records import Trial
from search.remote.shared import Shared, found, joined
from search.remote.terms import Budget, Result, Terms, TermsError
from spaces.parameters import Float
from spaces.space import Space

SPACE = Space({"x": Float(0.0, 1.0)})
TERMS = Terms("run", "", {"data": "a" * 64}, "/nowhere", 1, 2)


def opened(folder: Path, n_trials: int = 3) -> Shared:
    shared = found(f"sqlite:///{folder}/study.db", "one", TERMS)
    shared.begin(Budget(n_trials), SPACE)
    return shared


def taken(shared: Shared, limit: int = 99) -> int:
    """The identifier of a trial that is taken now."""
    trial = shared.take(limit)
    assert trial is not None
    return trial.trial_id


def failed(trial: Any) -> Trial:
    return Trial(trial.number, "linear", {}, "failed", cause="lost")


def completed(number: int, score: float = 0.5) -> Result:
    return Result(
        Trial(number, "linear", {"x": 0.5}, "completed", score=score), ({"stage": "epoch"},), {"a": "b"}
    )


def forsake(shared: Shared, trial_id: int) -> None:
    """As if the worker of a trial had been lost long ago."""
    shared.let_go(trial_id)
    with shared.storage.engine.begin() as connection:
        connection.execute(text("update trial_heartbeats set heartbeat = '2001-01-01 00:00:00'"))


def test_what_one_keeps_is_news_to_the_other_once(tmp_path: Path) -> None:
    one, other = opened(tmp_path), joined(f"sqlite:///{tmp_path}/study.db", "one")
    first, second = taken(one), taken(other)
    assert other.news() == [] and one.news() == []
    assert other.keep(second, completed(1), TrialState.COMPLETE, 0.5)
    assert one.keep(first, completed(0), TrialState.PRUNED, 0.7)
    assert one.news() == [completed(1)] and one.news() == []
    assert other.news() == [completed(0)]
    trials = one.trials()
    assert [(t.state, t.value) for t in trials] == [(TrialState.PRUNED, 0.7), (TrialState.COMPLETE, 0.5)]
    assert trials[0].intermediate_values == {1: 0.7} and trials[0].datetime_complete is not None
    one.close(), other.close()


def test_news_are_told_once_however_trials_end(tmp_path: Path) -> None:
    one, other = opened(tmp_path), joined(f"sqlite:///{tmp_path}/study.db", "one")
    heard: list[int] = []
    ids = [taken(one) for _ in range(5)]
    for number in (3, 0, 4, 2, 1):
        heard += [result.trial.number for result in other.news()]
        one.keep(ids[number], completed(number), TrialState.COMPLETE, 0.5)
    heard += [result.trial.number for result in other.news()]
    assert heard == [3, 0, 4, 2, 1] and other.news() == []
    one.close(), other.close()


def test_of_two_who_finish_a_trial_the_first_counts(tmp_path: Path) -> None:
    one, other = opened(tmp_path), joined(f"sqlite:///{tmp_path}/study.db", "one")
    trial_id = taken(one)
    other.give_back(trial_id)
    assert taken(other) == trial_id  # the same trial under the same number
    assert other.keep(trial_id, completed(0, 0.1), TrialState.COMPLETE, 0.1)
    assert not one.keep(trial_id, completed(0, 0.9), TrialState.COMPLETE, 0.9)
    third = joined(f"sqlite:///{tmp_path}/study.db", "one")
    assert third.news() == [completed(0, 0.1)]
    for shared in (one, other, third):
        shared.close()


def test_a_lost_trial_waits_again_and_is_given_up_after_three_workers(tmp_path: Path) -> None:
    shared = opened(tmp_path)
    for n_lost in (1, 2, 3):
        forsake(shared, taken(shared))
        assert shared.sweep(failed) == [0] and shared.sweep(failed) == []
        states = [trial.state for trial in shared.trials()]
        assert states == [TrialState.FAIL if n_lost == 3 else TrialState.WAITING]
    assert [result.trial.cause for result in shared.news()] == ["lost"]
    shared.close()


def test_who_took_a_swept_trial_up_keeps_it(tmp_path: Path) -> None:
    """A process that found a trial lost, and comes to it late, does not take it from its new worker."""
    shared, other = opened(tmp_path), joined(f"sqlite:///{tmp_path}/study.db", "one")
    forsake(shared, taken(shared))
    late = other._lost()
    assert shared.sweep(failed) == [0] and taken(shared) == late[0]
    other._lost = lambda: late  # type: ignore[method-assign]
    assert other.sweep(failed) == []
    assert shared.trials()[0].state == TrialState.RUNNING and shared.trials()[0].user_attrs["n_lost"] == 1
    shared.close(), other.close()


def test_who_gives_signs_of_life_is_not_swept(tmp_path: Path) -> None:
    shared, other = opened(tmp_path), joined(f"sqlite:///{tmp_path}/study.db", "one")
    held = taken(shared)
    assert other.sweep(failed) == []  # taking it was a sign of life
    forsake(shared, held)
    shared._signs.give(held)
    assert shared.sweep(failed) == []
    shared.close(), other.close()


def test_a_number_over_the_limit_is_not_given(tmp_path: Path) -> None:
    shared = opened(tmp_path, 2)
    assert [one and one.number for one in (shared.take(2), shared.take(2), shared.take(2))] == [0, 1, None]
    assert len(shared.trials()) == 2 and shared.look().standing.n_running == 2
    assert (more := shared.take(3)) is not None and more.number == 2
    shared.close()


def test_a_look_counts_without_reading_a_trial(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shared = opened(tmp_path, 2)
    first = taken(shared)
    taken(shared), taken(shared), shared.give_back(first)
    monkeypatch.setattr(shared.study._storage, "get_all_trials", None)
    standing = shared.look().standing
    assert (standing.n_trials, standing.n_running, standing.n_waiting, standing.n_finished) == (3, 2, 1, 0)
    shared.keep(taken(shared), completed(0), TrialState.COMPLETE, 0.5)
    assert shared.look().standing.n_finished == 1 and shared.look().ended is None
    shared.tell({"ended": "enough"})
    assert shared.look().ended == shared.ended == "enough"
    shared.close()


def test_the_pause_grows_with_the_workers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shared = opened(tmp_path)
    monkeypatch.setattr("search.remote.shared.random.random", lambda: 0.5)
    assert shared.pause() == 0.5
    shared._most_running = 320
    assert shared.pause() == 10.0
    shared._most_running = 10**6
    assert shared.pause() == 30.0
    shared.close()


def test_terms_and_names_of_others_are_refused(tmp_path: Path) -> None:
    opened(tmp_path).close()
    url = f"sqlite:///{tmp_path}/study.db"
    with pytest.raises(TermsError, match="has a study 'one' of another run: tell another --name"):
        found(url, "one", Terms("other", "", {}, "", 1, 2))
    with pytest.raises(TermsError, match="'two' was not: there are one"):
        joined(url, "two")
    with pytest.raises(TermsError, match="needs the study's data: it has fingerprint aaaaaaaaaaaa, got"):
        TERMS.check({"data": "b" * 64}, "a worker")


def test_a_study_that_must_be_there_and_is_not_is_refused(tmp_path: Path) -> None:
    with pytest.raises(TermsError, match="a run goes on in the storage that it was begun in, and sqlite:///"):
        found(f"sqlite:///{tmp_path}/new.db", "one", TERMS, has_trials=True)
