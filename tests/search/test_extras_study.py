"""What an override adds to a space reaches the training: of our families, of a user's model, from a file."""

from __future__ import annotations

from pathlib import Path

import pytest

from search import config as configuration
from search.preparation import prepare
from search.run import main
from search.training.recipe import Recipe, recipe_for
from tests.search.studies import config_of, done, frame_of

TOML = """
families = ["mlp", "tabm", "linear"]

[space]
clip_norm = { low = 0.1, high = 10, log = true }
max_norm = [0, 2.0]

[space.mlp]
schedule = ["one_cycle", "performance"]
plateau_factor = 0.3
class_weight = "balanced"
"""


def test_a_file_names_what_no_default_space_has(tmp_path: Path) -> None:
    frame_of()[["x", "gap", "ill"]].to_csv(tmp_path / "table.csv", index=False)
    (tmp_path / "study.toml").write_text(TOML)
    told = {"data": str(tmp_path / "table.csv"), "target": ["ill"]}
    config = configuration.load(tmp_path / "study.toml", told)
    space = prepare(config).space
    assert {"mlp.clip_norm", "tabm.clip_norm", "mlp.max_norm", "tabm.max_norm"} <= set(space.parameters)
    assert space.fixed == {"mlp.class_weight": "balanced"} and "linear.clip_norm" not in space.names
    assert space.parameters["mlp.schedule"].n_values == 2 and space.parameters["tabm.schedule"].n_values == 3
    again = configuration.load(None, configuration.tomllib.loads(configuration.to_toml(config)))
    assert prepare(again).space.fingerprint == space.fingerprint


def test_a_wrong_name_is_one_line(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    (tmp_path / "study.toml").write_text("[space]\nclip_nrom = 1.0\n")
    assert main(["study", "--demo", "wine", "--config", str(tmp_path / "study.toml")]) == 2
    error = capsys.readouterr().err
    assert "did you mean 'clip_norm'" in error and error.count("\n") == 1


def test_a_users_own_model_can_be_trained_with_them(tmp_path: Path) -> None:
    space = {"schedule": "one_cycle", "clip_norm": 1.0, "depth": 1}
    config = config_of(
        tmp_path, "ill", model="tests.spaces.user_models:build_deep", families=None, space=space, trials=1
    )
    (trial,) = done(config).trials()
    assert trial.status == "completed" and trial.config["clip_norm"] == 1.0
    assert recipe_for(trial.config, Recipe()).schedule == "one_cycle"
