"""Are the ensembles good? This project beside what good users run, same seconds and cores, on real tables.

    python -m benchmarks.quality --data DATASETS [--tables a,b] [--seeds 3] [--seconds 60] [--out FOLDER]

Three parts (``--only``): ``rank``, all systems on random splits of the tables (30 % test, at most 4,000
rows); ``boston``, the mean absolute error on the split that Keras ships; ``uci``, the RMSE on published
splits beside those of dropout networks. The last two measure this project alone.

Every job (a system on a split) is a process pinned to one core; ``--workers`` of them run side by side.
Systems: ``ours`` (which also gives its best single trial and the plain average of its ten best), ``histgb``,
``keras`` and ``autogluon`` (under the Python of ``--autogluon``). Results are appended to ``results.jsonl``,
so that an interrupted run goes on where it stopped; jobs that failed are run again.

DATASETS is a folder of tables, see `benchmarks.quality_tables`.
"""

from __future__ import annotations

import argparse
import json
import os
import queue
import signal
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from typing import Any

from benchmarks.quality_report import write_report
from benchmarks.quality_tables import PARTS, Case, cases

SYSTEMS = ("ours", "histgb", "keras", "autogluon")
ONE_THREAD = dict.fromkeys(
    ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "TF_NUM_INTRAOP_THREADS",
     "TF_NUM_INTEROP_THREADS"), "1",
) | {"TF_CPP_MIN_LOG_LEVEL": "3"}  # fmt: skip


def main() -> None:
    """Run the jobs that are not there yet, then print and write the report."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that the children end with this process
    options = _options()
    out = Path(options.out)
    out.mkdir(parents=True, exist_ok=True)
    _check_same_run(out, {"seconds": options.seconds, "ours": options.ours})
    wanted = cases(Path(options.data), options.only, options.tables, options.seeds, options.uci_splits)
    lines = stored(out)
    left = jobs(wanted, options, lines)
    print(f"{len(left)} jobs of {options.seconds:g} s, {options.workers} side by side", flush=True)
    run_all(left, out / "results.jsonl", options.workers, options.seconds)
    print(write_report(stored(out), out, options.seconds))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.quality",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--data", required=True)
    parser.add_argument("--tables", default="", type=_names, help="all, but for time-ordered ones")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=60.0, help="for each system and split")
    parser.add_argument("--only", default=",".join(PARTS), type=_names)
    parser.add_argument("--systems", default="", type=_names, help="of the ranking; all that can run")
    parser.add_argument("--uci-splits", type=int, default=5, help="of the 20 published ones")
    parser.add_argument("--autogluon", default="", help="Python of an environment with autogluon.tabular")
    parser.add_argument("--ours", action="append", default=[], help="KEY=VALUE of a study, repeatable")
    parser.add_argument("--out", default="runs/quality")
    parser.add_argument("--workers", type=int, default=2, help="jobs side by side, one core each")
    options = parser.parse_args()
    options.ours = _settings(parser, options.ours)
    options.systems = options.systems or [s for s in SYSTEMS if s != "autogluon" or options.autogluon]
    for name in options.systems:
        if name not in SYSTEMS:
            parser.error(f"systems must be among {', '.join(SYSTEMS)}, got {name!r}")
    if "autogluon" in options.systems and not options.autogluon:
        parser.error("the system autogluon needs --autogluon PYTHON, got none")
    n_cores = len(os.sched_getaffinity(0))
    if not 1 <= options.workers <= n_cores:
        parser.error(f"workers must be 1 to {n_cores}, the cores there are, got {options.workers}")
    return options


def _names(text: str) -> list[str]:
    return [name for name in text.split(",") if name]


def _settings(parser: argparse.ArgumentParser, pairs: list[str]) -> dict[str, Any]:
    """Fields of a study; values are JSON where they can be read as such, else text; a comma makes a list."""
    from search.config import ConfigError, check

    settings: dict[str, Any] = {}
    for pair in pairs:
        key, is_given, value = pair.partition("=")
        if not is_given:
            parser.error(f"--ours takes KEY=VALUE, got {pair!r}")
        try:
            settings[key] = json.loads(value)
        except json.JSONDecodeError:
            settings[key] = value.split(",") if "," in value else value
    try:
        check(settings)
    except ConfigError as error:
        parser.error(f"--ours: {error}")
    return settings


def _check_same_run(out: Path, told: dict[str, Any]) -> None:
    file = out / "settings.json"
    if file.exists() and (known := json.loads(file.read_text())) != told:
        raise SystemExit(f"a run goes on with the settings it began with: {out} has {known}, got {told}")
    file.write_text(json.dumps(told))


def stored(out: Path) -> list[dict[str, Any]]:
    """The lines of a run so far, the last one of each system and split; a torn last line is left out."""
    file, found = out / "results.jsonl", {}
    for text in file.read_text().splitlines() if file.exists() else []:
        try:
            line = json.loads(text)
        except json.JSONDecodeError:
            continue
        found[line["part"], line["table"], line["number"], line["system"]] = line
    return list(found.values())


def jobs(
    wanted: list[Case], options: argparse.Namespace, lines: list[dict[str, Any]]
) -> list[dict[str, Any]]:
    """What is left to run: of each split, one system after another."""
    done = {(x["part"], x["table"], x["number"], x["system"]) for x in lines if x.get("cause") is None}
    settings = {"ours": options.ours, "autogluon": {"python": options.autogluon}}
    return [
        {
            "part": case.part, "table": case.table, "number": case.number, "system": system,
            "data": options.data, "seconds": options.seconds, "settings": settings.get(system, {}),
        }
        for case in wanted
        for system in (options.systems if case.part == "rank" else ["ours"])
        if (case.part, case.table, case.number, system) not in done
    ]  # fmt: skip


def run_all(left: list[dict[str, Any]], file: Path, n_workers: int, seconds: float) -> None:
    """Run jobs side by side, each on a core of its own, and append what they say."""
    cores: queue.Queue[int] = queue.Queue()
    for core in sorted(os.sched_getaffinity(0))[:n_workers]:
        cores.put(core)
    running = Children()
    with ThreadPoolExecutor(n_workers) as pool, open(file, "a") as results:
        futures = [pool.submit(_run, job, cores, running, 4 * seconds + 300) for job in left]
        try:
            for number, future in enumerate(as_completed(futures), start=1):
                for line in future.result():
                    results.write(json.dumps(line) + "\n")
                    print(f"[{number}/{len(left)}] {_said(line)}", flush=True)
                results.flush()
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            running.stop()
            raise


class Children:
    """The processes that this one started and has not seen the end of."""

    def __init__(self) -> None:
        self._processes: set[subprocess.Popen[str]] = set()
        self._lock, self._is_stopped = threading.Lock(), False

    def run(self, command: list[str], limit: float) -> tuple[int, str, str]:
        """Run a command in a process group of its own, at most ``limit`` seconds: code, output, errors."""
        with self._lock:
            if self._is_stopped:
                return -1, "", "stopped"
            child = subprocess.Popen(
                command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True,
                env={**os.environ, **ONE_THREAD},
            )  # fmt: skip
            self._processes.add(child)
        try:
            output, errors = child.communicate(timeout=limit)
        except subprocess.TimeoutExpired:
            _end(child)
            output, errors = child.communicate()
            errors += f"\nended after {limit:g} s"
        with self._lock:
            self._processes.discard(child)
        return child.returncode, output, errors

    def stop(self) -> None:
        """End all of them, and start no more."""
        with self._lock:
            self._is_stopped = True
            for child in self._processes:
                _end(child)


def _end(child: subprocess.Popen[str]) -> None:
    if child.poll() is None:
        os.killpg(child.pid, signal.SIGKILL)


def _run(
    job: dict[str, Any], cores: queue.Queue[int], running: Children, limit: float
) -> list[dict[str, Any]]:
    core = cores.get()
    try:
        command = [sys.executable, "-m", "benchmarks.quality_job", json.dumps({**job, "core": core})]
        code, output, errors = running.run(command, limit)
    finally:
        cores.put(core)
    if code == 0:
        lines: list[dict[str, Any]] = json.loads(output.splitlines()[-1])
        return lines
    cause = errors.strip().splitlines()[-1] if errors.strip() else f"exit code {code}"
    names = ("ours", "best_single", "uniform") if job["system"] == "ours" else (job["system"],)
    shared = {name: job[name] for name in ("part", "table", "number")}
    return [{**shared, "system": name, "loss": None, "cause": cause} for name in names]


def _said(line: dict[str, Any]) -> str:
    where = f"{line['part']} {line['table']} {line['number']} {line['system']}"
    if line["loss"] is None:
        return f"{where}: failed: {line['cause']}"
    return f"{where}: {line['metric']} {line['loss']:.4f} in {line['seconds']:.0f} s"


if __name__ == "__main__":
    main()
