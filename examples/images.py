"""Images in one array, searched with a small convolutional network: `python examples/images.py`."""

import tempfile
from pathlib import Path

import numpy as np
from sklearn.datasets import load_digits

from ensemble import Ensemble
from reports.leaderboard import leaderboard
from search.config import check
from search.flow import study
from search.records import Run
from spaces.blocks import frame_of

digits = load_digits()
order = np.random.default_rng(0).permutation(len(digits.target))
images, names = digits.images[order, :, :, None].astype("float32"), digits.target[order].astype(str)
n_rows = 400

with tempfile.TemporaryDirectory() as folder:
    data = Path(folder) / "digits.npz"
    np.savez(data, pixel=images[:n_rows], digit=names[:n_rows])  # each (n_rows, ...)
    config = check(
        {
            "data": str(data),
            "target": "digit",
            "inputs": {"pixel": "image"},  # three places are an image without being told
            "families": "convolutional",
            "trials": 2,
            "epochs": 10,
            "splits": 3,
            "repeats": 1,
            "draws": 0,
            "space": {"filters": 16, "n_blocks": 1, "convolution": "full", "pooling": "flatten"},
            "out": str(Path(folder) / "run"),
        }
    )
    run = Run.open(study(config, command="examples/images.py").run_path)
    board = leaderboard(run)
    print(board[["entry", "family", "score", "scored", "ensemble_weight", "parameters"]].to_string())

    ensemble = Ensemble.load(run.path / "ensemble")
    found = ensemble.predict(frame_of({"pixel": images[n_rows:]}))
    print(f"right on {(found == names[n_rows:]).mean():.1%} of {len(found)} new images")
