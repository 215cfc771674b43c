"""What the machine does to a study: full disk, read-only folder, jumping clock, a second study."""

from __future__ import annotations

import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.chaos_studies import LINEAR, MIXED, ROOT, Ground, Result, begin, ended, finish, killed_after

SIZES = ("24k", "80k", "200k", "400k", "1m")
"""Of a disk: full at the beginning, among the trials, and while the ensemble and the report are written."""
CLOCK = """
import random, time
_real, _draw = time.time, random.Random(0)
time.time = lambda: _real() + _draw.uniform(-1e6, 1e6)
"""


def doubled(ground: Ground) -> list[Result]:
    """A second study, and one that goes on, in the folder of a study that is at work."""
    out = ground.new()
    first = begin(ground.words(out, LINEAR))
    while not (out / "run.json").exists():
        time.sleep(0.05)
    tried = [finish(ground.words(out, LINEAR)), finish(["resume", str(out)])]
    tried = [(code, said.replace(str(out), "RUN")) for code, said in tried]
    code, _ = ended(first)
    is_good = code == 0 and ground.is_same(out, LINEAR)
    for refusal, said in tried:
        is_good &= refusal == 2 and ("another is at work" in said or "finished run" in said)
    said = " / ".join(sorted({said for _, said in tried}))
    return [
        Result(
            "two studies into one folder", 2, f"code 2: {said}; the first comes to the same result", is_good
        )
    ]


@contextmanager
def _disk(place: Path, options: str) -> Iterator[bool]:
    """A small memory file system at a place; False where there is no right to mount one."""
    place.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(place)]
    is_there = subprocess.run(command, check=False, capture_output=True).returncode == 0
    try:
        yield is_there
    finally:
        subprocess.run(["umount", "-l", str(place)], check=False, capture_output=True)


def full(ground: Ground) -> list[Result]:
    """Disks that are full at another moment each, and made larger afterwards."""
    n_same, messages, codes = 0, set[str](), set[int]()
    for size in SIZES:
        place = ground.folder / f"disk{size}"
        with _disk(place, f"size={size}") as is_there:
            if not is_there:
                return [Result("disk full", 0, "not tried: no right to mount a small file system here", True)]
            code, said = finish(ground.words(place / "run", LINEAR))
            codes.add(code)
            messages.add(said.replace(str(place), "RUN"))
            subprocess.run(["mount", "-o", "remount,size=64m", str(place)], check=True)
            again, said = finish(ground.words(place / "run", LINEAR))
            if again:
                messages.add(f"AGAIN: {again}: {said}")
            n_same += again == 0 and ground.is_same(place / "run", LINEAR)
    found = f"exit codes {sorted(codes)}: {' / '.join(sorted(messages))}; "
    found += f"with room again {n_same} times the same result"
    is_good = codes == {2} and n_same == len(SIZES) and all("make room" in line for line in messages)
    return [Result(f"disk full, of {', '.join(SIZES)} bytes", len(SIZES), found, is_good)]


def unwritable(ground: Ground) -> list[Result]:
    """A folder that cannot be written, for a new study and for one that goes on."""
    place, begun = ground.folder / "fixed", ground.new()
    killed_after(begun, ground.words(begun, LINEAR), 3)
    with _disk(place, "size=64m") as is_there:
        if not is_there:
            return [Result("read-only folder", 0, "not tried: no right to mount a file system here", True)]
        shutil.copytree(begun, place / "run")
        subprocess.run(["mount", "-o", "remount,ro", str(place)], check=True)
        new, on = finish(ground.words(place / "new", LINEAR)), finish(["resume", str(place / "run")])
        subprocess.run(["mount", "-o", "remount,rw", str(place)], check=True)
        finish(["resume", str(place / "run")])
        is_same = ground.is_same(place / "run", LINEAR)
    lines = [(code, said.replace(str(place), "PLACE")) for code, said in (new, on)]
    is_good = is_same and all(code == 2 and "ead-only" in said for code, said in lines)
    told = "; ".join(f"code {code}: {said}" for code, said in lines)
    return [
        Result(
            "read-only folder: a new study, one that goes on",
            2,
            f"{told}; writable again: {_same(is_same)}",
            is_good,
        )
    ]


def jumped(ground: Ground) -> list[Result]:
    """A clock that jumps by days at every look, in all processes; also where the study has a time limit."""
    (ground.folder / "clock").mkdir()
    (ground.folder / "clock/sitecustomize.py").write_text(CLOCK, encoding="utf-8")
    path, found = f"{ground.folder / 'clock'}:{ROOT}", []
    for more in ((), ("--time", "1h")):
        out = ground.new()
        code, said = finish(ground.words(out, MIXED, *more), PYTHONPATH=path)
        is_same = code == 0 and ground.is_same(out, MIXED)
        fault = f"clock that jumps by days at every look{', `--time 1h`' if more else ''}"
        found.append(Result(fault, 1, _same(is_same) if code == 0 else f"code {code}: {said}", is_same))
    return found


def _same(is_same: bool) -> str:
    return "the same result" if is_same else "ANOTHER result"
