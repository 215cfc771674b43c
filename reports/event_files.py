"""A study as event files: TensorBoard shows its trials in a table of hyperparameters, with their curves.

Each trial is a session of the HParams plugin in a folder of its own. Scores of trials are those that the
search looked at; the ensemble and the best single trial have sessions beside them for the scores that have
paid for the search, under another tag, so that the two are never sorted together.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from search.records import Run, Trial

SUFFIX = ".foldstack"
SCORE, HONEST = "score", "honest score"
VALIDATION, TRAINING = "loss/validation", "loss/training"
Config = Mapping[str, Any]


class EventFilesError(ValueError):
    """Event files cannot be written; the message is one line."""


def write_event_files(run: Run, place: Path) -> int:
    """Write a study as event files for ``tensorboard --logdir PLACE``; an earlier export there is replaced.

    Parameters
    ----------
    run : Run
    place : Path
        A folder that is absent, empty, or holds an earlier export.

    Returns
    -------
    int
        Sessions written: trials but for duplicates, the ensemble and the best single trial.

    Raises
    ------
    EventFilesError
        If tensorboard is not installed, the folder holds other files, or the run has no trial.
    """
    _check_installed()
    trials = [trial for trial in run.trials() if trial.status != "duplicate"]
    if not trials:
        raise EventFilesError(f"an export needs a trial, and the run {str(run.path)!r} has none")
    _clear(place)
    metric = str(run.load_json("run.json")["metric"])
    sessions = [*(_of_trial(trial, metric) for trial in trials), *_honest(run, trials, metric)]
    kinds = _kinds([session.config for session in sessions])
    started = _seconds(trials[0].started)
    _write(place, started, [_experiment(kinds, [session.config for session in sessions], metric, started)])
    for session in sessions:
        _write(place / session.name, session.started, session.events(kinds))
    return len(sessions)


class Session:
    """One row of TensorBoard's table: hyperparameters, scalars by step, how it ended."""

    def __init__(
        self, name: str, config: Config, started: float, finished: float, status: str = "STATUS_SUCCESS"
    ) -> None:
        self.name, self.config, self.started, self.finished = name, config, started, finished
        self._status = status
        self.scalars: list[tuple[str, int, float]] = []

    def add(self, tag: str, step: int, value: float | None) -> None:
        """Note a scalar; one that is missing or not finite is left out."""
        if value is not None and math.isfinite(value):
            self.scalars.append((tag, step, value))

    def events(self, kinds: Mapping[str, str]) -> list[tuple[float, int, Any]]:
        """Wall time in seconds, step and summary value of each event."""
        from tensorboard.compat.proto.summary_pb2 import Summary
        from tensorboard.plugins.hparams import api_pb2, metadata, plugin_data_pb2

        start = plugin_data_pb2.SessionStartInfo(group_name=self.name, start_time_secs=self.started)
        for name, value in self.config.items():
            _set(start.hparams[name], kinds[name], value)
        end = plugin_data_pb2.SessionEndInfo(
            status=api_pb2.Status.Value(self._status), end_time_secs=self.finished
        )
        return [
            (self.started, 0, _plugin_value(metadata.SESSION_START_INFO_TAG, session_start_info=start)),
            *((self.finished, s, Summary.Value(tag=t, simple_value=v)) for t, s, v in self.scalars),
            (self.finished, 0, _plugin_value(metadata.SESSION_END_INFO_TAG, session_end_info=end)),
        ]


def _of_trial(trial: Trial, metric: str) -> Session:
    status = {"completed": "STATUS_SUCCESS", "failed": "STATUS_FAILURE"}.get(trial.status, "STATUS_UNKNOWN")
    config = {"family": trial.family, **_known(trial.config)}
    session = Session(
        f"trial_{trial.number:05d}", config, _seconds(trial.started), _seconds(trial.finished), status
    )
    session.add(f"{SCORE}/{metric}", trial.chosen_epoch or 0, trial.score)
    for epoch, validation, training in zip(trial.checkpoints, trial.curve, trial.train_curve, strict=False):
        session.add(VALIDATION, epoch, validation)
        session.add(TRAINING, epoch, training)
    return session


def _honest(run: Run, trials: Sequence[Trial], metric: str) -> Iterator[Session]:
    """The ensemble and the best single trial, with the scores that have paid for the search."""
    summary = run.load_json("summary.json") if run.has("summary.json") else {}
    ended = max(_seconds(trial.finished) for trial in trials)
    by_number = {trial.number: trial for trial in trials}
    if "ensemble" in summary:
        session = Session("ensemble", {"family": "ensemble"}, ended, ended)
        session.add(f"{HONEST}/{metric}", 0, summary["ensemble"].get("score"))
        yield session
    best = by_number.get(summary.get("best_single", {}).get("trial"))
    if best is not None:
        session = Session("best_single", {"family": best.family, **_known(best.config)}, ended, ended)
        session.add(f"{HONEST}/{metric}", 0, summary["best_single"].get("crossfit_score"))
        yield session


def _known(config: Config) -> dict[str, Any]:
    return {name: value for name, value in config.items() if value is not None}


def _kinds(configs: Sequence[Config]) -> dict[str, str]:
    """Type of each hyperparameter: a text where its values are of several types."""
    seen: dict[str, set[str]] = {}
    for config in configs:
        for name, value in config.items():
            seen.setdefault(name, set()).add(_kind(value))
    return {name: kinds.pop() if len(kinds) == 1 else "string" for name, kinds in seen.items()}


def _kind(value: Any) -> str:
    if isinstance(value, bool):
        return "bool"
    return "number" if isinstance(value, int | float) else "string"


def _set(place: Any, kind: str, value: Any) -> None:
    if kind == "string":
        place.string_value = str(value)
    else:
        setattr(place, f"{kind}_value", value)


def _experiment(
    kinds: Mapping[str, str], configs: Sequence[Config], metric: str, started: float
) -> tuple[float, int, Any]:
    """What TensorBoard's table has: hyperparameters with what was tried, metrics."""
    from tensorboard.plugins.hparams import api_pb2, metadata

    types = {
        "bool": api_pb2.DATA_TYPE_BOOL, "number": api_pb2.DATA_TYPE_FLOAT64,
        "string": api_pb2.DATA_TYPE_STRING,
    }  # fmt: skip
    experiment = api_pb2.Experiment(description="a study of Foldstack", time_created_secs=started)
    for name, kind in kinds.items():
        info = experiment.hparam_infos.add(name=name, type=types[kind])
        values = [config[name] for config in configs if name in config]
        if kind == "number":
            info.domain_interval.min_value, info.domain_interval.max_value = min(values), max(values)
        else:
            tried = sorted({value if kind == "bool" else str(value) for value in values})
            info.domain_discrete.extend(tried)
    for tag, told in ((SCORE, "as the search saw it"), (HONEST, "after paying for the search")):
        info = experiment.metric_infos.add(display_name=f"{tag} ({metric})", description=told)
        info.name.tag = f"{tag}/{metric}"
    return started, 0, _plugin_value(metadata.EXPERIMENT_TAG, experiment=experiment)


def _plugin_value(tag: str, **data: Any) -> Any:
    """A summary value that holds a message of the HParams plugin and nothing else."""
    from tensorboard.compat.proto.summary_pb2 import Summary
    from tensorboard.plugins.hparams import metadata, plugin_data_pb2

    found = metadata.create_summary_metadata(plugin_data_pb2.HParamsPluginData(**data))
    return Summary.Value(tag=tag, metadata=found, tensor=metadata.NULL_TENSOR)


def _write(folder: Path, started: float, events: Sequence[tuple[float, int, Any]]) -> None:
    from tensorboard.compat.proto.event_pb2 import Event
    from tensorboard.compat.proto.summary_pb2 import Summary
    from tensorboard.summary.writer.record_writer import RecordWriter

    folder.mkdir(parents=True, exist_ok=True)
    with open(folder / f"events.out.tfevents.{int(started)}{SUFFIX}", "wb") as file:
        writer = RecordWriter(file)
        writer.write(Event(wall_time=started, file_version="brain.Event:2").SerializeToString())
        for seconds, step, value in events:
            made = Event(wall_time=seconds, step=step, summary=Summary(value=[value]))
            writer.write(made.SerializeToString())


def _clear(place: Path) -> None:
    """Take an earlier export away; refuse a folder that holds other files."""
    if place.exists() and not place.is_dir():
        raise EventFilesError(f"event files need a folder, and {str(place)!r} is a file")
    files = [path for path in place.rglob("*") if path.is_file()] if place.is_dir() else []
    others = [path for path in files if not path.name.endswith(SUFFIX)]
    if others:
        raise EventFilesError(
            f"event files need a folder of their own, and {str(place)!r} holds {others[0].name}"
        )
    for path in files:
        path.unlink()


def _seconds(moment: str) -> float:
    return datetime.fromisoformat(moment).timestamp() if moment else 0.0


def _check_installed() -> None:
    from importlib.util import find_spec

    if find_spec("tensorboard") is None:
        raise EventFilesError("event files need the package tensorboard: pip install foldstack[tensorboard]")
