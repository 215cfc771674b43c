"""The database of a study by its address, and patience with one that is away for a while."""

from __future__ import annotations

import importlib.util
import logging
import random
import re
import time
from collections.abc import Callable
from datetime import UTC
from typing import Any, TypeVar

import optuna
import sqlalchemy
from optuna.exceptions import StorageInternalError
from optuna.storages import RDBStorage

from search.remote.address import PACKAGES, redacted, resolved, scrubbed

T = TypeVar("T")
_log = logging.getLogger("foldstack")
PATIENCE = 900.0  # seconds that a database may be away before a process gives up
SILENCE = 5.0  # seconds of waiting until it is said
BEAT, GRACE = 15, 60  # seconds between two signs of life, and until a worker without any is lost
_HINT = " (a password is told in the address, there as ${VARIABLE}, or by PGPASSWORD)"
_AWAY = (StorageInternalError, sqlalchemy.exc.DBAPIError)
_REFUSED = (sqlalchemy.exc.DataError, sqlalchemy.exc.ProgrammingError, sqlalchemy.exc.NotSupportedError)
_GONE = re.compile(r"no such table|UndefinedTable|table '\S+' doesn't exist", re.IGNORECASE)
_FULL = re.compile(r"too many (clients|connections)|connection slots are reserved", re.IGNORECASE)


class StorageError(ValueError):
    """A database that cannot be used; the message is one line and never holds a password."""


class RefusedError(StorageError):
    """A database that answers, and does not do what it is told; ``is_gone`` where it has no such table."""

    def __init__(self, message: str, *, is_gone: bool) -> None:
        super().__init__(message)
        self.is_gone = is_gone


def open_storage(url: str) -> RDBStorage:
    """Open the database, and lay out Optuna's tables in an empty one.

    Raises
    ------
    AddressError
        If the address is none.
    StorageError
        If its driver is not installed, or it does not answer or let us in. One that has as many connections
        as it takes is waited for.
    """
    own = resolved(url)
    kind = own.partition("://")[0]
    package = PACKAGES.get(kind)
    if package is not None and importlib.util.find_spec(package) is None:
        extra = kind.partition("+")[0]
        raise StorageError(
            f"a storage of kind {extra} needs the package {package}: pip install 'foldstack[{extra}]'"
        )
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    since, is_said = time.monotonic(), False
    n_left = 2  # several processes may lay out the tables at the same moment
    while True:
        try:
            return _Opened(own, engine_kwargs=_engine_of(kind))
        except Exception as error:
            cause = scrubbed(_innermost(error), own)
            if is_full(cause) and time.monotonic() - since < PATIENCE:
                if not is_said:
                    is_said = True
                    _log.warning(
                        "the storage %s is full: %s; waiting, %g s at most", redacted(url), cause, PATIENCE
                    )
                time.sleep(1.0 + 4.0 * random.random())
                continue
            if n_left and isinstance(error, sqlalchemy.exc.DBAPIError) and "exist" in str(error).lower():
                n_left -= 1
                time.sleep(0.2 + random.random())
                continue
            hint = _HINT if "password" in cause.lower() else ""
            raise StorageError(f"the storage {redacted(url)} cannot be used: {cause}{hint}") from None


class _Opened(RDBStorage):
    """Optuna's storage, that leaves no connection behind where it could not be opened."""

    def __init__(self, url: str, engine_kwargs: dict[str, Any]) -> None:
        try:
            super().__init__(url, engine_kwargs)
        except BaseException:
            if hasattr(self, "engine"):
                self.engine.dispose()
            raise


def is_full(cause: str) -> bool:
    """Whether a database said that it has as many connections as it takes.

    >>> is_full("OperationalError: FATAL: sorry, too many clients already")
    True
    """
    return _FULL.search(cause) is not None


def _engine_of(kind: str) -> dict[str, Any]:
    """How connections are made: one for work, one for signs of life; a broken one is noticed before use."""
    if kind.startswith("sqlite"):
        return {"pool_pre_ping": True, "connect_args": {"timeout": 60}}
    own = {"pool_pre_ping": True, "connect_args": {"connect_timeout": 10}, "pool_size": 1, "max_overflow": 2}
    return own | ({"isolation_level": "READ COMMITTED"} if kind.startswith("mysql") else {})


def rest(storage: RDBStorage) -> None:
    """Close the connection that waits for the next operation, which makes a new one."""
    pool: Any = storage.engine.pool
    if isinstance(pool, sqlalchemy.pool.QueuePool) and pool.checkedin() and not pool.checkedout():
        storage.engine.dispose()


def _innermost(error: BaseException) -> str:
    """What a driver said, without the statement around it."""
    inner: Any = error
    while getattr(inner, "orig", None) is not None or inner.__cause__ is not None:
        inner = getattr(inner, "orig", None) or inner.__cause__
    return f"{type(inner).__name__}: {inner}"


def patiently(operation: Callable[[], T], url: str, patience: float = PATIENCE) -> T:
    """Do something with the database; while it is away, wait and do it again.

    Raises
    ------
    RefusedError
        If it refuses what it is told.
    StorageError
        If it is away for longer than `patience` seconds.
    """
    since, pause, is_said = time.monotonic(), 0.2, False
    while True:
        try:
            return operation()
        except _AWAY as error:
            cause = scrubbed(_innermost(error), resolved(url))
            is_gone = _GONE.search(cause) is not None
            if is_gone or any(isinstance(one, _REFUSED) for one in (error, error.__cause__)):
                raise RefusedError(f"the storage {redacted(url)} refused: {cause}", is_gone=is_gone) from None
            if time.monotonic() - since > patience:
                raise StorageError(
                    f"the storage {redacted(url)} was away for {patience:g} s: {cause}; "
                    "what is finished is kept: start again when it is back"
                ) from None
            if not is_said and time.monotonic() - since > SILENCE:
                is_said = True
                _log.warning(
                    "the storage %s is away: %s; waiting, %g s at most", redacted(url), cause, patience
                )
        time.sleep(pause * (0.5 + random.random()))
        pause = min(5.0, 2 * pause)


def now_of(storage: RDBStorage) -> float:
    """Seconds since 1970 by the clock of the database, the one clock that all machines share."""
    with storage.engine.connect() as connection:
        found: Any = connection.execute(sqlalchemy.select(sqlalchemy.func.now())).scalar()
    return float((found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp())
