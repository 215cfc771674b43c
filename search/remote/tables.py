"""Optuna's tables, asked for a few columns at a time, and told in one transaction what belongs together.

Optuna's own methods read whole trials and write each value in a transaction of its own. With many workers
that is most of what a database has to do, so the steps that each worker repeats are here.
"""

from __future__ import annotations

import json
import random
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from optuna.distributions import BaseDistribution, distribution_to_json
from optuna.storages import RDBStorage
from optuna.storages._rdb import models
from optuna.trial import TrialState
from sqlalchemy import case, func, or_, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

FINISHED = tuple(state for state in TrialState if state.is_finished())
HOLDER, N_LOST = "holder", "n_lost"
MOST_TRIED = 4  # waiting trials that one worker tries to take before it lets others have them
MOST_NAMED = 2_000  # trials that one statement names
_Trial, _Sign, _Note = models.TrialModel, models.TrialHeartbeatModel, models.TrialUserAttributeModel


@dataclass(frozen=True)
class Standing:
    """How far a study is: trials in all and running ones; finished and waiting ones within its budget."""

    n_trials: int
    n_running: int
    n_finished: int
    n_waiting: int


@dataclass(frozen=True)
class Taken:
    """A trial that this process took; ``is_new`` where nobody had it before."""

    trial_id: int
    number: int
    is_new: bool


@contextmanager
def transaction(storage: RDBStorage) -> Iterator[Session]:
    """One transaction, and one connection that is given back at its end."""
    with storage.scoped_session.session_factory() as session, session.begin():
        yield session


# -- the whole study -----------------------------------------------------------


def settings(session: Session, study_id: int, keys: Sequence[str]) -> dict[str, Any]:
    """Some attributes of the study."""
    notes = models.StudyUserAttributeModel
    asked = select(notes.key, notes.value_json).where(notes.study_id == study_id, notes.key.in_(keys))
    return {key: json.loads(text) for key, text in session.execute(asked)}


def standing(session: Session, study_id: int, limit: int) -> Standing:
    """How far a study is whose budget is `limit` trials."""
    is_within = case((_Trial.number < limit, 1), else_=0)
    asked = select(_Trial.state, func.count(), func.sum(is_within)).where(_Trial.study_id == study_id)
    found = {state: (int(n), int(n_in)) for state, n, n_in in session.execute(asked.group_by(_Trial.state))}
    none = (0, 0)
    return Standing(
        n_trials=sum(n for n, _ in found.values()),
        n_running=found.get(TrialState.RUNNING, none)[0],
        n_finished=sum(found.get(state, none)[1] for state in FINISHED),
        n_waiting=found.get(TrialState.WAITING, none)[1],
    )


# -- taking, holding and giving back -------------------------------------------


def take_waiting(storage: RDBStorage, study_id: int, limit: int, holder: str) -> Taken | None:
    """Take a trial below `limit` that waits: the lowest, or another where several reach for it."""
    asked = select(_Trial.trial_id, _Trial.number).where(
        _Trial.study_id == study_id, _Trial.state == TrialState.WAITING, _Trial.number < limit
    )
    with transaction(storage) as session:
        found = session.execute(asked.order_by(_Trial.number).limit(16 * MOST_TRIED)).all()
    others = list(found[1:])
    random.shuffle(others)
    for trial_id, number in [*found[:1], *others][:MOST_TRIED]:
        if _take(storage, trial_id, holder):
            return Taken(trial_id, number, is_new=False)
    return None


def _take(storage: RDBStorage, trial_id: int, holder: str) -> bool:
    """Take a trial if it still waits; from then on it has a fresh sign of life."""
    own = update(_Trial).where(_Trial.trial_id == trial_id, _Trial.state == TrialState.WAITING)
    with transaction(storage) as session:
        taken: Any = session.execute(
            own.values({_Trial.state: TrialState.RUNNING, _Trial._datetime_start_utc: _now()}),
            execution_options=_BY_HAND,
        )
        if not taken.rowcount:
            return False
        if not _sign(session, [trial_id]):
            session.add(_Sign(trial_id=trial_id))
        storage._set_trial_attr_without_commit(session, _Note, trial_id, HOLDER, holder)
        return True


def create(storage: RDBStorage, study_id: int, limit: int, holder: str) -> Taken | None:
    """A new trial with the next number, held from its beginning; None where that number is over the limit."""
    with transaction(storage) as session:
        models.StudyModel.find_or_raise_by_id(study_id, session, for_update=True)  # numbers are given in turn
        trial: Any = storage._get_prepared_new_trial(study_id, None, session)
        if trial.number >= limit:
            session.rollback()
            return None
        session.add(_Sign(trial_id=trial.trial_id))
        session.add(_Note(trial_id=trial.trial_id, key=HOLDER, value_json=json.dumps(holder)))
        return Taken(trial.trial_id, trial.number, is_new=True)


def sign(storage: RDBStorage, trial_ids: Collection[int]) -> None:
    """Give a sign of life for trials, all in one statement."""
    with transaction(storage) as session:
        _sign(session, trial_ids)


def _sign(session: Session, trial_ids: Collection[int]) -> int:
    own = update(_Sign).where(_Sign.trial_id.in_(trial_ids)).values(heartbeat=func.current_timestamp())
    signed: Any = session.execute(own, execution_options=_BY_HAND)
    return int(signed.rowcount)


def stale(storage: RDBStorage, study_id: int, grace: float) -> tuple[list[int], list[int]]:
    """Running trials whose last sign of life is older than `grace` seconds, and those that never had one."""
    with transaction(storage) as session:
        asked = (
            select(_Trial.trial_id, _Sign.heartbeat)
            .outerjoin(_Sign, _Sign.trial_id == _Trial.trial_id)
            .where(_Trial.study_id == study_id, _Trial.state == TrialState.RUNNING)
            .where(or_(_Sign.heartbeat.is_(None), _Sign.heartbeat < _oldest(session, grace)))
        )
        found = session.execute(asked.order_by(_Trial.trial_id)).all()
    return [one for one, at in found if at is not None], [one for one, at in found if at is None]


def put_back(storage: RDBStorage, trial_id: int, grace: float, most: int) -> int | None:
    """Let a trial wait again that is still running and without a sign of life; None where it is not.

    Returns
    -------
    int or None
        How many workers it has lost, this one included. At `most` it stays as it is.
    """
    with transaction(storage) as session:
        trial: Any = models.TrialModel.find_or_raise_by_id(trial_id, session, for_update=True)
        last = session.scalar(select(_Sign.heartbeat).where(_Sign.trial_id == trial_id))
        if trial.state != TrialState.RUNNING or (last is not None and last >= _oldest(session, grace)):
            return None
        text = session.scalar(select(_Note.value_json).where(_Note.trial_id == trial_id, _Note.key == N_LOST))
        n_lost = int(json.loads(text)) + 1 if text else 1
        if n_lost < most:
            storage._set_trial_attr_without_commit(session, _Note, trial_id, N_LOST, n_lost)
            trial.state = TrialState.WAITING
        return n_lost


def _oldest(session: Session, grace: float) -> datetime:
    """The oldest sign of life that counts, by the clock of the database."""
    now: Any = session.scalar(select(func.now()))
    oldest: datetime = now.replace(tzinfo=None) - timedelta(seconds=grace)
    return oldest


# -- what was drawn and what became of it --------------------------------------


def write_down(
    storage: RDBStorage,
    trial_id: int,
    drawn: Mapping[str, tuple[float, BaseDistribution]],
    notes: Mapping[str, Any],
) -> bool:
    """Write what was drawn for a trial, all of it or nothing; False where somebody else has written it."""
    try:
        with transaction(storage) as session:
            trial: Any = models.TrialModel.find_or_raise_by_id(trial_id, session)
            storage.check_trial_is_updatable(trial_id, trial.state)
            for name, (value, distribution) in drawn.items():
                told = distribution_to_json(distribution)
                session.add(
                    models.TrialParamModel(
                        trial_id=trial_id, param_name=name, param_value=value, distribution_json=told
                    )
                )
            for key, note in notes.items():
                storage._set_trial_attr_without_commit(session, _Note, trial_id, key, note)
    except IntegrityError:
        return False
    return True


def finish(
    storage: RDBStorage,
    trial_id: int,
    notes: Mapping[str, str],
    state: TrialState,
    loss: float | None,
    step: int | None,
) -> None:
    """End a trial with what is noted of it, its loss, and its loss at a step.

    Raises
    ------
    optuna.exceptions.UpdateFinishedTrialError
        If it was ended before.
    """
    with transaction(storage) as session:
        trial: Any = models.TrialModel.find_or_raise_by_id(trial_id, session, for_update=True)
        storage.check_trial_is_updatable(trial_id, trial.state)
        for key, note in notes.items():
            storage._set_trial_attr_without_commit(session, _Note, trial_id, key, note)
        if loss is not None and step is not None:
            storage._set_trial_intermediate_value_without_commit(session, trial_id, step, loss)
        if loss is not None:
            storage._set_trial_value_without_commit(session, trial, 0, loss)
        trial.state, trial._datetime_complete_utc = state, _now()


def newly_finished(
    storage: RDBStorage, study_id: int, is_open: Collection[int], highest: int
) -> list[tuple[int, int, bool]]:
    """Trials above the identifier `highest`, and those of `is_open` that are finished by now.

    Returns
    -------
    list of (int, int, bool)
        Identifier, number, and whether it is finished; by number.
    """
    asked = select(_Trial.trial_id, _Trial.number, _Trial.state).where(_Trial.study_id == study_id)
    found: list[Any] = []
    with transaction(storage) as session:
        for some in _some_at_a_time(sorted(is_open)):
            ended = asked.where(_Trial.trial_id.in_(some), _Trial.state.in_(FINISHED))
            found += session.execute(ended).all()
        found += session.execute(asked.where(_Trial.trial_id > highest)).all()
    return sorted(((one, number, state in FINISHED) for one, number, state in found), key=lambda row: row[1])


def notes_of(storage: RDBStorage, trial_ids: Sequence[int], beginning: str) -> dict[int, dict[str, Any]]:
    """The notes of trials whose key begins like this, by trial."""
    found: dict[int, dict[str, Any]] = {}
    with transaction(storage) as session:
        for some in _some_at_a_time(trial_ids):
            asked = select(_Note.trial_id, _Note.key, _Note.value_json)
            for one, key, text in session.execute(
                asked.where(_Note.trial_id.in_(some), _Note.key.startswith(beginning, autoescape=True))
            ):
                found.setdefault(one, {})[key] = json.loads(text)
    return found


def _some_at_a_time(trial_ids: Sequence[int]) -> Iterator[Sequence[int]]:
    for start in range(0, len(trial_ids), MOST_NAMED):
        yield trial_ids[start : start + MOST_NAMED]


_BY_HAND = {"synchronize_session": False}


def _now() -> datetime:
    return datetime.now(UTC).replace(tzinfo=None)  # as Optuna stores it
