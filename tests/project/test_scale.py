"""The load benchmark measures what it says: growth, memory of a stage, of a stage within it, of processes."""

import csv
import math
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from benchmarks.scale import growth, tables, write_csv
from benchmarks.scale_clock import MB, Clock
from benchmarks.scale_record import Measured, exponent
from benchmarks.scale_rows import CATEGORIES, write_table
from search.data import from_frame
from search.sources import read_table

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize("power", [0.5, 1.0, 2.0])
def test_the_exponent_is_the_power_of_the_size(power: float) -> None:
    sizes = (10, 100, 1_000)
    assert exponent(sizes, [3.0 * size**power for size in sizes]) == pytest.approx(power)
    assert growth({size: 3.0 * size**power for size in sizes}) == f"{power:.2f}"


def test_growth_is_of_the_upper_sizes_and_of_what_can_be_told() -> None:
    assert growth({1_000: 5.0, 10_000: 6.0, 100_000: 60.0}, "cpu_seconds") == "1.00"
    assert growth({1_000: 0.001, 10_000: 0.01}, "cpu_seconds") == "" == growth({1_000: 9.0}, "cpu_seconds")


def test_tables_have_a_row_for_each_stage_and_leave_out_what_was_not_measured(tmp_path: Path) -> None:
    found = [
        Measured("audit", 10, 1.0, 2.0),
        Measured("audit", 100, 10.0, 20.0),
        Measured("read", 100, 1.0, 1.0),
    ]
    lines = tables(found, "rows")
    assert "| audit | 2.00 | 20.0 | 1.00 |" in lines and "| read |  | 1.00 |  |" in lines
    assert sum(line.startswith("| audit") for line in lines) == 2  # nothing of memory and disk
    write_csv(tmp_path / "deep" / "scale.csv", found)
    with (tmp_path / "deep" / "scale.csv").open() as file:
        assert [float(row["cpu_seconds"]) for row in csv.DictReader(file)] == [2.0, 20.0, 1.0]


def test_a_stage_has_the_memory_that_it_took_at_most_and_so_has_the_one_around_it() -> None:
    clock = Clock(7)
    with clock.stage("outer"):
        kept = np.ones(40 * MB, np.uint8)
        with clock.stage("inner"):
            np.ones(80 * MB, np.uint8).sum()
        np.ones(20 * MB, np.uint8).sum()
    clock.stop()
    inner, outer = clock.found
    assert kept.size and (inner.stage, outer.stage, inner.size) == ("inner", "outer", 7)
    assert inner.peak_mb == pytest.approx(80, abs=8) and outer.peak_mb == pytest.approx(120, abs=12)
    assert outer.seconds >= inner.seconds and math.isnan(outer.mb_on_disk)


def test_work_of_processes_counts_for_the_stage_that_waits_for_them() -> None:
    clock = Clock(1)
    with clock.stage("waiting"):
        spin = "import time\nwhile time.process_time() < 0.4: pass\ninput()"
        with subprocess.Popen([sys.executable, "-c", spin], stdin=subprocess.PIPE) as child:
            while sum(clock._others.cpu.values()) < 0.35:
                time.sleep(0.02)
            child.communicate(b"\n")
    clock.stop()
    assert clock.found[0].cpu_seconds >= 0.35


def test_the_table_is_what_the_documentation_says(tmp_path: Path) -> None:
    write_table(tmp_path / "table.csv", 500)
    frame = read_table(tmp_path / "table.csv")
    dataset = from_frame(frame, "target")
    assert len(dataset.schema.numbers) == 14 and len(dataset.schema.categories) == len(CATEGORIES)
    assert dataset.task.kind == "binary" and frame["x0"].isna().any() and not frame["x1"].isna().any()


def test_what_is_measured_is_there() -> None:
    """In a process of its own: the functions stay wrapped."""
    code = (
        "from benchmarks.scale_rows import _wrap; from benchmarks.scale_clock import Clock; _wrap(Clock(1))"
    )
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)
