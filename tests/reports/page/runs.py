"""Small run folders with everything that the page shows, made without training."""

from pathlib import Path
from typing import Any

import numpy as np

from search.ledger import Event, Ledger, of_best_of
from search.records import Run, Trial

HOSTILE = "</script><script>alert(1)</script>"
QUOTED = "\"'><img src=x onerror=alert(2)>"
N_ROWS = 80
KINDS: dict[str, dict[str, Any]] = {
    "binary": {"kind": "binary", "target_names": [HOSTILE], "classes": ["=no()", QUOTED]},
    "multiclass": {"kind": "multiclass", "target_names": ["y"], "classes": ["a", HOSTILE, "%{x} $y$"]},
    "multilabel": {"kind": "multilabel", "target_names": ["a", HOSTILE], "classes": []},
    "regression": {"kind": "regression", "target_names": [QUOTED], "classes": []},
}
SPACE = {
    "parameters": [
        {"name": "family", "kind": "choice", "options": ["mlp", "linear"]},
        {"name": "mlp.rate", "kind": "float", "low": 1e-4, "high": 1.0, "log": True, "step": None},
        {"name": "mlp.depth", "kind": "int", "low": 1, "high": 4, "log": False, "step": 1},
        {"name": f"mlp.{HOSTILE}", "kind": "choice", "options": [HOSTILE, QUOTED, "x" * 90, "x" * 91]},
        {"name": "linear.penalty", "kind": "float", "low": 0.0, "high": 1.0, "log": False, "step": 0.1},
    ],
    "conditions": {},
    "fixed": {},
}
OPTIONS = (HOSTILE, QUOTED, "x" * 90, "x" * 91)


def trials() -> list[Trial]:
    """Eight completed, one pruned, one failed, one duplicate."""
    rng, found = np.random.default_rng(3), []
    for number in range(8):
        curve = tuple(0.5 + 0.4 / (epoch + 1) + 0.01 * number for epoch in range(6))
        config = {"rate": 10.0 ** -(number % 4), "depth": 1 + number % 4, HOSTILE: OPTIONS[number % 4]}
        found.append(
            Trial(number, "mlp", config, "completed", score=curve[-2], score_se=0.02, train_score=0.3,
                  chosen_epoch=5, checkpoints=(1, 2, 3, 4, 5, 6), curve=curve, train_curve=curve,
                  n_parameters=100 + number, fit_seconds=float(rng.random()),
                  started=f"2026-01-02T03:04:{number:02d}+00:00",
                  finished=f"2026-01-02T03:05:{number:02d}+00:00")
        )  # fmt: skip
    found += [
        Trial(8, "linear", {"penalty": 0.1 + 0.2}, "pruned", score=0.9),
        Trial(9, "linear", {"penalty": 0.5}, "failed", cause=f"{HOSTILE} is no number"),
        Trial(10, "mlp", {}, "duplicate", duplicate_of=0),
    ]
    return found


def targets(kind: str) -> tuple[np.ndarray, np.ndarray]:
    """True and predicted values `(n_rows, n_outputs)`."""
    rng = np.random.default_rng(5)
    z = rng.normal(size=(N_ROWS, 3))
    noisy = z + rng.normal(size=z.shape)
    if kind == "regression":
        return z[:, :1], noisy[:, :1]
    if kind == "multiclass":
        shares = np.exp(noisy)
        return np.eye(3)[z.argmax(axis=1)], shares / shares.sum(axis=1, keepdims=True)
    n = 1 if kind == "binary" else 2
    return (z[:, :n] > 0).astype(np.float64), 1 / (1 + np.exp(-noisy[:, :n]))


def made(path: Path, kind: str = "binary", *, has_evidence: bool = True) -> Run:
    """A finished run; without evidence it is one from before the page existed."""
    run, metric = Run.create(path), "rmse" if kind == "regression" else "log_loss"
    columns = [HOSTILE, "=cmd()", QUOTED, "long " * 40, "\U0001f680 %{x} $y$"]
    run.save_json("run.json", _facts(kind, metric, columns))
    run.save_text("config.toml", f'name = "{HOSTILE}"\n')
    for trial in trials():
        run.append_trial(trial)
    ledger = Ledger(run)
    ledger.append(Event("epoch", 0, 1, 5, N_ROWS, 6, of_best_of(6), None, "epoch 5"))
    ledger.append(Event("winner", None, 1, 5, N_ROWS, 8, of_best_of(8), 0.01, "trial 0"))
    run.save_json("summary.json", _summary(metric))
    run.save_json("leakage.json", _leakage(metric))
    run.save_text("leakage.csv", "stage,looks,share_winner,share_ensemble\nepoch,1,0.01,0.02\n")
    header = "severity,leak,columns,evidence,remedy\n"
    run.save_text("audit.csv", header + f"warning,proxy,x,{HOSTILE} tells the target,drop it\n")
    pairs = {"first": [0, 0, 1], "second": [1, 2, 2], "residual_correlation": [0.9, 0.5, 0.7]}
    gain = {"ensemble_error": 0.1, "member_error": 0.2, "ambiguity": 0.1}
    run.save_json("diversity.json", {"pairs": pairs, "decomposition": gain})
    y, p = targets(kind)
    stored = np.stack([p, p])[:, None].astype(np.float32)
    stored[1, 0, :5] = np.nan
    run.save_arrays("honest.npz", {"ensemble_predictions": stored})
    if has_evidence:
        _add_evidence(run, y, columns)
    return run


def _facts(kind: str, metric: str, columns: list[str]) -> dict[str, Any]:
    return {
        "command": f"python -m search.run study '{HOSTILE}.csv'",
        "metric": metric,
        "seed": 0,
        "dataset": {
            "name": HOSTILE,
            "n_rows": N_ROWS,
            "n_columns": 5,
            "fingerprint": "abc",
            "notes": [QUOTED],
        },
        "task": KINDS[kind],
        "schema": {"columns": [{"name": name, "kind": "number"} for name in columns]},
        "folds": {"kind": "kfold", "n_splits": 5, "n_repeats": 1},
        "versions": {"python": "3.11.7"},
        "space": SPACE,
    }


def _summary(metric: str) -> dict[str, Any]:
    weights = [(0, 0.5), (1, 0.3), (2, 0.2)]
    ensemble = {
        "score": 0.55, "low": 0.5, "high": 0.6, "in_sample_score": 0.52, "method": "greedy", "final": "bag",
        "members": [{"trial": t, "family": "mlp", "weight": w} for t, w in weights],
        "difference": {"mean": -0.02, "low": -0.03, "high": -0.01},
    }  # fmt: skip
    return {
        "metric": metric, "is_higher_better": False, "n_rows": N_ROWS, "ensemble": ensemble,
        "best_single": {"trial": 0, "score": 0.57, "crossfit_score": 0.58, "low": 0.52, "high": 0.64},
        "baselines": [{"name": "dummy", "score": 0.9}, {"name": "linear", "score": 0.65}],
        "stop_reason": "all 11 trials were run", "splits_reason": "5 folds",
    }  # fmt: skip


def _leakage(metric: str) -> dict[str, Any]:
    return {
        "metric": metric,
        "scores": [
            {"what": "best single trial", "printed": 0.57, "honest": 0.58},
            {"what": "ensemble", "printed": 0.52, "honest": 0.55},
        ],
        "stages": [
            {"stage": "epoch", "share_winner": 0.01, "share_ensemble": 0.02},
            {"stage": "winner", "share_winner": None, "share_ensemble": None},
            {"stage": "total", "share_winner": 0.01, "share_ensemble": 0.03},
        ],
        "summary": [{"question": "decisions made from them", "answer": "2 in 2 stages"}],
    }


def _add_evidence(run: Run, y: np.ndarray, columns: list[str]) -> None:
    ends = {"loss_increase": 0.1, "low": 0.05, "high": 0.2}
    run.save_arrays("targets.npz", {"y": y})
    run.save_json(
        "columns.json",
        [
            {"column": c, "kind": "number", "missing": 0.0, "n_distinct": 9, "quantiles": [0, 1, 2, 3, 4]}
            for c in columns
        ],
    )
    run.save_json("hardware.json", {"processor": HOSTILE, "n_cores": 2})
    run.save_json(
        "members.json",
        {
            "method": "greedy", "score": 0.52,
            "left_out": [{"trial": t, "weight": 0.3, **ends} for t in (0, 1, 2)],
            "greedy": {"path": [0, 1, 0], "scores": [0.57, 0.53, 0.54], "n_kept": 2},
        },
    )  # fmt: skip
    keys = ("winner_printed", "winner_honest", "ensemble_printed", "ensemble_honest")
    run.save_json(
        "growth.json", [{"n_trials": n, "last_trial": n - 1, **dict.fromkeys(keys, 0.6)} for n in (3, 11)]
    )
    run.save_json(
        "importance.json",
        {"metric": "log_loss", "score": 0.5, "n_rows": N_ROWS, "n_permutations": 3, "n_left_out": 2,
         "columns": [{"column": c, **ends} for c in columns]},
    )  # fmt: skip
