"""What a quality run found: losses, ranks, coverage and the targets, as text, CSV and Markdown."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from benchmarks.quality_tables import BOSTON_MAE, UCI

Line = dict[str, Any]
MOST_OF_OTHERS = 1.2  # seconds of ours beside those of the others
TITLES = {
    "losses": "Mean test loss over the seeds (log loss for classes, RMSE for values), lower is better",
    "ranks": "Ranks over the tables",
    "coverage": "Honest score beside the test score",
    "seconds": "Seconds of each system",
    "boston": "Boston on the split that Keras ships, mean absolute error in thousand dollars",
    "uci": "Published splits, RMSE beside that of dropout networks (mean over 20 splits)",
}


def write_report(lines: list[Line], out: Path, seconds: float) -> str:
    """Write ``results.csv``, a CSV per table of figures and ``quality.md``; its text is returned."""
    frame = pd.DataFrame(lines)
    if frame.empty or "seconds" not in frame:
        return "no results yet"
    frame.drop(columns="facts").to_csv(out / "results.csv", index=False)
    complete = complete_cases(frame[frame["part"] == "rank"])
    tables = {
        "losses": losses(complete),
        "ranks": ranks(complete),
        "coverage": coverage(lines),
        "seconds": times(frame, seconds),
        "boston": boston(frame),
        "uci": uci(frame),
    }
    parts = [f"# Quality: {seconds:g} s a system and split, one core each", "", *targets(tables)]
    for name, table in tables.items():
        if not table.empty:
            table.to_csv(out / f"{name}.csv")
            parts += ["", f"## {TITLES[name]}", "", as_markdown(table)]
    failed = frame[frame["loss"].isna()]
    parts += ["", f"{len(failed)} results failed" + (":" if len(failed) else ".")]
    parts += [f"- {x.part} {x.table} {x.number} {x.system}: {x.cause}" for x in failed.itertuples()]
    text = "\n".join(parts) + "\n"
    (out / "quality.md").write_text(text)
    return text


def complete_cases(frame: pd.DataFrame) -> pd.DataFrame:
    """The splits on which every system of the run has a line; a failed one counts, as the worst."""
    n_systems = frame["system"].nunique()
    n_there = frame.groupby(["table", "number"])["system"].transform("nunique")
    return frame[n_there == n_systems]


def losses(frame: pd.DataFrame) -> pd.DataFrame:
    """A row per table, a column per system: mean test loss; infinite where a system failed."""
    if frame.empty:
        return pd.DataFrame()
    filled = frame.assign(loss=frame["loss"].astype(float).fillna(np.inf))
    return filled.pivot_table(index="table", columns="system", values="loss", aggfunc="mean")


def ranks(frame: pd.DataFrame) -> pd.DataFrame:
    """Per system: mean rank (of a table's mean losses, and split by split), wins, loss beside the best's.

    Ties share their ranks' mean. ``times the best``: geometric mean over the tables of the loss divided by
    the lowest loss on that table. ``ours at or below it``: share of the tables.
    """
    table = losses(frame)
    if table.empty:
        return table
    by_split = frame.assign(loss=frame["loss"].astype(float).fillna(np.inf))
    by_split["rank"] = by_split.groupby(["table", "number"])["loss"].rank()
    by_table = by_split.groupby(["table", "system"])["rank"].mean()
    lowest = table.min(axis=1)
    found = pd.DataFrame(
        {
            "mean rank": table.rank(axis=1).mean(),
            "mean rank by split": by_table.groupby("system").mean(),
            "wins": table.eq(lowest, axis=0).sum(),
            "times the best": np.exp(np.log(table.div(lowest, axis=0)).mean()),
            "tables": len(table),
        }
    )
    if "ours" in table:
        is_there = np.isfinite(table["ours"])  # where ours failed, it is below nothing
        found["ours at or below it"] = table.ge(table["ours"], axis=0).mul(is_there, axis=0).mean()
    return found.sort_values("mean rank")


def coverage(lines: list[Line]) -> pd.DataFrame:
    """Per part and subject: how often the test score lies in the printed interval, and what else it says.

    ``covers``: the bagged predictor's test score lies in the interval. ``covers with test error``: the two
    differ by at most 1.96 of their joint standard errors, since few test rows say little.
    ``honest - test``: mean difference relative to the test score, below zero is too good. The same follows
    for the mean score of the single fold models, which is what the honest score describes.
    """
    rows = [row for line in lines if (row := _covered(line)) is not None]
    if not rows:
        return pd.DataFrame()
    frame = pd.DataFrame(rows)
    by_table = frame.groupby(["part", "system", "table"]).mean(numeric_only=True)
    found = frame.groupby(["part", "system"]).mean(numeric_only=True).drop(columns="number")
    found.insert(0, "splits", frame.groupby(["part", "system"]).size())
    found["tables covered in most splits"] = (by_table["covers"] > 0.5).groupby(["part", "system"]).mean()
    return found


def _covered(line: Line) -> dict[str, Any] | None:
    facts = line.get("facts") or {}
    if line["loss"] is None or facts.get("low") is None:
        return None
    low, high, test, score = facts["low"], facts["high"], line["loss"], facts["score"]
    error = np.hypot((high - low) / (2 * 1.96), line["loss_se"])
    row = {name: line[name] for name in ("part", "table", "number", "system")}
    row |= {
        "covers": float(low <= test <= high),
        "covers with test error": float(abs(score - test) <= 1.96 * error),
        "honest - test": (score - test) / test,
        "printed - test": np.nan,
        "fold models' covers": np.nan,
        "honest - fold models": np.nan,
        "width": (high - low) / test,
        "test error": 2 * 1.96 * line["loss_se"] / test,
    }
    if facts.get("in_sample_score") is not None:
        row["printed - test"] = (facts["in_sample_score"] - test) / test
    if facts.get("described") is not None:
        row["fold models' covers"] = float(low <= facts["described"] <= high)
        row["honest - fold models"] = (score - facts["described"]) / facts["described"]
    return row


def times(frame: pd.DataFrame, seconds: float) -> pd.DataFrame:
    """Seconds and trials of each system; best single and uniform come from the run of ours."""
    frame = frame[frame["loss"].notna() & ~frame["system"].isin(["best_single", "uniform"])]
    frame = frame.assign(n_trials=[facts.get("n_trials") for facts in frame["facts"]])
    by_system = frame.groupby(["part", "system"])
    return pd.DataFrame(
        {
            "mean": by_system["seconds"].mean(),
            "largest": by_system["seconds"].max(),
            "of the budget": by_system["seconds"].mean() / seconds,
            "median trials": by_system["n_trials"].median(),
            "fewest trials": by_system["n_trials"].min(),
        }
    )


def boston(frame: pd.DataFrame) -> pd.DataFrame:
    """Test MAE for each seed of the study."""
    mine = frame[(frame["part"] == "boston") & frame["loss"].notna()]
    if mine.empty:
        return pd.DataFrame()
    table = mine.pivot_table(index="system", columns="number", values="mae")
    return table.assign(mean=table.mean(axis=1), target=BOSTON_MAE)


def uci(frame: pd.DataFrame) -> pd.DataFrame:
    """Test RMSE of ours with its standard error over splits, beside the published one."""
    mine = frame[(frame["part"] == "uci") & (frame["system"] == "ours") & frame["loss"].notna()]
    if mine.empty:
        return pd.DataFrame()
    found = mine.groupby("table")["rmse"].agg(["mean", "sem", "count"])
    found.columns = pd.Index(["ours", "standard error", "splits"])
    return found.assign(published=[UCI[str(name)] for name in found.index])


def targets(tables: dict[str, pd.DataFrame]) -> list[str]:
    """A line for each thing to reach that was measured: met or missed."""
    said = [*_ranking_targets(tables), *_fairness(tables["seconds"]), *_coverage_targets(tables["coverage"])]
    if not tables["boston"].empty:
        mean = float(tables["boston"]["mean"]["ours"])
        said.append(_target(mean <= BOSTON_MAE, f"Boston, Keras split: MAE {mean:.2f}, {BOSTON_MAE} at most"))
    for name, row in tables["uci"].to_dict("index").items():
        text = f"{name}: RMSE {row['ours']:.3f} on {row['splits']:.0f} splits, {row['published']} at most"
        said.append(_target(row["ours"] <= row["published"], text))
    return said or ["nothing to compare yet"]


def _ranking_targets(tables: dict[str, pd.DataFrame]) -> list[str]:
    ranked = tables["ranks"]
    if not {"ours", "best_single"} <= set(ranked.index):
        return []
    share = float(ranked["ours at or below it"]["best_single"])
    rank, others = float(ranked["mean rank"]["ours"]), ranked["mean rank"].drop("ours")
    n_tied = int((tables["losses"]["ours"] == tables["losses"]["best_single"]).sum())
    text = f"ensemble at or below the best single trial: {share:.0%} of tables, 80 % to reach"
    text += f" (equal on {n_tied} of {len(tables['losses'])})"
    first = f"mean rank {rank:.2f}, lowest other {others.min():.2f} ({others.idxmin()}), to be first"
    return [
        _target(share >= 0.8, text),
        _target(rank < others.min(), first),
    ]


def _fairness(seconds: pd.DataFrame) -> list[str]:
    """Whether this project took more of the budget than its rivals; a lead would then be bought with time."""
    if ("rank", "ours") not in seconds.index or len(seconds.loc["rank"]) == 1:
        return []
    shares = seconds["of the budget"].loc["rank"]
    mine, others = float(shares["ours"]), shares.drop("ours")
    text = f"ours took {mine:.0%} of the seconds, the others {others.min():.0%} to {others.max():.0%}"
    return [
        _target(mine <= MOST_OF_OTHERS * float(others.mean()), f"{text}, at most a fifth above their mean")
    ]


def _coverage_targets(found: pd.DataFrame) -> list[str]:
    if ("rank", "ours") not in found.index:
        return []
    names = ("covers", "covers with test error", "tables covered in most splits")
    share, wide, by_table = (float(found[name]["rank", "ours"]) for name in names)
    text = (
        f"test score in the honest interval: {share:.0%} of splits, 90 % to reach ({wide:.0%} when the error"
    )
    text += f" of the test score counts too; in most splits of {by_table:.0%} of the tables)"
    return [_target(share >= 0.9, text)]


def _target(is_met: bool, text: str) -> str:
    return f"- {'met' if is_met else 'MISSED'}: {text}"


def as_markdown(table: pd.DataFrame) -> str:
    """A table in Markdown, numbers with four digits."""
    flat = table.reset_index()
    heads = [str(name) for name in flat.columns]
    lines = [heads, ["---"] * len(heads), *([_cell(x) for x in row] for row in flat.to_numpy(object))]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in lines)


def _cell(value: Any) -> str:
    if isinstance(value, float):
        return "" if np.isnan(value) else f"{value:.4g}"
    return str(value)
