"""The reported score against the truth, on generated tables: the small version of ``make validity``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from benchmarks.validity import Setting, one_draw, report

N_DRAWS = 8


@pytest.fixture(scope="module")
def tables(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One table with a weak signal, 6,000 rows."""
    folder = tmp_path_factory.mktemp("tables")
    (folder / "weak").mkdir()
    rng = np.random.default_rng(0)
    x = rng.normal(size=(6000, 8))
    signal = 1.2 * x[:, 0] - x[:, 1] + x[:, 2] * x[:, 3]
    frame = pd.DataFrame(x, columns=[f"x{i}" for i in range(8)])
    frame["y"] = np.where(rng.random(6000) < 1 / (1 + np.exp(-signal)), "yes", "no")
    frame.to_csv(folder / "weak" / "weak.csv", index=False)
    meta = {"file": "weak/weak.csv", "target": "y", "task": "binary"}
    (folder / "weak" / "meta.json").write_text(json.dumps(meta))
    return folder


def _draws(tables: Path, is_permuted: bool, n_draws: int) -> list[dict[str, Any]]:
    setting = Setting(
        "weak", 150, "log_loss", n_trials=6, epochs=30, splits=5, repeats=1, is_permuted=is_permuted
    )
    return [one_draw(setting, str(tables), number) for number in range(n_draws)]


def test_what_is_reported_is_true_where_what_is_printed_is_not(tables: Path) -> None:
    table = report(_draws(tables, False, N_DRAWS)).set_index("of")
    for of in ("winner", "ensemble"):
        row = table.loc[of]
        assert row["printed bias"] < row["honest bias"]
        assert abs(row["honest bias"]) < 3.5 * row["honest se"] + 0.005, row
        assert row["coverage"] >= 0.5


def test_permuted_targets_show_chance(tables: Path) -> None:
    for draw in _draws(tables, True, 3):
        ensemble = draw["ensemble"]
        assert ensemble["high"] > draw["chance"] - 0.01  # nobody may claim to be better than chance
        assert ensemble["honest"] > draw["chance"] - 0.05
