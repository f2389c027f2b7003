"""What the benchmarks share: taking turns, statistics, workers, and the report.

Contestants take turns in one process (A, B, C, A, B, C, ...), so that what else the machine does
meets them all; a ratio is taken within a repeat, and its median and range over the repeats is told.
Memory is the peak of a process of its own. Only the standard library and absl are imported here, so
that the parent of workers stays small.
"""

from __future__ import annotations

import datetime
import importlib.metadata
import json
import math
import os
import pathlib
import platform
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from absl import flags

ROOT = pathlib.Path(__file__).resolve().parents[1]
MEBIBYTE = 2.0**20

JSON = flags.DEFINE_string("json", None, "JSON file to write.")
REPEATS = flags.DEFINE_integer("repeats", 5, "Turns of each contestant.", lower_bound=1)
SHARED_DATA = flags.DEFINE_string(
    "shared_data",
    os.environ.get("NNGP_TF_SHARED_DATA", str(ROOT.parent / "shared" / "data")),
    "Development data; NNGP_TF_SHARED_DATA names another default. Optional.",
)

_PACKAGES = (
    "tensorflow",
    "tensorflow-cpu",
    "keras",
    "numpy",
    "scipy",
    "scikit-learn",
    "torch",
    "nasbench-pytorch",
    "jax",
    "neural-tangents",
)
# Before the benchmark adds its own.
_LOAD_BEFORE = list(os.getloadavg())
_MATRIX_FLAGS = ("avx2", "avx512f", "avx512_bf16", "amx_bf16", "amx_tile", "bf16", "sve")


def seconds(call: Callable[[], Any]) -> float:
    """Return how long a call takes."""
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def turns(
    contestants: Mapping[str, Callable[[], Any]], repeats: int, pause: float = 0.0
) -> dict[str, list[float]]:
    """Time contestants turn by turn.

    Args:
      contestants: Calls, warmed up.
      repeats: Turns of each.
      pause: Seconds of rest before a turn, in which threads that spin for more work go to sleep.

    Returns:
      The seconds of each contestant's turns, in the order of the repeats.
    """
    taken = {name: [] for name in contestants}
    for _ in range(repeats):
        for name, call in contestants.items():
            time.sleep(pause)
            taken[name].append(seconds(call))
    return taken


def summary(values: Sequence[float]) -> dict[str, float]:
    """Return median, smallest and largest value."""
    return {"median": statistics.median(values), "min": min(values), "max": max(values)}


def ratio(numerator: Sequence[float], denominator: Sequence[float]) -> dict[str, float]:
    """Return the summary of the ratios within each repeat."""
    return summary([n / d for n, d in zip(numerator, denominator, strict=True)])


def slope(x: Sequence[float], y: Sequence[float]) -> float | None:
    """Return the exponent a of y ~ x^a by least squares of the logarithms; None for one point."""
    if len(set(x)) < 2:
        return None
    logs = [math.log(v) for v in x], [math.log(v) for v in y]
    return statistics.linear_regression(*logs).slope


def target(what: str, value: float | None, bound: float, at_least: bool) -> dict[str, Any]:
    """Return a target with its outcome; a value of None was not measured."""
    met = None if value is None else bool(value >= bound if at_least else value <= bound)
    sign = ">=" if at_least else "<="
    return {"what": what, "target": f"{sign} {bound:g}", "value": value, "met": met}


def peak_memory() -> float:
    """Return the most memory that this process has held (resident, in MiB)."""
    try:
        # Unlike getrusage, this does not begin with the parent's peak.
        with open("/proc/self/status", encoding="ascii") as status:
            line = next(line for line in status if line.startswith("VmHWM"))
        return int(line.split()[1]) / 1024
    except (OSError, StopIteration):
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return peak * (1.0 if sys.platform == "darwin" else 1024.0) / MEBIBYTE


class Worker:
    """A process that prepares a task and runs it on demand; the other end is `serve`.

    Attributes:
      prepared: What `serve` told of the preparation.
    """

    def __init__(self, command: Sequence[str], task: Mapping[str, Any]):
        """Start the process and wait for its preparation.

        Args:
          command: Of a program that calls `serve`.
          task: What it is to do, of JSON's types.

        Raises:
          RuntimeError: If it ends before.
        """
        self._command = list(command)
        self._process = subprocess.Popen(
            self._command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT
        )
        self.prepared = self._ask(json.dumps(task))

    @classmethod
    def of_module(cls, module: str, task: Mapping[str, Any], python: str | None = None) -> Worker:
        """Start a module, by another interpreter if one is given."""
        return cls([python or sys.executable, "-m", module], task)

    def run(self) -> dict[str, Any]:
        """Run the task once; what `serve` told of it."""
        return self._ask("run")

    def close(self) -> None:
        """End the process."""
        self._process.stdin.close()
        self._process.wait()

    def __enter__(self) -> Worker:
        return self

    def __exit__(self, *_) -> None:
        self.close()

    def _ask(self, request):
        self._process.stdin.write(request + "\n")
        self._process.stdin.flush()
        # Libraries may print, too.
        for line in self._process.stdout:
            if line.startswith("{"):
                return json.loads(line)
        raise RuntimeError(f"{' '.join(self._command)} ended with exit code {self._process.wait()}")


def serve(prepare: Callable[[Mapping[str, Any]], Callable[[], Mapping[str, Any] | None]]) -> None:
    """Do what a `Worker` asks for: prepare a task, then run it once for each request.

    Every answer holds `seconds` and `peak_mebibytes`, and whatever the run returns.
    """
    task = json.loads(sys.stdin.readline())
    start = time.perf_counter()
    run = prepare(task)
    answer = {}
    while True:
        answer |= {"seconds": time.perf_counter() - start, "peak_mebibytes": peak_memory()}
        print(json.dumps(answer), flush=True)
        if not sys.stdin.readline():
            return
        start = time.perf_counter()
        answer = dict(run() or {})


def about() -> dict[str, Any]:
    """Name the machine, the versions and the time."""
    versions = {"python": platform.python_version()}
    for package in _PACKAGES:
        try:
            versions[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    model, cpu_flags = _cpu()
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return {
        "date": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
        "cpu": model,
        "cpu_flags": [flag for flag in _MATRIX_FLAGS if flag in cpu_flags],
        "cores": cores,
        "load_before": _LOAD_BEFORE,
        "versions": versions,
    }


def table(rows: Sequence[Mapping[str, Any]]) -> str:
    """Format rows that have the same keys; the keys head the columns."""
    texts = [[_text(value) for value in row.values()] for row in rows]
    columns = list(zip(list(rows[0]), *texts, strict=True)) if rows else []
    widths = [max(map(len, column)) for column in columns]
    numeric = [all(map(_is_number, column[1:])) for column in columns]
    lines = []
    for line in zip(*columns, strict=True):
        cells = zip(line, widths, numeric, strict=True)
        lines.append("  ".join(c.rjust(w) if n else c.ljust(w) for c, w, n in cells).rstrip())
    return "\n".join(lines)


def report(
    benchmark: str,
    settings: Mapping[str, Any],
    tables: Mapping[str, Sequence[Mapping[str, Any]]],
    targets: Sequence[Mapping[str, Any]] = (),
    notes: Sequence[str] = (),
) -> None:
    """Print header, tables, targets and notes, and write them to `--json`.

    Args:
      benchmark: Name of the script.
      settings: What was run: repeats, images, initialisations, ...
      tables: Rows under a title; a summary of repeats may stand in a cell.
      targets: Of `target`.
      notes: What was left out, and why.
    """
    described = about()
    versions = ", ".join(f"{name} {number}" for name, number in described["versions"].items())
    print(f"{benchmark}, {described['date']}")
    print(
        f"{described['cpu']}, {described['cores']} cores, "
        f"{' '.join(described['cpu_flags']) or 'no vector flags known'}, "
        f"load before {described['load_before'][0]:.1f}"
    )
    print(versions)
    print(", ".join(f"{name} {value}" for name, value in settings.items()))
    for title, rows in tables.items():
        print(f"\n{title}\n{table(rows)}")
    if targets:
        print()
    for each in targets:
        outcome = {True: "met", False: "missed", None: "not measured"}[each["met"]]
        print(f"{each['what']}: {_text(each['value'])}, target {each['target']}: {outcome}")
    for note in notes:
        print(f"note: {note}")
    if JSON.value:
        content = {
            "benchmark": benchmark,
            "about": described,
            "settings": dict(settings),
            "tables": tables,
            "targets": list(targets),
            "notes": list(notes),
        }
        path = pathlib.Path(JSON.value)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(content, indent=2) + "\n")
        print(f"wrote {path}")


def _cpu():
    """Return the CPU's model and flags as Linux tells them."""
    try:
        lines = pathlib.Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine(), ()
    entries = dict(reversed([[p.strip() for p in x.split(":", 1)] for x in lines if ":" in x]))
    cpu_flags = entries.get("flags", entries.get("Features", "")).split()
    return entries.get("model name", platform.machine()), cpu_flags


def _text(value):
    if isinstance(value, Mapping):
        middle, low, high = (_text(value[name]) for name in ("median", "min", "max"))
        return f"{middle} ({low}..{high})"
    if value is None:
        return "-"
    if isinstance(value, float):
        return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"
    return str(value)


def _is_number(text):
    return text[:1].isdigit() or text[:1] == "-"
