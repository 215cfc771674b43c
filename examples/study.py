"""A whole study from Python, read with pandas: `python examples/study.py`."""

import pandas as pd

from reports.leaderboard import leaderboard
from search.config import check
from search.flow import study
from search.records import Run

config = check(
    {
        "demo": "diabetes",
        "families": ["linear", "boosting"],
        "trials": 6,
        "repeats": 1,
        "draws": 100,
        "space": {"boosting": {"learning_rate": 0.1}},
    }
)
outcome = study(config, command="examples/study.py")
run = Run.open(outcome.run_path)

board = leaderboard(run)
print(board[["entry", "family", "score", "low", "high", "scored", "ensemble_weight"]].head(8).to_string())

trials = pd.read_parquet(run.path / "trials.parquet")
print(trials.groupby("family")["score"].agg(["count", "min", "mean"]))

ledger = pd.read_parquet(run.path / "ledger.parquet")
print(ledger.groupby("stage")[["alternatives", "nats"]].sum())
print(f"the run is in {run.path}")
