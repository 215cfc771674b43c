"""The declared format of a table: column kinds, vocabularies, and reading a frame into arrays."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal, TypeVar

import numpy as np

from spaces.blocks import Block as Block
from spaces.blocks import BlockError, find_blocks
from spaces.shown import shown
from spaces.values import SchemaError as SchemaError
from spaces.values import floats, is_blank, unparsed

if TYPE_CHECKING:
    import pandas as pd

SLOT_SIZES = (2, 4, 8, 16, 32)
_MOST_CELLS = 2**22  # read at once
_Key = TypeVar("_Key", str, int)
LARGEST_NUMBER = 1e37  # differences of two such numbers still fit into float32


@dataclass(frozen=True)
class Column:
    """One input column.

    Parameters
    ----------
    name
        Its name in the frame, any Unicode.
    kind
        ``"number"`` or ``"category"``.
    may_be_missing
        Whether a value was missing among the rows that the schema was inferred from.
    anchor
        Subtracted from numbers in float64 before they become float32.
    categories
        The known texts, sorted; text i has code i + 1.
    n_slots
        Inputs that a model spends on the column when it is a category, 0 otherwise.
    is_datetime
        Whether the numbers are seconds since 1970 (UTC), read from dates.
    """

    name: str
    kind: Literal["number", "category"]
    may_be_missing: bool
    anchor: float = 0.0
    categories: tuple[str, ...] = ()
    n_slots: int = 0
    is_datetime: bool = False

    def __post_init__(self) -> None:
        if self.kind not in ("number", "category"):
            raise SchemaError(f"a column is a number or a category, not {self.kind!r}")


@dataclass(frozen=True)
class Table:
    """The inputs as arrays.

    Parameters
    ----------
    numbers
        ``(n_rows, n_numbers)`` float32, NaN where missing, anchors already subtracted.
    codes
        ``(n_rows, n_categories)`` int32: 0 missing, 1..n known, n + 1 not in the schema.
    """

    numbers: np.ndarray
    codes: np.ndarray

    @property
    def n_rows(self) -> int:
        """Rows of the table."""
        return int(self.numbers.shape[0])

    def take(self, rows: np.ndarray) -> Table:
        """Return the given rows, copied, in the given order."""
        return Table(self.numbers[rows], self.codes[rows])


@dataclass(frozen=True)
class Schema:
    """The declared format of a table, inferred once from the rows used for development.

    Parameters
    ----------
    columns
        All of them; those of the blocks stand before all others.
    blocks
        Number columns that belong together, in their order.
    """

    columns: tuple[Column, ...]
    blocks: tuple[Block, ...] = ()

    @cached_property
    def numbers(self) -> tuple[Column, ...]:
        """The number columns, in order."""
        return tuple(c for c in self.columns if c.kind == "number")

    @cached_property
    def categories(self) -> tuple[Column, ...]:
        """The category columns, in order."""
        return tuple(c for c in self.columns if c.kind == "category")

    @property
    def n_columns(self) -> int:
        """Columns of either kind."""
        return len(self.columns)

    @property
    def n_placed(self) -> int:
        """Number columns that are in a block; they are the first."""
        return sum(block.size for block in self.blocks)

    @cached_property
    def plain(self) -> tuple[Column, ...]:
        """The columns that are in no block."""
        return self.columns[self.n_placed :]

    @classmethod
    def infer(
        cls, frame: pd.DataFrame, *, max_slots: int = 32, inputs: Mapping[str, str] | None = None
    ) -> Schema:
        """Infer the format from a frame.

        Parameters
        ----------
        frame
            Inputs only, without targets, groups or time.
        max_slots
            Upper limit of inputs per category column.
        inputs
            What groups of columns are; see `spaces.blocks.find_blocks`.

        Raises
        ------
        SchemaError, BlockError
            If a column name occurs twice, a column holds values that are neither numbers nor text nor
            dates, or columns are not what `inputs` says.
        """
        place = _placed(frame)
        blocks = find_blocks(frame.set_axis(list(place), axis=1), inputs or {})
        apart = {name for block in blocks for name in block.sources}
        rest = {name: i for name, i in place.items() if name not in apart}
        dtypes = list(frame.dtypes)
        plain = {name: i for name, i in rest.items() if _is_plain(dtypes[i])}
        numbers = dict(_infer_numbers(frame, plain))
        columns = (
            numbers[name] if name in numbers else _infer_column(name, frame.iloc[:, i], max_slots)
            for name, i in rest.items()
        )
        return cls((*_columns_of(blocks), *columns), blocks)

    def read(self, frame: pd.DataFrame) -> Table:
        """Turn a frame into arrays; the order of its columns and further columns do not matter.

        Raises
        ------
        SchemaError
            If columns are missing, or a number column holds text.
        """
        wanted = [*(n for block in self.blocks for n in block.sources), *(c.name for c in self.plain)]
        place = _placed(frame, set(wanted))
        absent = [name for name in wanted if name not in place]
        if absent:
            raise SchemaError(f"every column of the schema must be present; missing: {_listed(absent)}")
        numbers = np.empty((len(frame), len(self.numbers)), np.float32)
        codes = np.empty((len(frame), len(self.categories)), np.int32)
        numbers[:, : self.n_placed] = self._read_blocks(frame)
        plain: dict[int, int] = {}
        dtypes = list(frame.dtypes)
        for i, column in enumerate(self.numbers[self.n_placed :], self.n_placed):
            if _is_plain(dtypes[place[column.name]]):
                plain[i] = place[column.name]
            else:
                values = floats(column.name, frame.iloc[:, place[column.name]], column.is_datetime)
                numbers[:, i] = _anchored(values, column.anchor)
        anchors = np.array([column.anchor for column in self.numbers])
        for own, found in _in_parts(frame, plain):
            numbers[:, own] = _anchored(found, anchors[own])
        for i, column in enumerate(self.categories):
            codes[:, i] = _codes(column, frame.iloc[:, place[column.name]])
        return Table(numbers, codes)

    def _read_blocks(self, frame: pd.DataFrame) -> np.ndarray:
        """Values of the blocks ``(n_rows, n_placed)``."""
        if not self.blocks:
            return np.zeros((len(frame), 0), np.float32)
        named = frame.set_axis([str(name) for name in frame.columns], axis=1)
        try:
            return np.concatenate([block.read(named) for block in self.blocks], axis=1)
        except BlockError as error:
            raise SchemaError(str(error)) from None

    def to_json(self) -> dict[str, Any]:
        """Return a dictionary that JSON can hold."""
        columns = [vars(c) | {"categories": list(c.categories)} for c in self.plain]
        blocks = {"blocks": [block.to_json() for block in self.blocks]} if self.blocks else {}
        return {"columns": columns, **blocks}

    @classmethod
    def from_json(cls, record: Mapping[str, Any]) -> Schema:
        """Read what `to_json` wrote."""
        columns = (c | {"categories": tuple(c.get("categories", ()))} for c in record["columns"])
        blocks = tuple(Block.from_json(block) for block in record.get("blocks", ()))
        return cls((*_columns_of(blocks), *(Column(**c) for c in columns)), blocks)


def _columns_of(blocks: tuple[Block, ...]) -> tuple[Column, ...]:
    return tuple(Column(name, "number", False) for block in blocks for name in block.columns)


def _listed(names: list[str]) -> str:
    more = f" and {len(names) - 8} more" if len(names) > 8 else ""
    return ", ".join(map(shown, names[:8])) + more


def _placed(frame: pd.DataFrame, wanted: set[str] | None = None) -> dict[str, int]:
    """Return the places of the (wanted) columns by the text of their name; refuse one that occurs twice."""
    names = [str(name) for name in frame.columns]
    twice = sorted(n for n, times in Counter(names).items() if times > 1 and (wanted is None or n in wanted))
    if twice:
        raise SchemaError(f"column names must be unique; occurring twice: {_listed(twice)}")
    return {n: i for i, n in enumerate(names) if wanted is None or n in wanted}


def _is_plain(dtype: object) -> bool:
    """Whether a column is an array of numbers or booleans, of which many are read at once."""
    return isinstance(dtype, np.dtype) and dtype.kind in "biuf"


def _in_parts(frame: pd.DataFrame, place: Mapping[_Key, int]) -> Iterator[tuple[list[_Key], np.ndarray]]:
    """Yield plain columns as float64 ``(n_rows, n_some)``, NaN where missing or infinite, with their keys."""
    keys, n_each = list(place), max(1, _MOST_CELLS // max(len(frame), 1))
    for start in range(0, len(keys), n_each):
        some = keys[start : start + n_each]
        values = frame.iloc[:, [place[key] for key in some]].to_numpy(np.float64, copy=True)
        values[~np.isfinite(values)] = np.nan
        yield some, values


def _infer_numbers(frame: pd.DataFrame, place: Mapping[str, int]) -> Iterator[tuple[str, Column]]:
    """Yield plain columns by name."""
    for names, values in _in_parts(frame, place):
        is_missing = np.isnan(values)
        low = np.where(is_missing, np.inf, values).min(axis=0, initial=np.inf)
        high = np.where(is_missing, -np.inf, values).max(axis=0, initial=-np.inf)
        is_far = (low > 0) | (high < 0)  # as are all that need an anchor
        for i, name in enumerate(names):
            anchor = _anchor(values[~is_missing[:, i], i]) if is_far[i] else 0.0
            yield name, Column(name, "number", bool(is_missing[:, i].any()), anchor=anchor)


def _anchored(values: np.ndarray, anchor: float | np.ndarray) -> np.ndarray:
    """Return values less their anchor, within the largest numbers."""
    with np.errstate(over="ignore"):
        return np.clip(values - anchor, -LARGEST_NUMBER, LARGEST_NUMBER)


def _infer_column(name: str, series: pd.Series, max_slots: int) -> Column:
    """Decide the kind of one column and what belongs to it."""
    form = _form(name, series)
    if form == "text":
        texts, which = _texts(name, series)
        categories = tuple(sorted(texts))
        is_missing = bool((which < 0).any())
        n_slots = _n_slots(len(categories) + 1 + is_missing, max_slots)
        return Column(name, "category", is_missing, categories=categories, n_slots=n_slots)
    values = floats(name, series, form == "datetime")
    present = values[~np.isnan(values)]
    is_missing = present.size < values.size
    return Column(name, "number", is_missing, anchor=_anchor(present), is_datetime=form == "datetime")


def _form(name: str, series: pd.Series) -> Literal["number", "datetime", "text"]:
    """Tell whether a column is read as numbers, dates or text."""
    import pandas as pd
    from pandas.api import types

    dtype = series.dtype
    if isinstance(dtype, pd.CategoricalDtype):
        return "text"
    if types.is_complex_dtype(dtype):
        raise SchemaError(f"column {shown(name)} must hold numbers, text or dates, not complex numbers")
    if types.is_bool_dtype(dtype) or types.is_numeric_dtype(dtype) or types.is_timedelta64_dtype(dtype):
        return "number"
    if types.is_datetime64_any_dtype(dtype):
        return "datetime"
    inferred = types.infer_dtype(series, skipna=True)
    if inferred in ("datetime", "datetime64", "date"):
        return "datetime"
    if inferred == "boolean":
        return "number"
    try:
        distinct = pd.Series(series.dropna().unique(), dtype=object)
    except TypeError as error:
        raise SchemaError(f"column {shown(name)} must hold numbers, text or dates: {error}") from None
    present = distinct[~is_blank(distinct)]
    return "number" if len(present) and not unparsed(present).any() else "text"


def _anchor(present: np.ndarray) -> float:
    """Return the median where float32 would lose the values' differences, else 0."""
    if not present.size:
        return 0.0
    with np.errstate(over="ignore"):
        spread = float(present.max() - present.min())
    if float(np.abs(present).min()) > 1000.0 * spread:
        return float(np.median(present))
    return 0.0


def _n_slots(n_needed: int, max_slots: int) -> int:
    """Return the smallest slot size that is enough, at most `max_slots`."""
    return min(next((s for s in SLOT_SIZES if s >= n_needed), SLOT_SIZES[-1]), max_slots)


def _texts(name: str, series: pd.Series) -> tuple[list[str], np.ndarray]:
    """Return the distinct texts of a column and, per row, which one it holds (-1: missing)."""
    import pandas as pd
    from pandas.api import types

    if isinstance(series.dtype, pd.CategoricalDtype):
        labels = [_text(v) for v in series.cat.categories]
        which = series.cat.codes.to_numpy(np.int64)
        used = np.unique(which[which >= 0])
        if len(set(labels)) == len(labels) and "" not in labels:
            place = np.full(len(labels) + 1, -1)
            place[used] = np.arange(used.size)
            return [labels[i] for i in used], place[which]
        series = series.astype(object)
    if types.infer_dtype(series, skipna=True) not in ("string", "empty"):
        series = series.map(_text, na_action="ignore")
    which, found = pd.factorize(series.astype(object))
    texts = [str(t) for t in found]
    if "" in texts:
        at = texts.index("")
        which = np.where(which == at, -1, which - (which > at))
        del texts[at]
    return texts, np.asarray(which)


def _text(value: object) -> str:
    """Return the text of a category; whole floats as whole numbers, so that 1 and 1.0 agree."""
    if isinstance(value, (float, np.floating)) and float(value).is_integer():
        return str(int(value))
    return str(value)


def _codes(column: Column, series: pd.Series) -> np.ndarray:
    """Return the codes ``(n_rows,)`` of a category column."""
    import pandas as pd

    texts, which = _texts(column.name, series)
    known = pd.Index(column.categories, dtype=object)
    code = known.get_indexer(pd.Index(texts, dtype=object)) + 1
    code[code == 0] = len(column.categories) + 1
    found: np.ndarray = np.append(code, 0)[which].astype(np.int32)  # which = -1 picks the appended 0
    return found
