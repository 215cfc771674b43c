"""Malformed input: what a case is, and how it is held against the rule for all of them.

A case writes its files into an empty folder and says what is typed there. It is *refused* (one line that
names the rule, exit code 2, nothing written) or *usable*, which the corpus says by an empty rule.
"""

from __future__ import annotations

import io
import time
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from search.run import main

MOST_SECONDS = 5.0


@dataclass(frozen=True)
class Case:
    """One malformed input.

    Parameters
    ----------
    name
        For people.
    build
        Writes the files into the working directory.
    words
        What is typed behind the verb.
    rule
        Words of the rule in the message; empty where the input is usable.
    """

    name: str
    build: Callable[[], object]
    words: tuple[str, ...]
    rule: str


@dataclass(frozen=True)
class Answer:
    """What the command line said, and the processor time that it took."""

    code: int
    out: str
    err: str
    seconds: float


def file(name: str, content: bytes | str) -> Callable[[], object]:
    """A builder that writes one file."""
    return lambda: Path(name).write_bytes(content.encode() if isinstance(content, str) else content)


def good_frame(n_rows: int = 60) -> pd.DataFrame:
    """A table with nothing wrong: numbers, text, groups, times, weights, two classes."""
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"a": rng.normal(size=n_rows).round(3), "b": rng.choice(["x", "y", "z"], n_rows)})
    frame["g"], frame["w"] = rng.integers(0, 12, n_rows), rng.uniform(0.5, 2.0, n_rows).round(2)
    frame["t"] = np.arange(n_rows) * 1.5
    frame["y"] = np.where(frame["a"] + rng.normal(size=n_rows) > 0, "yes", "no")
    return frame


def good_text(n_rows: int = 60, **columns: object) -> str:
    """The good table as CSV, with columns replaced or added."""
    return good_frame(n_rows).assign(**columns).to_csv(index=False)


def answered(words: list[str]) -> Answer:
    """Run one command in this process; an error that is not dressed as a mistake comes through."""
    out, err, start = io.StringIO(), io.StringIO(), time.process_time()
    with redirect_stdout(out), redirect_stderr(err):
        code = main(words)
    return Answer(code, out.getvalue(), err.getvalue(), time.process_time() - start)


def everything() -> dict[str, bytes]:
    """All files below the working directory with their content, folders too."""
    return {
        str(path): path.read_bytes() if path.is_file() and not path.is_symlink() and is_sane(path) else b""
        for path in sorted(Path().rglob("*"))
    }


def is_sane(path: Path) -> bool:
    """Whether a file can be read: some pretend to be larger than memory."""
    return path.stat().st_size < 2**28


def check_refused(words: list[str], rule: str) -> Answer:
    """Hold one command against the rule for malformed input."""
    before = everything()
    answer = answered(words)
    assert answer.code == 2, (answer.code, answer.err, answer.out)
    check_line(answer.err)
    assert rule.lower() in answer.err.lower(), f"{rule!r} is not in {answer.err!r}"
    assert answer.out == ""
    assert everything() == before
    assert answer.seconds < MOST_SECONDS
    return answer


def check_line(text: str) -> None:
    """Hold what is printed on stderr against the form of an error: one line that steers no terminal."""
    assert text.startswith("error: ") and text.endswith("\n") and text.count("\n") == 1, text
    assert text[:-1].isprintable(), ascii(text)
    assert len(text) <= 2000, len(text)
    assert "Traceback" not in text and "Warning" not in text
