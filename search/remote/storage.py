"""The database of a study by its address, and patience with one that is away for a while."""

from __future__ import annotations

import importlib.util
import random
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
PATIENCE = 900.0  # seconds that a database may be away before a process gives up
BEAT, GRACE = 15, 60  # seconds between two signs of life, and until a worker without any is lost
_HINT = " (a password is told in the address, there as ${VARIABLE}, or by PGPASSWORD)"
_AWAY = (StorageInternalError, sqlalchemy.exc.DBAPIError)


class StorageError(ValueError):
    """A database that cannot be used; the message is one line and never holds a password."""


def open_storage(url: str) -> RDBStorage:
    """Open the database, and lay out Optuna's tables in an empty one.

    Raises
    ------
    AddressError
        If the address is none.
    StorageError
        If its driver is not installed, or it does not answer or let us in.
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
    for n_left in (2, 1, 0):  # several processes may lay out the tables at the same moment
        try:
            return RDBStorage(own, engine_kwargs=_engine_of(kind))
        except Exception as error:
            cause = scrubbed(_innermost(error), own)
            if n_left and isinstance(error, sqlalchemy.exc.DBAPIError) and "exist" in str(error).lower():
                time.sleep(0.2 + random.random())
                continue
            hint = _HINT if "password" in cause.lower() else ""
            raise StorageError(f"the storage {redacted(url)} cannot be used: {cause}{hint}") from None
    raise AssertionError


def _engine_of(kind: str) -> dict[str, Any]:
    """How connections are made; one that broke meanwhile is noticed before it is used."""
    waits = {"timeout": 60} if kind.startswith("sqlite") else {"connect_timeout": 10}
    return {"pool_pre_ping": True, "connect_args": waits}


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
    StorageError
        If it is away for longer than `patience` seconds.
    """
    since, pause = time.monotonic(), 0.2
    while True:
        try:
            return operation()
        except _AWAY as error:
            if time.monotonic() - since > patience:
                cause = scrubbed(_innermost(error), resolved(url))
                raise StorageError(
                    f"the storage {redacted(url)} was away for {patience:g} s: {cause}; "
                    "what is finished is kept: start again when it is back"
                ) from None
        time.sleep(pause * (0.5 + random.random()))
        pause = min(5.0, 2 * pause)


def now_of(storage: RDBStorage) -> float:
    """Seconds since 1970 by the clock of the database, the one clock that all machines share."""
    with storage.engine.connect() as connection:
        found: Any = connection.execute(sqlalchemy.select(sqlalchemy.func.now())).scalar()
    return float((found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp())
