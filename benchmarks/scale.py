"""Load: what grows with rows, trials and workers, and how fast: ``python -m benchmarks.scale``.

Tables are in Markdown. The last column is the power of the size by which processor time grows over the upper
sizes: 1 is linear. Processor time counts the processes that a stage started; wall clock depends on what else
the machine does.
"""

from __future__ import annotations

import argparse
import csv
import math
import os
from collections.abc import Sequence
from dataclasses import asdict, fields
from pathlib import Path

from benchmarks.scale_record import Measured, exponent

PARTS = ("rows", "trials", "workers", "simulation")
ROWS = (1_000, 10_000, 100_000, 1_000_000)
TRIALS = (10, 100, 1_000, 10_000)
WORKERS, TRIALS_OF_WORKERS = 8, 400
SIMULATED = (10, 100, 300, 1_000)
N_UPPER = 2  # sizes that the growth is taken from: below, what a stage takes at any size is most of it
LEAST_SECONDS = 0.05  # of processor time that a growth can be told from


def main() -> None:
    """Measure what is asked for and print it."""
    options = _options()
    print(f"{len(os.sched_getaffinity(0))} cores, load {os.getloadavg()[0]:.1f}", flush=True)
    found: list[Measured] = []
    for part in PARTS if options.only is None else (options.only,):
        lines, own = _part(part, options.quick)
        print("\n".join(["", f"## {part.capitalize()}", "", *lines]), flush=True)
        found += own
    if options.out is not None and found:
        write_csv(Path(options.out) / "scale.csv", found)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.scale", description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--only", choices=PARTS, help="one part; by default all")
    parser.add_argument("--quick", action="store_true", help="without the largest sizes")
    parser.add_argument("--out", help="folder in which scale.csv is written")
    return parser.parse_args()


def _part(name: str, is_quick: bool) -> tuple[list[str], list[Measured]]:
    """The Markdown lines of a part, and its figures where they are by stage."""
    if name in ("rows", "trials"):
        from benchmarks import scale_rows, scale_trials

        sizes = (ROWS if name == "rows" else TRIALS)[: -1 if is_quick else None]
        found = (scale_rows if name == "rows" else scale_trials).measure(sizes)
        return tables(found, name), found
    if name == "workers":
        from benchmarks import scale_workers

        n_trials = TRIALS_OF_WORKERS // 10 if is_quick else TRIALS_OF_WORKERS
        return scale_workers.measure(2 if is_quick else WORKERS, n_trials), []
    from benchmarks import scale_simulation

    return scale_simulation.measure(SIMULATED[: 3 if is_quick else None]), []


def tables(found: Sequence[Measured], unit: str) -> list[str]:
    """Markdown tables of stages by size: processor seconds with their growth, wall seconds, memory, disk."""
    what = {
        "processor seconds": "cpu_seconds",
        "seconds": "seconds",
        "most memory added, MB": "peak_mb",
        "written, MB": "mb_on_disk",
    }
    lines: list[str] = []
    for title, field in what.items():
        lines += [*_table(found, f"{title} by {unit}", field), ""]
    return lines[:-1]


def _table(found: Sequence[Measured], title: str, field: str) -> list[str]:
    sizes = sorted({one.size for one in found})
    lines = [f"| {title} | " + " | ".join(f"{size:,}" for size in sizes) + " | growth |"]
    lines.append("| --- |" + " --- |" * (len(sizes) + 1))
    for stage in dict.fromkeys(one.stage for one in found):
        by_size = {one.size: float(getattr(one, field)) for one in found if one.stage == stage}
        known = {size: value for size, value in by_size.items() if not math.isnan(value)}
        if known:
            cells = [_number(by_size.get(size, math.nan)) for size in sizes]
            lines.append(f"| {stage} | {' | '.join(cells)} | {growth(known, field)} |")
    return lines


def growth(by_size: dict[int, float], field: str = "") -> str:
    """The power of the size by which a value grows over the upper sizes; empty where it is too small."""
    upper = sorted(by_size)[-N_UPPER:]
    values = [by_size[size] for size in upper]
    least = LEAST_SECONDS if "seconds" in field else 1.0
    if len(upper) < N_UPPER or min(values) <= 0.0 or values[-1] < least:
        return ""
    return f"{exponent(upper, values):.2f}"


def _number(value: float) -> str:
    if math.isnan(value):
        return ""
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def write_csv(path: Path, found: Sequence[Measured]) -> None:
    """Write the figures as they were measured."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, [field.name for field in fields(Measured)])
        writer.writeheader()
        writer.writerows(asdict(one) for one in found)


if __name__ == "__main__":
    main()
