"""Groups: persons and batches are named; ordinary features are not."""

import numpy as np
import pandas as pd
import pytest

from search.audit import Finding, audit
from search.audit.groups import _group_means
from search.data import from_frame
from tests.search.audit.tables import alarms, clean, look

N_EACH, N_GROUPS = 12, 40


def speakers(seed: int = 0, is_shuffled: bool = False) -> pd.DataFrame:
    """Each group has its own feature values, and its own answer to them."""
    rng = np.random.default_rng(seed)
    group = np.repeat(np.arange(N_GROUPS), N_EACH)
    voice = rng.normal(size=(N_GROUPS, 4))[group] + 0.2 * rng.normal(size=(group.size, 4))
    y = rng.normal(size=N_GROUPS)[group] + 0.5 * rng.normal(size=group.size)
    frame = pd.DataFrame(voice, columns=list("abcd")).assign(speaker=group * 37 % 4001, y=y)
    return frame.sample(frac=1, random_state=seed) if is_shuffled else frame


def groups(frame: pd.DataFrame) -> list[Finding]:
    return [f for f in look(frame) if f.leak == "groups"]


@pytest.mark.parametrize("is_shuffled", [False, True])
@pytest.mark.parametrize("is_text", [False, True])
def test_groups_that_other_columns_tell_apart(is_shuffled: bool, is_text: bool) -> None:
    frame = speakers(is_shuffled=is_shuffled).rename(columns={"speaker": "Speaker Number"})
    if is_text:
        frame["Speaker Number"] = frame["Speaker Number"].map(lambda v: f"S{v}")
    (finding,) = groups(frame)
    assert (finding.severity, finding.columns) == ("warning", ("Speaker Number",))
    assert '--groups "Speaker Number"' in finding.remedy
    assert ("in runs" in finding.evidence) is not is_shuffled


def test_groups_in_runs_that_only_their_own_column_tells_apart() -> None:
    frame = clean(n=480)
    group = np.repeat(np.arange(40), 12)
    effects = np.random.default_rng(100).normal(0, 2, 40)
    frame = frame.assign(patient=(group * 37) % 4001, y=frame["y"] + effects[group])
    assert [f.columns for f in groups(frame)] == [("patient",)]


def test_a_number_with_a_smooth_effect_is_no_group_though_sorted() -> None:
    rng = np.random.default_rng(0)
    year = np.sort(rng.integers(60, 85, 600))
    frame = pd.DataFrame({"year": year, "a": rng.normal(size=600), "b": rng.normal(size=600)})
    assert groups(frame.assign(y=0.1 * year + frame["a"] + 0.3 * rng.normal(size=600))) == []


def test_nothing_to_suggest_when_groups_are_given() -> None:
    frame = speakers()
    dataset = from_frame(frame.assign(again=frame["speaker"]), "y", groups="speaker")
    found = audit(dataset, frame=frame.assign(again=frame["speaker"]), rng=np.random.default_rng(0))
    assert [f for f in found if f.leak == "groups"] == []


def test_large_tables_are_sampled_by_group() -> None:
    rng = np.random.default_rng(0)
    group = np.repeat(np.arange(3000), 4)
    voice = rng.normal(size=(3000, 3))[group] + 0.1 * rng.normal(size=(group.size, 3))
    y = rng.normal(size=3000)[group] + 0.3 * rng.normal(size=group.size)
    frame = pd.DataFrame(voice, columns=list("abc")).assign(p=rng.permutation(3000)[group], y=y)
    assert alarms(look(frame)) == [("groups", ("p",))]


def test_group_means_are_shrunk_and_left_out() -> None:
    rng = np.random.default_rng(0)
    group = np.repeat(np.arange(10), 20)
    effect = rng.normal(0, 2, 10)
    y = (effect[group] + 0.1 * rng.normal(size=200))[:, None]
    folds = np.tile(np.arange(5), 40)
    means = _group_means(y, group, folds)
    np.testing.assert_allclose(means[0][:, 0], effect[group] - effect.mean(), atol=0.1)
    changed = y.copy()
    changed[folds == 2] += 100.0
    np.testing.assert_array_equal(_group_means(changed, group, folds)[2], means[2])
    whole = _group_means(y, group, group % 5)
    assert (whole[3][group == 3] == 0).all() and (whole[3][group == 4] != 0).all()
