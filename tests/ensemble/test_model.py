import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from ensemble import Ensemble
from ensemble.evaluation import CHUNK_ROWS
from spaces.families import FAMILIES
from spaces.schema import Schema, SchemaError
from spaces.signature import Signature
from tests.ensemble.models import TASKS, candidate, ensemble, frame, one_by_one, plain_model

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def made():
    return ensemble("binary")


@pytest.mark.parametrize("kind", TASKS)
def test_predicts_the_weighted_mean_of_its_members(kind):
    ours, rows = ensemble(kind), frame(40, seed=1)
    raw = ours.predict_raw(rows)
    assert raw.dtype == np.float64
    np.testing.assert_allclose(raw, one_by_one(ours, rows), rtol=2e-6, atol=2e-6)
    assert np.ptp(raw, axis=0).min() > 1e-3  # rows differ, so the comparison says something


def test_an_ensemble_of_one_is_that_one(made):
    rows = frame(20, seed=2)
    task, schema = made.task, made.schema
    model = plain_model(schema, task)
    one = candidate(model, task, trial=1, weight=1.0, n_members=1)
    model.set_weights([array[0] for array in one.weights])
    table = schema.read(rows)
    expected = np.asarray(model([table.numbers, table.codes], training=False))
    np.testing.assert_allclose(Ensemble(schema, task, [one]).predict_raw(rows), expected, atol=1e-6)


def test_what_predict_returns():
    rows = frame(30)
    binary = ensemble("binary")
    proba = binary.predict_proba(rows)
    assert proba.shape == (30, 2)
    np.testing.assert_allclose(proba.sum(axis=1), 1)
    np.testing.assert_array_equal(binary.predict(rows), np.where(proba[:, 1] > 0.5, "yes", "no"))
    classes = ensemble("multiclass")
    proba = classes.predict_proba(rows)
    np.testing.assert_allclose(proba.sum(axis=1), 1, atol=1e-6)
    np.testing.assert_array_equal(classes.predict(rows), np.array(["a", "b", "c"])[proba.argmax(axis=1)])
    labels = ensemble("multilabel")
    np.testing.assert_array_equal(labels.predict(rows), labels.predict_proba(rows) > 0.5)
    values = ensemble("regression")
    np.testing.assert_array_equal(values.predict(rows), values.predict_raw(rows))
    with pytest.raises(ValueError, match="got regression: use predict"):
        values.predict_proba(rows)


def test_columns_in_another_order_and_further_ones(made):
    rows = frame(20)
    other = rows[["colour", "age", "Größe"]].assign(extra="ignored")
    np.testing.assert_array_equal(made.predict_raw(other), made.predict_raw(rows))


def test_a_missing_column_is_named(made):
    with pytest.raises(SchemaError, match="Größe"):
        made.predict(frame(20).drop(columns="Größe"))


def test_new_and_missing_categories(made):
    rows = frame(20)
    unseen = made.predict_raw(rows.assign(colour="never seen"))
    assert np.isfinite(unseen).all()
    np.testing.assert_array_equal(unseen, made.predict_raw(rows.assign(colour="another one")))
    assert np.isfinite(made.predict_raw(rows.assign(colour=None))).all()


def test_an_array_has_the_columns_of_the_schema(made):
    rows = frame(20)
    np.testing.assert_array_equal(made.predict_raw(rows.to_numpy(dtype=object)), made.predict_raw(rows))
    with pytest.raises(ValueError, match=r"\(n_rows, 3\), got shape \(20, 2\)"):
        made.predict(np.zeros((20, 2)))
    numbers = ensemble("regression", frame()[["age", "Größe"]])
    only_numbers = rows[["age", "Größe"]]
    np.testing.assert_array_equal(
        numbers.predict_raw(only_numbers.to_numpy()), numbers.predict_raw(only_numbers)
    )


def test_any_number_of_rows(made):
    rows = pd.concat([frame(50)] * (CHUNK_ROWS // 50 + 2), ignore_index=True)
    assert len(rows) > CHUNK_ROWS
    np.testing.assert_allclose(made.predict_raw(rows)[:50], made.predict_raw(frame(50)), atol=1e-6)
    np.testing.assert_allclose(made.predict_raw(rows)[-50:], made.predict_raw(frame(50)), atol=1e-6)
    assert made.predict_raw(rows[:0]).shape == (0, 1)
    assert made.predict(rows[:1]).shape == (1,)


@pytest.mark.parametrize("kind", TASKS)
def test_loading_what_was_saved_predicts_the_same(kind, tmp_path):
    ours, rows = ensemble(kind), frame(40, seed=3)
    ours.save(tmp_path / "saved")
    loaded = Ensemble.load(tmp_path / "saved")
    assert (loaded.schema, loaded.task, loaded.metadata) == (ours.schema, ours.task, ours.metadata)
    np.testing.assert_allclose(loaded.predict_raw(rows), ours.predict_raw(rows), rtol=0, atol=1e-6)


def test_a_new_process_predicts_the_same(made, tmp_path):
    rows = frame(40, seed=3).assign(colour=["red", "unseen"] * 20)
    made.save(tmp_path / "saved")
    rows.to_json(tmp_path / "rows.json", double_precision=15)
    program = (
        "import sys, numpy, pandas; from ensemble import Ensemble; folder = sys.argv[1];"
        "rows = pandas.read_json(folder + '/rows.json');"
        "numpy.save(folder + '/out.npy', Ensemble.load(folder + '/saved').predict_raw(rows))"
    )
    subprocess.run([sys.executable, "-c", program, str(tmp_path)], cwd=ROOT, check=True, timeout=120)
    np.testing.assert_allclose(np.load(tmp_path / "out.npy"), made.predict_raw(rows), rtol=0, atol=1e-6)


def test_importing_brings_no_tensorflow(made, tmp_path):
    made.save(tmp_path / "saved")
    program = (
        "import sys, ensemble; [getattr(ensemble, name) for name in ensemble.__all__];"
        "ensemble.Ensemble.load(sys.argv[1]);"
        "assert not {'tensorflow', 'keras', 'pandas'} & set(sys.modules), 'heavy import'"
    )
    subprocess.run([sys.executable, "-c", program, str(tmp_path / "saved")], cwd=ROOT, check=True, timeout=60)


def test_members_that_cannot_be_batched_run_one_by_one(made, monkeypatch):
    import tensorflow as tf

    rows = frame(30)
    expected = made.predict_raw(rows)

    def refuse(*_):
        raise ValueError("no batched version of this layer")

    monkeypatch.setattr(tf, "vectorized_map", refuse)
    looped = Ensemble(made.schema, made.task, made.candidates)
    np.testing.assert_allclose(looped.predict_raw(rows), expected, atol=2e-6)


def test_metadata_becomes_plain(made):
    ours = Ensemble(
        made.schema, made.task, made.candidates, {"a": np.float32(2), "b": (1, np.nan), "c": np.arange(2)}
    )
    assert ours.metadata == {"a": 2.0, "b": [1, None], "c": [0, 1]}
    with pytest.raises(ValueError, match="got a object"):
        Ensemble(made.schema, made.task, made.candidates, {"a": object()})


def test_refused_at_the_door(made):
    one, two = made.candidates
    schema, task = made.schema, made.task
    for candidates, words in [
        ([], "got none"),
        ([one], r"sum to 1, got 0\.75"),
        ([one, replace(two, trial=7)], "different trials"),
    ]:
        with pytest.raises(ValueError, match=words):
            Ensemble(schema, task, candidates)
    with pytest.raises(ValueError, match=r"must be \(3, 3\)"):
        Ensemble(schema, TASKS["multiclass"], made.candidates)
    for change, words in [
        ({"trial": -1}, "got -1"),
        ({"weight": -0.1}, "not negative"),
        ({"weights": ()}, "got none"),
        ({"weights": (np.array([object()] * 3),)}, "plain numbers, got dtype object"),
        ({"target_scale": np.ones((2, 1))}, "n_members"),
    ]:
        with pytest.raises(ValueError, match=words):
            replace(one, **change)


def test_weights_of_another_model_are_refused(made):
    one = replace(made.candidates[0], weight=1.0, weights=made.candidates[1].weights)
    with pytest.raises(ValueError, match="trial 7: weights must be"):
        Ensemble(made.schema, made.task, [one]).predict(frame(5))


@pytest.mark.parametrize("kind", TASKS)
@pytest.mark.parametrize("columns", [["age", "Größe", "colour"], ["age"], ["colour"]])
def test_the_real_family(kind, columns, tmp_path):
    task = TASKS[kind]
    schema = Schema.infer(frame()[columns])
    signature = Signature(schema, task)
    rng = np.random.default_rng(0)
    config = {**FAMILIES["mlp"].space(signature).sample(rng), "dropout": 0.2, "normalization": "batch"}
    config["numbers"] = "plain"  # these columns are not standardised: the cosine of 1e4 is rounding
    model = FAMILIES["mlp"].build(config, signature)
    ours = Ensemble(schema, task, [candidate(model, task, trial=1, weight=1.0)])
    rows = frame(30, seed=4)
    raw = ours.predict_raw(rows)
    assert np.isfinite(raw).all()
    np.testing.assert_allclose(raw, one_by_one(ours, rows), rtol=1e-5, atol=1e-5)
    assert all(program.is_batched for program in ours._programs.values())
    ours.save(tmp_path / "saved")
    np.testing.assert_allclose(Ensemble.load(tmp_path / "saved").predict_raw(rows), raw, rtol=0, atol=1e-6)


def test_samples_spread_with_dropout_and_not_without(made):
    task, schema = TASKS["regression"], Schema.infer(frame()[["age", "colour"]])
    signature = Signature(schema, task)
    base = {"depth": 2, "width": 16, "activation": "relu"}
    rows = frame(6)
    for rate, is_random in ((0.4, True), (0.0, False)):
        model = FAMILIES["mlp"].build({**base, "dropout": rate}, signature)
        ours = Ensemble(schema, task, [candidate(model, task, trial=1, weight=1.0)])
        samples = ours.predict_samples(rows, 3, seed=1)
        assert samples.shape == (3, 6, task.n_outputs) and (samples.std(axis=0).max() > 1e-3) == is_random
        np.testing.assert_array_equal(samples, ours.predict_samples(rows, 3, seed=1))
    np.testing.assert_allclose(samples[0], ours.predict_raw(rows), rtol=1e-4, atol=1e-4)
    with pytest.raises(ValueError, match="at least 1, got 0"):
        ours.predict_samples(rows, 0)
