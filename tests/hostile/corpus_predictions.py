"""Malformed rows to predict or to evaluate, and damaged run folders. All lie beside a folder ``run``."""

# ruff: noqa: E501 - a case is a line
from __future__ import annotations

import io
import json
import os
import shutil
import zipfile
from collections.abc import Callable
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd

from tests.hostile.corpus import Case, file, good_frame, good_text
from tests.hostile.corpus_tables import FILES

GOOD = good_frame(20)


def alone(build: Callable[[], object]) -> Callable[[], object]:
    """A builder that puts its file in the place of the table that the run was made of."""
    return lambda: (Path("t.csv").unlink(), build())


def rows(name: str, frame: pd.DataFrame | str, rule: str) -> Case:
    """A case of rows for ``predict``."""
    content = frame if isinstance(frame, str) else frame.to_csv(index=False)
    return Case(name, file("new.csv", content), ("predict", "run", "new.csv"), rule)


def labelled(name: str, frame: pd.DataFrame | str, rule: str) -> Case:
    """A case of rows for ``evaluate``."""
    content = frame if isinstance(frame, str) else frame.to_csv(index=False)
    return Case(name, file("new.csv", content), ("evaluate", "run", "new.csv"), rule)


ROWS = (
    rows("a column is absent", GOOD.drop(columns="a"), "missing: 'a'"),
    rows("all columns are absent", GOOD[["t"]], "missing: 'a', 'b'"),
    rows("a column in another case", GOOD.rename(columns={"a": "A"}), "missing: 'a'"),
    rows("a column twice", "a,a,b\n1,2,x\n", "unique; 'a'"),
    rows("text for numbers", GOOD.assign(a="u"), "'a' must hold numbers, not 'u'"),
    rows("steering text for numbers", GOOD.assign(a="\x1b[31m"), r"not '\x1b[31m'"),
    rows("long text for numbers", GOOD.assign(a="u" * 100_000), "'a' must hold numbers"),
    rows("text of two lines for numbers", GOOD.assign(a="u\nv"), r"not 'u\nv'"),
    rows("dates for numbers", GOOD.assign(a="2024-01-01"), "'a' must hold numbers"),
    rows("empty", "", "the file is empty"),
    rows("header only", "a,b\n", "no rows"),
    rows("categories unseen", GOOD.assign(b="Atlantis"), ""),
    rows("categories that steer", GOOD.assign(b="\x1b[31m"), ""),
    rows("numbers for categories", GOOD.assign(b=7), ""),
    rows("nothing for categories", GOOD.assign(b=np.nan), ""),
    rows("nothing for numbers", GOOD.assign(a=np.nan), ""),
    rows("nothing at all", GOOD.assign(a=np.nan, b=np.nan), ""),
    rows("infinite numbers", GOOD.assign(a=np.inf), ""),
    rows("largest numbers", GOOD.assign(a=1.7e308), ""),
    rows("numbers beyond floats", GOOD.assign(a="1e999"), ""),
    rows("huge whole numbers", GOOD.assign(a=2**70), ""),
    rows("whole numbers beyond all floats", GOOD.assign(a=10**400), ""),
    rows("booleans for numbers", GOOD.assign(a=True), ""),
    rows("one row", GOOD.head(1), ""),
    rows("columns in another order, and more of them", GOOD[[*reversed(GOOD.columns)]].assign(u=1), ""),
    labelled("no target", GOOD.drop(columns="y"), "needs the target column 'y'"),
    labelled("no value of the target", GOOD.assign(y=np.nan), "no row has a value of the target 'y'"),
    labelled("an unknown class", GOOD.assign(y="perhaps"), "the classes are 'no', 'yes', not 'perhaps'"),
    labelled("a class that steers", GOOD.assign(y="\x1b[31m"), r"not '\x1b[31m'"),
    labelled("a long class", GOOD.assign(y="u" * 100_000), "the classes are"),
    labelled("numbers for classes", GOOD.assign(y=1.5), "the classes are"),
    labelled("an input is absent", GOOD.drop(columns="b"), "missing: 'b'"),
    labelled("text for numbers to score", GOOD.assign(a="u"), "'a' must hold numbers"),
    labelled("empty table to score", "", "the file is empty"),
    labelled("target twice", "a,b,y,y\n1,x,yes,no\n", "unique; 'y'"),
)
PLACES = (
    Case("another ending", file("new.csv", good_text()), ("predict", "run", "new.csv", "-o", "p.xlsx"), ".csv"),
    Case("no folder", file("new.csv", good_text()), ("predict", "run", "new.csv", "-o", "none/p.csv"), "folder"),
    Case("a folder as file", lambda: (file("new.csv", good_text())(), Path("p.csv").mkdir()),
         ("predict", "run", "new.csv", "-o", "p.csv"), "p.csv"),
    Case("a device", lambda: (file("new.csv", good_text())(), Path("p.csv").symlink_to("/dev/full")),
         ("predict", "run", "new.csv", "-o", "p.csv"), "device"),
    Case("a pipe", lambda: (file("new.csv", good_text())(), os.mkfifo("p.csv")),
         ("predict", "run", "new.csv", "-o", "p.csv"), "pipe"),
    Case("NUL in the place", file("new.csv", good_text()), ("predict", "run", "new.csv", "-o", "p\0.csv"), "NUL"),
    Case("a place too long", file("new.csv", good_text()),
         ("predict", "run", "new.csv", "-o", "p" * 300 + ".csv"), "too long"),
    Case("a steering place", file("new.csv", good_text()), ("predict", "run", "new.csv", "-o", "p.\x1b[31m"),
         r"\x1b[31m"),
    *(Case(f"no run: {verb}", lambda: None, (verb, "none", *more), "'none'")
      for verb, more in (("predict", ("x.csv",)), ("evaluate", ("x.csv",)), ("leaderboard", ()),
                         ("open-holdout", ()))),
    *(Case(f"a file as run: {verb}", file("none", ""), (verb, "none", *more), "a run is a folder")
      for verb, more in (("predict", ("x.csv",)), ("evaluate", ("x.csv",)), ("leaderboard", ()),
                         ("open-holdout", ()))),
    Case("a run that steers", lambda: None, ("leaderboard", "\x1b[31m\n"), r"\x1b[31m\n"),
    Case("a run too long", lambda: None, ("leaderboard", "u" * 5000), "too long"),
    Case("NUL in the run", lambda: None, ("leaderboard", "u\0v"), "run"),
)  # fmt: skip
TABLES = tuple(
    Case(f"{verb}: {case.name}", alone(case.build), (verb, "run", case.words[0]), case.rule)
    for i, case in enumerate(FILES)
    for verb in [("predict", "evaluate")[i % 2]]
    if case.rule
    and not any(w in case.rule for w in ("one class", "fewer than", "no input column", "no column"))
)
"""Files that are no tables are none for rows either."""


def damaged(name: str, words: str, damage: Callable[[], object], rule: str) -> Case:
    """A case of a run folder in which something was damaged; the rows are good."""
    return Case(name, lambda: (file("new.csv", good_text())(), damage()), tuple(words.split()), rule)


def gone(path: str) -> Callable[[], object]:
    """Remove a file or folder of the run."""
    place = Path("run", path)
    return lambda: shutil.rmtree(place) if place.is_dir() else place.unlink()


def put(path: str, content: str | bytes) -> Callable[[], object]:
    """Replace a file of the run."""
    return file(f"run/{path}", content)


def cut(path: str) -> Callable[[], object]:
    """Cut a file of the run in half."""
    return lambda: put(path, Path("run", path).read_bytes()[: Path("run", path).stat().st_size // 2])()


def changed(path: str, **values: object) -> Callable[[], object]:
    """Change values of a JSON file of the run."""
    return lambda: put(path, json.dumps({**json.loads(Path("run", path).read_text()), **values}))()


def header(n_rows: int) -> bytes:
    """The header of an array of so many rows."""
    array = io.BytesIO()
    np.lib.format.write_array_header_1_0(array, {"descr": "<f8", "fortran_order": False, "shape": (n_rows,)})
    return array.getvalue()


def claimed(n_rows: int) -> bytes:
    """An archive with an array of so many rows, as its header says; ten are there."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("y.npy", header(n_rows) + bytes(80))
    return buffer.getvalue()


def endless(path: str) -> Callable[[], object]:
    """Make a file of the run larger than memory; its holes take no room on the disk."""
    return lambda: os.truncate(Path("run", path), 2**40)


def linked(path: str) -> Callable[[], object]:
    """Put a link to a file elsewhere in the place of a file of the run."""
    place = Path("run", path)
    return lambda: (place.unlink(missing_ok=True), place.symlink_to(Path("new.csv").resolve()))


@cache
def inflating() -> bytes:
    """An archive of a few hundred kilobytes with an array of half a gigabyte."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive, archive.open("y.npy", "w") as file:
        head = io.BytesIO()
        header = {"descr": "|u1", "fortran_order": False, "shape": (2**29,)}
        np.lib.format.write_array_header_1_0(head, header)
        file.write(head.getvalue())
        for _ in range(2**5):
            file.write(bytes(2**24))
    return buffer.getvalue()


def bomb(path: str) -> Callable[[], object]:
    """Put an archive that inflates beyond measure in the place of a file of the run."""
    return lambda: put(path, inflating())()


def beside(damage: Callable[[], object]) -> Callable[[], object]:
    """Damage the run, after a copy of it that it can be compared with was made."""
    return lambda: (shutil.copytree("run", "other"), damage())


REPORT, COMPARE = "report run", "compare run other"
RESUME, EXTRA = "resume run --trials 9", "leaderboard run --extra-metric brier"
PREDICT, EVALUATE, BOARD, HOLDOUT = (
    "predict run new.csv",
    "evaluate run new.csv",
    "leaderboard run",
    "open-holdout run",
)
DAMAGES = (
    *(damaged(f"no run.json: {words}", words, gone("run.json"), "run.json")
      for words in (PREDICT, EVALUATE, BOARD, HOLDOUT)),
    *(damaged(f"run.json is garbage: {words}", words, put("run.json", "garbage"), "run.json")
      for words in (EVALUATE, HOLDOUT)),
    *(damaged(f"run.json is bytes: {words}", words, put("run.json", b"\xff\xfe\x00"), "run.json")
      for words in (EVALUATE, HOLDOUT)),
    *(damaged(f"run.json is a list: {words}", words, put("run.json", "[1, 2]"), "run.json")
      for words in (EVALUATE, HOLDOUT)),
    damaged("run.json is garbage and not asked", BOARD, put("run.json", "garbage"), ""),
    damaged("an unknown metric", EVALUATE, changed("run.json", metric="\x1b[31m"), r"\x1b[31m"),
    damaged("no metric", EVALUATE, put("run.json", "{}"), "metric"),
    damaged("no facts", HOLDOUT, put("run.json", "{}"), "run.json"),
    damaged("trials are cut", BOARD, cut("trials.jsonl"), ""),
    damaged("garbage among the trials", BOARD, lambda: put("trials.jsonl", b"garbage\n"
            + Path("run/trials.jsonl").read_bytes())(), "line 1"),
    damaged("a trial is a list", BOARD, put("trials.jsonl", "[1]\n"), "line 1"),
    damaged("a trial without a number", BOARD, put("trials.jsonl", "{}\n"), "'number'"),
    damaged("a trial with a new field", BOARD, put("trials.jsonl", '{"number": 0, "family": "u", "config": {}, "status": "failed", "u": 1}\n'), "no field 'u'"),
    damaged("summary is gone", BOARD, gone("summary.json"), ""),
    damaged("summary is garbage", BOARD, put("summary.json", "garbage"), "summary.json"),
    damaged("summary is a list", BOARD, put("summary.json", "[]"), "summary.json"),
    *(damaged(f"no ensemble: {words}", words, gone("ensemble"), "no ensemble")
      for words in (PREDICT, EVALUATE, HOLDOUT)),
    *(damaged(f"manifest is garbage: {words}", words, put("ensemble/ensemble.json", "garbage"), "ensemble.json")
      for words in (PREDICT, EVALUATE, HOLDOUT)),
    damaged("manifest is bytes", PREDICT, put("ensemble/ensemble.json", b"\xff\xfe\x00"), "ensemble.json"),
    damaged("manifest is a list", PREDICT, put("ensemble/ensemble.json", "[]"), "format"),
    damaged("manifest nests", PREDICT, put("ensemble/ensemble.json", "[" * 100_000), "ensemble.json"),
    damaged("manifest is gone", PREDICT, gone("ensemble/ensemble.json"), "ensemble.json"),
    damaged("manifest was changed", PREDICT, changed("ensemble/ensemble.json", task={}), "hash"),
    damaged("manifest of another version", PREDICT, changed("ensemble/ensemble.json", format_version=99), "99"),
    damaged("members are cut", PREDICT, cut("ensemble/member_00000.npz"), "member_00000.npz"),
    damaged("members are gone", PREDICT, gone("ensemble/member_00000.npz"), "member_00000.npz"),
    *(damaged(f"rows are garbage: {words}", words, put("rows.npz", b"garbage"), "rows.npz")
      for words in (EVALUATE, HOLDOUT)),
    *(damaged(f"rows are cut: {words}", words, cut("rows.npz"), "rows.npz") for words in (EVALUATE, HOLDOUT)),
    *(damaged(f"rows are gone: {words}", words, gone("rows.npz"), "rows.npz") for words in (EVALUATE, HOLDOUT)),
    *(damaged(f"rows claim to be endless: {words}", words, put("rows.npz", claimed(2**50)), "as large as they say")
      for words in (EVALUATE, HOLDOUT)),
    *(damaged(f"rows inflate beyond measure: {words}", words, bomb("rows.npz"), "must not inflate")
      for words in (EVALUATE, HOLDOUT)),
    *(damaged(f"targets claim to be endless: {words}", words, beside(put("targets.npz", claimed(2**50))), "as large as they say")
      for words in (REPORT, COMPARE)),
    *(damaged(f"targets inflate beyond measure: {words}", words, beside(bomb("targets.npz")), "must not inflate")
      for words in (REPORT, COMPARE)),
    damaged("splits claim to be endless", COMPARE, beside(put("splits.npz", claimed(2**50))), "as large as they say"),
    damaged("splits inflate beyond measure", COMPARE, beside(bomb("splits.npz")), "must not inflate"),
    damaged("trials are nested without end", BOARD, put("trials.jsonl", "[" * 200_000 + "\n"), "line 1: must be a JSON object"),
    damaged("trials beyond measure", BOARD, endless("trials.jsonl"), "must have at most"),
    damaged("facts nested without end", HOLDOUT, put("run.json", "[" * 200_000), "run.json"),
    damaged("facts beyond measure", HOLDOUT, endless("run.json"), "must have at most"),
    damaged("configuration beyond measure", HOLDOUT, endless("config.toml"), "must have at most"),
    damaged("predictions claim to be endless", EXTRA, put("oof/00000.npy", header(2**50) + bytes(80)), "as large as"),
    damaged("predictions are a link", RESUME, linked("oof/00000.npy"), "must hold no links"),
    damaged("the ledger is a link", RESUME, linked("ledger.jsonl"), "must hold no links"),
    damaged("configuration is gone", HOLDOUT, gone("config.toml"), "config.toml"),
    damaged("configuration is garbage", EVALUATE, put("config.toml", "garbage"), "config.toml"),
    damaged("configuration of a newer version", EVALUATE, put("config.toml", "u = 1"), "unknown key 'u'"),
    damaged("looks are garbage", EVALUATE, put("looks.jsonl", "garbage\n"), "looks.jsonl"),
    damaged("the ledger is garbage", EVALUATE, put("ledger.jsonl", "garbage\n"), "ledger.jsonl"),
    damaged("splits are garbage", PREDICT, put("splits.npz", "garbage"), ""),
    damaged("held-out predictions are gone", PREDICT, gone("oof"), ""),
    damaged("the table was changed", HOLDOUT, file("t.csv", good_text(a=1.0)), "content has changed"),
    damaged("the table is gone", HOLDOUT, lambda: Path("t.csv").unlink(), "no file 't.csv'"),
)  # fmt: skip
PREDICTIONS: tuple[Case, ...] = (*ROWS, *PLACES, *TABLES, *DAMAGES)
