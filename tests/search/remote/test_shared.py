"""What processes agree on, in an SQLite file: numbers, results, lost workers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from optuna.trial import TrialState

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


def failed(trial: Any) -> Trial:
    return Trial(trial.number, "linear", {}, "failed", cause="lost")


def completed(number: int, score: float = 0.5) -> Result:
    return Result(
        Trial(number, "linear", {"x": 0.5}, "completed", score=score), ({"stage": "epoch"},), {"a": "b"}
    )


def is_stale(shared: Shared, monkeypatch: pytest.MonkeyPatch, *trial_ids: int) -> None:
    monkeypatch.setattr(shared.storage, "_get_stale_trial_ids", lambda _: list(trial_ids))


def test_what_one_keeps_is_news_to_the_other_once(tmp_path: Path) -> None:
    one, other = opened(tmp_path), joined(f"sqlite:///{tmp_path}/study.db", "one")
    first, second = one.take_number(), other.take_number()
    assert other.keep(second, completed(1), TrialState.COMPLETE, 0.5)
    assert one.keep(first, completed(0), TrialState.PRUNED, 0.7)
    assert one.news() == [completed(1)] and one.news() == []
    assert other.news() == [completed(0)]
    one.close(), other.close()


def test_of_two_who_finish_a_trial_the_first_counts(tmp_path: Path) -> None:
    one, other = opened(tmp_path), joined(f"sqlite:///{tmp_path}/study.db", "one")
    trial_id = one.take_number()
    other.give_back(trial_id)
    assert other.take_number() == trial_id  # the same trial under the same number
    assert other.keep(trial_id, completed(0, 0.1), TrialState.COMPLETE, 0.1)
    assert not one.keep(trial_id, completed(0, 0.9), TrialState.COMPLETE, 0.9)
    third = joined(f"sqlite:///{tmp_path}/study.db", "one")
    assert third.news() == [completed(0, 0.1)]
    for shared in (one, other, third):
        shared.close()


def test_a_lost_trial_waits_again_and_is_given_up_after_three_workers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shared = opened(tmp_path)
    for n_lost in (1, 2, 3):
        trial_id = shared.take_number()
        is_stale(shared, monkeypatch, trial_id)
        assert shared.sweep(failed) == [0]
        states = [trial.state for trial in shared.trials()]
        assert states == [TrialState.FAIL if n_lost == 3 else TrialState.WAITING]
    assert [result.trial.cause for result in shared.news()] == ["lost"]
    shared.close()


def test_who_gives_signs_of_life_is_not_swept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shared, other = opened(tmp_path), joined(f"sqlite:///{tmp_path}/study.db", "one")
    trial_id = shared.take_number()
    shared.hold(trial_id)
    is_stale(shared, monkeypatch, trial_id)
    assert shared.sweep(failed) == [] and other.sweep(failed) == []
    shared.close(), other.close()


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
