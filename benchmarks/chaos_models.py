"""Models of a user that raise, hang, leave the finite numbers or eat memory, between good ones."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from benchmarks.chaos_studies import ROOT, Ground, Result, finish

MODEL = """
import time
import keras

class Bad(keras.layers.Layer):
    def __init__(self, mode):
        super().__init__()
        self.mode = mode

    def call(self, x, training=False):
        if self.mode == "hangs":
            time.sleep(10_000)
        if self.mode == "eats":
            self.held = [bytearray(b"x" * 2**20) for _ in range(4_000)]
        if self.mode in ("inf", "nan") and not training:
            return x + float(self.mode)
        return x

    def compute_output_shape(self, shape):
        return shape

def build(hp):
    mode = hp.Choice("mode", ["good", "raises", "hangs", "diverges", "nan", "inf", "eats"])
    units = hp.Int("units", 3, 5)
    if mode == "raises":
        raise RuntimeError("this model cannot be built")
    layers = [keras.layers.Dense(units, activation="relu"), keras.layers.Dense(1, activation="sigmoid")]
    model = keras.Sequential(layers if mode in ("good", "diverges") else [*layers, Bad(mode)])
    rate = 1e30 if mode == "diverges" else 0.01
    model.compile(optimizer=keras.optimizers.RMSprop(rate), loss="binary_crossentropy")
    return model
"""
BAD = {
    "raises": ("a model that raises", "cannot be built"),
    "hangs": ("a model that hangs, `--trial-time 60s`", "longer than"),
    "diverges": ("a model whose loss leaves the finite numbers", "not finite"),
    "nan": ("a model that predicts NaN", "not finite"),
    "inf": ("a model that predicts inf", "not finite"),
    "eats": ("a model that eats memory, `--trial-memory 2500`", "more than"),
}
N_OF_EACH = 3


def bad_models(ground: Ground) -> list[Result]:
    """All of them in one study, which goes through a grid."""
    from search.records import Run

    (ground.folder / "bad_model.py").write_text(MODEL, encoding="utf-8")
    n_trials = N_OF_EACH * (1 + len(BAD))
    options = (
        "--model",
        "bad_model:build",
        "--sampler",
        "grid",
        "--trials",
        str(n_trials),
        "--max-failures",
        "99",
    )
    limits = ("--trial-time", "60s", "--trial-memory", "2500")
    out = ground.new()
    code, said = finish(ground.words(out, options, *limits), PYTHONPATH=f"{ROOT}:{ground.folder}")
    if code:
        return [Result("bad models", n_trials, f"exit code {code}: {said}", False)]
    trials = Run.open(out).trials()
    ends = {
        mode: [(t.status, t.cause or "") for t in trials if t.config["mode"] == mode]
        for mode in ("good", *BAD)
    }
    is_whole = [status for status, _ in ends["good"]] == ["completed"] * N_OF_EACH and _is_finite(out)
    return [_row(what, ends[mode], wanted, is_whole) for mode, (what, wanted) in BAD.items()]


def _row(what: str, ends: Sequence[tuple[str, str]], wanted: str, is_whole: bool) -> Result:
    is_good = len(ends) == N_OF_EACH and all(status == "failed" and wanted in cause for status, cause in ends)
    others = "the others are completed" if is_whole else "the others are NOT all completed"
    status, cause = ends[0] if ends else ("missing", "")
    return Result(what, len(ends), f"{status}: {cause[:120]}; {others}", is_good and is_whole)


def _is_finite(out: Path) -> bool:
    """Whether the study has an ensemble of good models alone."""
    from search.records import Run

    run = Run.open(out)
    good = {trial.number for trial in run.trials() if trial.config["mode"] == "good"}
    members = {int(member["trial"]) for member in run.load_json("summary.json")["ensemble"]["members"]}
    return bool(members) and members <= good
