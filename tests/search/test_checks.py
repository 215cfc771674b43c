"""What is done with a finished run: holdout, evaluation, seeds, noise, nesting; on one study of 110 rows."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from ensemble import Ensemble
from search import checks
from search.checks import FreshSeeds, Nested, SelfTest
from search.config import StudyConfig, check, load, to_toml
from search.data import from_frame
from search.flow import study
from search.metrics import METRICS
from search.objective import Objective
from search.preparation import prepare
from search.records import Run, RunError, Trial
from search.run import main
from search.targets import DataError
from search.training.recipe import Recipe

SPACE: dict[str, Any] = {
    "depth": 1, "width": 8, "shape": "constant", "activation": "relu", "normalization": "none",
    "dropout": 0.0, "l1_on": False, "l2_on": False, "optimizer": "adam", "schedule": "constant",
    "batch_size": 32, "learning_rate": {"low": 0.01, "high": 0.1, "log": True},
}  # fmt: skip
N_ROWS = 110


def _frame(n_rows: int = N_ROWS, seed: int = 0) -> pd.DataFrame:
    """Two numbers that tell the target partly, and a number of the row; one row has no target."""
    rng = np.random.default_rng(seed)
    x, z = rng.normal(size=(2, n_rows))
    label = np.where(x + z + 0.5 * rng.normal(size=n_rows) > 0, "yes", "no").astype(object)
    frame = pd.DataFrame({"nr": np.arange(n_rows) + 1000, "x": x, "z": z, "y": label})
    frame.loc[4, "y"] = None
    return frame


def _study(folder: Path, **changes: Any) -> Run:
    _frame().to_csv(folder / "table.csv", index=False)
    values = {
        "data": str(folder / "table.csv"), "target": "y", "trials": 2, "splits": 2, "repeats": 1, "epochs": 4,
        "draws": 0, "seed": 1, "out": str(folder / "run"), "space": SPACE, "families": ("mlp",), **changes,
    }  # fmt: skip
    return Run.open(study(check(values), command="test").run_path)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A study of two trials with 20 % of the rows sealed."""
    return _study(tmp_path_factory.mktemp("checks"), holdout=0.2)


def _config(run: Run) -> StudyConfig:
    return load(run.path / "config.toml")


def _twin(run: Run, folder: Path, frame: pd.DataFrame | None = None, **changes: Any) -> Run:
    """The same run under another folder and, if given, over another table or configuration."""
    import shutil

    shutil.copytree(run.path, folder / "twin")
    path = folder / "table.csv"
    (_frame() if frame is None else frame).to_csv(path, index=False)
    config = _config(run).model_copy(update={"data": str(path), **changes})
    (folder / "twin" / "config.toml").write_text(to_toml(config), encoding="utf-8")
    for name in ("looks.jsonl",):
        (folder / "twin" / name).unlink(missing_ok=True)
    return Run.open(folder / "twin")


def test_the_holdout_is_scored_on_the_sealed_rows_alone(run: Run, tmp_path: Path) -> None:
    twin = _twin(run, tmp_path)
    sealed = twin.load_arrays("rows.npz")["sealed"]
    apart = _frame().iloc[sealed]
    p = Ensemble.load(twin.path / "ensemble").predict_raw(apart)[:, 0]
    y = (apart["y"] == "yes").to_numpy(float)
    by_hand = -np.mean(np.where(y == 1, np.log(p), np.log(1 - p)))
    first, second = checks.open_holdout(twin.path), checks.open_holdout(twin.path)
    assert first.score == pytest.approx(by_hand, rel=1e-5) and first.n_rows == len(sealed) == 22
    assert first.low < first.score < first.high
    assert (first.number, first.is_contaminated) == (1, False)
    assert (second.number, second.is_contaminated, second.score) == (2, True, first.score)
    assert [e["rows"] for e in twin.events() if e["stage"] == "holdout"] == [22, 22]


def test_a_changed_table_is_refused(run: Run, tmp_path: Path) -> None:
    changed = _frame()
    changed.loc[run.load_arrays("rows.npz")["development"][0], "x"] += 1.0
    with pytest.raises(RunError, match="content has changed") as caught:
        checks.open_holdout(_twin(run, tmp_path, changed).path)
    assert "\n" not in str(caught.value)


def test_a_change_of_sealed_rows_is_refused_too(run: Run, tmp_path: Path) -> None:
    changed = _frame()
    changed.loc[run.load_arrays("rows.npz")["sealed"][0], "x"] += 1.0
    with pytest.raises(RunError, match="content has changed"):
        checks.open_holdout(_twin(run, tmp_path, changed).path)


def test_without_sealed_rows_there_is_nothing_to_open(
    run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    twin = _twin(run, tmp_path)
    rows = twin.load_arrays("rows.npz")
    twin.save_arrays("rows.npz", {**rows, "sealed": np.zeros(0, np.int64)})
    with pytest.raises(RunError, match="no sealed holdout: give study --holdout"):
        checks.open_holdout(twin.path)
    assert main(["open-holdout", str(twin.path)]) == 2
    assert capsys.readouterr().err.startswith("error: ") and twin.looks() == []


def test_evaluation_counts_content_not_names(run: Run, tmp_path: Path) -> None:
    twin, new = _twin(run, tmp_path), _frame(60, seed=5)
    for name in ("a.csv", "b.csv"):
        new.to_csv(tmp_path / name, index=False)
    new.head(50).to_csv(tmp_path / "c.csv", index=False)
    seen = [checks.evaluate(twin.path, tmp_path / name) for name in ("a.csv", "b.csv", "c.csv")]
    assert [(look.place, look.number, look.is_contaminated) for look in seen] == [
        ("a.csv", 1, False), ("b.csv", 2, True), ("c.csv", 1, False)
    ]  # fmt: skip
    assert [look.n_rows for look in seen] == [59, 59, 49]  # one row has no target
    p = Ensemble.load(twin.path / "ensemble").predict_raw(new.dropna(subset="y"))[:, 0]
    is_yes = (new.dropna(subset="y")["y"] == "yes").to_numpy()
    assert seen[0].score == pytest.approx(-np.mean(np.log(np.where(is_yes, p, 1 - p))), rel=1e-5)


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda frame: frame.drop(columns="y"), "needs the target column 'y'"),
        (lambda frame: frame.assign(y="perhaps"), "not 'perhaps'"),
        (lambda frame: frame.assign(y=None), "no row has a value"),
    ],
)
def test_tables_without_known_targets(
    run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str], spoil: Any, said: str
) -> None:
    spoil(_frame(20)).to_csv(tmp_path / "bad.csv", index=False)
    n_before = len(run.looks())
    with pytest.raises(DataError, match=said) as caught:
        checks.evaluate(run.path, tmp_path / "bad.csv")
    assert "\n" not in str(caught.value) and len(run.looks()) == n_before
    assert main(["evaluate", str(run.path), str(tmp_path / "bad.csv")]) == 2
    assert said in capsys.readouterr().err


def test_the_verbs_bring_the_report_up_to_date(
    run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    twin = _twin(run, tmp_path)
    _frame(30, seed=5).to_csv(tmp_path / "new.csv", index=False)
    assert (
        main(["open-holdout", str(twin.path)])
        == 0
        == main(["evaluate", str(twin.path), str(tmp_path / "new.csv")])
    )
    said = capsys.readouterr().out.splitlines()
    text = (twin.path / "report.md").read_text(encoding="utf-8")
    assert [f"- {line}" in text for line in said] == [True, True]
    ledger = pd.read_csv(twin.path / "ledger.csv")
    assert ledger["stage"].tolist()[-2:] == ["holdout", "holdout"] and len(ledger) == len(twin.events())


def test_fresh_seeds_give_other_but_similar_scores(run: Run, tmp_path: Path) -> None:
    twin = _twin(run, tmp_path)
    found = checks.fresh_seeds(twin.path, 2)
    assert len({found.winner, *found.fresh_winner}) == 3 == len({found.ensemble, *found.fresh_ensemble})
    chance = next(b["score"] for b in twin.load_json("summary.json")["baselines"] if b["name"] == "dummy")
    assert np.abs(np.array(found.fresh_winner) - found.winner).max() < 0.6 * chance
    stored = twin.load_json("fresh_seeds.json")
    assert stored["fresh_winner"] == list(found.fresh_winner)
    assert stored["share_of_luck"] == found.share_of_luck
    best = twin.load_json("summary.json")["best_single"]
    assert found.winner == best["score"]


def test_fresh_seeds_are_scored_as_the_study_scored(tmp_path: Path) -> None:
    """Ridge has no use for a seed: all scores come back, with weights of rows and a calibration."""
    frame = _frame().assign(w=np.linspace(0.1, 3.0, N_ROWS))
    frame.to_csv(tmp_path / "weighted.csv", index=False)
    asked = {
        "weights": "w",
        "families": ("linear",),
        "calibration": "temperature",
        "drop": "nr",
        "repeats": 2,
    }
    run = _study(tmp_path, data=str(tmp_path / "weighted.csv"), space={}, trials=3, **asked)
    found, summary = checks.fresh_seeds(run.path, 1), run.load_json("summary.json")
    assert abs(summary["ensemble"]["calibration"]["temperature"] - 1.0) > 0.01
    assert found.winner == summary["best_single"]["score"] == pytest.approx(found.fresh_winner[0], rel=1e-6)
    assert found.ensemble == pytest.approx(found.fresh_ensemble[0], rel=1e-6)


def test_outer_folds_are_scored_with_the_weights_of_rows(tmp_path: Path) -> None:
    weights = np.where(_frame()["y"] == "yes", 9.0, 1.0)
    _frame().assign(w=weights).to_csv(tmp_path / "weighted.csv", index=False)
    asked = {"weights": "w", "families": ("linear",), "drop": "nr"}
    run = _study(tmp_path, data=str(tmp_path / "weighted.csv"), space={}, **asked)
    found, prepared = checks.nested(run.path, 2), prepare(_config(run))
    dataset = prepared.dataset
    for fold, score in enumerate(found.scores):
        inner = Run.open(run.path / "nested" / str(fold))
        held = np.flatnonzero(~np.isin(dataset.row_ids, inner.load_arrays("rows.npz")["development"]))
        p = Ensemble.load(inner.path / "ensemble").predict_table(dataset.table.take(held))
        counted = weights[prepared.development[held]]
        assert score == pytest.approx(METRICS["log_loss"].score(dataset.y[held], p, counted), rel=1e-6)


def test_a_study_of_noise_shows_chance(run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    twin = _twin(run, tmp_path)
    assert main(["selftest", str(twin.path)]) == 0
    assert "shows chance" in capsys.readouterr().out
    stored = twin.load_json("selftest.json")
    assert stored["sentence"] in (twin.path / "report.json").read_text(encoding="utf-8")
    assert stored["is_chance"] and stored["chance"] == pytest.approx(np.log(2), abs=0.05)
    inner = Run.open(twin.path / "selftest")
    assert len(inner.trials()) == 2 and inner.load_json("run.json")["dataset"]["n_sealed"] == 0
    assert len(inner.load_arrays("rows.npz")["development"]) == 109 - 22


def test_targets_are_permuted_and_nothing_else() -> None:
    dataset = from_frame(_frame(), "y")
    noise = checks.permuted(dataset, np.random.default_rng(0))
    assert noise.y.sum() == dataset.y.sum() and not np.array_equal(noise.y, dataset.y)
    assert noise.table is dataset.table and replace(noise, y=dataset.y) == dataset


def test_outer_rows_never_reach_the_inner_studies(run: Run, tmp_path: Path) -> None:
    twin = _twin(run, tmp_path)
    found = checks.nested(twin.path, 2)
    prepared = prepare(_config(twin))
    inner = [Run.open(twin.path / "nested" / str(fold)) for fold in range(2)]
    outer = [one.load_arrays("rows.npz")["development"] for one in inner]
    n_rows = prepared.dataset.n_rows
    assert [len(rows) for rows in outer] == [one.load_json("run.json")["dataset"]["n_rows"] for one in inner]
    assert sum(map(len, outer)) == n_rows and not set(outer[0]) & set(outer[1])
    for fold, one in enumerate(inner):
        held = np.isin(prepared.dataset.row_ids, outer[1 - fold])
        training = prepared.dataset.take(np.flatnonzero(~held))
        assert one.load_json("run.json")["dataset"]["fingerprint"] == training.fingerprint
        assert {one.out_of_fold(trial.number).shape[2] for trial in one.trials()} == {int((~held).sum())}
        p = Ensemble.load(one.path / "ensemble").predict_table(
            prepared.dataset.table.take(np.flatnonzero(held))
        )
        score = METRICS["log_loss"].score(prepared.dataset.y[held], p)
        assert found.scores[fold] == pytest.approx(score, rel=1e-6)
        assert found.reported[fold] == one.load_json("summary.json")["ensemble"]["score"]
    stored = twin.load_json("nested.json")
    assert stored["scores"] == list(found.scores) and len(stored["winners"]) == 2
    assert stored["agreement"] == found.agreement


def test_agreement_is_the_share_of_equal_parameters() -> None:
    winners: tuple[dict[str, Any], ...] = ({"a": 1, "b": 2}, {"a": 1, "b": 3}, {"a": 1, "b": 2, "c": 0})
    assert Nested("rmse", (1.0,) * 3, (1.0,) * 3, winners).agreement == pytest.approx(
        np.mean([1 / 2, 2 / 3, 1 / 3])
    )
    alone = Nested("rmse", (1.0,), (0.9,), winners[:1])
    assert alone.agreement == 1.0 and "nan" not in alone.sentence


@pytest.mark.parametrize(
    ("choice", "expected"),
    [("common", ("fixed", (3,))), ("fold", ("fold", None)), ("inner", ("inner", None))],
)
def test_an_epoch_chosen_in_common_is_kept_and_one_chosen_by_fold_is_chosen_again(
    choice: Any, expected: tuple[str, Any]
) -> None:
    asked: list[Any] = []

    class Process:
        def train(self, request: Any) -> Any:
            asked.append(request.recipe)
            return SimpleNamespace(out_of_fold=np.zeros((1, 1, 2, 1)), chosen_index=0)

    anything: Any = None
    process: Any = Process()
    recipe = Recipe(n_epochs=9, epoch_choice=choice)
    objective = Objective(process, anything, anything, anything, METRICS["rmse"], recipe, 0)
    checks._again(objective, Trial(0, "mlp", {}, "completed", chosen_epoch=3, member_epochs=(2, 5)))
    checkpoints = recipe.checkpoints if expected[1] is None else expected[1]
    assert (asked[0].epoch_choice, asked[0].checkpoints) == (expected[0], checkpoints)


@pytest.mark.parametrize(
    ("fresh", "share"),
    [((0.5, 0.5), 0.0), ((0.6, 0.7), 0.75), ((0.7, 0.7), 1.0), ((0.9, 0.9), 2.0), ((0.4, 0.4), -0.5)],
)
def test_the_share_of_luck(fresh: tuple[float, ...], share: float) -> None:
    """The winner leads the median by 0.2; how much of it fresh seeds lose is the share."""
    found = FreshSeeds("log_loss", 0.5, fresh, 0.45, fresh, 0.7)
    said = 100 * min(max(share, 0.0), 1.0)
    assert found.share_of_luck == pytest.approx(share) and f"; {said:.0f} % of the winner" in found.sentence
    assert FreshSeeds("log_loss", 0.7, fresh, 0.6, fresh, 0.7).share_of_luck is None


@pytest.mark.parametrize(
    ("score", "is_higher", "is_chance"),
    [(0.63, False, True), (0.55, False, False), (0.9, False, True), (0.75, True, True), (0.85, True, False)],
)
def test_chance_is_within_two_standard_errors(score: float, is_higher: bool, is_chance: bool) -> None:
    found = SelfTest("auc", score, score, 0.7, 0.05, is_higher)
    assert found.is_chance is is_chance
    assert ("shows chance" in found.sentence) is is_chance


def test_the_audit_verb(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path, new = tmp_path / "t.csv", tmp_path / "new.csv"
    _frame().to_csv(path, index=False)
    _frame().drop(columns="y").to_csv(new, index=False)
    words = ["audit", str(path), "--target", "y"]
    assert main(words) == 0 and "warning: identifier: 'nr'" in capsys.readouterr().out
    assert main([*words, "--strict"]) == 1 and "error: identifier" in capsys.readouterr().out
    assert main([*words, "--drop", "nr"]) == 0 and capsys.readouterr().out == "no leak found\n"
    assert main([*words, "--strict", "--keep", "nr"]) == 0 and "note" in capsys.readouterr().out
    assert main([*words, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)[0]["columns"] == "nr"
    assert main([*words, "--against", str(new), "--drop", "nr", "--strict"]) == 1
    assert "rows in the holdout" in capsys.readouterr().out
    assert main(["audit", str(path), "--target", "price"]) == 2
    assert capsys.readouterr().err == "error: the table has no column 'price'; the nearest is 'nr'\n"
