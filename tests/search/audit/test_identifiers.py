"""Identifiers: unique text, row numbers, keys; never measurements."""

import numpy as np
import pandas as pd
import pytest

from search.audit.columns import exact_numbers
from search.audit.finding import AuditError
from search.audit.identifiers import find_identifiers
from search.data import from_frame

N = 300
RNG = np.random.default_rng(0)


def found(frame: pd.DataFrame, has_frame: bool = True) -> list[str]:
    dataset = from_frame(
        frame.assign(other=np.tile([1.5, 2.0], len(frame) // 2), y=RNG.normal(size=len(frame))), "y"
    )
    numbers = exact_numbers(dataset, frame.assign(other=0.5) if has_frame else None)
    return [c for f in find_identifiers(dataset, numbers, frozenset()) for c in f.columns]


@pytest.mark.parametrize(
    "values",
    [
        np.arange(N) + 17,
        np.arange(N)[::-1] * 10.0,
        np.sort(RNG.choice(10**9, N, replace=False)),
        RNG.permutation(N),
        10**12 + 7 * RNG.permutation(2 * N)[:N],
        np.array([f"Mrs {i:x} of {i % 7}" for i in range(N)], object),
        [str(i) for i in RNG.permutation(N)],
    ],
)
def test_identifiers(values: object) -> None:
    assert found(pd.DataFrame({"v": values})) == ["v"]


@pytest.mark.parametrize(
    "values",
    [
        RNG.normal(size=N),
        np.round(np.exp(RNG.normal(9, 1, N))),
        RNG.integers(0, 10**9, N),
        np.round(RNG.normal(170, 10, N)),
        RNG.integers(0, 250, N),
        np.array([f"t{i}" for i in RNG.integers(0, 200, N)], object),
        np.sort(RNG.integers(0, 40, N)),
        np.zeros(N),
        np.full(N, np.nan),
    ],
)
def test_measurements(values: object) -> None:
    assert found(pd.DataFrame({"v": values})) == []


@pytest.mark.parametrize("name", ["id", "PassengerId", "customer_id", "Unnamed: 0"])
def test_the_name_counts_for_unique_whole_numbers_only(name: str) -> None:
    values = RNG.choice(10**9, N, replace=False)
    assert found(pd.DataFrame({name: values})) == [name]
    assert found(pd.DataFrame({name: values + 0.5})) == []
    assert found(pd.DataFrame({name: values % 200})) == []


def test_a_frame_tells_long_keys_apart() -> None:
    frame = pd.DataFrame({"key": 10**9 + RNG.permutation(N)})
    dataset = from_frame(frame.assign(low=-1e9, y=RNG.normal(size=N)), "y")
    assert exact_numbers(dataset, frame.assign(low=-1e9))["key"].tolist() == frame["key"].tolist()


def test_the_last_input_is_not_taken() -> None:
    frame = pd.DataFrame({"id": np.arange(N), "y": RNG.normal(size=N)})
    dataset = from_frame(frame, "y")
    assert find_identifiers(dataset, exact_numbers(dataset, frame), frozenset()) == ()


def test_another_frame_is_refused() -> None:
    frame = pd.DataFrame({"a": np.arange(20.0), "y": np.arange(20.0)})
    dataset = from_frame(frame, "y")
    with pytest.raises(AuditError, match="has no 'a'"):
        exact_numbers(dataset, frame.rename(columns={"a": "b"}))
    with pytest.raises(AuditError, match="it has 10 rows"):
        exact_numbers(dataset, frame.head(10))
