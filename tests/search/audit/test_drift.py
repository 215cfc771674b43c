"""Drift and missing values: planted differences are named, random holdouts are quiet, targets stay unread."""

from dataclasses import replace

import numpy as np
import pytest

from search.audit import Finding, audit
from search.audit.drift import find_drift, find_missing
from search.data import Dataset
from tests.search.audit.tables import clean, parts

IS_HELD = np.arange(600) % 4 == 0


def found(pair: tuple[Dataset, Dataset], seed: int = 0) -> list[Finding]:
    names = tuple(c.name for c in pair[0].schema.columns)
    return [*find_drift(*pair, names, np.random.default_rng(seed)), *find_missing(*pair, names)]


def test_random_holdouts_are_quiet() -> None:
    n_alarms = sum(len(found(parts(clean(seed, n=600), IS_HELD), seed)) for seed in range(20))
    assert n_alarms <= 1


def test_a_shifted_column_is_named() -> None:
    frame = clean(n=600)
    frame.loc[IS_HELD, "x2"] *= 4.0  # a mean would not show it
    (finding,) = found(parts(frame, IS_HELD))
    assert (finding.leak, finding.severity, finding.columns) == ("drift", "warning", ("x2",))
    assert "--drop x2" in finding.remedy


def test_a_new_category_is_named() -> None:
    frame = clean(n=600)
    frame.loc[IS_HELD & (np.arange(600) % 3 > 0), "colour"] = "violet"
    assert [f.columns for f in found(parts(frame, IS_HELD))] == [("colour",)]


def test_drift_of_a_holdout_that_follows_in_time_is_a_note() -> None:
    frame = clean(n=600).assign(t=np.arange(600), x0=np.arange(600) / 100.0)
    findings = found(parts(frame, np.arange(600) >= 450, time="t"))
    assert [(f.leak, f.severity) for f in findings] == [("drift", "note")]


def test_missing_values_are_named() -> None:
    frame = clean(n=600)
    frame.loc[IS_HELD, "x1"] = np.nan
    findings = found(parts(frame, IS_HELD))
    missing = next(f for f in findings if f.leak == "missing values")
    assert missing.severity == "warning" and missing.columns == ("x1",)
    assert "and 100%" in missing.evidence


@pytest.mark.parametrize("seed", range(3))
def test_groups_count_once(seed: int) -> None:
    rng = np.random.default_rng(seed)
    group = np.repeat(np.arange(30), 20)
    frame = clean(seed, n=600).assign(g=group, x0=rng.normal(size=30)[group], age=rng.normal(size=30)[group])
    frame.loc[rng.random(30)[group] < 0.3, "x1"] = np.nan
    assert found(parts(frame, group % 4 == 0, groups="g"), seed) == []


def test_the_targets_of_the_holdout_are_not_read() -> None:
    kept, held = parts(clean(n=600), IS_HELD)
    blind = replace(held, y=np.full_like(held.y, np.nan))
    one, two = (audit(kept, holdout=h, rng=np.random.default_rng(0)) for h in (held, blind))
    assert one == two
