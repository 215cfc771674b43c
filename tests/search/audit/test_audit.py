"""The audit as a whole: quiet on clean tables, and every planted leak in one table is found."""

import numpy as np
import pandas as pd
import pytest

from search.audit import AuditError, audit, columns_to_drop, findings_table
from search.data import demo, from_frame
from search.splits import seal
from tests.search.audit.tables import alarms, clean, look, parts


@pytest.mark.parametrize("kind", ["regression", "binary", "multiclass"])
def test_clean_tables_are_quiet(kind: str) -> None:
    found = []
    for seed in range(7):
        frame = clean(seed, kind)  # type: ignore[arg-type]
        dataset = from_frame(frame, "y")
        kept, held = (dataset.take(rows) for rows in seal(dataset, 0.2, np.random.default_rng(seed)))
        rng = np.random.default_rng(seed)
        found += alarms(audit(kept, frame=frame, holdout=held, needs_near_duplicates=True, rng=rng))
    assert found == []


@pytest.mark.parametrize("name", ["breast_cancer", "wine", "diabetes", "iris"])
def test_real_tables_are_quiet(name: str) -> None:
    frame, target = demo(name)
    assert alarms(audit(from_frame(frame, target), frame=frame, rng=np.random.default_rng(0))) == []


def test_all_leaks_at_once() -> None:
    rng = np.random.default_rng(0)
    frame, group = clean(n=600), np.repeat(np.arange(60), 10)
    frame["y"] += rng.normal(0, 2, 60)[group]
    frame = frame.assign(id=np.arange(600), patient=group * 37 % 4001, late=np.exp(frame["y"] / 10))
    frame["date"] = pd.date_range("2020-01-01", periods=600).strftime("%Y-%m-%d")
    is_held = np.arange(600) >= 480
    frame.loc[is_held, "x2"] += 3.0
    frame.loc[is_held, "x1"] = np.nan
    kept, held = parts(frame, is_held)
    findings = audit(kept, frame=frame, holdout=held, rng=rng)
    leaks = {leak: columns for leak, columns in alarms(findings)}
    assert set(leaks) == {"target proxy", "identifier", "time order", "groups", "drift", "missing values"}
    assert leaks["target proxy"] == ("late",) and leaks["groups"] == ("patient",)
    assert leaks["time order"] == ("date",) and "x2" in leaks["drift"] and leaks["missing values"] == ("x1",)
    assert columns_to_drop(findings) == ("id",)
    assert len(findings_table(findings)) == len(findings)


def test_the_same_seed_gives_the_same_findings() -> None:
    frame = clean().assign(date=pd.date_range("2020-01-01", periods=400))
    before = frame.copy(deep=True)
    assert look(frame, seed=1) == look(frame, seed=1)
    pd.testing.assert_frame_equal(frame, before)


def test_kept_identifiers_stay() -> None:
    frame = clean().assign(id=np.arange(400))
    findings = look(frame, keep=["id"])
    assert alarms(findings) == [] and columns_to_drop(findings) == ()


def test_small_and_odd_tables_pass() -> None:
    frame = pd.DataFrame({"a": [1.0, 2.0, np.nan, 4.0], "b": ["x", "y", "x", None], "y": [0, 1, 0, 1]})
    assert alarms(look(frame)) == []
    labels = clean(n=200).assign(y=0).drop(columns="y")
    labels["u"], labels["v"] = np.arange(200) % 2, np.arange(200) % 3 > 0
    assert alarms(audit(from_frame(labels, ["u", "v"]), rng=np.random.default_rng(0))) == []
    empty = clean(n=200).assign(nothing=np.nan, constant=1.0, words=None)
    assert alarms(look(empty)) == []
    equal = pd.DataFrame({"a": np.ones(100), "y": np.arange(100.0)})
    assert [f.leak for f in look(equal)] == ["duplicate rows"]


def test_a_holdout_of_another_table_is_refused() -> None:
    frame = clean()
    other = from_frame(frame.drop(columns="x0"), "y")
    with pytest.raises(AuditError, match="schema"):
        audit(from_frame(frame, "y"), holdout=other, rng=np.random.default_rng(0))
