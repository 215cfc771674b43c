"""Trials and ledger as pandas tables, and tables as Parquet and CSV."""

import csv
import io
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import fields
from typing import TYPE_CHECKING, Any

import pandas as pd

if TYPE_CHECKING:
    from search.records import Trial

FORMULA_STARTS = (
    "=",
    "+",
    "-",
    "@",
    "\t",
    "\r",
    "\n",
    "\uff1d",
    "\uff0b",
    "\uff0d",
    "\uff20",
)  # wide ones last
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")


def of_trials(trials: Sequence["Trial"]) -> pd.DataFrame:
    """One row per trial: its fields, and `config.NAME` for each parameter tried (missing where inactive)."""
    from search.records import Trial

    names = [field.name for field in fields(Trial)]
    parameters = list(dict.fromkeys(name for trial in trials for name in trial.config))
    columns: dict[str, list[Any]] = {
        name: [_cell(getattr(trial, name)) for trial in trials] for name in names
    }
    for name in parameters:
        columns[f"config.{name}"] = [trial.config.get(name) for trial in trials]
    return pd.DataFrame({name: _column(values) for name, values in columns.items()})


def of_events(events: Sequence[Mapping[str, Any]]) -> pd.DataFrame:
    """One row per ledger entry."""
    from search.ledger import COLUMNS

    return pd.DataFrame({name: _column([event.get(name) for event in events]) for name in COLUMNS})


def parquet_bytes(frame: pd.DataFrame) -> bytes:
    """The table as a Parquet file."""
    buffer = io.BytesIO()
    frame.to_parquet(buffer, index=False)
    return buffer.getvalue()


def csv_text(frame: pd.DataFrame) -> str:
    """The table as CSV for people: text that a spreadsheet would run begins with an apostrophe.

    Lists stand as JSON text in their cell. Numbers stay as they are, also where they stand as text.
    """
    shown = frame.copy()
    for place in range(frame.shape[1]):
        column = frame.iloc[:, place]
        if any(isinstance(value, str | list) for value in column):
            shown.isetitem(place, [neutral(_text(value)) for value in column])
    shown.columns = pd.Index([neutral(name) for name in frame.columns])
    return csv_exact(shown)


def csv_exact(frame: pd.DataFrame) -> str:
    """The table as CSV for programs: what is read back is what was written, formulas and all."""
    text = str(frame.to_csv(index=False))
    if "\r" in text:  # which would end a row where it is not quoted
        text = str(frame.to_csv(index=False, quoting=csv.QUOTE_NONNUMERIC))
    return text


def neutral(value: Any) -> Any:
    """Text that begins like a spreadsheet's formula with an apostrophe before it; anything else as it is.

    >>> neutral("=cmd()"), neutral("price"), neutral(-1.5), neutral("-1.5")
    ("'=cmd()", 'price', -1.5, '-1.5')
    """
    if not isinstance(value, str) or not value.startswith(FORMULA_STARTS) or _NUMBER.fullmatch(value):
        return value
    return f"'{value}"


def _cell(value: Any) -> Any:
    if isinstance(value, dict):
        return json.dumps(value, ensure_ascii=False)
    return list(value) if isinstance(value, tuple) else value


def _column(values: list[Any]) -> "pd.Series[Any]":
    """A column of one type: whole numbers stay whole beside missing ones; mixed types become JSON text."""
    kinds = {type(value) for value in values if value is not None}
    if not kinds:
        return pd.Series(values, dtype="object")
    if kinds == {bool}:
        return pd.Series(values, dtype="boolean")
    if kinds == {int}:
        return pd.Series(values, dtype="Int64")
    if kinds <= {int, float}:
        return pd.Series(values, dtype="float64")
    if kinds == {str}:
        return pd.Series(values, dtype="str")
    if kinds == {list}:
        return pd.Series(values, dtype="object")
    return pd.Series([None if v is None else json.dumps(v, ensure_ascii=False) for v in values], dtype="str")


def _text(value: Any) -> Any:
    return json.dumps(value) if isinstance(value, list) else value
