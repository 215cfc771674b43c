"""The flow has one direction: upstream never imports downstream."""

from pathlib import Path

import pytest

from tests.project.imports import modules, violations

ROOT = Path(__file__).parents[2]
MODULES = dict(modules(ROOT))


@pytest.mark.parametrize("module", MODULES)
def test_the_import_rule(module: str) -> None:
    assert violations(module, MODULES[module].read_text(encoding="utf-8")) == []


def test_all_packages_are_walked() -> None:
    assert {name.split(".")[0] for name in MODULES} == {"spaces", "search", "ensemble", "reports"}
    assert {"search.run", "search.records", "reports.leaderboard", "search.__init__"} <= set(MODULES)


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("spaces.mlp", "import search.data"),
        ("spaces.mlp", "from search import data"),
        ("spaces.mlp", "def f():\n    from ensemble import Ensemble"),
        ("search.study", "from ensemble import select"),
        ("search.study", "from reports.leaderboard import leaderboard"),
        ("search.study", "import importlib\nimportlib.import_module('ensemble.model')"),
        ("search.study", "from . import run"),
        ("search.study", "from search.flow import study"),
        ("search.training.stacked", "from .. import flow"),
        ("search.flow", "from search.run import main"),
        ("ensemble.selection", "from spaces.task import Task"),
        ("ensemble.model", "from spaces.mlp import build"),
        ("ensemble.model", "from search import metrics"),
        ("reports.leaderboard", "from search import data"),
        ("reports.leaderboard", "import search"),
        ("reports.leaderboard", "from spaces.task import Task"),
    ],
)
def test_the_rule_can_be_broken(module: str, source: str) -> None:
    assert violations(module, source) != []


@pytest.mark.parametrize(
    ("module", "source"),
    [
        (
            "search.run",
            "from search import flow\nfrom reports import leaderboard\nfrom ensemble import Ensemble",
        ),
        ("search.flow", "import ensemble, spaces.space, reports.report"),
        ("search.study", "from . import records\nfrom spaces.space import Space\nimport numpy"),
        ("search.training.stacked", "from .. import records\nfrom .program import Program"),
        ("ensemble.model", "from spaces.schema import Schema\nfrom ensemble import weights"),
        ("reports.report", "from search.records import Run\nfrom search.metrics import METRICS\nimport json"),
        ("ensemble.__init__", "from .selection import select"),
    ],
)
def test_the_rule_allows_the_flow(module: str, source: str) -> None:
    assert violations(module, source) == []
