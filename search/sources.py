"""Where tables come from: files and the built-in demos."""

from __future__ import annotations

import gzip
import io
import zipfile
import zlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from search.targets import DataError
from spaces.blocks import frame_of, placed

if TYPE_CHECKING:
    import pandas as pd

DEMOS = ("breast_cancer", "wine", "digits", "diabetes", "iris")
MISSING = (  # pandas' own list but for the text None
    *("", " ", "#N/A", "#N/A N/A", "#NA", "-1.#IND", "-1.#QNAN", "-NaN", "-nan", "1.#IND", "1.#QNAN", "<NA>"),
    *("N/A", "NA", "NULL", "NaN", "n/a", "nan", "null"),
)
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
        raise DataError(f"a table ends in .csv, .tsv, .txt, .parquet (and .gz) or .npz, not {path.name!r}")
    try:
        content = path.read_bytes()
        content = gzip.decompress(content) if is_zipped else content
        frame = _parse(content, ending)
    except FileNotFoundError:
        raise DataError(f"there is no file {str(path)!r}") from None
    except (
        OSError,
        EOFError,
        zlib.error,
        zipfile.BadZipFile,
        ValueError,
    ) as error:  # pandas' and pyarrow's errors are among them
        line = " ".join(str(error).split()) or type(error).__name__
        raise DataError(f"cannot read {str(path)!r}: {line}") from None
    if frame.empty:
        raise DataError(f"the table {str(path)!r} has no rows or no columns")
    return frame


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
        raise DataError(f"a demo is one of {', '.join(DEMOS)}, not {name!r}")
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
        with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
            return frame_of({name: arrays[name] for name in arrays.files})
    return _parse_parquet(content) if ending == ".parquet" else _parse_text(content, ending)


def _parse_parquet(content: bytes) -> pd.DataFrame:
    """Parse a Parquet file."""
    import pandas as pd

    return pd.read_parquet(io.BytesIO(content)).reset_index(drop=True)


def _parse_text(content: bytes, ending: str) -> pd.DataFrame:
    """Parse separated text in UTF-8, with or without a byte order mark."""
    import pandas as pd

    if not content.strip():
        raise ValueError("the file is empty")
    text = content.decode("utf-8-sig")
    frame = pd.read_csv(
        io.StringIO(text),
        sep=_separator(text, SEPARATORS[ending]),
        keep_default_na=False,
        na_values=list(MISSING),
        low_memory=False,
    )
    return frame.apply(_numbers_beside_none) if len(frame) else frame


def _separator(text: str, default: str) -> str:
    """Return the separator that the first line uses most, the usual one on a tie."""
    first = text.lstrip().split("\n", 1)[0]
    return max((default, ",", "\t", ";", "|"), key=first.count)


def _numbers_beside_none(series: pd.Series) -> pd.Series:
    """Read a text column as numbers where ``None`` is the only text in it."""
    import pandas as pd

    if pd.api.types.is_numeric_dtype(series.dtype):
        return series
    is_none = series.eq("None").fillna(False).astype(bool)
    if not is_none.any():
        return series
    rest = pd.to_numeric(series.mask(is_none).astype(object), errors="coerce")
    is_text = rest.isna() & ~is_none & series.notna()
    return series if is_text.any() or rest.isna().all() else rest
