"""Random tables on which a packed booster must predict what its library predicts."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from hypothesis import strategies as st

from spaces.task import Kind
from tests.spaces.checks import Case, case

N_TRAINING = 150


@st.composite
def tables(draw: st.DrawFn) -> tuple[Case, np.ndarray]:
    """A table with gaps, ties and categories of few and many levels, and a matrix of odd rows to predict."""
    kind: Kind = draw(st.sampled_from(("binary", "multiclass", "regression")))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    n = N_TRAINING + 80
    frame = pd.DataFrame(
        {
            "smooth": rng.normal(size=n),
            "ties": rng.integers(-2, 3, n) / 2,
            "few": rng.choice(list("abcd"), n),
            "many": rng.choice([f"level {k}" for k in range(draw(st.integers(9, 40)))], n),
        }
    )
    for name in frame:
        frame.loc[rng.random(n) < draw(st.sampled_from((0.0, 0.2))), name] = None
    hidden = rng.normal(size=(2, 300))
    effect = hidden[0, pd.factorize(frame["many"])[0]] + hidden[1, pd.factorize(frame["few"])[0]]
    made = case(kind, frame, np.nan_to_num(frame["smooth"]) + frame["ties"].fillna(3).to_numpy() + effect)
    return made, rng.permutation(np.arange(n))


def odd_rows(x: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Rows with gaps where training had none, slots that it never saw, and numbers beyond its range."""
    found = x.copy()
    places = rng.random(found.shape) < 0.1
    numbers = np.arange(found.shape[1]) < 2
    found[places & numbers] = rng.choice(
        [np.nan, 1e30, -1e30, 0.0, -0.0, 1e-40], int((places & numbers).sum())
    )
    found[places & ~numbers] = rng.choice([40.0, 77.0, 300.0], int((places & ~numbers).sum()))
    return found


def largest_difference(module: Any, drawn: tuple[Case, np.ndarray], rate: float) -> float:
    """Between the library's predictions and those of the packed arrays, at all readings."""
    made, order = drawn
    x, rows = made.x(module), order[:N_TRAINING]
    config = {**module.first_configs(made.signature)[0], "learning_rate": rate}
    model = module.fit(config, made.signature, x[rows], made.y[rows], seed=1)
    again = module.unpack(module.pack(model))
    new, rounds = odd_rows(x, np.random.default_rng(0)), module.rounds(config)
    theirs, ours = (np.stack(module.predict_rounds(one, new, rounds)) for one in (model, again))
    return float(np.abs(theirs - ours).max())
