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
from pathlib import Path

from benchmarks import chaos_faults
from benchmarks.chaos_studies import Result


def main() -> int:
    """Run the faults that are asked for; the exit code is 1 if one did not end as it must."""
    asked = _asked()
    folder = Path(tempfile.mkdtemp(prefix="chaos-"))
    try:
        results = [
            _timed(fault, folder / name, asked.kills)
            for name, fault in chaos_faults.FAULTS.items()
            if asked.only in (None, name)
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
    parser.add_argument("--kills", type=int, default=50, help="random moments of kill -9")
    parser.add_argument("--only", choices=list(chaos_faults.FAULTS))
    parser.add_argument("--out", type=Path, help="also write the table there")
    return parser.parse_args()


def _timed(fault: chaos_faults.Fault, folder: Path, n_kills: int) -> Result:
    folder.mkdir()
    started = time.monotonic()
    result = fault(folder, n_kills)
    print(f"{result.fault}: {result.found} ({time.monotonic() - started:.0f} s)", file=sys.stderr)
    return result


def table(results: list[Result]) -> str:
    """The results as a Markdown table."""
    rows = [f"| {r.fault} | {r.n_times} | {r.found} | {'yes' if r.is_good else '**no**'} |" for r in results]
    return "\n".join(["| fault | times | what happened | as it must |", "| --- | --- | --- | --- |", *rows])


if __name__ == "__main__":
    sys.exit(main())
