"""The written configuration is read again, knows every key once, and its comments are true."""

import re
import tomllib
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from search.audit import Finding
from search.config import StudyConfig, check, load
from search.preparation import Prepared, prepare
from search.template import sections, template, words_of
from spaces.joint import space_of


@pytest.fixture
def asked(tmp_path: Path) -> StudyConfig:
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"x": rng.normal(size=60), "site": rng.integers(0, 12, 60)})
    frame["kind"] = rng.choice(["a", "b", "c"], 60)
    frame.to_csv(tmp_path / "table.csv", index=False)
    return load(
        None, {"data": str(tmp_path / "table.csv"), "target": ("kind",), "families": ("linear", "mlp")}
    )


@pytest.fixture
def prepared(asked: StudyConfig) -> Prepared:
    return prepare(asked.model_copy(update={"audit": False}))


def uncommented(text: str) -> str:
    return "\n".join(re.sub(r"^# (?=\[space|[A-Za-z_0-9]+ = )", "", line) for line in text.splitlines())


def test_it_is_read_as_what_the_table_is(asked: StudyConfig, prepared: Prepared) -> None:
    told = tomllib.loads(template(asked, prepared))
    assert told == {
        "data": asked.data, "target": "kind", "families": ["linear", "mlp"], "task": "multiclass",
        "metric": "log_loss", "splits": 5, "repeats": 3,
    }  # fmt: skip
    again = check(told)
    assert prepare(again.model_copy(update={"audit": False})).folds.fingerprint == prepared.folds.fingerprint


def test_every_key_stands_there_once_with_words(asked: StudyConfig, prepared: Prepared) -> None:
    text = template(asked, prepared)
    everything = tomllib.loads(uncommented(text))
    assert set(everything) == set(StudyConfig.model_fields)
    keys = [key for keys in sections().values() for key in keys]
    assert sorted([*keys, "space"]) == sorted(StudyConfig.model_fields)
    assert [key for key in keys if not words_of(key)] == []


def test_commented_defaults_are_the_defaults(asked: StudyConfig, prepared: Prepared) -> None:
    everything, own = (
        tomllib.loads(uncommented(template(asked, prepared))),
        tomllib.loads(template(asked, prepared)),
    )
    plain = check({"demo": "wine"}).model_dump(mode="json")
    for key, value in everything.items():
        if key not in own and key != "space" and plain[key] not in (None, [], {}):
            assert value == plain[key], key


def test_the_space_is_a_valid_override(asked: StudyConfig, prepared: Prepared) -> None:
    space = tomllib.loads(uncommented(template(asked, prepared)))["space"]
    assert set(space) == {"linear", "mlp"} and space["mlp"]["depth"]["low"] == 1
    again = space_of(("linear", "mlp"), prepared.signature, space)
    assert again.to_json() == space_of(("linear", "mlp"), prepared.signature, {}).to_json()


def test_findings_are_comments(asked: StudyConfig, prepared: Prepared) -> None:
    finding = Finding("groups", "warning", ("site",), "values\nrepeat [x]\n= 1", "give --groups site")
    text = template(asked, prepared, [finding])
    assert "# warning: groups: values repeat [x] = 1 give --groups site" in text
    assert tomllib.loads(text)["target"] == "kind"


def test_hostile_names_stay_text(tmp_path: Path) -> None:
    name = 'a"]\n[space]\nx = 1 #'
    frame = pd.DataFrame({"x": np.arange(40.0), name: np.arange(40) % 2})
    frame.to_parquet(tmp_path / "t.parquet")
    asked = load(None, {"data": str(tmp_path / "t.parquet"), "target": (name,), "families": ("linear",)})
    text = template(asked, prepare(asked.model_copy(update={"audit": False})))
    told = tomllib.loads(text)
    assert told["target"] == name and "space" not in told


def test_rows_in_time_have_no_repeats(asked: StudyConfig) -> None:
    changed = asked.model_copy(update={"time_column": "site"})
    told = tomllib.loads(template(changed, prepare(changed.model_copy(update={"audit": False}))))
    assert "repeats" not in told
