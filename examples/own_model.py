"""A Keras model of one's own, tuned on folds as KerasTuner's users do: `python examples/own_model.py`.

The same function serves the command line, on any table with a binary target:

    python -m search.run study --demo breast_cancer --model examples.own_model:build --trials 6
"""

from typing import Any

import keras


def build(hp: Any) -> keras.Model:
    """A network as KerasTuner's users write it."""
    model = keras.Sequential()
    for layer in range(hp.Int("n_layers", 1, 2)):
        model.add(keras.layers.Dense(hp.Choice(f"units_{layer}", [16, 32]), activation="relu"))
    if hp.Boolean("has_dropout"):
        model.add(keras.layers.Dropout(0.3))
    model.add(keras.layers.Dense(1, activation="sigmoid"))
    rate = hp.Float("learning_rate", 1e-3, 1e-1, sampling="log")
    model.compile(keras.optimizers.Adam(rate), "binary_crossentropy", metrics=["accuracy"])
    return model


def main() -> None:
    """Search, then weigh the trials."""
    import tempfile

    from sklearn.datasets import load_breast_cancer
    from sklearn.preprocessing import scale

    from search.kfold_tuner import KFoldTuner

    X, y = load_breast_cancer(return_X_y=True)
    with tempfile.TemporaryDirectory() as folder:
        tuner = KFoldTuner(build, objective="val_loss", max_trials=4, n_splits=5, seed=0, directory=folder)
        tuner.search(scale(X), y, epochs=15, batch_size=64, verbose=0)
        tuner.results_summary(2)
        best = tuner.oracle.get_best_trials(1)[0]
        print(f"\nout-of-fold predictions of the best trial: {tuner.out_of_fold(best.trial_id).shape}")
        mix = tuner.ensemble()
        print(f"ensemble of trials {', '.join(mix.trial_ids)} with weights {mix.weights.round(2).tolist()}")
        print(f"log loss on rows that did not choose the weights: {mix.loss:.4f}")


if __name__ == "__main__":
    main()
