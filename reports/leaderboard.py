"""The leaderboard of a run: baselines, best single trial and ensemble first, then every trial."""

from __future__ import annotations

import difflib
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import pandas as pd

from reports.extra_metrics import bound, scorer
from reports.summary import HEAD, baseline, is_higher_better, part, summary_of
from search.records import Run, RunError, Trial

if TYPE_CHECKING:
    from rich.table import Table

_TYPES = {
    "entry": "str",
    "rank": "Int64",
    "trial": "Int64",
    "family": "str",
    "score": "float64",
    "score_se": "float64",
    "low": "float64",
    "high": "float64",
    "scored": "str",
    "ensemble_weight": "float64",
    "train_validation_gap": "float64",
    "epochs": "Int64",
    "parameters": "Int64",
    "fit_seconds": "float64",
    "predict_seconds_per_1000": "float64",
    "status": "str",
}
COLUMNS: tuple[str, ...] = tuple(_TYPES)
NARROW_COLUMNS = (
    "entry",
    "rank",
    "trial",
    "score",
    "score_se",
    "scored",
    "ensemble_weight",
    "status",
)
WIDE = 150
_ORDER = {"completed": 0, "pruned": 1, "failed": 2, "duplicate": 3}


def leaderboard(run: Run, extra_metrics: Sequence[str] = ()) -> pd.DataFrame:
    """The table of a run with the columns `COLUMNS`, and one for each extra metric.

    The first four rows are always the dummy, the linear model, the best single trial and the ensemble; then
    come all trials, completed ones by score. `rank` counts completed trials. `scored` says on what a score
    stands: "out-of-fold" on held-out rows, which also picked the best single trial; "cross-fitted" when the
    picking was done on other rows than the scoring, with the 95 % interval `low` to `high`.
    `train_validation_gap` is how much better the training score is. Extra metrics are computed from stored
    predictions of the same kind as the score (see `reports.extra_metrics`).

    Raises
    ------
    RunError
        If the run stored no targets to compute an extra metric from, or no metric of its task has that name.
    """
    summary, sign = summary_of(run), 1.0 if is_higher_better(run) else -1.0
    trials = sorted(run.trials(), key=lambda trial: _place(trial, sign))
    weights = {int(m["trial"]): float(m["weight"]) for m in part(summary, "ensemble").get("members") or []}
    rows = [_trial_row(trial, rank, weights, sign) for rank, trial in enumerate(trials, start=1)]
    head = [_baseline_row(name, baseline(summary, name)) for name in HEAD]
    head += [_best_row(summary, rows), _ensemble_row(summary, rows)]
    table = pd.DataFrame(head + rows, columns=list(COLUMNS))
    table = table.astype(_TYPES)
    scores = scorer(run) if extra_metrics else None
    for name in dict.fromkeys(extra_metrics):
        assert scores is not None
        table[name] = pd.Series(
            [scores(name, *place) for place in zip(table["entry"], table["trial"], strict=True)],
            dtype="float64",
        )
    return table


def arranged(
    run: Run, board: pd.DataFrame, *, sort: str | None = None, top: int | None = None
) -> pd.DataFrame:
    """The table with its trials in another order, or only the first of them; its first four rows stay.

    Parameters
    ----------
    sort : str, optional
        A column; scores come best first, weights largest first, all others smallest first. With a minus
        before it, the other way round. Rows without a value come last.
    top : int, optional
        Trials to keep, at least 0.

    Raises
    ------
    RunError
        If there is no such column (naming the nearest), or `top` is below 0.
    """
    n_head = len(HEAD) + 2
    head, trials = board.iloc[:n_head], board.iloc[n_head:]
    if sort is not None:
        name = sort.removeprefix("-")
        if name not in board.columns:
            nearest = difflib.get_close_matches(name, map(str, board.columns), 1, cutoff=0.0)[0]
            raise RunError(
                f"a leaderboard is sorted by one of its columns, and {name!r} is none: {nearest!r}?"
            )
        is_rising = _is_rising(run, name) != sort.startswith("-")
        trials = trials.sort_values(name, ascending=is_rising, kind="stable", na_position="last")
    if top is not None and top < 0:
        raise RunError(f"the trials to show are counted from 0, got {top}")
    shown = pd.concat([head, trials if top is None else trials.head(top)], ignore_index=True)
    return shown.astype(board.dtypes.to_dict())


def _is_rising(run: Run, column: str) -> bool:
    if column in ("score", "low", "high"):
        return not is_higher_better(run)
    if column in _TYPES:
        return column != "ensemble_weight"
    return not bound(run, column).is_higher_better


def _place(trial: Trial, sign: float) -> tuple[int, float, int]:
    is_scored = trial.status == "completed" and trial.score is not None
    return (_ORDER[trial.status], -sign * (trial.score or 0.0) if is_scored else math.inf, trial.number)


def _row(**values: Any) -> dict[str, Any]:
    return {name: values.get(name) for name in COLUMNS}


def _trial_row(trial: Trial, rank: int, weights: dict[int, float], sign: float) -> dict[str, Any]:
    is_scored = trial.status == "completed" and trial.score is not None
    has_gap = trial.train_score is not None and trial.score is not None
    return _row(
        entry="trial",
        rank=rank if is_scored else None,
        trial=trial.number,
        family=trial.family,
        score=trial.score,
        score_se=trial.score_se,
        scored="out-of-fold" if trial.score is not None else None,
        ensemble_weight=weights.get(trial.number, 0.0) if weights else None,
        train_validation_gap=sign * (trial.train_score - trial.score) if has_gap else None,  # type: ignore[operator]
        epochs=trial.chosen_epoch,
        parameters=trial.n_parameters,
        fit_seconds=trial.fit_seconds,
        predict_seconds_per_1000=trial.predict_seconds_per_1000,
        status=trial.status,
    )


def _baseline_row(name: str, record: dict[str, Any]) -> dict[str, Any]:
    return _row(
        entry=name,
        family=name,
        score=record.get("score"),
        score_se=record.get("score_se"),
        scored="out-of-fold" if record else None,
        parameters=record.get("n_parameters"),
        fit_seconds=record.get("fit_seconds"),
        status="completed" if record else "not run",
    )


def _best_row(summary: dict[str, Any], rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    best = next((row for row in rows if row["rank"] == 1), None)
    if best is None:
        return _row(entry="best single", status="none")
    record = part(summary, "best_single")
    if record.get("crossfit_score") is None:
        return {**best, "entry": "best single"}
    honest = {"score": record["crossfit_score"], "low": record.get("low"), "high": record.get("high")}
    return {**best, **honest, "entry": "best single", "score_se": None, "scored": "cross-fitted"}


def _ensemble_row(summary: dict[str, Any], rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    ensemble = part(summary, "ensemble")
    if not ensemble:
        return _row(entry="ensemble", status="none")
    members = [row for row in rows if row["ensemble_weight"]]
    return _row(
        entry="ensemble",
        family="ensemble",
        score=ensemble.get("score"),
        score_se=ensemble.get("score_se"),
        low=ensemble.get("low"),
        high=ensemble.get("high"),
        scored="cross-fitted",
        ensemble_weight=sum(row["ensemble_weight"] for row in members),
        parameters=_sum(row["parameters"] for row in members),
        fit_seconds=_sum(row["fit_seconds"] for row in members),
        predict_seconds_per_1000=_sum(row["predict_seconds_per_1000"] for row in members),
        status="completed",
    )


def _sum(values: Any) -> Any:
    known = list(values)
    return None if not known or None in known else sum(known)


def cells(board: pd.DataFrame) -> list[list[str]]:
    """The table as text for people: header first, four significant digits, nothing where there is nothing."""
    rows = [[_cell(value) for value in row] for row in board.itertuples(index=False, name=None)]
    return [[name.replace("_", " ") for name in board.columns], *rows]


def _cell(value: Any) -> str:
    if value is None or value is pd.NA or (isinstance(value, float) and math.isnan(value)):
        return ""
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def plain_table(board: pd.DataFrame) -> str:
    """The table as aligned text, one line per row, numbers to the right."""
    texts = cells(board)
    widths = [max(len(row[i]) for row in texts) for i in range(len(board.columns))]
    is_text = [_TYPES.get(name) == "str" for name in board.columns]
    aligned = [
        [
            text.ljust(width) if left else text.rjust(width)
            for text, width, left in zip(row, widths, is_text, strict=True)
        ]
        for row in texts
    ]
    return "\n".join("  ".join(row).rstrip() for row in aligned)


def rich_table(board: pd.DataFrame, width: int) -> Table:
    """The table for a terminal of `width` columns, with a rule under its first four rows.

    On a narrow terminal only the columns `NARROW_COLUMNS` are shown.
    """
    from rich import box
    from rich.table import Table
    from rich.text import Text

    more = [name for name in board.columns if name not in _TYPES]
    shown = board if width >= WIDE else board[[*NARROW_COLUMNS, *more]]
    header, *rows = cells(shown)
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for name, column in zip(header, shown.columns, strict=True):
        justify = "left" if _TYPES.get(column) == "str" else "right"
        table.add_column(Text(name.replace(" ", "\n")), justify=justify)  # type: ignore[arg-type]
    for number, row in enumerate(rows):
        table.add_row(*(Text(text) for text in row), end_section=number == len(HEAD) + 1)
    return table
