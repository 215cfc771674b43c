"""A study whose networks are attended by a user's callbacks: files of members, an ensemble as any other."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from ensemble import Ensemble
from search.run import main
from search.training.callbacks import Callbacks
from search.training.engine import Engine, Job
from search.training.trained import Trained
from tests.search.studies import SPACE, config_of, done, frame_of
from tests.search.training.test_craft import RECIPE, model_of, plan_of

MODULE = "tests.search.training.user_callbacks"


def test_callbacks_attend_every_member_and_the_ensemble_is_as_any_other(tmp_path: Path) -> None:
    space = {**SPACE, "schedule": "performance", "plateau_factor": 0.5, "clip_norm": 1.0}
    config = config_of(
        tmp_path, "ill", callbacks=f"{MODULE}:files", trials=1, splits=2, epochs=3, final="refit", space=space
    )
    run = done(config)
    trials = run.trials()
    assert [trial.way for trial in trials] == ["fit"]
    assert all(trial.config["clip_norm"] == 1.0 for trial in trials)
    for trial in trials:
        for member in range(2):
            place = run.path / "callbacks" / f"{trial.number:05d}" / f"{member:02d}"
            table = pd.read_csv(place / "log.csv")
            assert table["epoch"].tolist() == list(range(len(table))) and len(table) == trial.checkpoints[-1]
            assert (place / "best.keras").is_file() and list(place.glob("events/train/*"))
        logs = [
            pd.read_csv(run.path / "callbacks" / f"{trial.number:05d}" / f"{member:02d}" / "log.csv")["loss"]
            for member in range(2)
        ]
        assert trial.train_curve[-1] == pytest.approx(np.mean([log.iloc[-1] for log in logs]), rel=1e-4)
    assert len(list((run.path / "callbacks" / "refit").iterdir())) >= 1
    predictions = Ensemble.load(run.path / "ensemble").predict_raw(frame_of(20, seed=3))
    assert predictions.shape == (20, 1) and np.isfinite(predictions).all()


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("watches_held_out_rows", "must watch the training loss"),
        ("absent", "must have what is named"),
        ("one_argument", "must take"),
    ],
)
def test_callbacks_that_cannot_be_used_are_refused_before_anything_is_trained(
    name: str, said: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert (
        main(["study", "--demo", "wine", "--callbacks", f"{MODULE}:{name}", "--out", str(tmp_path / "r")])
        == 2
    )
    error = capsys.readouterr().err
    assert said in error and error.startswith("error: ") and not (tmp_path / "r").exists()


def trained_of(place: Path, *, is_flipped: bool) -> Trained:
    """Members that are attended; the targets of rows that nobody learns from may be turned around."""
    base = plan_of()
    free = np.setdiff1d(np.arange(len(base.y)), base.train[0])
    y = base.y.copy()
    y[free] = 1.0 - y[free] if is_flipped else y[free]
    plan = replace(base, train=base.train[:1] * 3, held=base.held[:1] * 3, y=y)
    engine = Engine(plan, lambda y, p, *_: float(np.mean((y - p) ** 2)))
    asked = Callbacks(f"{MODULE}:first_member_stops", str(place))
    recipe = replace(RECIPE, n_epochs=5, checkpoints=(2, 5), epoch_choice="fixed")
    return engine.train(Job("m", model_of, "binary", recipe, seed=3, callbacks=asked))


def test_held_out_rows_change_no_weight(tmp_path: Path) -> None:
    one, other = (trained_of(tmp_path, is_flipped=flipped) for flipped in (False, True))
    assert one.curve != other.curve and one.way == "fit" and '"compile_config": {}' in one.architecture
    assert all(np.array_equal(a, b) for a, b in zip(one.weights, other.weights, strict=True))
