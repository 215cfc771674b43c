"""Two runs on one table, compared by their honest scores: `python examples/compare.py`."""

import tempfile
from pathlib import Path

from reports.compare import compare
from search.config import check
from search.flow import study

common = {"demo": "diabetes", "trials": 4, "repeats": 1, "draws": 100, "seed": 0}

with tempfile.TemporaryDirectory() as folder:
    places = []
    for family in ("linear", "random_forest"):
        config = check({**common, "families": family, "out": str(Path(folder) / family)})
        places.append(study(config, command="examples/compare.py").run_path)
    found = compare(places)
    print(*found.sentences, sep="\n")
    print(found.runs[["run", "score", "low", "high", "n_trials"]].to_string())
    print(found.pairs[["of", "first", "second", "difference", "low", "high", "p", "survives"]].to_string())
