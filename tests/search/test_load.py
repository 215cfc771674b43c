"""Load: what a trial makes a study read and write does not grow with the number of trials before it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import optuna
import pytest

from benchmarks.recorded_trials import Recorded, write_table
from search import flow, lines
from search.config import check
from search.preparation import prepare
from search.progress import Progress
from search.records import Run

N_TRIALS = 36
FILES = ("trials.jsonl", "ledger.jsonl", "journal.log")


class Sizes:
    """Calls and the sizes of the run's files, noted when each trial is told of."""

    def __init__(self) -> None:
        self.calls: Counter[str] = Counter()
        self.at: list[dict[str, int]] = []
        self.begins: list[dict[str, bytes]] = []

    def count(self, patch: pytest.MonkeyPatch, place: Any, name: str) -> None:
        called: Callable[..., Any] = getattr(place, name)

        def counted(*given: Any, **told: Any) -> Any:
            self.calls[name] += 1
            return called(*given, **told)

        patch.setattr(place, name, counted)

    def note(self, run: Run) -> None:
        sizes = {name: (run.path / name).stat().st_size for name in FILES}
        self.at.append({**sizes, **self.calls})
        self.begins.append({name: (run.path / name).read_bytes()[: self.at[0][name]] for name in FILES})


@pytest.fixture
def sizes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Sizes:
    """A whole search without training, as a study makes it."""
    write_table(tmp_path / "table.csv", 60)
    told = {
        "data": str(tmp_path / "table.csv"), "target": ["ill"], "trials": N_TRIALS, "splits": 3, "repeats": 1,
        "epochs": 20, "seed": 1, "families": ("mlp",), "sampler": "random", "audit": False,
    }  # fmt: skip
    config = check(told)
    run, noted = Run.create(tmp_path / "run"), Sizes()
    for place, name in (
        (Run, "trials"), (Run, "events"), (Run, "rewrite_trials"), (lines, "read"),
        (optuna.Study, "get_trials"), (Run, "out_of_fold"),
    ):  # fmt: skip
        noted.count(monkeypatch, place, name)
    say = flow.Watch.__call__

    def said(watch: Any, trial: Any, trials: Any) -> None:
        say(watch, trial, trials)
        noted.note(run)

    monkeypatch.setattr(flow.Watch, "__call__", said)
    monkeypatch.setattr(flow, "Workshop", Recorded)
    monkeypatch.setattr(flow, "conclude", lambda *_, **__: None)
    with Progress(N_TRIALS, "log_loss") as progress:
        flow.carry_out(run, config, prepare(config), command="test", progress=progress)
    assert len(noted.at) == N_TRIALS
    return noted


def test_nothing_is_read_again_at_a_trial(sizes: Sizes) -> None:
    first, last = sizes.at[0], sizes.at[-1]
    for name in ("trials", "events", "read", "rewrite_trials", "get_trials"):
        assert last.get(name, 0) == first.get(name, 0), name
    assert last["out_of_fold"] <= N_TRIALS  # its own predictions, once, for the Ladder


def test_records_are_appended_and_never_rewritten(sizes: Sizes) -> None:
    assert all(one == sizes.begins[0] for one in sizes.begins)
    third = N_TRIALS // 3
    for name in FILES:
        early = sizes.at[third][name] - sizes.at[0][name]
        late = sizes.at[-1][name] - sizes.at[-1 - third][name]
        assert 0 < late < 1.5 * early, name
