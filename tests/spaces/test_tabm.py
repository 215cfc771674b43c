"""TabM: what is sampled can be built, and a prediction is the mean of the members' own."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from spaces import tabm
from tests.spaces.test_mlp import COLUMNS, TASKS, inputs_of, signature_of

PLAIN: dict[str, Any] = {
    "k": 8, "adapters": "all", "depth": 1, "width": 32, "activation": "relu", "dropout": 0.0,
    "optimizer": "adamw", "weight_decay": 1e-3, "beta2": 0.999, "learning_rate": 1e-3, "schedule": "constant",
    "batch_size": 16,
}  # fmt: skip


@pytest.mark.parametrize("columns", list(COLUMNS))
@pytest.mark.parametrize("kind", list(TASKS))
def test_every_sampled_configuration_builds(kind: str, columns: str) -> None:
    signature = signature_of(kind, columns)
    space, rng = tabm.default_space(signature), np.random.default_rng(len(kind) * 10 + len(columns))
    config = space.sample(rng)
    model = tabm.build(config, signature)
    output = np.asarray(model(inputs_of(columns), training=False))
    assert output.shape == (4, signature.n_outputs) and np.isfinite(output).all()
    if kind == "multiclass":
        assert np.allclose(output.sum(axis=1), 1.0, atol=1e-6)
    own = np.asarray(model(inputs_of(columns), training=True))
    assert own.shape == (4, config["k"], signature.n_outputs)
    assert np.ptp(own, axis=1).max() > 0


@pytest.mark.parametrize("kind", ["binary", "multiclass", "regression"])
def test_prediction_is_the_mean_of_the_members(kind: str) -> None:
    model = tabm.build(PLAIN, signature_of(kind, "both"))
    own, mean = (np.asarray(model(inputs_of("both"), training=t)) for t in (True, False))
    assert own.shape[1] == 8 and np.allclose(mean, own.mean(axis=1), atol=1e-6)


@pytest.mark.parametrize("kind", list(TASKS))
def test_first_configs_are_admissible(kind: str) -> None:
    for n_rows in (30, 500, 100_000):
        for columns in COLUMNS:
            signature = signature_of(kind, columns, n_rows)
            space = tabm.default_space(signature)
            for config in tabm.first_configs(signature):
                assert space.contains(config), space.explain(config)


@pytest.mark.parametrize(
    "change",
    [
        {"k": 16}, {"adapters": "first"}, {"depth": 2}, {"width": 64}, {"activation": "mish"},
        {"dropout": 0.2}, {"scaling": "robust"}, {"numbers": "periodic"}, {"feature_scale": True},
        {"clip": True},
    ],
)  # fmt: skip
def test_what_shapes_the_program_is_in_the_structure(change: dict[str, Any]) -> None:
    assert tabm.structure({**PLAIN, **change}) != tabm.structure(PLAIN)


def test_numbers_are_not_in_the_structure() -> None:
    config = {**PLAIN, "dropout": 0.2, "numbers": "periodic", "sigma": 0.1}
    other = {**config, "dropout": 0.3, "sigma": 0.4, "learning_rate": 0.1, "weight_decay": 0.1, "beta2": 0.9}
    assert tabm.structure(config) == tabm.structure(other)
    assert tabm.dials(other) == {"dial_dropout": 0.3, "dial_sigma": 0.4}
    model = tabm.build(config, signature_of("regression", "both"))
    found = {v.name for v in model.non_trainable_variables}
    assert set(tabm.dials(other)) <= found


def test_members_share_most_weights() -> None:
    signature = signature_of("regression", "numbers")
    few, many = (
        tabm.build({**PLAIN, "width": 256, "depth": 3, "k": k}, signature).count_params() for k in (8, 16)
    )
    assert many < 1.15 * few
