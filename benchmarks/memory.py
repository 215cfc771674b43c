"""Memory: what training the wide table takes beyond what is there, and what a study keeps over many trials."""

from __future__ import annotations

import gc
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.ours import request, set_threads
from benchmarks.workloads import CONFIG_B, Workload, n_weights, sampled, workload
from search.objective import make_plan
from search.splits import Member
from search.training.plan import Plan
from search.training.process import TrainingProcess, n_threads_for, validation_loss

MB = 2**20
N_TRIALS = 300
WINDOW = 25


def peak_of_b() -> dict[str, float]:
    """Growth of the peak resident memory in MB while (b) is loaded and trained, and what must be in memory anyway.

    The baseline is this process after one epoch of the same structure on 600 rows, its engine thrown away: TensorFlow,
    its thread pools and its compiler are in it, the table, the weights and the optimizer's slots are not.
    """
    work = workload("b")
    folder = tempfile.TemporaryDirectory()
    _save(make_plan(work.dataset, work.members), Path(folder.name))
    small = Workload(work.name, work.dataset.take(np.arange(600)), _first(work.members), work.configs, 1)
    n_members, n_epochs, n_rows = len(work.members), work.n_epochs, work.dataset.n_rows
    del work
    set_threads(n_threads_for(n_rows))
    from search.training.engine import Engine

    task = small.dataset.task
    loss = validation_loss("log_loss", task)
    warm = Engine(make_plan(small.dataset, small.members), loss)
    warm.train_request(request(small, CONFIG_B))
    del warm
    baseline = settled()
    plan = _load(Path(folder.name))
    Engine(plan, loss).train_request(request(small, CONFIG_B, n_epochs=n_epochs))
    weights = n_members * n_weights(CONFIG_B, plan.inputs[0].shape[1], 1) * 4
    folder.cleanup()
    return {
        "baseline": baseline,
        "growth": _status("VmHWM") - baseline,
        "data": (plan.inputs[0].nbytes + plan.y.nbytes) / MB,
        "weights": weights / MB,
        "slots": 2 * weights / MB,
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


def settled() -> float:
    """Resident memory in MB with garbage collected, free pages returned and the peak forgotten."""
    import ctypes

    gc.collect()
    ctypes.CDLL("libc.so.6").malloc_trim(0)
    Path("/proc/self/clear_refs").write_text("5")
    return _status("VmRSS")


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


def _first(members: tuple[Member, ...]) -> tuple[Member, ...]:
    return tuple(Member(m.repeat, m.fold, np.arange(480), np.arange(480, 600)) for m in members)


def _save(plan: Plan, folder: Path) -> None:
    arrays = {"input": plan.inputs[0], "y": plan.y, "center": plan.target_center, "scale": plan.target_scale}
    ragged = {f"{name}_{i}": rows for name in ("train", "held") for i, rows in enumerate(getattr(plan, name))}
    constants = {path.replace("/", "."): values for path, values in plan.constants.items()}
    np.savez(folder / "plan.npz", repeat=plan.repeat_of_member, **arrays, **ragged, **constants)


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
