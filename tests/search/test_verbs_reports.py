"""The verbs that show: what they print, write and refuse."""

from __future__ import annotations

import io
import json
import tomllib
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import typer

from reports.entrants import CompareError
from search import run as command_line
from search import verbs_reports
from search.config import ConfigError, check
from search.doctor import Check
from search.records import RunError
from search.verbs_reports import VERBS, show_config_for, sources
from tests.reports.runs import finished


def call(*words: Any) -> int:
    """Run a verb as the command line does, but for its treatment of errors."""
    app = typer.Typer(add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)
    for name, short, verb in VERBS:
        app.command(name, short_help=short)(verb)
    app.command("show-config")(show_config_for(command_line.study))
    return int(
        app([str(word) for word in words], prog_name="python -m search.run", standalone_mode=False) or 0
    )


@pytest.fixture
def runs(tmp_path: Path) -> tuple[Path, Path]:
    good = finished(tmp_path / "good", noise=0.2, config={"sampler": "tpe"})
    bad = finished(tmp_path / "bad", noise=3.0, seed=1, config={"sampler": "random"})
    return good.path, bad.path


def test_leaderboard_sorted_cut_and_with_a_metric(
    runs: tuple[Path, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["leaderboard", runs[0], "--sort", "-score", "--top", 2, "--extra-metric", "auc"]
    assert call(*words, "--json") == 0
    rows = json.loads(capsys.readouterr().out)
    assert [row["trial"] for row in rows[4:]] == [2, 1] and 0.9 < rows[3]["auc"] <= 1.0
    assert call(*words, "--csv") == 0
    assert pd.read_csv(io.StringIO(capsys.readouterr().out)).shape == (6, 17)
    assert call(*words) == 0
    assert "auc" in capsys.readouterr().out.splitlines()[0]
    with pytest.raises(RunError, match="exclude each other"):
        call(*words, "--json", "--csv")


def test_compare_prints_words_and_tables(runs: tuple[Path, Path], capsys: pytest.CaptureFixture[str]) -> None:
    assert call("compare", *runs, "--draws", 200) == 0
    out = capsys.readouterr().out
    assert out.startswith("On table, good beats bad by") and "p holm" in out
    assert call("compare", *runs, "--draws", 200, "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert found["pairs"][0]["survives"] is True and found["runs"][0]["label"] == "tpe"
    assert call("compare", *runs, "--draws", 200, "--csv") == 0
    assert pd.read_csv(io.StringIO(capsys.readouterr().out))["of"].tolist() == ["ensemble", "winner"]


def test_compare_writes_files(
    runs: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    page, folder = tmp_path / "deep" / "page.html", tmp_path / "out"
    assert call("compare", *runs, "--draws", 200, "--html", page, "--out", folder, "--json") == 0
    shown = capsys.readouterr()
    json.loads(shown.out)
    assert str(page) in shown.err and page.read_text().startswith("<!doctype html>")
    names = {path.name for path in folder.iterdir()}
    assert names == {"runs.csv", "pairs.csv", "compare.json", "compare.html"}


def test_compare_over_data_sets_draws_the_diagram(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    many = [
        finished(tmp_path / f"{data}-{sampler}", data=data, seed=i, config={"sampler": sampler}).path
        for i, (data, sampler) in enumerate((d, s) for d in "xyz" for s in ("tpe", "random"))
    ]
    out = tmp_path / "out"
    assert call("compare", *many, "--label", "sampler", "--draws", 200, "--out", out, "--csv") == 0
    assert capsys.readouterr().out.startswith("first,second,median_difference")
    assert (out / "critical_difference.svg").read_text().startswith("<svg") and (out / "ranks.csv").exists()


def test_compare_refuses(runs: tuple[Path, Path]) -> None:
    with pytest.raises(CompareError, match="at least 2 runs, got 1"):
        call("compare", runs[0])


def test_report_prints_its_place_and_opens_it(
    runs: tuple[Path, Path], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[str] = []
    monkeypatch.setattr("webbrowser.open", lambda place: opened.append(place) or True)
    assert call("report", runs[0]) == 0 and opened == []
    place = Path(capsys.readouterr().out.strip())
    assert place.parent == runs[0] and place.exists()
    assert call("report", runs[0], "--open") == 0
    assert opened == [place.resolve().as_uri()]
    capsys.readouterr()
    assert call("report", runs[0], "--json") == 0
    assert json.loads(capsys.readouterr().out)["metric"]["name"] == "log_loss"


@pytest.fixture
def table(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"x": rng.normal(size=50), "price": rng.normal(size=50)})
    frame.to_csv(tmp_path / "table.csv", index=False)
    return tmp_path / "table.csv"


def test_init_writes_once(table: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = table.parent / "study.toml"
    assert call("init", table, "--target", "price", "-o", out) == 0
    assert capsys.readouterr().out.strip() == str(out)
    told = tomllib.loads(out.read_text())
    assert (told["task"], told["metric"], told["target"]) == ("regression", "rmse", "price")
    check(told)
    before = out.read_text()
    with pytest.raises(RunError, match="exists: choose another"):
        call("init", table, "--target", "price", "-o", out)
    assert out.read_text() == before


def test_init_to_stdout(table: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert call("init", table, "--target", "price", "--metric", "mae", "--preset", "fast", "-o", "-") == 0
    told = tomllib.loads(capsys.readouterr().out)
    assert (told["metric"], told["preset"]) == ("mae", "fast") and "trials" not in told
    assert not (table.parent / "-").exists()


def test_show_config_says_where_from(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "study.toml"
    file.write_text('demo = "wine"\npreset = "fast"\ntrials = 7\nseed = 3\n')
    assert call("show-config", "--config", file, "--seed", 5, "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert found["seed"] == {"value": 5, "from": "flag"}
    assert found["trials"] == {"value": 7, "from": f"file {file}"}
    assert found["epochs"] == {"value": 60, "from": "preset fast"}
    assert found["sampler"] == {"value": "tpe", "from": "default"}
    assert call("show-config", "--config", file) == 0
    assert 'demo             "wine"' in capsys.readouterr().out


def test_show_config_is_the_configuration_that_a_study_gets(tmp_path: Path) -> None:
    file = tmp_path / "study.toml"
    file.write_text('data = "t.csv"\ntarget = "y"\n')
    rows = {name: (value, source) for name, value, source in sources(file, {"demo": "iris"})}
    assert rows["demo"] == ("iris", "flag") and rows["data"] == (None, "default")  # a demo puts data aside
    rows = {name: (value, source) for name, value, source in sources(None, {})}
    assert rows["demo"] == ("breast_cancer", "no data told: the built-in one")
    assert set(rows) == set(command_line.configuration.StudyConfig.model_fields)


def test_show_config_refuses_as_a_study_does(tmp_path: Path) -> None:
    file = tmp_path / "study.toml"
    file.write_text("trails = 7\n")
    with pytest.raises(ConfigError, match="'trails': the nearest is 'trials'"):
        call("show-config", "--config", file)


@pytest.mark.parametrize(("is_ok", "code"), [(True, 0), (False, 1)])
def test_doctor_ends_by_what_it_found(
    is_ok: bool, code: int, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    found = [Check("first", True, "all well", 0.1), Check("second", is_ok, "words", 0.2)]
    monkeypatch.setattr("search.doctor.checks", lambda: iter(found))
    assert call("doctor") == code
    out = capsys.readouterr().out.splitlines()
    assert out == ["ok      first: all well", f"{'ok' if is_ok else 'failed':6}  second: words"]
    assert call("doctor", "--json") == code
    assert [one["is_ok"] for one in json.loads(capsys.readouterr().out)] == [True, is_ok]


@pytest.mark.parametrize("verb", [*(name for name, _, _ in VERBS), "show-config"])
def test_help_begins_with_examples(verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    call(verb, "--help")
    assert capsys.readouterr().out.splitlines()[2].strip().startswith(f"python -m search.run {verb}")


def test_nothing_heavy_is_loaded() -> None:
    import subprocess
    import sys

    heavy = "('numpy', 'pandas', 'tensorflow')"
    code = f"import sys, search.verbs_reports; print([n for n in {heavy} if n in sys.modules])"
    root = Path(verbs_reports.__file__).parents[1]
    done = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
