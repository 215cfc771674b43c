"""Faults, tried: what becomes of a study that is killed, starved, corrupted or given a bad model.

``python -m benchmarks.chaos [--kills 50] [--only NAME] [--out FILE]`` runs each fault on real studies in
processes of their own and prints a table of what happened. It fails if anything finished was lost, anything
was counted twice, or a message does not say what to do.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from benchmarks import chaos_faults, chaos_files, chaos_kills, chaos_models, chaos_workers
from benchmarks.chaos_studies import Ground, Result

Fault = Callable[[Ground], list[Result]]
FAULTS: dict[str, Fault] = {
    "kill": chaos_kills.killed,
    "signals": chaos_kills.asked_to_end,
    "children": chaos_workers.children_killed,
    "workers": chaos_workers.workers_killed,
    "coordinator": chaos_workers.coordinator_killed,
    "database": chaos_workers.database_killed,
    "twice": chaos_faults.doubled,
    "full": chaos_faults.full,
    "read-only": chaos_faults.unwritable,
    "clock": chaos_faults.jumped,
    "models": chaos_models.bad_models,
    "altered": chaos_files.altered,
}


def main() -> int:
    """Run the faults that are asked for; the exit code is 1 if one did not end as it must."""
    asked = _asked()
    folder = Path(tempfile.mkdtemp(prefix="chaos-"))
    ground = Ground(folder, asked.kills)
    try:
        results = [
            result
            for name, fault in FAULTS.items()
            if asked.only in (None, name)
            for result in _timed(fault, ground)
        ]
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    text = table(results)
    print(text)
    if asked.out is not None:
        asked.out.write_text(text + "\n", encoding="utf-8")
    return 0 if all(result.is_good for result in results) else 1


def _asked() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--kills", type=int, default=50, help="moments of kill -9 that must have struck")
    parser.add_argument("--only", choices=list(FAULTS))
    parser.add_argument("--out", type=Path, help="also write the table there")
    return parser.parse_args()


def _timed(fault: Fault, ground: Ground) -> list[Result]:
    started = time.monotonic()
    results = fault(ground)
    for result in results:
        print(f"{result.fault}: {result.found}", file=sys.stderr)
    print(f"({time.monotonic() - started:.0f} s)", file=sys.stderr, flush=True)
    return results


def table(results: list[Result]) -> str:
    """The results as a Markdown table."""
    rows = [f"| {r.fault} | {r.n_times} | {r.found} | {'yes' if r.is_good else '**no**'} |" for r in results]
    return "\n".join(["| fault | times | what happened | as it must |", "| --- | --- | --- | --- |", *rows])


if __name__ == "__main__":
    sys.exit(main())
