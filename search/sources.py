"""Where tables come from: files and the built-in demos."""

from __future__ import annotations

import codecs
import csv
import io
import warnings
import zipfile
import zlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from search.archives import arrays_of, check_names, columns_of, content_of, unzipped
from search.targets import DataError
from spaces.blocks import frame_of, placed
from spaces.shown import shown
from spaces.values import parsed

if TYPE_CHECKING:
    import pandas as pd

DEMOS = ("breast_cancer", "wine", "digits", "diabetes", "iris")
MISSING = (  # pandas' own list but for the text None
    *("", " ", "#N/A", "#N/A N/A", "#NA", "-1.#IND", "-1.#QNAN", "-NaN", "-nan", "1.#IND", "1.#QNAN", "<NA>"),
    *("N/A", "NA", "NULL", "NaN", "n/a", "nan", "null"),
)
_MOST_CELLS = 2**20  # read at once
SEPARATORS = {".csv": ",", ".tsv": "\t", ".txt": ","}


def read_table(path: str | Path) -> pd.DataFrame:
    """Read a ``.csv``, ``.tsv``, ``.txt`` or ``.parquet`` file, gzipped (``.gz``) or not, or an ``.npz``.

    The arrays of an ``.npz``, each ``(n_rows, ...)``, are laid side by side as columns (`spaces.blocks`).

    The separator of text files is the one that their first line uses most; the text ``None`` is a value,
    unless all other values of the column are numbers.

    Raises
    ------
    DataError
        If the file is absent, empty, of another kind, or cannot be parsed.
    """
    path = Path(path)
    is_zipped = path.suffix.lower() == ".gz"
    ending = Path(path.stem).suffix.lower() if is_zipped else path.suffix.lower()
    if ending not in (*SEPARATORS, ".parquet", ".npz") or (is_zipped and ending == ".npz"):
        raise DataError(
            f"a table ends in .csv, .tsv, .txt, .parquet (and .gz) or .npz, not {shown(path.name)}"
        )
    try:
        frame = _parse(_content(path, is_zipped), ending)
    except FileNotFoundError:
        raise DataError(f"there is no file {shown(str(path))}") from None
    except OSError as error:
        raise DataError(f"cannot read {shown(str(path))}: {error.strerror or error}") from None
    except (EOFError, zlib.error, zipfile.BadZipFile, ValueError) as error:  # pandas' errors are among them
        line = " ".join(str(error).split()) or type(error).__name__
        raise DataError(f"cannot read {shown(str(path))}: {line}") from None
    if frame.empty:
        raise DataError(f"the table {shown(str(path))} has no rows or no columns")
    return frame


def _content(path: Path, is_zipped: bool) -> bytes:
    content = content_of(path)
    content = unzipped(content) if is_zipped and content else content
    if not content:
        raise ValueError("the file is empty")
    return content


def demo(name: str) -> tuple[pd.DataFrame, str]:
    """Return a built-in table and its target column.

    Parameters
    ----------
    name
        ``breast_cancer``, ``wine``, ``digits`` (images) or ``iris`` (class names as targets), or
        ``diabetes`` (a number).

    Raises
    ------
    DataError
        If there is no such demo.
    """
    if name not in DEMOS:
        raise DataError(f"a demo is one of {', '.join(DEMOS)}, not {shown(name)}")
    from sklearn import datasets

    bunch: Any = getattr(datasets, f"load_{name}")(as_frame=True)
    frame: pd.DataFrame = bunch.frame.copy()
    if name == "digits":
        frame = frame.set_axis([*placed("pixel", (8, 8, 1)), "target"], axis=1)
    if name != "diabetes":
        names = np.array([str(n) for n in bunch.target_names], dtype=object)
        frame["target"] = names[frame["target"].to_numpy()]
    return frame, "target"


def _parse(content: bytes, ending: str) -> pd.DataFrame:
    if ending == ".npz":
        return frame_of(arrays_of(content))
    return _parse_parquet(content) if ending == ".parquet" else _parse_text(content, ending)


def _parse_parquet(content: bytes) -> pd.DataFrame:
    """Parse a Parquet file."""
    frame: pd.DataFrame = columns_of(content).to_pandas().reset_index(drop=True)
    return frame


def _parse_text(content: bytes, ending: str) -> pd.DataFrame:
    """Parse separated text in UTF-8, with or without a byte order mark."""
    import pandas as pd

    text = _decoded(content)
    if not text.strip():
        raise ValueError("the file is empty")
    separator = _separator(text, SEPARATORS[ending])
    names = _header(text, separator)
    check_names(name for name in names if name)
    del text  # the parser reads the bytes, which take a quarter of the room
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", pd.errors.ParserWarning)  # where it would cut off fields
            frame = pd.read_csv(
                io.BytesIO(content.removeprefix(codecs.BOM_UTF8)),
                sep=separator,
                index_col=False,
                keep_default_na=False,
                na_values=list(MISSING),
                low_memory=False,
            )
    except pd.errors.ParserWarning:
        raise ValueError(f"rows must be no longer than the header of {len(names)} fields") from None
    return _with_numbers(frame).copy()  # in one block, which thousands of columns need


def _header(text: str, separator: str) -> list[str]:
    """Return the fields of the first line that is not blank."""
    try:
        return next(csv.reader(io.StringIO(text.lstrip(), newline=None), delimiter=separator))
    except csv.Error as error:
        raise ValueError(f"the header must be one of separated names: {error}") from None


def _decoded(content: bytes) -> str:
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        byte = f"the byte {content[error.start]:#04x} at place {error.start:,} is not"
        raise ValueError(f"the text must be in UTF-8, and {byte}: save it as UTF-8") from None
    if "\0" in text:
        place = text.index("\0")
        raise ValueError(f"the text must hold no NUL character, and there is one at place {place:,}")
    return text


def _separator(text: str, default: str) -> str:
    """Return the separator that the first line uses most, the usual one on a tie."""
    first = text.lstrip().split("\n", 1)[0]
    return max((default, ",", "\t", ";", "|"), key=first.count)


def _with_numbers(frame: pd.DataFrame) -> pd.DataFrame:
    """Read those text columns as numbers in which ``None`` is the only text."""
    import pandas as pd

    places = [i for i, dtype in enumerate(frame.dtypes) if not pd.api.types.is_numeric_dtype(dtype)]
    n_each = max(1, _MOST_CELLS // max(len(frame), 1))
    for some in (places[start : start + n_each] for start in range(0, len(places), n_each)):
        cells = frame.iloc[:, some].to_numpy(object)
        for k in np.flatnonzero((cells == "None").any(axis=0)):
            read = _numbers_beside_none(cells[:, k])
            if read is not None:
                frame.isetitem(some[k], read)
    return frame


def _numbers_beside_none(cells: np.ndarray) -> np.ndarray | None:
    """Read texts as numbers where ``None`` is the only text in them, and there is a number."""
    import pandas as pd

    is_none = cells == "None"
    rest = parsed(np.where(is_none, np.nan, cells))
    is_text = np.isnan(rest) & ~is_none & ~pd.isna(cells)
    return None if is_text.any() or np.isnan(rest).all() else rest
