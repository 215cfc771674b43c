"""Before the first trial: sealed rows reach nothing, the audit is heeded, purposes have own seeds."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from search.config import ConfigError, StudyConfig, check
from search.preparation import (
    PURPOSES,
    LeakError,
    Seeds,
    families_of,
    findings_of,
    has_networks,
    prepare,
    read_dataset,
)
from spaces.families import FAMILIES

N_ROWS = 100


def _frame(n_rows: int = N_ROWS) -> pd.DataFrame:
    rng = np.random.default_rng(0)
    x, z = rng.normal(size=(2, n_rows))
    y = np.where(x + z + rng.normal(size=n_rows) > 0, "yes", "no").astype(object)
    city = rng.choice(["Bonn", "Köln"], n_rows).astype(object)
    return pd.DataFrame({"nr": np.arange(n_rows) + 1000, "x": x, "z": z, "city": city, "y": y})


def _config(folder: Path, frame: pd.DataFrame, **changes: Any) -> StudyConfig:
    path = folder / "table.csv"
    frame.to_csv(path, index=False)
    return check({"data": str(path), "target": "y", "splits": 3, "repeats": 1, "audit": False, **changes})


def test_development_and_sealed_are_the_rows_that_have_a_target(tmp_path: Path) -> None:
    frame = _frame()
    frame.loc[[3, 50, 77], "y"] = None
    prepared = prepare(_config(tmp_path, frame, holdout=0.2))
    together = np.concatenate([prepared.development, prepared.sealed])
    assert sorted(together) == [i for i in range(N_ROWS) if i not in (3, 50, 77)]
    assert len(prepared.sealed) == pytest.approx(0.2 * 97, abs=2)
    assert prepared.dataset.n_rows == len(prepared.development) == prepared.folds.n_rows
    assert prepared.dataset.n_dropped == 3
    place = [column.name for column in prepared.dataset.schema.numbers].index("x")
    read = prepared.dataset.table.numbers[:, place]
    assert read == pytest.approx(frame["x"].to_numpy()[prepared.development], rel=1e-6)


@pytest.mark.parametrize(
    ("asked", "metric", "is_stratified"),
    [(None, "log_loss", False), (None, "auc", True), (True, "log_loss", True), (False, "auc", False)],
)
def test_folds_keep_class_shares_only_where_it_flatters_no_score(
    tmp_path: Path, asked: bool | None, metric: str, is_stratified: bool
) -> None:
    prepared = prepare(_config(tmp_path, _frame(), metric=metric, stratify=asked))
    n_yes = [prepared.dataset.y[member.held].sum() for member in prepared.folds.members()]
    assert bool(max(n_yes) - min(n_yes) <= 1) is is_stratified
    assert ("not stratified" in prepared.folds.reason) is not is_stratified


def test_weights_are_read_and_are_no_feature(tmp_path: Path) -> None:
    prepared = prepare(_config(tmp_path, _frame().assign(w=np.arange(N_ROWS) % 4), weights="w", holdout=0.2))
    dataset = prepared.dataset
    assert "w" not in [column.name for column in dataset.schema.columns]
    assert sorted([*prepared.development, *prepared.sealed]) == [i for i in range(N_ROWS) if i % 4]
    assert dataset.row_weights is not None and dataset.row_weights.mean() == pytest.approx(1.0)
    ratio = dataset.row_weights / (prepared.development % 4)
    assert np.allclose(ratio, ratio[0])


def test_families_are_known_installed_and_named_once(monkeypatch: pytest.MonkeyPatch) -> None:
    assert families_of(check({"families": ["linear", "mlp", "linear"]})) == ("linear", "mlp")
    assert families_of(check({"families": "all"})) == tuple(
        f.name for f in FAMILIES.values() if f.is_installed
    )
    assert has_networks(check({"families": ["linear", "tabm"]}))
    assert not has_networks(check({"families": ["linear", "boosting"]}))
    with pytest.raises(ConfigError, match=r"families must be all, or some of mlp, .*, got 'forest'"):
        families_of(check({"families": ["linear", "forest"]}))
    monkeypatch.setattr("spaces.families.find_spec", lambda name: None)
    with pytest.raises(ConfigError, match="'catboost' needs the package catboost: pip install catboost"):
        families_of(check({"families": ["catboost"]}))
    assert "catboost" not in families_of(check({"families": "all"}))


def test_sealed_rows_reach_nothing(tmp_path: Path) -> None:
    """Whatever stands in the sealed rows, all that the study gets stays the same, bit for bit."""
    first = prepare(_config(tmp_path, _frame(), holdout=0.2, audit=True))
    changed = _frame()
    changed.loc[first.sealed, "city"] = "Atlantis"
    changed.loc[first.sealed, "x"] = 1e6
    changed.loc[first.sealed[:3], "z"] = np.nan
    second = prepare(_config(tmp_path, changed, holdout=0.2, audit=True))
    assert np.array_equal(first.sealed, second.sealed)
    (city,) = second.dataset.schema.categories
    assert city.categories == ("Bonn", "Köln")
    assert not any(column.may_be_missing for column in second.dataset.schema.columns)
    assert first.dataset.fingerprint == second.dataset.fingerprint
    assert first.folds.fingerprint == second.folds.fingerprint
    assert first.space.fingerprint == second.space.fingerprint
    assert first.findings == second.findings != ()
    assert first.source != second.source
    assert read_dataset(_config(tmp_path, changed)).schema.categories[0].categories == (
        "Atlantis", "Bonn", "Köln",
    )  # fmt: skip


def test_without_a_holdout_nothing_is_sealed(tmp_path: Path) -> None:
    prepared = prepare(_config(tmp_path, _frame()))
    assert len(prepared.sealed) == 0 and np.array_equal(prepared.development, np.arange(N_ROWS))
    assert prepared.source == prepared.dataset.fingerprint


@pytest.mark.parametrize(
    ("changes", "is_in"), [({}, False), ({"keep": "nr"}, True), ({"audit": False}, True)]
)
def test_identifiers_are_left_out_unless_kept_by_name(
    tmp_path: Path, changes: dict[str, Any], is_in: bool
) -> None:
    prepared = prepare(_config(tmp_path, _frame(), **{"audit": True, **changes}))
    names = [column.name for column in prepared.dataset.schema.columns]
    assert ("nr" in names) is is_in and {"x", "z", "city"} <= set(names)
    assert prepared.signature.schema == prepared.dataset.schema
    severities = {f.severity for f in prepared.findings if "nr" in f.columns}
    assert severities == ({"note"} if "keep" in changes else set() if "audit" in changes else {"warning"})


def test_an_answer_among_the_inputs_stops_the_study(tmp_path: Path) -> None:
    frame = _frame()
    frame["copy"] = (frame["y"] == "yes").astype(int)
    with pytest.raises(LeakError, match="copy") as caught:
        prepare(_config(tmp_path, frame, audit=True))
    assert "\n" not in str(caught.value)
    prepared = prepare(_config(tmp_path, frame, audit=True, drop=["copy"]))
    assert "copy" not in [column.name for column in prepared.dataset.schema.columns]
    kept = prepare(_config(tmp_path, frame, audit=True, keep=["copy"]))
    assert {f.severity for f in kept.findings if "copy" in f.columns} == {"note"}


def test_strict_makes_a_warning_an_error(tmp_path: Path) -> None:
    with pytest.raises(LeakError, match="identifier"):
        prepare(_config(tmp_path, _frame(), audit=True, strict=True))
    prepare(_config(tmp_path, _frame(), audit=True, strict=True, keep=["nr"]))


def test_a_further_table_is_audited_without_its_targets(tmp_path: Path) -> None:
    frame, further = _frame(), _frame().drop(columns=["y", "nr"])
    config = _config(tmp_path, frame.drop(columns="nr"))
    further["x"] = further["x"] + 50.0
    further.to_csv(tmp_path / "new.csv", index=False)
    assert "drift" in {f.leak for f in findings_of(config, against=tmp_path / "new.csv")}
    assert "drift" not in {f.leak for f in findings_of(config)}


def test_each_purpose_has_seeds_of_its_own() -> None:
    numbers = [Seeds(root).number(purpose) for root in (0, 1) for purpose in PURPOSES]
    assert len(set(numbers)) == len(numbers)
    assert Seeds(5).number("splits") == Seeds(5).number("splits")


def test_old_purposes_keep_their_seeds() -> None:
    """A purpose's seed comes from its place, so new purposes stand behind the old ones."""
    expected = np.random.default_rng(np.random.SeedSequence(7, spawn_key=(3,))).integers(2**31)
    assert PURPOSES[3] == "training" and Seeds(7).number("training") == expected
