"""Addresses: what is one, where passwords come from, and that none is ever shown."""

from __future__ import annotations

from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from search.remote.address import AddressError, absolute, check_address, redacted, resolved, scrubbed
from search.remote.storage import StorageError, open_storage

PASSWORDS = st.text(st.characters(min_codepoint=33, max_codepoint=0x17F), min_size=4, max_size=20)


@given(PASSWORDS)
def test_a_password_is_hidden_wherever_it_stands(password: str) -> None:
    own = quote(password, safe="!$&'()*+,;=")
    for text in (
        f"worker --storage postgresql://ann:{own}@db:5432/studies --study price",
        f"mysql+pymysql://ann:{own}@db/studies failed",
        f"'postgresql://db/studies?user=ann&password={quote(password, safe='')}'",
    ):
        hidden = redacted(text)
        assert "***" in hidden and own not in hidden.replace("***", "\0")
    assert password not in scrubbed(f"no entry for {password!r}", f"postgresql://ann:{own}@db/x") or (
        repr(password)[1:-1] != password
    )


@pytest.mark.parametrize(
    "text",
    [
        "postgresql://ann@db/studies", "sqlite:////tmp/a.db", "s3://bucket/a", "a: b@c", "ann@db.org",
        "postgresql://ann:${DB_PASSWORD}@db/studies",
    ],
)  # fmt: skip
def test_what_is_no_password_is_left_alone(text: str) -> None:
    assert redacted(text) == text


@pytest.mark.parametrize(
    ("url", "gives"),
    [
        ("postgres://ann:a@db/x", "postgresql+psycopg://ann:a@db/x"),
        ("postgresql://ann:***@db/x", "postgresql+psycopg://ann@db/x"),
        ("mysql://ann:${OUR}@db/x", "mysql+pymysql://ann:p%40s%2Fs@db/x"),
        ("sqlite:///a.db", "sqlite:///a.db"),
        ("postgresql+psycopg2://ann@db/x", "postgresql+psycopg2://ann@db/x"),
    ],
)
def test_variables_are_filled_in_and_drivers_are_named(url: str, gives: str) -> None:
    assert resolved(url, {"OUR": "p@s/s"}) == gives


@pytest.mark.parametrize(
    ("url", "rule"),
    [
        ("oracle://ann:secret@db/x", "a storage is sqlite:///FILE, .* got 'oracle://ann:\\*\\*\\*@db/x'"),
        ("table.csv", "a storage is sqlite:///FILE"),
        ("postgresql://ann:secret@db", "names a database or file, got 'postgresql://ann:\\*\\*\\*@db'"),
        ("postgresql://ann:sec ret@db/x", "has no spaces"),
        ("postgresql://ann:${NOT_SET_ANYWHERE}@db/x", "NOT_SET_ANYWHERE is not"),
    ],
)
def test_what_is_no_address_is_refused_without_its_password(url: str, rule: str) -> None:
    with pytest.raises(AddressError, match=rule) as raised:
        resolved(url, {})
    assert "secret" not in str(raised.value) and "sec ret" not in str(raised.value)


def test_a_database_that_is_not_there_is_one_line_without_the_password() -> None:
    with pytest.raises(
        StorageError, match=r"ann:\*\*\*@127.0.0.1:1/x cannot be used: OperationalError"
    ) as raised:
        open_storage("postgresql://ann:Geheim1234@127.0.0.1:1/x")
    assert "Geheim1234" not in str(raised.value) and "\n" not in str(raised.value)
    assert raised.value.__suppress_context__


def test_a_file_of_sqlite_is_the_same_from_everywhere(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir("/tmp")
    assert absolute("sqlite:///runs/a.db") == "sqlite:////tmp/runs/a.db"
    assert absolute("sqlite:////var/a.db") == "sqlite:////var/a.db"
    assert absolute("postgresql://db/x") == "postgresql://db/x"
    check_address("sqlite:///a.db")
