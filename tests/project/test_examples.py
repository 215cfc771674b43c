"""Every script of `examples/` runs in a process of its own and says what it is for."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SAYS = {
    "arrays.py": ("greedy", "on rows that did not:"),
    "compare.py": ("On diabetes", "survives"),
    "estimator.py": ("honest rmse:", "R squared"),
    "images.py": ("convolutional", "new images"),
    "own_model.py": ("Folds:", "ensemble of trials"),
    "study.py": ("best single", "winner", "the run is in"),
}


def test_every_example_is_run() -> None:
    assert sorted(path.name for path in (ROOT / "examples").glob("*.py")) == sorted(SAYS)


@pytest.mark.parametrize("name", sorted(SAYS))
def test_it_runs(name: str, tmp_path: Path) -> None:
    environment = {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        "TF_CPP_MIN_LOG_LEVEL": "3",
        "TMPDIR": str(tmp_path),
    }
    command = [sys.executable, "-W", "error::UserWarning", str(ROOT / "examples" / name)]
    done = subprocess.run(
        command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=240, check=False
    )
    assert done.returncode == 0, done.stderr
    assert [words for words in SAYS[name] if words not in done.stdout] == [], done.stdout


def test_scripts_are_described_in_their_first_line() -> None:
    for name in SAYS:
        first = (ROOT / "examples" / name).read_text(encoding="utf-8").splitlines()[0]
        assert first.startswith('"""') and f"`python examples/{name}`" in first, name
