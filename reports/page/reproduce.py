"""How to make the run again: command, configuration, seeds, versions, hashes, hardware."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from reports.page.figure import Section
from reports.page.markup import heading, pairs, paragraph, text
from reports.summary import facts_of, part
from search.records import Run

_HARDWARE = {"n_cores": "cores", "n_cores_usable": "cores usable", "memory_gb": "memory (GB)"}


def gather(run: Run) -> dict[str, Any]:
    """Configuration, hashes and hardware; what is not in the run is None."""
    told = facts_of(run)
    space = told.get("space")
    return {
        "configuration": (run.path / "config.toml").read_text(encoding="utf-8")
        if run.has("config.toml")
        else None,
        "hashes": {
            "table": part(told, "dataset").get("source") or part(told, "dataset").get("fingerprint"),
            "development rows": part(told, "dataset").get("fingerprint"),
            "splits": part(told, "folds").get("fingerprint"),
            "space": None if space is None else _sha256(space),
        },
        "hardware": run.load_json("hardware.json") if run.has("hardware.json") else None,
    }


def _sha256(record: Any) -> str:
    """As `spaces.space.Space.fingerprint`."""
    return hashlib.sha256(json.dumps(record, sort_keys=True, ensure_ascii=True).encode()).hexdigest()


def section(facts: Mapping[str, Any]) -> Section:
    """Everything that another person needs."""
    found = facts["reproduce"]
    hardware = {_HARDWARE.get(name, name): value for name, value in (found["hardware"] or {}).items()}
    command, configuration = found.get("command"), found["configuration"]
    body = [
        paragraph(
            "The same command with the same versions on the same table gives the same run; times differ."
        ),
        f"<pre><code>{text(command)}</code></pre>" if command else "",
        pairs({"seed": found.get("seed"), "seeds": found.get("seeds")}),
        heading("Configuration"),
        f"<pre><code>{text(configuration)}</code></pre>"
        if configuration
        else paragraph("It was not stored.", "note"),
        heading("Versions"),
        pairs(found.get("versions") or {}),
        heading("Hashes (SHA-256)"),
        f'<div class="hash">{pairs(found["hashes"])}</div>',
        heading("Hardware"),
        pairs(hardware) or paragraph("It was not stored in this run.", "note"),
    ]
    return Section("reproduce", "How to reproduce", "".join(body))
