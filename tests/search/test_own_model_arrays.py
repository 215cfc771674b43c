"""A model of the user's for images, or for several inputs, through a whole study."""

from pathlib import Path

import numpy as np
import pytest

from ensemble import Ensemble
from search import flow
from search.config import check
from search.records import Run
from search.sources import read_table


def table_in(folder: Path, *, has_columns: bool) -> str:
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (60, 4, 4, 3)).astype(np.uint8)
    y = np.array(["dark", "light"])[(images.mean(axis=(1, 2, 3)) > 127).astype(int)]
    beside = {"age": rng.normal(size=60), "size": rng.normal(size=60)} if has_columns else {}
    np.savez(folder / "data.npz", picture=images, y=y, **beside)
    return str(folder / "data.npz")


@pytest.mark.parametrize(("build", "way"), [("build_image", "looped"), ("build_two", "stacked")])
def test_images_and_columns_reach_the_model_by_name(tmp_path: Path, build: str, way: str) -> None:
    config = check(
        {
            "data": table_in(tmp_path, has_columns=build == "build_two"), "target": ["y"], "trials": 1,
            "model": f"tests.spaces.user_models:{build}", "splits": 3, "repeats": 1, "epochs": 2, "draws": 0,
            "ensemble": "best", "calibration": "none", "out": str(tmp_path / "run"),
        }
    )  # fmt: skip
    outcome = flow.study(config, command="test")
    (trial,) = Run.open(outcome.run_path).trials()
    assert (trial.status, trial.way) == ("completed", way) and trial.way_reason
    predicted = Ensemble.load(outcome.run_path / "ensemble").predict_raw(read_table(str(config.data)))
    assert predicted.shape == (60, 1) and np.isfinite(predicted).all()


def test_inputs_of_other_names_are_refused_in_one_line(tmp_path: Path) -> None:
    told = {"model": "tests.spaces.user_models:build_two", "out": str(tmp_path / "run"), "target": ["y"]}
    rng = np.random.default_rng(0)
    arrays = {"left": rng.normal(size=(60, 4, 4, 3)), "age": rng.normal(size=60), "y": np.arange(60) % 2}
    np.savez(tmp_path / "data.npz", **arrays)
    with pytest.raises(ValueError, match="its inputs are named columns, picture, not left, columns"):
        flow.study(check({"data": str(tmp_path / "data.npz"), **told}), command="test")
    assert not (tmp_path / "run").exists()
