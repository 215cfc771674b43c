"""The ensemble functions on predictions of one's own: `python examples/arrays.py`.

Nothing here needs TensorFlow or a study: out-of-fold predictions go in, weights come out.
"""

import numpy as np
import pandas as pd
from sklearn.datasets import load_diabetes
from sklearn.ensemble import ExtraTreesRegressor, HistGradientBoostingRegressor
from sklearn.linear_model import RidgeCV
from sklearn.model_selection import KFold, cross_val_predict
from sklearn.neighbors import KNeighborsRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from ensemble import crossfit, decompose, diversity_table, select, weigh

X, y = load_diabetes(return_X_y=True)
models = {
    "ridge": RidgeCV(np.logspace(-3, 1, 9)),
    "neighbours": make_pipeline(StandardScaler(), KNeighborsRegressor(20)),
    "extra trees": ExtraTreesRegressor(60, min_samples_leaf=5, random_state=0),
    "boosting": HistGradientBoostingRegressor(max_iter=30, learning_rate=0.1, random_state=0),
}
folds = KFold(5, shuffle=True, random_state=0)
targets = y[:, None]
candidates = np.stack([cross_val_predict(model, X, y, cv=folds)[:, None] for model in models.values()])
print(f"candidates (n_candidates, n_rows, n_outputs): {candidates.shape}")

greedy = select(candidates, targets, loss="squared_error").weights
table = pd.DataFrame({"greedy": greedy}, index=list(models))
table["convex"] = weigh(candidates, targets, loss="squared_error")
table["squared error"] = ((candidates - targets) ** 2).mean(axis=(1, 2))
print(table.round(3).to_string())

print(pd.DataFrame(diversity_table(candidates, targets, names=list(models))).round(3).to_string())
worth = decompose(candidates, targets, greedy)
print(
    f"{worth.ensemble_error:.0f} of the mix = {worth.member_error:.0f} of its members - {worth.ambiguity:.0f}"
)


def decide(table: np.ndarray, of_rows: np.ndarray, row_weights: np.ndarray | None) -> np.ndarray:
    """The rule that is scored: it is run again without the rows that it is scored on."""
    return select(table, of_rows, loss="squared_error", row_weights=row_weights).weights


replay = crossfit(candidates, targets, decide=decide, rng=np.random.default_rng(0))
print(f"on the rows that chose the weights: {worth.ensemble_error:.1f}")
print(f"on rows that did not:               {replay.score(targets, 'squared_error'):.1f}")
