"""Rows that occur twice: counted, with their conflicts; nearly; and across the holdout."""

import numpy as np
import pandas as pd
import pytest

from search.audit import audit, duplicates, near_duplicates
from search.audit.duplicates import equal_rows, find_duplicates
from search.data import from_frame
from tests.search.audit.tables import alarms, clean, look, parts


def test_equal_rows() -> None:
    X = np.array([[1, np.nan], [0.0, 2], [1, -np.nan], [-0.0, 2], [1, 2]], np.float32)
    codes = equal_rows(X)
    assert codes[0] == codes[2] and codes[1] == codes[3] and np.unique(codes).size == 3


def test_counts() -> None:
    units = np.array([0, 1, 1, 2, 2, 2, 3])
    y = np.array([[1.0], [5], [5], [7], [8], [7], [9]])
    (finding,) = find_duplicates(units, y)
    assert finding.severity == "note"
    assert finding.evidence.startswith(
        "5 of 7 rows (71%) equal another row in all inputs (3 to spare), and 3 "
    )
    assert find_duplicates(np.arange(7), y) == ()


def test_planted_duplicates_are_found_behind_an_identifier() -> None:
    frame = clean()
    doubled = pd.concat([frame, frame.head(30).assign(y=frame["y"].head(30) + 1)])
    findings = look(doubled.assign(id=np.arange(430)))
    (finding,) = (f for f in findings if f.leak == "duplicate rows")
    assert finding.evidence.startswith("60 of 430 rows (14%)") and "and 60 of them" in finding.evidence
    assert alarms(findings) == [("identifier", ("id",))]


def near(frame: pd.DataFrame) -> "np.ndarray[tuple[int], np.dtype[np.int64]]":
    dataset = from_frame(frame, "y")
    names = tuple(c.name for c in dataset.schema.columns)
    return near_duplicates(dataset, names, np.random.default_rng(0))


@pytest.mark.parametrize("seed", range(3))
def test_near_duplicates(seed: int) -> None:
    frame = clean(seed)
    twin = frame.head(40).copy()
    twin["x0"] += 1e-6
    twin.loc[twin.index[:5], "colour"] = "violet"
    units = near(pd.concat([frame, twin]))
    assert (units[405:] == units[5:40]).all()
    assert np.unique(units).size == 405
    findings = look(pd.concat([frame, twin]), needs_near_duplicates=True)
    assert alarms(findings) == [("near duplicate rows", ())]


def test_distances_are_measured_few_at_a_time_and_stay_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    values = np.random.default_rng(0).normal(size=(600, 5))
    whole = duplicates._usual_distance(values, np.random.default_rng(1))
    monkeypatch.setattr(duplicates, "_MOST_DISTANCES", 2_000)  # 3 rows against 600
    again = duplicates._usual_distance(values, np.random.default_rng(1))
    assert again == pytest.approx(whole, rel=1e-9)
    by_hand = np.sqrt(((values[:, None] - values) ** 2).sum(axis=2))
    np.fill_diagonal(by_hand, np.inf)
    chosen = np.random.default_rng(1).choice(600, 500, replace=False)
    assert whole == pytest.approx(np.median(by_hand[chosen].min(axis=1)), rel=1e-6)


def test_near_duplicates_that_folds_keep_together_are_a_note() -> None:
    from dataclasses import replace

    frame = clean()
    frame = pd.concat([frame, frame.head(40).assign(x0=frame["x0"].head(40) + 1e-6)])
    dataset = replace(from_frame(frame, "y"), duplicates=near(frame))
    findings = audit(dataset, needs_near_duplicates=True, rng=np.random.default_rng(0))
    assert [(f.leak, f.severity) for f in findings] == [("near duplicate rows", "note")]


def test_near_duplicates_of_odd_tables() -> None:
    y = np.arange(6.0)
    assert np.unique(near(pd.DataFrame({"a": list("abcabc"), "y": y}))).size == 3
    assert np.unique(near(pd.DataFrame({"a": [1.0] * 6, "b": [np.nan] * 6, "y": y}))).size == 1
    assert np.unique(near(pd.DataFrame({"a": [1, 2, 3, 1 + 1e-7, 5, np.nan], "y": y}))).size == 5


def test_rows_of_the_holdout() -> None:
    frame = clean()
    both = pd.concat([frame, frame.head(20)])
    kept, held = parts(both, np.arange(420) >= 380)
    (finding,) = (f for f in audit(kept, holdout=held, rng=np.random.default_rng(0)) if "holdout" in f.leak)
    assert finding.severity == "warning" and finding.evidence.startswith("20 of 40 holdout rows (50%)")


def test_coincidences_with_the_holdout_are_a_note() -> None:
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({c: rng.integers(0, 3, 600) + 0.5 for c in "abcde"}).assign(y=rng.normal(size=600))
    kept, held = parts(frame, np.arange(600) >= 500)
    found = [f for f in audit(kept, holdout=held, rng=rng) if f.leak == "rows in the holdout"]
    assert [f.severity for f in found] == ["note"]
