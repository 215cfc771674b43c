"""The machine is described in plain facts, without its name."""

import json
import os
import platform

from search.hardware import hardware


def test_what_is_found_is_plain_and_anonymous() -> None:
    found = hardware()
    assert found["n_cores"] == os.cpu_count() and found["n_cores_usable"] <= found["n_cores"]
    assert found["memory_gb"] is None or 0.1 < found["memory_gb"] < 1e5
    assert platform.system() in found["system"]
    assert not platform.node() or platform.node() not in json.dumps(list(found.values()))
