"""One PostgreSQL server for the tests of this folder; signs of life that are quickly missed."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from search.remote import conduct
from tests.search.remote.postgres import Server


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    server = Server()
    server.start()
    yield server
    server.stop()


@pytest.fixture(autouse=True)
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker is lost after two seconds without a sign of life."""
    monkeypatch.setattr(conduct, "BEAT", 1)
    monkeypatch.setattr(conduct, "GRACE", 3)
