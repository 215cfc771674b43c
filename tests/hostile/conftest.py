"""What the tests of malformed input share: no process is started, and each case has an empty folder."""

from __future__ import annotations

from pathlib import Path

import pytest

import search.flow
import search.training.context
import search.workflow


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working directory; what would start a server of training processes does nothing."""
    monkeypatch.chdir(tmp_path)
    for module in (search.flow, search.workflow, search.training.context):
        monkeypatch.setattr(module, "start_server", lambda **_: None)
    return tmp_path
