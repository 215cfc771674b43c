"""One system on one sample, in a process of its own on one core: ``python -m benchmarks.quality_job JOB``.

JOB is a line of JSON; the results go out as one line of JSON, the last that is printed.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

SYSTEM_SEED = 1000  # the systems' seeds are not those of the splits


def results(job: dict[str, Any]) -> list[dict[str, Any]]:
    """The lines of a job: one for each system that it measures."""
    from benchmarks import quality_ours, quality_rivals
    from benchmarks.quality_tables import Case, sample

    run = {
        "ours": quality_ours.ours,
        "histgb": quality_rivals.histgb,
        "keras": quality_rivals.keras_optuna,
        "autogluon": quality_rivals.autogluon,
    }[job["system"]]
    drawn = sample(Path(job["data"]), Case(job["part"], job["table"], job["number"]))
    outcomes = run(drawn, job["seconds"], SYSTEM_SEED + job["number"], job["settings"])
    shared = {name: job[name] for name in ("part", "table", "number")}
    shared |= {"metric": drawn.metric, "n_train": len(drawn.train), "n_test": len(drawn.test)}
    return [
        {
            **shared,
            "system": name,
            **drawn.judged(outcome.predictions),
            "seconds": round(outcome.seconds, 2),
            "facts": outcome.facts,
        }
        for name, outcome in outcomes.items()
    ]


if __name__ == "__main__":
    given = json.loads(sys.argv[1])
    os.sched_setaffinity(0, {given["core"]})  # before anything counts cores
    print(json.dumps(results(given)), flush=True)
