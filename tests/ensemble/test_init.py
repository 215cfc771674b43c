import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import ensemble

ROOT = Path(__file__).parents[2]


def test_every_public_name_is_what_it_says():
    for name in ensemble.__all__:
        assert getattr(ensemble, name).__name__ == name
    assert dir(ensemble) == sorted(ensemble.__all__)
    with pytest.raises(AttributeError, match="no attribute 'stack'"):
        _ = ensemble.stack


def test_modules_do_not_take_the_place_of_functions():
    program = (
        "import ensemble.crossfit, ensemble.selection, ensemble.weights, ensemble.diversity, ensemble.model;"
        "from ensemble import __all__; import ensemble;"
        "assert all(callable(getattr(ensemble, name)) for name in __all__)"
    )
    subprocess.run([sys.executable, "-c", program], cwd=ROOT, check=True, timeout=60)


def test_importing_brings_nothing_heavy():
    program = (
        "import sys, ensemble; heavy = {'tensorflow', 'keras', 'pandas', 'scipy'} & set(sys.modules);"
        "assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", program], cwd=ROOT, check=True, timeout=60)


def test_anyones_predictions_are_served_by_this_folder_alone(tmp_path):
    """Nothing else of the project is importable, and nothing that trains is imported."""
    program = """
import sys
import numpy as np
import ensemble
from ensemble import Pool, calibrate, choose_method, crossfit, diversity_table, select, select_bagged
from ensemble import select_diverse, weigh

rng = np.random.default_rng(0)
y = (rng.random((60, 1)) < 0.5).astype(float)
candidates = np.clip(0.5 + 0.3 * (y - 0.5) + 0.2 * rng.normal(size=(4, 60, 1)), 0.01, 0.99)
for weights in (
    select(candidates, y, loss="log_loss").weights,
    weigh(candidates, y, loss="log_loss"),
    select_bagged(candidates, y, loss="log_loss"),
    select_diverse(candidates, y, loss="log_loss").weights,
    choose_method(Pool(candidates, y, "log_loss")).weights,
):
    assert weights.shape == (4,) and abs(weights.sum() - 1) < 1e-9
calibrate(candidates[0], y)
diversity_table(candidates, y)
heavy = {"tensorflow", "keras", "optuna", "pandas", "sklearn", "spaces", "search", "reports"}
assert not heavy & set(sys.modules), heavy & set(sys.modules)
"""
    shutil.copytree(ROOT / "ensemble", tmp_path / "ensemble", ignore=shutil.ignore_patterns("__pycache__"))
    subprocess.run(
        [sys.executable, "-I", "-c", f"import sys; sys.path.insert(0, {str(tmp_path)!r})" + program],
        cwd=tmp_path,
        check=True,
        timeout=60,
    )
