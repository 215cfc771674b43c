"""The engine beside the usual ways, on six workloads, and its memory: ``python -m benchmarks.engine``.

Every way runs in a process of its own, one after another, round after round, so that a slow minute of the
machine falls on all of them; medians over the rounds are printed. Importing TensorFlow and a first tiny
training are outside all clocks.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from collections import defaultdict
from statistics import median
from typing import Any

from benchmarks.ours import KFOLD
from benchmarks.worker import LABELS
from benchmarks.workloads import N_TRIALS_F

Figures = dict[str, Any]

FIT = LABELS["fit"]
TITLES = {
    "a": "(a) breast_cancer, 569 x 30, MLP 3x64, dropout 0.2, batch 32, 30 epochs, 5x3 folds = 15 members",
    "b": "(b) 20,000 rows x 50, MLP 3x256, batch 256, 10 epochs, 5x1 folds = 5 members",
    "c": "(c) {n_configs} configurations of the default space, breast_cancer, 30 epochs, 5x3 folds, traced",
    "d": "(d) digits, 1,797 x 8 x 8, separable convolutions, 2 blocks of 32 and 64, 30 epochs, 5 folds",
    "e": "(e) 2,000 sequences of 20 x 4, GRU of 32 in both directions, 30 epochs, 5 folds",
    "f": "(f) {n_trials} trials of a random search, breast_cancer, MLP, 30 epochs, 5x3 folds",
}
WAYS: dict[str, tuple[str, ...]] = {
    "a": ("fit", "optuna", "keras_tuner", "scikit_learn", "engine", "process"),
    "b": ("fit", "optuna", "keras_tuner", "scikit_learn", "engine", "process"),
    "c": ("fit", "optuna", "keras_tuner", "study", "looked_study"),
    "d": ("fit", "engine", "process"),
    "e": ("fit", "engine", "process"),
    "f": ("random_search", "kfold_tuner"),
}
SLOW = ("fit", "optuna", "keras_tuner", "random_search")
AGAIN = "engine, same structure again"


def main() -> None:
    """Measure what is asked for and print it."""
    options = _options()
    machine = f"{len(os.sched_getaffinity(0))} cores, {_processor()}, no GPU, load {os.getloadavg()[0]:.1f}"
    print(f"{machine}; runs: {options.runs}{', quick' if options.quick else ''}")
    for part in options.only.split(","):
        if part == "memory":
            _memory(options.quick)
        else:
            _compare(part, options)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.engine", description=__doc__)
    parser.add_argument(
        "--quick", action="store_true", help="one run, some of the slow ways' members, 8 configurations"
    )
    parser.add_argument("--runs", type=int, default=3, help="rounds of which the median is printed")
    parser.add_argument("--only", default="a,b,c,d,e,f,memory", help="parts, separated by commas")
    options = parser.parse_args()
    options.runs = 1 if options.quick else options.runs
    return options


def _compare(part: str, options: argparse.Namespace) -> None:
    n_configs = 8 if options.quick else 30
    n_members = _sample(part, options.quick)
    print(f"\n{TITLES[part].format(n_configs=n_configs, n_trials=N_TRIALS_F)}", flush=True)
    if n_members:
        print(f"fit, alone and under a tuner: {n_members} members a trial measured, fitting scaled up to all")
    rounds: dict[str, list[float]] = defaultdict(list)
    losses: dict[str, list[float]] = defaultdict(list)
    for number in range(options.runs):
        for way in WAYS[part]:
            is_once = part == "c" and way in SLOW
            if number and is_once:
                continue
            figures = worker(way, part, n_members if way in SLOW else 0, n_configs)
            for label, seconds in figures.items():
                if label == "loss":
                    losses[way].append(seconds)
                else:
                    rounds[label].append(seconds)
    _print_table(rounds)
    scores = ", ".join(f"{way} {median(values):.3f}" for way, values in losses.items())
    print(f"mean held-out log loss after the last epoch: {scores}", flush=True)


def _sample(part: str, is_quick: bool) -> int:
    """Members that the slow ways fit; 0 for all of them."""
    if part == "c":
        return 1 if is_quick else 3
    return {"a": 3, "b": 2, "d": 1, "e": 1, "f": 2}[part] if is_quick else 0


def _print_table(rounds: dict[str, list[float]]) -> None:
    rates, peaks, n_traced = (rounds.pop(name, []) for name in ("rate", "peak_rate", "n_traced"))
    ours = next(name for name in (AGAIN, KFOLD, "engine, one look at the end") if name in rounds)
    usual = FIT if FIT in rounds else LABELS["random_search"]
    fit, best = median(rounds[usual]), median(rounds[ours])
    print("| way | seconds | first row takes times as long | takes times as long as the engine* |")
    print("| --- | --- | --- | --- |")
    for label, values in rounds.items():
        seconds = median(values)
        spread = f" ({min(values):.2f} to {max(values):.2f})" if len(values) > 1 else ""
        print(f"| {label} | {seconds:.2f}{spread} | {fit / seconds:.1f} | {seconds / best:.1f} |")
    print(f"* {ours}")
    if rates:
        share = median(rate / peak for rate, peak in zip(rates, peaks, strict=True))
        print(f"engine: {median(rates):.0f} GFLOP/s in matrix products over a whole trial, best of three;")
        print(f"a 2048^3 product on the same threads: {median(peaks):.0f} GFLOP/s; share {share:.0%}")
    if n_traced:
        print(f"programs traced in the study: {median(n_traced):.0f}")


def _memory(is_quick: bool) -> None:
    n_trials = 75 if is_quick else 300
    full, tiny = worker("peak", "b"), worker("tiny_peak", "b")
    growth, needed = full["peak"] - tiny["peak"], full["data"] + full["weights"]
    data, weights, slots = full["data"], full["weights"], full["slots"]
    print(f"\nmemory of (b): peak {growth:.1f} MB above that of the same program on 600 rows and 8 units;")
    print(f"data {data:.1f} MB, weights {weights:.1f} MB, Adam's slots {slots:.1f} MB:")
    print(f"{growth / needed:.1f} times data and weights, {growth / (needed + slots):.1f} with the slots")
    figures = worker("resident", "a", 0, n_trials)
    sizes = ", ".join(f"{size:.0f}" for size in figures["windows"])
    print(f"resident memory of a study's processes over {n_trials} trials, most in each 25 (MB): {sizes}")
    print(f"from the first 25 to the most after them: {figures['growth_after_first_window']:+.1%};", end=" ")
    print(f"from trial 25 to the most after it: {figures['growth_after_trial_25']:+.1%}", flush=True)


def worker(way: str, part: str, n_members: int = 0, n_configs: int = 30) -> Figures:
    """One measurement in a fresh process."""
    command = [sys.executable, "-m", "benchmarks.worker", way, part, str(n_members), str(n_configs)]
    environment = {"TF_CPP_MIN_LOG_LEVEL": "3", **os.environ}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    if done.returncode:
        raise SystemExit(f"{way} on {part} failed:\n{done.stderr[-3000:]}")
    return dict(json.loads(done.stdout.splitlines()[-1]))


def _processor() -> str:
    with open("/proc/cpuinfo") as lines:
        return next(
            (line.split(":")[1].strip() for line in lines if line.startswith("model name")),
            "processor unknown",
        )


if __name__ == "__main__":
    main()
