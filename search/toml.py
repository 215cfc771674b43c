"""A small TOML writer: what the standard library's reader gives back unchanged."""

import json
import math
import re
from collections.abc import Mapping
from typing import Any


def dumps(table: Mapping[str, Any]) -> str:
    """The table as TOML text: plain keys first, then each table one level deep, deeper ones inline.

    Raises
    ------
    TypeError
        On a value that TOML has no type for, None among them.
    """
    plain = {key: value for key, value in table.items() if not isinstance(value, Mapping)}
    tables = {key: value for key, value in table.items() if isinstance(value, Mapping)}
    sections = ["".join(_line(key, value) for key, value in plain.items())] if plain else []
    for name, content in tables.items():
        sections.append(f"[{_key(name)}]\n" + "".join(_line(key, value) for key, value in content.items()))
    return "\n".join(sections)


def _line(key: str, value: Any) -> str:
    return f"{_key(key)} = {_value(value)}\n"


def _key(key: str) -> str:
    return key if re.fullmatch(r"[A-Za-z0-9_-]+", key) else _string(key)


def _value(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return _string(value)
    if isinstance(value, int):
        return str(value)
    if isinstance(value, float):
        return repr(value) if math.isfinite(value) else str(value).replace("Infinity", "inf")
    if isinstance(value, list | tuple):
        return "[" + ", ".join(_value(item) for item in value) + "]"
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{_key(key)} = {_value(item)}" for key, item in value.items()) + "}"
    raise TypeError(f"TOML has no type for {type(value).__name__}: {value!r}")


def _string(text: str) -> str:
    # JSON's escapes are TOML's, but that TOML wants the delete character escaped too and no surrogates.
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")
