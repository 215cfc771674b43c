"""Scikit-learn estimators: what they promise beyond scikit-learn's own suite, which is the last test."""

import pickle
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.datasets import load_breast_cancer, load_diabetes, load_iris
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

from ensemble import Ensemble
from search import estimator_study
from search.config import ConfigError
from search.estimators import FoldstackClassifier, FoldstackRegressor, NoModelError
from search.flow import Outcome
from search.preparation import LeakError
from search.records import Run
from search.splits import Folds, SplitError

ROOT = Path(__file__).resolve().parents[2]
TINY: dict[str, Any] = {
    "families": "linear", "trials": 1, "splits": 2, "repeats": 1, "draws": 0, "audit": False,
    "random_state": 0,
}  # fmt: skip
FAILED_CHECKS = {
    "check_sample_weight_equivalence_on_dense_data": (
        "a row of weight 2 and the same row twice are shuffled into other folds, whose models then differ; "
        "that a row of weight 0 is an absent row is a test of its own"
    ),
}


def _table() -> pd.DataFrame:
    """Sixty rows with a number, a category, a date and a flag, some of them missing."""
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(
        {
            "size": rng.normal(size=60).round(2),
            "colour": pd.Categorical(np.where(rng.random(60) < 0.5, "red", "blue")),
            "built": pd.Timestamp("2024-01-01") + pd.to_timedelta(rng.integers(0, 900, 60), "D"),
            "has_roof": rng.random(60) < 0.3,
        }
    )
    frame.loc[[3, 4], "size"] = np.nan
    frame.loc[[5, 6], "colour"] = np.nan
    return frame


def _labels(frame: pd.DataFrame) -> pd.Series:
    is_big = frame["size"].fillna(0.0) + (frame["colour"] == "red") > 0.5
    return pd.Series(np.where(is_big, "big", "small"), name="kind")


@pytest.fixture(scope="module")
def iris() -> FoldstackClassifier:
    X, y = load_iris(return_X_y=True, as_frame=True)
    return FoldstackClassifier(**TINY).fit(X, np.array(["ab", "cde", "f"])[y])


@pytest.fixture(scope="module")
def mixed() -> FoldstackClassifier:
    frame = _table()
    return FoldstackClassifier(**TINY).fit(frame, _labels(frame))


def test_classes_keep_their_type_and_order(iris: FoldstackClassifier) -> None:
    X, y = load_iris(return_X_y=True, as_frame=True)
    assert iris.classes_.tolist() == ["ab", "cde", "f"] and iris.n_features_in_ == 4
    assert list(iris.feature_names_in_) == list(X.columns)
    assert iris.ensemble_.task.classes == ("ab", "cde", "f")
    p, named = iris.predict_proba(X), iris.predict(X)
    assert p.shape == (150, 3) and np.allclose(p.sum(axis=1), 1.0)
    assert named.dtype == iris.classes_.dtype
    assert (named == iris.classes_[p.argmax(axis=1)]).all()
    assert iris.score(X, iris.classes_[y]) > 0.9


@pytest.mark.parametrize("classes", [np.array([False, True]), np.array([-3, 7])])
def test_binary_classes_of_any_type(classes: np.ndarray) -> None:
    X, y = load_breast_cancer(return_X_y=True)
    model = FoldstackClassifier(**TINY).fit(X[:120], classes[y[:120]])
    assert model.classes_.dtype == classes.dtype
    assert model.predict(X).dtype == classes.dtype
    assert (model.predict(X) == classes[(model.predict_proba(X)[:, 1] > 0.5).astype(int)]).all()
    assert model.score(X[120:], classes[y[120:]]) > 0.85


def test_text_categories_dates_and_missing_values(mixed: FoldstackClassifier) -> None:
    frame = _table()
    assert [c.kind for c in mixed.ensemble_.schema.columns] == ["number", "category", "number", "number"]
    assert mixed.ensemble_.task.target_names == ("kind",)
    assert mixed.score(frame, _labels(frame)) > 0.8
    new = frame.assign(colour="green")
    assert np.isfinite(mixed.predict_proba(new)).all()
    with pytest.raises(ValueError, match="same order"):
        mixed.predict(frame[frame.columns[::-1]])


def test_an_array_of_objects_may_hold_text_but_no_lists() -> None:
    frame = _table()[["size", "colour"]]
    array = frame.astype(object).to_numpy()
    array[5:7, 1] = None
    model = FoldstackClassifier(**TINY).fit(array, _labels(frame))
    assert model.ensemble_.schema.columns[1].categories == ("blue", "red")
    assert model.score(array, _labels(frame)) > 0.8
    array[0, 1] = ["red"]
    with pytest.raises(TypeError, match="must be a string or a number, not 'list'"):
        model.fit(array, _labels(frame))


def test_what_a_fit_leaves_in_the_estimator(iris: FoldstackClassifier) -> None:
    board = iris.leaderboard_
    assert list(board["entry"][:4]) == ["dummy", "linear", "best single", "ensemble"]
    assert board.loc[3, "score"] == iris.honest_score_ and iris.metric_ == "log_loss"
    assert np.isnan(iris.honest_interval_).all() and iris.n_trials_ == 1 and iris.run_path_ is None
    assert iris.honest_score_ < 0.5 * board.loc[0, "score"]


def test_a_pickle_predicts_the_same(iris: FoldstackClassifier) -> None:
    X, _ = load_iris(return_X_y=True, as_frame=True)
    expected = iris.predict_proba(X)
    again = pickle.loads(pickle.dumps(iris))
    assert np.array_equal(again.predict_proba(X), expected)
    assert again.get_params() == iris.get_params() and again.honest_score_ == iris.honest_score_
    assert isinstance(iris.ensemble_, Ensemble)  # pickling changes nothing


def test_the_same_seed_gives_the_same_model() -> None:
    X, y = load_diabetes(return_X_y=True)
    X, y = X[:100], y[:100]
    one, two = (FoldstackRegressor(**TINY).fit(X, y).predict(X) for _ in range(2))
    other = FoldstackRegressor(**{**TINY, "random_state": np.random.RandomState(1)}).fit(X, y).predict(X)
    assert np.array_equal(one, two)
    assert not np.allclose(one, other)


def test_a_kept_run_has_its_interval_and_a_name_of_its_own(tmp_path: Path) -> None:
    X, y = load_diabetes(return_X_y=True)
    groups = np.arange(120) // 5
    model = FoldstackRegressor(**{**TINY, "draws": 20, "run_path": tmp_path / "run"})
    model.fit(X[:120], y[:120], groups=groups)
    run = Run.open(tmp_path / "run")
    assert model.run_path_ == run.path and run.is_finished and run.has("report.md")
    assert run.load_json("run.json")["command"] == "FoldstackRegressor.fit"
    low, high = model.honest_interval_
    assert low < model.honest_score_ < high
    for member in Folds.load(run.path / "splits.npz").members():
        assert not set(groups[member.train]) & set(groups[member.held])
    kept = Ensemble.load(run.path / "ensemble").predict(X[:9])
    assert np.allclose(kept, model.predict(X[:9]))
    assert clone(model).set_params(draws=0).fit(X[:120], y[:120]).run_path_ == tmp_path / "run-2"


def test_nothing_is_said_and_nothing_is_left(
    capfd: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    X, y = load_iris(return_X_y=True)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    FoldstackClassifier(**TINY).fit(X, y).predict(X)
    assert capfd.readouterr() == ("", "")
    assert list(tmp_path.glob("foldstack-*")) == []
    FoldstackClassifier(**{**TINY, "verbose": True}).fit(X, y)
    out, err = capfd.readouterr()
    assert out == "" and "1/1 trials" in err


def test_within_a_pipeline_cross_validation_and_a_grid() -> None:
    X, y = load_iris(return_X_y=True)
    pipe = make_pipeline(StandardScaler(), FoldstackClassifier(**TINY))
    assert cross_val_score(pipe, X, y, cv=2).min() > 0.85
    space = [{"penalty": 1.0}, {"penalty": 1000.0}]
    grid = GridSearchCV(
        FoldstackClassifier(**TINY), {"space": space, "trials": np.array([1])}, cv=2, refit=False
    )
    grid.fit(X, y)
    scores = grid.cv_results_["mean_test_score"]
    assert scores[0] > scores[1]


def test_several_outputs() -> None:
    X, y = load_diabetes(return_X_y=True)
    both = pd.DataFrame({"high": y[:150], "low": -2.0 * y[:150]})
    model = FoldstackRegressor(**TINY).fit(X[:150], both)
    assert model.ensemble_.task.target_names == ("high", "low")
    predicted = model.predict(X)
    assert predicted.shape == (442, 2)
    assert np.corrcoef(predicted[:, 0], predicted[:, 1])[0, 1] < -0.99
    labels = np.column_stack([y > 150, X[:, 2] > 0]).astype(int)[:150]
    tagger = FoldstackClassifier(**TINY).fit(X[:150], labels)
    p = tagger.predict_proba(X[:150])
    assert p.shape == (150, 2) and tagger.classes_.tolist() == [0, 1]
    assert np.array_equal(tagger.predict(X[:150]), p > 0.5)
    assert (tagger.predict(X[:150]) == labels).mean() > 0.75


def test_a_row_of_weight_zero_is_absent_and_equal_weights_are_none() -> None:
    X, y = load_diabetes(return_X_y=True)
    X, y, weights = X[:90], y[:90], np.repeat([1.0, 0.0, 1.0], 30)
    spoilt = np.where(weights > 0, y, 1e6)
    expected = FoldstackRegressor(**TINY).fit(X[weights > 0], y[weights > 0]).predict(X)
    found = FoldstackRegressor(**TINY).fit(X, spoilt, sample_weight=7.0 * weights).predict(X)
    assert np.array_equal(found, expected)


def test_heavy_rows_pull_the_predictions() -> None:
    X = np.tile(np.linspace(0, 1, 40)[:, None], (2, 1)) + np.linspace(0, 1e-3, 80)[:, None]
    y, weights = np.repeat([0.0, 1.0], 40), np.repeat([1.0, 9.0], 40)
    light = FoldstackRegressor(**TINY).fit(X, y).predict(X).mean()
    heavy = FoldstackRegressor(**TINY).fit(X, y, sample_weight=weights).predict(X).mean()
    assert light == pytest.approx(0.5, abs=0.05)
    assert heavy == pytest.approx(0.9, abs=0.05)


def test_folds_fit_the_rarest_class(tmp_path: Path) -> None:
    X, y = load_iris(return_X_y=True)
    X, y = X[50:103], y[50:103]
    told = {**TINY, "splits": None, "run_path": tmp_path / "run"}
    FoldstackClassifier(**told).fit(X, y)
    assert Folds.load(tmp_path / "run" / "splits.npz").n_splits == 3
    with pytest.raises(SplitError, match=r"class 2 has 3 rows, fewer than 5 folds"):
        FoldstackClassifier(**{**told, "splits": 5}).fit(X, y)
    with pytest.raises(SplitError, match=r"class 2 has 1 row, fewer than 2 folds"):
        FoldstackClassifier(**told).fit(X[:51], y[:51])


@pytest.mark.parametrize(
    ("told", "rule"),
    [
        ({"trials": 0}, "trials must be greater than or equal to 1, not 0"),
        ({"families": "lasso"}, "families must be all, or some of mlp, .*, got 'lasso'"),
        ({"metric": "acuracy"}, "no metric is called 'acuracy'; the nearest is 'accuracy'"),
        ({"time": "soon"}, "time: a duration is a number of seconds or text such as 90s"),
    ],
)
def test_wrong_parameters_are_said_in_one_line(told: dict[str, Any], rule: str) -> None:
    X, y = load_iris(return_X_y=True)
    with pytest.raises(ValueError, match=rule) as error:
        FoldstackClassifier(**{**TINY, **told}).fit(X, y)
    assert "\n" not in str(error.value)


def test_wrong_rows_are_said_in_one_line() -> None:
    frame = _table()
    y = _labels(frame)
    model = FoldstackClassifier(**TINY)
    with pytest.raises(ValueError, match=r"at least 2 classes, got only \['big'\]"):
        model.fit(frame, ["big"] * 60)
    with pytest.raises(ValueError, match="infinity"):
        model.fit(frame.assign(size=np.inf), y)
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        model.fit(frame, y[:50])
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        model.fit(frame, y, groups=[1, 2])
    with pytest.raises(ValueError, match="Negative values in data passed to `sample_weight`"):
        model.fit(frame, y, sample_weight=-np.ones(60))
    with pytest.raises(ConfigError, match=r"preset must be .* not 'perfect'"):
        FoldstackClassifier(**{**TINY, "preset": "perfect"}).fit(frame, y)


def test_the_audit_stops_a_fit_on_a_copy_of_the_target() -> None:
    X, y = load_diabetes(return_X_y=True, as_frame=True)
    audited = FoldstackRegressor(**{**TINY, "audit": True})
    assert "leak" in audited.fit(X, y).findings_.columns
    with pytest.raises(LeakError, match="'copy'"):
        audited.fit(X.assign(copy=2.0 * y), y)


def test_a_kept_run_has_all_that_its_report_shows(tmp_path: Path) -> None:
    X, y = load_iris(return_X_y=True, as_frame=True)
    model = FoldstackClassifier(**TINY, run_path=tmp_path / "kept").fit(X, y)
    run = Run.open(model.run_path_)
    assert all(run.has(name) for name in ("members.json", "growth.json", "importance.json", "targets.npz"))
    assert "was not measured" not in (run.path / "report.md").read_text()
    assert run.load_json("importance.json")["columns"]


def test_inputs_ensemble_and_workers_are_told_as_on_the_command_line(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    X = rng.normal(size=(80, 6)).astype(np.float32)
    y = (X[:, 0] > 0).astype(int)
    told = {**TINY, "trials": 2, "ensemble": "uniform", "calibration": "none", "workers": 2}
    model = FoldstackClassifier(**told, inputs={"x": "vector"}, run_path=tmp_path / "kept")
    model.fit({"x": X}, y)
    config = (tmp_path / "kept" / "config.toml").read_text()
    assert 'ensemble = "uniform"' in config and "workers = 2" in config
    assert model.ensemble_.schema.blocks[0].kind == "vector"
    with pytest.raises(ValueError, match="must have what is named"):
        FoldstackClassifier(**TINY, model="tests.spaces.user_models:nothing").fit(X, y)
    with pytest.raises(ValueError, match="imagee"):
        FoldstackClassifier(**TINY, inputs={"x": "imagee"}).fit({"x": X}, y)


def _ends(monkeypatch: pytest.MonkeyPatch, *, is_interrupted: bool) -> None:
    def nothing(run: Run, *_: Any, **__: Any) -> Outcome:
        return Outcome(run.path, is_interrupted, 0)

    monkeypatch.setattr(estimator_study, "carry_out", nothing)


def test_a_study_without_a_model(monkeypatch: pytest.MonkeyPatch) -> None:
    X, y = load_iris(return_X_y=True)
    _ends(monkeypatch, is_interrupted=False)
    with pytest.raises(NoModelError, match="no trial ended with a valid model: none ran"):
        FoldstackClassifier(**TINY).fit(X, y)
    _ends(monkeypatch, is_interrupted=True)
    with pytest.raises(KeyboardInterrupt):
        FoldstackClassifier(**TINY).fit(X, y)


def test_a_script_needs_no_guard_and_trees_no_tensorflow(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(
        "import sys\n"
        "from sklearn.datasets import load_iris\n"
        "from search.estimators import FoldstackClassifier\n"
        f"model = FoldstackClassifier(**{TINY!r}).fit(*load_iris(return_X_y=True))\n"
        "print(model.score(*load_iris(return_X_y=True)) > 0.9, 'tensorflow' in sys.modules)\n"
    )
    done = subprocess.run(
        [sys.executable, str(script)], cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False,
        env={"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin"},
    )  # fmt: skip
    assert (done.stdout, done.stderr) == ("True False\n", "")


@pytest.mark.slow
def test_networks_are_pickled_after_they_predicted() -> None:
    X, y = load_iris(return_X_y=True)
    model = FoldstackClassifier(**{**TINY, "families": "mlp", "epochs": 20}).fit(X, y)
    expected = model.predict_proba(X)
    assert model.score(X, y) > 0.85
    parts = np.vstack([model.predict_proba(part) for part in np.array_split(X, 7)])
    assert np.allclose(parts, expected, rtol=0.0, atol=1e-5)  # float32 rounds by the number of rows
    again = pickle.loads(pickle.dumps(model))
    assert np.array_equal(again.predict_proba(X), expected)


@pytest.mark.slow
@parametrize_with_checks(
    [FoldstackClassifier(**TINY), FoldstackRegressor(**TINY)],
    expected_failed_checks=lambda estimator: FAILED_CHECKS,
)
def test_the_suite_of_scikit_learn(estimator: Any, check: Any) -> None:
    check(estimator)


def test_images_and_arrays_by_name() -> None:
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (60, 3, 3, 2)).astype(np.uint8)
    y = (images.mean(axis=(1, 2, 3)) > 127).astype(int)
    for X in (images, {"age": rng.normal(size=60), "picture": images}):
        model = FoldstackClassifier(families="linear", trials=1, draws=0, random_state=0).fit(X, y)
        assert model.ensemble_.schema.blocks[0].kind == "image"
        assert (model.predict(X) == y).mean() > 0.9
