"""One sweep by one worker and by several on this machine: rate, efficiency, where the time goes.

python -m benchmarks.scale [--workers=1,2] [--num_networks=60] [--json=scale.json]
python -m benchmarks.scale --beam_python=.venv-beam/bin/python

    N workers       N times `launchers.nngp_inference --shard=I/N`, each on a core of its own
    all cores       one such process with all cores
    N by Beam       `launchers.sweep --direct_num_workers=N`, where Beam is installed

    start           from the start of a process to its first network: imports, images, directory
    networks        the seconds of its rows, making the programs included
    between         from the end of a network to the next, in which its row is stored
    end             from its last row to the end of the slowest worker

Nothing is instrumented: a row tells how long its network took, and when it was handed over to be
stored. Then the rows of the first sweep fill a directory of many shards, to tell what each row and
each start costs there.
"""

from __future__ import annotations

import collections
import dataclasses
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time
import tracemalloc

import numpy as np
from absl import app, flags

from benchmarks import timing
from nngp_tf.runs import store, table
from nngp_tf.runs.status import Watcher

_WORKERS = flags.DEFINE_list("workers", ["1", "2"], "Numbers of workers, the first of them 1.")
_ALL_CORES = flags.DEFINE_bool("all_cores", True, "Whether one worker with all cores runs, too.")
_BEAM = flags.DEFINE_string("beam_python", None, "Python that has Beam; left out unless given.")
_NUM_NETWORKS = flags.DEFINE_integer("num_networks", 60, "Networks of the sweep.", 1)
_ARCHITECTURES = flags.DEFINE_string("architectures", "sample", "See nngp_tf.runs.architectures.")
_NUM_TRAIN = flags.DEFINE_integer("num_train", 200, "Training images of the digits.")
_NUM_TEST = flags.DEFINE_integer("num_test", 200, "Test images.")
_NUM_INITS = flags.DEFINE_integer("num_inits", 2, "Initialisations.")
_STEM_FILTERS = flags.DEFINE_integer("stem_filters", 16, "Width of the networks.")
_SHARE_SIZE = flags.DEFINE_integer("share_size", 10, "Networks in a share of Beam.", 1)
_SHARDS = flags.DEFINE_integer("shards", 50, "Shards of the directory of rows.", 2)
_SHARD_ROWS = flags.DEFINE_integer("shard_rows", 100, "Rows in each of them.", 1)

_ONE_THREAD = {"TF_NUM_INTRAOP_THREADS": "1", "OMP_NUM_THREADS": "1"}


@dataclasses.dataclass(frozen=True)
class Case:
    """A way to run the sweep.

    Attributes:
      name: Of the case.
      workers: Processes that compute.
      cores: That they have together.
      python: Interpreter.
      is_beam: Whether Beam starts them.
    """

    name: str
    workers: int
    cores: int
    python: str = sys.executable
    is_beam: bool = False


@dataclasses.dataclass(frozen=True)
class Run:
    """How a case went; seconds of the phases are means over workers, None where Beam places them.

    Attributes:
      makespan: Seconds from the start of the processes to the end of the last.
      seconds: Of each network, by key.
      first: Until the first network of all begins.
      start: See above, as the next two.
      begin: Of a worker's first network, beyond its median: a program is made.
      between: All of a worker's.
      end: After a worker's last row.
    """

    makespan: float
    seconds: dict[str, float]
    first: float
    start: float | None
    begin: float | None
    between: float | None
    end: float | None


def main(argv):
    """Run the benchmark."""
    del argv
    cores = _cores()
    workers = [int(number) for number in _WORKERS.value]
    if workers[0] != 1:
        raise app.UsageError(f"--workers must begin with 1, got {_WORKERS.value}")
    cases = [Case(f"{n} worker{'s' * (n > 1)}", n, min(n, len(cores))) for n in workers]
    if _ALL_CORES.value:
        cases.append(Case("1 worker, all cores", 1, len(cores)))
    if _BEAM.value:
        several = max(workers)
        name = f"{several} by Beam"
        cases.append(Case(name, several, min(several, len(cores)), _BEAM.value, True))
    runs = collections.defaultdict(list)
    with tempfile.TemporaryDirectory() as directory:
        for repeat in range(timing.REPEATS.value):
            for case in cases:
                run_dir = os.path.join(directory, f"{repeat}-{case.name.replace(' ', '-')}")
                runs[case].append(_run(case, run_dir, cores))
        first = os.path.join(directory, f"0-{cases[0].name.replace(' ', '-')}")
        rows = [row for row in table.read_table(first).rows.values() if row["status"] == "ok"]
        stored = _directory(rows, os.path.join(directory, "rows"))
        size = sum(file.stat().st_size for file in pathlib.Path(first).glob("results*")) / len(rows)
    single = runs[cases[0]]
    timing.report(
        "scale",
        {
            "repeats": timing.REPEATS.value,
            "networks": _NUM_NETWORKS.value,
            "images": f"{_NUM_TRAIN.value} + {_NUM_TEST.value} of the digits",
            "initialisations": _NUM_INITS.value,
            "stem filters": _STEM_FILTERS.value,
            "kB a row": round(size / 1e3, 1),
        },
        {
            "Sweeps": [_rates(case, runs[case], single) for case in cases],
            "Share of the workers' time": [_shares(c, runs[c]) for c in cases if not c.is_beam],
            "Rows": stored,
        },
        notes=[] if _BEAM.value else ["Beam left out: --beam_python names a Python that has it"],
    )


def _cores():
    if hasattr(os, "sched_getaffinity"):
        return sorted(os.sched_getaffinity(0))
    return list(range(os.cpu_count()))


def _run(case: Case, run_dir: str, cores: list[int]) -> Run:
    """Run a case into a new directory."""
    common = {
        "architectures": repr(_ARCHITECTURES.value),
        "num_architectures": _NUM_NETWORKS.value,
        "num_train": _NUM_TRAIN.value,
        "num_test": _NUM_TEST.value,
        "num_inits": _NUM_INITS.value,
        "stem_filters": _STEM_FILTERS.value,
    }
    arguments = [f"--gin_param=nngp_inference.{n} = {value}" for n, value in common.items()]
    arguments.append(f"--run_dir={run_dir}")
    if case.is_beam:
        more = [f"--direct_num_workers={case.workers}", f"--share_size={_SHARE_SIZE.value}"]
        commands = [["launchers.sweep", *arguments, *more]]
    else:
        shards = [f"--shard={index}/{case.workers}" for index in range(case.workers)]
        commands = [["launchers.nngp_inference", *arguments, shard] for shard in shards]
    # Beam's launcher shares the cores out itself.
    own_core = not case.is_beam and case.cores == min(case.workers, len(cores))
    environment = os.environ | {"CUDA_VISIBLE_DEVICES": "-1"} | (_ONE_THREAD if own_core else {})
    start, processes = time.time(), []
    for index, command in enumerate(commands):
        with open(f"{run_dir}-{index}.log", "w", encoding="utf-8") as log:
            process = subprocess.Popen(
                [case.python, "-m", *command],
                cwd=timing.ROOT,
                env=environment,
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        if own_core and hasattr(os, "sched_setaffinity"):
            os.sched_setaffinity(process.pid, {cores[index % len(cores)]})
        processes.append(process)
    codes = [process.wait() for process in processes]
    makespan = time.time() - start
    for index, code in enumerate(codes):
        if code:
            said = pathlib.Path(f"{run_dir}-{index}.log").read_text(encoding="utf-8")
            raise RuntimeError(f"{case.name} ended with exit code {code}: {said[-2000:]}")
    return _phases(case, run_dir, start, makespan)


def _phases(case, run_dir, start, makespan):
    """Tell where the time of a case went, by its rows."""
    read = table.read_table(run_dir)
    if len(read.rows) != _NUM_NETWORKS.value or read.duplicates:
        raise RuntimeError(f"{case.name}: {len(read.rows)} rows, {read.duplicates} of them twice")
    by_worker = collections.defaultdict(list)
    for file in read.files:
        by_worker[file.place.shard].extend((e.time - start, e.row["seconds"]) for e in file.entries)
    seconds = {key: row["seconds"] for key, row in read.rows.items()}
    first = min(stored - taken for rows in by_worker.values() for stored, taken in rows)
    if case.is_beam:
        return Run(makespan, seconds, first, None, None, None, None)
    starts, begins, betweens, ends = [], [], [], []
    for rows in by_worker.values():
        times, taken = np.array(sorted(rows)).T
        starts.append(times[0] - taken[0])
        begins.append(taken[0] - np.median(taken))
        betweens.append(np.sum(np.diff(times) - taken[1:]))
        ends.append(makespan - times[-1])
    phases = (float(np.mean(phase)) for phase in (starts, begins, betweens, ends))
    return Run(makespan, seconds, first, *phases)


def _rates(case: Case, runs: list[Run], single: list[Run]):
    """Return how fast a case is, and against as many cores of the one that has one worker."""
    rates = [60 * _NUM_NETWORKS.value / run.makespan for run in runs]
    return {
        "": case.name,
        "cores": case.cores,
        "networks a minute": timing.summary(rates),
        "efficiency": timing.ratio(
            [one.makespan for one in single], [run.makespan * case.cores for run in runs]
        ),
        "s a network, mean": timing.summary([_mean(run) for run in runs]),
        "median": timing.summary([statistics.median(run.seconds.values()) for run in runs]),
        # Of networks whose program is there already, which are most.
        "of one worker's, same network": timing.summary(
            [
                statistics.median(run.seconds[key] / one.seconds[key] for key in run.seconds)
                for run, one in zip(runs, single, strict=True)
            ]
        ),
        "s to the first": timing.summary([run.first for run in runs]),
    }


def _shares(case: Case, runs: list[Run]):
    """Return parts of the time from the start of the first worker to the end of the last."""
    each = _NUM_NETWORKS.value / case.workers
    return {
        "": case.name,
        "s to start": timing.summary([run.start for run in runs]),
        "s of the first beyond the median": timing.summary([run.begin for run in runs]),
        "start": timing.summary([run.start / run.makespan for run in runs]),
        "networks": timing.summary([_mean(run) * each / run.makespan for run in runs]),
        "between": timing.summary([run.between / run.makespan for run in runs]),
        "end": timing.summary([run.end / run.makespan for run in runs]),
        "ms between two networks": timing.summary([1e3 * run.between / each for run in runs]),
    }


def _mean(run):
    return statistics.mean(run.seconds.values())


def _directory(rows, path):
    """Tell what rows cost in a directory of many shards: to append, to open, to look at."""
    count, size = _SHARDS.value, _SHARD_ROWS.value
    bare = [{name: value for name, value in row.items() if name != "key"} for row in rows]
    appended, opened = 0.0, 0.0
    for index in range(count):
        start = time.perf_counter()
        with store.RunDirectory(path, {}, shard=(index, count)) as directory:
            opened += time.perf_counter() - start
            start = time.perf_counter()
            for number in range(size):
                directory.append({"key": f"{index}-{number}", **bare[number % len(bare)]})
            appended += time.perf_counter() - start
    total = count * size
    watcher = Watcher(path)
    watcher.look()
    measured = [
        ("append a row", total, appended, None),
        ("open a shard without rows", count, opened, None),
        ("open a shard with rows", size, *_traced(lambda: _open(path, (0, count)))),
        ("open with another count", total, *_traced(lambda: _open(path, (0, count + 1)))),
        ("status, first look", total, *_traced(lambda: _look(Watcher(path)))),
        ("status, next look", total, *_traced(lambda: _look(watcher))),
        ("table for the analysis", total, *_traced(lambda: table.read_table(path))),
    ]
    return [
        {
            "": what,
            "times or rows": number,
            "seconds": seconds,
            "ms each": 1e3 * seconds / number,
            "MiB held": held,
        }
        for what, number, seconds, held in measured
    ]


def _open(path, shard):
    with store.RunDirectory(path, {}, shard=shard) as directory:
        return directory


def _look(watcher):
    return watcher, watcher.look()


def _traced(call):
    """Return the seconds of a call, and the memory that its result holds, of another call."""
    seconds = timing.seconds(call)
    tracemalloc.start()
    result = call()
    held, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    del result
    return seconds, held / timing.MEBIBYTE


if __name__ == "__main__":
    app.run(main)
