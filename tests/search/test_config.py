"""Flags win over TOML; what breaks a rule is refused in one line."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from search.config import PRESETS, ConfigError, StudyConfig, check, load, nearest, seconds, to_toml


def write(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("90s", 90),
        ("10m", 600),
        ("1h30m", 5400),
        ("2h", 7200),
        ("1d", 86400),
        ("1.5m", 90),
        ("45", 45),
        (12, 12),
        (0.5, 0.5),
        ("1H 30M".replace(" ", ""), 5400),
    ],
)
def test_durations(text: str | float, expected: float) -> None:
    assert seconds(text) == expected


@pytest.mark.parametrize(
    "text", ["", "m", "10x", "30m1h", "-5s", "0s", 0, -1, True, "1h 30m x", float("inf"), None]
)
def test_durations_refused(text: object) -> None:
    with pytest.raises(ConfigError):
        seconds(text)


@given(hours=st.integers(0, 99), minutes=st.integers(0, 59), rest=st.integers(1, 59))
def test_durations_add(hours: int, minutes: int, rest: int) -> None:
    assert seconds(f"{hours}h{minutes}m{rest}s") == 3600 * hours + 60 * minutes + rest


def test_without_anything_it_is_the_demo() -> None:
    assert load().demo == "breast_cancer"
    assert load() == load(None, {"trials": None})


@pytest.mark.parametrize("preset", PRESETS)
def test_a_preset_sets_what_is_not_told_and_a_stored_configuration_stays(preset: str, tmp_path: Path) -> None:
    config = check({"preset": preset})
    assert {name: getattr(config, name) for name in PRESETS[preset]} == PRESETS[preset]
    told = check({"preset": preset, "trials": 3, "families": "mlp"})
    assert (told.trials, told.families, told.epochs) == (3, ("mlp",), PRESETS[preset]["epochs"])
    assert load(write(tmp_path / "c.toml", to_toml(told)), {"demo": "wine"}) == told.model_copy(
        update={"demo": "wine"}
    )


def test_the_usual_preset_is_good() -> None:
    assert check({}) == check({"preset": "good"}) != check({"preset": "fast"})


def test_flags_win_over_toml(tmp_path: Path) -> None:
    path = write(
        tmp_path / "c.toml", 'data = "a.csv"\ntarget = "y"\ntrials = 5\ntime = "10m"\n[space]\ndepth = 3\n'
    )
    config = load(path, {"trials": 7, "seed": None, "target": ["y", "z"]})
    assert (config.trials, config.time, config.target, config.space) == (7, 600.0, ("y", "z"), {"depth": 3})


def test_a_flag_for_the_data_replaces_the_data_of_the_file(tmp_path: Path) -> None:
    table = write(tmp_path / "t.toml", 'data = "a.csv"\ntarget = "y"\n')
    demo = write(tmp_path / "d.toml", 'demo = "wine"\n')
    assert load(table, {"demo": "iris"}).data is None
    assert load(demo, {"data": "b.csv", "target": "y"}).demo is None


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"trails": 5}, "'trials'"),
        ({"time-column": "t"}, "'time_column'"),
        ({"sampler": "tpee"}, "sampler must be 'tpe'.* not 'tpee'"),
        ({"trials": 0}, "trials must be greater than or equal to 1, not 0"),
        ({"trials": "5"}, "trials must be a valid integer, not '5'"),
        ({"trials": True}, "trials must be"),
        ({"holdout": 1.0}, "holdout must be less than 1"),
        ({"time": "soon"}, "time: a duration .* 'soon'"),
        ({"families": []}, "families"),
        ({"target": [""]}, "target"),
        ({"demo": "iriss"}, "demo must be"),
        ({"space": 3}, "space must be"),
    ],
)
def test_rules(values: dict, said: str) -> None:
    with pytest.raises(ConfigError, match=said) as caught:
        check(values)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        ({"data": "a.csv"}, "--target"),
        ({"target": "y"}, "no DATA"),
        ({"data": "a.csv", "target": "y", "demo": "iris"}, "exclude"),
        ({"demo": "iris", "target": "y"}, "own target"),
    ],
)
def test_what_belongs_together(flags: dict, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        load(None, flags)


@pytest.mark.parametrize("text", ["trials = ", "trials = 5\ntrials = 6\n"])
def test_broken_files_are_named_in_one_line(tmp_path: Path, text: str) -> None:
    with pytest.raises(ConfigError, match=r"c\.toml.*is not TOML") as caught:
        load(write(tmp_path / "c.toml", text))
    assert "\n" not in str(caught.value)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read"):
        load(tmp_path / "none.toml")


def test_nearest_always_names_a_key() -> None:
    assert nearest("zzz") in StudyConfig.model_fields
    assert nearest("patients") == "patience"


def test_the_effective_configuration_gives_itself_back(tmp_path: Path) -> None:
    space = {"depth": 3, "dropout": {"low": 0.0, "high": 0.3}, "width": [32, 64], "l2": "off", "x y": 1e-5}
    config = load(
        None, {"data": "ä b.csv", "target": ["y", "z"], "time": "90s", "space": space, "drop": "id"}
    )
    assert load(write(tmp_path / "config.toml", to_toml(config))) == config
