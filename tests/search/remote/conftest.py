"""Real database servers for the tests of this folder; signs of life that are quickly missed."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from search.remote import conduct
from tests.search.remote import mariadb, postgres


@pytest.fixture(scope="module")
def server() -> Iterator[postgres.Server]:
    """A PostgreSQL server."""
    server = postgres.Server()
    server.start()
    yield server
    server.stop()


@pytest.fixture(scope="module", params=["postgresql", "mysql"])
def database(request: pytest.FixtureRequest) -> Iterator[postgres.Server | mariadb.Server]:
    """A server of each kind; PostgreSQL comes as a wheel, and MariaDB or MySQL is there or not."""
    if request.param == "mysql" and not mariadb.is_installed():
        pytest.skip(mariadb.MISSING)
    server = postgres.Server() if request.param == "postgresql" else mariadb.Server()
    server.start()
    yield server
    server.stop()


@pytest.fixture(autouse=True)
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker is lost after two seconds without a sign of life."""
    monkeypatch.setattr(conduct, "BEAT", 1)
    monkeypatch.setattr(conduct, "GRACE", 3)
