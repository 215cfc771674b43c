"""Baselines: out-of-fold predictions against scikit-learn, and that held-out rows do not leak."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.preprocessing import StandardScaler

from search.baselines import baselines
from search.data import from_arrays, from_frame
from search.metrics import metric_for
from search.sources import demo
from search.splits import make_folds


def folds_of(dataset, **options):
    return make_folds(dataset, **({"n_splits": 3, "n_repeats": 2} | options), rng=np.random.default_rng(0))


def test_dummy_predicts_the_training_mean() -> None:
    frame, target = demo("wine")
    dataset = from_frame(frame, target)
    folds = folds_of(dataset)
    dummy = baselines(dataset, folds)[0]
    assert (dummy.name, dummy.n_parameters, dummy.predictions.shape) == ("dummy", 3, (2, 178, 3))
    assert dummy.predictions.dtype == np.float32
    for member in folds.members():
        mean = dataset.y[member.train].mean(axis=0)
        np.testing.assert_allclose(
            dummy.predictions[member.repeat, member.held], np.tile(mean, (member.held.size, 1)), rtol=1e-6
        )


@pytest.mark.parametrize("name", ["breast_cancer", "wine", "diabetes"])
def test_linear_equals_scikit_learn(name: str) -> None:
    frame, target = demo(name)
    dataset = from_frame(frame, target)
    folds = folds_of(dataset, n_repeats=1)
    linear = baselines(dataset, folds)[1]
    x, member = frame.drop(columns=target).to_numpy(), folds.members()[0]
    scaler = StandardScaler().fit(x[member.train])
    x_train, x_held = scaler.transform(x[member.train]), scaler.transform(x[member.held])
    labels = frame[target].to_numpy()[member.train]
    if name == "diabetes":
        spread = labels.std()
        model = Ridge(alpha=1.0).fit(x_train, (labels - labels.mean()) / spread)
        expected = model.predict(x_held)[:, None] * spread + labels.mean()
    else:
        expected = LogisticRegression(max_iter=300).fit(x_train, labels).predict_proba(x_held)
        expected = expected[:, 1:] if name == "breast_cancer" else expected
    np.testing.assert_allclose(linear.predictions[0, member.held], expected, rtol=1e-3, atol=2e-3)
    assert linear.n_parameters == (x.shape[1] + 1) * dataset.n_outputs


def test_linear_beats_the_dummy_with_categories_and_missing_values() -> None:
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(
        {"a": rng.normal(size=300), "k": rng.choice(np.array(["u", "v", "w"], dtype=object), 300)}
    )
    frame["u"] = (frame["a"] + (frame["k"] == "u") + rng.normal(0, 0.3, 300) > 0).astype(int)
    frame["v"] = (frame["k"] == "v").astype(int)
    frame.loc[::9, "a"] = np.nan
    dataset = from_frame(frame, ["u", "v"])
    folds = folds_of(dataset)
    metric = metric_for("log_loss", dataset.task)
    dummy, linear = (metric.score(dataset.y, b.predictions[0]) for b in baselines(dataset, folds))
    assert linear < 0.6 * dummy


def test_several_numeric_targets() -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(120, 3))
    y = x @ rng.normal(size=(3, 2)) * [1.0, 1000.0] + [0.0, 5e4]
    dataset = from_arrays(x, y)
    dummy, linear = baselines(dataset, folds_of(dataset))
    assert linear.predictions.shape == (2, 120, 2)
    rmse = metric_for("rmse", dataset.task)
    assert rmse.score(y, linear.predictions[0]) < 0.1 * rmse.score(y, dummy.predictions[0])


def test_time_leaves_the_first_block_empty() -> None:
    rng = np.random.default_rng(0)
    dataset = from_arrays(rng.normal(size=(60, 2)), np.arange(60) % 3 // 2, time=np.arange(60))
    folds = folds_of(dataset, n_repeats=None)
    for baseline in baselines(dataset, folds):
        is_empty = np.isnan(baseline.predictions[0, :, 0])
        assert np.array_equal(is_empty, folds.fold_of_row[0] == -1)


def test_a_class_not_yet_seen_gets_nothing() -> None:
    y = np.array(["a", "b"] * 20 + ["a", "b", "c"] * 10)
    dataset = from_arrays(np.random.default_rng(0).normal(size=(70, 2)), y, time=np.arange(70))
    folds = folds_of(dataset, n_repeats=None)
    first = folds.members()[0]
    linear = baselines(dataset, folds)[1].predictions[0, first.held]
    assert not linear[:, 2].any()
    np.testing.assert_allclose(linear.sum(axis=1), 1.0, rtol=1e-6)


def test_held_out_rows_never_touch_their_own_model() -> None:
    frame, target = demo("wine")
    dataset = from_frame(frame, target)
    folds = folds_of(dataset, n_splits=1, n_repeats=1)
    (member,) = folds.members()
    row, others = member.held[0], member.held[1:]
    numbers, y = dataset.table.numbers.copy(), dataset.y.copy()
    numbers[row], y[row] = 1e6, y[row][::-1]
    changed = replace(dataset, table=replace(dataset.table, numbers=numbers), y=y)
    for before, after in zip(baselines(dataset, folds), baselines(changed, folds), strict=True):
        assert before.predictions[0, others].tobytes() == after.predictions[0, others].tobytes()
