"""Rows from 1,000 to 1,000,000: what each stage of one real study takes, in a process of its own per size.

The table has known structure: 20 columns, 6 of them categories, some values missing, a binary target. The
functions that a study calls are measured where it calls them, so the stages are the study's own. Splits are
the default ones: 5 folds x 3 repeats below 2,000 rows, 5 folds below 50,000, one holdout of 20 % from there.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, replace
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.scale_clock import MB, Clock
from benchmarks.scale_record import Measured

N_TRIALS, N_DRAWS = 3, 100
FAMILIES = ("linear", "boosting", "mlp")
SPACE = {
    "linear": {"features": "plain", "penalty": {"low": 1.0, "high": 100.0, "log": True}},
    "boosting": {"learning_rate": 0.3, "max_leaf_nodes": {"low": 8, "high": 31}, "min_samples_leaf": 20},
    "mlp": {"depth": 2, "width": [16, 32, 64], "block": "plain", "shape": "constant", "activation": "relu"},
}
N_EPOCHS = 4
IMPORTED = (  # seconds and megabytes of no stage
    *("sklearn.ensemble", "sklearn.linear_model", "sklearn.tree", "scipy.stats", "scipy.spatial"),
    *("optuna", "pyarrow.parquet", "pyarrow.csv", "plotly.graph_objects"),
)
CATEGORIES = (2, 3, 5, 8, 20, 100)
ORDER = (
    "reading the CSV",
    "schema, values, duplicates, fingerprint",
    "audit",
    "folds: random",
    "folds: stratified",
    "folds: grouped",
    "folds: in time",
    "hashes of the rows",
    "baselines",
    "plan: what folds learn of the columns",
    "one trial: linear",
    "one trial: boosting",
    "one trial: mlp",
    "writing held-out predictions",
    "looking at a trial",
    "candidate table",
    "members, weights, calibration",
    "diversity",
    "honest score",
    "of it, stage shares",
    "of it, bootstrap",
    "leak accounts",
    "saving the ensemble",
    "evidence for the report",
    "report.html and the others",
    "loading the ensemble and predicting",
    "the whole study",
)


def measure(sizes: Sequence[int]) -> list[Measured]:
    """Measure a study of each number of rows, one process after another."""
    found = []
    for size in sizes:
        with tempfile.TemporaryDirectory() as folder:
            command = [sys.executable, "-m", "benchmarks.scale_rows", str(size), folder]
            quiet = {"TF_CPP_MIN_LOG_LEVEL": "3", **{f"{n}_NUM_THREADS": "1" for n in ("OPENBLAS", "OMP")}}
            done = subprocess.run(
                command, capture_output=True, text=True, env={**os.environ, **quiet}, check=False
            )
        if done.returncode:
            raise SystemExit(f"{size:,} rows failed:\n{done.stderr[-3000:]}")
        found += [Measured(**record) for record in json.loads(done.stdout.splitlines()[-1])]
    return found


def write_table(path: Path, n_rows: int, seed: int = 0) -> None:
    """Write a CSV of 14 numbers, 6 categories and a binary target that depends on eight of them."""
    import pyarrow as pa
    import pyarrow.csv

    rng = np.random.default_rng(seed)
    numbers = rng.normal(size=(n_rows, 14))
    codes = np.column_stack([rng.integers(0, n, n_rows) for n in CATEGORIES])
    effects = [rng.normal(size=n) for n in CATEGORIES]
    signal = numbers[:, 0] + 0.7 * numbers[:, 1] * numbers[:, 2] - np.abs(numbers[:, 3]) + 0.5 * numbers[:, 4]
    signal += sum(effects[k][codes[:, k]] for k in (2, 3, 4))
    y = signal + rng.logistic(size=n_rows) > 0.0
    is_missing = rng.random((n_rows, 14)) < np.where(np.arange(14) % 3 == 0, 0.05, 0.0)
    columns = {f"x{j}": pa.array(numbers[:, j].round(5), mask=is_missing[:, j]) for j in range(14)}
    texts = {
        f"c{k}": pa.DictionaryArray.from_arrays(codes[:, k], [f"level {i}" for i in range(n)]).cast(
            pa.string()
        )
        for k, n in enumerate(CATEGORIES)
    }
    target = pa.array(np.where(y, "yes", "no"))
    pyarrow.csv.write_csv(pa.table({**columns, **texts, "target": target}), path)


def study(n_rows: int, folder: Path) -> list[Measured]:
    """Run a study of a table with so many rows, and what comes after it; the figures of every stage."""
    from ensemble import Ensemble
    from search import flow
    from search.config import StudyConfig
    from search.data import from_frame, read_table

    table, out = folder / "table.csv", folder / "run"
    if not table.exists():
        write_table(table, n_rows)
    for name in IMPORTED:
        import_module(name)
    clock = Clock(n_rows)
    config = StudyConfig(
        data=str(table), target=("target",), families=FAMILIES, trials=N_TRIALS, epochs=N_EPOCHS,
        sampler="random", space=SPACE, draws=N_DRAWS, out=str(out),
    )  # fmt: skip
    _wrap(clock)
    with clock.stage("the whole study", lambda: _mb(out)):
        flow.study(config, command="benchmarks.scale")
    frame = read_table(table)
    import_module("keras")
    with clock.stage("loading the ensemble and predicting", lambda: _mb(out / "ensemble")):
        Ensemble.load(out / "ensemble").predict_proba(frame)
    _folds(clock, from_frame(frame, "target"))
    clock.stop()
    return _summed(clock.found, out)


def _wrap(clock: Clock) -> None:
    """Measure the functions that a study calls, where it calls them."""
    from reports import estimates
    from search import assembly, conclusion, facts, flow, preparation
    from search.objective import Objective
    from search.records import Run
    from search.watch import Watch

    clock.wrap(preparation, "read_table", "reading the CSV")
    clock.wrap(preparation, "from_frame", "schema, values, duplicates, fingerprint")
    clock.wrap(preparation, "audit", "audit")
    clock.wrap(facts, "row_hashes", "hashes of the rows")
    clock.wrap(facts, "baselines", "baselines")
    clock.wrap(flow, "plan_of", "plan: what folds learn of the columns")
    clock.wrap(Objective, "evaluate", lambda _, number, family, *more, **named: f"one trial: {family}")
    clock.wrap(Run, "save_out_of_fold", "writing held-out predictions")
    clock.wrap(Watch, "__call__", "looking at a trial")
    clock.wrap(assembly, "candidate_table", "candidate table")
    clock.wrap(assembly, "choose", "members, weights, calibration")
    clock.wrap(assembly, "diversity", "diversity")
    clock.wrap(assembly, "replay", "honest score")
    clock.wrap(estimates, "stage_shares", "of it, stage shares")
    clock.wrap(estimates, "bootstrap", "of it, bootstrap")
    clock.wrap(conclusion, "accounts", "leak accounts")
    clock.wrap(assembly, "save_ensemble", "saving the ensemble")
    clock.wrap(conclusion, "write_evidence", "evidence for the report")
    clock.wrap(flow, "write_report", "report.html and the others")


def _folds(clock: Clock, dataset: Any) -> None:
    """Split the rows into 5 folds in four ways."""
    from search.splits import make_folds

    n_rows, rng = dataset.n_rows, np.random.default_rng(0)
    groups = rng.integers(0, max(10, n_rows // 10), n_rows)
    moments = rng.permutation(n_rows).astype(np.float64)
    ways: dict[str, tuple[Any, bool]] = {
        "random": (dataset, False),
        "stratified": (dataset, True),
        "grouped": (replace(dataset, groups=groups), False),
        "in time": (replace(dataset, time=moments), False),
    }
    for name, (given, is_stratified) in ways.items():
        with clock.stage(f"folds: {name}"):
            make_folds(given, n_splits=5, is_stratified=is_stratified, rng=np.random.default_rng(0))


def _summed(found: Sequence[Measured], out: Path) -> list[Measured]:
    """One figure for each stage: the mean call of a trial's stages, the sum of others' calls, most memory."""
    on_disk = {
        "writing held-out predictions": _mb(out / "oof") / N_TRIALS,
        "report.html and the others": _mb(out / "report.html"),
        "evidence for the report": _mb(out / "targets.npz"),
        "leak accounts": _mb(out / "honest.npz"),
        "baselines": _mb(out / "baselines.npz"),
        "hashes of the rows": _mb(out / "rows.npz"),
        "reading the CSV": _mb(out.parent / "table.csv"),
        "saving the ensemble": _mb(out / "ensemble"),
    }
    result = []
    for name in ORDER:
        own = [one for one in found if one.stage == name]
        if own:
            is_each = name.startswith(("one trial", "writing", "looking"))
            n = len(own) if is_each else 1
            result.append(
                replace(
                    own[-1],
                    seconds=sum(one.seconds for one in own) / n,
                    cpu_seconds=sum(one.cpu_seconds for one in own) / n,
                    peak_mb=max(one.peak_mb for one in own),
                    mb_on_disk=on_disk.get(name, own[-1].mb_on_disk),
                )
            )
    return result


def _mb(path: Path) -> float:
    files = [path] if path.is_file() else [one for one in path.rglob("*") if one.is_file()]
    return sum(one.stat().st_size for one in files) / MB


if __name__ == "__main__":
    print(json.dumps([asdict(one) for one in study(int(sys.argv[1]), Path(sys.argv[2]))]))
