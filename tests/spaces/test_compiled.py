"""What the engine may take over from a compiled model, and what it must not."""

from __future__ import annotations

from typing import Any

import pytest

from spaces.compiled import NotHonoured, read_compiled

keras = pytest.importorskip("keras", reason="networks need Keras")


def _model(optimizer: Any = "adam", loss: Any = "mse", **options: Any) -> Any:
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    model.compile(optimizer=optimizer, loss=loss, **options)
    return model


@pytest.mark.parametrize(
    ("optimizer", "training"),
    [
        (lambda: "adam", {"optimizer": "adam", "beta2": 0.999, "learning_rate": 0.001}),
        (
            lambda: keras.optimizers.AdamW(0.25, weight_decay=0.5),
            {"optimizer": "adamw", "beta2": 0.999, "weight_decay": 0.5, "learning_rate": 0.25},
        ),
        (lambda: keras.optimizers.SGD(0.5, momentum=0.9), {"optimizer": "sgd", "learning_rate": 0.5}),
        (lambda: "sgd", {"optimizer": "plain_sgd", "learning_rate": 0.01}),
        (lambda: "rmsprop", {"optimizer": "rmsprop", "learning_rate": 0.001}),
    ],
)
def test_optimizers_of_the_engine(optimizer: Any, training: dict[str, Any]) -> None:
    found = dict(read_compiled(_model(optimizer())).training)
    assert (found.pop("optimizer"), found) == (training.pop("optimizer"), pytest.approx(training))


@pytest.mark.parametrize(
    ("optimizer", "reason"),
    [
        (lambda: keras.optimizers.SGD(momentum=0.5), "no momentum=0.5 of sgd"),
        (lambda: keras.optimizers.Adam(clipnorm=1.0), "no clipnorm=1.0 of adam"),
        (lambda: keras.optimizers.Adam(weight_decay=0.1), "no weight_decay of adam"),
        (
            lambda: keras.optimizers.Adam(keras.optimizers.schedules.CosineDecay(0.1, 5)),
            "learning rate schedule",
        ),
        (lambda: "nadam", "no optimizer 'Nadam'"),
    ],
)
def test_what_the_engine_does_not_know_is_told(optimizer: Any, reason: str) -> None:
    with pytest.raises(NotHonoured, match=reason):
        read_compiled(_model(optimizer()))


def test_decay_of_some_weights_only() -> None:
    optimizer = keras.optimizers.AdamW()
    optimizer.exclude_from_weight_decay(var_names=["bias"])
    with pytest.raises(NotHonoured, match="decays all weights alike"):
        read_compiled(_model(optimizer))


def test_losses() -> None:
    sparse = read_compiled(_model(loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True)))
    assert (sparse.is_sparse, sparse.is_logits, sparse.kind(3)) == (True, True, "multiclass")
    binary = read_compiled(_model(loss="binary_crossentropy"))
    assert (binary.kind(1), binary.kind(3), binary.is_logits) == ("binary", "multilabel", False)
    assert read_compiled(_model(loss=keras.losses.mean_squared_error)).serves("regression")
    for loss, reason in (
        ("mae", "no loss"),
        (keras.losses.BinaryCrossentropy(label_smoothing=0.1), "label_smoothing"),
    ):
        with pytest.raises(NotHonoured, match=reason):
            read_compiled(_model(loss=loss))
    with pytest.raises(NotHonoured, match="loss_weights"):
        read_compiled(_model(loss="mse", loss_weights=[2.0]))
