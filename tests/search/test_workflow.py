"""The workflow on a small table: every step is there, scored on the same folds, and written down."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from search.config import StudyConfig
from search.records import Run, RunError
from search.workflow import Workflow, workflow
from tests.search.training import plans

STEPS = ["dummy", "linear", "power", "overfit", "regularised", "tuned"]


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> Workflow:
    folder = tmp_path_factory.mktemp("workflow")
    plans.frame("regression", 120).to_csv(folder / "t.csv", index=False)
    config = StudyConfig(
        data=str(folder / "t.csv"), target=("y",), drop=("day",), trials=1, epochs=6, splits=2, repeats=2,
        draws=0, sampler="random", calibration="none", ensemble="best", audit=False,
        space={"width": 16, "depth": 1},
    )  # fmt: skip
    return workflow(config, command="test", place=folder / "out")


def test_every_step_has_a_score_on_the_same_folds(done: Workflow) -> None:
    assert [step.name for step in done.steps] == STEPS
    for step in done.steps[:-1]:
        assert len(step.fold_losses) == 4 and len(step.repeat_losses) == 2
        assert sum(step.repeat_losses) / 2 == pytest.approx(step.loss, rel=0.1)
    losses = {step.name: step.loss for step in done.steps}
    assert losses["linear"] < 0.5 * losses["dummy"] and losses["overfit"] < losses["dummy"]


def test_networks_come_with_curves_to_the_last_epoch(done: Workflow) -> None:
    for step in done.steps[2:]:
        assert step.epochs == (1, 2, 3, 4, 5, 6) and len(step.curve) == len(step.train_curve) == 6
    sizes = [step.n_parameters or 0 for step in done.steps[2:5]]
    assert sizes[0] < sizes[1] == sizes[2]
    assert done.steps[4].config["dropout"] == 0.3 and done.steps[3].config["dropout"] == 0.0


def test_it_is_written_down(done: Workflow) -> None:
    record = json.loads((done.path / "workflow.json").read_text())
    assert [step["name"] for step in record["steps"]] == STEPS and len(record["answers"]) == 4
    page = (done.path / "workflow.md").read_text()
    for name in ("held_out_curves.svg", "training_curves.svg"):
        assert f"({name})" in page and (done.path / name).is_file()
    tuned = Run.open(done.path / "tuned")
    assert tuned.is_finished and tuned.has("ensemble") and (tuned.path / "report.md").is_file()
    assert done.steps[-1].score == tuned.load_json("summary.json")["ensemble"]["score"]


def test_a_place_that_is_taken_is_refused(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").touch()
    with pytest.raises(RunError, match="needs an empty folder"):
        workflow(StudyConfig(demo="iris"), command="test", place=tmp_path)
