"""What is measured: the same rows, folds, epochs, batch sizes and configurations for every way to train.

Free of TensorFlow, so that scikit-learn is measured in a process that never imports it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from search.data import Dataset, demo, from_arrays, from_frame
from search.splits import Member, make_folds
from spaces.blocks import frame_of
from spaces.mlp import default_space, widths
from spaces.signature import Signature

Array = NDArray[Any]
Config = dict[str, Any]

N_EPOCHS_A, N_EPOCHS_B, N_EPOCHS_C = 30, 10, 30
N_CONFIGS = 30
N_TRIALS_F = 6
TINY: Config = {
    "depth": 1, "width": 16, "shape": "constant", "activation": "relu", "normalization": "none",
    "dropout": 0.0, "l1_on": False, "l2_on": False, "optimizer": "adam", "learning_rate": 1e-3,
    "schedule": "constant", "batch_size": 32,
}  # fmt: skip
CONFIG_A: Config = {**TINY, "depth": 3, "width": 64, "dropout": 0.2}
CONFIG_B: Config = {**TINY, "depth": 3, "width": 256, "batch_size": 256}
TRAINED: Config = {
    "dropout": 0.1, "optimizer": "adam", "learning_rate": 6e-3, "schedule": "cosine", "batch_size": 64,
    "label_smoothing": 0.0,
}  # fmt: skip
CONFIG_D: Config = {
    "n_blocks": 2, "filters": 32, "kernel_size": 3, "convolution": "separable", "growth": 2,
    "activation": "relu", "pooling": "mean", "shift": 0.0, "flip": False, **TRAINED,
}  # fmt: skip
CONFIG_E: Config = {
    "unit": "gru", "n_layers": 1, "width": 32, "is_bidirectional": True, "pooling": "mean", **TRAINED,
}  # fmt: skip


@dataclass(frozen=True)
class Workload:
    """Configurations to train on the folds of one table.

    Attributes
    ----------
    dataset : Dataset
        Rows, features, targets; a task of classes without missing values.
    members : tuple of Member
        Training and held-out rows of each model, repeat after repeat.
    configs : tuple of dict
        Of the family's default space.
    family : str
        Of the networks.
    """

    name: str
    dataset: Dataset
    members: tuple[Member, ...]
    configs: tuple[Config, ...]
    n_epochs: int
    family: str = "mlp"

    @property
    def signature(self) -> Signature:
        """What a family may know of the table."""
        return Signature(self.dataset.schema, self.dataset.task, self.dataset.n_rows)

    def fold(self, member: Member) -> tuple[Array, Array, Array, Array]:
        """``X_train, y_train, X_held, y_held`` of a member, standardised by its training rows, float32.

        A table that is one block comes as its arrays, standardised channel by channel.
        """
        X, y = self.dataset.table.numbers, self.dataset.y.astype(np.float32)
        if self.dataset.schema.blocks:
            X = X.reshape(len(X), *self.dataset.schema.blocks[0].shape)
        axes = tuple(range(X.ndim - 1)) if X.ndim > 2 else 0
        center, scale = X[member.train].mean(axis=axes), X[member.train].std(axis=axes)
        return (
            (X[member.train] - center) / scale,
            y[member.train],
            (X[member.held] - center) / scale,
            y[member.held],
        )


def workload(name: str, n_configs: int = N_CONFIGS) -> Workload:
    """A workload by its letter, ``"a"`` to ``"f"``; only ``"c"`` has several configurations."""
    dataset = DATASETS.get(name, cancer)()
    n_repeats = 1 if name in ("b", "d", "e") else 3
    folds = make_folds(dataset, n_splits=5, n_repeats=n_repeats, rng=np.random.default_rng(0))
    configs: tuple[Config, ...]
    if name == "c":
        signature = Signature(dataset.schema, dataset.task, dataset.n_rows)
        configs, n_epochs = sampled(signature, n_configs), N_EPOCHS_C
    else:
        configs, n_epochs = ONE_CONFIG[name]
    family = {"d": "convolutional", "e": "recurrent"}.get(name, "mlp")
    return Workload(name, dataset, folds.members(), configs, n_epochs, family)


def cancer() -> Dataset:
    """569 rows of 30 numbers, two classes."""
    return from_frame(*demo("breast_cancer"), name="breast_cancer")


def digits() -> Dataset:
    """1,797 grey images of 8 x 8, ten classes."""
    from sklearn.datasets import load_digits

    found = load_digits()
    frame = frame_of({"image": found.images[..., None].astype(np.float32)})
    return from_frame(frame.assign(digit=found.target), "digit", name="digits")


def bumps(n_rows: int = 2000, n_steps: int = 20, n_features: int = 4) -> Dataset:
    """Sequences of noise with two bumps in two features; the class is which of them comes first."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(n_rows, n_steps, n_features)).astype(np.float32)
    at = np.stack([rng.permutation(n_steps)[:2] for _ in range(n_rows)])
    for feature in (0, 1):
        x[np.arange(n_rows), at[:, feature], feature] += 4.0
    return from_frame(frame_of({"steps": x}).assign(first=at[:, 0] < at[:, 1]), "first", name="bumps")


def wide_table(n_rows: int = 20_000) -> Dataset:
    """20,000 rows of 50 numbers, two classes."""
    from sklearn.datasets import make_classification

    X, y = make_classification(n_rows, 50, n_informative=20, random_state=0)
    return from_arrays(X.astype(np.float32), y, name="wide")


DATASETS = {"b": wide_table, "d": digits, "e": bumps}
ONE_CONFIG: dict[str, tuple[tuple[Config, ...], int]] = {
    "a": ((CONFIG_A,), N_EPOCHS_A),
    "b": ((CONFIG_B,), N_EPOCHS_B),
    "d": ((CONFIG_D,), N_EPOCHS_A),
    "e": ((CONFIG_E,), N_EPOCHS_A),
    "f": ((CONFIG_A,), N_EPOCHS_A),
}
PLAIN: dict[str, Any] = {
    "block": "plain",
    "wide": False,
    "scaling": "standard",
    "numbers": "plain",
    "feature_scale": False,
    "dropout_schedule": "constant",
    "label_smoothing": 0.0,
    "beta2": 0.999,
}  # what the rivals can build too


def sampled(signature: Signature, n_configs: int, seed: int = 0) -> tuple[Config, ...]:
    """Configurations drawn at random from the default space."""
    rng = np.random.default_rng(seed)
    space = default_space(signature).override(PLAIN)
    return tuple(space.sample(rng) for _ in range(n_configs))


def n_weights(config: Mapping[str, Any], n_features: int, n_outputs: int) -> int:
    """Kernel entries and biases of a network without normalisation."""
    sizes = [n_features, *widths(config), n_outputs]
    return sum(before * after + after for before, after in pairwise(sizes))


def n_operations(work: Workload, config: Mapping[str, Any]) -> float:
    """Floating-point operations of the matrix products of one trial.

    A product of ``(n, p)`` and ``(p, q)`` counts ``2 n p q``: three such for each layer and training row
    (forward, gradients of kernel and input), but two for the first layer; one for each held-out row.
    """
    sizes = [work.dataset.schema.n_columns, *widths(config), work.dataset.n_outputs]
    products = [before * after for before, after in pairwise(sizes)]
    n_train = sum(len(member.train) for member in work.members) * work.n_epochs
    n_held = sum(len(member.held) for member in work.members)
    return 2.0 * (n_train * (3 * sum(products) - products[0]) + n_held * sum(products))
