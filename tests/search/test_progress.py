"""The line says what it must, and is a plain line where there is no terminal."""

import io
import re
from datetime import datetime

import pytest
from rich.console import Console

from search import progress
from search.progress import Progress, State, Tried, clock, finish_time, line, seconds_left, side_by_side

NOON = datetime(2026, 1, 1, 12, 0)


def test_the_line() -> None:
    state = State(30, "log_loss", n_done=10, n_failed=1, n_pruned=3, best_trial=7, best_score=0.08123)
    text = line(state, elapsed_seconds=60.0, now=NOON)
    assert (
        text == "10/30 trials | best log_loss 0.0812 (trial 7)"
        " | 1:00 elapsed | done about 12:02 | 1 failed | 3 pruned"
    )


def test_before_the_first_trial() -> None:
    text = line(State(30, "log_loss"), elapsed_seconds=0.0, now=NOON)
    assert "0/30" in text and "no score yet" in text and "done about" not in text


def test_the_budget_may_end_it_earlier() -> None:
    state = State(100, "log_loss", n_done=1)
    assert seconds_left(state, 10.0, None) == pytest.approx(990.0)
    assert seconds_left(state, 10.0, 60.0) == pytest.approx(50.0)
    assert seconds_left(state, 70.0, 60.0) == 0.0
    assert seconds_left(State(100, "log_loss"), 10.0, None) is None


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.9, "0:00"), (41, "0:41"), (725, "12:05"), (3723, "1:02:03")]
)
def test_clock(seconds: float, text: str) -> None:
    assert clock(seconds) == text


def test_another_day_has_a_date() -> None:
    assert finish_time(NOON, 60.0) == "12:01"
    assert finish_time(NOON, 86400.0) == "2026-01-02 12:00"


def test_outside_a_terminal_few_plain_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    out = io.StringIO()
    with Progress(100, "log_loss", console=Console(file=out, force_terminal=False, width=200)) as live:
        for done in range(1, 101):
            now[0] += 1.0
            live.update(n_done=done)
    lines = out.getvalue().splitlines()
    assert [text.split()[0] for text in lines] == ["1/100", "31/100", "61/100", "91/100", "100/100"]
    assert "\x1b" not in out.getvalue()


def test_on_a_terminal_the_line_is_redrawn_and_messages_stay() -> None:
    out = io.StringIO()
    with Progress(3, "log_loss", console=Console(file=out, force_terminal=True, width=200)) as live:
        live.update(n_done=1)
        live.say("5 folds x 3 repeats [because]")
    assert "5 folds x 3 repeats [because]" in out.getvalue()
    assert out.getvalue().rstrip().splitlines()[-1].endswith("0 failed | 0 pruned")


def test_long_messages_are_not_broken() -> None:
    out = io.StringIO()
    Progress(3, "log_loss", console=Console(file=out, width=20)).say("word " * 30)
    assert out.getvalue().count("\n") == 1


def test_an_unknown_field_is_refused() -> None:
    with pytest.raises(TypeError):
        Progress(3, "log_loss", console=Console(file=io.StringIO())).update(done=3)


def test_the_line_with_an_ensemble() -> None:
    state = State(
        30, "auc", n_done=10, best_trial=7, best_score=0.9, ensemble_score=0.91234, ensemble_trials=9
    )
    text = line(state, elapsed_seconds=60.0, now=NOON)
    assert "best auc 0.9000 (trial 7) | ensemble 0.9123 honest (of 9 trials) | 1:00 elapsed" in text


BEST = Tried(3, "mlp", {"depth": 2, "rate": 0.001, "activation": "relu", "l2": 0.25})
NOW = Tried(8, "mlp", {"depth": 3, "rate": 0.001, "activation": "relu", "dropout": 0.12345678})


def test_side_by_side() -> None:
    assert side_by_side(NOW, BEST) == [
        ("", "trial 8 (mlp)", "best: trial 3 (mlp)"),
        ("depth", "3", "2 *"),
        ("rate", "0.001", "0.001"),
        ("activation", "relu", "relu"),
        ("dropout", "0.1235", "*"),
        ("l2", "", "0.25 *"),
    ]
    assert side_by_side(NOW, None)[:2] == [("", "trial 8 (mlp)", "no best yet"), ("depth", "3", "")]


@pytest.mark.parametrize("is_verbose", [True, False])
def test_verbose_lines_outside_a_terminal(is_verbose: bool) -> None:
    out = io.StringIO()
    with Progress(3, "auc", console=Console(file=out, width=200), is_verbose=is_verbose) as live:
        live.update(best=BEST, best_trial=3, best_score=0.9)
        live.update(current=NOW)
        live.update(n_done=1)
    text = out.getvalue()
    assert ("  depth       3              2 *" in text.splitlines()) is is_verbose
    assert text.count("trial 8") == is_verbose
    assert "0.9000" in text  # only the announced best has a score


def test_verbose_on_a_terminal_keeps_the_line_on_top() -> None:
    out = io.StringIO()
    live = Progress(3, "auc", console=Console(file=out, force_terminal=True, width=100), is_verbose=True)
    live.update(current=NOW, best=BEST)
    live.console.print(live)
    first, *rest = out.getvalue().splitlines()
    assert first.startswith("0/3 trials") and any("dropout" in text for text in rest)


def test_no_colour_where_none_is_wanted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    out = io.StringIO()
    with Progress(
        3, "auc", console=Console(file=out, force_terminal=True, width=100), is_verbose=True
    ) as live:
        live.update(current=NOW, best=BEST, n_done=1)
        live.say("words")
    assert not re.search(r"\x1b\[[0-9;]*(3[0-9]|4[0-9])m", out.getvalue())
