"""What a person sees while a study runs: one live line on a terminal, an occasional plain line elsewhere."""

import math
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from types import TracebackType
from typing import Any, Self

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

SECONDS_BETWEEN_PLAIN_LINES = 30.0


@dataclass(frozen=True)
class Tried:
    """A configuration and the number of its trial."""

    number: int
    family: str
    config: Mapping[str, Any]

    @property
    def name(self) -> str:
        """The trial as people call it."""
        return f"trial {self.number} ({self.family})"


@dataclass(frozen=True)
class State:
    """Where a study stands. `n_done` counts all that ended, also pruned, failed and duplicate trials.

    `ensemble_score` is that of the ensemble of the first `ensemble_trials` trials, on rows that did not
    choose it. `current` is what is tried now, `best` the configuration of `best_trial`.
    """

    n_total: int
    metric: str
    n_done: int = 0
    n_failed: int = 0
    n_pruned: int = 0
    n_duplicate: int = 0
    best_trial: int | None = None
    best_score: float | None = None
    ensemble_score: float | None = None
    ensemble_trials: int | None = None
    current: Tried | None = None
    best: Tried | None = None


def line(state: State, *, elapsed_seconds: float, now: datetime, budget_seconds: float | None = None) -> str:
    """The state in one line: done of total, best, ensemble, elapsed, expected finish, failed, pruned."""
    parts = [f"{state.n_done}/{state.n_total} trials", _best(state), _ensemble(state)]
    parts.append(f"{clock(elapsed_seconds)} elapsed")
    left = seconds_left(state, elapsed_seconds, budget_seconds)
    if left is not None:
        parts.append(f"done about {finish_time(now, left)}")
    parts += [f"{state.n_failed} failed", f"{state.n_pruned} pruned"]
    if state.n_duplicate:
        parts.append(f"{state.n_duplicate} duplicate")
    return " | ".join(part for part in parts if part)


def seconds_left(state: State, elapsed_seconds: float, budget_seconds: float | None) -> float | None:
    """Seconds until the last trial or the end of the budget, whichever is first; None when unknown."""
    known = []
    if state.n_done:
        known.append(elapsed_seconds / state.n_done * (state.n_total - state.n_done))
    if budget_seconds is not None:
        known.append(max(0.0, budget_seconds - elapsed_seconds))
    return min(known, default=None)


def clock(seconds: float) -> str:
    """Seconds as 0:41, 12:05 or 1:02:03."""
    minutes, rest = divmod(math.floor(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"


def finish_time(now: datetime, seconds: float) -> str:
    """The clock time in so many seconds, with the date when that is not today."""
    end = now + timedelta(seconds=seconds)
    return end.strftime("%H:%M" if end.date() == now.date() else "%Y-%m-%d %H:%M")


def _best(state: State) -> str:
    if state.best_score is None:
        return "no score yet"
    return f"best {state.metric} {state.best_score:.4f} (trial {state.best_trial})"


def _ensemble(state: State) -> str:
    if state.ensemble_score is None:
        return ""
    return f"ensemble {state.ensemble_score:.4f} honest (of {state.ensemble_trials} trials)"


def side_by_side(current: Tried, best: Tried | None) -> list[tuple[str, str, str]]:
    """Parameter, value now, value of the best, one line each; the first line names the two trials.

    A value that only one of the two has is empty for the other. Values that differ end with a star.
    """
    rows = [("", current.name, "no best yet" if best is None else f"best: {best.name}")]
    theirs: Mapping[str, Any] = {} if best is None else best.config
    for name in dict.fromkeys([*current.config, *theirs]):
        mine, other = _value(current.config.get(name)), _value(theirs.get(name))
        rows.append((name, mine, other if best is None or mine == other else f"{other} *".lstrip()))
    return rows


def _value(value: Any) -> str:
    if isinstance(value, float) and not isinstance(value, bool):
        return f"{value:.4g}"
    return "" if value is None else str(value)


class Progress:
    """The line of one study, on stderr; use as a context manager.

    On a terminal the line lives at the bottom; otherwise a plain line is written at the first change, every
    half minute, and at the end. `NO_COLOR` and `TERM=dumb` are honoured.

    Parameters
    ----------
    is_verbose : bool
        Whether what is tried now is shown beside the best, parameter by parameter. Scores stay those of the
        line: a configuration tells nothing about validation rows, a score does.
    """

    def __init__(
        self,
        n_total: int,
        metric: str,
        *,
        budget_seconds: float | None = None,
        console: Console | None = None,
        is_verbose: bool = False,
    ) -> None:
        self.is_verbose = is_verbose
        self.console = console or Console(stderr=True, highlight=False)
        self.state = State(n_total=n_total, metric=metric)
        self._budget_seconds = budget_seconds
        self._started = time.monotonic()
        self._said_at = -math.inf
        self._said = ""
        is_live = self.console.is_terminal and not self.console.is_dumb_terminal
        self._live = (
            Live(self, console=self.console, refresh_per_second=4, transient=True) if is_live else None
        )

    def __enter__(self) -> Self:
        self._started = time.monotonic()
        if self._live is not None:
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._live is not None:
            self._live.stop()
        if self._said_at > -math.inf or self._live is not None:
            self._say_line()

    def __rich__(self) -> RenderableType:
        text = Text(self.text(), no_wrap=True, overflow="ellipsis")
        if not self.is_verbose or self.state.current is None:
            return text
        table = Table.grid(padding=(0, 2))
        for row in side_by_side(self.state.current, self.state.best):
            table.add_row(*(Text(cell) for cell in row))
        return Group(text, table)

    def text(self) -> str:
        """The line as it stands now."""
        elapsed = time.monotonic() - self._started
        return line(
            self.state, elapsed_seconds=elapsed, now=datetime.now(), budget_seconds=self._budget_seconds
        )

    def update(self, **changes: Any) -> None:
        """Replace fields of `state`; outside a terminal, write a line if the last is half a minute old."""
        self.state = replace(self.state, **changes)
        if self._live is None and self.is_verbose and changes.get("current") is not None:
            self._say_side_by_side()
        if self._live is None and time.monotonic() - self._said_at >= SECONDS_BETWEEN_PLAIN_LINES:
            self._say_line()

    def say(self, text: str) -> None:
        """Write a line of its own, above the live one."""
        self.console.print(Text(text), soft_wrap=True)

    def _say_side_by_side(self) -> None:
        assert self.state.current is not None
        rows = side_by_side(self.state.current, self.state.best)
        widths = [max(len(row[i]) for row in rows) for i in range(3)]
        for row in rows:
            padded = "  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True))
            self.say(f"  {padded}".rstrip())

    def _say_line(self) -> None:
        text = self.text()
        if text != self._said:
            self.say(text)
        self._said, self._said_at = text, time.monotonic()
