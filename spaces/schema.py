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
from spaces.texts import texts_in, texts_of
from spaces.values import SchemaError as SchemaError
from spaces.values import are_numbers, cells_of, first_text, floats, floats_of, is_blank

if TYPE_CHECKING:
    import pandas as pd

SLOT_SIZES = (2, 4, 8, 16, 32)
_MOST_CELLS, _MOST_OBJECTS = 2**22, 2**20  # read at once
_Key = TypeVar("_Key", str, int)
Form = Literal["number", "datetime", "text"]
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
        cells = {name: i for name, i in rest.items() if _is_of_cells(dtypes[i])}
        known = dict(_infer_numbers(frame, plain)) | dict(_infer_cells(frame, cells, max_slots))
        columns = (
            known[name] if name in known else _infer_column(name, frame.iloc[:, i], max_slots)
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
        self._read_numbers(frame, place, numbers)
        self._read_categories(frame, place, codes)
        return Table(numbers, codes)

    def _read_numbers(self, frame: pd.DataFrame, place: Mapping[str, int], numbers: np.ndarray) -> None:
        """Fill in the numbers ``(n_rows, n_numbers)`` behind those of the blocks."""
        dtypes, anchors = list(frame.dtypes), np.array([column.anchor for column in self.numbers])
        own = {i: place[column.name] for i, column in enumerate(self.numbers) if i >= self.n_placed}
        plain = {i: at for i, at in own.items() if _is_plain(dtypes[at])}
        for some, found in _in_parts(frame, plain):
            numbers[:, some] = _anchored(found, anchors[some])
        cells = {i: at for i, at in own.items() if _is_of_cells(dtypes[at])}
        for i, values in _cells(frame, cells):
            column = self.numbers[i]
            numbers[:, i] = _anchored(floats_of(column.name, values, column.is_datetime), column.anchor)
        for i in own.keys() - plain.keys() - cells.keys():
            column = self.numbers[i]
            found = floats(column.name, frame.iloc[:, own[i]], column.is_datetime)
            numbers[:, i] = _anchored(found, column.anchor)

    def _read_categories(self, frame: pd.DataFrame, place: Mapping[str, int], codes: np.ndarray) -> None:
        """Fill in the codes ``(n_rows, n_categories)``."""
        dtypes = list(frame.dtypes)
        own = {i: place[column.name] for i, column in enumerate(self.categories)}
        cells = {i: at for i, at in own.items() if _is_of_cells(dtypes[at])}
        for i, values in _cells(frame, cells):
            codes[:, i] = _codes(self.categories[i], *texts_of(values))
        for i in own.keys() - cells.keys():
            codes[:, i] = _codes(self.categories[i], *texts_in(frame.iloc[:, own[i]]))

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


def _is_of_cells(dtype: object) -> bool:
    """Whether a column is one of texts or other objects, of which many are read at once."""
    import pandas as pd

    return isinstance(dtype, pd.StringDtype) or (isinstance(dtype, np.dtype) and dtype.kind == "O")


def _parts(frame: pd.DataFrame, place: Mapping[_Key, int], n_cells: int) -> Iterator[list[_Key]]:
    keys, n_each = list(place), max(1, n_cells // max(len(frame), 1))
    return (keys[start : start + n_each] for start in range(0, len(keys), n_each))


def _in_parts(frame: pd.DataFrame, place: Mapping[_Key, int]) -> Iterator[tuple[list[_Key], np.ndarray]]:
    """Yield plain columns as float64 ``(n_rows, n_some)``, NaN where missing or infinite, with their keys."""
    for some in _parts(frame, place, _MOST_CELLS):
        values = frame.iloc[:, [place[key] for key in some]].to_numpy(np.float64, copy=True)
        values[~np.isfinite(values)] = np.nan
        yield some, values


def _cells(frame: pd.DataFrame, place: Mapping[_Key, int]) -> Iterator[tuple[_Key, np.ndarray]]:
    """Yield columns as objects ``(n_rows,)`` with their keys: one call for many, as each call costs."""
    for some in _parts(frame, place, _MOST_OBJECTS):
        values = frame.iloc[:, [place[key] for key in some]].to_numpy(object)
        yield from zip(some, np.ascontiguousarray(values.T), strict=True)


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


def _infer_cells(
    frame: pd.DataFrame, place: Mapping[str, int], max_slots: int
) -> Iterator[tuple[str, Column]]:
    """Yield columns of texts and other objects by name."""
    for name, cells in _cells(frame, place):
        form = _form_of(name, cells)
        if form == "text":
            yield name, _category(name, *texts_of(cells), max_slots)
        else:
            yield name, _number(name, floats_of(name, cells, form == "datetime"), form == "datetime")


def _infer_column(name: str, series: pd.Series, max_slots: int) -> Column:
    """Decide the kind of a column of another type and what belongs to it."""
    form = _form(name, series)
    if form == "text":
        return _category(name, *texts_in(series), max_slots)
    return _number(name, floats(name, series, form == "datetime"), form == "datetime")


def _category(name: str, texts: list[str], which: np.ndarray, max_slots: int) -> Column:
    is_missing = bool((which < 0).any())
    n_slots = _n_slots(len(texts) + 1 + is_missing, max_slots)
    return Column(name, "category", is_missing, categories=tuple(sorted(texts)), n_slots=n_slots)


def _number(name: str, values: np.ndarray, is_datetime: bool) -> Column:
    present = values[~np.isnan(values)]
    is_missing = present.size < values.size
    return Column(name, "number", is_missing, anchor=_anchor(present), is_datetime=is_datetime)


def _form(name: str, series: pd.Series) -> Form:
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
    return "datetime" if types.is_datetime64_any_dtype(dtype) else _form_of(name, cells_of(series))


def _form_of(name: str, cells: np.ndarray) -> Form:
    """Tell whether objects are read as numbers, dates or text."""
    import pandas as pd
    from pandas.api import types

    inferred = types.infer_dtype(cells, skipna=True)
    if inferred in ("datetime", "datetime64", "date"):
        return "datetime"
    if inferred == "boolean":
        return "number"
    if inferred == "string" and not are_numbers(first_text(cells)):
        return "text"
    try:
        distinct = pd.factorize(cells)[1]
    except TypeError as error:
        raise SchemaError(f"column {shown(name)} must hold numbers, text or dates: {error}") from None
    present = distinct[~is_blank(distinct)]
    return "number" if are_numbers(present) else "text"


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


def _codes(column: Column, texts: list[str], which: np.ndarray) -> np.ndarray:
    """Return the codes ``(n_rows,)`` of a category column."""
    known = {text: i for i, text in enumerate(column.categories, 1)}
    unknown = len(column.categories) + 1
    code = np.array([*[known.get(text, unknown) for text in texts], 0], np.int32)
    found: np.ndarray = code[which]  # which = -1 picks the 0 at the end
    return found
