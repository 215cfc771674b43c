"""This project on one sample: a study, its ensemble, and from the same run what simpler users would take."""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from benchmarks.quality_rivals import Outcome
from benchmarks.quality_tables import Array, Sample

SEARCH_SHARE = 0.75  # of the seconds; the rest is for the choice of the ensemble and its replay
N_UNIFORM = 10  # trials in the uniform average
SETTINGS: dict[str, Any] = {"trials": 1000, "sampler": "tpe"}
"""Of `StudyConfig`, before what the command line says; everything else is its default."""


def ours(sample: Sample, seconds: float, seed: int, settings: Mapping[str, Any]) -> dict[str, Outcome]:
    """The ensemble, and from the same run the best single trial and the average of the best ten, unweighted.

    Each trial is the average of its fold models. The clock runs from the data frame to the saved ensemble and
    its predictions of the test rows; loading TensorFlow is outside.
    """
    from search.config import check

    told = {"time": SEARCH_SHARE * seconds, "seed": seed, "metric": sample.metric, **SETTINGS, **settings}
    config = check(told)
    _warm_up()
    place = Path(tempfile.mkdtemp(prefix="quality-")) / "run"
    try:
        started = time.perf_counter()
        run, prepared = _study(sample, config, place)
        searched = time.perf_counter() - started
        return _outcomes(sample, run, prepared, started, {"study_seconds": searched})
    finally:
        shutil.rmtree(place.parent, ignore_errors=True)


def _warm_up() -> None:
    """Start the server that training processes come from, and wait until it has loaded TensorFlow."""
    import multiprocessing

    import tensorflow as tf  # noqa: F401  (predictions of the test rows need it in this process)

    from search.training.context import start_server

    start_server(needs_networks=True)
    first = multiprocessing.get_context("forkserver").Process(target=int)
    first.start()
    first.join()


def _study(sample: Sample, config: Any, place: Path) -> tuple[Any, Any]:
    from rich.console import Console

    from search.data import from_frame
    from search.flow import carry_out
    from search.preparation import lay_out
    from search.progress import Progress
    from search.records import Run

    frame, target, groups = sample.train.copy(), "the target", "the group"
    frame[target] = [sample.classes[i] for i in sample.y_train] if sample.classes else sample.y_train
    if sample.groups is not None:
        frame[groups] = sample.groups
    dataset = from_frame(
        frame, target, name=sample.name, task=sample.kind,  # type: ignore[arg-type]
        groups=None if sample.groups is None else groups,
    )  # fmt: skip
    prepared = lay_out(config, dataset)
    order = [str(name) for name in prepared.dataset.task.classes]
    assert order == list(sample.classes), f"classes {order} are not in the order {sample.classes}"
    run = Run.create(place)
    with open(os.devnull, "w") as nowhere:
        progress = Progress(config.trials, sample.metric, console=Console(file=nowhere))
        carry_out(run, config, prepared, command="quality", progress=progress)
    return run, prepared


def _outcomes(
    sample: Sample, run: Any, prepared: Any, started: float, facts: dict[str, Any]
) -> dict[str, Outcome]:
    from ensemble.model import Ensemble
    from search.assembly import bagged
    from search.objective import loss_of

    ensemble = Ensemble.load(run.path / "ensemble")
    predictions = ensemble.predict_raw(sample.test)
    seconds = time.perf_counter() - started
    summary = run.load_json("summary.json")
    trials = [trial for trial in run.trials() if trial.status == "completed"]
    best = sorted(trials, key=lambda trial: (loss_of(trial, prepared.metric), trial.number))[:N_UNIFORM]
    winner = next(trial for trial in trials if trial.number == summary["best_single"]["trial"])

    def predicted(members: list[Any]) -> Array:
        candidates = bagged(run, [(trial, 1.0 / len(members)) for trial in members])
        task = prepared.dataset.task
        return Ensemble(prepared.dataset.schema, task, candidates).predict_raw(sample.test)

    found = summary["ensemble"]
    facts |= {
        "n_trials": len(run.trials()),
        "n_completed": len(trials),
        "members": [
            [_family(trials, one["trial"]), one["trial"], round(one["weight"], 4)] for one in found["members"]
        ],
        "method": found.get("method"),
        **{name: found[name] for name in ("score", "low", "high", "in_sample_score")},
        "described": described(sample, ensemble),
        "calibration": found.get("calibration"),
        "uncalibrated": uncalibrated(sample, ensemble),
    }
    single = {"described": None, "family": winner.family, "trial": winner.number, "config": winner.config}
    single |= {name: summary["best_single"][name] for name in ("score", "low", "high")}
    return {
        "ours": Outcome(predictions, seconds, facts),
        "best_single": Outcome(predicted([winner]), seconds, single),
        "uniform": Outcome(predicted(best), seconds, {"n_averaged": len(best)}),
    }


def _family(trials: list[Any], number: int) -> str:
    return str(next(trial.family for trial in trials if trial.number == number))


def described(sample: Sample, ensemble: Any) -> float | None:
    """The mean test score of the weighted fold models, which is what the honest score describes.

    The predictor that is judged averages those models first, which is better; None where trials differ in
    the number of their fold models.
    """
    sizes = {candidate.n_members for candidate in ensemble.candidates}
    if len(sizes) != 1:
        return None
    losses = []
    for member in range(sizes.pop()):
        one = [_only(candidate, slice(member, member + 1)) for candidate in ensemble.candidates]
        alone = type(ensemble)(
            ensemble.schema, ensemble.task, one, ensemble.metadata, calibration=ensemble.calibration
        )
        losses.append(sample.loss(sample.y_test, alone.predict_raw(sample.test)))
    return sum(losses) / len(losses)


def uncalibrated(sample: Sample, ensemble: Any) -> float | None:
    """The test loss without the calibration; None where there is none."""
    if ensemble.calibration is None:
        return None
    alone = type(ensemble)(ensemble.schema, ensemble.task, ensemble.candidates, ensemble.metadata)
    return sample.loss(sample.y_test, alone.predict_raw(sample.test))


def _only(candidate: Any, member: slice) -> Any:
    return replace(
        candidate,
        weights=tuple(array[member] for array in candidate.weights),
        target_center=candidate.target_center[member],
        target_scale=candidate.target_scale[member],
    )
