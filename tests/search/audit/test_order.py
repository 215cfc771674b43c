"""Time: sorted dates and growing errors ask for time order; dates as such do not."""

import numpy as np
import pandas as pd
import pytest

from search.audit import Finding
from search.data import from_frame
from tests.search.audit.tables import clean, look


def times(frame: pd.DataFrame) -> list[Finding]:
    return [f for f in look(frame) if f.leak == "time order"]


def trend(n: int) -> "np.ndarray[tuple[int], np.dtype[np.float64]]":
    return np.linspace(0, 6, n)


@pytest.mark.parametrize("form", ["%Y-%m-%d", "%d.%m.%Y", "%b %d %Y", None])
def test_sorted_dates_ask_for_time_order(form: str | None) -> None:
    frame = clean(n=300)
    days = pd.date_range("2001-01-22", periods=300)
    (finding,) = times(frame.assign(date=days if form is None else days.strftime(form)))
    assert (finding.severity, finding.columns) == ("warning", ("date",))
    assert "--time-column date" in finding.remedy


def test_growing_error_asks_for_time_order() -> None:
    frame = clean(n=600)
    days = pd.Series(pd.date_range("2001-01-22", periods=600).strftime("%Y-%m-%d"))
    frame = frame.assign(date=days, y=frame["y"] + trend(600)).sample(frac=1, random_state=0)
    (finding,) = times(frame)
    assert (finding.severity, finding.columns) == ("warning", ("date",))
    assert "do not stand in its order" in finding.evidence


def test_other_dates_are_a_note() -> None:
    frame = clean()
    days = np.random.default_rng(0).permutation(pd.date_range("1950-01-01", periods=400))
    (finding,) = times(frame.assign(born=days))
    assert finding.severity == "note"


@pytest.mark.parametrize("seed", range(3))
def test_row_numbers_tell_the_time_only_when_error_grows(seed: int) -> None:
    frame = clean(seed, n=600).assign(number=np.arange(600))
    assert times(frame) == []
    (finding,) = times(frame.assign(y=frame["y"] + trend(600)))
    assert (finding.severity, finding.columns) == ("warning", ("number",))


def test_rows_sorted_by_the_target_are_not_in_time() -> None:
    frame = clean(kind="multiclass", n=600).sort_values("y").assign(number=np.arange(600))
    assert times(frame) == []


def test_nothing_to_ask_for_when_time_is_given() -> None:
    frame = clean(n=300).assign(date=pd.date_range("2001-01-22", periods=300))
    frame["other"] = frame["date"]
    from search.audit import audit

    findings = audit(from_frame(frame, "y", time="date"), frame=frame, rng=np.random.default_rng(0))
    assert [f for f in findings if f.leak == "time order"] == []


@pytest.mark.parametrize(
    "texts", [["1.2.3", "10.0.1"] * 200, ["2001", "2002"] * 200, ["on 2001-01", "x"] * 200]
)
def test_other_texts_are_no_dates(texts: list[str]) -> None:
    texts = [f"{t}{i % 40}" for i, t in enumerate(texts)]
    assert times(clean().assign(text=np.array(texts, object))) == []
