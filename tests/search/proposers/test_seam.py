"""The seam: outcomes, curves and seeds."""

from __future__ import annotations

import math
import subprocess
import sys

from hypothesis import given
from hypothesis import strategies as st

from search.proposers.seam import read_outcome, seed_of, thin


@given(
    st.lists(st.tuples(st.integers(0, 300), st.floats(allow_nan=True, allow_infinity=True)), max_size=60),
    st.integers(2, 8),
)
def test_thinned_curves_keep_ends_and_order(curve: list[tuple[int, float]], n_points: int) -> None:
    points = thin(curve, n_points)
    steps = [step for step, _ in points]
    finite = {step for step, value in curve if math.isfinite(value)}
    assert len(points) <= n_points
    assert steps == sorted(set(steps)) and set(steps) <= finite
    assert all(math.isfinite(value) for _, value in points)
    if finite:
        assert steps[0] == min(finite) and steps[-1] == max(finite)


def test_outcomes() -> None:
    assert read_outcome(0.5, "duplicate", ()).kind == "completed"
    assert read_outcome(None, "duplicate", ()).kind == "failed"
    assert read_outcome(math.inf, "pruned", [(1, 2.0)]).kind == "failed"
    pruned = read_outcome(None, "pruned", [(1, 2.0), (2, 1.5)])
    assert (pruned.kind, pruned.loss) == ("pruned", 1.5)


@given(st.integers(0, 2**63), st.lists(st.integers(0, 2**31), max_size=2))
def test_seeds_are_positive_and_small(seed: int, purpose: list[int]) -> None:
    assert 1 <= seed_of(seed, *purpose) < 2**31
    assert seed_of(seed, *purpose) == seed_of(seed, *purpose)


def test_seeds_differ() -> None:
    assert len({seed_of(seed, n) for seed in range(30) for n in range(30)}) == 900


def test_importing_the_seam_imports_no_library() -> None:
    code = (
        "import sys, search.proposers; "
        "loaded = {'optuna', 'keras_tuner', 'tensorflow', 'scipy'} & set(sys.modules); "
        "assert not loaded, loaded"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
