"""A study as a scikit-learn estimator, on its diabetes table: `python examples/estimator.py`."""

from sklearn.datasets import load_diabetes
from sklearn.model_selection import train_test_split

from search.estimators import FoldstackRegressor

X, y = load_diabetes(return_X_y=True, as_frame=True)
X_train, X_test, y_train, y_test = train_test_split(X, y, test_size=0.25, random_state=0)

model = FoldstackRegressor(preset="fast", trials=6, metric="rmse", random_state=0, verbose=True)
model.fit(X_train, y_train)

low, high = model.honest_interval_
print(model.leaderboard_[["entry", "family", "score", "scored", "ensemble_weight"]].head(8).to_string())
print(f"honest {model.metric_}: {model.honest_score_:.1f}, 95 % interval {low:.1f} to {high:.1f}")
error = ((model.predict(X_test) - y_test) ** 2).mean() ** 0.5
print(f"on the test rows: {error:.1f}; R squared {model.score(X_test, y_test):.2f}")
