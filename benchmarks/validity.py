"""Is the reported score true? Studies on rows drawn from real tables, against the score on all other rows.

    python -m benchmarks.validity --data DATASETS [--draws 40] [--set all] [--tables a,b] [--out FOLDER]

For each draw: n rows are drawn, a whole study runs on them, and the truth T of what the study reports (its
winner, its ensemble: the fold models' mean score, not the bagged predictor's) is measured on rows that were
not drawn. The statistic is S - T - C: S a reported score, C the luck of the draw, measured by the linear
model, which is fixed before looking: its score on the drawn rows, held out in random folds of its own, less
its score on the rest, so that C is zero on average. Every draw is appended to a file, so that an interrupted
run goes on where it stopped.

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
    "block": "plain",
    "wide": False,
    "scaling": "standard",
    "numbers": "plain",
    "feature_scale": False,
    "dropout_schedule": "constant",
    "beta2": 0.999,
}
NETWORKS: dict[str, Any] = {"families": ("mlp",), "ensemble": "greedy", "calibration": "none"}
FAMILIES: dict[str, Any] = {"families": ("linear", "boosting", "mlp", "extra_trees")}
N_TRUTH = 5000


@dataclass(frozen=True)
class Setting:
    """One row of the result: a table, its size, the metric and how the study is run."""

    table: str
    n_rows: int
    metric: str
    sampler: str = "random"
    epoch_choice: str = "common"
    is_grouped: bool = False
    stratify: bool | None = None
    n_trials: int = 12
    epochs: int = 40
    splits: int = 5
    repeats: int = 2
    is_permuted: bool = False
    has_families: bool = False

    @property
    def key(self) -> str:
        """A name for files and tables."""
        changed = {
            "grouped": self.is_grouped,
            "permuted": self.is_permuted,
            "families": self.has_families,
            "stratified": self.stratify is True,
            f"{self.splits}x{self.repeats}": (self.splits, self.repeats) != (5, 2),
        }
        parts = [self.table, str(self.n_rows), self.metric, self.sampler, self.epoch_choice]
        return "-".join([*parts, *(name for name, is_so in changed.items() if is_so)])


PHONEME = Setting("phoneme", 300, "log_loss")
MAIN = (Setting("kin8nm", 300, "rmse"), PHONEME, Setting("california_housing", 300, "rmse"),
        Setting("car_eval", 300, "log_loss"))  # fmt: skip
ABLATIONS = (
    replace(PHONEME, metric="auc"),
    replace(PHONEME, n_rows=150),
    replace(PHONEME, epoch_choice="fold"),
    replace(PHONEME, is_permuted=True),
    replace(PHONEME, sampler="tpe"),
    Setting("california_housing", 300, "rmse", is_grouped=True),
    replace(PHONEME, splits=3),
    replace(PHONEME, splits=10, repeats=1),
    replace(PHONEME, repeats=1),
    replace(PHONEME, repeats=3),
    replace(PHONEME, n_rows=150, stratify=True),
    Setting("car_eval", 300, "log_loss", stratify=True),
)
JOINT = (replace(PHONEME, has_families=True), Setting("california_housing", 300, "rmse", has_families=True))
SETS = {"main": MAIN, "ablations": ABLATIONS, "joint": JOINT, "all": (*MAIN, *ABLATIONS, *JOINT)}
CELL = 0.25  # degrees of longitude and latitude: houses of one cell are a group
MOST_OF_A_GROUP = 15


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
    drawn, rest = in_groups(frame, setting, rng) if setting.is_grouped else at_random(frame, setting, rng)
    config = StudyConfig(
        demo="iris", metric=setting.metric, sampler=setting.sampler, trials=setting.n_trials, seed=seed,
        epochs=setting.epochs, splits=setting.splits, repeats=setting.repeats, space=SPACE,
        epoch_choice=setting.epoch_choice, draws=200, stratify=setting.stratify,  # type: ignore[arg-type]
        **(FAMILIES if setting.has_families else NETWORKS),
    )  # fmt: skip
    groups = "group" if setting.is_grouped else None
    dataset = from_frame(drawn, meta["target"], task=_kind(meta), name=setting.table, groups=groups)
    prepared = lay_out(config, dataset)
    place = Path(tempfile.mkdtemp()) / "run"
    try:
        run = Run.create(place)
        with open(os.devnull, "w") as nowhere:
            from rich.console import Console

            progress = Progress(setting.n_trials, setting.metric, console=Console(file=nowhere))
            carry_out(run, config, prepared, command="validity", progress=progress)
        return {"setting": setting.key, "draw": number, **measured(run, prepared, rest, rng)}
    finally:
        shutil.rmtree(place.parent, ignore_errors=True)


def at_random(
    frame: pd.DataFrame, setting: Setting, rng: np.random.Generator
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Rows for the study, and others for the truth."""
    order = rng.permutation(len(frame))
    return frame.iloc[order[: setting.n_rows]], frame.iloc[order[setting.n_rows :][:N_TRUTH]]


def in_groups(
    frame: pd.DataFrame, setting: Setting, rng: np.random.Generator
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Whole groups (cells of the map, at most 15 houses of each) for the study, others for the truth."""
    cell = np.floor(frame[["longitude", "latitude"]] / CELL).astype(int).astype(str).agg("_".join, axis=1)
    frame = frame.assign(group=cell).iloc[rng.permutation(len(frame))]
    frame = frame[frame.groupby("group").cumcount() < MOST_OF_A_GROUP]
    sizes = frame["group"].value_counts()
    names = rng.permutation(sizes.index.to_numpy())
    n_groups = int(np.searchsorted(sizes[names].cumsum(), setting.n_rows)) + 1
    is_drawn = frame["group"].isin(names[:n_groups])
    return frame[is_drawn], frame[~is_drawn].iloc[:N_TRUTH]


def _kind(meta: dict[str, Any]) -> Any:
    return meta["task"] if meta["task"] in ("binary", "multiclass", "regression") else None


def measured(run: Any, prepared: Any, rest: pd.DataFrame, rng: np.random.Generator) -> dict[str, Any]:
    """What the study says, what others would print, and the truth of each."""
    from ensemble.calibration import Calibration
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
    known = summary["ensemble"]["calibration"]
    if known is not None:
        ensemble = np.stack([Calibration.from_json(known).apply(one) for one in ensemble])

    def truth(fold_models: np.ndarray) -> float:
        return float(np.mean([metric.score(y, p) for p in fold_models]))

    sign = -1.0 if metric.is_higher_better else 1.0
    scores = {name: row for name, row in leakage.items()}
    return {
        "sign": sign,
        "luck": linear_luck(prepared, table, y, rng),
        "chance": next(b["score"] for b in summary["baselines"] if b["name"] == "dummy"),
        "winner": {**scores["best single trial"], "truth": truth(predicted[winner])},
        "ensemble": {**scores["ensemble"], "truth": truth(ensemble)},
        "bagged_truth": float(metric.score(y, ensemble.mean(axis=0))),
        "n_completed": len(trials),
    }


def fold_predictions(arrays: dict[str, Any], inputs: dict[str, np.ndarray]) -> np.ndarray:
    """Predictions of each fold model of a trial ``(n_members, n_rows, n_outputs)`` in raw units."""
    from ensemble.evaluation import program_of

    program = program_of(str(arrays["architecture"]))
    outputs = program([arrays[k] for k in sorted(arrays) if k.startswith("weight_")], inputs)
    return outputs * arrays["target_scale"][:, None] + arrays["target_center"][:, None]


def linear_luck(prepared: Any, table: Any, y: np.ndarray, rng: np.random.Generator) -> float:
    """The linear model's score on the drawn rows, held out at random, less its score on the rest."""
    from search.baselines import _predict_linear
    from search.splits import Member, make_folds
    from search.training.trained import pooled_loss
    from spaces.schema import Table

    dataset, metric = prepared.dataset, prepared.metric
    numbers = np.concatenate([dataset.table.numbers, table.numbers])
    codes = np.concatenate([dataset.table.codes, table.codes])
    both = replace(dataset, table=Table(numbers, codes), y=np.concatenate([dataset.y, y]))
    folds = make_folds(dataset, n_splits=5, n_repeats=1, is_stratified=not metric.is_mean_of_rows, rng=rng)
    rest = np.arange(dataset.n_rows, dataset.n_rows + len(y))
    inside, outside = np.full((1, *dataset.y.shape), np.nan), []
    for member in folds.members():
        everything = np.concatenate([member.held, rest])
        found = _predict_linear(both, Member(member.repeat, member.fold, member.train, everything))
        inside[0, member.held] = found[: len(member.held)]
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
    parser.add_argument("--set", default="main", choices=SETS, help="which settings")
    parser.add_argument("--out", default="runs/validity")
    parser.add_argument("--workers", type=int, default=2)
    given = parser.parse_args()
    out = Path(given.out)
    out.mkdir(parents=True, exist_ok=True)
    file = out / "draws.jsonl"
    done = [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []
    known = {(line["setting"], line["draw"]) for line in done}
    wanted = [s for s in SETS[given.set] if not given.tables or s.table in given.tables.split(",")]
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
