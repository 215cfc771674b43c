"""The faults: each strikes real studies and says what it found."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from benchmarks.chaos_studies import ROOT, Result, begin, finish, resumption, table_in, told, words

Fault = Callable[[Path, int], Result]

MODEL = """
import time
import keras

class Bad(keras.layers.Layer):
    def __init__(self, mode):
        super().__init__()
        self.mode = mode

    def call(self, x):
        if self.mode == "hangs":
            time.sleep(10_000)
        if self.mode == "eats":
            self.held = [bytearray(b"x" * 2**20) for _ in range(4_000)]
        return x

    def compute_output_shape(self, shape):
        return shape

def build(hp):
    mode = hp.Choice("mode", ["good", "raises", "hangs", "nan", "eats"])
    units = hp.Int("units", 3, 5)
    if mode == "raises":
        raise RuntimeError("this model cannot be built")
    layers = [keras.layers.Dense(units, activation="relu"), keras.layers.Dense(1, activation="sigmoid")]
    model = keras.Sequential([Bad(mode), *layers] if mode in ("hangs", "eats") else layers)
    rate = 1e30 if mode == "nan" else 0.01
    model.compile(optimizer=keras.optimizers.RMSprop(rate), loss="binary_crossentropy")
    return model
"""


def killed(folder: Path, n_times: int) -> Result:
    """kill -9 of the study and all its processes at random moments, then gone on with."""
    table, rng = table_in(folder), random.Random(0)
    started = time.monotonic()
    finish(words(table, folder / "whole"))
    seconds, whole = time.monotonic() - started, told(folder / "whole")
    n_same, n_kills = 0, 0
    for number in range(n_times):
        out = folder / f"run{number}"
        while not (out / "DONE").exists():
            is_begun = (out / "run.json").exists()
            process = begin(resumption(out) if is_begun else words(table, out))
            with suppress(subprocess.TimeoutExpired):
                process.communicate(timeout=rng.uniform(0.2, seconds))
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.communicate()
                n_kills += 1
        n_same += told(out) == whole
    found = f"{n_same} of {n_times} studies ended with the same trials, ledger and ensemble; {n_kills} kills"
    return Result("kill -9 at random moments", n_times, found, n_same == n_times)


def doubled(folder: Path, n_times: int) -> Result:
    """Two studies into one folder."""
    table = table_in(folder)
    first = begin(words(table, folder / "run"))
    while not (folder / "run" / "lock").exists():
        time.sleep(0.05)
    code, said = finish(words(table, folder / "run"))
    first.communicate()
    is_good = code == 2 and ("another is at work" in said or "choose another --out" in said)
    return Result("two studies into one folder", 1, f"the second: {said}", is_good and first.returncode == 0)


def full(folder: Path, n_times: int) -> Result:
    """A full disk: a small memory file system, made larger afterwards."""
    place, table = folder / "small", table_in(folder)
    place.mkdir()
    if subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=200k", "tmpfs", str(place)], check=False
    ).returncode:
        return Result("disk full", 0, "not tried: no right to mount a small file system here", True)
    try:
        code, said = finish(words(table, place / "run"))
        subprocess.run(["mount", "-o", "remount,size=64m", str(place)], check=True)
        again, _ = finish(words(table, place / "run"))
        finish(words(table, folder / "whole"))
        is_same = told(place / "run") == told(folder / "whole")
        found = f"exit code {code}: {said}; with room again: exit code {again}, the same result: {is_same}"
        return Result("disk full", 1, found, code == 2 and again == 0 and is_same)
    finally:
        subprocess.run(["umount", "-l", str(place)], check=False)


def unwritable(folder: Path, n_times: int) -> Result:
    """A folder that cannot be written."""
    place, table = folder / "fixed", table_in(folder)
    place.mkdir()
    if subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "ro,size=1m", "tmpfs", str(place)], check=False
    ).returncode:
        return Result("read-only folder", 0, "not tried: no right to mount a file system here", True)
    try:
        code, said = finish(words(table, place / "run"))
    finally:
        subprocess.run(["umount", "-l", str(place)], check=False)
    return Result("read-only folder", 1, f"exit code {code}: {said}", code == 2 and "ead-only" in said)


def jumped(folder: Path, n_times: int) -> Result:
    """A clock that jumps by days at every look at it."""
    table = table_in(folder)
    finish(words(table, folder / "whole"))
    code = (
        "import random, sys, time; real = time.time; draw = random.Random(0)\n"
        "time.time = lambda: real() + draw.uniform(-1e6, 1e6)\n"
        "from search.run import main; sys.exit(main(sys.argv[1:]))"
    )
    command = [sys.executable, "-c", code, *words(table, folder / "run")[3:]]
    ended, said = finish(command)
    is_same = ended == 0 and told(folder / "run") == told(folder / "whole")
    return Result("clock jumps", 1, f"the same result: {is_same}" if ended == 0 else said, is_same)


def bad_models(folder: Path, n_times: int) -> Result:
    """A model that raises, hangs, diverges or eats memory, between good ones."""
    (folder / "bad_model.py").write_text(MODEL)
    from search.records import Run

    command = words(table_in(folder), folder / "run", "--model", "bad_model:build", "--sampler", "grid")
    command = [word for word in command if word not in ("--families", "linear", "mlp")]
    command += ["--trials", "15", "--trial-time", "20s", "--trial-memory", "2500", "--max-failures", "20"]
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", "PYTHONPATH": f"{ROOT}:{folder}"}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        return Result("bad models", 15, (done.stderr.strip().splitlines() or ["?"])[-1], False)
    trials = Run.open(folder / "run").trials()
    causes = {str(t.config["mode"]): (t.status, t.cause or "") for t in trials}
    wanted = {"raises": "cannot be built", "hangs": "longer than", "nan": "", "eats": "more than"}
    is_good = causes.get("good", ("", ""))[0] == "completed" and all(
        causes[mode][0] == "failed" and said in causes[mode][1]
        for mode, said in wanted.items()
        if mode in causes
    )
    found = "; ".join(
        f"{mode}: {status} {cause[:70]}".strip() for mode, (status, cause) in sorted(causes.items())
    )
    return Result("bad models", len(trials), found, is_good)


def corrupted(folder: Path, n_times: int) -> Result:
    """A byte of a stored file is changed, or its end cut off, after the study was killed."""
    table, rng = table_in(folder), random.Random(1)
    finish(words(table, folder / "whole"))
    whole, kinds, n_same, said = (
        told(folder / "whole"),
        ("*.npy", "*.npz", "*.jsonl", "journal.log", "run.json"),
        0,
        [],
    )
    for number, kind in enumerate(kinds * 2):
        out = folder / f"run{number}"
        process = begin(words(table, out))
        while len(list(out.glob("oof/0*.npy"))) < 3 and process.poll() is None:
            time.sleep(0.02)
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        _spoil(rng.choice(sorted(out.rglob(kind))), rng, is_cut=number >= len(kinds))
        code, line = finish(words(table, out))
        if code == 0 and told(out) == whole:
            n_same += 1
        elif code == 2:
            said.append(line)
        else:
            return Result("altered files", number, f"{kind}: exit code {code}, {line}", False)
    found = f"{n_same} times the same result, {len(said)} times refused, as in: {said[0] if said else ''}"
    return Result("altered files", 2 * len(kinds), found, True)


def _spoil(path: Path, rng: random.Random, *, is_cut: bool) -> None:
    content = bytearray(path.read_bytes())
    if is_cut:
        content = content[: len(content) * 2 // 3]
    else:
        content[rng.randrange(len(content))] ^= 0x55
    path.write_bytes(content)


FAULTS: dict[str, Any] = {
    "kill": killed,
    "twice": doubled,
    "full": full,
    "read-only": unwritable,
    "clock": jumped,
    "models": bad_models,
    "altered": corrupted,
}
