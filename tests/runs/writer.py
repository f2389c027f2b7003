"""A process that fills a shard of a run directory with rows, without TensorFlow.

python -m tests.runs.writer PATH NUMBER [INDEX COUNT] [--pause=SECONDS] [--patience=SECONDS]
python -m tests.runs.writer PATH NUMBER --kill_at_each_change

The rows are of real cells of the space, by a ridge regression on data seeded by each: they are the
same whoever computes them, to the last bit. Prints a line when the directory is open.
"""

import argparse
import itertools
import os
import signal
import sys
import time

import numpy as np

from nngp_tf.runs import files, store
from nngp_tf.search_spaces import nasbench101

CONFIG = {"num_inits": 4, "dataset": "digits", "mean": [0.1, None]}
_CHANGING = ("open", "fsync", "replace", "link", "remove", "utime", "makedirs")


def compute(cell):
    """The row of a cell."""
    rng = np.random.default_rng(int(cell.key[:12], 16))
    inputs, labels = rng.normal(size=(20, 5)), rng.normal(size=20)
    scan = []
    for diag_reg in np.logspace(-7, 2, 20):
        weights = np.linalg.solve(inputs.T @ inputs + diag_reg * np.eye(5), inputs.T @ labels)
        scan.append(float(np.square(inputs @ weights - labels).mean()))
    return {
        "key": cell.key,
        "architecture": cell.text,
        "status": "ok",
        "seconds": time.perf_counter(),
        "scan": {"loo_nll": scan},
    }


def cells(number, index=0, count=1):
    return list(nasbench101.enumerate_cells(0, number))[index::count]


def fill(path, number, shard=(0, 1), pause=0.0, patience=60.0):
    """Computes what a shard of a run lacks."""
    with store.RunDirectory(path, CONFIG, shard=shard, patience=patience) as directory:
        own = cells(number, *shard)
        directory.expect(len(own))
        print("open", flush=True)
        for cell in own:
            if cell.key not in directory.rows:
                directory.append(compute(cell))
                time.sleep(pause)
        directory.write_text("x.gin", "text\n")


class CountingOs:
    """The module os, which kills this process right before its n-th change of a file."""

    def __init__(self, killed_at):
        self._left = killed_at

    def __getattr__(self, name):
        value = getattr(os, name)
        return self.counting(value) if name in _CHANGING else value

    def counting(self, function):
        def count(*arguments, **options):
            self._left -= 1
            if self._left == 0:
                os.kill(os.getpid(), signal.SIGKILL)
            # What a killed process has written stays without it.
            return None if function is os.fsync else function(*arguments, **options)

        return count


def _fork(killed_at, *arguments):
    """Fills a run in a process of its own; returns how that ended."""
    if child := os.fork():
        return os.waitpid(child, 0)[1]
    files.os = CountingOs(killed_at)
    files.open = files.os.counting(open)
    fill(*arguments)
    os._exit(0)


def kill_at_each_change(path, number):
    """Kills a run at its first change of a file, another at its second, ...; resumes each.

    Run n is at PATH/n; the last is the one that ended before it was killed.
    """
    for call in itertools.count(1):
        status = _fork(call, f"{path}/{call}", number)
        if status == 0:
            return
        if status != signal.SIGKILL or _fork(-1, f"{path}/{call}", number) != 0:
            raise RuntimeError(f"run {call} ended with status {status} or was not resumed")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("path")
    parser.add_argument("number", type=int)
    parser.add_argument("shard", type=int, nargs="*", default=(0, 1))
    parser.add_argument("--pause", type=float, default=0.0)
    parser.add_argument("--patience", type=float, default=60.0)
    parser.add_argument("--kill_at_each_change", action="store_true")
    arguments = parser.parse_args()
    # So that chunks are sealed often.
    store.CHUNK_ROWS = 3 if arguments.kill_at_each_change else 7
    if arguments.kill_at_each_change:
        kill_at_each_change(arguments.path, arguments.number)
        return 0
    try:
        fill(*(getattr(arguments, n) for n in ("path", "number", "shard", "pause", "patience")))
    except ValueError as error:
        print(error, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
