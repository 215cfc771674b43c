"""Nothing is pickled and nothing that was read is executed: neither in the sources nor in a run folder.

One use is exempt: `multiprocessing` pickles what a parent and its own children send each other through their
pipes. These live in memory, belong to one user and are made by the very process that reads them; nobody else
can write to them, and nothing of it reaches a file.
"""

from __future__ import annotations

import ast
import json
import pickle
import stat
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from search.proposers import optuna_proposer
from spaces.parameters import Float
from spaces.space import Space
from tests.safety.pickles import is_pickle, pickles_below
from tests.search.studies import config_of, done

ROOT = Path(__file__).parents[2]
PACKAGES = ("spaces", "search", "ensemble", "reports")
FILES = sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))

MODULES = {
    "pickle", "_pickle", "cPickle", "pickletools", "dill", "cloudpickle", "joblib", "marshal", "shelve",
    "copyreg", "yaml", "torch", "jsonpickle", "skops", "code", "codeop", "runpy", "dbm",
}  # fmt: skip
BUILTINS = {"eval", "exec", "compile", "__import__"}
METHODS = {
    "eval", "read_pickle", "to_pickle", "read_hdf", "to_hdf", "unsafe_load", "full_load",
    "enable_unsafe_deserialization", "CmaEsSampler",
}  # fmt: skip
SAFE_MODE = {"load_model", "model_from_json", "deserialize_keras_object"}


def findings(source: str) -> Iterator[str]:
    """What in a module could execute what it reads."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (f"import {one.name}" for one in node.names if one.name.split(".")[0] in MODULES)
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] in MODULES:
            yield f"from {node.module} import"
        if isinstance(node, ast.Call):
            yield from _of_call(node)
        if isinstance(node, ast.Attribute) and node.attr in METHODS:
            yield f".{node.attr}"


def _of_call(node: ast.Call) -> Iterator[str]:
    given = {one.arg: one.value for one in node.keywords}
    if isinstance(node.func, ast.Name) and node.func.id in BUILTINS:
        yield f"{node.func.id}()"
    if not isinstance(node.func, ast.Attribute):
        return
    name, owner = node.func.attr, ast.unparse(node.func.value)
    is_array_file = name in ("load", "save", "savez", "savez_compressed") and owner in ("np", "numpy")
    if is_array_file and not _is(given.get("allow_pickle"), False):
        yield f"{owner}.{name} without allow_pickle=False"
    if name in SAFE_MODE and owner != "self" and not _is(given.get("safe_mode"), True):
        yield f"{owner}.{name} without safe_mode=True"
    if owner == "os" and name in ("system", "popen"):
        yield f"os.{name}"
    if _is(given.get("shell"), True):
        yield "shell=True"


def _is(node: ast.expr | None, value: bool) -> bool:
    return isinstance(node, ast.Constant) and node.value is value


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_source_executes_what_it_reads(path: Path) -> None:
    assert list(findings(path.read_text(encoding="utf-8"))) == []


@pytest.mark.parametrize(
    "source",
    [
        "import pickle", "import joblib.numpy_pickle", "from marshal import loads", "import yaml",
        "import torch",
        "eval(text)", "exec(text)", "__import__(name)", "frame.eval(text)", "pd.read_pickle(path)",
        "np.load(path)", "np.load(path, allow_pickle=True)", "np.save(path, a)", "np.savez(path, a=a)",
        "keras.models.load_model(path)", "keras.saving.load_model(path, safe_mode=False)",
        "keras.models.model_from_json(text)", "optuna.samplers.CmaEsSampler()", "os.system(text)",
        "subprocess.run(text, shell=True)", "keras.config.enable_unsafe_deserialization()",
    ],
)  # fmt: skip
def test_such_uses_are_found(source: str) -> None:
    assert list(findings(source))


@pytest.mark.parametrize(
    "source",
    ["np.load(path, allow_pickle=False)", "self.load_model(trial)", "json.loads(text)", "re.compile(a)"],
)
def test_other_uses_are_let_pass(source: str) -> None:
    assert not list(findings(source))


def test_pickles_are_found_where_they_hide(tmp_path: Path) -> None:
    blob = pickle.dumps({"state": np.arange(3)})
    assert is_pickle(blob) and is_pickle(pickle.dumps(Path("x"), protocol=0))
    assert not is_pickle(b"\x93NUMPY") and not is_pickle(b"text.") and not is_pickle(b"")
    (tmp_path / "a.bin").write_bytes(blob)
    (tmp_path / "journal.log").write_text(json.dumps({"attr": blob.hex()}))
    np.savez(tmp_path / "o.npz", x=np.array([{"a": 1}], object))
    found = pickles_below(tmp_path)
    assert [where.split(",")[0].split(":")[0] for where in found] == ["a.bin", "journal.log", "o.npz"]


def test_a_run_folder_holds_no_pickle_and_is_its_owners(tmp_path: Path) -> None:
    config = config_of(tmp_path, "ill", families=("linear", "boosting", "mlp"), trials=3, epochs=3)
    run = done(config)
    assert {trial.family for trial in run.trials()} == {"linear", "boosting", "mlp"}
    assert (run.path / "journal.log").is_file() and (run.path / "ensemble").is_dir()
    assert pickles_below(run.path) == []
    assert stat.S_IMODE(run.path.stat().st_mode) == 0o700  # nobody else reaches what lies below
    assert stat.S_IMODE((run.path / "ensemble").stat().st_mode) == 0o700
    others = [path for path in (run.path / "ensemble").iterdir() if stat.S_IMODE(path.stat().st_mode) & 0o077]
    assert others == []


@pytest.mark.parametrize("sampler", ["tpe", "random", "qmc", "cmaes"])
def test_a_journal_holds_no_pickle(sampler: str, tmp_path: Path) -> None:
    if sampler == "cmaes":
        pytest.importorskip("cmaes", reason="an optional extra")
    proposer = optuna_proposer(
        Space({name: Float(0, 1) for name in "xyz"}),
        sampler=sampler,  # type: ignore[arg-type]
        seed=0,
        storage_path=tmp_path / "journal.log",
    )
    for _ in range(30):
        proposal = proposer.ask()
        assert proposal is not None
        proposer.tell(proposal, sum(float(value or 0) for value in proposal.config.values()), "completed")
    assert pickles_below(tmp_path) == []
