"""Columns that belong together: the pixels of an image, the steps of a sequence, the counts of a text.

A block's columns are named ``name[i]``, ``name[i,j]`` or ``name[i,j,k]`` by their place in its array, as
`frame_of` writes them; those of a text are counted from one text column.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING, Any, Literal, cast, get_args

import numpy as np

from spaces.shown import shown

if TYPE_CHECKING:
    import pandas as pd

BlockKind = Literal["image", "sequence", "tokens", "counts", "vector", "text"]
KINDS: tuple[str, ...] = (*get_args(BlockKind), "columns")
"""What a group of columns may be read as; columns: each as a column of its own."""
N_BUCKETS = 1024
_PLACED = re.compile(r"(?P<name>.+)\[(?P<place>\d{1,9}(?:,\d{1,9})*)\]", re.DOTALL)
_RANKS = {"image": (2, 3), "sequence": (1, 2), "tokens": (1,), "counts": (1,), "vector": (1, 2, 3, 4)}


class BlockError(ValueError):
    """Columns cannot be read as the array that they were said to be; the message is one line."""


@dataclass(frozen=True)
class Block:
    """Number columns of a table that stand together.

    Parameters
    ----------
    name
        What comes before the brackets of its columns, or its text column.
    kind
        ``"image"``, ``"sequence"``, ``"tokens"`` (ids in order), ``"counts"``, ``"vector"`` or ``"text"``.
    shape
        Of one row's array: image ``(height, width, channels)``, sequence ``(steps, features)``, any other
        ``(n,)``.
    index
        Shape of the places in the column names; empty for a text.
    n_tokens
        Of tokens: ids are 0 to ``n_tokens - 1``, 0 is padding.
    """

    name: str
    kind: BlockKind
    shape: tuple[int, ...]
    index: tuple[int, ...]
    n_tokens: int = 0

    @property
    def size(self) -> int:
        """Number columns."""
        return prod(self.shape)

    @property
    def n_channels(self) -> int:
        """Parts that are scaled apart: channels of an image, features of a sequence, else one."""
        return self.shape[-1] if self.kind in ("image", "sequence") else 1

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of its number columns, the last place running fastest."""
        return placed(self.name, self.index or self.shape)

    @property
    def sources(self) -> tuple[str, ...]:
        """Columns that a frame must have."""
        return self.columns if self.index else (self.name,)

    def read(self, frame: pd.DataFrame) -> np.ndarray:
        """Read the columns of a frame as ``(n_rows, size)`` float32: NaN where missing.

        Counts become ``log(1 + count)``; a token that is not known becomes padding.

        Raises
        ------
        BlockError
            If a value is no number, or a count or token is below 0.
        """
        if self.kind == "text":
            return np.asarray(np.log1p(_counted(frame[self.name], self.size)))
        values = _as_numbers(frame[list(self.columns)], self.name)
        if self.kind in ("tokens", "counts") and np.nanmin(values, initial=0.0) < 0:
            raise BlockError(
                f"{self.kind} must be at least 0, and {shown(self.name)} holds {np.nanmin(values):g}"
            )
        if self.kind == "tokens":
            values = np.nan_to_num(values)
            return np.where(values < self.n_tokens, np.floor(values), 0.0).astype(np.float32)
        found: np.ndarray = np.log1p(values) if self.kind == "counts" else values
        return found

    def to_json(self) -> dict[str, Any]:
        """Return a dictionary that JSON can hold."""
        return {
            "name": self.name,
            "kind": self.kind,
            "shape": list(self.shape),
            "index": list(self.index),
            "n_tokens": self.n_tokens,
        }

    @classmethod
    def from_json(cls, record: Mapping[str, Any]) -> Block:
        """Read what `to_json` wrote."""
        shape, index = (tuple(int(n) for n in record[key]) for key in ("shape", "index"))
        return cls(str(record["name"]), record["kind"], shape, index, int(record["n_tokens"]))


def placed(name: str, shape: Sequence[int]) -> tuple[str, ...]:
    """Names of the columns of an array of this shape.

    >>> placed("x", (2, 2))
    ('x[0,0]', 'x[0,1]', 'x[1,0]', 'x[1,1]')
    """
    return tuple(f"{name}[{','.join(map(str, place))}]" for place in np.ndindex(*shape))


def frame_of(arrays: Mapping[str, Any]) -> pd.DataFrame:
    """Lay arrays side by side as columns.

    Parameters
    ----------
    arrays
        By name, each ``(n_rows, ...)``: one column for ``(n_rows,)``, else one for each place of a row's
        array.

    Raises
    ------
    BlockError
        If there is no array, one has no rows, or their numbers of rows differ.
    """
    import pandas as pd

    held = {str(name): np.asarray(array) for name, array in arrays.items()}
    n_rows = {name: array.shape[0] if array.ndim else None for name, array in held.items()}
    if not held or None in n_rows.values() or len(set(n_rows.values())) > 1:
        raise BlockError(
            f"arrays must be some and have equally many rows, got {shown(n_rows) if n_rows else 'none'}"
        )
    parts = []
    for name, array in held.items():
        if array.dtype.kind == "V":
            raise BlockError(
                f"arrays must hold numbers, text or dates, and {shown(name)} holds {array.dtype}"
            )
        names = [name] if array.ndim == 1 else list(placed(name, array.shape[1:]))
        parts.append(pd.DataFrame(array.reshape(len(array), len(names)), columns=names))
    return pd.concat(parts, axis=1)


def find_blocks(frame: pd.DataFrame, asked: Mapping[str, str]) -> tuple[Block, ...]:
    """Blocks among the columns of a frame: what is asked for, images (three places), sequences (two).

    Parameters
    ----------
    frame
        Inputs.
    asked
        What a group of columns or a text column is, by its name: one of `KINDS`.

    Raises
    ------
    BlockError
        If a name is not there, or its columns cannot be what is asked for.
    """
    groups = _groups([str(name) for name in frame.columns])
    for name, kind in asked.items():
        known = [*groups, *map(str, frame.columns)]
        if kind not in KINDS:
            raise BlockError(f"an input is one of {', '.join(KINDS)}, got {shown(kind)} for {shown(name)}")
        if name not in (map(str, frame.columns) if kind == "text" else groups):
            raise BlockError(
                f"an input must be one of {', '.join(map(shown, known[:8]))}, got {shown(name)} as {kind}"
            )
    found = [Block(name, "text", (N_BUCKETS,), ()) for name, kind in asked.items() if kind == "text"]
    for name, index in groups.items():
        kind = asked.get(name, {2: "sequence", 3: "image"}.get(len(index), "columns"))
        if kind not in ("columns", "text"):
            found.append(_block(frame, name, index, cast(BlockKind, kind)))
    return tuple(found)


def _groups(names: Sequence[str]) -> dict[str, tuple[int, ...]]:
    """Shapes of the arrays whose every place is a column, by name."""
    places: dict[str, set[tuple[int, ...]]] = {}
    for name in names:
        match = _PLACED.fullmatch(name)
        if match:
            place = tuple(int(number) for number in match["place"].split(","))
            places.setdefault(match["name"], set()).add(place)
    found = {}
    for name, seen in places.items():
        ranks = {len(place) for place in seen}
        shape = tuple(max(axis) + 1 for axis in zip(*seen, strict=True)) if len(ranks) == 1 else ()
        if shape and prod(shape) == len(seen) > 1:
            found[name] = shape
    return found


def _block(frame: pd.DataFrame, name: str, index: tuple[int, ...], kind: BlockKind) -> Block:
    if len(index) not in _RANKS[kind]:
        raise BlockError(f"{shown(name)} cannot be read as {kind}: its arrays have the shape {index}")
    if kind == "image":
        return Block(name, kind, (*index, 1) if len(index) == 2 else index, index)
    if kind == "sequence":
        return Block(name, kind, (*index, 1) if len(index) == 1 else index, index)
    if kind == "tokens":
        values = _as_numbers(frame[list(placed(name, index))], name)
        return Block(name, kind, index, index, int(np.nan_to_num(values).max(initial=0)) + 1)
    return Block(name, kind, (prod(index),), index)


def _as_numbers(frame: pd.DataFrame, name: str) -> np.ndarray:
    try:
        values = frame.to_numpy(dtype=np.float32, na_value=np.nan)
    except (TypeError, ValueError) as error:
        raise BlockError(f"the columns of {shown(name)} must hold numbers: {error}") from None
    return np.where(np.isfinite(values), values, np.float32(np.nan))


def _counted(texts: pd.Series, n_buckets: int) -> np.ndarray:
    """Count words by the bucket of their hash, which learns nothing: ``(n_rows, n_buckets)``."""
    from sklearn.feature_extraction.text import HashingVectorizer

    vectorizer = HashingVectorizer(n_features=n_buckets, alternate_sign=False, norm=None)
    written = texts.astype(object).where(texts.notna(), "").map(str)
    return np.asarray(vectorizer.transform(written).toarray(), np.float32)
