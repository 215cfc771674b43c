"""The steps of a worker on PostgreSQL and MariaDB: a number is given once, and a trial is kept whole."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from itertools import chain
from typing import Any
from uuid import uuid4

import pytest
import sqlalchemy
from optuna.trial import TrialState

from search.proposers import Proposal
from search.records import Trial
from search.remote import shared as shared_module
from search.remote import storage, tables
from search.remote.proposer import SharedProposer
from search.remote.shared import Shared, found, joined
from search.remote.storage import StorageError, now_of
from search.remote.terms import Budget, NotYetError, Result, Terms, TermsError
from spaces.parameters import Choice, Float, Int
from spaces.space import Space
from tests.search.remote.test_shared import TERMS, completed, failed, forsake, taken

SPACE = Space({"x": Float(0.0, 1.0), "n": Int(1, 9), "kind": Choice(("a", "b"))})
N_AT_ONCE = 8


@contextmanager
def several(url: str, n: int, n_trials: int, space: Space = SPACE) -> Iterator[list[Shared]]:
    """The views of so many processes of one study; the first is its coordinator's."""
    name = uuid4().hex
    views = [found(url, name, TERMS)]
    views[0].begin(Budget(n_trials), space)
    views += [joined(url, name) for _ in range(n - 1)]
    try:
        yield views
    finally:
        for view in views:
            view.close()


def proposer_of(view: Shared, sampler: str = "random", space: Space = SPACE) -> SharedProposer:
    nothing: Any = None
    return SharedProposer(
        view, space, ("linear",), sampler=sampler, seed=3, artifacts=nothing, scratch=nothing
    )


def at_once(tasks: list[Callable[[], Any]]) -> list[Any]:
    with ThreadPoolExecutor(len(tasks)) as pool:
        return [future.result() for future in [pool.submit(task) for task in tasks]]


def large(n_bytes: int) -> Result:
    """A result whose record has about so many bytes, quotes and letters of any kind among them."""
    cause = ('"Größe" \\ 東京 😀 ' * n_bytes)[: n_bytes // 4]
    trial = Trial(0, "linear", {"x": 0.5}, "completed", cause=cause, score=0.5)
    events = [{"stage": "epoch", "chosen": cause, "trial": 0, "n": index} for index in range(3)]
    return Result(trial, tuple(events), {"oof/00000.npy": "oof-1"})


def test_numbers_are_given_once_to_those_who_ask_at_once(database: Any) -> None:
    with several(database.url(), N_AT_ONCE, 1000) as views:

        def take(view: Shared) -> list[int]:
            found = [view.do(lambda: view.take(24)) for _ in range(4)]
            return [one.number for one in found if one is not None]

        numbers = at_once([lambda view=view: take(view) for view in views])
        assert sorted(chain.from_iterable(numbers)) == list(range(24))  # and of 32 who asked, eight got none
        assert [trial.number for trial in views[0].trials()] == list(range(24))


def test_a_waiting_trial_is_taken_by_one_of_those_who_reach_for_it(database: Any) -> None:
    with several(database.url(), N_AT_ONCE, 1000) as views:
        for _ in range(3):
            for trial_id in [taken(views[0]), taken(views[0])]:
                views[0].give_back(trial_id)
            told = at_once([lambda view=view: view.do(lambda: view.take(2)) for view in views])
            got = [one for one in told if one is not None]
            assert len({one.number for one in got}) == len(got) <= 2
            while (one := views[1].take(2)) is not None:  # those that were left in the crowd
                got.append(one)
            assert sorted(one.number for one in got) == [0, 1]
            for one in got:
                views[0].give_back(one.trial_id)


@pytest.mark.parametrize("n_bytes", [100, 200_000])
def test_a_large_record_comes_back_whole_and_may_be_sent_twice(database: Any, n_bytes: int) -> None:
    with several(database.url(), 3, 3) as views:
        trial_id, result = taken(views[0]), large(n_bytes)
        assert views[0].keep(trial_id, result, TrialState.COMPLETE, 0.5)
        assert not views[0].keep(trial_id, result, TrialState.COMPLETE, 0.5)
        assert not views[1].keep(trial_id, completed(0), TrialState.COMPLETE, 0.1)
        assert views[2].news() == [result] and views[0].trials()[0].value == 0.5


def test_a_record_is_there_as_a_whole_or_not_at_all(database: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    with several(database.url(), 2, 3) as views:
        trial_id, result = taken(views[0]), large(200_000)
        set_value = views[0].storage._set_trial_value_without_commit

        def lost(*_: Any) -> None:
            raise KeyboardInterrupt

        monkeypatch.setattr(views[0].storage, "_set_trial_value_without_commit", lost)
        with pytest.raises(KeyboardInterrupt):
            views[0].keep(trial_id, result, TrialState.COMPLETE, 0.5)
        assert set(views[1].trials()[0].user_attrs) == {"holder"}
        monkeypatch.setattr(views[0].storage, "_set_trial_value_without_commit", set_value)
        assert views[0].keep(trial_id, result, TrialState.COMPLETE, 0.5)
        assert views[1].news() == [result]


def test_what_a_database_refuses_is_said_at_once(database: Any) -> None:
    with several(database.url(), 1, 1) as (view,):
        trial_id, since = taken(view), time.monotonic()
        with pytest.raises(StorageError, match="refused"):
            view.do(
                lambda: tables.finish(view.storage, trial_id, {"k" * 600: ""}, TrialState.FAIL, None, None)
            )
        assert time.monotonic() - since < 60


def test_lost_trials_are_swept_once_by_the_clock_of_the_database(database: Any) -> None:
    with several(database.url(), 4, 10) as views:
        held = taken(views[1])
        forsaken = [taken(views[0]), taken(views[0])]
        for trial_id in forsaken:
            forsake(views[0], trial_id)
        views[1]._signs.beat()
        views[1].let_go(held)  # its last sign of life is fresh
        swept = at_once([lambda view=view: view.sweep(failed) for view in views])
        assert sorted(chain.from_iterable(swept)) == [1, 2]
        states = [trial.state for trial in views[0].trials()]
        assert states == [TrialState.RUNNING, TrialState.WAITING, TrialState.WAITING]
        assert [trial.user_attrs.get("n_lost") for trial in views[0].trials()] == [None, 1, 1]


@pytest.mark.parametrize("sampler", ["random", "tpe", "cmaes", "qmc"])
def test_a_trial_is_drawn_as_a_whole_and_its_draw_stands(database: Any, sampler: str) -> None:
    with several(database.url(), 2, 30) as views:
        one, other = (proposer_of(view, sampler) for view in views)
        for number in range(12):
            proposal = one.next()
            assert isinstance(proposal, Proposal) and proposal.number == number
            views[0].keep(one._ids[number], completed(number, number / 7), TrialState.COMPLETE, number / 7)
        proposal = one.next()
        assert isinstance(proposal, Proposal)
        views[0].give_back(one._ids[12])
        again = other.next()
        assert again == proposal
        trial = views[0].trials()[12]
        assert trial.params == dict(proposal.config) and trial.state == TrialState.RUNNING


def test_of_two_who_draw_for_one_number_the_first_stands(database: Any) -> None:
    with several(database.url(), 2, 30) as views:
        one, other = proposer_of(views[0]), proposer_of(views[1], "qmc")  # as if what they saw differed
        first = views[0].take(30)
        assert first is not None
        blank = views[1].desk.lay(first)
        assert blank.params == {}
        config = one._config(first)
        told = views[1].desk.lay
        views[1].desk.lay = lambda taken: blank if taken.is_new else told(taken)  # type: ignore[method-assign]
        views[1].desk._trial = blank
        assert other._config(first) == config


def test_connections_are_given_back_where_there_are_many_workers(
    database: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    with several(database.url(), 3, 30) as views:
        workers = [proposer_of(view) for view in views]
        workers[0].next(), workers[1].next()
        assert [view.storage.engine.pool.checkedin() for view in views[:2]] == [1, 1]  # type: ignore[attr-defined]
        monkeypatch.setattr(shared_module, "MANY", 1)
        for worker in workers:
            worker._shared._signs.stop()
            assert isinstance(worker.next(), Proposal)
        views[0]._signs.beat()
        assert [view.storage.engine.pool.checkedin() for view in views] == [0, 0, 0]  # type: ignore[attr-defined]
        assert views[0].look().standing.n_running == 5


def test_a_full_database_is_waited_for(database: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """All connections are taken; one that begins waits until some are given back."""
    monkeypatch.setattr(storage.time, "sleep", lambda _: held and held.pop().close())
    engine = sqlalchemy.create_engine(storage.resolved(database.url()), poolclass=sqlalchemy.pool.NullPool)
    name = "max_connections"
    with engine.connect() as connection:
        found = connection.execute(
            sqlalchemy.text(
                "show variables like 'max_connections'" if "mysql" in str(engine.url) else f"show {name}"
            )
        )
        n_most = int(found.one()[-1])
    held: list[sqlalchemy.Connection] = []
    with suppress(sqlalchemy.exc.DBAPIError):
        for _ in range(n_most + 2):
            held.append(engine.connect())
    n_held = len(held)
    storage.open_storage(database.url()).engine.dispose()
    assert len(held) < n_held
    for connection in held:
        connection.close()


def test_a_study_that_is_gone_is_said_to_be(database: Any) -> None:
    with several(database.url(), 2, 3) as views:
        trial_id = taken(views[1])
        views[0].study._storage.delete_study(views[0].study._study_id)
        for asked in (views[1].look, proposer_of(views[1]).next, lambda: views[1].budget):
            with pytest.raises(
                StorageError, match=r"is gone from the storage .*: it was deleted or the database"
            ):
                asked()
        with pytest.raises(StorageError, match="is gone"):
            views[1].keep(trial_id, completed(0), TrialState.COMPLETE, 0.5)


def test_a_study_that_is_not_begun_yet_and_other_terms_are_told_apart(database: Any) -> None:
    name = uuid4().hex
    with pytest.raises(NotYetError, match=f"begun, and '{name}' was not"):
        joined(database.url(), name)
    one = found(database.url(), name, TERMS)
    with pytest.raises(NotYetError, match=f"'{name}' is not begun yet"):
        joined(database.url(), name)
    one.begin(Budget(3), SPACE)
    other = joined(database.url(), name)
    one.tell({"foldstack": {**one.terms.__dict__, "config": "sampler = 'tpe'"}})
    with pytest.raises(TermsError, match="goes on with other terms than this worker joined with: start"):
        proposer_of(other).next()
    for view in (one, other):
        view.close()


def test_the_clock_of_the_database_runs(database: Any) -> None:
    with several(database.url(), 1, 1) as (view,):
        before = now_of(view.storage)
        time.sleep(1.1)
        assert 0.9 < now_of(view.storage) - before < 60


def test_terms_of_some_length_fit(database: Any) -> None:
    name, terms = uuid4().hex, Terms("r", "# é\n" * 4_000, {}, "/nowhere", 1, 2)
    view = found(database.url(), name, terms)
    assert view.terms == terms
    view.close()
