"""The doctor finds a sound installation sound, and says what is broken."""

import importlib
from pathlib import Path

import numpy as np
import pytest

from search import doctor
from search.doctor import Check, checks, synthetic


def test_the_table_can_be_learned() -> None:
    frame = synthetic()
    assert set(frame) == {"x", "gaps", "city", "day", "y"} and frame["gaps"].isna().any()
    assert set(frame["y"]) == {"yes", "no"} and 0.3 < (frame["y"] == "yes").mean() < 0.7
    assert synthetic().equals(frame)


def test_a_failing_check_is_one_line_with_its_cause() -> None:
    def broken() -> str:
        raise OSError("disk\nfull")

    found = doctor._checked("space", broken)
    assert found.line == "failed  space: OSError: disk full" and not found.is_ok


def test_a_missing_package_ends_it_early(monkeypatch: pytest.MonkeyPatch) -> None:
    real = importlib.import_module

    def missing(name: str, *more: object) -> object:
        if name == "optuna":
            raise ModuleNotFoundError("No module named 'optuna'")
        return real(name, *more)  # type: ignore[arg-type]

    monkeypatch.setattr("spaces.startup.import_tensorflow", lambda: None)
    monkeypatch.setattr("search.doctor.importlib.import_module", missing)
    found = list(checks())
    assert [check.name for check in found] == ["versions", "imports"]
    assert not found[1].is_ok and "optuna" in found[1].words


def test_an_old_version_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "versions", lambda: {"python": "3.11.7", "keras": "not installed"})
    assert doctor._checked("versions", doctor._versions).words == "DoctorError: not installed: keras"


@pytest.mark.slow
def test_this_installation_is_sound() -> None:
    found = list(checks())
    assert [check.line for check in found if not check.is_ok] == []
    assert [check.name for check in found] == [
        "versions", "imports", "optional packages", "study, networks trained together and trees",
        "ensemble saved and loaded again", "prediction in a process of its own", "report",
        "study, networks trained one by one", "KerasTuner's tuner, networks trained by Keras",
    ]  # fmt: skip


def test_an_ensemble_that_changes_when_it_is_loaded_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synthetic().to_csv(tmp_path / "table.csv", index=False)
    answers = iter([np.zeros(3), np.ones(3)])

    class Fake:
        candidates = (0,)

        def save(self, place: Path) -> None:
            assert place == tmp_path / "again"

        def predict_raw(self, rows: object) -> np.ndarray:
            return next(answers)

    monkeypatch.setattr(doctor, "_loaded", lambda place: Fake())
    found = doctor._checked("again", lambda: doctor._saved_again(tmp_path))
    assert not found.is_ok and "differ by up to 1" in found.words
    assert isinstance(found, Check)
