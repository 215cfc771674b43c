"""Saved ensembles to alter, and a file that must not appear."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from ensemble.model import Ensemble
from tests.ensemble import models
from tests.safety.ensembles import fitted_ensemble


@pytest.fixture
def canary(tmp_path: Path) -> Iterator[Path]:
    """A file that must not appear."""
    path = tmp_path / "canary"
    yield path
    assert not path.exists()


@pytest.fixture
def saved(tmp_path: Path, canary: Path) -> Path:
    fitted_ensemble().save(tmp_path / "saved")
    return tmp_path / "saved"


@pytest.fixture(scope="module")
def network() -> Ensemble:
    made = models.ensemble("binary")
    made.predict(models.frame(5))  # TensorFlow takes seconds to start
    return made


@pytest.fixture
def networks(network: Ensemble, tmp_path: Path, canary: Path) -> Path:
    network.save(tmp_path / "networks")
    return tmp_path / "networks"
