"""A study as event files, read back as TensorBoard itself reads them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from tensorboard.backend.event_processing.event_file_loader import EventFileLoader
from tensorboard.plugins.hparams import api_pb2, metadata

from reports.event_files import EventFilesError, write_event_files
from search.records import Run, Trial
from tests.reports.conftest import FACTS, SUMMARY

CURVE = {"checkpoints": (1, 2, 4), "curve": (0.9, 0.7, 0.75), "train_curve": (0.8, float("nan"), 0.4)}
TIMES = {"started": "2026-01-02T03:04:05.500+00:00", "finished": "2026-01-02T03:04:09.000+00:00"}
TRIALS = (
    Trial(0, "mlp", {"depth": 2, "lr": 0.1, "wide": True, "shape": "constant"}, "completed", score=0.1,
          chosen_epoch=2, **CURVE, **TIMES),
    Trial(1, "mlp", {"depth": 9, "lr": 0.2, "wide": False}, "failed", cause="out of memory", **TIMES),
    Trial(2, "forest", {"depth": None, "features": "sqrt"}, "completed", score=0.08, **TIMES),
    Trial(3, "forest", {"features": 0.5}, "pruned", score=float("nan"), **TIMES),
    Trial(4, "mlp", {"depth": 2}, "duplicate", duplicate_of=0, **TIMES),
)  # fmt: skip


@pytest.fixture
def study(tmp_path: Path) -> Run:
    run = Run.create(tmp_path / "study")
    run.save_json("run.json", FACTS)
    for trial in TRIALS:
        run.append_trial(trial)
    run.save_json("summary.json", SUMMARY)
    return run


def values_of(folder: Path) -> list[tuple[int, Any]]:
    (path,) = folder.glob("*tfevents*")
    return [(event.step, v) for event in EventFileLoader(str(path)).Load() for v in event.summary.value]


def content_of(folder: Path, tag: str) -> bytes:
    (found,) = [value for _, value in values_of(folder) if value.tag == tag]
    assert found.metadata.plugin_data.plugin_name == "hparams"
    return found.metadata.plugin_data.content  # type: ignore[no-any-return]


def scalars_of(folder: Path) -> dict[str, dict[int, float]]:
    found: dict[str, dict[int, float]] = {}
    for step, value in values_of(folder):
        if not value.tag.startswith("_hparams_"):
            assert value.metadata.plugin_data.plugin_name == "scalars"  # as TensorBoard migrates them
            found.setdefault(value.tag, {})[step] = pytest.approx(value.tensor.float_val[0])
    return found


def hparams_of(folder: Path) -> dict[str, Any]:
    start = metadata.parse_session_start_info_plugin_data(content_of(folder, metadata.SESSION_START_INFO_TAG))
    assert start.group_name == folder.name
    return {name: getattr(v, str(v.WhichOneof("kind"))) for name, v in start.hparams.items()}


def test_each_trial_is_a_session_with_its_hyperparameters(study: Run, tmp_path: Path) -> None:
    assert write_event_files(study, tmp_path / "out") == 6
    folders = sorted(path.name for path in (tmp_path / "out").iterdir() if path.is_dir())
    assert folders == ["best_single", "ensemble", *(f"trial_0000{n}" for n in range(4))]
    assert hparams_of(tmp_path / "out/trial_00000") == {
        "family": "mlp", "depth": 2.0, "lr": 0.1, "wide": True, "shape": "constant",
    }  # fmt: skip
    assert hparams_of(tmp_path / "out/trial_00002") == {"family": "forest", "features": "sqrt"}
    assert hparams_of(tmp_path / "out/trial_00003") == {"family": "forest", "features": "0.5"}
    assert hparams_of(tmp_path / "out/best_single") == hparams_of(tmp_path / "out/trial_00002")
    assert hparams_of(tmp_path / "out/ensemble") == {"family": "ensemble"}


def test_scores_and_curves_are_scalars_and_the_honest_score_is_apart(study: Run, tmp_path: Path) -> None:
    write_event_files(study, tmp_path / "out")
    assert scalars_of(tmp_path / "out/trial_00000") == {
        "score/log_loss": {2: 0.1},
        "loss/validation": {1: 0.9, 2: 0.7, 4: 0.75},
        "loss/training": {1: 0.8, 4: 0.4},
    }
    assert scalars_of(tmp_path / "out/trial_00001") == scalars_of(tmp_path / "out/trial_00003") == {}
    assert scalars_of(tmp_path / "out/ensemble") == {"honest score/log_loss": {0: 0.071}}
    assert scalars_of(tmp_path / "out/best_single") == {"honest score/log_loss": {0: 0.083}}


def test_the_experiment_names_what_was_tried(study: Run, tmp_path: Path) -> None:
    write_event_files(study, tmp_path / "out")
    found = metadata.parse_experiment_plugin_data(content_of(tmp_path / "out", metadata.EXPERIMENT_TAG))
    infos = {info.name: info for info in found.hparam_infos}
    assert set(infos) == {"family", "depth", "lr", "wide", "shape", "features"}
    assert (infos["depth"].domain_interval.min_value, infos["depth"].domain_interval.max_value) == (2, 9)
    assert infos["lr"].type == api_pb2.DATA_TYPE_FLOAT64 and infos["wide"].type == api_pb2.DATA_TYPE_BOOL
    assert list(infos["family"].domain_discrete) == ["ensemble", "forest", "mlp"]
    assert list(infos["features"].domain_discrete) == ["0.5", "sqrt"]
    assert list(infos["wide"].domain_discrete) == [False, True]
    assert [info.name.tag for info in found.metric_infos] == ["score/log_loss", "honest score/log_loss"]


def test_how_and_when_a_session_ended(study: Run, tmp_path: Path) -> None:
    write_event_files(study, tmp_path / "out")
    ends = [
        metadata.parse_session_end_info_plugin_data(
            content_of(tmp_path / f"out/trial_0000{n}", metadata.SESSION_END_INFO_TAG)
        )
        for n in range(4)
    ]
    names = [api_pb2.Status.Name(end.status).removeprefix("STATUS_") for end in ends]
    assert names == ["SUCCESS", "FAILURE", "SUCCESS", "UNKNOWN"]
    assert ends[0].end_time_secs == 1767323049.0


def test_tensorboard_shows_the_table(study: Run, tmp_path: Path) -> None:
    """What the HParams page asks its server for, of TensorBoard's own code."""
    from tensorboard.backend.event_processing import data_ingester, data_provider, plugin_event_multiplexer
    from tensorboard.context import RequestContext
    from tensorboard.plugins.base_plugin import TBContext
    from tensorboard.plugins.hparams import backend_context, list_session_groups

    del data_ingester
    write_event_files(study, tmp_path / "out")
    multiplexer = plugin_event_multiplexer.EventMultiplexer().AddRunsFromDirectory(str(tmp_path / "out"))
    multiplexer.Reload()
    provider = data_provider.MultiplexerDataProvider(multiplexer, str(tmp_path / "out"))
    context = backend_context.Context(TBContext(data_provider=provider))
    experiment = context.experiment_from_metadata(
        RequestContext(), "", include_metrics=True,
        hparams_run_to_tag_to_content=context.hparams_metadata(RequestContext(), ""),
        data_provider_hparams=[],
    )  # fmt: skip
    asked = api_pb2.ListSessionGroupsRequest(
        start_index=0, slice_size=100, allowed_statuses=list(api_pb2.Status.values()),
        col_params=[
            api_pb2.ColParams(metric=info.name, include_in_result=True) for info in experiment.metric_infos
        ],
    )  # fmt: skip
    answer = list_session_groups.Handler(RequestContext(), context, "", asked).run()
    scores = {
        group.name: {m.name.tag: m.value for m in group.metric_values} for group in answer.session_groups
    }
    assert len(scores) == 6
    assert scores["trial_00000"]["score/log_loss"] == pytest.approx(0.1)
    assert scores["ensemble"] == {"honest score/log_loss": pytest.approx(0.071)}


def test_an_export_replaces_an_earlier_one_and_nothing_else(study: Run, tmp_path: Path) -> None:
    write_event_files(study, tmp_path / "out")
    study.append_trial(Trial(5, "mlp", {"depth": 1}, "completed", score=0.2, **TIMES))  # type: ignore[arg-type]
    assert write_event_files(study, tmp_path / "out") == 7
    assert scalars_of(tmp_path / "out/trial_00005") == {"score/log_loss": {0: 0.2}}
    (tmp_path / "out" / "notes.txt").write_text("mine")
    with pytest.raises(EventFilesError, match=r"folder of their own.*holds notes\.txt"):
        write_event_files(study, tmp_path / "out")
    with pytest.raises(EventFilesError, match="is a file"):
        write_event_files(study, tmp_path / "out" / "notes.txt")


def test_an_unfinished_study_can_be_shown_and_an_empty_one_cannot(tmp_path: Path) -> None:
    run = Run.create(tmp_path / "begun")
    run.save_json("run.json", FACTS)
    with pytest.raises(EventFilesError, match="needs a trial"):
        write_event_files(run, tmp_path / "out")
    run.append_trial(TRIALS[0])
    assert write_event_files(run, tmp_path / "out") == 1


def test_without_tensorboard_one_line_says_what_to_install(study: Run, tmp_path: Path) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("importlib.util.find_spec", lambda name: None)
        with pytest.raises(EventFilesError, match=r"pip install foldstack\[tensorboard\]"):
            write_event_files(study, tmp_path / "out")


def test_tensorflow_is_not_imported(study: Run, tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from search.records import Run\n"
        "from reports.event_files import write_event_files\n"
        f"write_event_files(Run.open({str(study.path)!r}), Path({str(tmp_path / 'out')!r}))\n"
        "assert 'tensorflow' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=Path(__file__).parents[2])
