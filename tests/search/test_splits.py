"""Splits: laws over many shapes of tables, and the errors with their remedies."""

from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from search.splits import Folds, SplitError, make_folds, seal
from spaces.task import Task


@dataclass(frozen=True)
class Rows:
    """Just what a split looks at."""

    y: np.ndarray
    task: Task
    groups: np.ndarray | None
    time: np.ndarray | None
    duplicates: np.ndarray


def rows_of(
    n: int,
    *,
    n_classes: int = 0,
    groups: object = None,
    time: object = None,
    duplicates: object = None,
    seed: int = 0,
) -> Rows:
    """Return rows of a regression (0 classes), binary (2) or multiclass task."""
    rng = np.random.default_rng(seed)
    codes = rng.permutation(np.arange(n) % max(n_classes, 1))
    if n_classes == 0:
        y, task = rng.normal(size=(n, 1)), Task("regression", ("y",))
    elif n_classes == 2:
        y, task = codes[:, None].astype(float), Task("binary", ("y",), ("no", "yes"))
    else:
        y, task = np.eye(n_classes)[codes], Task("multiclass", ("y",), tuple(range(n_classes)))
    as_array = [None if a is None else np.asarray(a) for a in (groups, time, duplicates)]
    return Rows(y, task, as_array[0], as_array[1], np.arange(n) if as_array[2] is None else as_array[2])


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


@st.composite
def tables(draw: st.DrawFn) -> Rows:
    """Draw tables with any mix of classes, groups and duplicates."""
    n = draw(st.integers(12, 80))
    seed = draw(st.integers(0, 1000))
    random = np.random.default_rng(seed)
    groups = random.integers(0, draw(st.integers(6, 40)), n) if draw(st.booleans()) else None
    duplicates = random.integers(0, draw(st.integers(n // 2, 4 * n)), n) if draw(st.booleans()) else None
    return rows_of(
        n, n_classes=draw(st.sampled_from([0, 2, 3])), groups=groups, duplicates=duplicates, seed=seed
    )


def check_members(rows: Rows, folds: Folds) -> None:
    """Check what every member must keep."""
    for member in folds.members():
        assert member.train.size
        assert member.held.size
        assert (np.diff(member.train) > 0).all()
        assert (np.diff(member.held) > 0).all()
        for key in (np.arange(len(rows.y)), rows.duplicates, rows.groups):
            if key is not None:
                assert not np.intersect1d(key[member.train], key[member.held]).size


def test_one_repeat_where_time_is_short_unless_asked_for() -> None:
    rows = rows_of(300)
    hurried = make_folds(rows, is_hurried=True, rng=rng())
    assert (hurried.n_splits, hurried.n_repeats) == (5, 1) and hurried.reason.endswith("and time is short.")
    assert make_folds(rows, n_repeats=2, is_hurried=True, rng=rng()).n_repeats == 2


def test_random_folds_do_not_keep_class_shares_but_every_member_sees_every_class() -> None:
    rows = rows_of(300, n_classes=2)
    stratified = make_folds(rows, n_splits=5, n_repeats=3, rng=rng())
    free = make_folds(rows, n_splits=5, n_repeats=3, is_stratified=False, rng=rng())
    spreads = [np.std([rows.y[m.held].mean() for m in folds.members()]) for folds in (stratified, free)]
    assert spreads[0] < 0.01 < 0.03 < spreads[1]
    assert "not stratified" in free.reason
    rare = rows_of(40, n_classes=8)
    for seed in range(20):
        check_members(rare, make_folds(rare, n_splits=2, n_repeats=1, is_stratified=False, rng=rng(seed)))
        for member in make_folds(rare, n_splits=2, n_repeats=1, is_stratified=False, rng=rng(seed)).members():
            assert rare.y[member.train].any(axis=0).all()


def test_two_large_groups_leave_no_side_of_a_holdout_empty() -> None:
    groups = np.array([1, 0, 0, 0, 1, 0, 1, 1, 1, 1, 0, 1])
    y, task = np.arange(12.0)[:, None], Task("regression", ("y",))
    rows = Rows(y, task, groups, None, np.arange(12))
    for seed in range(5):
        check_members(rows, make_folds(rows, n_splits=1, n_repeats=2, rng=rng(seed)))


@given(rows=tables(), n_splits=st.integers(1, 6), n_repeats=st.integers(1, 3), seed=st.integers(0, 99))
@settings(max_examples=200)
def test_folds_partition_the_rows(rows: Rows, n_splits: int, n_repeats: int, seed: int) -> None:
    before = [None if a is None else a.copy() for a in (rows.y, rows.groups, rows.duplicates)]
    try:
        folds = make_folds(rows, n_splits=n_splits, n_repeats=n_repeats, rng=rng(seed))
    except SplitError:
        assume(False)
    n = len(rows.y)
    assert folds.fold_of_row.shape == (n_repeats, n)
    assert folds.fold_of_row.dtype == np.int16
    assert folds.n_members == len(folds.members()) == n_repeats * n_splits
    check_members(rows, folds)
    for member in folds.members():
        assert member.train.size + member.held.size == n
    if n_splits > 1:
        for repeat in range(n_repeats):
            held = np.concatenate([m.held for m in folds.members() if m.repeat == repeat])
            assert np.array_equal(np.sort(held), np.arange(n))
    again = make_folds(rows, n_splits=n_splits, n_repeats=n_repeats, rng=rng(seed))
    assert again.fingerprint == folds.fingerprint
    for old, new in zip(before, (rows.y, rows.groups, rows.duplicates), strict=True):
        assert new is None or np.array_equal(old, new)


@given(
    n=st.integers(20, 90),
    n_splits=st.integers(2, 6),
    n_classes=st.sampled_from([0, 2, 3]),
    seed=st.integers(0, 99),
)
def test_free_rows_are_shared_out_evenly(n: int, n_splits: int, n_classes: int, seed: int) -> None:
    rows = rows_of(n, n_classes=n_classes, seed=seed)
    assume(n // max(n_classes, 1) >= n_splits)
    folds = make_folds(rows, n_splits=n_splits, n_repeats=2, rng=rng(seed))
    sizes = np.stack([np.bincount(f, minlength=n_splits) for f in folds.fold_of_row])
    assert np.ptp(sizes, axis=1).max() <= 1
    if n_classes:
        codes = rows.y.argmax(axis=1) if n_classes > 2 else rows.y[:, 0].astype(int)
        for fold_of_row in folds.fold_of_row:
            per_class = np.zeros((n_splits, n_classes))
            np.add.at(per_class, (fold_of_row, codes), 1)
            assert np.ptp(per_class, axis=0).max() <= 1


def test_groups_are_balanced_in_size_and_class() -> None:
    random = np.random.default_rng(3)
    groups = np.repeat(np.arange(60), random.integers(1, 30, 60))
    rows = rows_of(groups.size, n_classes=2, groups=groups)
    folds = make_folds(rows, n_splits=5, n_repeats=1, rng=rng())
    sizes = np.bincount(folds.fold_of_row[0]) / groups.size
    shares = np.array([rows.y[m.held].mean() for m in folds.members()])
    assert np.abs(sizes - 0.2).max() < 0.02
    assert np.abs(shares - 0.5).max() < 0.05


def test_a_large_group_is_made_up_for() -> None:
    groups = np.concatenate([np.zeros(90, int), np.arange(1, 211)])
    folds = make_folds(rows_of(300, groups=groups), n_splits=5, n_repeats=1, rng=rng())
    assert sorted(np.bincount(folds.fold_of_row[0]))[-1] == 90
    assert sorted(np.bincount(folds.fold_of_row[0]))[0] >= 52


def test_groups_and_duplicates_chain() -> None:
    groups, duplicates = np.array([0, 0, 1, 1, 2, 3, 4, 5]), np.array([0, 1, 1, 2, 2, 3, 4, 5])
    rows = rows_of(8, groups=groups, duplicates=duplicates)
    folds = make_folds(rows, n_splits=3, n_repeats=1, rng=rng())
    assert len(set(folds.fold_of_row[0, :5])) == 1


def test_multilabel_spreads_rare_labels() -> None:
    y = (np.random.default_rng(0).random((200, 3)) < (0.05, 0.3, 0.6)).astype(float)
    rows = Rows(y, Task("multilabel", ("a", "b", "c")), None, None, np.arange(200))
    folds = make_folds(rows, n_splits=5, n_repeats=1, rng=rng())
    rare = [y[m.held, 0].sum() for m in folds.members()]
    assert max(rare) - min(rare) <= 1


@pytest.mark.parametrize("n_classes", [0, 2])
def test_repeats_differ(n_classes: int) -> None:
    folds = make_folds(rows_of(12, n_classes=n_classes), n_splits=3, n_repeats=8, rng=rng())
    pairs = {(f[:, None] == f).tobytes() for f in folds.fold_of_row}
    assert len(pairs) == 8


@given(
    moments=st.lists(st.integers(0, 40), min_size=30, max_size=90),
    n_splits=st.integers(1, 5),
    has_duplicates=st.booleans(),
    seed=st.integers(0, 99),
)
@settings(max_examples=150)
def test_time_trains_strictly_before(moments: list, n_splits: int, has_duplicates: bool, seed: int) -> None:
    n, time = len(moments), np.array(moments)
    duplicates = np.random.default_rng(seed).integers(0, 3 * n, n) if has_duplicates else None
    rows = rows_of(n, time=time, duplicates=duplicates)
    try:
        folds = make_folds(rows, n_splits=n_splits, n_repeats=None, rng=rng(seed))
    except SplitError:
        assume(False)
    check_members(rows, folds)
    assert (folds.kind, folds.n_repeats) == ("time", 1)
    newest = -1
    for member in folds.members():
        assert time[member.train].max() < time[member.held].min()
        assert time[member.held].min() > newest
        newest = time[member.held].max()
    held = np.concatenate([m.held for m in folds.members()])
    assert np.unique(held).size == held.size
    if not has_duplicates:
        first = folds.members()[0]
        assert np.array_equal(np.sort(np.concatenate([first.train, held])), np.arange(n))


def test_time_blocks_are_about_equal() -> None:
    time = np.random.default_rng(0).permutation(600) / 7
    folds = make_folds(rows_of(600, time=time), n_splits=5, n_repeats=None, rng=rng())
    assert [m.held.size for m in folds.members()] == [100] * 5
    assert [m.train.size for m in folds.members()] == [100, 200, 300, 400, 500]


@pytest.mark.parametrize(
    ("n", "has_time", "kind", "n_splits", "n_repeats", "words"),
    [
        (500, False, "kfold", 5, 3, "5 folds x 3 repeats, stratified: 500 rows are fewer than 2,000."),
        (3000, False, "kfold", 5, 1, "5 folds x 1 repeat, stratified: 3,000 rows are fewer than 50,000."),
        (60_000, False, "holdout", 1, 1, "one holdout of 20%, stratified: 60,000 rows are at least 50,000."),
        (500, True, "time", 5, 1, "5 expanding windows in time: 500 rows are fewer than 2,000."),
        (60_000, True, "time", 1, 1, "the last 20% in time held out: 60,000 rows are at least 50,000."),
    ],
)
def test_defaults(n: int, has_time: bool, kind: str, n_splits: int, n_repeats: int, words: str) -> None:
    rows = rows_of(n, n_classes=2, time=np.arange(n) if has_time else None)
    folds = make_folds(rows, n_splits=None, n_repeats=None, rng=rng())
    assert (folds.kind, folds.n_splits, folds.n_repeats, folds.reason) == (kind, n_splits, n_repeats, words)
    if n_splits == 1:
        assert folds.members()[0].held.size == n // 5


def test_reason_says_what_was_asked_for() -> None:
    rows = rows_of(100, groups=np.arange(100) // 2)
    assert make_folds(rows, n_splits=4, n_repeats=2, rng=rng()).reason == (
        "4 folds x 2 repeats, groups whole (50 separate sets of rows): as asked for."
    )
    assert (
        "folds as asked for, and 100 rows" in make_folds(rows, n_splits=4, n_repeats=None, rng=rng()).reason
    )


@pytest.mark.parametrize(
    ("rows", "n_splits", "n_repeats", "message"),
    [
        (
            rows_of(9, n_classes=3),
            5,
            1,
            "class 0 has 3 rows, fewer than 5 folds: use --splits 3, or merge or drop",
        ),
        (rows_of(3, n_classes=2), 5, 1, "the table has 3 rows, fewer than 5 folds"),
        (rows_of(3, n_classes=3), 2, 1, "class 0 has 1 row, fewer than 2 folds: merge or drop the class"),
        (rows_of(4), 5, 1, "the table has 4 rows, fewer than 5 folds"),
        (rows_of(20, groups=np.arange(20) % 3), 5, 1, "3 separate groups of rows, fewer than 5 folds"),
        (rows_of(20, n_classes=2, groups=np.arange(20) // 10), 2, 1, None),
        (rows_of(20), 0, 1, "splits must be at least 1 .*, not 0"),
        (rows_of(20), 2, 0, "repeats must be at least 1, not 0"),
        (rows_of(20, time=np.arange(20)), 2, 3, "repeats must be 1, not 3"),
        (rows_of(20, time=np.arange(20) % 3), 5, None, "at least 6 different times, not 3"),
        (rows_of(20, time=np.arange(20), groups=np.zeros(20)), 2, None, "use either groups or time"),
    ],
)
def test_errors_name_the_remedy(rows: Rows, n_splits: int, n_repeats: int, message: str | None) -> None:
    if message is None:
        check_members(rows, make_folds(rows, n_splits=n_splits, n_repeats=n_repeats, rng=rng()))
        return
    with pytest.raises(SplitError, match=message) as caught:
        make_folds(rows, n_splits=n_splits, n_repeats=n_repeats, rng=rng())
    assert "\n" not in str(caught.value)


def test_a_class_must_be_seen_before_time_goes_on() -> None:
    rows = Rows(
        (np.arange(20) > 15)[:, None] * 1.0,
        Task("binary", ("y",), (0, 1)),
        None,
        np.arange(20),
        np.arange(20),
    )
    with pytest.raises(SplitError, match="fold 0 only class 0 occurs: use fewer splits"):
        make_folds(rows, n_splits=3, n_repeats=None, rng=rng())


@pytest.mark.parametrize("n_splits", [1, 4])
def test_save_and_load(n_splits: int, tmp_path) -> None:
    rows = rows_of(40, n_classes=2, groups=np.arange(40) // 2)
    folds = make_folds(rows, n_splits=n_splits, n_repeats=2, rng=rng())
    folds.save(tmp_path / "splits.npz")
    again = Folds.load(tmp_path / "splits.npz")
    assert (again.kind, again.n_splits, again.reason) == (folds.kind, folds.n_splits, folds.reason)
    assert again.fingerprint == folds.fingerprint
    assert [p.name for p in tmp_path.iterdir()] == ["splits.npz"]
    assert Folds(folds.fold_of_row, folds.kind, n_splits, "").fingerprint != folds.fingerprint


@given(rows=tables(), fraction=st.floats(0.1, 0.5), seed=st.integers(0, 99))
def test_the_sealed_rows_share_nothing(rows: Rows, fraction: float, seed: int) -> None:
    try:
        kept, held = seal(rows, fraction, rng(seed))
    except SplitError:
        assume(False)
    assert np.array_equal(np.sort(np.concatenate([kept, held])), np.arange(len(rows.y)))
    for key in (rows.duplicates, rows.groups):
        assert key is None or not np.intersect1d(key[kept], key[held]).size


@pytest.mark.parametrize("n_classes", [0, 2, 3])
def test_the_sealed_share(n_classes: int) -> None:
    rows = rows_of(300, n_classes=n_classes)
    kept, held = seal(rows, 0.2, rng())
    assert (kept.size, held.size) == (240, 60)
    if n_classes:
        np.testing.assert_allclose(rows.y[held].mean(axis=0), rows.y.mean(axis=0), atol=1e-9)


def test_a_rare_class_stays_in_development() -> None:
    y = np.eye(3)[[0] * 50 + [1] * 49 + [2]]
    rows = Rows(y, Task("multiclass", ("y",), ("a", "b", "c")), None, None, np.arange(100))
    for seed in range(20):
        assert 99 in seal(rows, 0.4, rng(seed))[0]


def test_the_sealed_rows_are_the_last_in_time() -> None:
    time = np.random.default_rng(0).permutation(50) // 2
    duplicates = np.arange(50)
    duplicates[np.argsort(time)[0]] = duplicates[np.argsort(time)[-1]]
    kept, held = seal(rows_of(50, time=time, duplicates=duplicates), 0.2, rng())
    assert time[kept].max() < time[held].min()
    assert (kept.size, held.size) == (39, 10)


@pytest.mark.parametrize("fraction", [0.0, 1.0, -1, 2])
def test_the_sealed_share_is_checked(fraction: float) -> None:
    with pytest.raises(SplitError, match="between 0 and 1"):
        seal(rows_of(20), fraction, rng())


def test_more_models_than_anyone_wants_are_refused() -> None:
    with pytest.raises(SplitError, match="at most 10,000 models, not 5 times 1000000000"):
        make_folds(rows_of(40), n_splits=5, n_repeats=10**9, rng=np.random.default_rng(0))


def test_damaged_splits_are_named(tmp_path) -> None:
    (tmp_path / "splits.npz").write_bytes(b"garbage")
    with pytest.raises(SplitError, match="splits must be whole"):
        Folds.load(tmp_path / "splits.npz")
