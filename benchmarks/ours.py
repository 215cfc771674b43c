"""Foldstack's engine on a workload: in this process and through the training process of a study."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from statistics import median
from typing import Any

import numpy as np

from benchmarks.workloads import N_TRIALS_F, TINY, Workload, n_operations
from search.objective import make_plan
from search.training.process import TrainingProcess, n_threads_for
from search.training.recipe import Recipe, recipe_for
from search.training.trained import Request, Trained, validation_loss

N_MATRIX = 2048
KFOLD = "KFoldTuner"


def request(
    work: Workload, config: Mapping[str, Any], *, is_looked: bool = False, n_epochs: int = 0
) -> Request:
    """A configuration for the engine: all epochs and one look at the end, or the looks that a study takes."""
    n_epochs = n_epochs or work.n_epochs
    defaults = Recipe(n_epochs=n_epochs, patience=0.0, checkpoints=None if is_looked else (n_epochs,))
    family = "mlp" if config is TINY else work.family
    return Request(family, dict(config), work.signature, recipe_for(config, defaults), seed=1)


def one_trial(work: Workload) -> dict[str, float]:
    """Seconds of one configuration: at first, again, again with a study's looks; best rates in GFLOP/s."""
    engine = _engine(work)
    (config,) = work.configs
    is_rated = work.family == "mlp"
    before = matrix_rate() if is_rated else 0.0
    first, loss = _timed(engine.train_request, request(work, config))
    repeated = [_timed(engine.train_request, request(work, config))[0] for _ in range(3)]
    again = median(repeated)
    looked, _ = _timed(engine.train_request, request(work, config, is_looked=True))
    figures = {
        "engine, first trial": first,
        "engine, same structure again": again,
        "engine, again, with a study's looks": looked,
        "loss": loss,
    }
    if not is_rated:
        return figures
    rate = n_operations(work, config) / min(repeated) / 1e9
    return {**figures, "rate": rate, "peak_rate": max(before, matrix_rate())}


def kfold_tuner(work: Workload) -> dict[str, float]:
    """A search of `search.kfold_tuner.KFoldTuner` over the rows of `benchmarks.rivals.tuned`."""
    import tempfile

    set_threads(n_threads_for(work.dataset.n_rows))
    from benchmarks.rivals import standardised, tuned, warm_up
    from search.kfold_tuner import KFoldTuner

    warm_up()
    X, y = standardised(work)
    n_repeats = len(work.members) // 5
    with tempfile.TemporaryDirectory() as folder:
        started = time.perf_counter()
        tuner = KFoldTuner(
            tuned(work), "val_loss", N_TRIALS_F, n_splits=5, n_repeats=n_repeats, seed=1, directory=folder
        )
        tuner.search(X, y, epochs=work.n_epochs, batch_size=work.configs[0]["batch_size"], verbose=0)
        seconds = time.perf_counter() - started
        losses = [trial.score for trial in tuner.oracle.get_best_trials(N_TRIALS_F)]
    return {KFOLD: seconds, "loss": float(np.mean(losses))}


def through_process(work: Workload) -> dict[str, float]:
    """The same through a training process, which is up and warm when the clock starts."""
    (config,) = work.configs
    with TrainingProcess(make_plan(work.dataset, work.members), "log_loss", work.dataset.task) as process:
        _timed(process.train, request(work, TINY, n_epochs=1))
        first, loss = _timed(process.train, request(work, config))
        again, _ = _timed(process.train, request(work, config))
    return {
        "engine in a training process, first": first,
        "engine in a training process, again": again,
        "loss": loss,
    }


def study(work: Workload, *, is_looked: bool) -> dict[str, float]:
    """All configurations one after another through a training process, programs traced as they come."""
    with TrainingProcess(make_plan(work.dataset, work.members), "log_loss", work.dataset.task) as process:
        _timed(process.train, request(work, TINY, n_epochs=1))
        started = time.perf_counter()
        trained = [process.train(request(work, config, is_looked=is_looked)) for config in work.configs]
        seconds = time.perf_counter() - started
    looks = "a study's looks" if is_looked else "one look at the end"
    n_traced = sum(one.is_traced for one in trained)
    return {
        f"engine, {looks}": seconds,
        "loss": float(np.mean([t.curve[-1] for t in trained])),
        "n_traced": n_traced,
    }


def matrix_rate() -> float:
    """The machine's matrix-product rate in GFLOP/s with this process' threads: best of twelve, 2048^3."""
    import tensorflow as tf

    x, seconds = tf.random.normal((N_MATRIX, N_MATRIX)), []
    for _ in range(12):
        started = time.perf_counter()
        tf.matmul(x, x).numpy()
        seconds.append(time.perf_counter() - started)
    return 2 * N_MATRIX**3 / min(seconds) / 1e9


def set_threads(n_threads: int) -> None:
    """What a training process sets, for this process."""
    import tensorflow as tf

    tf.config.threading.set_intra_op_parallelism_threads(n_threads)
    tf.config.threading.set_inter_op_parallelism_threads(1)


def _engine(work: Workload) -> Any:
    set_threads(n_threads_for(work.dataset.n_rows))
    from search.training.engine import Engine

    engine = Engine(make_plan(work.dataset, work.members), validation_loss("log_loss", work.dataset.task))
    engine.train_request(request(work, TINY, n_epochs=1))
    return engine


def _timed(train: Callable[[Request], Trained], one: Request) -> tuple[float, float]:
    started = time.perf_counter()
    trained = train(one)
    return time.perf_counter() - started, trained.curve[-1]
