"""The leak accounts: what was looked at, what it can have taught, what it did to the score. As pandas tables.

The bound `sigma sqrt(2 nats / n)` (Russo and Zou 2016, Proposition 1) is 3 to 20 times too loose: it ranks
stages and sets a budget, and is never subtracted from a score.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from reports.bootstrap import SUBJECTS, Bootstrap
from reports.comparisons import (
    Difference,
    Overfitting,
    effective_alternatives,
    fold_losses,
    overfitting,
    tibshirani,
)
from reports.estimates import Honest
from reports.history import History
from search.metrics import Metric
from search.records import Run, write_aside

Array = NDArray[Any]
Events = Sequence[Mapping[str, Any]]

STAGE_COLUMNS = (
    "stage", "looks", "rows", "alternatives", "effective", "nats", "share_winner", "share_ensemble",
    "bound", "used_nats",
)  # fmt: skip
SCORE_COLUMNS = ("what", "printed", "honest", "low", "high", "optimism", "out_of_bag")
NAMES = {"winner": "best single trial", "ensemble": "ensemble"}


@dataclass(frozen=True)
class Accounts:
    """The leak accounts of a study.

    Attributes
    ----------
    stages : DataFrame
        `STAGE_COLUMNS`, one row per stage in the order of first use, `total` last. `effective`:
        alternatives as the bootstrap saw them chosen; `share_*`: loss that the stage's optimism adds;
        `bound`: most bias that its nats allow; `used_nats`: fewest nats that its share can have taken.
    scores : DataFrame
        `SCORE_COLUMNS`, one row for the best single trial and one for the ensemble.
    ledger : DataFrame
        Every event with `nats_so_far` and `bound_so_far`.
    difference : Difference
        Ensemble less best single trial, as loss.
    tibshirani : float
        Bias of the best single trial's printed loss by that formula, as loss.
    overfitting : Overfitting or None
    sigma : float
        Standard deviation of paired loss differences by row, in the metric's unit (NaN without a bootstrap).
    n_rows : int
        Rows that were held out.
    """

    metric: Metric
    stages: pd.DataFrame
    scores: pd.DataFrame
    ledger: pd.DataFrame
    difference: Difference
    tibshirani: float
    overfitting: Overfitting | None
    sigma: float
    n_rows: int
    shape: tuple[int, int, int]

    def summary(self) -> pd.DataFrame:
        """About ten lines that a person understands, with the columns `question` and `answer`."""
        return pd.DataFrame(_lines(self), columns=["question", "answer"])

    def to_json(self) -> dict[str, Any]:
        """All figures but the ledger as one JSON object."""
        return {
            "metric": self.metric.name,
            "stages": self.stages.to_dict(orient="records"),
            "scores": self.scores.to_dict(orient="records"),
            "difference": self.difference.to_json(),
            "tibshirani": self.tibshirani,
            "overfitting": self.overfitting.to_json() if self.overfitting else None,
            "sigma": self.sigma,
            "n_rows": self.n_rows,
            "n_rounds": self.shape[0],
            "n_parts": self.shape[1],
            "n_draws": self.shape[2],
            "summary": self.summary().to_dict(orient="records"),
        }


def accounts(
    history: History,
    metric: Metric,
    honest: Honest,
    events: Events,
    fold_of_row: Array,
    rng: np.random.Generator,
) -> Accounts:
    """Draw up the accounts of a study.

    Parameters
    ----------
    honest
        From `reports.estimates.estimate`.
    events
        The ledger, oldest first.
    fold_of_row : (n_repeats, n_rows) int
        The fold that holds a row out, -1 for never.
    """
    left = np.flatnonzero(~honest.full.is_pruned)
    by_fold = fold_losses(history, metric, honest.full.kept, fold_of_row)[left]
    n_rows, sigma = int(history.is_ever_held.sum()), paired_sigma(honest, history)
    n_draws = 0 if honest.bootstrap is None else len(honest.bootstrap.decisions)
    return Accounts(
        metric=metric,
        stages=stages(events, honest, n_rows=n_rows, sigma=sigma),
        scores=scores(honest),
        ledger=full_ledger(events, n_rows=n_rows, sigma=sigma),
        difference=honest.difference,
        tibshirani=tibshirani(by_fold, int(np.flatnonzero(left == honest.full.winner)[0])),
        overfitting=overfitting(history, metric, honest.full.kept, left, rng=rng),
        sigma=sigma,
        n_rows=n_rows,
        shape=(len(honest.fitted.parts), int(honest.fitted.parts.max()) + 1, n_draws),
    )


def paired_sigma(honest: Honest, history: History) -> float:
    """Standard deviation by row of the trials' losses less their common mean, for any metric.

    The bootstrap's spread of the paired differences times sqrt(n), root mean square over trials that were
    not pruned.
    """
    if honest.bootstrap is None:
        return math.nan
    found = honest.bootstrap.losses[:, ~honest.full.is_pruned]
    found = found[np.isfinite(found).all(axis=1)]
    if found.shape[0] < 2 or found.shape[1] < 2:
        return math.nan
    differences = found - found.mean(axis=1, keepdims=True)
    return float(np.sqrt(differences.var(axis=0, ddof=1).mean() * history.is_ever_held.sum()))


def bound(nats: float, *, n_rows: int, sigma: float) -> float:
    """Most bias that decisions worth `nats` can give a mean over rows: `sigma sqrt(2 nats / n)`."""
    return float(sigma * math.sqrt(2.0 * nats / n_rows))


def used_nats(optimism: float, *, n_rows: int, sigma: float) -> float:
    """Fewest nats that an optimism can have taken: `n optimism^2 / (2 sigma^2)`; 0 where there is none."""
    if not sigma > 0:
        return math.nan
    return float(n_rows * max(0.0, optimism) ** 2 / (2.0 * sigma**2))


def stages(events: Events, honest: Honest, *, n_rows: int, sigma: float) -> pd.DataFrame:
    """The accounts by stage, `total` last; see `Accounts.stages`."""
    names = [*dict.fromkeys(str(event["stage"]) for event in events)]
    effective = effective_by_stage(honest.bootstrap, honest.full.is_pruned, names)
    rows = []
    for name in names:
        own = [event for event in events if event["stage"] == name]
        shares: dict[str, float] = {s: getattr(honest, s).shares.get(name, math.nan) for s in SUBJECTS}
        rows.append(_stage(name, own, effective.get(name, math.nan), shares, n_rows, sigma))
    all_shares: dict[str, float] = {s: getattr(honest, s).optimism for s in SUBJECTS}
    rows.append(_stage("total", events, sum(effective.values()) or math.nan, all_shares, n_rows, sigma))
    table = pd.DataFrame(rows, columns=list(STAGE_COLUMNS))
    return table.astype({"stage": "str", "looks": "int64", "rows": "int64", "alternatives": "int64"})


def _stage(
    name: str, events: Events, effective: float, shares: Mapping[str, float], n_rows: int, sigma: float
) -> dict[str, Any]:
    nats = float(sum(event["nats"] for event in events))
    known = [share for share in shares.values() if not math.isnan(share)]
    return {
        "stage": name,
        "looks": len(events),
        "rows": max((int(event["rows"]) for event in events), default=0),
        "alternatives": sum(int(event["alternatives"]) for event in events),
        "effective": effective,
        "nats": nats,
        "share_winner": shares["winner"],
        "share_ensemble": shares["ensemble"],
        "bound": bound(nats, n_rows=n_rows, sigma=sigma),
        "used_nats": used_nats(max(known), n_rows=n_rows, sigma=sigma) if known else math.nan,
    }


def effective_by_stage(drawn: Bootstrap | None, is_pruned: Array, names: Sequence[str]) -> dict[str, float]:
    """Effective alternatives of each stage that can be replayed, added over its looks.

    `epoch` decides once per trial or model, `prune` once per trial. Members are chosen together with their
    weights and counted once; choices that hardly ever repeat count at most as many as there are draws.
    """
    if drawn is None:
        return {}
    decisions = drawn.decisions
    kept = np.stack([d.kept.reshape(-1) for d in decisions]).T
    pruned = np.stack([d.is_pruned for d in decisions]).T
    members = [tuple(np.flatnonzero(d.weights)) for d in decisions]
    found: dict[str, float] = {
        "epoch": sum(effective_alternatives(one.tolist()) for one in kept),
        "prune": sum(effective_alternatives(one.tolist()) for one in pruned),
        "winner": effective_alternatives(d.winner for d in decisions),
        "members": effective_alternatives(members),
    }
    return {name: float(value) for name, value in found.items() if name in names}


def scores(honest: Honest) -> pd.DataFrame:
    """What was printed against what is honest; see `Accounts.scores`."""
    rows = []
    for subject in SUBJECTS:
        record = getattr(honest, subject).to_json()
        rows.append({"what": NAMES[subject], **{name: record[name] for name in SCORE_COLUMNS[1:]}})
    return pd.DataFrame(rows, columns=list(SCORE_COLUMNS)).astype({"what": "str"})


def full_ledger(events: Events, *, n_rows: int, sigma: float) -> pd.DataFrame:
    """Every event, with the nats until then and the bias that they allow."""
    table = pd.DataFrame([dict(event) for event in events])
    if table.empty:
        return table
    table["nats_so_far"] = table["nats"].astype("float64").cumsum()
    table["bound_so_far"] = [bound(nats, n_rows=n_rows, sigma=sigma) for nats in table["nats_so_far"]]
    return table


def write(run: Run, found: Accounts, honest: Honest) -> None:
    """Write the accounts into the run: `leakage.*`, `leakage_ledger.*`, `leakage.json` and `honest.npz`."""
    for name, table in (("leakage", found.stages), ("leakage_ledger", found.ledger)):
        run.save_csv(f"{name}.csv", table)
        _save_parquet(run.path / f"{name}.parquet", table)
    run.save_json("leakage.json", found.to_json())
    arrays: dict[str, Array] = {"parts": honest.fitted.parts}
    for subject in SUBJECTS:
        arrays[f"{subject}_predictions"] = honest.fitted.of(subject).astype(np.float32)
        if honest.bootstrap is not None:
            arrays[f"{subject}_out_of_bag"] = honest.bootstrap.of(subject)
    run.save_arrays("honest.npz", arrays)


def _save_parquet(path: Path, table: pd.DataFrame) -> None:
    def put(file: Any) -> None:
        table.to_parquet(file, index=False)

    write_aside(path, put)


def _lines(found: Accounts) -> list[tuple[str, str]]:
    total = found.stages.iloc[-1]
    lines = [
        ("rows that the study decided on", f"{found.n_rows:,}"),
        ("decisions made from them", f"{total['looks']:,} in {len(found.stages) - 1} stages"),
        ("alternatives compared", _alternatives(total)),
        ("most that these can have biased a score", _loose(found, total)),
        *(_score_line(found, row) for _, row in found.scores.iterrows()),
        ("largest leak", _largest(found)),
        ("ensemble against best single trial", _against(found)),
        ("best single trial, by Tibshirani's formula", f"{_signed(found.tibshirani)} too good"),
    ]
    if found.overfitting is not None:
        chance = f"{found.overfitting.probability:.0%} of half-and-half checks (pure luck: 50%)"
        lines.append(("winner of one half of the rows is below the median on the other", chance))
    return lines


def _alternatives(total: Any) -> str:
    effective = (
        f"; as many as {total['effective']:,.0f} that differ" if not math.isnan(total["effective"]) else ""
    )
    return f"{total['alternatives']:,}{effective}"


def _loose(found: Accounts, total: Any) -> str:
    if math.isnan(total["bound"]):
        return f"{total['nats']:,.0f} nats"
    used = f"; the optimism found needs {total['used_nats']:.2g} of them" if total["used_nats"] > 0 else ""
    return f"{_short(total['bound'])} {found.metric.name} ({total['nats']:,.0f} nats, a loose bound{used})"


def _score_line(found: Accounts, row: Any) -> tuple[str, str]:
    ends = "" if math.isnan(row["low"]) else f" (95%: {_short(row['low'])} to {_short(row['high'])})"
    way = "good" if row["optimism"] >= 0 else "bad"
    optimism = f"{abs(row['optimism']):.2g} too {way}"
    text = f"{_short(row['honest'])}{ends}; printed {_short(row['printed'])}, {optimism}"
    return f"{row['what']}, honest {found.metric.name}", text


def _largest(found: Accounts) -> str:
    shares = (
        found.stages.iloc[:-1][["stage", "share_winner", "share_ensemble"]].set_index("stage").max(axis=1)
    )
    shares = shares.dropna()
    if shares.empty or not shares.max() > 0:
        return "none was found"
    return f"{shares.idxmax()}: {_signed(float(shares.max()))} {found.metric.name}"


def _against(found: Accounts) -> str:
    d = found.difference
    word = "better" if d.high < 0 else "worse" if d.low > 0 else "no clear difference"
    ends = f"95%: {_signed(d.low)} to {_signed(d.high)}"
    return f"{word}: loss {_signed(d.mean)} ({ends})"


def _short(value: float) -> str:
    return f"{value:.4g}"


def _signed(value: float) -> str:
    return f"{value:+.2g}"
