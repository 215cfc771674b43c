"""A user's callbacks are found, made for each member with a place of its own, and checked."""

from __future__ import annotations

from pathlib import Path

import pytest

from search.training.callbacks import CallbackError, Callbacks, attending, check_callbacks

MODULE = "tests.search.training.user_callbacks"


def test_each_member_has_a_place_of_its_own(tmp_path: Path) -> None:
    asked = Callbacks(f"{MODULE}:files", str(tmp_path), trial=7)
    found = asked.of(3)
    assert [type(c).__name__ for c in found] == [
        "CSVLogger",
        "ModelCheckpoint",
        "ModelCheckpoint",
        "TensorBoard",
    ]
    assert found[0].filename == str(tmp_path / "00007" / "03" / "log.csv")
    assert (tmp_path / "00007" / "03").is_dir()
    assert asked.of(3)[0] is not found[0]
    asked.within("refit").of(0)
    assert (tmp_path / "refit" / "00007" / "00").is_dir()


def test_a_function_takes_no_two_or_three_arguments(tmp_path: Path) -> None:
    for name in ("nothing", "first_member_stops", "files", "with_defaults"):
        check_callbacks(f"{MODULE}:{name}")
    Callbacks(f"{MODULE}:notes", str(tmp_path)).of(0)
    assert not any(tmp_path.iterdir())  # who does not ask for a place gets none


def test_callbacks_that_have_nothing_to_attend_are_refused() -> None:
    with pytest.raises(CallbackError, match="no family of them is searched"):
        check_callbacks(f"{MODULE}:notes", has_networks=False)


def test_a_run_without_callbacks_has_none(tmp_path: Path) -> None:
    assert attending(None, tmp_path) is None
    assert attending("a.b:c", tmp_path) == Callbacks("a.b:c", str(tmp_path / "callbacks"))
    assert attending("a.b:c", tmp_path, "more") == Callbacks("a.b:c", str(tmp_path / "callbacks" / "more"))


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("callbacks", "must be named package.module:function, got 'callbacks'"),
        ("nowhere.to.be:found", "must be importable"),
        (f"{MODULE}:absent", "must have what is named, got 'absent'"),
        (f"{MODULE}:NOT_A_FUNCTION", "must be a function, got 3"),
        (f"{MODULE}:one_argument", r"must take \(\), \(trial, member\) or \(trial, member, place\), got 1"),
        (f"{MODULE}:no_list", "must give a list of callbacks"),
        (f"{MODULE}:classes", "must give instances of keras.callbacks.Callback"),
        (f"{MODULE}:fails", "must give callbacks: RuntimeError: no disk left"),
        (f"{MODULE}:watches_held_out_rows", r"got EarlyStopping\(monitor='val_loss'\)"),
    ],
)
def test_what_is_refused_is_told_in_a_line(path: str, said: str) -> None:
    with pytest.raises(CallbackError, match=said) as caught:
        check_callbacks(path)
    assert "\n" not in str(caught.value)
