import subprocess
import sys
from pathlib import Path

import pytest

import ensemble

ROOT = Path(__file__).parents[2]


def test_every_public_name_is_what_it_says():
    for name in ensemble.__all__:
        assert getattr(ensemble, name).__name__ == name
    assert dir(ensemble) == sorted(ensemble.__all__)
    with pytest.raises(AttributeError, match="no attribute 'stack'"):
        _ = ensemble.stack


def test_modules_do_not_take_the_place_of_functions():
    program = (
        "import ensemble.crossfit, ensemble.selection, ensemble.weights, ensemble.diversity, ensemble.model;"
        "from ensemble import __all__; import ensemble;"
        "assert all(callable(getattr(ensemble, name)) for name in __all__)"
    )
    subprocess.run([sys.executable, "-c", program], cwd=ROOT, check=True, timeout=60)


def test_importing_brings_nothing_heavy():
    program = (
        "import sys, ensemble; heavy = {'tensorflow', 'keras', 'pandas', 'scipy'} & set(sys.modules);"
        "assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", program], cwd=ROOT, check=True, timeout=60)
