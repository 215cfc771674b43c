"""AutoGluon on one sample, run by the Python of its own environment: ``PYTHON quality_autogluon.py FOLDER``.

The folder holds ``train.csv``, ``test.csv`` and ``task.json``; ``predictions.npy`` and ``outcome.json`` are
put beside them. Nothing of this project is imported.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any

METRICS = {"log_loss": "log_loss", "rmse": "root_mean_squared_error", "mae": "mean_absolute_error"}


def main(place: Path) -> None:
    """Fit for the seconds of the task on one core, predict the test rows and write what came out."""
    import numpy as np
    from autogluon.tabular import TabularPredictor  # type: ignore[import-not-found]

    task = json.loads((place / "task.json").read_text())
    train, test = (_read(place / name, task) for name in ("train.csv", "test.csv"))
    started = time.perf_counter()
    is_grouped = {"num_bag_sets": 1, "dynamic_stacking": False} if task["fold"] else {}

    def fitted(folder: str, seconds: float, **options: Any) -> Any:
        predictor = TabularPredictor(
            label=task["target"], problem_type=task["kind"], eval_metric=METRICS[task["metric"]],
            path=str(place / folder), groups=task["fold"], verbosity=0,
        )  # fmt: skip
        return predictor.fit(
            train, presets="best_quality", time_limit=seconds, num_cpus=1, num_gpus=0, **options
        )

    has_dystack = not is_grouped
    try:
        predictor = fitted("models", task["seconds"], **is_grouped)
    except AssertionError:  # its trial of stacking found no time for a model, and it cannot go on from there
        left = max(1.0, task["seconds"] - (time.perf_counter() - started))
        predictor, has_dystack = fitted("again", left, **{**is_grouped, "dynamic_stacking": False}), False
    if task["kind"] == "regression":
        predictions = predictor.predict(test).to_numpy(np.float64)[:, None]
    else:
        table = predictor.predict_proba(test)
        table = table[sorted(table.columns)].to_numpy(np.float64)
        predictions = table[:, 1:] if task["kind"] == "binary" else table
    seconds = time.perf_counter() - started
    np.save(place / "predictions.npy", predictions)
    models = list(predictor.model_names())
    facts = {"seconds": seconds, "n_trials": len(models), "models": models, "best": predictor.model_best}
    facts["has_dynamic_stacking"] = has_dystack
    (place / "outcome.json").write_text(json.dumps(facts))


def _read(path: Path, task: dict[str, Any]) -> Any:
    import pandas as pd

    texts = {name: "object" for name in task["categorical"]}
    return pd.read_csv(path, dtype=texts).astype({name: "category" for name in task["categorical"]})


if __name__ == "__main__":
    main(Path(sys.argv[1]))
