"""Families load their module when it is needed, and not before."""

from __future__ import annotations

import subprocess
import sys
import types
from typing import Any

import pytest

from spaces.families import FAMILIES, Family
from spaces.parameters import Int
from spaces.space import Space


def test_naming_a_family_imports_no_tensorflow() -> None:
    code = (
        "import sys, spaces.families as f; assert f.FAMILIES; "
        "loaded = {'tensorflow', 'keras', 'spaces.mlp'} & set(sys.modules); assert not loaded, loaded"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


def test_functions_of_the_module_are_called(monkeypatch: pytest.MonkeyPatch) -> None:
    module: Any = types.ModuleType("toy_family")
    module.default_space = lambda signature: Space({"depth": Int(1, signature)})
    module.build = lambda config, signature: ("model", config, signature)
    module.structure = lambda config: (config["depth"],)
    module.dials = lambda config: {"rate": 0.1}
    monkeypatch.setitem(sys.modules, "toy_family", module)
    toy: Any = Family("toy", "toy_family", is_network=True)
    assert toy.space(3).parameters["depth"] == Int(1, 3)
    assert toy.build({"depth": 2}, 3) == ("model", {"depth": 2}, 3)
    assert toy.structure({"depth": 2}) == (2,)
    assert toy.dials({"depth": 2}) == {"rate": 0.1}


def test_registry_names_agree() -> None:
    assert all(name == entry.name for name, entry in FAMILIES.items())
    assert FAMILIES["mlp"].module == "spaces.mlp"
