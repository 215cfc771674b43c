"""Is the reported score true? Studies on rows drawn from real tables, against the score on all other rows.

    python -m benchmarks.validity --data DATASETS [--draws 40] [--tables a,b] [--sampler tpe] [--out FOLDER]

For each draw: n rows are drawn, a whole study runs on them, and the truth T of what the study reports (its
winner, its ensemble: the fold models' mean score, not the bagged predictor's) is measured on rows that were
not drawn. The statistic is S - T - C: S a reported score, C the luck of the draw, measured by the linear
model, which is fixed before looking: its score on the drawn rows less its score on the rest. Every draw is
appended to a file, so that an interrupted run goes on where it stopped.

DATASETS is a folder with one folder per table: ``NAME/meta.json`` (``file``, ``target``) and the table.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import shutil
import tempfile
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

SPACE = {
    "depth": [1, 2],
    "width": 32,
    "shape": "constant",
    "activation": "relu",
    "normalization": "none",
    "l1": "off",
    "l2": {"low": 1e-6, "high": 1e-2, "log": True},
    "l2_on": True,
    "optimizer": "adam",
    "batch_size": 32,
}
N_TRUTH = 5000


@dataclass(frozen=True)
class Setting:
    """One row of the result: a table, its size, the metric and how the study is run."""

    table: str
    n_rows: int
    metric: str
    sampler: str = "random"
    epoch_choice: str = "common"
    groups: str | None = None
    n_trials: int = 12
    epochs: int = 40
    splits: int = 5
    repeats: int = 2
    is_permuted: bool = False

    @property
    def key(self) -> str:
        """A name for files and tables."""
        parts = [self.table, str(self.n_rows), self.metric, self.sampler, self.epoch_choice]
        return "-".join([*parts, *(["permuted"] if self.is_permuted else [])])


def settings(sampler: str) -> list[Setting]:
    """The settings: regression, binary, multiclass; means of rows and rank metrics; permuted targets."""
    main = [
        Setting("kin8nm", 300, "rmse", sampler),
        Setting("phoneme", 300, "log_loss", sampler),
        Setting("california_housing", 300, "rmse", sampler),
        Setting("car_eval", 300, "log_loss", sampler),
    ]
    more = [
        Setting("phoneme", 300, "auc", sampler),
        Setting("phoneme", 150, "log_loss", sampler),
        Setting("phoneme", 300, "log_loss", sampler, epoch_choice="fold"),
        Setting("phoneme", 300, "log_loss", sampler, is_permuted=True),
    ]
    return main + more


def one_draw(setting: Setting, data: str, number: int) -> dict[str, Any]:
    """Run one study and measure its truth."""
    from search.config import StudyConfig
    from search.data import from_frame
    from search.flow import carry_out
    from search.preparation import lay_out
    from search.progress import Progress
    from search.records import Run

    seed = 1000 + number
    rng = np.random.default_rng([seed, len(setting.table), setting.n_rows])
    meta = json.loads((Path(data) / setting.table / "meta.json").read_text())
    frame = pd.read_csv(Path(data) / meta["file"])
    frame = frame.drop(columns=meta.get("drop") or []).dropna(subset=[meta["target"]]).reset_index(drop=True)
    if setting.is_permuted:
        frame[meta["target"]] = rng.permutation(frame[meta["target"]].to_numpy())
    order = rng.permutation(len(frame))
    drawn, rest = frame.iloc[order[: setting.n_rows]], frame.iloc[order[setting.n_rows :][:N_TRUTH]]
    config = StudyConfig(
        demo="iris", metric=setting.metric, sampler=setting.sampler, trials=setting.n_trials, seed=seed,
        epochs=setting.epochs, splits=setting.splits, repeats=setting.repeats, space=SPACE,
        epoch_choice=setting.epoch_choice, draws=200,  # type: ignore[arg-type]
    )  # fmt: skip
    dataset = from_frame(drawn, meta["target"], task=_kind(meta), name=setting.table)
    prepared = lay_out(config, dataset)
    place = Path(tempfile.mkdtemp()) / "run"
    try:
        run = Run.create(place)
        with open(os.devnull, "w") as nowhere:
            from rich.console import Console

            progress = Progress(setting.n_trials, setting.metric, console=Console(file=nowhere))
            carry_out(run, config, prepared, command="validity", progress=progress)
        return {"setting": setting.key, "draw": number, **measured(run, prepared, rest)}
    finally:
        shutil.rmtree(place.parent, ignore_errors=True)


def _kind(meta: dict[str, Any]) -> Any:
    return meta["task"] if meta["task"] in ("binary", "multiclass", "regression") else None


def measured(run: Any, prepared: Any, rest: pd.DataFrame) -> dict[str, Any]:
    """What the study says, what others would print, and the truth of each."""
    from search.objective import loss_of
    from search.targets import coded

    metric, summary = prepared.metric, run.load_json("summary.json")
    leakage = {row["what"]: row for row in run.load_json("leakage.json")["scores"]}
    trials = {t.number: t for t in run.trials() if t.status == "completed"}
    weights = {m["trial"]: m["weight"] for m in summary["ensemble"]["members"]}
    y, rows = coded(rest, prepared.dataset.task)
    table = prepared.dataset.schema.read(rest.iloc[rows])
    inputs = {"numbers": table.numbers, "codes": table.codes}
    winner = summary["best_single"]["trial"]
    best_fold = min(trials.values(), key=lambda t: (loss_of(t, metric), t.number)).number
    predicted = {n: fold_predictions(run.weights(n), inputs) for n in {winner, best_fold, *weights}}
    ensemble = np.sum([w * predicted[n] for n, w in weights.items()], axis=0)

    def truth(fold_models: np.ndarray) -> float:
        return float(np.mean([metric.score(y, p) for p in fold_models]))

    sign = -1.0 if metric.is_higher_better else 1.0
    scores = {name: row for name, row in leakage.items()}
    return {
        "sign": sign,
        "luck": linear_luck(prepared, table, y),
        "chance": next(b["score"] for b in summary["baselines"] if b["name"] == "dummy"),
        "winner": {**scores["best single trial"], "truth": truth(predicted[winner])},
        "ensemble": {**scores["ensemble"], "truth": truth(ensemble)},
        "bagged_truth": float(metric.score(y, ensemble.mean(axis=0))),
        "n_completed": len(trials),
    }


def fold_predictions(arrays: dict[str, Any], inputs: dict[str, np.ndarray]) -> np.ndarray:
    """Predictions of each fold model of a trial ``(n_members, n_rows, n_outputs)`` in raw units."""
    from ensemble.evaluation import Program

    program = Program(str(arrays["architecture"]))
    outputs = program([arrays[k] for k in sorted(arrays) if k.startswith("weight_")], inputs)
    return outputs * arrays["target_scale"][:, None] + arrays["target_center"][:, None]


def linear_luck(prepared: Any, table: Any, y: np.ndarray) -> float:
    """The linear model's score on the drawn rows, held out, less its score on the rest."""
    from search.baselines import _predict_linear
    from search.splits import Member
    from search.training.trained import pooled_loss
    from spaces.schema import Table

    dataset, metric = prepared.dataset, prepared.metric
    both = replace(
        dataset,
        table=Table(
            np.concatenate([dataset.table.numbers, table.numbers]),
            np.concatenate([dataset.table.codes, table.codes]),
        ),
        y=np.concatenate([dataset.y, y]),
    )
    rest = np.arange(dataset.n_rows, dataset.n_rows + len(y))
    inside = np.full((prepared.folds.n_repeats, *dataset.y.shape), np.nan)
    outside = []
    for member in prepared.folds.members():
        everything = np.concatenate([member.held, rest])
        found = _predict_linear(both, Member(member.repeat, member.fold, member.train, everything))
        inside[member.repeat, member.held] = found[: len(member.held)]
        outside.append(metric.score(y, found[len(member.held) :]))
    return float(pooled_loss(metric.score, dataset.y, inside) - np.mean(outside))


def report(lines: list[dict[str, Any]]) -> pd.DataFrame:
    """One row per setting and subject: bias of what is printed and of ours (as losses), coverage, width."""
    rows = []
    for key in dict.fromkeys(line["setting"] for line in lines):
        mine = [line for line in lines if line["setting"] == key]
        for subject in ("winner", "ensemble"):
            rows.append({"setting": key, "of": subject, **_row(mine, subject)})
    return pd.DataFrame(rows)


def _row(lines: list[dict[str, Any]], subject: str) -> dict[str, Any]:
    sign = lines[0]["sign"]
    luck = np.array([line["luck"] for line in lines])
    names = ("printed", "honest", "low", "high", "truth")
    get = {name: np.array([line[subject][name] for line in lines], float) for name in names}
    printed = sign * (get["printed"] - get["truth"] - luck)
    honest = sign * (get["honest"] - get["truth"] - luck)
    n = len(lines)
    return {
        "draws": n,
        "truth": get["truth"].mean(),
        "printed bias": printed.mean(),
        "printed se": printed.std(ddof=1) / np.sqrt(n),
        "honest bias": honest.mean(),
        "honest se": honest.std(ddof=1) / np.sqrt(n),
        "coverage": float(np.mean((get["low"] <= get["truth"]) & (get["truth"] <= get["high"]))),
        "width": float(np.mean(get["high"] - get["low"])),
    }


def _work(arguments: tuple[Setting, str, int]) -> dict[str, Any] | None:
    try:
        return one_draw(*arguments)
    except Exception as error:  # a draw without, say, one of the classes: said, not hidden
        setting, _, number = arguments
        print(f"{setting.key} draw {number}: {type(error).__name__}: {error}", flush=True)
        return None


def main() -> None:
    """Run the draws that are not there yet, then print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", required=True)
    parser.add_argument("--draws", type=int, default=40)
    parser.add_argument("--first", type=int, default=0, help="number of the first draw")
    parser.add_argument("--tables", default="")
    parser.add_argument("--sampler", default="random")
    parser.add_argument("--out", default="runs/validity")
    parser.add_argument("--workers", type=int, default=2)
    given = parser.parse_args()
    out = Path(given.out)
    out.mkdir(parents=True, exist_ok=True)
    file = out / "draws.jsonl"
    done = [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []
    known = {(line["setting"], line["draw"]) for line in done}
    wanted = [s for s in settings(given.sampler) if not given.tables or s.table in given.tables.split(",")]
    left = [
        (s, given.data, n) for n in range(given.first, given.draws) for s in wanted if (s.key, n) not in known
    ]
    os.environ.setdefault("TF_NUM_INTRAOP_THREADS", "1")
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    context = multiprocessing.get_context("spawn")
    with (
        ProcessPoolExecutor(given.workers, context) as pool,
        open(file, "a") as stored,
    ):
        for future in as_completed([pool.submit(_work, arguments) for arguments in left]):
            line = future.result()
            if line is not None:
                stored.write(json.dumps(line) + "\n")
                stored.flush()
                done.append(line)
    table = report(done)
    table.to_csv(out / "validity.csv", index=False)
    with pd.option_context("display.width", 200, "display.max_columns", 20):
        print(table.round(4).to_string(index=False))


if __name__ == "__main__":
    main()
