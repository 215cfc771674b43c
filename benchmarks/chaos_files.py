"""Stored files are altered after the study was killed."""

from __future__ import annotations

import random
import shutil
from collections.abc import Callable
from pathlib import Path

from benchmarks.chaos_studies import LINEAR, Ground, Result, draw, finish, killed_after

FILES = (
    "oof/*.npy", "weights/*.npz", "trials.jsonl", "ledger.jsonl", "journal.log", "run.json", "config.toml",
    "splits.npz",
)  # fmt: skip


def altered(ground: Ground) -> list[Result]:
    """Each kind of file in a copy of a study that was killed with half of its trials finished."""
    begun = ground.new()
    killed_after(begun, ground.words(begun, LINEAR), 3)
    return [_altered(ground, begun, kind) for kind in FILES]


def _altered(ground: Ground, begun: Path, kind: str) -> Result:
    rng, n_same, refused, broken = draw(1), 0, list[str](), list[str]()
    for way in WAYS:
        out = ground.new()
        shutil.copytree(begun, out)
        path = rng.choice(sorted(out.glob(kind)))
        path.write_bytes(way(path.read_bytes(), rng))
        code, line = finish(["resume", str(out)])
        line = line.replace(f"{out}/", "").replace(str(out), "RUN")
        if code == 0 and ground.is_same(out, LINEAR):
            n_same += 1
        elif code == 2 and line.startswith("error: "):
            refused.append(line.removeprefix("error: "))
        else:
            broken.append(f"{way.__name__}: exit code {code}, {line}")
    found = [f"{n_same} times the same result"]
    found += [f"{len(refused)} times refused: {' / '.join(sorted(set(refused)))}"] if refused else []
    found += [f"BROKEN: {' / '.join(broken)}"] if broken else []
    return Result(
        f"`{kind}`: a byte altered, a digit altered, cut off, emptied",
        len(WAYS),
        "; ".join(found),
        not broken,
    )


def _byte(content: bytes, rng: random.Random) -> bytes:
    place = rng.randrange(len(content))
    return content[:place] + bytes([content[place] ^ rng.randrange(1, 256)]) + content[place + 1 :]


def _digit(content: bytes, rng: random.Random) -> bytes:
    """Another digit somewhere, which stays readable."""
    place = rng.choice([at for at, byte in enumerate(content) if chr(byte) in "12345678"])
    return content[:place] + bytes([content[place] + 1]) + content[place + 1 :]


def _cut(content: bytes, rng: random.Random) -> bytes:
    return content[: len(content) * 2 // 3]


def _emptied(content: bytes, rng: random.Random) -> bytes:
    return b""


WAYS: tuple[Callable[[bytes, random.Random], bytes], ...] = (_byte, _digit, _cut, _emptied)
