"""Members that are no networks: evaluated from arrays, and refused where these do not fit."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from ensemble import fitted
from ensemble.fitted import FittedProgram
from ensemble.model import Ensemble
from tests.safety.ensembles import FAMILY_NAMES, fitted_case, fitted_ensemble

CANDIDATE = fitted_ensemble().candidates[1]
PROGRAM = FittedProgram(CANDIDATE.architecture)
LOAD = """
import sys
sys.modules.update(dict.fromkeys(("tensorflow", "keras", "lightgbm", "xgboost", "catboost", "sklearn")))
import numpy as np
import pandas as pd
from ensemble import Ensemble
rows = pd.read_csv(sys.argv[2])
np.save(sys.argv[3], Ensemble.load(sys.argv[1]).predict_raw(rows), allow_pickle=False)
"""


def test_members_are_evaluated_one_by_one() -> None:
    case = fitted_case()
    inputs = {"numbers": case.table.numbers, "codes": case.table.codes}
    found = PROGRAM(CANDIDATE.weights, inputs)
    assert found.shape == (2, 60, 1) and np.array_equal(found[0], found[1])
    samples = PROGRAM.samples(CANDIDATE.weights, inputs, 3, seed=0)
    assert samples.shape == (3, 2, 60, 1) and np.array_equal(samples[2], found)


def test_rows_are_laid_out_in_portions_that_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    case, sizes = fitted_case(), list[int]()
    inputs = {"numbers": case.table.numbers, "codes": case.table.codes}
    made = fitted_ensemble(("linear", "extra_trees", "boosting"))
    whole = [FittedProgram(one.architecture)(one.weights, inputs) for one in made.candidates]
    plain = fitted.matrix

    def watched(columns: Any, layout: Any, numbers: Any, codes: Any, own: Any) -> Any:
        sizes.append(len(numbers))
        return plain(columns, layout, numbers, codes, own)

    monkeypatch.setattr(fitted, "CHUNK_ROWS", 16)
    monkeypatch.setattr(fitted, "matrix", watched)
    for one, expected in zip(made.candidates, whole, strict=True):
        found = FittedProgram(one.architecture)(one.weights, inputs)
        np.testing.assert_allclose(found, expected, rtol=0, atol=1e-12)
    assert max(sizes) == 16 and sum(sizes) == 3 * 2 * 60


def test_no_library_is_needed_to_load_and_predict(tmp_path: Path) -> None:
    for name in ("lightgbm", "xgboost", "catboost"):
        pytest.importorskip(name, reason="an optional extra")
    made = fitted_ensemble(FAMILY_NAMES)
    made.save(tmp_path / "saved")
    rows = pd.DataFrame({"x": [0.5, None], "gap": [None, 1.0], "flat": 1.0, "color": ["red", "violet"]})
    rows.to_csv(tmp_path / "rows.csv", index=False)
    places = [str(tmp_path / name) for name in ("saved", "rows.csv", "out.npy")]
    subprocess.run([sys.executable, "-c", LOAD, *places], check=True, cwd=Path(__file__).parents[2])
    found = np.load(tmp_path / "out.npy", allow_pickle=False)
    np.testing.assert_allclose(found, made.predict_raw(rows), rtol=0, atol=1e-12)


@pytest.mark.parametrize(
    ("place", "array", "rule"),
    [
        (0, np.zeros(2), "rounds of a fitted trial must be whole"),
        (0, np.array([1, -1]), "rounds of a fitted trial must be whole"),
        (1, np.array([1, 10**9]), "a model must lie within"),
        (2, np.zeros((2, 9)), "the third of bytes"),
        (3, np.zeros((2, 9), np.float32), "statistics must be of 3 numbers"),
        (4, np.zeros((2, 3), np.int32), "statistics must be of 3 numbers"),
        (6, np.zeros((2, 3), np.int32), "slots must be of 6 codes"),
        (6, np.zeros((2, 6), np.float32), "slots must be of 6 codes"),
        (6, np.full((2, 6), 99, np.int32), "slots must lie within"),
        (6, np.full((2, 6), -1, np.int32), "slots must lie within"),
    ],
)
def test_arrays_that_do_not_fit_are_refused(place: int, array: np.ndarray, rule: str) -> None:
    weights = [*CANDIDATE.weights]
    PROGRAM.check(weights)
    weights[place] = array
    with pytest.raises(ValueError, match=rule):
        PROGRAM.check(weights)


def test_a_model_of_other_columns_or_outputs_is_refused() -> None:
    PROGRAM.try_out(CANDIDATE.weights, 1)
    with pytest.raises(ValueError, match="members must have 2 outputs, got 1"):
        PROGRAM.try_out(CANDIDATE.weights, 2)


def test_the_layout_is_that_of_the_schema(tmp_path: Path) -> None:
    made = fitted_ensemble()
    other = Ensemble(type(made.schema)(made.schema.columns[:2]), made.task, made.candidates)
    other.save(tmp_path / "saved")
    with pytest.raises(ValueError, match="must read the columns of the schema"):
        Ensemble.load(tmp_path / "saved")
