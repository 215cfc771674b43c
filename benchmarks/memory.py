"""Memory: what training the wide table takes, and what a study keeps over many trials."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.ours import request, set_threads
from benchmarks.workloads import CONFIG_B, N_EPOCHS_B, sampled, workload
from search.objective import make_plan
from search.splits import Member
from search.training.plan import Plan
from search.training.process import TrainingProcess, n_threads_for
from search.training.recipe import Recipe
from search.training.trained import Request, validation_loss
from spaces.schema import Column, Schema
from spaces.signature import Signature
from spaces.task import Task

MB = 2**20
N_TRIALS = 300
WINDOW = 25


def peak_of_b(is_tiny: bool) -> dict[str, float]:
    """Peak resident memory in MB while (b) is loaded and trained, and what has to be in memory anyway.

    With ``is_tiny``: 600 of the rows, 8 units in place of 256. The program has the same operations, so
    that the difference between the two is what rows and weights take, without TensorFlow and its compiler.
    """
    set_threads(n_threads_for(20_000))
    from search.training.engine import Engine

    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "benchmarks.memory", folder, str(int(is_tiny))]
        subprocess.run(command, check=True)
        plan = _load(Path(folder))
    task, config = (
        Task("binary", ("target",), (0, 1)),
        {**CONFIG_B, **({"width": 8, "batch_size": 32} if is_tiny else {})},
    )
    columns = tuple(Column(f"x{i}", "number", may_be_missing=False) for i in range(plan.inputs[0].shape[1]))
    signature = Signature(Schema(columns), task, plan.n_rows)
    recipe = Recipe(
        n_epochs=N_EPOCHS_B, patience=0.0, checkpoints=(N_EPOCHS_B,), batch_size=config["batch_size"]
    )
    trained = Engine(plan, validation_loss("log_loss", task)).train_request(
        Request("mlp", config, signature, recipe, 1)
    )
    weights = sum(array.nbytes for array in trained.weights) / MB
    return {
        "peak": _status("VmHWM"),
        "data": (plan.inputs[0].nbytes + plan.y.nbytes) / MB,
        "weights": weights,
        "slots": 2 * weights,
    }


def study_over_trials(n_trials: int = N_TRIALS) -> dict[str, Any]:
    """Resident memory in MB of a study's processes, the most in each window of 25 trials of one epoch.

    Shared pages count once: the sum of the proportional set sizes of this process and all processes below it.
    """
    work = workload("a")
    configs = sampled(work.signature, n_trials, seed=1)
    sizes: list[float] = []
    with TrainingProcess(make_plan(work.dataset, work.members), "log_loss", work.dataset.task) as process:
        for config in configs:
            process.train(request(work, {**config, "batch_size": 32}, n_epochs=1))
            sizes.append(sum(_proportional(pid) for pid in tree(os.getpid())))
    windows = [max(sizes[start : start + WINDOW]) for start in range(0, n_trials, WINDOW)]
    return {
        "windows": windows,
        "growth_after_first_window": max(windows[1:]) / windows[0] - 1,
        "growth_after_trial_25": max(sizes[WINDOW:]) / sizes[WINDOW - 1] - 1,
    }


def tree(pid: int) -> Iterator[int]:
    """A process and all that descend from it."""
    yield pid
    for thread in Path(f"/proc/{pid}/task").iterdir():
        for child in (thread / "children").read_text().split():
            yield from tree(int(child))


def _status(name: str) -> float:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(name)) / 1024


def _proportional(pid: int) -> float:
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("Pss:")) / 1024


def _save(plan: Plan, folder: Path) -> None:
    arrays: dict[str, Any] = {path.replace("/", "."): values for path, values in plan.constants.items()}
    arrays |= {"input": plan.inputs[0], "y": plan.y, "repeat": np.asarray(plan.repeat_of_member)}
    arrays |= {"center": plan.target_center, "scale": plan.target_scale}
    for name in ("train", "held"):
        arrays |= {f"{name}_{member}": rows for member, rows in enumerate(getattr(plan, name))}
    np.savez(folder / "plan.npz", **arrays)


def _load(folder: Path) -> Plan:
    with np.load(folder / "plan.npz") as stored:
        arrays = {name: stored[name] for name in stored.files}
    n_members = len(arrays["repeat"])
    return Plan(
        inputs=(arrays["input"],),
        y=arrays["y"],
        train=tuple(arrays[f"train_{i}"] for i in range(n_members)),
        held=tuple(arrays[f"held_{i}"] for i in range(n_members)),
        repeat_of_member=tuple(int(repeat) for repeat in arrays["repeat"]),
        target_center=arrays["center"],
        target_scale=arrays["scale"],
        constants={name.replace(".", "/"): a for name, a in arrays.items() if name.startswith("encode.")},
    )


def _write_plan(folder: str, is_tiny: str) -> None:
    """The plan of (b), or of 600 of its rows, made in another process to cost no memory here."""
    work = workload("b")
    if is_tiny == "1":
        rows = np.arange(600)
        held = tuple(Member(m.repeat, m.fold, rows[:480], rows[480:]) for m in work.members)
        work = replace(work, dataset=work.dataset.take(rows), members=held)
    _save(make_plan(work.dataset, work.members), Path(folder))


if __name__ == "__main__":
    _write_plan(*sys.argv[1:])
