"""Whether an installation works: versions, imports, a small study for each way of training, its ensemble."""

from __future__ import annotations

import importlib
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from search.hardware import versions
from search.records import Run

if TYPE_CHECKING:
    import pandas as pd

NEEDED = (
    "numpy", "scipy", "pandas", "pyarrow", "sklearn", "pydantic", "typer", "rich", "optuna", "cmaes",
    "keras_tuner", "keras", "tensorflow",
)  # fmt: skip
OPTIONAL = ("lightgbm", "xgboost", "catboost")
N_ROWS = 120
SMALLEST_SPACE: dict[str, Any] = {
    "depth": 1, "width": 16, "block": "plain", "shape": "constant", "activation": "relu",
    "normalization": "none", "wide": False, "scaling": "standard", "numbers": "plain", "feature_scale": False,
    "dropout": 0.0, "dropout_schedule": "constant", "l1_on": False, "l2_on": False, "optimizer": "adam",
    "beta2": 0.999, "schedule": "constant", "batch_size": 32, "learning_rate": 0.03,
}  # fmt: skip


class DoctorError(ValueError):
    """A check that did not find what it must."""


@dataclass(frozen=True)
class Check:
    """One thing that was checked.

    Attributes
    ----------
    name : str
    is_ok : bool
    words : str
        What was found, or what failed; one line.
    seconds : float
    """

    name: str
    is_ok: bool
    words: str
    seconds: float

    @property
    def line(self) -> str:
        """The check in one line."""
        return f"{'ok' if self.is_ok else 'failed':6}  {self.name}: {self.words}"


def checks() -> Iterator[Check]:
    """Check an installation on a synthetic table, in a folder of its own; one result after the other.

    The runs are made in a temporary folder and removed.
    """
    yield _checked("versions", _versions)
    imported = _checked("imports", _imports)
    yield imported
    if not imported.is_ok:
        return
    yield _checked("optional packages", _optional)
    with tempfile.TemporaryDirectory(prefix="foldstack-doctor-") as folder:
        place = Path(folder)
        frame = synthetic()
        frame.drop(columns="day").to_csv(place / "table.csv", index=False)
        frame.to_csv(place / "timed.csv", index=False)
        study = _checked("study, networks trained together and trees", lambda: _study(place))
        yield study
        if study.is_ok:
            yield _checked("ensemble saved and loaded again", lambda: _saved_again(place))
            yield _checked("prediction in a process of its own", lambda: _predicted_elsewhere(place))
            yield _checked("report", lambda: _report(place))
        yield _checked("study, networks trained one by one", lambda: _timed_study(place))
        yield _checked("KerasTuner's tuner, networks trained by Keras", lambda: _fit(place))


def synthetic(n_rows: int = N_ROWS) -> pd.DataFrame:
    """A table that can be learned: two numbers, one with gaps, a text column, a time, a target `y`."""
    import numpy as np
    import pandas as pd

    rng = np.random.default_rng(0)
    x, gaps = rng.normal(size=(2, n_rows))
    city = rng.choice(["north", "south"], n_rows)
    y = np.where(2.0 * x + gaps + (city == "south") + 0.3 * rng.normal(size=n_rows) > 0.5, "yes", "no")
    frame = pd.DataFrame({"x": x, "gaps": gaps, "city": city, "day": np.arange(n_rows), "y": y})
    frame.loc[rng.random(n_rows) < 0.1, "gaps"] = np.nan
    return frame


def _checked(name: str, check: Callable[[], str]) -> Check:
    started = time.perf_counter()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            words, is_ok = check(), True
    except Exception as error:  # whatever is broken: that is what is asked here
        words, is_ok = " ".join(f"{type(error).__name__}: {error}".split())[:300], False
    return Check(name, is_ok, words, time.perf_counter() - started)


def _versions() -> str:
    found = versions()
    missing = [n for n, number in found.items() if number == "not installed" and n != "foldstack"]
    if missing:
        raise DoctorError(f"not installed: {', '.join(missing)}")
    if not (3, 11) <= sys.version_info[:2] < (3, 13):
        raise DoctorError(f"Python must be 3.11 or 3.12, not {found['python']}")
    return ", ".join(f"{name} {number}" for name, number in found.items())


def _imports() -> str:
    from spaces.startup import import_tensorflow

    import_tensorflow()
    for name in NEEDED:
        importlib.import_module(name)
    return f"{len(NEEDED)} packages"


def _optional() -> str:
    found = [name for name in OPTIONAL if importlib.util.find_spec(name) is not None]
    for name in found:
        importlib.import_module(name)
    return ", ".join(found) or "none (pip install 'foldstack[boosting]')"


def _config(place: Path, table: str, run: str, **more: Any) -> Any:
    from search.config import check

    return check(
        {
            "data": str(place / table), "target": "y", "splits": 3, "repeats": 1, "epochs": 12, "draws": 20,
            "audit": False, "seed": 1, "out": str(place / run), "ensemble": "greedy", "calibration": "none",
            "space": {"mlp": SMALLEST_SPACE}, **more,
        }
    )  # fmt: skip


def _studied(config: Any) -> Run:
    import io

    from rich.console import Console

    from search import flow
    from search.preparation import has_networks, prepare
    from search.progress import Progress
    from search.training.context import start_server

    start_server(needs_networks=has_networks(config))
    prepared, run = prepare(config), Run.create(config.out)
    with Progress(config.trials, prepared.metric.name, console=Console(file=io.StringIO())) as quiet:
        flow.carry_out(run, config, prepared, command="doctor", progress=quiet)
    failed = next((trial for trial in run.trials() if trial.status == "failed"), None)
    if failed is not None:
        raise DoctorError(f"a {failed.family} failed: {failed.cause}")
    return run


def _words_on(run: Run, *ways: str) -> str:
    """How the study went; its networks must have been trained in the ways expected, and beat the dummy."""
    found = {str(trial.way) for trial in run.trials()}
    if found != set(ways):
        raise DoctorError(f"trained {', '.join(sorted(found))}, where {', '.join(ways)} was expected")
    summary = run.load_json("summary.json")
    dummy = next(one["score"] for one in summary["baselines"] if one["name"] == "dummy")
    score = summary["ensemble"]["score"]
    if not score < dummy:
        raise DoctorError(f"log_loss {score:.3g} is not below that of the class frequencies, {dummy:.3g}")
    return f"{', '.join(ways)}; log_loss {score:.3g} against {dummy:.3g} of the class frequencies"


def _study(place: Path) -> str:
    config = _config(
        place, "table.csv", "run", families=("mlp", "linear"), trials=2, sampler="random", ensemble="uniform"
    )
    return _words_on(_studied(config), "stacked", "fitted")


def _timed_study(place: Path) -> str:
    config = _config(place, "timed.csv", "timed", families=("mlp",), trials=1, time_column="day")
    return _words_on(_studied(config), "looped")


def _loaded(place: Path) -> Any:
    from ensemble import Ensemble

    return Ensemble.load(place)


def _saved_again(place: Path) -> str:
    import numpy as np
    import pandas as pd

    rows = pd.read_csv(place / "table.csv")
    first = _loaded(place / "run" / "ensemble")
    first.save(place / "again")
    mine, theirs = first.predict_raw(rows), _loaded(place / "again").predict_raw(rows)
    if not np.isfinite(mine).all() or not np.array_equal(mine, theirs):
        raise DoctorError(f"predictions differ by up to {np.abs(mine - theirs).max():.3g} after loading")
    return f"{len(first.candidates)} members, the same {len(rows)} predictions"


def _predicted_elsewhere(place: Path) -> str:
    import numpy as np
    import pandas as pd

    rows, out = place / "table.csv", place / "out.csv"
    command = [sys.executable, "-m", "search.run", "predict", str(place / "run"), str(rows), "-o", str(out)]
    root = Path(__file__).resolve().parents[1]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, timeout=60, check=False)
    if done.returncode:
        raise DoctorError(f"predict ended with {done.returncode}: {done.stderr[-200:]}")
    theirs = pd.read_csv(out).iloc[:, -1].to_numpy(np.float64)
    mine = _loaded(place / "run" / "ensemble").predict_raw(pd.read_csv(rows))[:, 0]
    furthest = float(np.abs(mine - theirs).max())
    if furthest > 1e-5:
        raise DoctorError(f"predictions differ by up to {furthest:.3g} between processes")
    return f"the same within {furthest:.1g}"


def _report(place: Path) -> str:
    from reports.report import write_report

    written = write_report(Run.open(place / "run"))
    return ", ".join(path.name for path in written)


def _fit(place: Path) -> str:
    """A KerasTuner search whose model is trained by its own ``fit``."""
    import contextlib
    import io
    import logging

    import keras
    import keras_tuner as kt
    import numpy as np

    from search.kfold_tuner import KFoldTuner

    class Own(kt.HyperModel):  # type: ignore[misc]
        def build(self, hp: Any) -> Any:
            layers = [keras.Input((2,)), keras.layers.Dense(4, "relu"), keras.layers.Dense(1, "sigmoid")]
            model = keras.Sequential(layers)
            rate = hp.Float("lr", 1e-3, 1e-1, sampling="log")
            model.compile(keras.optimizers.Adam(rate), "binary_crossentropy")
            return model

        def fit(self, hp: Any, model: Any, x: Any, y: Any, **kwargs: Any) -> Any:
            return model.fit(x * 0.5, y, **kwargs)

    logging.getLogger("tensorflow").setLevel(logging.ERROR)
    x = np.random.default_rng(0).normal(size=(60, 2))
    tuner = KFoldTuner(Own(), max_trials=1, n_splits=3, seed=0, directory=place, project_name="fit")
    with contextlib.redirect_stdout(io.StringIO()):
        tuner.search(x, (x[:, 0] > 0).astype(int), epochs=2)
    (trial,) = tuner.oracle.trials.values()
    way = tuner.folds(trial.trial_id).way
    if trial.status != "COMPLETED" or way != "fit":
        raise DoctorError(f"the trial ended {trial.status} and was trained {way}")
    return f"{way}; 3 folds"
