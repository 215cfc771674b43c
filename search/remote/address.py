"""Addresses of databases: what may be one, where its password comes from, and that nobody gets to see it."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from urllib.parse import quote, unquote, urlsplit

DRIVERS = {
    "sqlite": "sqlite",
    "postgresql": "postgresql+psycopg",
    "postgres": "postgresql+psycopg",
    "mysql": "mysql+pymysql",
}
"""What may stand before ``://``, and what is asked of SQLAlchemy."""
PACKAGES = {"postgresql+psycopg": "psycopg", "mysql+pymysql": "pymysql"}
HIDDEN = "***"
_PASSWORD = re.compile(r"(\b[a-z][\w+.-]*://[^\s:/@]*):\S*@", re.IGNORECASE)
_SECRET = re.compile(r"([?&][^=&\s]*(?:passw|secret|token|key)[^=&\s]*=)[^&\s\"']+", re.IGNORECASE)
_VARIABLE = re.compile(r"\$\{(\w+)\}")


class AddressError(ValueError):
    """An address that is none; the message is one line and never holds a password."""


def redacted(text: str) -> str:
    """The text with the passwords of all URLs in it hidden; names of variables stay.

    >>> redacted("worker --storage postgresql://ann:secret@db:5432/studies")
    'worker --storage postgresql://ann:***@db:5432/studies'
    """
    return _SECRET.sub(rf"\g<1>{HIDDEN}", _PASSWORD.sub(_hidden, text))


def _hidden(found: re.Match[str]) -> str:
    password = found.group(0)[len(found.group(1)) + 1 : -1]
    is_named = _VARIABLE.fullmatch(password) is not None
    return found.group(0) if is_named else f"{found.group(1)}:{HIDDEN}@"


def check_address(url: str) -> None:
    """Refuse what is no address of a database.

    Raises
    ------
    AddressError
        If its kind is unknown, it has spaces, or names no database.
    """
    kind, found, rest = url.partition("://")
    if not found or kind.lower().split("+")[0] not in DRIVERS:
        raise AddressError(
            "a storage is sqlite:///FILE, postgresql://USER@HOST/DATABASE or mysql://USER@HOST/DATABASE, "
            f"got {redacted(url)!r}"
        )
    if re.search(r"\s", url):
        raise AddressError(f"a storage's address has no spaces, and this of kind {kind!r} has: write %20")
    if not rest.rpartition("@")[2].partition("/")[2].partition("?")[0].strip("/"):
        raise AddressError(f"a storage's address names a database or file, got {redacted(url)!r}")


def resolved(url: str, environment: Mapping[str, str] | None = None) -> str:
    """What SQLAlchemy is given: variables ``${NAME}`` filled in, and the driver that we name.

    A password that was hidden (``***``) is left out, so that the database's own variables, such as
    PGPASSWORD, tell it.

    Raises
    ------
    AddressError
        If it is no address, or a variable is not set.
    """
    check_address(url)
    known = os.environ if environment is None else environment

    def value(found: re.Match[str]) -> str:
        name = found.group(1)
        if name not in known:
            raise AddressError(f"a variable of a storage's address must be set, and {name} is not")
        return quote(known[name], safe="")

    kind, _, rest = _VARIABLE.sub(value, url).partition("://")
    own = DRIVERS.get(kind.lower(), kind)
    return f"{own}://{rest.replace(f':{HIDDEN}@', '@', 1)}"


def scrubbed(message: str, url: str) -> str:
    """A message of a driver, in one line, without the password of `url` in any spelling."""
    text = redacted(" ".join(message.split()))
    secrets = {os.environ.get("PGPASSWORD", ""), *_passwords(url)}
    for secret in sorted(filter(None, secrets), key=len, reverse=True):
        text = text.replace(secret, HIDDEN)
    return text


def _passwords(url: str) -> set[str]:
    try:
        password = urlsplit(url).password or ""
    except ValueError:
        password = ""
    return {password, unquote(password)} - {HIDDEN}


def absolute(url: str) -> str:
    """The same address, with the path of an SQLite file from the root."""
    kind, _, rest = url.partition(":///")
    if kind.split("+")[0].lower() != "sqlite" or not rest or rest.startswith(("/", ":")):
        return url
    return f"{kind}:////{os.path.abspath(rest).lstrip('/')}"
